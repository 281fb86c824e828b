//! Regular expressions as Go reads them (RE2), for the `regex` crate.
//!
//! The two are close. Where they part, this translation decides as Go does: classes like `\d` are ASCII, braces that
//! repeat nothing are braces, `\Q…\E` quotes, classes do not nest, and what Go refuses is refused.

use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

use regex::Regex;

/// Go's limit of a repetition.
const REPEAT_MAX: u32 = 1000;

/// Why a pattern is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GoRegexError {
    /// `\8`, `\k`, `\u0041`: an escape that Go does not know.
    Escape(String),
    /// `a**`
    RepeatedRepeat,
    /// `a{1001}`, `a{2,1}`
    RepeatSize,
    /// `(?=a)`, `(?x)`: a group that Go does not know.
    Group,
    /// `[a`
    OpenClass,
    /// `[[:name:]]`
    Class(String),
    /// What the `regex` crate says.
    Syntax(String),
}

impl fmt::Display for GoRegexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GoRegexError::Escape(escape) => write!(f, "invalid escape sequence {escape}"),
            GoRegexError::RepeatedRepeat => f.write_str("invalid nested repetition operator"),
            GoRegexError::RepeatSize => {
                write!(f, "invalid repeat count: {REPEAT_MAX} is the most")
            }
            GoRegexError::Group => f.write_str("invalid or unsupported Perl syntax"),
            GoRegexError::Class(name) => write!(f, "invalid character class range {name}"),
            GoRegexError::OpenClass => f.write_str("missing closing ]"),
            GoRegexError::Syntax(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for GoRegexError {}

/// Compiles a pattern in Go's syntax.
///
/// # Errors
/// [`GoRegexError`]: Go would not take the pattern either, or it grows beyond what the `regex` crate allows.
pub fn go_regex(pattern: &str) -> Result<Regex, GoRegexError> {
    let translated = translate(pattern)?;
    Regex::new(&translated).map_err(|error| {
        let text = error.to_string();
        let last = text.lines().rev().find_map(|line| line.strip_prefix("error: "));
        GoRegexError::Syntax(last.unwrap_or(&text).to_owned())
    })
}

/// The same pattern in the syntax of the `regex` crate.
///
/// # Errors
/// What Go refuses and the crate would take.
pub fn translate(pattern: &str) -> Result<String, GoRegexError> {
    let mut reader = Reader {
        rest: pattern.chars().peekable(),
        out: String::with_capacity(pattern.len() + 16),
        repeated: false,
    };
    while let Some(letter) = reader.rest.next() {
        reader.item(letter)?;
    }
    Ok(reader.out)
}

struct Reader<'p> {
    rest: Peekable<Chars<'p>>,
    out: String,
    /// The last thing written was a repetition.
    repeated: bool,
}

impl Reader<'_> {
    fn item(&mut self, letter: char) -> Result<(), GoRegexError> {
        let was_repeated = std::mem::take(&mut self.repeated);
        match letter {
            '*' | '+' | '?' => self.repeat(&letter.to_string(), was_repeated),
            '{' => match self.counts()? {
                Some(counts) => self.repeat(&counts, was_repeated),
                None => {
                    self.out.push_str("\\{");
                    Ok(())
                }
            },
            '}' => {
                self.out.push_str("\\}");
                Ok(())
            }
            '\\' => self.escape(),
            '[' => self.class(),
            '(' => self.group(),
            other => {
                self.out.push(other);
                Ok(())
            }
        }
    }

    fn repeat(&mut self, operator: &str, was_repeated: bool) -> Result<(), GoRegexError> {
        if was_repeated {
            return Err(GoRegexError::RepeatedRepeat);
        }
        self.out.push_str(operator);
        if self.rest.next_if_eq(&'?').is_some() {
            self.out.push('?');
        }
        self.repeated = true;
        Ok(())
    }

    /// `{2}`, `{2,}` or `{2,3}` behind the brace that has been read; anything else is text.
    fn counts(&mut self) -> Result<Option<String>, GoRegexError> {
        let inner: String = self.rest.clone().take_while(|letter| *letter != '}').collect();
        let closes = self.rest.clone().nth(inner.chars().count()) == Some('}');
        let (least, most) = inner.split_once(',').map_or((&*inner, None), |(a, b)| (a, Some(b)));
        let is_count = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_digit())
                && (text == "0" || !text.starts_with('0'))
        };
        if !closes || !is_count(least) || most.is_some_and(|m| !m.is_empty() && !is_count(m)) {
            return Ok(None);
        }
        let count = |text: &str| match text.parse::<u32>() {
            Ok(count) if count <= REPEAT_MAX => Ok(count),
            _ => Err(GoRegexError::RepeatSize),
        };
        let least_count = count(least)?;
        if let Some(most) = most.filter(|most| !most.is_empty())
            && count(most)? < least_count
        {
            return Err(GoRegexError::RepeatSize);
        }
        for _ in 0..=inner.chars().count() {
            self.rest.next();
        }
        Ok(Some(format!("{{{inner}}}")))
    }

    /// A group's opening; the crate knows kinds and flags that Go does not.
    fn group(&mut self) -> Result<(), GoRegexError> {
        self.out.push('(');
        if self.rest.next_if_eq(&'?').is_none() {
            return Ok(());
        }
        self.out.push('?');
        if let Some(letter) = self.rest.next_if(|letter| matches!(letter, 'P' | '<')) {
            self.out.push(letter);
            if letter == 'P' && self.rest.next_if_eq(&'<').is_some() {
                self.out.push('<');
            }
            return match self.rest.peek() {
                Some(letter) if letter.is_ascii_alphanumeric() || *letter == '_' => Ok(()),
                _ => Err(GoRegexError::Group),
            };
        }
        for letter in self.rest.by_ref() {
            self.out.push(letter);
            match letter {
                ':' | ')' => return Ok(()),
                'i' | 'm' | 's' | 'U' | '-' => {}
                _ => break,
            }
        }
        Err(GoRegexError::Group)
    }

    fn escape(&mut self) -> Result<(), GoRegexError> {
        let Some(letter) = self.rest.next() else { return Err(GoRegexError::Escape("\\".into())) };
        match letter {
            'Q' => {
                self.quoted();
                return Ok(());
            }
            'b' | 'B' => {
                self.out.push_str(if letter == 'b' { "(?-u:\\b)" } else { "(?-u:\\B)" });
                return Ok(());
            }
            'A' | 'z' => {
                self.out.push('\\');
                self.out.push(letter);
                return Ok(());
            }
            _ => {}
        }
        if let Some(class) = perl_class(letter) {
            self.out.push_str(class);
            return Ok(());
        }
        self.escaped_letter(letter)
    }

    /// `\Q` up to `\E`, or to the end.
    fn quoted(&mut self) {
        let mut text = String::new();
        while let Some(letter) = self.rest.next() {
            if letter == '\\' && self.rest.peek() == Some(&'E') {
                self.rest.next();
                break;
            }
            text.push(letter);
        }
        self.out.push_str(&regex::escape(&text));
    }

    /// An escape that stands for one letter, or for a class of Unicode: the same inside and outside of `[…]`.
    fn escaped_letter(&mut self, letter: char) -> Result<(), GoRegexError> {
        match letter {
            'a' | 'f' | 't' | 'n' | 'r' | 'v' => {
                self.out.push('\\');
                self.out.push(letter);
            }
            'x' => {
                self.out.push_str("\\x");
            }
            'p' | 'P' => self.unicode_class(letter),
            '0'..='7' => return self.octal(letter),
            _ if letter.is_ascii() && !letter.is_ascii_alphanumeric() => self.literal(letter),
            _ => return Err(GoRegexError::Escape(format!("\\{letter}"))),
        }
        Ok(())
    }

    /// `\pN`, `\p{Greek}`, `\p{^Greek}`.
    fn unicode_class(&mut self, letter: char) {
        let is_negated = letter == 'P';
        let Some('{') = self.rest.peek() else {
            self.out.push('\\');
            self.out.push(letter);
            self.out.extend(self.rest.next());
            return;
        };
        self.rest.next();
        let is_negated = is_negated != self.rest.next_if_eq(&'^').is_some();
        self.out.push_str(if is_negated { "\\P{" } else { "\\p{" });
        for letter in self.rest.by_ref() {
            self.out.push(letter);
            if letter == '}' {
                break;
            }
        }
    }

    /// Up to three digits; one alone would be a reference back.
    fn octal(&mut self, first: char) -> Result<(), GoRegexError> {
        let mut digits = first.to_string();
        while digits.len() < 3
            && let Some(digit) = self.rest.next_if(|digit| matches!(digit, '0'..='7'))
        {
            digits.push(digit);
        }
        if digits.len() == 1 && first != '0' {
            return Err(GoRegexError::Escape(format!("\\{first}")));
        }
        let code = u32::from_str_radix(&digits, 8).unwrap_or_default();
        self.out.push_str(&format!("\\x{{{code:x}}}"));
        Ok(())
    }

    /// A letter that means itself, wherever it stands.
    fn literal(&mut self, letter: char) {
        if letter.is_ascii() && !letter.is_ascii_alphanumeric() && !letter.is_ascii_whitespace() {
            self.out.push_str(&format!("\\x{:02x}", u32::from(letter)));
        } else {
            self.out.push(letter);
        }
    }

    /// `[…]`: the crate's classes nest and know operators, so every sign is written by its number.
    fn class(&mut self) -> Result<(), GoRegexError> {
        self.out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        let mut is_first = true;
        loop {
            let letter = self.rest.next().ok_or(GoRegexError::OpenClass)?;
            match letter {
                ']' if !is_first => break,
                '[' if self.rest.peek() == Some(&':') => self.posix_class()?,
                '\\' => {
                    let letter = self.rest.next().ok_or(GoRegexError::OpenClass)?;
                    match perl_class(letter) {
                        Some(class) => self.out.push_str(class),
                        None => self.escaped_letter(letter)?,
                    }
                }
                // Between two ends it makes a range, elsewhere it is itself.
                '-' if !is_first && !matches!(self.rest.peek(), Some(']') | None) => {
                    self.out.push('-');
                    if let Some(end) = self.rest.next_if(|end| matches!(end, '-' | '[')) {
                        self.literal(end);
                    }
                }
                other => self.literal(other),
            }
            is_first = false;
        }
        self.out.push(']');
        Ok(())
    }

    /// `[:alpha:]` behind its first bracket; where the end is missing, the bracket is a letter.
    fn posix_class(&mut self) -> Result<(), GoRegexError> {
        let rest: String = self.rest.clone().collect();
        let Some((name, _)) = rest[1..].split_once(":]") else {
            self.literal('[');
            return Ok(());
        };
        if !POSIX_CLASSES.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return Err(GoRegexError::Class(format!("[:{name}:]")));
        }
        self.out.push_str(&format!("[:{name}:]"));
        for _ in 0..name.len() + ":".len() + ":]".len() {
            self.rest.next();
        }
        Ok(())
    }
}

const POSIX_CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// Go's classes are those of ASCII.
fn perl_class(letter: char) -> Option<&'static str> {
    Some(match letter {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        's' => "[\\t\\n\\x0c\\r ]",
        'S' => "[^\\t\\n\\x0c\\r ]",
        'w' => "[0-9A-Za-z_]",
        'W' => "[^0-9A-Za-z_]",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn fits(pattern: &str, yes: &[&str], no: &[&str]) {
        let regex = go_regex(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        for text in yes {
            assert!(regex.is_match(text), "{pattern} does not fit {text:?}");
        }
        for text in no {
            assert!(!regex.is_match(text), "{pattern} fits {text:?}");
        }
    }

    #[test]
    fn what_both_understand_stays() {
        fits("(?i)crawler", &["My CRAWLER"], &["My bot"]);
        fits("^(a|b)+?c$", &["abac"], &["abacd", "c\n"]);
        fits(r"(.*\.)?shop\.test", &["eu.shop.test"], &["shopXtest"]);
        fits("(?P<n>a)(?<m>b)(?:c)(?s-i:.)", &["abc\n"], &["abc"]);
        fits(r"a{2}b{1,}c{1,2}", &["aabbc"], &["abc"]);
        fits(r"\pL\p{Greek}\PL\P{L}", &["aα11"], &["1α11"]);
        fits("", &["", "a"], &[]);
    }

    #[test]
    fn perl_classes_are_ascii() {
        fits(r"^\d\w\s$", &["1a "], &["\u{661}a ", "1é ", "1a\u{b}"]);
        fits(r"^[\d\s]+$", &["1 2"], &["a"]);
        fits(r"^[^\D]+$", &["12"], &["1a"]);
        fits(r"^[\W]$", &["é", "-"], &["a"]);
        fits(r"\bé", &["aé"], &["é"]);
    }

    #[test]
    fn braces_that_repeat_nothing_are_braces() {
        fits("a{", &["a{"], &["a"]);
        fits("^a{,2}$", &["a{,2}"], &["aa", ""]);
        fits("^{x}$", &["{x}"], &[]);
        fits("^a{01}$", &["a{01}"], &["a"]);
        fits("}", &["}"], &[]);
    }

    #[test]
    fn classes_neither_nest_nor_compute() {
        fits("^[[a]$", &["[", "a"], &["b", "[a"]);
        fits("^[a&&b]+$", &["&a"], &["c"]);
        fits("^[a~~b]+$", &["~b"], &["c"]);
        fits("^[+--]+$", &["+,-"], &["."]);
        fits("^[]a]+$", &["]a"], &["b"]);
        fits("^[^]a]+$", &["b"], &["]"]);
        fits("^[a-]+$", &["-a"], &["b"]);
        fits("^[-a]+$", &["-a"], &["b"]);
        fits("^[[:a]+$", &["[:a"], &["b"]);
        fits("^[[:alpha:][:^digit:]]+$", &["a-"], &["1"]);
        fits(r"^[\]\-\\x]+$", &["]-\\x"], &["a"]);
        fits("^[#-&]+$", &["#$%&"], &["'"]);
        fits("^[é-ü]+$", &["é"], &["a"]);
    }

    #[test]
    fn escapes_are_those_of_go() {
        fits(r"^\Qa.b*\E+$", &["a.b**"], &["aXb*"]);
        fits(r"^\Qa.b", &["a.b"], &["axb"]);
        fits(r"^\<\>\/\_\@$", &["<>/_@"], &["a"]);
        fits(r"^\101\x42\x{43}\060$", &["ABC0"], &[]);
        fits(r"^\a\f\t\n\r\v$", &["\u{7}\u{c}\t\n\r\u{b}"], &[]);
        fits(r"\Aa\z", &["a"], &["a\n"]);
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for pattern in [
            "(unclosed",
            "a**",
            "a*+",
            "a??*",
            "a{2}{3}",
            "a{1001}",
            "a{2,1}",
            "*a",
            "(?=a)",
            "(?!a)",
            "(?<=a)",
            "(?x)a",
            "(?u)a",
            "(?P=n)",
            r"\1",
            r"\8",
            r"\u0041",
            r"\k",
            r"\Z",
            "[a",
            r"a\",
            "[b-a]",
            ")",
            r"\pX",
            "[[:nope:]]",
            "(?P<>a)",
        ] {
            assert!(go_regex(pattern).is_err(), "{pattern}");
        }
    }
}
