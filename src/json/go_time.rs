//! Reads a moment by a Go layout (`Mon, 02 Jan 2006 15:04:05 MST`) as `time.Parse` does.
//!
//! Feeds come with dates in any shape, and what the original accepts is what a list of layouts accepts;
//! the YAML writer asks whether a text looks like a moment. The rules below are those of Go's `time`
//! package: names in any case, weekdays read but not checked, a fraction after the seconds always
//! allowed, unknown zone names taken as UTC.

/// A moment as its text gave it, with the offset of its zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    nanosecond: i64,
    offset_seconds: i64,
    zone: Option<Zone>,
}

/// The name of a zone whose offset was not given: three capitals, all others are unknown anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Zone([u8; 3]);

/// One element of a layout.
#[derive(Clone, Copy, PartialEq)]
enum Field {
    Year2,
    Year4,
    MonthName,
    MonthLongName,
    Month {
        fixed: bool,
    },
    Weekday,
    LongWeekday,
    Day {
        fixed: bool,
        blank: bool,
    },
    Hour,
    Hour12 {
        fixed: bool,
    },
    Minute {
        fixed: bool,
    },
    Second {
        fixed: bool,
    },
    Noon {
        upper: bool,
    },
    Offset {
        zulu: bool,
        shape: Shape,
    },
    ZoneName,
    /// `.000` and its like: exactly that many digits.
    Fraction(usize),
    /// `.999`: any number of digits, or none.
    OptionalFraction,
}

/// How an offset is written.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Hours,
    Plain,
    Colon,
    Seconds,
    ColonSeconds,
}

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

const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Elements whose spelling is enough to know them, in the order in which they are tried.
const SPELLINGS: &[(&str, Field)] = &[
    ("January", Field::MonthLongName),
    ("Monday", Field::LongWeekday),
    ("MST", Field::ZoneName),
    ("01", Field::Month { fixed: true }),
    ("02", Field::Day { fixed: true, blank: false }),
    ("03", Field::Hour12 { fixed: true }),
    ("04", Field::Minute { fixed: true }),
    ("05", Field::Second { fixed: true }),
    ("06", Field::Year2),
    ("15", Field::Hour),
    ("1", Field::Month { fixed: false }),
    ("2006", Field::Year4),
    ("2", Field::Day { fixed: false, blank: false }),
    ("_2", Field::Day { fixed: false, blank: true }),
    ("3", Field::Hour12 { fixed: false }),
    ("4", Field::Minute { fixed: false }),
    ("5", Field::Second { fixed: false }),
    ("PM", Field::Noon { upper: true }),
    ("pm", Field::Noon { upper: false }),
    ("-070000", Field::Offset { zulu: false, shape: Shape::Seconds }),
    ("-07:00:00", Field::Offset { zulu: false, shape: Shape::ColonSeconds }),
    ("-0700", Field::Offset { zulu: false, shape: Shape::Plain }),
    ("-07:00", Field::Offset { zulu: false, shape: Shape::Colon }),
    ("-07", Field::Offset { zulu: false, shape: Shape::Hours }),
    ("Z070000", Field::Offset { zulu: true, shape: Shape::Seconds }),
    ("Z07:00:00", Field::Offset { zulu: true, shape: Shape::ColonSeconds }),
    ("Z0700", Field::Offset { zulu: true, shape: Shape::Plain }),
    ("Z07:00", Field::Offset { zulu: true, shape: Shape::Colon }),
    ("Z07", Field::Offset { zulu: true, shape: Shape::Hours }),
];

/// What has been read so far.
struct Reading<'v> {
    rest: &'v str,
    year: i64,
    month: Option<i64>,
    day: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    nanosecond: i64,
    noon: Option<bool>,
    offset_seconds: Option<i64>,
    zone_name: &'v str,
}

/// Reads `value` by `layout`; nothing when it does not fit.
#[must_use]
pub fn parse(mut layout: &str, value: &str) -> Option<Moment> {
    let mut reading = Reading {
        rest: value,
        year: 0,
        month: None,
        day: None,
        hour: 0,
        minute: 0,
        second: 0,
        nanosecond: 0,
        noon: None,
        offset_seconds: None,
        zone_name: "",
    };
    loop {
        let (literal, field, after) = next_field(layout);
        reading.rest = skip(reading.rest, literal)?;
        let Some(field) = field else {
            return reading.rest.is_empty().then(|| reading.finish()).flatten();
        };
        reading.take(field, after)?;
        layout = after;
    }
}

// === impl Moment ===

impl Moment {
    /// The same moment in UTC.
    #[must_use]
    pub fn to_utc(self) -> Self {
        self.with_offset(0)
    }

    /// The moment that the text means when zones have these offsets (in seconds east).
    #[must_use]
    pub fn in_named_zone(mut self, zones: &[(&str, i64)]) -> Self {
        let known =
            zones.iter().find(|(name, _)| self.zone.is_some_and(|zone| zone.0 == name.as_bytes()));
        if let Some((_, offset_seconds)) = known {
            self.offset_seconds = *offset_seconds;
        }
        self
    }

    fn with_offset(self, offset_seconds: i64) -> Self {
        let clock = self.hour * 3600 + self.minute * 60 + self.second;
        let seconds = clock - self.offset_seconds + offset_seconds;
        let (year, month, day) =
            civil(days(self.year, self.month, self.day) + seconds.div_euclid(86_400));
        let left = seconds.rem_euclid(86_400);
        Self {
            year,
            month,
            day,
            hour: left / 3600,
            minute: left / 60 % 60,
            second: left % 60,
            nanosecond: self.nanosecond,
            offset_seconds,
            zone: None,
        }
    }

    /// RFC 3339 with the fraction that is there, as Go's `MarshalJSON` writes it; nothing when the year
    /// has no four digits or the offset a day or more, where that fails.
    #[must_use]
    pub fn rfc3339(&self) -> Option<String> {
        use std::fmt::Write as _;
        let minutes = self.offset_seconds.abs() / 60;
        if !(0..=9999).contains(&self.year) || minutes >= 24 * 60 {
            return None;
        }
        let mut text = format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            self.year, self.month, self.day, self.hour, self.minute, self.second
        );
        if self.nanosecond != 0 {
            let digits = format!("{:09}", self.nanosecond);
            text.push('.');
            text.push_str(digits.trim_end_matches('0'));
        }
        if self.offset_seconds == 0 {
            text.push('Z');
        } else {
            let sign = if self.offset_seconds < 0 { '-' } else { '+' };
            let _ = write!(text, "{sign}{:02}:{:02}", minutes / 60, minutes % 60);
        }
        Some(text)
    }
}

// === impl Zone ===

impl Zone {
    fn of(name: &str) -> Option<Self> {
        name.as_bytes().try_into().ok().map(Self)
    }
}

// === impl Reading ===

impl Reading<'_> {
    fn take(&mut self, field: Field, after: &str) -> Option<()> {
        match field {
            Field::Year2 => {
                let year = self.digits(2)?;
                self.year = if year >= 69 { 1900 + year } else { 2000 + year };
            }
            Field::Year4 => self.year = self.digits(4)?,
            Field::MonthName => self.month = Some(self.name(&MONTHS, Some(3))?),
            Field::MonthLongName => self.month = Some(self.name(&MONTHS, None)?),
            Field::Month { fixed } => self.month = Some(self.number(fixed, 1..=12)?),
            Field::Weekday => drop(self.name(&WEEKDAYS, Some(3))?),
            Field::LongWeekday => drop(self.name(&WEEKDAYS, None)?),
            Field::Day { fixed, blank } => {
                if blank {
                    self.rest = self.rest.strip_prefix(' ').unwrap_or(self.rest);
                }
                self.day = Some(self.number(fixed, 0..=99)?);
            }
            Field::Hour => self.hour = self.number(false, 0..=23)?,
            Field::Hour12 { fixed } => self.hour = self.number(fixed, 0..=12)?,
            Field::Minute { fixed } => self.minute = self.number(fixed, 0..=59)?,
            Field::Second { fixed } => {
                self.second = self.number(fixed, 0..=59)?;
                self.unasked_fraction(after)?;
            }
            Field::Noon { upper } => self.noon(upper)?,
            Field::Offset { zulu, shape } => self.offset(zulu, shape)?,
            Field::ZoneName => self.zone_name()?,
            Field::Fraction(digits) => self.fraction(1 + digits)?,
            Field::OptionalFraction => {
                if has_fraction(self.rest) {
                    self.fraction(1 + count_digits(self.rest.get(1..)?))?;
                }
            }
        }
        Some(())
    }

    /// Exactly so many digits.
    fn digits(&mut self, count: usize) -> Option<i64> {
        let text = self.rest.get(..count)?;
        if count_digits(text) != count {
            return None;
        }
        self.rest = self.rest.get(count..)?;
        text.parse().ok()
    }

    /// One or two digits; two when `fixed`.
    fn number(&mut self, fixed: bool, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let count = match count_digits(self.rest) {
            0 => return None,
            1 if fixed => return None,
            1 => 1,
            _ => 2,
        };
        self.digits(count).filter(|number| range.contains(number))
    }

    /// A name, or its first `letters`, in any case; the answer counts from one.
    fn name(&mut self, names: &[&str], letters: Option<usize>) -> Option<i64> {
        for (number, name) in (1_i64..).zip(names) {
            let name = name.get(..letters.unwrap_or(name.len()))?;
            if self.rest.get(..name.len()).is_some_and(|text| text.eq_ignore_ascii_case(name)) {
                self.rest = self.rest.get(name.len()..)?;
                return Some(number);
            }
        }
        None
    }

    /// A fraction after the seconds counts although the layout has none.
    fn unasked_fraction(&mut self, after: &str) -> Option<()> {
        let asked =
            matches!(next_field(after).1, Some(Field::Fraction(_) | Field::OptionalFraction));
        if asked || !has_fraction(self.rest) {
            return Some(());
        }
        self.fraction(1 + count_digits(self.rest.get(1..)?))
    }

    /// The mark and the digits after it, `length` bytes in all.
    fn fraction(&mut self, length: usize) -> Option<()> {
        let text = self.rest.get(..length)?;
        let digits = text.strip_prefix(['.', ','])?;
        if count_digits(digits) != digits.len() {
            return None;
        }
        let nine: String = digits.chars().chain("000000000".chars()).take(9).collect();
        self.nanosecond = nine.parse().ok()?;
        self.rest = self.rest.get(length..)?;
        Some(())
    }

    fn noon(&mut self, upper: bool) -> Option<()> {
        let (before, after) = if upper { ("AM", "PM") } else { ("am", "pm") };
        let (rest, is_after) = match self.rest.strip_prefix(before) {
            Some(rest) => (rest, false),
            None => (self.rest.strip_prefix(after)?, true),
        };
        self.rest = rest;
        self.noon = Some(is_after);
        Some(())
    }

    fn offset(&mut self, zulu: bool, shape: Shape) -> Option<()> {
        if zulu && let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            self.offset_seconds = Some(0);
            return Some(());
        }
        let sign = match self.rest.as_bytes().first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        self.rest = self.rest.get(1..)?;
        let hours = self.digits(2).filter(|hours| *hours <= 24)?;
        let minutes = self.offset_part(
            shape != Shape::Hours,
            matches!(shape, Shape::Colon | Shape::ColonSeconds),
        )?;
        let seconds = self.offset_part(
            matches!(shape, Shape::Seconds | Shape::ColonSeconds),
            shape == Shape::ColonSeconds,
        )?;
        self.offset_seconds = Some(sign * ((hours * 60 + minutes) * 60 + seconds));
        Some(())
    }

    fn offset_part(&mut self, present: bool, colon: bool) -> Option<i64> {
        if !present {
            return Some(0);
        }
        if colon {
            self.rest = self.rest.strip_prefix(':')?;
        }
        self.digits(2).filter(|part| *part <= 60)
    }

    fn zone_name(&mut self) -> Option<()> {
        if let Some(rest) = self.rest.strip_prefix("UTC") {
            self.rest = rest;
            self.offset_seconds = Some(0);
            return Some(());
        }
        let length = zone_name_length(self.rest)?;
        let (name, rest) = self.rest.split_at_checked(length)?;
        self.zone_name = name;
        self.rest = rest;
        Some(())
    }

    fn finish(self) -> Option<Moment> {
        let hour = match self.noon {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let month = self.month.unwrap_or(1);
        let day = self.day.unwrap_or(1);
        if day < 1 || day > days_in(month, self.year) {
            return None;
        }
        let moment = Moment {
            year: self.year,
            month,
            day,
            hour,
            minute: self.minute,
            second: self.second,
            nanosecond: self.nanosecond,
            offset_seconds: self.offset_seconds.unwrap_or(0),
            zone: self.offset_seconds.is_none().then(|| Zone::of(self.zone_name)).flatten(),
        };
        // An unknown zone counts as UTC. The number of `GMT+3` is only how such a moment is shown.
        let hours = self.zone_name.strip_prefix("GMT").and_then(|hours| hours.parse::<i64>().ok());
        Some(match hours {
            Some(hours) if self.offset_seconds.is_none() => moment.with_offset(hours * 3600),
            _ => moment,
        })
    }
}

/// The text before the first element of a layout, that element, and what follows it.
fn next_field(layout: &str) -> (&str, Option<Field>, &str) {
    for (at, _) in layout.char_indices() {
        let (before, rest) = layout.split_at(at);
        if let Some((field, length)) = field_at(rest) {
            return (before, Some(field), rest.get(length..).unwrap_or_default());
        }
    }
    (layout, None, "")
}

/// The element with which `text` begins, and its length.
fn field_at(text: &str) -> Option<(Field, usize)> {
    if let Some((spelling, field)) =
        SPELLINGS.iter().find(|(spelling, _)| text.starts_with(spelling))
    {
        return Some((*field, spelling.len()));
    }
    for (spelling, field) in [("Jan", Field::MonthName), ("Mon", Field::Weekday)] {
        if let Some(rest) = text.strip_prefix(spelling) {
            let is_longer_word = rest.starts_with(|letter: char| letter.is_ascii_lowercase());
            return (!is_longer_word).then_some((field, spelling.len()));
        }
    }
    let digits = text.strip_prefix(['.', ','])?;
    let first = digits.chars().next().filter(|first| matches!(first, '0' | '9'))?;
    let count = digits.len() - digits.trim_start_matches(first).len();
    if count_digits(digits) != count {
        return None;
    }
    let field = if first == '0' { Field::Fraction(count) } else { Field::OptionalFraction };
    Some((field, 1 + count))
}

/// Leaves out of `value` the literal text of a layout; a blank stands for any number of blanks.
fn skip<'v>(mut value: &'v str, mut literal: &str) -> Option<&'v str> {
    while let Some(next) = literal.chars().next() {
        if next == ' ' {
            if !value.is_empty() && !value.starts_with(' ') {
                return None;
            }
            literal = literal.trim_start_matches(' ');
            value = value.trim_start_matches(' ');
        } else {
            value = value.strip_prefix(next)?;
            literal = literal.get(next.len_utf8()..)?;
        }
    }
    Some(value)
}

fn has_fraction(text: &str) -> bool {
    text.strip_prefix(['.', ',']).is_some_and(|digits| count_digits(digits) > 0)
}

fn count_digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// How long the zone name is with which `text` begins: three to five capitals, `GMT+3`, `+03`.
fn zone_name_length(text: &str) -> Option<usize> {
    if text.len() < 3 {
        return None;
    }
    if text.starts_with("ChST") || text.starts_with("MeST") {
        return Some(4);
    }
    if let Some(offset) = text.strip_prefix("GMT") {
        return Some(3 + signed_offset_length(offset));
    }
    if text.starts_with(['+', '-']) {
        return Some(signed_offset_length(text)).filter(|length| *length > 0);
    }
    let capitals = text.bytes().take(6).take_while(u8::is_ascii_uppercase).count();
    let ends_in_t =
        capitals.checked_sub(1).and_then(|last| text.as_bytes().get(last)) == Some(&b'T');
    match capitals {
        5 if ends_in_t => Some(5),
        4 if ends_in_t || text.starts_with("WITA") => Some(4),
        3 => Some(3),
        _ => None,
    }
}

/// The length of `+3` or `-11` at the start of `text`; 0 when there is none below 24.
fn signed_offset_length(text: &str) -> usize {
    let Some(number) = text.strip_prefix(['+', '-']) else {
        return 0;
    };
    let digits = count_digits(number);
    match number.get(..digits).and_then(|digits| digits.parse::<i64>().ok()) {
        Some(hours) if hours <= 23 => 1 + digits,
        _ => 0,
    }
}

fn days_in(month: i64, year: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 (the usual calendar algorithm with years that begin in March).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The date of a day since 1970-01-01: the inverse of `days`.
fn civil(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted_month + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn read(layout: &str, value: &str) -> Option<String> {
        parse(layout, value).and_then(|moment| moment.rfc3339())
    }

    #[test]
    fn names_are_read_in_any_case_and_weekdays_are_not_checked() {
        let layout = "Mon, 02 January 2006 15:04:05 -0700";
        let wanted = Some("2023-03-05T04:06:07-03:30".to_owned());
        assert_eq!(read(layout, "fri, 05 MARCH 2023 4:06:07 -0330"), wanted);
        assert_eq!(read(layout, "Fri, 5 March 2023 4:06:07 -0330"), None);
    }

    #[test]
    fn a_fraction_after_the_seconds_is_always_allowed() {
        assert_eq!(read("15:04:05", "01:02:03.050"), Some("0000-01-01T01:02:03.05Z".into()));
        assert_eq!(read("15:04:05.000", "01:02:03,5"), None);
        assert_eq!(read("15:04:05.999", "01:02:03"), Some("0000-01-01T01:02:03Z".into()));
    }

    #[test]
    fn days_that_a_month_does_not_have_are_none() {
        for (value, is_day) in [
            ("2024-02-29", true),
            ("2023-02-29", false),
            ("1900-02-29", false),
            ("2023-04-31", false),
        ] {
            assert_eq!(parse("2006-01-02", value).is_some(), is_day, "{value}");
        }
    }

    #[test]
    fn zone_names_are_unknown_but_the_number_of_gmt_shows() {
        for (value, wanted) in [
            ("12:00 UTC", "0000-01-01T12:00:00Z"),
            ("12:00 EST", "0000-01-01T12:00:00Z"),
            ("12:00 CEST", "0000-01-01T12:00:00Z"),
            ("12:00 GMT+3", "0000-01-01T15:00:00+03:00"),
            ("12:00 +03", "0000-01-01T12:00:00Z"),
        ] {
            assert_eq!(read("15:04 MST", value).as_deref(), Some(wanted));
        }
        assert_eq!(read("15:04 MST", "12:00 ABCD"), None);
    }

    #[test]
    fn two_figures_of_a_year_and_noon_mean_what_they_do_in_go() {
        assert_eq!(read("2/1/06 3:04 PM", "2/1/69 12:00 AM"), Some("1969-01-02T00:00:00Z".into()));
        assert_eq!(read("2/1/06 3:04pm", "2/1/68 1:00pm"), Some("2068-01-02T13:00:00Z".into()));
    }

    #[test]
    fn utc_may_be_another_day() {
        let moment =
            parse("2006-01-02T15:04:05Z07:00", "2023-12-31T23:30:00-01:00").expect("a moment");
        assert_eq!(moment.to_utc().rfc3339().as_deref(), Some("2024-01-01T00:30:00Z"));
    }

    #[test]
    fn a_literal_must_be_there_and_nothing_may_follow() {
        assert_eq!(
            read("2006-01-02 at 15:04", "2023-01-02 at 03:04"),
            Some("2023-01-02T03:04:00Z".into())
        );
        assert_eq!(read("2006-01-02", "2023-01-02 "), None);
        assert_eq!(read("2006-01-02", "2023/01/02"), None);
    }
}
