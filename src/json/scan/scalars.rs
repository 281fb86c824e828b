//! Numbers and words, many at a time; numbers with an exponent one by one.

use super::classes::Classes;
use super::lanes::{BLOCK, ROW, Row};
use super::walk::Flood;

/// What precedes the next row.
pub(super) struct Scalars<R> {
    scalar: R,
    rare: R,
    digit: R,
    /// Minuses at the beginning.
    minus: R,
    /// Zeros at the beginning.
    zero: R,
    /// What a digit must follow.
    unfinished: R,
    fraction: Flood<R>,
    /// First letters of words.
    is_true: R,
    is_null: R,
    is_false: R,
}

/// First bytes, and those of one mask before.
struct Place<R> {
    first: R,
    pushed: R,
}

pub(super) struct Found<R> {
    pub wrong: R,
    /// First bytes of numbers and words.
    pub starts: R,
    /// What is right behind numbers and words.
    pub behind: R,
    /// A byte of each number that has to be looked at by itself.
    pub odd: R,
}

// === impl Scalars ===

impl<R: Row> Scalars<R> {
    #[inline(always)]
    pub fn new(none: R) -> Self {
        Self {
            scalar: none,
            rare: none,
            digit: none,
            minus: none,
            zero: none,
            unfinished: none,
            fraction: Flood::new(none),
            is_true: none,
            is_null: none,
            is_false: none,
        }
    }

    /// Checks numbers without exponent and words; finds the other numbers.
    #[inline(always)]
    pub fn row(&mut self, scalar: R, classes: &Classes<R>) -> Found<R> {
        let digit = scalar & classes.digit();
        let zero = scalar & classes.sign(b'0');
        let point = scalar & classes.sign(b'.');
        let minus = scalar & classes.sign(b'-');
        let before = scalar.next(self.scalar);
        let (starts, behind) = (scalar & !before, before & !scalar);
        let rare = scalar & !(digit | point | minus);
        let after_rare = rare.next(self.rare);
        let first_minus = minus & starts;
        let first_zero = zero & (starts | first_minus.next(self.minus));
        let unfinished = point | minus;
        // A minus elsewhere must be that of an exponent.
        let mut wrong = minus & !(starts | after_rare);
        wrong = wrong | unfinished.next(self.unfinished) & !digit;
        wrong = wrong | point & !digit.next(self.digit);
        wrong = wrong | first_zero.next(self.zero) & digit;
        // No second point behind the digits behind a point.
        wrong = wrong | self.fraction.behind(point, digit) & point;
        wrong = wrong | self.words(scalar, rare & starts, classes);
        self.scalar = scalar;
        self.rare = rare;
        self.digit = digit;
        self.minus = first_minus;
        self.zero = first_zero;
        self.unfinished = unfinished;
        Found { wrong, starts, behind, odd: rare & !(starts | after_rare) }
    }

    /// What is wrong with words, given their first bytes.
    #[inline(always)]
    fn words(&mut self, scalar: R, first: R, classes: &Classes<R>) -> R {
        let letter = |letter| classes.letter(letter);
        let is_true = Place::new(first & letter(b't'), &mut self.is_true);
        let is_null = Place::new(first & letter(b'n'), &mut self.is_null);
        let is_false = Place::new(first & letter(b'f'), &mut self.is_false);
        let mut wrong = first & !(is_true.first | is_null.first | is_false.first);
        wrong = wrong | is_true.up::<1>() & !letter(b'r');
        wrong = wrong | (is_true.up::<2>() | is_null.up::<1>()) & !letter(b'u');
        wrong = wrong | (is_true.up::<3>() | is_false.up::<4>()) & !letter(b'e');
        let is_l = is_null.up::<2>() | is_null.up::<3>() | is_false.up::<2>();
        wrong = wrong | is_l & !letter(b'l');
        wrong = wrong | is_false.up::<1>() & !letter(b'a');
        wrong = wrong | is_false.up::<3>() & !letter(b's');
        wrong | (is_true.up::<4>() | is_null.up::<4>() | is_false.up::<5>()) & scalar
    }
}

// === impl Place ===

impl<R: Row> Place<R> {
    #[inline(always)]
    fn new(first: R, before: &mut R) -> Self {
        let pushed = first.pushed(*before);
        *before = first;
        Self { first, pushed }
    }

    /// So many places behind the first bytes.
    #[inline(always)]
    fn up<const PLACES: u32>(&self) -> R {
        self.first.up::<PLACES>(self.pushed)
    }
}

/// Whether the numbers that the marked bytes lie within are well-formed beyond these bytes.
#[inline(never)]
pub(super) fn are_numbers(body: &[u8], at: usize, marks: &[u64; ROW]) -> Option<()> {
    for (i, &marks) in marks.iter().enumerate() {
        let mut marks = marks;
        while marks != 0 {
            let mark = at + i * BLOCK + marks.trailing_zeros() as usize;
            marks &= marks - 1;
            let head = body.get(..mark)?;
            let before = head.iter().rposition(|&byte| !is_of_number(byte));
            let end = number(body, before.map_or(0, |before| before + 1))?;
            if end <= mark || !is_end(byte(body, end)) {
                return None;
            }
        }
    }
    Some(())
}

fn byte(body: &[u8], at: usize) -> u8 {
    body.get(at).copied().unwrap_or(0)
}

/// What may follow a word or number.
#[inline(always)]
fn is_end(byte: u8) -> bool {
    const ENDS: u64 = 1 << b' ' | 1 << b'\t' | 1 << b'\n' | 1 << b'\r' | 1 << b',';
    byte < 64 && ENDS >> (byte & 63) & 1 == 1 || byte | 0x20 == b'}'
}

fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')
}

/// Where a well-formed number ends.
fn number(body: &[u8], start: usize) -> Option<usize> {
    let integer = start + usize::from(byte(body, start) == b'-');
    let mut at = digits(body, integer)?;
    if at > integer + 1 && byte(body, integer) == b'0' {
        return None;
    }
    if byte(body, at) == b'.' {
        at = digits(body, at + 1)?;
    }
    if byte(body, at) | 0x20 == b'e' {
        at = digits(body, at + 1 + usize::from(matches!(byte(body, at + 1), b'+' | b'-')))?;
    }
    Some(at)
}

/// Where digits end, if there are any.
fn digits(body: &[u8], start: usize) -> Option<usize> {
    let rest = body.get(start..)?;
    let count = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    (count > 0).then_some(start + count)
}
