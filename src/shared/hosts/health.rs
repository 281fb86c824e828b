//! `Health`: whether a host is up, as far as its health checks tell; `Checks`: all hosts that are checked in one way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;

use super::share::{self, WHOLE};
use crate::shared::tally::Tally;
use crate::shared::turn::Turn;

/// The largest threshold.
pub const THRESHOLD_MAX: u64 = (1 << STREAK_BITS) - 1;
/// Hosts that are checked in one way; those beyond count as up.
const HOSTS_MAX: usize = 4096;

const STREAK_BITS: u32 = 14;
const SINCE_BITS: u32 = 40;
const SINCE_MASK: u64 = (1 << SINCE_BITS) - 1;

/// How many results in a row change what a host counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    pub healthy: u64,
    pub unhealthy: u64,
}

/// A host that is checked. It counts as up until its checks say otherwise.
#[derive(Debug)]
pub struct Health {
    state: Tally,
    passed: AtomicU64,
    failed: AtomicU64,
    told: Told,
}

/// What [`Health::take_news`] has said already.
#[derive(Debug, Default)]
struct Told {
    passed: AtomicU64,
    failed: AtomicU64,
    is_down: AtomicBool,
}

/// What is new since somebody asked last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HealthNews {
    pub passed: u64,
    pub failed: u64,
    pub change: Option<Change>,
}

/// What one check has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Up,
    Down,
}

/// The hosts that are checked in one way, by their origins. Those who call them keep them in it.
pub struct Checks {
    hosts: ArcSwap<BTreeMap<Box<str>, Arc<Health>>>,
    /// When the last host that was down has its whole share again; never, while one is down.
    calm_at_ms: AtomicU64,
    /// The task of the latest plan checks.
    pub turn: Turn,
}

#[derive(Clone, Copy)]
struct Parts {
    is_down: bool,
    /// Results in a row that speak against the state.
    streak: u64,
    /// When it came up again; 0: it was never down.
    since_ms: u64,
}

// === impl Health ===

impl Health {
    pub fn new() -> Health {
        let (passed, failed) = (AtomicU64::new(0), AtomicU64::new(0));
        Health { state: Tally::new(0), passed, failed, told: Told::default() }
    }

    /// Notes a result.
    pub fn note(&self, has_passed: bool, thresholds: Thresholds, now_ms: u64) -> Option<Change> {
        let counter = if has_passed { &self.passed } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        self.state.update(|word| {
            let (next, change) = Parts::unpack(word).noted(has_passed, thresholds, now_ms);
            (next.pack(), change)
        })
    }

    pub fn is_down(&self) -> bool {
        Parts::unpack(self.state.get()).is_down
    }

    /// The host's share of the calls in thousandths; 0 while it is down.
    pub fn share(&self, return_ms: u64, now_ms: u64) -> u64 {
        match Parts::unpack(self.state.get()) {
            Parts { is_down: true, .. } => 0,
            Parts { since_ms: 0, .. } => WHOLE,
            Parts { since_ms, .. } => share::growing(now_ms.saturating_sub(since_ms), return_ms),
        }
    }

    /// Checks that have passed and that have failed.
    pub fn counts(&self) -> (u64, u64) {
        (self.passed.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }

    /// What has happened since the last call, each thing once.
    pub fn take_news(&self) -> HealthNews {
        let (passed, failed) = self.counts();
        let is_down = self.is_down();
        let change = if is_down { Change::Down } else { Change::Up };
        HealthNews {
            passed: passed.saturating_sub(self.told.passed.swap(passed, Ordering::Relaxed)),
            failed: failed.saturating_sub(self.told.failed.swap(failed, Ordering::Relaxed)),
            change: (self.told.is_down.swap(is_down, Ordering::Relaxed) != is_down)
                .then_some(change),
        }
    }

    fn calm_at_ms(&self, return_ms: u64) -> u64 {
        match Parts::unpack(self.state.get()) {
            Parts { is_down: true, .. } => u64::MAX,
            Parts { since_ms: 0, .. } => 0,
            Parts { since_ms, .. } => since_ms + return_ms,
        }
    }
}

impl Default for Health {
    fn default() -> Health {
        Health::new()
    }
}

// === impl Parts ===

impl Parts {
    fn unpack(word: u64) -> Parts {
        Parts {
            is_down: word >> (STREAK_BITS + SINCE_BITS) == 1,
            streak: (word >> SINCE_BITS) & THRESHOLD_MAX,
            since_ms: word & SINCE_MASK,
        }
    }

    fn pack(self) -> u64 {
        u64::from(self.is_down) << (STREAK_BITS + SINCE_BITS)
            | self.streak << SINCE_BITS
            | self.since_ms
    }

    fn noted(
        self,
        has_passed: bool,
        thresholds: Thresholds,
        now_ms: u64,
    ) -> (Parts, Option<Change>) {
        if has_passed != self.is_down {
            return (Parts { streak: 0, ..self }, None);
        }
        let needed = if has_passed { thresholds.healthy } else { thresholds.unhealthy };
        let streak = (self.streak + 1).min(THRESHOLD_MAX);
        if streak < needed {
            return (Parts { streak, ..self }, None);
        }
        let since_ms = if has_passed { now_ms.clamp(1, SINCE_MASK) } else { 0 };
        let change = if has_passed { Change::Up } else { Change::Down };
        (Parts { is_down: !has_passed, streak: 0, since_ms }, Some(change))
    }
}

// === impl Checks ===

impl Checks {
    pub fn new() -> Checks {
        Checks { hosts: ArcSwap::default(), calm_at_ms: AtomicU64::new(0), turn: Turn::default() }
    }

    /// The state of a host, which is checked from now on, as long as somebody keeps it; `None`: there are too many.
    pub fn of(&self, origin: &str) -> Option<Arc<Health>> {
        if let Some(known) = self.hosts.load().get(origin) {
            return Some(known.clone());
        }
        let fresh = Arc::new(Health::new());
        self.hosts.rcu(|hosts| {
            let mut next = BTreeMap::clone(hosts);
            if next.len() < HOSTS_MAX {
                next.entry(origin.into()).or_insert_with(|| fresh.clone());
            }
            next
        });
        self.hosts.load().get(origin).cloned()
    }

    /// All hosts that somebody calls; the others are forgotten.
    pub fn in_use(&self) -> Vec<(Box<str>, Arc<Health>)> {
        // The table itself and this look at it hold one count each.
        let is_used = |health: &Arc<Health>| Arc::strong_count(health) > 1;
        if !self.hosts.load().values().all(is_used) {
            self.hosts.rcu(|hosts| {
                let mut next = BTreeMap::clone(hosts);
                // Cloned a line above, so each count is one higher.
                next.retain(|_, health| Arc::strong_count(health) > 2);
                next
            });
        }
        let hosts = self.hosts.load();
        hosts.iter().map(|(origin, health)| (origin.clone(), health.clone())).collect()
    }

    /// Whether all hosts have their whole share, so that nobody needs to look at each of them.
    pub fn are_calm(&self, now_ms: u64) -> bool {
        self.calm_at_ms.load(Ordering::Acquire) <= now_ms
    }

    /// Looks at all hosts after one of them has changed; `return_ms` is how long their shares grow.
    pub fn look(&self, return_ms: u64) {
        let hosts = self.hosts.load();
        let calm_at_ms = hosts.values().map(|health| health.calm_at_ms(return_ms)).max();
        self.calm_at_ms.store(calm_at_ms.unwrap_or(0), Ordering::Release);
    }
}

impl Default for Checks {
    fn default() -> Checks {
        Checks::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRESHOLDS: Thresholds = Thresholds { healthy: 2, unhealthy: 3 };

    #[test]
    fn a_host_is_up_until_so_many_checks_in_a_row_have_failed() {
        let health = Health::new();
        let note = |has_passed, now_ms| health.note(has_passed, THRESHOLDS, now_ms);
        assert!(!health.is_down(), "nothing is known");
        for has_passed in [false, false, true, false, false] {
            assert_eq!(note(has_passed, 5), None);
        }
        assert_eq!(note(false, 6), Some(Change::Down));
        assert_eq!((note(false, 7), health.share(100, 7)), (None, 0));
        assert_eq!((note(true, 8), note(false, 9), note(true, 10)), (None, None, None));
        assert_eq!(note(true, 50), Some(Change::Up));
        assert_eq!(note(true, 60), None);
        assert_eq!((health.share(100, 50), health.share(100, 150)), (100, WHOLE));
        assert_eq!(health.counts(), (5, 7));
        let news = HealthNews { passed: 5, failed: 7, change: None };
        assert_eq!((health.take_news(), health.take_news()), (news, HealthNews::default()));
        (0..3).for_each(|_| _ = note(false, 70));
        assert_eq!(health.take_news().change, Some(Change::Down));
    }

    #[test]
    fn a_host_that_was_never_down_has_its_whole_share() {
        let health = Health::new();
        health.note(true, THRESHOLDS, 5);
        assert_eq!(health.share(10_000, 6), WHOLE);
    }

    #[test]
    fn hosts_are_the_same_for_all_and_forgotten_when_nobody_calls_them() {
        let checks = Checks::new();
        let (first, again) = (checks.of("http://a"), checks.of("http://a"));
        assert!(Arc::ptr_eq(first.as_ref().unwrap(), again.as_ref().unwrap()));
        let other = checks.of("http://b");
        assert_eq!(checks.in_use().len(), 2);
        drop((first, again));
        let left: Vec<Box<str>> = checks.in_use().into_iter().map(|(origin, _)| origin).collect();
        assert_eq!(left, [Box::<str>::from("http://b")]);
        drop(other);
        assert!(checks.in_use().is_empty());
    }

    #[test]
    fn checks_are_calm_when_no_host_is_down_or_coming_back() {
        let checks = Checks::new();
        let host = checks.of("http://a").unwrap();
        assert!(checks.are_calm(0));
        (0..3).for_each(|_| _ = host.note(false, THRESHOLDS, 10));
        checks.look(100);
        assert!(!checks.are_calm(1_000_000));
        (0..2).for_each(|_| _ = host.note(true, THRESHOLDS, 500));
        checks.look(100);
        assert!(!checks.are_calm(599) && checks.are_calm(600));
    }
}
