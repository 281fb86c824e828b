//! The resolver: looks up the hosts that cores ask for, keeps the answers, and renews those in use.
//!
//! Cores find names in the table that is published here (see `shared/names.rs`) and ask only for others.
//! A name in the table is renewed when its time to live ends, if a core used it meanwhile, and leaves the
//! table otherwise. While it is renewed the old addresses stay, also for a while when no answer comes.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::dns::{Dns, Found};
use super::task::{BoxFuture, Task, TaskEnv, TaskError};
use crate::shared::names::{Addresses, KnownName, LookupError, LookupResult, NameTable, Names};
use crate::shared::published::Published;
use crate::shared::question::{Asked, Questions, question};

/// Lookups sent to the name servers at a time; the others wait their turn.
const RUNNING_MAX: usize = 64;

/// How long answers are good, and how much is kept.
#[derive(Clone, Debug)]
pub struct Limits {
    /// A time to live is brought into this range: below it names would be renewed all the time, above it
    /// a change would come too late.
    pub ttl_min: Duration,
    pub ttl_max: Duration,
    /// After a failed lookup the name fails at once for so long.
    pub failure_ttl: Duration,
    /// An answer that is older than its time to live is still given for so long, while it is renewed for
    /// the first time.
    pub stale_renewing: Duration,
    /// So long it is used when the name servers do not answer the renewal, or answer with a failure.
    pub stale_failing: Duration,
    /// So long when they say that there is no such name, which a search domain that fails for a moment
    /// can bring about, too.
    pub stale_denied: Duration,
    /// Pause before a failed renewal is tried again: the first, doubled each time up to the last.
    pub retry_first: Duration,
    pub retry_last: Duration,
    /// Names that are remembered.
    pub names_max: usize,
    /// Lookups that cores wait for, over all names.
    pub waiting_max: usize,
}

/// The task behind a [`Names`] door.
pub struct Resolver {
    dns: Arc<Dns>,
    limits: Limits,
    questions: Questions<Box<str>, LookupResult>,
    table: Published<NameTable>,
    names: HashMap<Box<str>, Entry>,
    running: JoinSet<Result<Found, LookupError>>,
    running_names: HashMap<Id, Box<str>>,
    slots: Arc<Semaphore>,
    /// Whether the table that is published is not the one that should be.
    has_changed: bool,
}

/// What is known of a name.
struct Entry {
    /// The last good answer.
    addresses: Option<Addresses>,
    /// The end of its time to live.
    fresh_until: Instant,
    /// Its mark in the table, while it is in it.
    listed: Option<Arc<AtomicBool>>,
    /// When a listed name is to be renewed. None while a lookup runs.
    due: Option<Instant>,
    /// Failed lookups since the last good answer.
    failures: u32,
    /// The last failure, to be told to all who ask before that time.
    failed: Option<(LookupError, Instant)>,
    is_running: bool,
    waiting: Vec<Asked<Box<str>, LookupResult>>,
}

/// A door to look up hosts with, and the task to spawn for it.
pub fn resolver(dns: Arc<Dns>, limits: Limits) -> (Names, Resolver) {
    let (ask, questions) = question(limits.waiting_max);
    let table = Published::default();
    let names = Names::new(table.clone(), ask);
    let resolver = Resolver {
        dns,
        limits,
        questions,
        table,
        names: HashMap::new(),
        running: JoinSet::new(),
        running_names: HashMap::new(),
        slots: Arc::new(Semaphore::new(RUNNING_MAX)),
        has_changed: false,
    };
    (names, resolver)
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            ttl_min: Duration::from_secs(1),
            ttl_max: Duration::from_mins(5),
            failure_ttl: Duration::from_secs(1),
            stale_renewing: Duration::from_secs(30),
            stale_failing: Duration::from_mins(10),
            stale_denied: Duration::from_secs(5),
            retry_first: Duration::from_secs(1),
            retry_last: Duration::from_secs(30),
            names_max: 1024,
            waiting_max: 4096,
        }
    }
}

impl Limits {
    fn stale_after(&self, error: LookupError) -> Duration {
        match error {
            LookupError::NoSuchHost => self.stale_denied,
            LookupError::Timeout | LookupError::Failed | LookupError::Overloaded => {
                self.stale_failing
            }
        }
    }

    fn retry_pause(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.retry_first.saturating_mul(factor).min(self.retry_last)
    }
}

// === impl Resolver ===

impl Task for Resolver {
    fn name(&self) -> &'static str {
        "DNS"
    }

    fn run(&mut self, _env: TaskEnv) -> BoxFuture<'_, Result<(), TaskError>> {
        Box::pin(async move {
            self.serve().await;
            Ok(())
        })
    }
}

impl Resolver {
    /// Answers until there is nobody left who could ask.
    async fn serve(&mut self) {
        loop {
            let due = self.names.values().filter_map(|entry| entry.due).min();
            tokio::select! {
                asked = self.questions.next() => match asked {
                    Some(asked) => self.ask(asked),
                    None => return,
                },
                Some(done) = self.running.join_next_with_id() => self.done(done),
                () = sleep_until_some(due) => self.renew(),
            }
        }
    }

    fn ask(&mut self, asked: Asked<Box<str>, LookupResult>) {
        let name = asked.question.clone();
        if !self.names.contains_key(&name) && !self.make_room() {
            return asked.answer(Err(LookupError::Overloaded));
        }
        let now = Instant::now();
        let entry = self.names.entry(name.clone()).or_insert_with(|| Entry::new(now));
        let is_renewable =
            entry.failures == 0 && now < entry.fresh_until + self.limits.stale_renewing;
        match (&entry.addresses, entry.failed) {
            // Listed since the core looked, or still good enough.
            (Some(addresses), _) if entry.listed.is_some() || is_renewable => {
                asked.answer(Ok(addresses.clone()));
                if entry.listed.is_some() {
                    return;
                }
                self.has_changed |= entry.list();
            }
            (_, Some((error, until))) if now < until => return asked.answer(Err(error)),
            _ => entry.waiting.push(asked),
        }
        self.look_up(&name);
        self.publish();
    }

    /// Starts a lookup, unless one is running for that name already.
    fn look_up(&mut self, name: &str) {
        let Some(entry) = self.names.get_mut(name) else { return };
        entry.due = None;
        if std::mem::replace(&mut entry.is_running, true) {
            return;
        }
        let (dns, slots, host) =
            (Arc::clone(&self.dns), Arc::clone(&self.slots), Box::<str>::from(name));
        let lookup = self.running.spawn(async move {
            let _slot = slots.acquire().await;
            dns.addresses(&host).await
        });
        self.running_names.insert(lookup.id(), name.into());
    }

    fn done(&mut self, done: Result<(Id, Result<Found, LookupError>), JoinError>) {
        let (id, result) = match done {
            Ok(done) => done,
            // It panicked; to those who wait that is a failed lookup.
            Err(error) => (error.id(), Err(LookupError::Failed)),
        };
        let Some(name) = self.running_names.remove(&id) else { return };
        let Some(entry) = self.names.get_mut(&name) else { return };
        let now = Instant::now();
        let addresses = result.and_then(|found| {
            let ttl = found.ttl.clamp(self.limits.ttl_min, self.limits.ttl_max);
            Addresses::new(found.ips)
                .map(|addresses| (addresses, ttl))
                .ok_or(LookupError::NoSuchHost)
        });
        self.has_changed |= match addresses {
            Ok((addresses, ttl)) => entry.succeed(addresses, now + ttl),
            Err(error) => entry.fail(error, now, &self.limits),
        };
        let answer = match (&entry.addresses, entry.failed) {
            (Some(addresses), _) => Ok(addresses.clone()),
            (None, failed) => Err(failed.map_or(LookupError::Failed, |(error, _)| error)),
        };
        let waiting = std::mem::take(&mut entry.waiting);
        // The table first, so that whoever is woken by the answer finds the name in it.
        self.publish();
        for asked in waiting {
            asked.answer(answer.clone());
        }
    }

    /// Renews the names whose time has come and takes those out that nobody used.
    fn renew(&mut self) {
        let now = Instant::now();
        let mut due = Vec::new();
        for (name, entry) in &mut self.names {
            if entry.due.is_none_or(|due| due > now) {
                continue;
            }
            if entry.listed.as_ref().is_some_and(|used| used.swap(false, Ordering::Relaxed)) {
                due.push(name.clone());
            } else {
                self.has_changed |= entry.unlist();
            }
        }
        for name in due {
            self.look_up(&name);
        }
        self.publish();
    }

    /// Forgets the name that is needed least when there are too many. `false` when all are being looked up.
    fn make_room(&mut self) -> bool {
        if self.names.len() < self.limits.names_max {
            return true;
        }
        let idle = self.names.iter().filter(|(_, entry)| !entry.is_running);
        let least = idle.min_by_key(|(_, entry)| (entry.listed.is_some(), entry.fresh_until));
        let Some(name) = least.map(|(name, _)| name.clone()) else { return false };
        if let Some(entry) = self.names.remove(&name) {
            self.has_changed |= entry.listed.is_some();
        }
        true
    }

    fn publish(&mut self) {
        if !std::mem::take(&mut self.has_changed) {
            return;
        }
        let listed = self.names.iter().filter_map(|(name, entry)| {
            let (addresses, used) = (entry.addresses.as_ref()?, entry.listed.as_ref()?);
            Some((name.clone(), KnownName { addresses: addresses.clone(), used: Arc::clone(used) }))
        });
        self.table.publish(NameTable(listed.collect()));
    }
}

// === impl Entry ===

impl Entry {
    fn new(now: Instant) -> Self {
        Self {
            addresses: None,
            fresh_until: now,
            listed: None,
            due: None,
            failures: 0,
            failed: None,
            is_running: false,
            waiting: Vec::new(),
        }
    }

    /// Takes a good answer. Tells whether the table changes; it does not when only the order is new, as it
    /// is with most answers of a name that stands for several machines.
    fn succeed(&mut self, addresses: Addresses, fresh_until: Instant) -> bool {
        let is_new = self.addresses.as_ref().is_none_or(|old| !old.is_same_set(&addresses));
        if is_new {
            self.addresses = Some(addresses);
        }
        (self.fresh_until, self.due) = (fresh_until, Some(fresh_until));
        (self.failures, self.failed, self.is_running) = (0, None, false);
        self.list() || is_new
    }

    /// Takes a failure: the last good answer stays for a while. Tells whether the table changes.
    fn fail(&mut self, error: LookupError, now: Instant, limits: &Limits) -> bool {
        self.is_running = false;
        self.failures = self.failures.saturating_add(1);
        if self.addresses.is_some() && now < self.fresh_until + limits.stale_after(error) {
            self.due = Some(now + limits.retry_pause(self.failures));
            return self.list();
        }
        self.addresses = None;
        self.failed = Some((error, now + limits.failure_ttl));
        self.unlist()
    }

    /// Puts the name into the table, as one that is in use. Tells whether it was not there.
    fn list(&mut self) -> bool {
        let is_new = self.listed.is_none();
        if is_new {
            self.listed = Some(Arc::new(AtomicBool::new(true)));
        }
        is_new
    }

    /// Takes it out. Tells whether it was there.
    fn unlist(&mut self) -> bool {
        self.due = None;
        self.listed.take().is_some()
    }
}

async fn sleep_until_some(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
