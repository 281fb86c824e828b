//! `Tally`: one number that all cores share, for limits that hold for the whole process.
//!
//! A tally is 64 bits that a pure function takes to their next state; the clock comes from the caller.
//! [`TokenBucket`] is the first such state. A circuit breaker can be the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tokens take the lower bits of a bucket's state, so a bucket holds at most this many. Above, no gateway
/// notices the limit.
pub const CAPACITY_MAX: u64 = (1 << TOKEN_BITS) - 1;

const TOKEN_BITS: u32 = 24;

/// The upper bits: how many fill intervals have been paid out, modulo this. With one interval a
/// microsecond it wraps after twelve days, which matters only to a bucket that stood empty so long.
const TICK_MASK: u64 = (1 << (u64::BITS - TOKEN_BITS)) - 1;

/// Cores read coarse clocks of their own, so `now` may go back a little from one caller to the next.
const CLOCK_LAG_MAX_NS: u64 = 1_000_000_000;

/// A shared state of 64 bits. Clones are the same state.
#[derive(Clone, Debug)]
pub struct Tally(Arc<Line>);

/// Alone on its cache line: what hurts is two cores writing it, not also their neighbours.
#[derive(Debug)]
#[repr(align(64))]
struct Line(AtomicU64);

/// Lets through `capacity` calls at once and one more every fill interval. Clones are the same bucket.
///
/// Follows krakend-ratelimit, tokenbucket.go: an empty bucket is refilled only when someone asks, with
/// the whole intervals since the last refill; the call that finds more than `capacity` of them pays
/// nothing.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    tally: Tally,
    start_ns: u64,
    fill_interval_ns: u64,
    capacity: u64,
}

// === impl Tally ===

impl Tally {
    pub fn new(state: u64) -> Self {
        Self(Arc::new(Line(AtomicU64::new(state))))
    }

    pub fn get(&self) -> u64 {
        self.0.0.load(Ordering::Acquire)
    }

    /// Moves the state on and returns what `step` says about it. `step` gives the next state and a result;
    /// it runs again when another core was faster. A state that stays as it is is not written, so refused
    /// calls leave the cache line alone.
    #[inline]
    pub fn update<R>(&self, step: impl Fn(u64) -> (u64, R)) -> R {
        let mut state = self.get();
        loop {
            let (next, result) = step(state);
            if next == state {
                return result;
            }
            let swap =
                self.0.0.compare_exchange_weak(state, next, Ordering::AcqRel, Ordering::Acquire);
            match swap {
                Ok(_) => return result,
                Err(current) => state = current,
            }
        }
    }
}

// === impl TokenBucket ===

impl TokenBucket {
    /// A full bucket. `rate` is in tokens a second; a capacity below one is one.
    pub fn new(rate: f64, capacity: u64, now_ns: u64) -> Self {
        let capacity = capacity.clamp(1, CAPACITY_MAX);
        Self {
            tally: Tally::new(capacity),
            start_ns: now_ns,
            fill_interval_ns: fill_interval_ns(rate),
            capacity,
        }
    }

    /// Takes one token; `false` when there is none.
    #[inline]
    pub fn take(&self, now_ns: u64) -> bool {
        let tick = now_ns.saturating_sub(self.start_ns) / self.fill_interval_ns;
        self.tally.update(|state| self.step(state, tick))
    }

    fn step(&self, state: u64, tick: u64) -> (u64, bool) {
        let (tokens, paid) = (state & CAPACITY_MAX, state >> TOKEN_BITS);
        debug_assert!(tokens <= self.capacity);
        if tokens > 0 {
            return (state - 1, true);
        }
        let due = tick.wrapping_sub(paid) & TICK_MASK;
        let lagging = TICK_MASK.saturating_sub(CLOCK_LAG_MAX_NS / self.fill_interval_ns + 1);
        if due == 0 || due > lagging {
            return (state, false);
        }
        let tokens = if due > self.capacity { self.capacity } else { due - 1 };
        ((tick & TICK_MASK) << TOKEN_BITS | tokens, true)
    }
}

/// The time for one token, at most a second times 10⁹ (as in the original) and at least a nanosecond.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 1e18")]
fn fill_interval_ns(rate: f64) -> u64 {
    let rate = if rate.is_nan() { 0.0 } else { rate };
    (1e9 / rate.clamp(1e-9, 1e9)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const SECOND: u64 = 1000 * MS;

    #[test]
    fn a_full_bucket_lets_its_capacity_through_at_once_and_then_one_each_interval() {
        let bucket = TokenBucket::new(10.0, 3, 5 * SECOND);
        let start = 5 * SECOND;
        let taken: Vec<bool> = (0..4).map(|_| bucket.take(start)).collect();
        assert_eq!(taken, [true, true, true, false]);
        assert!(!bucket.take(start + 99 * MS));
        assert!(bucket.take(start + 100 * MS));
        assert!(!bucket.take(start + 199 * MS));
        assert!(bucket.take(start + 200 * MS));
    }

    #[test]
    fn an_empty_bucket_gets_all_intervals_since_its_last_refill() {
        let bucket = TokenBucket::new(10.0, 5, 0);
        assert_eq!((0..9).filter(|_| bucket.take(0)).count(), 5);
        assert_eq!((0..9).filter(|_| bucket.take(350 * MS)).count(), 3);
        assert!(bucket.take(400 * MS), "the half interval was not lost");
    }

    /// krakend-ratelimit, `canConsume`: `tokens + tokensToAdd > capacity` returns before anything is paid.
    #[test]
    fn the_call_that_overfills_the_bucket_is_free() {
        let bucket = TokenBucket::new(10.0, 2, 0);
        assert_eq!((0..9).filter(|_| bucket.take(0)).count(), 2);
        assert_eq!((0..9).filter(|_| bucket.take(60 * SECOND)).count(), 3);
        let exact = TokenBucket::new(10.0, 2, 0);
        assert_eq!((0..9).filter(|_| exact.take(0)).count(), 2);
        assert_eq!((0..9).filter(|_| exact.take(200 * MS)).count(), 2, "exactly full is paid for");
    }

    #[test]
    fn a_clock_that_lags_behind_another_core_fills_nothing() {
        let bucket = TokenBucket::new(1000.0, 1, 0);
        assert!(bucket.take(0));
        assert!(bucket.take(50 * MS), "more than enough for one");
        assert!(bucket.take(50 * MS), "the overfilled bucket");
        assert!(!bucket.take(40 * MS));
        assert!(!bucket.take(50 * MS));
        assert!(bucket.take(51 * MS));

        let slow = TokenBucket::new(0.1, 1, 0);
        assert!(slow.take(0));
        assert!(slow.take(10 * SECOND));
        assert!(!slow.take(10 * SECOND - 1), "also across the border of a long interval");
    }

    #[test]
    fn odd_rates_and_capacities_are_brought_into_range() {
        assert_eq!(fill_interval_ns(0.0), 1_000_000_000_000_000_000);
        assert_eq!(fill_interval_ns(-3.0), 1_000_000_000_000_000_000);
        assert_eq!(fill_interval_ns(f64::NAN), 1_000_000_000_000_000_000);
        assert_eq!(fill_interval_ns(f64::INFINITY), 1);
        assert_eq!(fill_interval_ns(3.0), 333_333_333);
        let none = TokenBucket::new(0.0, 0, 0);
        assert!(none.take(0));
        assert!(!none.take(3600 * SECOND));
        assert!(TokenBucket::new(1e12, u64::MAX, 0).take(u64::MAX));
    }

    /// The original keeps a time and a count behind a mutex; ours must decide the same, call for call.
    #[test]
    fn any_sequence_of_calls_is_decided_as_by_the_original() {
        struct Model {
            tokens: u64,
            refilled_at: u64,
        }
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |below: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % below
        };
        for round in 0..300 {
            let hundredths = u32::try_from(100 + random(66_000)).expect("small");
            let (rate, capacity) = (f64::from(hundredths) / 100.0, 1 + random(20));
            let interval = fill_interval_ns(rate);
            let mut now = random(SECOND);
            let bucket = TokenBucket::new(rate, capacity, now);
            let mut model = Model { tokens: capacity, refilled_at: now };
            for call in 0..300 {
                now += random(interval * 3) * random(3);
                let add = (now - model.refilled_at) / interval;
                let allowed = if model.tokens > 0 {
                    model.tokens -= 1;
                    true
                } else if add == 0 {
                    false
                } else {
                    model.refilled_at += add * interval;
                    model.tokens = if add > capacity { capacity } else { add - 1 };
                    true
                };
                assert_eq!(bucket.take(now), allowed, "round {round}, call {call}");
            }
        }
    }

    #[test]
    fn cores_together_never_take_more_than_there_is() {
        let bucket = TokenBucket::new(1e-9, 50_000, 0);
        let cores: Vec<_> = (0..3)
            .map(|_| {
                let bucket = bucket.clone();
                std::thread::spawn(move || (0..40_000).filter(|_| bucket.take(1)).count())
            })
            .collect();
        let taken: usize = cores.into_iter().map(|core| core.join().expect("lives")).sum();
        assert_eq!(taken, 50_000);
    }
}
