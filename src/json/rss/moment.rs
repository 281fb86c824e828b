//! Dates as feeds write them, in any of the forms that the original knows.

use crate::json::go_time::{self, Moment};

/// Reads a date by the first layout that fits.
pub fn parse(text: &str) -> Option<Moment> {
    let text = text.trim();
    let begins_with_digit = begins_with_digit(text);
    // Most layouts are out of the question at once.
    let read = |layout: &&&str| begins_with_digit == self::begins_with_digit(layout);
    let by_name = || {
        let moment = ZONED.iter().filter(read).find_map(|layout| go_time::parse(layout, text))?;
        Some(moment.in_named_zone(&ZONES))
    };
    LAYOUTS.iter().filter(read).find_map(|layout| go_time::parse(layout, text)).or_else(by_name)
}

fn begins_with_digit(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit())
}

/// Zones that the time zone database knows by their abbreviation, in seconds east. Other names count as UTC.
const ZONES: [(&str, i64); 5] =
    [("CET", 3600), ("EET", 2 * 3600), ("EST", -5 * 3600), ("HST", -10 * 3600), ("MST", -7 * 3600)];

/// Tried first. The order decides where several fit: `+09` alone is taken for a name, which counts as UTC as
/// all names do here.
const LAYOUTS: [&str; 103] = [
    // With a weekday.
    "Mon Jan _2 15:04:05 MST 2006",
    "Mon, 02 Jan 2006 15:04:05 MST",
    "Monday, 02-Jan-06 15:04:05 MST",
    "Mon,2 Jan 2006",
    "Mon, 2 Jan 2006",
    "Mon, 2 January 2006",
    "Mon Jan 2 15:04 2006",
    "Mon, 2 Jan 2006 15:04",
    "Mon, 2, Jan 2006 15:4",
    "Monday, January 2, 2006",
    "Mon Jan 02, 2006 3:04 pm",
    "Mon Jan _2 15:04:05 2006",
    "Mon, 2 Jan 2006 15:04:05",
    "Mon, 02 Jan 2006 15 -0700",
    "Mon, 02 Jan 2006 15:4:5 Z",
    "Mon, 2 Jan 2006 15:04 -0700",
    "Mon, 2 Jan 2006 15:04:05 UT",
    "Mon, 02 Jan 2006 15:04:05 00",
    "Mon, 2 Jan 06 15:04:05 -0700",
    "Mon, 2 Jan 2006, 15:04 -0700",
    "Mon, 02 Jan 2006 15:04:05 -07",
    "Mon, 2 Jan 2006 15:04:05-0700",
    "Mon, Jan 2 2006 15:04:05 -700",
    "Mon 02 Jan 2006 15:04:05 -0700",
    "Mon Jan 02 15:04:05 -0700 2006",
    "Mon Jan 02 2006 15:04:05 -0700",
    "Mon, 2 Jan 2006 15:04:05 -0700",
    "Mon, Jan 2 2006 15:04:05 -0700",
    "Mon,02 Jan 2006 15:04:05 -0700",
    "Mon, 02 Jan 2006 15:04:05 --0700",
    "Mon, 02 Jan 2006 15:04:05 -07:00",
    "Mon, 2 Jan 2006 15:4:5 -0700 GMT",
    "Mon, 2 Jan 2006 3:04:05 PM -0700",
    "Mon, 2 January 2006, 15:04 -0700",
    "Monday, 02 January 2006 15:04:05",
    "Monday, January 2, 2006 03:04 PM",
    "Monday, 2 Jan 2006 15:04:05 -0700",
    "Mon, 02 Jan 2006 15:04:05 GMT-0700",
    "Mon, 2 Jan 2006 15:04:05 -0700 MST",
    "Mon, 2 January 2006 15:04:05 -0700",
    "Mon, January 2 2006 15:04:05 -0700",
    "Mon, 02 Jan 2006 15:04:05 MST -0700",
    "Mon, 02 Jan 2006 15:04:05 MST-07:00",
    "Monday, 2 January 2006 15:04:05 -0700",
    "Mon Jan 02 2006 15:04:05 GMT-0700 (MST)",
    // Day first.
    "02 Jan 06 15:04 MST",
    "2 Jan 2006",
    "2 January 2006",
    "02 Jan 2006 15:04:05",
    "02 Jan 06 15:04 -0700",
    "2 Jan 2006 15:04:05 Z",
    "02 Jan 2006 15:04:05 UT",
    "02 Monday, Jan 2006 15:04",
    "2 Jan 2006 15:04:05 -0700",
    "2 January 2006 15:04:05 -0700",
    // Month first.
    "Jan 2, 2006",
    "January 2, 2006",
    "Jan 02 2006 03:04:05PM",
    "Jan 2, 2006 3:04:05 PM",
    "January 02, 2006 15:04",
    "January 2, 2006 3:04 PM",
    "January 2, 2006 15:04:05",
    "January 2, 2006, 3:04 p.m.",
    // Year first.
    "2006-01-02T15:04:05Z07:00",
    "6/1/2 15:04",
    "6-1-2 15:04",
    "2006 January 02",
    "2006-1-2T15:04:05Z",
    "2006-1-2 15:04:05",
    "2006-1-2",
    "2006-01-02T15:04Z",
    "2006-01-02T15:04-07:00",
    "2006-01-02T15:04:05-07:00:00",
    "2006-01-02T15:04:05:-0700",
    "2006-01-02T15:04:05-0700",
    "2006-01-02T15:04:05-07:00",
    "2006-01-02T15:04:05 -0700",
    "2006-01-02T15:04:05:00",
    "2006-01-02T15:04:05",
    "2006-01-02 at 15:04:05",
    "2006-01-02 15:04:05Z",
    "2006-01-02 15:04:05-0700",
    "2006-01-02 15:04:05-07:00",
    "2006-01-02 15:04:05 -0700",
    "2006-01-02 15:04",
    "2006-01-02 00:00:00.0 15:04:05.0 -0700",
    "2006/01/02",
    "06/1/2 15:04",
    "06-1-2 15:04",
    // Numbers only: the day comes first where both ways fit.
    "Mon, 2006-01-02 15:04",
    "2.1.2006 15:04:05",
    "2/1/2006",
    "2-1-2006",
    "15:04 02.01.2006 -0700",
    "1/2/2006 3:04:05 PM",
    "1/2/2006",
    "02/01/2006 15:04:05",
    "02.01.2006 15:04",
    "02/01/2006 - 15:04",
    "02.01.2006 -0700",
    "01/02/2006 3:04 PM",
    "01/02/2006 - 15:04",
    "01-02-2006",
];

/// Tried after all others: here the name of a zone says something.
const ZONED: [&str; 36] = [
    // With a weekday.
    "Mon, 2 Jan 15:04:05 MST",
    "Mon, 2 Jan 2006 15:04 MST",
    "Mon, Jan 2 2006 15:04 MST",
    "Mon,02 Jan 2006 15:04 MST",
    "Mon, 2 Jan 06 15:04:05 MST",
    "Mon, 2 Jan 2006 15:4:5 MST",
    "Mon, Jan 2, 2006 15:04 MST",
    "Mon 2 Jan 2006 15:04:05 MST",
    "Mon Jan 2 15:04:05 2006 MST",
    "Mon, 2 Jan 2006 15:04:05MST",
    "mon,2 Jan 2006 15:04:05 MST",
    "Mon, 2 January 2006 15:04 MST",
    "Mon, Jan 02,2006 15:04:05 MST",
    "Mon, Jan 2, 2006 15:04:05 MST",
    "Mon , 02 Jan 2006 15:04:05 MST",
    "Mon, 02 Jan 2006, 15:04:05 MST",
    "Mon, 02 Jan 2006 3:04:05 PM MST",
    "Monday, 2 Jan 2006 15:04:05 MST",
    "Mon, 2 January 2006 15:04:05 MST",
    "Mon,02 January 2006 14:04:05 MST",
    "Mon, 2 January 2006, 15:04:05 MST",
    "Mon, January 02, 2006 15:04:05 MST",
    "Mon, January 02, 2006, 15:04:05 MST",
    "Monday, 2 January 2006 15:04:05 MST",
    "Monday, January 2, 2006 15:04:05 MST",
    // Day first.
    "02 Jan 2006 15:04 MST",
    "2 Jan 2006 15:04:05 MST",
    "2 January 2006 15:04:05 MST",
    // Month first.
    "Jan 2, 2006 15:04:05 MST",
    "Jan 2, 2006 3:04:05 PM MST",
    "January 2, 2006 15:04:05 MST",
    // Year first.
    "2006-01-02 15:04:05 MST",
    // Numbers only: the day comes first where both ways fit.
    "1/2/2006 3:04:05 PM MST",
    "1/2/2006 15:04:05 MST",
    "02/01/2006 15:04 MST",
    "02-01-2006 15:04:05 MST",
];
