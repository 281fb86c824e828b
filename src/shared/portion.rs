//! `Portion`: what a node believes to be left in a bucket of tokens that all nodes draw from.
//!
//! It is a bucket of its own, as a time: the moment at which it will be full again (the generic cell rate algorithm).
//! Cores draw from it at once. Now and then the control thread tells the common bucket what was drawn here, and sets the
//! time to what the common bucket says; between two such exchanges the bucket fills at the rate of all.

use std::sync::atomic::{AtomicU64, Ordering};

use super::client_table::Entry;
use super::tally::Standing;

/// Spans of time are kept below this, so that nothing overflows: 146 years.
const SPAN_NS_MAX: u64 = u64::MAX / 4;
/// A node that asks for less of the bucket than one part in so many gets that much all the same.
const SHARE_MIN: f64 = 1.0 / 64.0;

/// How fast a common bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flow {
    token_ns: u64,
    capacity: u64,
}

/// Drawn from by all cores of a node.
#[derive(Debug, Default)]
pub struct Portion {
    /// When it is full again, on this machine's monotonic clock; in the past: it is.
    full_at_ns: AtomicU64,
    /// What a token costs here: more than it does to all while others draw from the bucket as well.
    cost_ns: AtomicU64,
    /// Tokens drawn since the entry began.
    taken: AtomicU64,
    /// Tokens asked for, those that were refused included.
    asked: AtomicU64,
}

/// What the control thread knows of a client.
#[derive(Clone, Copy, Debug, Default)]
pub struct PortionNotes {
    told_taken: u64,
    told_asked: u64,
    /// What all nodes had asked for, as of the last exchange.
    asked_by_all: Option<u64>,
    learnt_ns: u64,
    /// Tokens that this node, and that the others, ask for between two exchanges; smoothed.
    own_pace: f64,
    others_pace: f64,
}

/// What a node has to tell of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// Since the last time.
    pub tokens: u64,
    pub asked: u64,
    /// The count of all that were taken, to go on from.
    taken: u64,
}

// === impl Flow ===

impl Flow {
    /// `rate` is in tokens a second. The bucket holds at least what flows in between two exchanges: the cores could not draw
    /// as much as the rate otherwise.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "floats saturate")]
    pub fn new(rate: f64, capacity: u64, exchange_ns: u64) -> Flow {
        let rate = if rate.is_nan() { 0.0 } else { rate };
        let token_ns = (1e9 / rate.clamp(1e-9, 1e9)) as u64;
        let flown = exchange_ns.div_ceil(token_ns.max(1));
        let most = (SPAN_NS_MAX / token_ns.max(1)).max(1);
        Flow { token_ns, capacity: capacity.max(flown).clamp(1, most) }
    }

    pub fn capacity(self) -> u64 {
        self.capacity
    }

    /// The time in which one token flows in.
    pub fn token_ns(self) -> u64 {
        self.token_ns
    }

    fn span_ns(self) -> u64 {
        self.token_ns.saturating_mul(self.capacity)
    }
}

// === impl Portion ===

impl Portion {
    /// Takes a token; `false` when there is none. `is_alone`: the common bucket is out of reach, this node has all of it.
    pub fn take(&self, flow: Flow, is_alone: bool, now_ns: u64) -> bool {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let cost_ns = match is_alone {
            true => flow.token_ns,
            false => self.cost_ns.load(Ordering::Relaxed).max(flow.token_ns),
        };
        let mut full_at_ns = self.full_at_ns.load(Ordering::Acquire);
        loop {
            let owed_ns = full_at_ns.saturating_sub(now_ns);
            if owed_ns.saturating_add(flow.token_ns) > flow.span_ns() {
                return false;
            }
            let next = now_ns.saturating_add(owed_ns).saturating_add(cost_ns);
            let swap = self.full_at_ns.compare_exchange_weak(
                full_at_ns,
                next,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            match swap {
                Ok(_) => break,
                Err(current) => full_at_ns = current,
            }
        }
        self.taken.fetch_add(1, Ordering::SeqCst);
        true
    }

    /// What is left as far as is known here; takes nothing.
    pub fn standing(&self, flow: Flow, now_ns: u64) -> Standing {
        let owed_ns = self.full_at_ns.load(Ordering::Acquire).saturating_sub(now_ns);
        let left_ns = flow.span_ns().saturating_sub(owed_ns);
        let remaining = left_ns / flow.token_ns.max(1);
        let refill_ns = match remaining {
            0 => owed_ns.saturating_add(flow.token_ns).saturating_sub(flow.span_ns()),
            _ if owed_ns == 0 => 0,
            _ => (remaining + 1) * flow.token_ns - left_ns,
        };
        Standing { remaining, refill_ns }
    }

    /// What was drawn since this was asked the last time.
    pub fn drawn(&self, notes: &mut PortionNotes) -> Drawn {
        let (taken, asked) = (self.taken.load(Ordering::SeqCst), self.asked.load(Ordering::SeqCst));
        let since = |told: &mut u64, now: u64| now.saturating_sub(std::mem::replace(told, now));
        Drawn {
            tokens: since(&mut notes.told_taken, taken),
            asked: since(&mut notes.told_asked, asked),
            taken,
        }
    }

    /// The common bucket has taken note of `drawn`: it will be full in `owed_ns`, and all nodes together have asked it for
    /// `asked_by_all` tokens so far. Exchanges are `exchange_ns` apart; this one began at `told_at_ns`. When the bucket was
    /// looked at is not known; the beginning is the earliest moment, so that a small bucket is not held up by the way there.
    pub fn learn(
        &self,
        flow: Flow,
        notes: &mut PortionNotes,
        drawn: Drawn,
        (owed_ns, asked_by_all): (u64, u64),
        exchange_ns: u64,
        told_at_ns: u64,
    ) {
        notes.note_pace(drawn.asked, asked_by_all, exchange_ns, told_at_ns);
        let share = notes.share(flow, owed_ns, exchange_ns);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "floats saturate"
        )]
        let cost_ns = (flow.token_ns as f64 / share) as u64;
        self.cost_ns.store(cost_ns, Ordering::Relaxed);
        let mut full_at_ns = self.full_at_ns.load(Ordering::Acquire);
        loop {
            // Those that were drawn while the exchange was under way.
            let since = self.taken.load(Ordering::Acquire).saturating_sub(drawn.taken);
            let owed_ns = owed_ns.saturating_add(since.saturating_mul(cost_ns)).min(SPAN_NS_MAX);
            let swap = self.full_at_ns.compare_exchange_weak(
                full_at_ns,
                told_at_ns.saturating_add(owed_ns),
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            match swap {
                Ok(_) => return,
                Err(current) => full_at_ns = current,
            }
        }
    }
}

impl Entry for Portion {
    type Rules = Flow;
    type Notes = PortionNotes;

    /// A client that was never met here has a full bucket, until the first exchange says more.
    fn begin(&self, flow: &Flow, now_ns: u64) {
        self.full_at_ns.store(now_ns, Ordering::Release);
        self.cost_ns.store(flow.token_ns, Ordering::Relaxed);
        self.taken.store(0, Ordering::SeqCst);
        self.asked.store(0, Ordering::SeqCst);
    }
}

// === impl PortionNotes ===

impl PortionNotes {
    fn note_pace(&mut self, asked: u64, asked_by_all: u64, exchange_ns: u64, now_ns: u64) {
        let known = self.asked_by_all.replace(asked_by_all);
        let elapsed_ns = now_ns.saturating_sub(std::mem::replace(&mut self.learnt_ns, now_ns));
        let Some(known) = known else {
            self.own_pace = asked as f64;
            return;
        };
        // After a pause most of what others asked for is long ago.
        let recent = (2.0 * exchange_ns as f64 / elapsed_ns.max(1) as f64).min(1.0);
        let others = asked_by_all.saturating_sub(known).saturating_sub(asked) as f64 * recent;
        if asked == 0 && others == 0.0 {
            // Who asks for how much is remembered while nobody asks.
            return;
        }
        let smooth = |mean: &mut f64, sample: f64| *mean += 0.3 * (sample - *mean);
        smooth(&mut self.own_pace, asked as f64);
        smooth(&mut self.others_pace, others);
    }

    /// The part of what is left that this node may take until the next exchange: what the others do not ask for, and at least
    /// as much as it asks for itself in proportion.
    fn share(&self, flow: Flow, owed_ns: u64, exchange_ns: u64) -> f64 {
        let all = self.own_pace + self.others_pace;
        if all <= 0.0 || self.others_pace <= 0.0 {
            return 1.0;
        }
        let left_ns = flow.span_ns().saturating_sub(owed_ns).saturating_add(exchange_ns);
        let left = left_ns as f64 / flow.token_ns.max(1) as f64;
        let spare = (left - self.others_pace) / left;
        (self.own_pace / all).max(spare).clamp(SHARE_MIN, 1.0)
    }
}
