//! `Store`: the limits that are kept in one Redis server, and `Stores`: all of a plan's.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::quotas::Quotas;
use super::rates::Rates;
use super::settings::Timing;
use crate::shared::allowance::Moment;
use crate::shared::link::Link;

/// Reads the monotonic clock of the cores, in nanoseconds.
pub type Clock = fn() -> u64;

/// Not known.
const NO_TIME: i64 = i64::MIN;

/// The limits of one connection.
#[derive(Debug)]
pub struct Store {
    /// What all of its keys begin with: services that share a server do not share counts.
    pub prefix: String,
    pub timing: Timing,
    /// What the cores are told.
    pub link: Link,
    /// The server's clock less the monotonic one, in nanoseconds.
    ahead_ns: AtomicI64,
    rates: Mutex<Vec<Arc<Rates>>>,
    quotas: Mutex<Vec<Arc<Quotas>>>,
}

/// By the names of their connections; what limits and quotas of one plan meet in.
#[derive(Debug, Default)]
pub struct Stores(Mutex<Named>);

#[derive(Debug, Default)]
struct Named {
    stores: BTreeMap<String, Arc<Store>>,
    processors: BTreeMap<String, Arc<Processor>>,
    timing: Timing,
    is_off: bool,
}

/// A quota with its rules, as endpoints refer to it.
#[derive(Debug)]
pub struct Processor {
    pub store: Arc<Store>,
    /// While the server is away.
    pub allows_on_failure: bool,
    pub rules: BTreeMap<String, Arc<Quotas>>,
}

// === impl Store ===

impl Store {
    /// `service` is the name of the configuration.
    pub fn new(service: &str, timing: Timing, link: Link) -> Store {
        Store {
            prefix: format!("shoal:{service}"),
            timing,
            link,
            ahead_ns: AtomicI64::new(NO_TIME),
            rates: Mutex::default(),
            quotas: Mutex::default(),
        }
    }

    /// Takes part in exchanges from now on.
    pub fn add_rates(&self, rates: Arc<Rates>) {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner).push(rates);
    }

    /// The same; one that is there already stays the only one.
    pub fn add_quotas(&self, quotas: Arc<Quotas>) {
        let mut all = self.quotas.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.iter().any(|known| Arc::ptr_eq(known, &quotas)) {
            all.push(quotas);
        }
    }

    pub(super) fn rates(&self) -> Vec<Arc<Rates>> {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn quotas(&self) -> Vec<Arc<Quotas>> {
        self.quotas.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The server's time, so that all nodes count in the same windows; this machine's, as long as the server has told none.
    pub(super) fn moment(&self, clock: Clock) -> Moment {
        let monotonic_ns = clock();
        let unix_ns = match self.ahead_ns.load(Ordering::Relaxed) {
            NO_TIME => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH);
                now.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
            }
            ahead_ns => ahead_ns.saturating_add_unsigned(monotonic_ns),
        };
        Moment { monotonic_ns, unix_ns }
    }

    pub(super) fn set_time(&self, unix_us: i64, monotonic_ns: u64) {
        let monotonic_ns = i64::try_from(monotonic_ns).unwrap_or(i64::MAX);
        let ahead_ns = unix_us.saturating_mul(1000).saturating_sub(monotonic_ns);
        self.ahead_ns.store(ahead_ns, Ordering::Relaxed);
    }
}

// === impl Stores ===

impl Stores {
    fn named(&self) -> MutexGuard<'_, Named> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of stores that are added from now on.
    pub fn set_timing(&self, timing: Timing) {
        self.named().timing = timing;
    }

    pub fn timing(&self) -> Timing {
        self.named().timing
    }

    /// There will be none: who refers to one is to do without, and say nothing.
    pub fn switch_off(&self) {
        self.named().is_off = true;
    }

    pub fn is_off(&self) -> bool {
        self.named().is_off
    }

    /// `false`: the name is taken.
    pub fn add(&self, name: &str, store: Arc<Store>) -> bool {
        self.named().stores.insert(name.to_owned(), store).is_none()
    }

    /// # Errors
    /// There is none of this name: the names that there are.
    pub fn find(&self, name: &str) -> Result<Arc<Store>, Vec<String>> {
        let named = self.named();
        let found = named.stores.get(name).cloned();
        found.ok_or_else(|| named.stores.keys().cloned().collect())
    }

    /// `false`: the name is taken.
    pub fn add_processor(&self, name: &str, processor: Processor) -> bool {
        self.named().processors.insert(name.to_owned(), Arc::new(processor)).is_none()
    }

    /// # Errors
    /// There is none of this name: the names that there are.
    pub fn processor(&self, name: &str) -> Result<Arc<Processor>, Vec<String>> {
        let named = self.named();
        let found = named.processors.get(name).cloned();
        found.ok_or_else(|| named.processors.keys().cloned().collect())
    }
}

/// Sixteen digits that no other process has.
pub(super) fn random_name() -> String {
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}
