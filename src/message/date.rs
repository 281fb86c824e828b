//! `DateCache`: the value of the `Date` header, written once a second per core.

use std::io::Write;
use std::time::{Duration, SystemTime};

use httpdate::HttpDate;

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section 5.6.7).
pub const DATE_BYTES: usize = 29;
/// The last second of the year 9999: four digits hold no later year.
const SECOND_MAX: u64 = 253_402_300_799;

/// The text of the current second. One lives on each core; the caller brings the clock.
#[derive(Clone, Debug)]
pub struct DateCache {
    second: u64,
    text: [u8; DATE_BYTES],
}

impl DateCache {
    pub fn new(unix_second: u64) -> DateCache {
        DateCache { second: unix_second, text: imf_fixdate(unix_second) }
    }

    /// The date of that second; formats only if it is not the one of the last call.
    pub fn value(&mut self, unix_second: u64) -> &[u8; DATE_BYTES] {
        if self.second != unix_second {
            *self = DateCache::new(unix_second);
        }
        &self.text
    }
}

impl Default for DateCache {
    fn default() -> DateCache {
        DateCache::new(0)
    }
}

/// A point in time as HTTP writes it.
pub fn imf_fixdate(unix_second: u64) -> [u8; DATE_BYTES] {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(unix_second.min(SECOND_MAX));
    let mut text = [b' '; DATE_BYTES];
    // The text has exactly this many bytes, and writing into an array cannot fail otherwise.
    let written = write!(&mut text[..], "{}", HttpDate::from(time));
    debug_assert!(written.is_ok());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_read_as_the_rfc_writes_them() {
        assert_eq!(&imf_fixdate(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(&imf_fixdate(0), b"Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(&imf_fixdate(1_709_164_800), b"Thu, 29 Feb 2024 00:00:00 GMT");
        assert_eq!(&imf_fixdate(u64::MAX), b"Fri, 31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn the_text_changes_with_the_second_and_also_back() {
        let mut cache = DateCache::default();
        assert_eq!(cache.value(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(cache.value(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(cache.value(784_111_778), b"Sun, 06 Nov 1994 08:49:38 GMT");
        assert_eq!(cache.value(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
