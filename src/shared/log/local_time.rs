//! A moment on the local calendar, as log lines show it; rendered once a second.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, FixedOffset, Local};

/// Date and time of day in the local zone (`TZ`, `/etc/localtime`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalTime {
    /// `2026/01/31`
    pub date: String,
    /// `15:04:05`
    pub time: String,
    /// The beginning of that second.
    pub second: DateTime<FixedOffset>,
    /// Nanoseconds of that second.
    pub nanos: u32,
}

/// Renders moments that mostly lie in the same second as the one before.
#[derive(Default)]
pub(super) struct LocalClock {
    second: Option<u64>,
    local: LocalTime,
}

impl LocalClock {
    pub(super) fn local(&mut self, at: SystemTime) -> &LocalTime {
        let since_epoch = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.second != Some(since_epoch.as_secs()) {
            self.second = Some(since_epoch.as_secs());
            let second = UNIX_EPOCH + Duration::from_secs(since_epoch.as_secs());
            let local = DateTime::<Local>::from(second);
            self.local.date = local.format("%Y/%m/%d").to_string();
            self.local.time = local.format("%H:%M:%S").to_string();
            self.local.second = local.fixed_offset();
        }
        self.local.nanos = since_epoch.subsec_nanos();
        &self.local
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_the_local_date_time_and_milliseconds() {
        let mut clock = LocalClock::default();
        let at = UNIX_EPOCH + Duration::from_millis(1_769_871_845_007);
        let expected = DateTime::<Local>::from(at);
        let local = clock.local(at).clone();
        assert_eq!(local.date, expected.format("%Y/%m/%d").to_string());
        assert_eq!(local.time, expected.format("%H:%M:%S").to_string());
        assert_eq!((local.nanos, local.second.timestamp()), (7_000_000, 1_769_871_845));
        assert_eq!(clock.local(at + Duration::from_millis(990)).nanos, 997_000_000);
        assert_eq!(clock.local(at + Duration::from_secs(1)).time.len(), 8);
        assert_ne!(clock.local(at + Duration::from_secs(1)).time, local.time);
    }
}
