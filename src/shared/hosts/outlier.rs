//! `Outlier`: what calls tell of one host, and until when it is ejected because of it.
//!
//! Two rules, as in Envoy's outlier detection: so many failures in a row, and a share of failures within a window. All
//! is kept in words that cores change without a lock; the clock comes from the caller.

use super::share::{self, WHOLE};
use crate::shared::tally::Tally;

/// The most failures in a row that a rule can ask for.
pub const CONSECUTIVE_MAX: u64 = 100_000;
/// The most requests that a window can ask for.
pub const REQUESTS_MIN_MAX: u64 = 100_000;

const TOTAL_BITS: u32 = 20;
const TOTAL_MASK: u64 = (1 << TOTAL_BITS) - 1;
const WINDOW_MASK: u64 = (1 << (u64::BITS - 2 * TOTAL_BITS)) - 1;

/// Moments in milliseconds of the process; 40 bits are 34 years.
const UNTIL_BITS: u32 = 40;
const UNTIL_MASK: u64 = (1 << UNTIL_BITS) - 1;
const COUNT_MAX: u64 = 1000;

/// When a host is ejected, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// So many failures in a row.
    pub consecutive: u64,
    /// Or such a share of the calls; `None`: no such rule.
    pub ratio: Option<Ratio>,
    /// The first ejection. The next one is longer by as much, and so on.
    pub ejection_ms: u64,
    pub ejection_max_ms: u64,
    /// At most so many percent of the hosts are ejected at a time.
    pub ejected_percent_max: u64,
    /// How long a host's share grows after an ejection; 0 gives it all of it at once.
    pub return_ms: u64,
    /// Statuses that count as failures, ascending.
    pub statuses: Box<[u16]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ratio {
    pub percent: u64,
    pub window_ms: u64,
    /// A window with fewer calls says nothing.
    pub requests_min: u64,
}

/// One host, over all cores.
#[derive(Debug)]
pub struct Outlier {
    /// Failures in a row.
    in_row: Tally,
    /// Which window it is, its calls and its failures.
    window: Tally,
    /// The number of ejections that count, and the end of the last one.
    ejection: Tally,
}

#[derive(Clone, Copy)]
struct Window {
    index: u64,
    total: u64,
    failures: u64,
}

#[derive(Clone, Copy)]
struct Ejection {
    count: u64,
    /// 0: there was none.
    until_ms: u64,
}

// === impl Rules ===

impl Rules {
    /// How many of `hosts` may be ejected at a time: the share, but one where there are several, and never all.
    pub fn ejected_max(&self, hosts: usize) -> usize {
        let share = usize::try_from(hosts as u64 * self.ejected_percent_max / 100);
        share.unwrap_or(hosts).max(1).min(hosts.saturating_sub(1))
    }
}

// === impl Outlier ===

impl Outlier {
    /// A host that nothing is known of.
    pub fn new() -> Outlier {
        Outlier { in_row: Tally::new(0), window: Tally::new(0), ejection: Tally::new(0) }
    }

    /// Notes the end of a call; true when the host should be ejected. What ends while it is ejected began before, or is
    /// one of those that go everywhere, and tells nothing.
    pub fn note(&self, rules: &Rules, is_failure: bool, now_ms: u64) -> bool {
        if self.is_ejected(now_ms) {
            return false;
        }
        let in_row = self.in_row.update(|count| {
            let next = if is_failure { (count + 1).min(CONSECUTIVE_MAX) } else { 0 };
            (next, next)
        });
        let is_often = rules.ratio.as_ref().is_some_and(|ratio| {
            let window = self.window.update(|word| {
                let window = Window::unpack(word).counted(ratio, is_failure, now_ms);
                (window.pack(), window)
            });
            is_failure
                && window.total >= ratio.requests_min
                && window.failures * 100 >= window.total * ratio.percent
        });
        is_failure && (in_row >= rules.consecutive || is_often)
    }

    /// Ejects the host and says for how long, in milliseconds.
    pub fn eject(&self, rules: &Rules, now_ms: u64) -> u64 {
        self.in_row.update(|_| (0, ()));
        self.window.update(|_| (0, ()));
        self.ejection.update(|word| {
            let before = Ejection::unpack(word);
            let count = (before.remembered(rules, now_ms) + 1).min(COUNT_MAX);
            let length_ms = rules.ejection_ms.saturating_mul(count).min(rules.ejection_max_ms);
            let until_ms = (now_ms + length_ms).min(UNTIL_MASK);
            (Ejection { count, until_ms }.pack(), length_ms)
        })
    }

    pub fn is_ejected(&self, now_ms: u64) -> bool {
        self.ends_ms() > now_ms
    }

    /// When the last ejection ends, or ended; 0 where there was none.
    pub fn ends_ms(&self) -> u64 {
        Ejection::unpack(self.ejection.get()).until_ms
    }

    /// The host's share of the calls in thousandths; 0 while it is ejected.
    pub fn share(&self, rules: &Rules, now_ms: u64) -> u64 {
        match self.ends_ms() {
            0 => WHOLE,
            until_ms if until_ms > now_ms => 0,
            until_ms => share::growing(now_ms - until_ms, rules.return_ms),
        }
    }
}

impl Default for Outlier {
    fn default() -> Outlier {
        Outlier::new()
    }
}

// === impl Window, Ejection ===

impl Window {
    fn unpack(word: u64) -> Window {
        Window {
            index: word >> (2 * TOTAL_BITS),
            total: (word >> TOTAL_BITS) & TOTAL_MASK,
            failures: word & TOTAL_MASK,
        }
    }

    fn pack(self) -> u64 {
        self.index << (2 * TOTAL_BITS) | self.total << TOTAL_BITS | self.failures
    }

    /// With one call more, in the window of this moment.
    fn counted(self, ratio: &Ratio, is_failure: bool, now_ms: u64) -> Window {
        let index = (now_ms / ratio.window_ms.max(1)) & WINDOW_MASK;
        let (total, failures) =
            if index == self.index { (self.total, self.failures) } else { (0, 0) };
        if total == TOTAL_MASK {
            // So many calls in one window: what is to be said of it has been said.
            return Window { index, total, failures };
        }
        Window { index, total: total + 1, failures: failures + u64::from(is_failure) }
    }
}

impl Ejection {
    fn unpack(word: u64) -> Ejection {
        Ejection { count: word >> UNTIL_BITS, until_ms: word & UNTIL_MASK }
    }

    fn pack(self) -> u64 {
        self.count << UNTIL_BITS | self.until_ms
    }

    /// Ejections that still count: for each first length that has passed since the return, one is forgotten.
    fn remembered(self, rules: &Rules, now_ms: u64) -> u64 {
        let forgotten = now_ms.saturating_sub(self.until_ms) / rules.ejection_ms.max(1);
        self.count.saturating_sub(forgotten)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub fn rules() -> Rules {
        Rules {
            consecutive: 3,
            ratio: None,
            ejection_ms: 1000,
            ejection_max_ms: 2500,
            ejected_percent_max: 50,
            return_ms: 100,
            statuses: [502, 503].into(),
        }
    }

    #[test]
    fn failures_in_a_row_eject_and_a_success_between_them_does_not() {
        let (outlier, rules) = (Outlier::new(), rules());
        for is_failure in [true, true, false, true, true] {
            assert!(!outlier.note(&rules, is_failure, 10));
        }
        assert!(outlier.note(&rules, true, 10));
        assert_eq!(outlier.eject(&rules, 10), 1000);
        assert!(outlier.is_ejected(1009) && !outlier.is_ejected(1010));
        assert!(!outlier.note(&rules, true, 500), "ejected already");
        assert!(!outlier.note(&rules, true, 1010), "the row begins anew");
    }

    #[test]
    fn a_share_of_failures_ejects_once_there_are_enough_calls() {
        let ratio = Some(Ratio { percent: 50, window_ms: 1000, requests_min: 10 });
        let (outlier, rules) =
            (Outlier::new(), Rules { consecutive: CONSECUTIVE_MAX, ratio, ..rules() });
        for _ in 0..4 {
            assert!(!outlier.note(&rules, true, 100), "too few calls");
            assert!(!outlier.note(&rules, false, 100));
        }
        assert!(!outlier.note(&rules, true, 100), "nine calls");
        assert!(outlier.note(&rules, true, 100), "six of ten");
        let fresh = Outlier::new();
        for at in 0..20 {
            assert!(!fresh.note(&rules, true, at * 400), "spread over windows");
        }
    }

    #[test]
    fn ejections_grow_up_to_the_longest_and_are_forgotten_with_time() {
        let (outlier, rules) = (Outlier::new(), rules());
        let mut now_ms = 1;
        for expected in [1000, 2000, 2500, 2500] {
            assert_eq!(outlier.eject(&rules, now_ms), expected);
            now_ms += expected;
        }
        assert_eq!(outlier.eject(&rules, now_ms + 3000), 2000, "three of four are forgotten");
        assert_eq!(outlier.eject(&rules, now_ms + 1_000_000), 1000, "all are");
    }

    #[test]
    fn never_all_hosts_are_ejected() {
        let with = |percent| Rules { ejected_percent_max: percent, ..rules() };
        for (percent, hosts, most) in
            [(50, 0, 0), (50, 1, 0), (100, 1, 0), (50, 2, 1), (10, 5, 1), (50, 5, 2), (100, 5, 4)]
        {
            assert_eq!(with(percent).ejected_max(hosts), most, "{percent} % of {hosts}");
        }
    }

    proptest! {
        /// Between two ejections the share never falls, and it is nothing exactly while the host is ejected.
        #[test]
        fn a_return_is_monotone(
            return_ms in 0_u64..5000,
            steps in prop::collection::vec((0_u64..700, any::<bool>()), 1..200),
        ) {
            let (outlier, rules) = (Outlier::new(), Rules { return_ms, ..rules() });
            let (mut now_ms, mut last) = (1, WHOLE);
            for (pause_ms, is_failure) in steps {
                now_ms += pause_ms;
                let share = outlier.share(&rules, now_ms);
                prop_assert!(share >= last, "{} after {}", share, last);
                prop_assert_eq!(share == 0, outlier.is_ejected(now_ms));
                last = share;
                if outlier.note(&rules, is_failure, now_ms) {
                    let length_ms = outlier.eject(&rules, now_ms);
                    prop_assert!((rules.ejection_ms..=rules.ejection_max_ms).contains(&length_ms));
                    last = 0;
                }
            }
        }
    }
}
