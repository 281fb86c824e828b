//! The coarse clock: milliseconds since the process started, a few nanoseconds a read and no system call.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// A moment in milliseconds since the process started. Its resolution is the kernel's tick (1 to 10 ms),
/// which is fine for time-outs and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick(u64);

impl Tick {
    /// A deadline that never comes.
    pub const NEVER: Tick = Tick(u64::MAX);

    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Tick {
        Tick(self.0.saturating_add(ms))
    }

    pub fn as_ms(self) -> u64 {
        self.0
    }

    pub fn from_ms(ms: u64) -> Tick {
        Tick(ms)
    }

    /// Milliseconds from `earlier` to here; zero when it lies ahead.
    pub fn since_ms(self, earlier: Tick) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Now, as of the kernel's last tick. Asked for in many places, so its code stands once.
#[inline(never)]
pub fn now() -> Tick {
    static START: OnceLock<u64> = OnceLock::new();
    let now = read_ms(libc::CLOCK_MONOTONIC_COARSE);
    // One millisecond is never zero: a tick of zero would read as "long ago".
    Tick(now.saturating_sub(*START.get_or_init(|| now.saturating_sub(1))))
}

/// Seconds since 1970, for the Date header.
pub fn unix_seconds() -> u64 {
    read_ms(libc::CLOCK_REALTIME_COARSE) / 1000
}

/// The wall clock, for texts that people read.
pub fn wall() -> SystemTime {
    SystemTime::now()
}

/// Nanoseconds since 1970.
pub fn unix_nanos() -> u128 {
    wall().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}

/// Nanoseconds of the exact monotonic clock, for measuring how long something took.
pub fn monotonic_ns() -> u64 {
    read_ns(libc::CLOCK_MONOTONIC)
}

fn read_ms(clock: libc::clockid_t) -> u64 {
    read_ns(clock) / 1_000_000
}

fn read_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec that outlives the call, and the clock ids are constants of Linux.
    let failed = unsafe { libc::clock_gettime(clock, &raw mut time) };
    debug_assert_eq!(failed, 0, "a clock id that Linux does not know");
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_runs_backwards_and_never_is_zero() {
        let first = now();
        assert!(first.as_ms() >= 1);
        std::thread::sleep(std::time::Duration::from_millis(30));
        assert!(now().since_ms(first) >= 15);
        assert_eq!(first.since_ms(now()), 0);
    }

    #[test]
    fn never_lies_after_every_moment() {
        assert!(Tick::NEVER > now());
        assert_eq!(Tick::NEVER.plus_ms(5), Tick::NEVER);
    }
}
