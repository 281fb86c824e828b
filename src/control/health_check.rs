//! `HealthCheck`: asks hosts again and again whether they are up, each once for the whole process.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::http_client::HttpClient;
use super::task::{BoxFuture, Task, TaskEnv, TaskError};
use crate::shared::hosts::health::{Checks, Health, Thresholds};

/// How the checks call themselves.
const USER_AGENT: &str = concat!("Shoal/", env!("CARGO_PKG_VERSION"), " (health check)");
/// How often the hosts to check are looked up.
const LOOK: Duration = Duration::from_millis(500);
/// Checks that run at the same time.
const AT_ONCE_MAX: usize = 64;
/// How much longer or shorter a pause may be, in percent, so that nodes do not check in step.
const JITTER_PERCENT: u64 = 10;

/// What is asked, how often, and what the answers mean.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CheckRules {
    pub path: String,
    /// In place of the host's own name; empty: that.
    pub host: String,
    pub interval_ms: u64,
    pub timeout_ms: u64,
    pub healthy: u64,
    pub unhealthy: u64,
    /// Statuses of hosts that are up; empty: all from 200 to 299.
    pub statuses: Vec<u16>,
    /// How long the share of a host grows that was down.
    pub return_ms: u64,
}

/// How upstreams are called over TLS; the checks do the same. Filled before the plan's tasks begin.
#[derive(Default)]
pub struct UpstreamTls(OnceLock<Box<dyn Fn() -> Option<Arc<ClientConfig>> + Send + Sync>>);

/// The task that checks all hosts of one kind.
pub struct HealthCheck {
    name: String,
    checker: Arc<Checker>,
    turn: Option<u64>,
}

struct Checker {
    rules: CheckRules,
    checks: Arc<Checks>,
    tls: Arc<UpstreamTls>,
    /// Milliseconds of the process.
    clock: fn() -> u64,
    at_once: Semaphore,
}

/// The checks of one host; they end with the value.
struct Running(JoinHandle<()>);

// === impl CheckRules ===

impl CheckRules {
    fn thresholds(&self) -> Thresholds {
        Thresholds { healthy: self.healthy, unhealthy: self.unhealthy }
    }

    fn is_good(&self, status: u16) -> bool {
        match self.statuses.as_slice() {
            [] => (200..=299).contains(&status),
            listed => listed.contains(&status),
        }
    }

    /// A pause between two checks, for a number at random.
    fn pause(&self, draw: u64) -> Duration {
        let percent = 100 - JITTER_PERCENT + draw % (2 * JITTER_PERCENT + 1);
        Duration::from_millis(self.interval_ms * percent / 100)
    }

    /// The time before the first check, so that not all begin together.
    fn first_pause(&self, draw: u64) -> Duration {
        Duration::from_millis(draw % self.interval_ms.max(1))
    }
}

// === impl UpstreamTls ===

impl UpstreamTls {
    /// Says where the configuration is found; the first one counts.
    pub fn set(&self, find: impl Fn() -> Option<Arc<ClientConfig>> + Send + Sync + 'static) {
        let _ = self.0.set(Box::new(find));
    }

    /// One that trusts nobody, as long as there is none.
    fn config(&self) -> ClientConfig {
        let found = self.0.get().and_then(|find| find());
        let mut config = found.map_or_else(nobody, |config| ClientConfig::clone(&config));
        // The client says itself which protocols it speaks.
        config.alpn_protocols.clear();
        config
    }
}

fn nobody() -> ClientConfig {
    ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth()
}

// === impl HealthCheck ===

impl HealthCheck {
    pub fn new(
        rules: CheckRules,
        checks: Arc<Checks>,
        tls: Arc<UpstreamTls>,
        clock: fn() -> u64,
    ) -> HealthCheck {
        let name = format!("health check {}", rules.path);
        let at_once = Semaphore::new(AT_ONCE_MAX);
        HealthCheck {
            name,
            checker: Arc::new(Checker { rules, checks, tls, clock, at_once }),
            turn: None,
        }
    }
}

impl Task for HealthCheck {
    fn name(&self) -> &str {
        &self.name
    }

    /// Ends when a newer plan checks the same hosts.
    fn run(&mut self, _env: TaskEnv) -> BoxFuture<'_, Result<(), TaskError>> {
        let turn = *self.turn.get_or_insert_with(|| self.checker.checks.turn.take());
        let checker = self.checker.clone();
        Box::pin(async move {
            let mut running: BTreeMap<Box<str>, Running> = BTreeMap::new();
            while checker.checks.turn.is(turn) {
                let hosts = checker.checks.in_use();
                checker.checks.look(checker.rules.return_ms);
                running.retain(|origin, running| {
                    let is_wanted = hosts.iter().any(|(wanted, _)| wanted == origin);
                    is_wanted && !running.0.is_finished()
                });
                for (origin, health) in hosts {
                    // Weakly, or each host would be in use because it is checked.
                    let health = Arc::downgrade(&health);
                    running.entry(origin).or_insert_with_key(|origin| {
                        let checks = checker.clone().check_forever(origin.clone(), health);
                        Running(tokio::spawn(checks))
                    });
                }
                sleep(LOOK).await;
            }
            Ok(())
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

// === impl Checker ===

impl Checker {
    async fn check_forever(self: Arc<Self>, origin: Box<str>, health: Weak<Health>) {
        let chance = RandomState::new();
        let url = format!("{origin}{}", self.rules.path);
        sleep(self.rules.first_pause(chance.hash_one(0))).await;
        for round in 1_u64.. {
            let has_passed = self.check(&url).await;
            let Some(health) = health.upgrade() else { return };
            let now_ms = (self.clock)();
            if health.note(has_passed, self.rules.thresholds(), now_ms).is_some() {
                self.checks.look(self.rules.return_ms);
            }
            drop(health);
            sleep(self.rules.pause(chance.hash_one(round))).await;
        }
    }

    async fn check(&self, url: &str) -> bool {
        let Ok(_permit) = self.at_once.acquire().await else { return false };
        let timeout = Duration::from_millis(self.rules.timeout_ms);
        let client = HttpClient::for_probes(self.tls.config(), USER_AGENT, timeout);
        let host = Some(self.rules.host.as_str()).filter(|host| !host.is_empty());
        client.probe(url, host).await.is_ok_and(|status| self.rules.is_good(status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(statuses: &[u16]) -> CheckRules {
        CheckRules {
            path: "/ready".to_owned(),
            host: String::new(),
            interval_ms: 1000,
            timeout_ms: 100,
            healthy: 1,
            unhealthy: 1,
            statuses: statuses.to_vec(),
            return_ms: 0,
        }
    }

    #[test]
    fn any_success_is_good_unless_statuses_are_listed() {
        let good = |statuses: &[u16]| {
            let rules = rules(statuses);
            [200, 204, 299, 301, 404, 503].map(|status| rules.is_good(status))
        };
        assert_eq!(good(&[]), [true, true, true, false, false, false]);
        assert_eq!(good(&[204, 404]), [false, true, false, false, true, false]);
    }

    #[test]
    fn pauses_differ_and_stay_near_the_interval() {
        let rules = rules(&[]);
        let pauses: Vec<u128> = (0..21).map(|draw| rules.pause(draw).as_millis()).collect();
        assert_eq!((pauses.first(), pauses.last()), (Some(&900), Some(&1100)));
        assert!((0..5000).all(|draw| rules.first_pause(draw).as_millis() < 1000));
    }
}
