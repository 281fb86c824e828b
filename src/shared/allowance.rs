//! `Allowance`: what a node believes to be left of a quota that all nodes count in.
//!
//! Cores count in one number, and stop at another one, which the control thread sets: it knows how much all nodes have used
//! in the windows of the quota's limits as of the last exchange, and which of them end next.

use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use super::client_table::Entry;
use super::period::{Period, Window};

/// Limits of one quota: one for each period.
pub const LIMITS_MAX: usize = super::period::ALL.len();

const NS_PER_S: i64 = 1_000_000_000;

/// So much in each of its windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub amount: u64,
    pub period: Period,
}

/// The limits that hold together, at least one and at most [`LIMITS_MAX`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits(Vec<Limit>);

/// Counted in by all cores of a node.
#[derive(Debug, Default)]
pub struct Allowance {
    /// Since the entry began.
    taken: AtomicU64,
    /// When the windows end, one after the other, on this machine's monotonic clock.
    ends_ns: [AtomicU64; LIMITS_MAX],
    /// Where `taken` must stop: now, and after each of the ends.
    untils: [AtomicU64; LIMITS_MAX + 1],
    /// The limit that is nearest to its end: which one it is, what is used of it beside `taken`, when its window ends.
    nearest: AtomicUsize,
    used_beside: AtomicI64,
    reset_ns: AtomicU64,
}

/// What the control thread knows of a client.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllowanceNotes {
    told: u64,
    counts: [Count; LIMITS_MAX],
    /// What this node, and what the others, use between two exchanges; smoothed.
    own_pace: f64,
    others_pace: f64,
}

/// Of one limit in its present window.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    window: Window,
    /// By all nodes, as far as is known here.
    used: u64,
    /// By this node, and not yet told.
    owed: u64,
    is_known: bool,
}

/// Where a client stands in the limit that is nearest to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    pub amount: u64,
    pub remaining: u64,
    /// Until the window ends; at least one.
    pub reset_s: u64,
}

/// What is to be told of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owed {
    pub limit: usize,
    pub window: Window,
    pub used: u64,
}

/// The same moment on two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// This machine's.
    pub monotonic_ns: u64,
    /// That which all nodes share, since 1970.
    pub unix_ns: i64,
}

// === impl Limits ===

impl Limits {
    /// `None`: there are none, or too many.
    pub fn new(limits: Vec<Limit>) -> Option<Limits> {
        (1..=LIMITS_MAX).contains(&limits.len()).then_some(Limits(limits))
    }

    pub fn all(&self) -> &[Limit] {
        &self.0
    }

    fn amount(&self, limit: usize) -> u64 {
        self.0.get(limit).map_or(0, |limit| limit.amount)
    }
}

// === impl Allowance ===

impl Allowance {
    /// Takes one; `false` when nothing is left.
    pub fn take(&self, now_ns: u64) -> bool {
        let mut taken = self.taken.load(Ordering::Acquire);
        loop {
            if taken >= self.until(now_ns) {
                return false;
            }
            let swap = self.taken.compare_exchange_weak(
                taken,
                taken + 1,
                Ordering::SeqCst,
                Ordering::Acquire,
            );
            match swap {
                Ok(_) => return true,
                Err(current) => taken = current,
            }
        }
    }

    /// Whether anything is left.
    pub fn has_any(&self, now_ns: u64) -> bool {
        self.taken.load(Ordering::Acquire) < self.until(now_ns)
    }

    /// Counts what has been used already, also beyond the limit.
    pub fn charge(&self, amount: u64) {
        // Far below where adding could overflow.
        self.taken.fetch_add(amount.min(1 << 48), Ordering::SeqCst);
    }

    pub fn left(&self, limits: &Limits, now_ns: u64) -> Left {
        let amount = limits.amount(self.nearest.load(Ordering::Relaxed));
        let taken = i64::try_from(self.taken.load(Ordering::Acquire)).unwrap_or(i64::MAX);
        let used = self.used_beside.load(Ordering::Relaxed).saturating_add(taken);
        let reset_ns = self.reset_ns.load(Ordering::Relaxed).saturating_sub(now_ns);
        Left {
            amount,
            remaining: amount.saturating_sub(u64::try_from(used).unwrap_or(0)),
            reset_s: reset_ns.div_ceil(1_000_000_000).max(1),
        }
    }

    /// A client may come back after a long time: what has ended meanwhile holds nobody up.
    fn until(&self, now_ns: u64) -> u64 {
        let has_ended = |end_ns: &&AtomicU64| end_ns.load(Ordering::Acquire) <= now_ns;
        let ended = self.ends_ns.iter().take_while(has_ended).count();
        self.untils.get(ended).map_or(0, |until| until.load(Ordering::Acquire))
    }

    /// Takes note of what was used here, begins the windows anew that have ended, and tells the cores how much is left.
    pub fn roll(&self, limits: &Limits, notes: &mut AllowanceNotes, now: Moment) {
        let taken = self.taken.load(Ordering::SeqCst);
        let used = taken.saturating_sub(std::mem::replace(&mut notes.told, taken));
        for (limit, count) in limits.all().iter().zip(&mut notes.counts) {
            let window = limit.period.window(now.unix_ns.div_euclid(NS_PER_S));
            if count.window != window {
                *count = Count { window, ..Count::default() };
            }
            count.used = count.used.saturating_add(used);
            count.owed = count.owed.saturating_add(used);
        }
        self.tell(limits, notes, now);
    }

    /// All nodes have used so much in this window of this limit, what was owed included. `told` is what this node had told.
    pub fn learn(&self, notes: &mut AllowanceNotes, owed: Owed, used_by_all: u64) {
        let AllowanceNotes { counts, own_pace, others_pace, .. } = notes;
        let Some(count) = counts.get_mut(owed.limit).filter(|count| count.window == owed.window)
        else {
            return;
        };
        let used = used_by_all.saturating_add(count.owed);
        let others = used.saturating_sub(count.used);
        if std::mem::replace(&mut count.is_known, true) && owed.limit == 0 {
            *own_pace += 0.3 * (owed.used as f64 - *own_pace);
            *others_pace += 0.3 * (others as f64 - *others_pace);
        }
        count.used = used;
    }

    /// Tells the cores what [`Allowance::learn`] has brought.
    pub fn tell(&self, limits: &Limits, notes: &AllowanceNotes, now: Moment) {
        let counts = || limits.all().iter().zip(&notes.counts).enumerate();
        let remaining = |limit: &Limit, count: &Count| limit.amount.saturating_sub(count.used);
        let monotonic_ns = |at_s: i64| {
            let ahead_ns = at_s.saturating_mul(NS_PER_S).saturating_sub(now.unix_ns);
            now.monotonic_ns.saturating_add_signed(ahead_ns)
        };
        let nearest = counts().min_by_key(|(_, (limit, count))| remaining(limit, count));
        if let Some((index, (_, count))) = nearest {
            let beside = i64::try_from(count.used).unwrap_or(i64::MAX);
            let told = i64::try_from(notes.told).unwrap_or(i64::MAX);
            self.used_beside.store(beside.saturating_sub(told), Ordering::Relaxed);
            self.reset_ns.store(monotonic_ns(count.window.end_s), Ordering::Relaxed);
            self.nearest.store(index, Ordering::Relaxed);
        }
        let mut ends_s = [i64::MAX; LIMITS_MAX];
        counts().zip(&mut ends_s).for_each(|((_, (_, count)), end_s)| *end_s = count.window.end_s);
        ends_s.sort_unstable();
        let left_after = |end_s: i64| {
            let left = counts().map(|(_, (limit, count))| match count.window.end_s <= end_s {
                true => limit.amount,
                false => remaining(limit, count),
            });
            left.min().unwrap_or(0)
        };
        let until = |left: u64| notes.told.saturating_add(left);
        let [now_until, later @ ..] = &self.untils;
        now_until.store(until(notes.share(left_after(i64::MIN))), Ordering::Release);
        for ((end_s, end_ns), until_then) in ends_s.iter().zip(&self.ends_ns).zip(later) {
            until_then.store(until(left_after(*end_s)), Ordering::Release);
            end_ns.store(monotonic_ns(*end_s), Ordering::Release);
        }
    }
}

impl Entry for Allowance {
    type Rules = Limits;
    type Notes = AllowanceNotes;

    /// A client that was never met here has used nothing, until the first exchange says more.
    fn begin(&self, limits: &Limits, now_ns: u64) {
        let least = limits.all().iter().enumerate().min_by_key(|(_, limit)| limit.amount);
        let (nearest, amount) = least.map_or((0, 0), |(index, limit)| (index, limit.amount));
        self.taken.store(0, Ordering::SeqCst);
        self.untils.iter().for_each(|until| until.store(amount, Ordering::Release));
        self.ends_ns.iter().for_each(|end_ns| end_ns.store(u64::MAX, Ordering::Release));
        self.nearest.store(nearest, Ordering::Relaxed);
        self.used_beside.store(0, Ordering::Relaxed);
        self.reset_ns.store(now_ns, Ordering::Relaxed);
    }
}

// === impl AllowanceNotes ===

impl AllowanceNotes {
    /// Takes what is to be told; where nothing is, limits of which nothing is known yet are asked for.
    pub fn owed(&mut self, limits: &Limits) -> Vec<Owed> {
        let is_news = self
            .counts
            .iter()
            .zip(limits.all())
            .any(|(count, _)| count.owed > 0 || !count.is_known);
        let counts = limits.all().iter().zip(&mut self.counts).enumerate();
        counts
            .filter(|_| is_news)
            .map(|(limit, (_, count))| {
                let used = std::mem::take(&mut count.owed);
                Owed { limit, window: count.window, used }
            })
            .collect()
    }

    /// Something has been used that nobody was told.
    pub fn is_owing(&self) -> bool {
        self.counts.iter().any(|count| count.owed > 0)
    }

    /// What this node may use of what is left until the next exchange: what the others do not use, and at least as much as it
    /// uses itself in proportion.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "floats saturate")]
    fn share(&self, left: u64) -> u64 {
        let all = self.own_pace + self.others_pace;
        if left == 0 || self.others_pace <= 0.0 {
            return left;
        }
        let spare = (left as f64 - self.others_pace) / left as f64;
        let share = (self.own_pace / all).max(spare).clamp(0.0, 1.0);
        ((left as f64 * share) as u64).clamp(1, left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    /// A minute begins.
    const START_S: i64 = 1_700_000_040;

    fn limits(limits: &[(u64, Period)]) -> Limits {
        let limits =
            limits.iter().map(|(amount, period)| Limit { amount: *amount, period: *period });
        Limits::new(limits.collect()).expect("some")
    }

    fn at(seconds: u64) -> Moment {
        let unix_ns = (START_S + i64::try_from(seconds).expect("small")) * NS_PER_S;
        Moment { monotonic_ns: seconds * SECOND, unix_ns }
    }

    fn begun(limits: &Limits) -> (Allowance, AllowanceNotes) {
        let allowance = Allowance::default();
        allowance.begin(limits, 0);
        (allowance, AllowanceNotes::default())
    }

    fn takes(allowance: &Allowance, seconds: u64) -> usize {
        (0..1000).take_while(|_| allowance.take(seconds * SECOND)).count()
    }

    #[test]
    fn a_node_alone_keeps_all_limits_window_by_window() {
        let limits = limits(&[(5, Period::Minute), (8, Period::Hour)]);
        let (allowance, mut notes) = begun(&limits);
        assert_eq!(takes(&allowance, 0), 5);
        allowance.roll(&limits, &mut notes, at(1));
        assert_eq!(takes(&allowance, 1), 0);
        let left = Left { amount: 5, remaining: 0, reset_s: 59 };
        assert_eq!(allowance.left(&limits, SECOND), left);
        // The next minute begins by itself; of the hour three are left.
        assert_eq!(takes(&allowance, 61), 3);
        allowance.roll(&limits, &mut notes, at(62));
        assert_eq!(takes(&allowance, 62), 0);
        assert_eq!(allowance.left(&limits, 62 * SECOND).amount, 8);
        allowance.roll(&limits, &mut notes, at(130));
        assert_eq!(takes(&allowance, 130), 0, "a new minute does not help");
        assert_eq!(takes(&allowance, 7200), 5, "and after a long pause all is new");
    }

    #[test]
    fn what_others_have_used_is_taken_off() {
        let limits = limits(&[(10, Period::Day)]);
        let (allowance, mut notes) = begun(&limits);
        assert!(allowance.take(0) && allowance.take(0));
        allowance.roll(&limits, &mut notes, at(0));
        let owed = notes.owed(&limits);
        assert_eq!((owed.len(), owed[0].used), (1, 2));
        assert!(allowance.take(0), "while the exchange is under way");
        allowance.learn(&mut notes, owed[0], 2 + 5);
        allowance.tell(&limits, &notes, at(0));
        assert_eq!(allowance.left(&limits, 0).remaining, 2);
        assert_eq!(takes(&allowance, 0), 2);
        allowance.roll(&limits, &mut notes, at(0));
        assert_eq!(notes.owed(&limits)[0].used, 3, "only what was not told");
        assert_eq!(notes.owed(&limits), [], "nothing is told twice");
    }

    #[test]
    fn of_the_last_ones_a_node_takes_its_part() {
        let limits = limits(&[(1000, Period::Day)]);
        let (allowance, mut notes) = begun(&limits);
        let mut used_by_all = 0;
        for _ in 0..20 {
            allowance.charge(10);
            used_by_all += 40;
            allowance.roll(&limits, &mut notes, at(0));
            let owed = notes.owed(&limits)[0];
            allowance.learn(&mut notes, owed, used_by_all);
            allowance.tell(&limits, &notes, at(0));
        }
        assert_eq!(allowance.left(&limits, 0).remaining, 200);
        let may = takes(&allowance, 0);
        assert!((165..=175).contains(&may), "{may}: the others use 30 in the meantime");
    }

    #[test]
    fn weights_count_beyond_the_end() {
        let limits = limits(&[(10, Period::Day)]);
        let (allowance, mut notes) = begun(&limits);
        allowance.charge(25);
        assert!(!allowance.has_any(0));
        assert_eq!(allowance.left(&limits, 0).remaining, 0);
        allowance.roll(&limits, &mut notes, at(0));
        assert_eq!(notes.owed(&limits)[0].used, 25);
        assert!(!allowance.has_any(0));
    }
}
