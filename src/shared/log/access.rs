//! One line of the access log, in gin's format (gin 1.12, logger.go).

use std::io::Write;
use std::time::{Duration, SystemTime};

use smallvec::SmallVec;

use super::go_text::{append_duration, append_quoted};
use super::local_time::LocalTime;
use super::{AccessFormat, LINE_BYTES_MAX};

/// What the access log tells of one request. Short texts are held in place, so a usual record is copied
/// to the writer without an allocation.
#[derive(Clone, Debug)]
pub struct AccessRecord {
    /// When the answer was ready.
    pub at: SystemTime,
    pub latency: Duration,
    pub status: u16,
    /// The client's address as text, which may come from a header; empty when unknown.
    pub client: SmallVec<[u8; 16]>,
    pub method: SmallVec<[u8; 8]>,
    /// The decoded path and, after a `?`, the query string as it was sent.
    pub path: SmallVec<[u8; 72]>,
    /// The texts of what went wrong in the gateway.
    pub errors: Box<[Box<str>]>,
    /// What [`super::Log::access_fields`] asks for, in its order; none where there is no such thing.
    pub fields: Box<[Option<Box<[u8]>>]>,
}

/// The format of gin, which is the original's.
pub struct Gin;

impl AccessFormat for Gin {
    fn append(&mut self, record: &AccessRecord, local: &LocalTime, out: &mut Vec<u8>) {
        record.append(local, out);
    }
}

impl AccessRecord {
    /// Bytes that came from outside.
    pub(super) fn bytes(&self) -> usize {
        let fields = self.fields.iter().flatten().map(|value| value.len());
        let errors = self.errors.iter().map(|error| error.len());
        self.path.len() + fields.chain(errors).sum::<usize>()
    }

    /// Cuts what is longer than a line may be.
    pub(super) fn cut(&mut self) {
        if self.path.len() > LINE_BYTES_MAX {
            self.path.truncate(LINE_BYTES_MAX);
            self.path.shrink_to_fit();
        }
        for error in self.errors.iter_mut().filter(|error| error.len() > LINE_BYTES_MAX) {
            *error = error[..error.floor_char_boundary(LINE_BYTES_MAX)].into();
        }
        for value in self.fields.iter_mut().flatten().filter(|value| value.len() > LINE_BYTES_MAX) {
            *value = value[..LINE_BYTES_MAX].into();
        }
    }

    /// Appends the line and, below it, one line for each error.
    fn append(&self, local: &LocalTime, out: &mut Vec<u8>) {
        // Writing to a vector cannot fail.
        let _ = write!(out, "[GIN] {} - {} | {:3} | ", local.date, local.time, self.status);
        append_right_aligned(8, out, |out| append_duration(rounded(self.latency), out));
        out.extend_from_slice(b" | ");
        append_right_aligned(15, out, |out| out.extend_from_slice(&self.client));
        out.extend_from_slice(b" | ");
        out.extend_from_slice(&self.method);
        // Seven wide, and two spaces where a terminal would get its colours.
        let padding = 7_usize.saturating_sub(self.method.len()) + 2;
        out.resize(out.len() + padding, b' ');
        append_quoted(&self.path, out);
        out.push(b'\n');
        for (index, error) in self.errors.iter().enumerate() {
            let _ = writeln!(out, "Error #{:02}: {error}", index + 1);
        }
    }
}

/// Fewer digits the longer it took: 10 µs above a millisecond, 10 ms above a second, 10 s above a minute.
fn rounded(latency: Duration) -> Duration {
    let unit_ns: u64 = match latency {
        _ if latency > Duration::from_mins(1) => 10_000_000_000,
        _ if latency > Duration::from_secs(1) => 10_000_000,
        _ if latency > Duration::from_millis(1) => 10_000,
        _ => return latency,
    };
    let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(nanos - nanos % unit_ns)
}

/// Pads in front to `width` characters, as `%8v` does.
fn append_right_aligned(width: usize, out: &mut Vec<u8>, append: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    append(out);
    let chars = String::from_utf8_lossy(&out[start..]).chars().count();
    let padding = std::iter::repeat_n(b' ', width.saturating_sub(chars));
    out.splice(start..start, padding);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(latency: Duration, client: &str, method: &str, path: &str, errors: &[&str]) -> String {
        let record = AccessRecord {
            at: SystemTime::UNIX_EPOCH,
            latency,
            status: 200,
            client: client.as_bytes().into(),
            method: method.as_bytes().into(),
            path: path.as_bytes().into(),
            errors: errors.iter().map(|&error| error.into()).collect(),
            fields: Box::default(),
        };
        let (date, time) = ("2026/01/31".into(), "15:04:05".into());
        let local = LocalTime { date, time, ..LocalTime::default() };
        let mut out = Vec::new();
        record.append(&local, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_request_is_shown_as_gin_shows_it() {
        assert_eq!(
            line(Duration::from_nanos(1_234_567), "127.0.0.1", "GET", "/item/5?x=1", &[]),
            "[GIN] 2026/01/31 - 15:04:05 | 200 |   1.23ms |       127.0.0.1 | GET      \"/item/5?x=1\"\n"
        );
        assert_eq!(
            line(Duration::from_nanos(123_456), "2001:db8::8:800:200c", "OPTIONS", "/", &[]),
            "[GIN] 2026/01/31 - 15:04:05 | 200 | 123.456µs | 2001:db8::8:800:200c | OPTIONS  \"/\"\n"
        );
        assert_eq!(
            line(Duration::from_nanos(5_500), "", "PROPFIND", "/\"", &[]),
            "[GIN] 2026/01/31 - 15:04:05 | 200 |    5.5µs |                 | PROPFIND  \"/\\\"\"\n"
        );
    }

    #[test]
    fn errors_are_counted_below_the_line() {
        let shown =
            line(Duration::from_secs(3), "::1", "GET", "/", &["invalid status code 503", "x"]);
        assert!(shown.ends_with("\"/\"\nError #01: invalid status code 503\nError #02: x\n"));
        assert!(shown.contains("|       3s |"));
    }

    #[test]
    fn long_latencies_lose_digits() {
        let table = [
            (999_999, 999_999),
            (1_000_000, 1_000_000),
            (1_239_999, 1_230_000),
            (1_999_999_999, 1_990_000_000),
            (65_999_999_999, 60_000_000_000),
        ];
        for (nanos, expected) in table {
            assert_eq!(rounded(Duration::from_nanos(nanos)), Duration::from_nanos(expected));
        }
    }
}
