//! `Exchange`: tells a Redis server what this node has counted, and learns what all nodes have.
//!
//! Cores never wait for it: they judge by what is known here (`shared/portion.rs`, `shared/allowance.rs`), and this task
//! makes that true again at a short interval, all keys in one round trip. A server that does not answer is given up after a
//! time, and is tried again with growing pauses.

mod connection;
pub mod quotas;
pub mod rates;
pub mod settings;
pub mod store;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::task::{BoxFuture, Task, TaskEnv, TaskError};
use crate::shared::log::Log;
use crate::shared::meter::{Counter, Gauge, Meter};
use crate::shared::metric::{REDIS_CONNECTED, REDIS_EXCHANGE_AGE, REDIS_EXCHANGES, REDIS_FAILURES};
use connection::Connection;
use quotas::QuotaBatch;
pub use settings::{RedisSettings, Timing};
pub use store::{Clock, Processor, Store, Stores};

/// Keys of one exchange; what does not fit waits for the next one.
const KEYS_MAX: usize = 8192;
/// While the server is away, quotas are counted here at so many times the interval.
const AWAY_FACTOR: u32 = 5;

/// The task of one connection.
pub struct Exchange {
    name: String,
    settings: RedisSettings,
    store: Arc<Store>,
    clock: Clock,
    /// Names this process in Redis.
    node: String,
    batches: u64,
    /// Was sent, and nobody knows whether it arrived.
    unconfirmed: Option<QuotaBatch>,
}

/// What became of something that was waited for.
enum Waited<T> {
    Done(T),
    /// The process stops, or the task is not needed any more.
    Ends,
}

// === impl Exchange ===

impl Exchange {
    pub fn new(settings: RedisSettings, store: Arc<Store>, clock: Clock) -> Exchange {
        let name = format!("redis {}", settings.name);
        let node = store::random_name();
        Exchange { name, settings, store, clock, node, batches: 0, unconfirmed: None }
    }

    async fn keep(&mut self, mut env: TaskEnv) {
        let mut health = Health::new(&self.settings, &self.store, &env);
        let mut pause = self.settings.backoff_first;
        loop {
            let open = Connection::open(&self.settings, self.store.timing.interval);
            let dial = timeout(self.settings.dial_timeout, open);
            let dialled = match health.meanwhile(dial, self.clock, &mut env).await {
                Waited::Ends => return,
                Waited::Done(Ok(opened)) => opened,
                Waited::Done(Err(_)) => {
                    Err(format!("no connection within {:?}", self.settings.dial_timeout))
                }
            };
            let why = match dialled {
                Ok(mut connection) => match self.talk(&mut connection, &mut health, &mut env).await
                {
                    Waited::Ends => return,
                    Waited::Done((why, has_answered)) => {
                        if has_answered {
                            pause = self.settings.backoff_first;
                        }
                        why
                    }
                },
                Err(why) => why,
            };
            health.failed(why);
            match health.meanwhile(sleep(pause), self.clock, &mut env).await {
                Waited::Ends => return,
                Waited::Done(()) => pause = (pause * 2).min(self.settings.backoff_last),
            }
        }
    }

    /// Exchanges until it fails: why, and whether it ever worked.
    async fn talk(
        &mut self,
        connection: &mut Connection,
        health: &mut Health,
        env: &mut TaskEnv,
    ) -> Waited<(String, bool)> {
        let mut has_answered = false;
        if self.store.link.is_lost() {
            rates::forgive(&self.store.rates());
        }
        loop {
            let began = Instant::now();
            let clock = self.clock;
            match health.watching(self.exchange(connection), clock).await {
                Ok(()) => health.succeeded(),
                Err(why) => return Waited::Done((why, has_answered)),
            }
            has_answered = true;
            let rest = self.store.timing.interval.saturating_sub(began.elapsed());
            tokio::select! {
                () = sleep(rest) => {}
                () = env.stopping() => {
                    // What was counted since is told before the process ends; a failure would change nothing any more.
                    let _ = self.exchange(connection).await;
                    return Waited::Ends;
                }
            }
        }
    }

    async fn exchange(&mut self, connection: &mut Connection) -> Result<(), String> {
        let asked = self.store.rates();
        let draws = rates::collect(&asked, KEYS_MAX);
        if self.unconfirmed.is_none() {
            self.batches += 1;
            let marker = self.batches.to_string();
            let moment = self.store.moment(self.clock);
            self.unconfirmed = QuotaBatch::collect(&self.store.quotas(), marker, moment, KEYS_MAX);
        }
        let marker_key = format!("{}:batch:{}", self.store.prefix, self.node);
        let exchange = connection.exchange(&draws, self.unconfirmed.as_ref(), &marker_key);
        let told_at_ns = (self.clock)();
        let late = |_| format!("no answer within {:?}", self.store.timing.timeout);
        let answers = timeout(self.store.timing.timeout, exchange).await.map_err(late)??;
        self.store.set_time(answers.unix_us, told_at_ns);
        rates::learn(&asked, &draws, &answers.rates, self.store.timing.interval, told_at_ns);
        if let Some(batch) = self.unconfirmed.take() {
            batch.learn(&answers.quotas, self.store.moment(self.clock));
        }
        Ok(())
    }
}

impl Task for Exchange {
    fn name(&self) -> &str {
        &self.name
    }

    fn has_last_words(&self) -> bool {
        true
    }

    fn run(&mut self, env: TaskEnv) -> BoxFuture<'_, Result<(), TaskError>> {
        Box::pin(async move {
            self.keep(env).await;
            Ok(())
        })
    }
}

/// Whether the server answers, and who is told.
struct Health {
    name: String,
    address: String,
    store: Arc<Store>,
    log: Log,
    counts: Counts,
    succeeded_at: Instant,
    /// Why it failed the last time.
    why: String,
    is_away: bool,
}

struct Counts {
    exchanges: Counter,
    failures: Counter,
    connected: Gauge,
    age_ms: Gauge,
}

impl Health {
    fn new(settings: &RedisSettings, store: &Arc<Store>, env: &TaskEnv) -> Health {
        Health {
            name: settings.name.clone(),
            address: format!("{}:{}", settings.host, settings.port),
            store: Arc::clone(store),
            log: env.log.clone(),
            counts: Counts::new(&env.meter, &settings.name),
            succeeded_at: Instant::now(),
            why: "no connection yet".to_owned(),
            is_away: true,
        }
    }

    /// Waits for `future`, and looks after the rest: the cores are told when the server is away for too long.
    async fn meanwhile<T>(
        &mut self,
        future: impl Future<Output = T>,
        clock: Clock,
        env: &mut TaskEnv,
    ) -> Waited<T> {
        let mut future = pin!(future);
        loop {
            self.look(clock);
            tokio::select! {
                done = &mut future => return Waited::Done(done),
                () = env.stopping() => return Waited::Ends,
                () = sleep(self.pause()) => {}
            }
        }
    }

    /// The same for what is not to be broken off.
    async fn watching<T>(&mut self, future: impl Future<Output = T>, clock: Clock) -> T {
        let mut future = pin!(future);
        loop {
            tokio::select! {
                done = &mut future => return done,
                () = sleep(self.pause()) => self.look(clock),
            }
        }
    }

    /// Between two looks.
    fn pause(&self) -> Duration {
        (self.store.timing.interval * AWAY_FACTOR).min(self.store.timing.grace / 2)
    }

    fn look(&mut self, clock: Clock) {
        let age = self.succeeded_at.elapsed();
        self.counts.age_ms.set(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        if self.is_away {
            quotas::roll(&self.store.quotas(), self.store.moment(clock));
        }
        if age > self.store.timing.grace && !self.store.link.set_lost(true) {
            self.log.warning(format_args!(
                "[SERVICE: redis] {} does not answer at {}: {}; each node limits by itself, or refuses, until it does",
                self.name, self.address, self.why
            ));
        }
    }

    fn succeeded(&mut self) {
        self.counts.exchanges.increment();
        self.counts.connected.set(1);
        self.counts.age_ms.set(0);
        self.succeeded_at = Instant::now();
        self.is_away = false;
        if self.store.link.set_lost(false) {
            self.log.warning(format_args!(
                "[SERVICE: redis] {} answers again at {}: limits hold over all nodes",
                self.name, self.address
            ));
        }
    }

    fn failed(&mut self, why: String) {
        self.counts.failures.increment();
        self.counts.connected.set(0);
        self.why = why;
        self.is_away = true;
    }
}

impl Counts {
    fn new(meter: &Meter, name: &str) -> Counts {
        let labels = [("connection", name)];
        let counts = Counts {
            exchanges: meter.counter(REDIS_EXCHANGES.name, &labels),
            failures: meter.counter(REDIS_FAILURES.name, &labels),
            connected: meter.gauge(REDIS_CONNECTED.name, &labels),
            age_ms: meter.gauge(REDIS_EXCHANGE_AGE.name, &labels),
        };
        counts.connected.set(0);
        counts
    }
}

#[cfg(test)]
mod tests;
