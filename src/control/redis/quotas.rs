//! Quotas in Redis: what is told of them, and what is learnt.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use super::rates::hashed;
use crate::shared::allowance::{Allowance, LIMITS_MAX, Limits, Moment, Owed};
use crate::shared::client_table::{ClientTable, Place, Visited};

/// Clients with longer names are known by a sum of them, in Redis as well.
const NAME_BYTES_MAX: usize = 128;
/// A count is kept for so long after its window, for nodes whose news come late.
const KEPT_S: i64 = 3600;

/// The counts of one rule.
pub struct Quotas {
    pub table: ClientTable<Allowance>,
    key: Box<str>,
    hashes_names: bool,
}

/// What is told together, again and again until it is confirmed; the marker lets Redis count it once.
#[derive(Debug)]
pub struct QuotaBatch {
    pub marker: String,
    pub uses: Vec<Use>,
}

/// What one count is told.
#[derive(Debug)]
pub struct Use {
    rule: Arc<Quotas>,
    place: Place,
    owed: Owed,
    pub key: Vec<u8>,
}

impl Quotas {
    /// Counts for each of so many clients, named by `key` and the client's name.
    pub fn new(key: &str, limits: Limits, clients_max: usize, hashes_names: bool) -> Quotas {
        Quotas { table: ClientTable::new(limits, clients_max), key: key.into(), hashes_names }
    }

    pub fn limits(&self) -> &Limits {
        self.table.rules()
    }

    fn key_of(&self, client: &[u8], owed: Owed) -> Vec<u8> {
        let mut key = self.key.as_bytes().to_vec();
        key.push(b':');
        match self.hashes_names || client.len() > NAME_BYTES_MAX {
            true => key.extend_from_slice(hashed(client).as_bytes()),
            false => key.extend_from_slice(client),
        }
        let period = self.limits().all().get(owed.limit).map_or("", |limit| limit.period.name());
        key.extend_from_slice(format!(":{period}:{}", owed.window.start_s).as_bytes());
        key
    }
}

impl fmt::Debug for Quotas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quotas").field("key", &self.key).finish_non_exhaustive()
    }
}

// === impl QuotaBatch ===

impl QuotaBatch {
    /// `None`: there is nothing to tell.
    pub(super) fn collect(
        rules: &[Arc<Quotas>],
        marker: String,
        now: Moment,
        keys_max: usize,
    ) -> Option<QuotaBatch> {
        let mut uses = Vec::new();
        for rule in rules {
            // Both closures look at it.
            let count = Cell::new(uses.len());
            rule.table.visit(
                |clients| count.get() + clients * LIMITS_MAX <= keys_max,
                |place, name, allowance, notes| {
                    allowance.roll(rule.limits(), notes, now);
                    for owed in notes.owed(rule.limits()) {
                        let key = rule.key_of(name, owed);
                        uses.push(Use { rule: Arc::clone(rule), place, owed, key });
                    }
                    count.set(uses.len());
                    Visited::Done
                },
            );
        }
        (!uses.is_empty()).then_some(QuotaBatch { marker, uses })
    }

    /// Takes in what all nodes have used, in the order of the batch.
    pub(super) fn learn(&self, totals: &[i64], now: Moment) {
        for (told, total) in self.uses.iter().zip(totals) {
            told.rule.table.at(told.place, |allowance, notes| {
                allowance.learn(notes, told.owed, u64::try_from(*total).unwrap_or(0));
                allowance.tell(told.rule.limits(), notes, now);
            });
        }
    }
}

impl Use {
    /// How much is added.
    pub fn used(&self) -> u64 {
        self.owed.used
    }

    /// How long the count is kept, in seconds.
    pub fn kept_s(&self) -> i64 {
        self.owed.window.end_s.saturating_sub(self.owed.window.start_s).saturating_add(KEPT_S)
    }
}

/// Counts by this node alone, while nobody can be told.
pub(super) fn roll(rules: &[Arc<Quotas>], now: Moment) {
    for rule in rules {
        rule.table.visit(
            |_| true,
            |_, _, allowance, notes| {
                allowance.roll(rule.limits(), notes, now);
                // What is owed is told when the server is back.
                match notes.is_owing() {
                    true => Visited::Again,
                    false => Visited::Done,
                }
            },
        );
    }
}
