//! `RetryBudget`: how many calls may be repeated, as a share of all calls, over all cores as one number without a lock.
//!
//! Time is cut into windows. In each, retries are at most a percentage of the calls that the window has seen, and a
//! minimum for each second of it that has begun. What is not used is not kept.

use super::tally::Tally;

/// How long calls are counted together.
pub const WINDOW_MS: u64 = 10_000;

const COUNT_BITS: u32 = 24;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const INDEX_MASK: u64 = (1 << (u64::BITS - 2 * COUNT_BITS)) - 1;

/// How many retries there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    pub percent: u64,
    pub min_per_s: u64,
}

/// A budget. Clones are the same budget.
#[derive(Clone, Debug)]
pub struct RetryBudget {
    tally: Tally,
    rules: Rules,
}

#[derive(Clone, Copy)]
struct Window {
    index: u64,
    calls: u64,
    retries: u64,
}

// === impl RetryBudget ===

impl RetryBudget {
    pub fn new(rules: Rules) -> RetryBudget {
        RetryBudget { tally: Tally::new(0), rules }
    }

    /// Counts a call that is no retry.
    pub fn note_call(&self, now_ms: u64) {
        self.tally.update(|word| {
            let window = Window::unpack(word).at(now_ms);
            let calls = (window.calls + 1).min(COUNT_MASK);
            (Window { calls, ..window }.pack(), ())
        });
    }

    /// Takes a retry; false when there is none left.
    pub fn take(&self, now_ms: u64) -> bool {
        self.tally.update(|word| {
            let window = Window::unpack(word).at(now_ms);
            let is_of_it = window.index == (now_ms / WINDOW_MS) & INDEX_MASK;
            let begun_s = if is_of_it { now_ms % WINDOW_MS / 1000 + 1 } else { 1 };
            let allowed = window.calls * self.rules.percent / 100 + self.rules.min_per_s * begun_s;
            if window.retries >= allowed.min(COUNT_MASK) {
                return (word, false);
            }
            (Window { retries: window.retries + 1, ..window }.pack(), true)
        })
    }
}

// === impl Window ===

impl Window {
    fn unpack(word: u64) -> Window {
        Window {
            index: word >> (2 * COUNT_BITS),
            calls: (word >> COUNT_BITS) & COUNT_MASK,
            retries: word & COUNT_MASK,
        }
    }

    fn pack(self) -> u64 {
        self.index << (2 * COUNT_BITS) | self.calls << COUNT_BITS | self.retries
    }

    /// The window of this moment. Cores read clocks that lag a little: one that comes late counts in the window that is.
    fn at(self, now_ms: u64) -> Window {
        let index = (now_ms / WINDOW_MS) & INDEX_MASK;
        let is_behind = self.index.wrapping_sub(index) & INDEX_MASK == 1;
        if index == self.index || is_behind {
            return self;
        }
        Window { index, calls: 0, retries: 0 }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn taken(budget: &RetryBudget, now_ms: u64) -> usize {
        (0..1000).take_while(|_| budget.take(now_ms)).count()
    }

    #[test]
    fn there_is_a_minimum_for_each_second_and_a_share_of_the_calls() {
        let budget = RetryBudget::new(Rules { percent: 20, min_per_s: 3 });
        assert_eq!(taken(&budget, 500), 3);
        assert_eq!(taken(&budget, 999), 0);
        (0..100).for_each(|_| budget.note_call(1000));
        assert_eq!(taken(&budget, 1000), 23);
        assert_eq!(taken(&budget, 9_999), 24, "eight seconds more have begun");
        assert_eq!(taken(&budget, 10_000), 3, "nothing is kept for the next window");
    }

    #[test]
    fn without_a_minimum_a_single_call_is_not_repeated() {
        let budget = RetryBudget::new(Rules { percent: 50, min_per_s: 0 });
        budget.note_call(5);
        assert!(!budget.take(5));
        budget.note_call(6);
        assert!(budget.take(6) && !budget.take(7));
    }

    #[test]
    fn cores_that_take_at_the_same_time_share_one_budget() {
        let budget = RetryBudget::new(Rules { percent: 0, min_per_s: 100 });
        let cores: Vec<_> = (0..4)
            .map(|_| {
                let budget = budget.clone();
                std::thread::spawn(move || taken(&budget, 10))
            })
            .collect();
        let all: usize = cores.into_iter().map(|core| core.join().expect("it lives")).sum();
        assert_eq!(all, 100);
    }

    proptest! {
        #[test]
        fn the_budget_is_never_exceeded(
            percent in 0_u64..=100,
            min_per_s in 0_u64..5,
            steps in prop::collection::vec((0_u64..1500, 0_u8..4), 1..400),
        ) {
            let budget = RetryBudget::new(Rules { percent, min_per_s });
            let (mut now_ms, mut windows) = (1, BTreeMap::<u64, (u64, u64)>::new());
            for (pause_ms, what) in steps {
                now_ms += pause_ms;
                let (calls, retries) = windows.entry(now_ms / WINDOW_MS).or_default();
                if what == 0 {
                    budget.note_call(now_ms);
                    *calls += 1;
                } else if budget.take(now_ms) {
                    *retries += 1;
                }
                let begun_s = now_ms % WINDOW_MS / 1000 + 1;
                prop_assert!(*retries <= *calls * percent / 100 + min_per_s * begun_s);
            }
        }
    }
}
