//! Lua patterns (Lua 5.1 manual, section 5.4.1) with a bound on their work.
//!
//! The C library's matcher cannot be interrupted, and its depth follows the pattern: with a pattern out of a request
//! that would be enough to stop a core or the whole process.

use std::fmt;
use std::ops::Range;

const CAPTURES_MAX: usize = 32;
/// How many items of a pattern may be open at once.
const DEPTH_MAX: usize = 200;
/// So many steps lie between two questions whether to go on.
const STEPS_PER_LOOK: u32 = 10_000;

/// What a pair of parentheses caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capture {
    Text {
        start: usize,
        end: usize,
    },
    /// `()`: a position, counted from 1.
    Position(usize),
}

/// Where a pattern fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    pub range: Range<usize>,
    pub captures: Vec<Capture>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternError {
    EndsWithPercent,
    OpenSet,
    NoBalance,
    NoFrontierSet,
    BadCapture,
    UnpairedParenthesis,
    OpenCapture,
    TooManyCaptures,
    TooComplex,
    /// The run must end.
    Stopped,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EndsWithPercent => "malformed pattern (ends with '%')",
            Self::OpenSet => "malformed pattern (missing ']')",
            Self::NoBalance => "unbalanced pattern",
            Self::NoFrontierSet => "missing '[' after '%f' in pattern",
            Self::BadCapture => "invalid capture index",
            Self::UnpairedParenthesis => "invalid pattern capture",
            Self::OpenCapture => "unfinished capture",
            Self::TooManyCaptures => "too many captures",
            Self::TooComplex => "pattern too complex",
            Self::Stopped => "the script ran out of time",
        })
    }
}

/// A pattern at work on a text.
pub struct Matcher<'a> {
    text: &'a [u8],
    pattern: &'a [u8],
    must_stop: &'a dyn Fn() -> bool,
    steps: u32,
    depth: usize,
    captures: Vec<Open>,
}

#[derive(Clone, Copy)]
struct Open {
    start: usize,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Unknown,
    At(usize),
    Position,
}

type Fit = Result<Option<usize>, PatternError>;

impl<'a> Matcher<'a> {
    pub fn new(text: &'a [u8], pattern: &'a [u8], must_stop: &'a dyn Fn() -> bool) -> Self {
        Self { text, pattern, must_stop, steps: 0, depth: 0, captures: Vec::new() }
    }

    /// The first place from `from` on where the pattern fits. A `^` in front holds it to `from`.
    pub fn find(&mut self, from: usize) -> Result<Option<Match>, PatternError> {
        if from > self.text.len() {
            return Ok(None);
        }
        let is_anchored = self.pattern.first() == Some(&b'^');
        let last = if is_anchored { from } else { self.text.len() };
        for start in from..=last {
            self.captures.clear();
            if let Some(end) = self.fit(start, usize::from(is_anchored))? {
                return self.found(start, end).map(Some);
            }
        }
        Ok(None)
    }

    fn found(&self, start: usize, end: usize) -> Result<Match, PatternError> {
        let capture = |open: &Open| match open.end {
            End::Unknown => Err(PatternError::OpenCapture),
            End::At(end) => Ok(Capture::Text { start: open.start, end }),
            End::Position => Ok(Capture::Position(open.start + 1)),
        };
        let captures = self.captures.iter().map(capture).collect::<Result<_, _>>()?;
        Ok(Match { range: start..end, captures })
    }

    fn step(&mut self) -> Result<(), PatternError> {
        self.steps += 1;
        if self.steps >= STEPS_PER_LOOK {
            self.steps = 0;
            if (self.must_stop)() {
                return Err(PatternError::Stopped);
            }
        }
        Ok(())
    }

    /// Where the pattern from `at` on ends in the text, if it fits there.
    fn fit(&mut self, text_at: usize, at: usize) -> Fit {
        if self.depth >= DEPTH_MAX {
            return Err(PatternError::TooComplex);
        }
        self.depth += 1;
        let fit = self.fit_items(text_at, at);
        self.depth -= 1;
        fit
    }

    fn fit_items(&mut self, mut text_at: usize, mut at: usize) -> Fit {
        loop {
            self.step()?;
            match self.pattern.get(at..).unwrap_or_default() {
                [] => return Ok(Some(text_at)),
                [b'(', b')', ..] => return self.open_capture(text_at, at + 2, End::Position),
                [b'(', ..] => return self.open_capture(text_at, at + 1, End::Unknown),
                [b')', ..] => return self.close_capture(text_at, at + 1),
                [b'$'] => return Ok((text_at == self.text.len()).then_some(text_at)),
                [b'%', b'b', ..] => {
                    let Some(end) = self.balanced(text_at, at + 2)? else { return Ok(None) };
                    (text_at, at) = (end, at + 4);
                }
                [b'%', b'f', ..] => {
                    let Some(end) = self.frontier(text_at, at + 2)? else { return Ok(None) };
                    at = end;
                }
                [b'%', digit @ b'0'..=b'9', ..] => {
                    let Some(end) = self.repeated(text_at, *digit)? else { return Ok(None) };
                    (text_at, at) = (end, at + 2);
                }
                _ => {
                    let end = self.item_end(at)?;
                    let fits = self.fits_one(text_at, at, end);
                    match self.pattern.get(end) {
                        Some(b'?') => {
                            if fits && let Some(found) = self.fit(text_at + 1, end + 1)? {
                                return Ok(Some(found));
                            }
                            at = end + 1;
                        }
                        Some(b'*') => return self.most(text_at, at, end, 0),
                        Some(b'+') => return self.most(text_at, at, end, 1),
                        Some(b'-') => return self.fewest(text_at, at, end),
                        _ if fits => (text_at, at) = (text_at + 1, end),
                        _ => return Ok(None),
                    }
                }
            }
        }
    }

    /// As many as there are, then fewer.
    fn most(&mut self, text_at: usize, at: usize, end: usize, least: usize) -> Fit {
        let mut count = 0;
        while self.fits_one(text_at + count, at, end) {
            self.step()?;
            count += 1;
        }
        while count >= least {
            if let Some(found) = self.fit(text_at + count, end + 1)? {
                return Ok(Some(found));
            }
            let Some(fewer) = count.checked_sub(1) else { break };
            count = fewer;
        }
        Ok(None)
    }

    /// None, then more.
    fn fewest(&mut self, mut text_at: usize, at: usize, end: usize) -> Fit {
        loop {
            if let Some(found) = self.fit(text_at, end + 1)? {
                return Ok(Some(found));
            }
            if !self.fits_one(text_at, at, end) {
                return Ok(None);
            }
            text_at += 1;
        }
    }

    fn open_capture(&mut self, text_at: usize, at: usize, end: End) -> Fit {
        if self.captures.len() >= CAPTURES_MAX {
            return Err(PatternError::TooManyCaptures);
        }
        let count = self.captures.len();
        self.captures.push(Open { start: text_at, end });
        let fit = self.fit(text_at, at)?;
        if fit.is_none() {
            self.captures.truncate(count);
        }
        Ok(fit)
    }

    fn close_capture(&mut self, text_at: usize, at: usize) -> Fit {
        let open = self.captures.iter().rposition(|capture| capture.end == End::Unknown);
        let index = open.ok_or(PatternError::UnpairedParenthesis)?;
        self.captures[index].end = End::At(text_at);
        let fit = self.fit(text_at, at)?;
        if fit.is_none()
            && let Some(capture) = self.captures.get_mut(index)
        {
            capture.end = End::Unknown;
        }
        Ok(fit)
    }

    /// `%1`: what an earlier capture caught, once more.
    fn repeated(&self, text_at: usize, digit: u8) -> Fit {
        let index =
            usize::from(digit).checked_sub(usize::from(b'1')).ok_or(PatternError::BadCapture)?;
        let capture = self.captures.get(index).ok_or(PatternError::BadCapture)?;
        let caught = match capture.end {
            End::Unknown => return Err(PatternError::BadCapture),
            End::At(end) => &self.text[capture.start..end],
            End::Position => &[],
        };
        Ok(self.text[text_at..].starts_with(caught).then_some(text_at + caught.len()))
    }

    /// `%b()`: from an opening to the closing one that belongs to it.
    fn balanced(&mut self, text_at: usize, at: usize) -> Fit {
        let Some(&[open, close]) = self.pattern.get(at..at + 2) else {
            return Err(PatternError::NoBalance);
        };
        if self.text.get(text_at) != Some(&open) {
            return Ok(None);
        }
        let mut depth = 1usize;
        for (index, &byte) in self.text.iter().enumerate().skip(text_at + 1) {
            if byte == close {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(index + 1));
                }
            } else if byte == open {
                depth += 1;
            }
        }
        Ok(None)
    }

    /// `%f[set]`: the border between what is not in a set and what is. Says where the pattern goes on.
    fn frontier(&self, text_at: usize, at: usize) -> Fit {
        if self.pattern.get(at) != Some(&b'[') {
            return Err(PatternError::NoFrontierSet);
        }
        let end = self.item_end(at)?;
        let before = text_at.checked_sub(1).map_or(0, |index| self.text[index]);
        let after = self.text.get(text_at).copied().unwrap_or(0);
        let set = &self.pattern[at..end];
        Ok((!in_set(before, set) && in_set(after, set)).then_some(end))
    }

    /// Where the item at `at` ends, without what repeats it.
    fn item_end(&self, at: usize) -> Result<usize, PatternError> {
        match self.pattern.get(at..).unwrap_or_default() {
            [b'%'] => Err(PatternError::EndsWithPercent),
            [b'%', ..] => Ok(at + 2),
            [b'[', ..] => {
                let mut end = at + 1 + usize::from(self.pattern.get(at + 1) == Some(&b'^'));
                // The first character of a set may be a bracket.
                loop {
                    let byte = *self.pattern.get(end).ok_or(PatternError::OpenSet)?;
                    end += if byte == b'%' { 2 } else { 1 };
                    match self.pattern.get(end) {
                        Some(b']') => return Ok(end + 1),
                        Some(_) => {}
                        None => return Err(PatternError::OpenSet),
                    }
                }
            }
            _ => Ok(at + 1),
        }
    }

    fn fits_one(&self, text_at: usize, at: usize, end: usize) -> bool {
        let Some(&byte) = self.text.get(text_at) else { return false };
        match self.pattern.get(at..end).unwrap_or_default() {
            [b'.'] => true,
            [b'%', class] => in_class(byte, *class),
            set @ [b'[', ..] => in_set(byte, set),
            [literal, ..] => *literal == byte,
            [] => false,
        }
    }
}

/// Whether a byte is in `[…]`, brackets included.
fn in_set(byte: u8, set: &[u8]) -> bool {
    let inner = set.get(1..set.len().saturating_sub(1)).unwrap_or_default();
    let (mut rest, is_negated) = match inner {
        [b'^', rest @ ..] => (rest, true),
        rest => (rest, false),
    };
    loop {
        rest = match rest {
            [] => return is_negated,
            [b'%', class, ..] if in_class(byte, *class) => return !is_negated,
            [b'%', _, rest @ ..] => rest,
            // The manual leaves open what this means; here it ends the range, as in the original's Lua.
            [low, b'-', b'%', high, ..] if is_literal(*high) && (*low..=*high).contains(&byte) => {
                return !is_negated;
            }
            [_, b'-', b'%', _, rest @ ..] => rest,
            [low, b'-', high, ..] if (*low..=*high).contains(&byte) => return !is_negated,
            [_, b'-', _, rest @ ..] => rest,
            [one, ..] if *one == byte => return !is_negated,
            [_, rest @ ..] => rest,
        };
    }
}

/// Whether a byte is in `%a` and the like; a capital is everything else.
fn in_class(byte: u8, class: u8) -> bool {
    let is_in = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => byte.is_ascii_whitespace() || byte == 0x0b,
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    is_in != class.is_ascii_uppercase()
}

/// Whether `%` and this byte mean the byte itself.
fn is_literal(class: u8) -> bool {
    !matches!(
        class.to_ascii_lowercase(),
        b'a' | b'c' | b'd' | b'l' | b'p' | b's' | b'u' | b'w' | b'x' | b'z'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, pattern: &str) -> Option<String> {
        let matched =
            Matcher::new(text.as_bytes(), pattern.as_bytes(), &|| false).find(0).unwrap()?;
        let caught = matched.captures.iter().map(|capture| match *capture {
            Capture::Text { start, end } => text[start..end].to_owned(),
            Capture::Position(at) => at.to_string(),
        });
        let caught: Vec<String> = caught.collect();
        Some([vec![text[matched.range].to_owned()], caught].concat().join("|"))
    }

    fn error(pattern: &str) -> PatternError {
        Matcher::new(b"aaa", pattern.as_bytes(), &|| false).find(0).unwrap_err()
    }

    #[test]
    fn an_escape_ends_a_range_of_a_set() {
        for (text, expected) in [("#", Some("#")), ("%", Some("%")), ("&", None), ("]", None)] {
            assert_eq!(found(text, "[!-%%]").as_deref(), expected, "{text}");
        }
        // A fuzzer's find: the range is empty, and its end is no member by itself.
        assert_eq!(found("x]7\nc%]", "%f[(z-%%]"), None);
        // A class ends no range, so there is none.
        assert_eq!(found("5-d", "[0-%d]"), None);
    }

    #[test]
    fn items_classes_and_sets_fit() {
        for (text, pattern, expected) in [
            ("id=42;", "(%d+)", "42|42"),
            ("hello world", "o w", "o w"),
            ("key = value", "^(%w+)%s*=%s*(%w+)$", "key = value|key|value"),
            ("aXb", "%u", "X"),
            ("a-b", "[a%-]+", "a-"),
            ("x]y", "[]]", "]"),
            ("abc", "[^a]+", "bc"),
            ("2026-01-02", "(%d+)%-(%d+)", "2026-01|2026|01"),
            ("f(a(b)c)d", "%b()", "(a(b)c)"),
            ("THE (quick) fox", "%f[%a]%a+%f[%A]", "THE"),
            ("say \"hi\" now", "([\"'])(.-)%1", "\"hi\"|\"|hi"),
            ("abc", "b()", "b|3"),
            ("aaa", "a-b?$", "aaa"),
            ("<a><b>", "<(.-)>", "<a>|a"),
            ("<a><b>", "<(.*)>", "<a><b>|a><b"),
            ("abc", "", ""),
            ("a.b", "%.", "."),
            ("caf\u{e9}", "f..", "f\u{e9}"),
        ] {
            assert_eq!(found(text, pattern).as_deref(), Some(expected), "{pattern}");
        }
        for (text, pattern) in
            [("abc", "^b"), ("abc", "%d"), ("abc", "c."), ("(a", "%b()"), ("ab", "(a)%1")]
        {
            assert_eq!(found(text, pattern), None, "{pattern}");
        }
    }

    #[test]
    fn broken_patterns_are_named() {
        assert_eq!(error("%"), PatternError::EndsWithPercent);
        assert_eq!(error("[a"), PatternError::OpenSet);
        assert_eq!(error("[a%"), PatternError::OpenSet);
        assert_eq!(error("["), PatternError::OpenSet);
        assert_eq!(error("%b("), PatternError::NoBalance);
        assert_eq!(error("%f"), PatternError::NoFrontierSet);
        assert_eq!(error("%1"), PatternError::BadCapture);
        assert_eq!(error("%0"), PatternError::BadCapture);
        assert_eq!(error("a)"), PatternError::UnpairedParenthesis);
        assert_eq!(error("(a"), PatternError::OpenCapture);
        assert_eq!(error(&"(a?)".repeat(40)), PatternError::TooManyCaptures);
    }

    #[test]
    fn work_and_depth_are_bounded() {
        let text = "a".repeat(3_000);
        let deep = "a?".repeat(3_000);
        let mut matcher = Matcher::new(text.as_bytes(), deep.as_bytes(), &|| false);
        assert_eq!(matcher.find(0), Err(PatternError::TooComplex));
        let looks = std::cell::Cell::new(0);
        let must_stop = || {
            looks.set(looks.get() + 1);
            looks.get() > 100
        };
        let mut matcher = Matcher::new(text.as_bytes(), b".-.-.-.-.-b", &must_stop);
        assert_eq!(matcher.find(0), Err(PatternError::Stopped));
    }

    #[test]
    fn no_pattern_and_no_text_makes_it_panic() {
        let pieces = [
            "%", "[", "]", "^", "(", ")", "-", "*", "a", "b", ".", "$", "%b", "%f", "%1", "[^",
            "%d", "?",
        ];
        let mut state = 1u64;
        for _ in 0..20_000 {
            let mut pattern = String::new();
            let mut text = String::new();
            for _ in 0..(state % 9) {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                pattern.push_str(pieces[(state >> 33) as usize % pieces.len()]);
                text.push_str(["a", "b", "(", ")", "1"][(state >> 50) as usize % 5]);
            }
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let _ = Matcher::new(text.as_bytes(), pattern.as_bytes(), &|| false).find(0);
        }
    }
}
