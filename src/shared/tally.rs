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

/// How fast a bucket fills and how much it holds.
///
/// Follows krakend-ratelimit, tokenbucket.go: an empty bucket is refilled only when someone asks, with
/// the whole intervals since the last refill; the call that finds more than `capacity` of them pays
/// nothing. Intervals count from the bucket's creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    fill_interval_ns: u64,
    capacity: u64,
}

/// What is left in a bucket, for headers that tell clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Calls that would be let through now.
    pub remaining: u64,
    /// Until the next refill can be paid out; zero when it is due.
    pub refill_ns: u64,
}

/// Lets through `capacity` calls at once and one more every fill interval. Clones are the same bucket.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    tally: Tally,
    start_ns: u64,
    rate: Rate,
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

// === impl Rate ===

impl Rate {
    /// `rate` is in tokens a second; a capacity below one is one.
    pub fn new(rate: f64, capacity: u64) -> Self {
        let capacity = capacity.clamp(1, CAPACITY_MAX);
        Self { fill_interval_ns: fill_interval_ns(rate), capacity }
    }

    /// As many tokens as a bucket can hold.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// The state of a full bucket.
    pub(super) fn full(&self) -> u64 {
        self.capacity
    }

    /// Takes one token of a bucket that was made `age_ns` ago: the next state, and whether there was one.
    #[inline]
    pub(super) fn step(&self, state: u64, age_ns: u64) -> (u64, bool) {
        let tokens = state & CAPACITY_MAX;
        debug_assert!(tokens <= self.capacity);
        if tokens > 0 {
            return (state - 1, true);
        }
        let tick = age_ns / self.fill_interval_ns;
        let due = self.due(state, tick);
        if due == 0 {
            return (state, false);
        }
        let tokens = if due > self.capacity { self.capacity } else { due - 1 };
        ((tick & TICK_MASK) << TOKEN_BITS | tokens, true)
    }

    pub(super) fn standing(&self, state: u64, age_ns: u64) -> Standing {
        let tokens = state & CAPACITY_MAX;
        let tick = age_ns / self.fill_interval_ns;
        let due = self.due(state, tick);
        if due > 0 {
            let remaining = if tokens > 0 { tokens } else { due.min(self.capacity) };
            return Standing { remaining, refill_ns: 0 };
        }
        let refill_ns = self.fill_interval_ns - age_ns % self.fill_interval_ns;
        Standing { remaining: tokens, refill_ns }
    }

    /// Fill intervals that have not been paid out.
    fn due(&self, state: u64, tick: u64) -> u64 {
        let due = tick.wrapping_sub(state >> TOKEN_BITS) & TICK_MASK;
        let lagging = TICK_MASK.saturating_sub(CLOCK_LAG_MAX_NS / self.fill_interval_ns + 1);
        if due > lagging { 0 } else { due }
    }
}

// === impl TokenBucket ===

impl TokenBucket {
    /// A full bucket.
    pub fn new(rate: Rate, now_ns: u64) -> Self {
        Self { tally: Tally::new(rate.full()), start_ns: now_ns, rate }
    }

    /// Takes one token; `false` when there is none.
    #[inline]
    pub fn take(&self, now_ns: u64) -> bool {
        let age_ns = now_ns.saturating_sub(self.start_ns);
        self.tally.update(|state| self.rate.step(state, age_ns))
    }

    /// What is left; takes nothing.
    pub fn standing(&self, now_ns: u64) -> Standing {
        self.rate.standing(self.tally.get(), now_ns.saturating_sub(self.start_ns))
    }

    pub fn rate(&self) -> Rate {
        self.rate
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
    #![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "none below zero")]

    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;
    const SECOND: u64 = 1000 * MS;

    fn filled(rate: f64, capacity: u64, now_ns: u64) -> TokenBucket {
        TokenBucket::new(Rate::new(rate, capacity), now_ns)
    }

    #[test]
    fn a_full_bucket_lets_its_capacity_through_at_once_and_then_one_each_interval() {
        let bucket = filled(10.0, 3, 5 * SECOND);
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
        let bucket = filled(10.0, 5, 0);
        assert_eq!((0..9).filter(|_| bucket.take(0)).count(), 5);
        assert_eq!((0..9).filter(|_| bucket.take(350 * MS)).count(), 3);
        assert!(bucket.take(400 * MS), "the half interval was not lost");
    }

    /// krakend-ratelimit, `canConsume`: `tokens + tokensToAdd > capacity` returns before anything is paid.
    #[test]
    fn the_call_that_overfills_the_bucket_is_free() {
        let bucket = filled(10.0, 2, 0);
        assert_eq!((0..9).filter(|_| bucket.take(0)).count(), 2);
        assert_eq!((0..9).filter(|_| bucket.take(60 * SECOND)).count(), 3);
        let exact = filled(10.0, 2, 0);
        assert_eq!((0..9).filter(|_| exact.take(0)).count(), 2);
        assert_eq!((0..9).filter(|_| exact.take(200 * MS)).count(), 2, "exactly full is paid for");
    }

    #[test]
    fn what_is_left_is_told_without_taking_any() {
        let bucket = filled(10.0, 2, 0);
        assert_eq!(bucket.standing(30 * MS), Standing { remaining: 2, refill_ns: 70 * MS });
        assert!(bucket.take(30 * MS) && bucket.take(30 * MS));
        assert_eq!(bucket.standing(30 * MS), Standing { remaining: 0, refill_ns: 70 * MS });
        assert!(!bucket.take(30 * MS));
        assert_eq!(bucket.standing(100 * MS), Standing { remaining: 1, refill_ns: 0 });
        assert_eq!(bucket.standing(900 * MS), Standing { remaining: 2, refill_ns: 0 });
        assert!(bucket.take(100 * MS));
        assert_eq!(bucket.standing(150 * MS), Standing { remaining: 0, refill_ns: 50 * MS });
    }

    #[test]
    fn a_clock_that_lags_behind_another_core_fills_nothing() {
        let bucket = filled(1000.0, 1, 0);
        assert!(bucket.take(0));
        assert!(bucket.take(50 * MS), "more than enough for one");
        assert!(bucket.take(50 * MS), "the overfilled bucket");
        assert!(!bucket.take(40 * MS));
        assert!(!bucket.take(50 * MS));
        assert!(bucket.take(51 * MS));

        let slow = filled(0.1, 1, 0);
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
        let none = filled(0.0, 0, 0);
        assert!(none.take(0));
        assert!(!none.take(3600 * SECOND));
        assert!(filled(1e12, u64::MAX, 0).take(u64::MAX));
    }

    /// The original keeps a time and a count behind a mutex.
    struct Model {
        tokens: u64,
        refilled_at: u64,
    }

    impl Model {
        fn take(&mut self, interval: u64, capacity: u64, now: u64) -> bool {
            if self.tokens > 0 {
                self.tokens -= 1;
                return true;
            }
            let add = (now - self.refilled_at) / interval;
            if add == 0 {
                return false;
            }
            self.refilled_at += add * interval;
            self.tokens = if add > capacity { capacity } else { add - 1 };
            true
        }
    }

    proptest! {
        #[test]
        fn any_sequence_of_calls_is_decided_as_by_the_original(
            rate in 0.001_f64..5000.0,
            capacity in 1_u64..20,
            start in 0_u64..SECOND,
            pauses in prop::collection::vec(prop_oneof![Just(0.0), 0.0_f64..9.0], 1..300),
        ) {
            let interval = fill_interval_ns(rate);
            let bucket = filled(rate, capacity, start);
            let mut model = Model { tokens: capacity, refilled_at: start };
            let mut now = start;
            for pause in pauses {
                now += (interval as f64 * pause) as u64;
                let left = bucket.standing(now).remaining;
                let allowed = model.take(interval, capacity, now);
                prop_assert_eq!(left > 0, allowed, "what is told is what is done");
                prop_assert_eq!(bucket.take(now), allowed);
            }
        }
    }

    #[test]
    fn cores_together_never_take_more_than_there_is() {
        let bucket = filled(1e-9, 50_000, 0);
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
