//! Moments in the layouts of Go's `time` package: `2006/01/02 - 15:04:05.000`.

use std::io::Write;

use chrono::{Datelike, Offset, Timelike};

use super::LocalTime;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// From Monday on, as chrono counts.
const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// A layout, taken apart once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoLayout(Vec<Token>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Text(String),
    Name(Name),
    Number(Unit, Pad),
    /// `.000` and `,999`: the separator, digits, and whether zeros at the end are left out.
    Fraction(char, usize, bool),
    Zone(Zone),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Month,
    MonthShort,
    Day,
    DayShort,
    Noon,
    NoonLower,
    Zone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Year,
    YearOfCentury,
    Month,
    Day,
    DayOfYear,
    Hour,
    HourOfHalf,
    Minute,
    Second,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pad {
    No,
    Zeros(usize),
    Blanks(usize),
}

/// An offset from UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Zone {
    /// `Z` in place of an offset of zero.
    z_for_zero: bool,
    has_colons: bool,
    has_minutes: bool,
    has_seconds: bool,
}

/// What stands for what, a longer text before its own beginning.
const TABLE: &[(&str, Token)] = &[
    ("January", Token::Name(Name::Month)),
    ("Jan", Token::Name(Name::MonthShort)),
    ("Monday", Token::Name(Name::Day)),
    ("Mon", Token::Name(Name::DayShort)),
    ("MST", Token::Name(Name::Zone)),
    ("PM", Token::Name(Name::Noon)),
    ("pm", Token::Name(Name::NoonLower)),
    ("2006", Token::Number(Unit::Year, Pad::Zeros(4))),
    ("002", Token::Number(Unit::DayOfYear, Pad::Zeros(3))),
    ("__2", Token::Number(Unit::DayOfYear, Pad::Blanks(3))),
    ("_2", Token::Number(Unit::Day, Pad::Blanks(2))),
    ("01", Token::Number(Unit::Month, Pad::Zeros(2))),
    ("02", Token::Number(Unit::Day, Pad::Zeros(2))),
    ("03", Token::Number(Unit::HourOfHalf, Pad::Zeros(2))),
    ("04", Token::Number(Unit::Minute, Pad::Zeros(2))),
    ("05", Token::Number(Unit::Second, Pad::Zeros(2))),
    ("06", Token::Number(Unit::YearOfCentury, Pad::Zeros(2))),
    ("15", Token::Number(Unit::Hour, Pad::Zeros(2))),
    ("1", Token::Number(Unit::Month, Pad::No)),
    ("2", Token::Number(Unit::Day, Pad::No)),
    ("3", Token::Number(Unit::HourOfHalf, Pad::No)),
    ("4", Token::Number(Unit::Minute, Pad::No)),
    ("5", Token::Number(Unit::Second, Pad::No)),
    ("-07:00:00", zone("-", true, true, true)),
    ("-070000", zone("-", false, true, true)),
    ("-07:00", zone("-", true, true, false)),
    ("-0700", zone("-", false, true, false)),
    ("-07", zone("-", false, false, false)),
    ("Z07:00:00", zone("Z", true, true, true)),
    ("Z070000", zone("Z", false, true, true)),
    ("Z07:00", zone("Z", true, true, false)),
    ("Z0700", zone("Z", false, true, false)),
    ("Z07", zone("Z", false, false, false)),
];

const fn zone(sign: &str, has_colons: bool, has_minutes: bool, has_seconds: bool) -> Token {
    let z_for_zero = matches!(sign.as_bytes(), [b'Z']);
    Token::Zone(Zone { z_for_zero, has_colons, has_minutes, has_seconds })
}

// === impl GoLayout ===

impl GoLayout {
    pub fn parse(layout: &str) -> GoLayout {
        let mut tokens = Vec::new();
        let mut text = String::new();
        let mut rest = layout;
        while let Some(first) = rest.chars().next() {
            let Some((token, len)) = next_token(rest) else {
                text.push(first);
                rest = &rest[first.len_utf8()..];
                continue;
            };
            if !text.is_empty() {
                tokens.push(Token::Text(std::mem::take(&mut text)));
            }
            tokens.push(token);
            rest = &rest[len..];
        }
        if !text.is_empty() {
            tokens.push(Token::Text(text));
        }
        GoLayout(tokens)
    }

    /// Appends the moment in this layout.
    pub fn append(&self, local: &LocalTime, out: &mut Vec<u8>) {
        for token in &self.0 {
            match token {
                Token::Text(text) => out.extend_from_slice(text.as_bytes()),
                Token::Name(name) => append_name(*name, local, out),
                Token::Number(unit, pad) => append_number(unit.of(local), *pad, out),
                Token::Fraction(separator, digits, is_trimmed) => {
                    append_fraction(local.nanos, *separator, *digits, *is_trimmed, out);
                }
                Token::Zone(zone) => zone.append(offset_s(local), out),
            }
        }
    }
}

/// What the text begins with, if that stands for something, and how long it is.
fn next_token(text: &str) -> Option<(Token, usize)> {
    if let Some(fraction) = fraction(text) {
        return Some(fraction);
    }
    let (name, token) = TABLE.iter().find(|(name, _)| text.starts_with(name))?;
    // The name of a month is not the beginning of another word, and `_2006` is no day.
    match *name {
        "Jan" | "Mon" if text[3..].starts_with(|next: char| next.is_ascii_lowercase()) => None,
        "_2" if text.starts_with("_2006") => None,
        _ => Some((token.clone(), name.len())),
    }
}

/// `.000`, `.999`, with a comma as well: a row of equal digits that no other digit follows.
fn fraction(text: &str) -> Option<(Token, usize)> {
    let separator = text.chars().next().filter(|first| matches!(first, '.' | ','))?;
    let digit = text[1..].chars().next().filter(|digit| matches!(digit, '0' | '9'))?;
    let digits = text[1..].chars().take_while(|next| *next == digit).count();
    let is_whole = !text[1 + digits..].starts_with(|next: char| next.is_ascii_digit());
    is_whole.then_some((Token::Fraction(separator, digits, digit == '9'), 1 + digits))
}

fn append_name(name: Name, local: &LocalTime, out: &mut Vec<u8>) {
    let second = &local.second;
    let month = MONTHS[second.month0() as usize % 12];
    let day = DAYS[second.weekday().num_days_from_monday() as usize % 7];
    let is_morning = second.hour() < 12;
    let text = match name {
        Name::Month => month,
        Name::MonthShort => &month[..3],
        Name::Day => day,
        Name::DayShort => &day[..3],
        Name::Noon if is_morning => "AM",
        Name::Noon => "PM",
        Name::NoonLower if is_morning => "am",
        Name::NoonLower => "pm",
        Name::Zone if offset_s(local) == 0 => "UTC",
        Name::Zone => {
            // The zone's own abbreviation is not known here; Go prints the offset then, too.
            let has_minutes = offset_s(local) % 3600 != 0;
            return Zone { z_for_zero: false, has_colons: false, has_minutes, has_seconds: false }
                .append(offset_s(local), out);
        }
    };
    out.extend_from_slice(text.as_bytes());
}

fn append_number(number: u32, pad: Pad, out: &mut Vec<u8>) {
    // Writing to a vector cannot fail.
    let _ = match pad {
        Pad::No => write!(out, "{number}"),
        Pad::Zeros(width) => write!(out, "{number:0width$}"),
        Pad::Blanks(width) => write!(out, "{number:width$}"),
    };
}

fn append_fraction(
    nanos: u32,
    separator: char,
    digits: usize,
    is_trimmed: bool,
    out: &mut Vec<u8>,
) {
    let mut text = format!("{nanos:09}");
    // More digits than nanoseconds have are zeros.
    text.extend(std::iter::repeat_n('0', digits.saturating_sub(9)));
    text.truncate(digits);
    let shown = if is_trimmed { text.trim_end_matches('0') } else { &text };
    if !shown.is_empty() {
        let _ = write!(out, "{separator}{shown}");
    }
}

fn offset_s(local: &LocalTime) -> i32 {
    local.second.offset().fix().local_minus_utc()
}

// === impl Unit, Zone ===

impl Unit {
    fn of(self, local: &LocalTime) -> u32 {
        let second = &local.second;
        let year = second.year().unsigned_abs();
        match self {
            Unit::Year => year,
            Unit::YearOfCentury => year % 100,
            Unit::Month => second.month(),
            Unit::Day => second.day(),
            Unit::DayOfYear => second.ordinal(),
            Unit::Hour => second.hour(),
            Unit::HourOfHalf => second.hour12().1,
            Unit::Minute => second.minute(),
            Unit::Second => second.second(),
        }
    }
}

impl Zone {
    fn append(self, offset_s: i32, out: &mut Vec<u8>) {
        if self.z_for_zero && offset_s == 0 {
            return out.push(b'Z');
        }
        let sign = if offset_s < 0 { '-' } else { '+' };
        let all = offset_s.unsigned_abs();
        let colon = if self.has_colons { ":" } else { "" };
        let _ = write!(out, "{sign}{:02}", all / 3600);
        if self.has_minutes {
            let _ = write!(out, "{colon}{:02}", all / 60 % 60);
        }
        if self.has_seconds {
            let _ = write!(out, "{colon}{:02}", all % 60);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, FixedOffset};

    fn shown(layout: &str, moment: &str) -> String {
        let moment = DateTime::<FixedOffset>::parse_from_rfc3339(moment).expect("a moment");
        let local = LocalTime {
            nanos: moment.nanosecond(),
            second: moment.with_nanosecond(0).expect("there"),
            ..LocalTime::default()
        };
        let mut out = Vec::new();
        GoLayout::parse(layout).append(&local, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn layouts_are_those_of_go() {
        let moment = "2026-01-02T15:04:05.0123456+02:00";
        for (layout, expected) in [
            ("2006/01/02 - 15:04:05.000", "2026/01/02 - 15:04:05.012"),
            ("2006-01-02T15:04:05.000+00:00", "2026-01-02T15:04:05.012+00:00"),
            ("2006-01-02T15:04:05.999Z07:00", "2026-01-02T15:04:05.012+02:00"),
            ("2006-01-02T15:04:05.000000-07:00", "2026-01-02T15:04:05.012345+02:00"),
            ("Mon Jan _2 15:04:05 2006", "Fri Jan  2 15:04:05 2026"),
            ("Monday, 02-Jan-06 15:04:05 MST", "Friday, 02-Jan-26 15:04:05 +02"),
            ("January 2, 3:04PM 03:4:5 pm", "January 2, 3:04PM 03:4:5 pm"),
            ("002 __2 1 2", "002   2 1 2"),
            ("-0700 -07 Z0700 -07:00:00 Z070000", "+0200 +02 +0200 +02:00:00 +020000"),
            (".000000000 ,999 .9999999999", ".012345600 ,012 .0123456"),
            ("_2006 Janet Money ü", "_2026 Janet Money ü"),
            (".0001 15h", ".0001 15h"),
            ("", ""),
        ] {
            assert_eq!(shown(layout, moment), expected, "{layout}");
        }
        assert_eq!(shown("15:04:05.999", "2026-01-02T00:00:00Z"), "00:00:00");
        assert_eq!(shown("3:04PM Z07:00 MST", "2026-01-02T00:09:00Z"), "12:09AM Z UTC");
        assert_eq!(shown("MST -07", "2026-01-02T00:09:00-03:30"), "-0330 -03");
    }
}
