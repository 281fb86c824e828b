//! Rate limits in Redis: what is told of their buckets, and what is learnt.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;

use crate::shared::client_table::{ClientTable, Place, Visited};
use crate::shared::portion::{Drawn, Flow, Portion};

/// The buckets of one limit.
pub struct Rates {
    pub table: ClientTable<Portion>,
    key: Box<str>,
    /// There is one bucket, for all clients.
    is_single: bool,
}

/// What one bucket is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draw {
    /// Which limit's.
    limit: usize,
    place: Place,
    pub key: Vec<u8>,
    /// What was drawn, as the time in which it flows in again, in microseconds.
    pub cost_us: u64,
    pub drawn: Drawn,
}

/// What one bucket says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Until it is full, in microseconds.
    pub owed_us: i64,
    /// Tokens that all nodes have asked it for.
    pub asked: i64,
}

impl Rates {
    /// One bucket for each of so many clients, named by `key` and a sum of the client's name.
    pub fn of_clients(key: &str, flow: Flow, clients_max: usize) -> Rates {
        Rates { table: ClientTable::new(flow, clients_max), key: key.into(), is_single: false }
    }

    /// One bucket for all, named by `key`.
    pub fn of_all(key: &str, flow: Flow, now_ns: u64) -> Rates {
        let table = ClientTable::new(flow, 1);
        // Asked for from the start on.
        table.count(b"", now_ns, |_: &Portion| ());
        Rates { table, key: key.into(), is_single: true }
    }

    pub fn flow(&self) -> Flow {
        *self.table.rules()
    }

    fn key_of(&self, client: &[u8]) -> Vec<u8> {
        let mut key = self.key.as_bytes().to_vec();
        if !self.is_single {
            key.push(b':');
            key.extend_from_slice(hashed(client).as_bytes());
        }
        key
    }
}

impl fmt::Debug for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rates").field("key", &self.key).finish_non_exhaustive()
    }
}

/// 128 bits of the SHA-256 sum of a name, in hexadecimal digits: a key of Redis shows nobody's token or address.
pub(super) fn hashed(name: &[u8]) -> String {
    let sum = digest::digest(&digest::SHA256, name);
    sum.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// What there is to tell, at most `keys_max` of it.
pub(super) fn collect(limits: &[Arc<Rates>], keys_max: usize) -> Vec<Draw> {
    let mut draws = Vec::new();
    for (index, limit) in limits.iter().enumerate() {
        let token_ns = limit.flow().token_ns();
        // Both closures look at it.
        let count = std::cell::Cell::new(draws.len());
        limit.table.visit(
            |clients| count.get() + clients <= keys_max,
            |place, name, portion, notes| {
                let drawn = portion.drawn(notes);
                if drawn.asked > 0 || drawn.tokens > 0 || limit.is_single {
                    let cost_us = u128::from(drawn.tokens) * u128::from(token_ns) / 1000;
                    draws.push(Draw {
                        limit: index,
                        place,
                        key: limit.key_of(name),
                        cost_us: u64::try_from(cost_us).unwrap_or(u64::MAX),
                        drawn,
                    });
                    count.set(draws.len());
                }
                match limit.is_single {
                    true => Visited::Again,
                    false => Visited::Done,
                }
            },
        );
    }
    draws
}

/// Forgets what was drawn while the server was away: each node had the whole limit then, and nobody is to pay that back.
pub(super) fn forgive(limits: &[Arc<Rates>]) {
    for limit in limits {
        limit.table.visit(
            |_| true,
            |_, _, portion, notes| {
                portion.drawn(notes);
                match limit.is_single {
                    true => Visited::Again,
                    false => Visited::Done,
                }
            },
        );
    }
}

/// Takes in what the buckets say, in the order of `draws`, which were sent at `told_at_ns`.
pub(super) fn learn(
    limits: &[Arc<Rates>],
    draws: &[Draw],
    levels: &[Level],
    interval: Duration,
    told_at_ns: u64,
) {
    let exchange_ns = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
    for (draw, level) in draws.iter().zip(levels) {
        let Some(limit) = limits.get(draw.limit) else { continue };
        let told = (
            u64::try_from(level.owed_us).unwrap_or(0).saturating_mul(1000),
            u64::try_from(level.asked).unwrap_or(0),
        );
        limit.table.at(draw.place, |portion, notes| {
            portion.learn(limit.flow(), notes, draw.drawn, told, exchange_ns, told_at_ns);
        });
    }
}
