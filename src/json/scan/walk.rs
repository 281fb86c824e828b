//! The fast walk: checks the grammar from token to token, without looking at what lies between.
//!
//! It only ever says "fine" or "in doubt" (`None`): wrong bodies, scalars by themselves and very deep nesting are left
//! to the exact walk.

use super::tokens::Tokens;
use super::{Kind, Recorder, Scanned, is_blank};

/// Up to here one word holds the kinds of all open containers.
const DEPTH_MAX: u32 = 64;

struct Walk<'b, 'r, 'm> {
    body: &'b [u8],
    tokens: Tokens<'b>,
    /// Which of the tokens at hand comes next.
    cursor: usize,
    recorder: &'r mut Recorder<'m>,
    /// The outermost object's latest member: its opening quote, its colon, its value.
    member: (usize, usize, usize),
}

/// Why a container's tokens are left.
enum Step {
    /// One inside of it begins.
    OpenObject,
    OpenArray,
    /// It is over; with the position behind it.
    Close(usize),
}

/// See [`super::scan`].
pub(super) fn scan(body: &[u8], start: usize, recorder: &mut Recorder<'_>) -> Option<Scanned> {
    let start = start + body.get(start..)?.iter().position(|&byte| !is_blank(byte))?;
    let kind = match body.get(start)? {
        b'{' => Kind::Object,
        b'[' => Kind::Array,
        _ => return None,
    };
    let mut walk =
        Walk { body, tokens: Tokens::new(body, start)?, cursor: 1, recorder, member: (0, 0, 0) };
    walk.tokens.ahead(&mut 0)?;
    let end = walk.run(kind == Kind::Object)?;
    let has_surrogates = walk.tokens.has_surrogates();
    Some(Scanned { kind, start, end, has_wide: walk.tokens.has_wide(), has_surrogates })
}

// === impl Walk ===

impl Walk<'_, '_, '_> {
    /// From behind the opening bracket to behind the closing one.
    fn run(&mut self, is_object: bool) -> Option<usize> {
        // Open containers, the innermost in the lowest bit: 1 for an object.
        let mut containers = u64::from(is_object);
        let mut depth = 1;
        // Whether a value has just ended in the innermost container.
        let mut is_after = false;
        loop {
            let step = match (containers & 1 == 1, depth) {
                (true, 1) => self.members::<true>(is_after)?,
                (true, _) => self.members::<false>(is_after)?,
                (false, _) => self.elements(is_after)?,
            };
            is_after = matches!(step, Step::Close(_));
            if let Step::Close(end) = step {
                containers >>= 1;
                depth -= 1;
                if depth == 0 {
                    return Some(end);
                }
                continue;
            }
            containers = containers << 1 | u64::from(matches!(step, Step::OpenObject));
            depth += 1;
            if depth > DEPTH_MAX {
                return None;
            }
        }
    }

    /// Members of an object, until something opens or closes.
    fn members<const IS_OUTERMOST: bool>(&mut self, is_after: bool) -> Option<Step> {
        let (body, mut cursor) = (self.body, self.cursor);
        let [first, ..] = self.tokens.ahead(&mut cursor)?;
        if is_after {
            cursor += 1;
            if self.after_member::<IS_OUTERMOST>(first)? == b'}' {
                return self.close(cursor, first);
            }
        } else if byte(body, first) == b'}' {
            return self.close(cursor + 1, first);
        }
        loop {
            let [key, colon, value, next] = self.tokens.ahead(&mut cursor)?;
            if byte(body, key) != b'"' || byte(body, colon) != b':' {
                return None;
            }
            if IS_OUTERMOST {
                self.member = (key, colon, value);
            }
            match byte(body, value) {
                b'"' => {}
                b'{' => return self.open(cursor + 3, Step::OpenObject),
                b'[' => return self.open(cursor + 3, Step::OpenArray),
                _ => scalar(body, value)?,
            }
            cursor += 4;
            if self.after_member::<IS_OUTERMOST>(next)? == b'}' {
                return self.close(cursor, next);
            }
        }
    }

    /// Elements of a list, until something opens or closes.
    fn elements(&mut self, is_after: bool) -> Option<Step> {
        let (body, mut cursor) = (self.body, self.cursor);
        let [first, ..] = self.tokens.ahead(&mut cursor)?;
        if is_after {
            cursor += 1;
            if after_element(body, first)? == b']' {
                return self.close(cursor, first);
            }
        } else if byte(body, first) == b']' {
            return self.close(cursor + 1, first);
        }
        loop {
            let [value, next, ..] = self.tokens.ahead(&mut cursor)?;
            match byte(body, value) {
                b'"' => {}
                b'{' => return self.open(cursor + 1, Step::OpenObject),
                b'[' => return self.open(cursor + 1, Step::OpenArray),
                _ => scalar(body, value)?,
            }
            cursor += 2;
            if after_element(body, next)? == b']' {
                return self.close(cursor, next);
            }
        }
    }

    #[inline(always)]
    fn open(&mut self, cursor: usize, step: Step) -> Option<Step> {
        self.cursor = cursor;
        Some(step)
    }

    #[inline(always)]
    fn close(&mut self, cursor: usize, at: usize) -> Option<Step> {
        self.cursor = cursor;
        Some(Step::Close(at + 1))
    }

    /// The comma or bracket behind a member.
    #[inline(always)]
    fn after_member<const IS_OUTERMOST: bool>(&mut self, at: usize) -> Option<u8> {
        let byte = byte(self.body, at);
        if byte != b',' && byte != b'}' {
            return None;
        }
        if IS_OUTERMOST {
            let (key, colon, value) = self.member;
            let key = (key, self.without_blanks(colon));
            let value = (value, self.without_blanks(at));
            self.recorder.push(self.body, key, value, self.tokens.has_backslashes());
        }
        Some(byte)
    }

    /// Where the token before `end` ends.
    fn without_blanks(&self, mut end: usize) -> usize {
        while end > 0 && is_blank(byte(self.body, end - 1)) {
            end -= 1;
        }
        end
    }
}

#[inline(always)]
fn byte(body: &[u8], at: usize) -> u8 {
    body.get(at).copied().unwrap_or(0)
}

/// The comma or bracket behind an element.
#[inline(always)]
fn after_element(body: &[u8], at: usize) -> Option<u8> {
    let byte = byte(body, at);
    (byte == b',' || byte == b']').then_some(byte)
}

/// Checks a number or word. A function by itself, so that the loops above keep their registers.
#[inline(never)]
fn scalar(body: &[u8], at: usize) -> Option<()> {
    let end = match byte(body, at) {
        b'-' | b'0'..=b'9' if is_plain_number(body, at) => return Some(()),
        b'-' | b'0'..=b'9' => number(body, at)?,
        _ => word(body, at)?,
    };
    ENDS[usize::from(byte(body, end))].then_some(())
}

/// Whether a well-formed number without an exponent stands here, with up to seven digits before and behind the point.
/// That is most numbers; the others are in doubt. One bounds check pays for all: each index is below 32 by its mask.
#[inline(always)]
fn is_plain_number(body: &[u8], at: usize) -> bool {
    let Some(text) = body.get(at..).and_then(<[u8]>::first_chunk::<32>) else { return false };
    let count_from = |at: usize| match text[at & 15..].first_chunk() {
        Some(word) => leading_digits(u64::from_le_bytes(*word)) as usize,
        None => 0,
    };
    let integer = usize::from(text[0] == b'-');
    let count = count_from(integer);
    let mut end = integer + count;
    if count == 0 || count == 8 || count > 1 && text[integer] == b'0' {
        return false;
    }
    if text[end & 15] == b'.' {
        let count = count_from(end + 1);
        if count == 0 || count == 8 {
            return false;
        }
        end += 1 + count;
    }
    ENDS[usize::from(text[end & 31])]
}

/// Where a well-formed number ends.
fn number(body: &[u8], start: usize) -> Option<usize> {
    let integer = start + usize::from(byte(body, start) == b'-');
    let mut at = integer + digits(body, integer)?;
    if at > integer + 1 && byte(body, integer) == b'0' {
        return None;
    }
    if byte(body, at) == b'.' {
        at += 1 + digits(body, at + 1)?;
    }
    if byte(body, at) | 0x20 == b'e' {
        at += 1 + usize::from(matches!(byte(body, at + 1), b'+' | b'-'));
        at += digits(body, at)?;
    }
    Some(at)
}

/// How many of eight bytes, from the first on, are digits.
#[inline(always)]
fn leading_digits(word: u64) -> u32 {
    // Digits become 0 to 9; adding then reaches the top bit of everything else. A carry only spoils what follows the
    // first such byte.
    let digits = word ^ 0x3030_3030_3030_3030;
    let others = (digits.wrapping_add(0x7676_7676_7676_7676) | digits) & 0x8080_8080_8080_8080;
    others.trailing_zeros() / 8
}

/// How many digits there are, if any.
#[inline(always)]
fn digits(body: &[u8], at: usize) -> Option<usize> {
    match body
        .get(at..)
        .and_then(<[u8]>::first_chunk)
        .map(|word| leading_digits(u64::from_le_bytes(*word)))
    {
        Some(count @ 1..=7) => Some(count as usize),
        Some(0) => None,
        _ => many_digits(body, at),
    }
}

/// More than seven digits, or some near the end of the body.
#[cold]
fn many_digits(body: &[u8], at: usize) -> Option<usize> {
    let rest = body.get(at..)?;
    let count = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    (count > 0).then_some(count)
}

#[inline(always)]
fn word(body: &[u8], at: usize) -> Option<usize> {
    match body.get(at..)?.first_chunk()? {
        b"true" | b"null" => Some(at + 4),
        b"fals" if byte(body, at + 4) == b'e' => Some(at + 5),
        _ => None,
    }
}

/// What may follow a number or word.
static ENDS: [bool; 256] = {
    let mut ends = [false; 256];
    let mut i = 0;
    while i < b" \t\n\r,]}".len() {
        ends[b" \t\n\r,]}"[i] as usize] = true;
        i += 1;
    }
    ends
};
