//! `Period`: the spans of time that quotas are counted in, as windows of the calendar in UTC.

use chrono::{DateTime, Datelike, Months, NaiveDate, TimeDelta};

/// Ordered by length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    Second,
    Minute,
    Hour,
    Day,
    /// From Monday on.
    Week,
    Month,
    Year,
}

/// From the first second to the one that is no part of it any more, in seconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    pub start_s: i64,
    pub end_s: i64,
}

pub const ALL: [Period; 7] = [
    Period::Second,
    Period::Minute,
    Period::Hour,
    Period::Day,
    Period::Week,
    Period::Month,
    Period::Year,
];

const DAY_S: i64 = 86_400;

impl Period {
    pub fn name(self) -> &'static str {
        match self {
            Period::Second => "second",
            Period::Minute => "minute",
            Period::Hour => "hour",
            Period::Day => "day",
            Period::Week => "week",
            Period::Month => "month",
            Period::Year => "year",
        }
    }

    pub fn named(name: &str) -> Option<Period> {
        ALL.into_iter().find(|period| period.name() == name)
    }

    /// The window that this moment lies in.
    pub fn window(self, at_s: i64) -> Window {
        let every = |length_s: i64, offset_s: i64| {
            let start_s = at_s - (at_s + offset_s).rem_euclid(length_s);
            Window { start_s, end_s: start_s + length_s }
        };
        let calendar = |first: fn(NaiveDate) -> Option<NaiveDate>, months: u32| {
            let day = DateTime::from_timestamp(at_s, 0)?.date_naive();
            let start = first(day)?;
            let end = start.checked_add_months(Months::new(months))?;
            let second = |day: NaiveDate| {
                let since: TimeDelta = day.signed_duration_since(NaiveDate::default());
                since.num_seconds()
            };
            Some(Window { start_s: second(start), end_s: second(end) })
        };
        match self {
            Period::Second => every(1, 0),
            Period::Minute => every(60, 0),
            Period::Hour => every(3600, 0),
            Period::Day => every(DAY_S, 0),
            // 1970 began on a Thursday.
            Period::Week => every(7 * DAY_S, 3 * DAY_S),
            Period::Month => calendar(|day| day.with_day(1), 1).unwrap_or(every(30 * DAY_S, 0)),
            Period::Year => {
                calendar(|day| day.with_day(1)?.with_month(1), 12).unwrap_or(every(365 * DAY_S, 0))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2024-02-29 13:07:05, a Thursday.
    const LEAP_DAY: i64 = 1_709_212_025;

    #[test]
    fn windows_are_those_of_the_calendar() {
        let text = |at_s: i64| {
            let time = DateTime::from_timestamp(at_s, 0).expect("near");
            time.format("%Y-%m-%d %H:%M:%S").to_string()
        };
        for (period, start, end) in [
            (Period::Second, "2024-02-29 13:07:05", "2024-02-29 13:07:06"),
            (Period::Minute, "2024-02-29 13:07:00", "2024-02-29 13:08:00"),
            (Period::Hour, "2024-02-29 13:00:00", "2024-02-29 14:00:00"),
            (Period::Day, "2024-02-29 00:00:00", "2024-03-01 00:00:00"),
            (Period::Week, "2024-02-26 00:00:00", "2024-03-04 00:00:00"),
            (Period::Month, "2024-02-01 00:00:00", "2024-03-01 00:00:00"),
            (Period::Year, "2024-01-01 00:00:00", "2025-01-01 00:00:00"),
        ] {
            let window = period.window(LEAP_DAY);
            assert_eq!((text(window.start_s), text(window.end_s)), (start.into(), end.into()));
            assert_eq!(period.window(window.start_s), window);
            assert_eq!(period.window(window.end_s - 1), window);
            assert_eq!(period.window(window.end_s).start_s, window.end_s);
            assert_eq!(Period::named(period.name()), Some(period));
        }
        assert_eq!(Period::named("fortnight"), None);
    }

    #[test]
    fn every_moment_lies_in_its_window() {
        for period in ALL {
            for at_s in [0, 1, -1, LEAP_DAY, i64::from(i32::MAX), i64::from(u32::MAX)] {
                let window = period.window(at_s);
                assert!(window.start_s <= at_s && at_s < window.end_s, "{period:?} {at_s}");
            }
        }
    }
}
