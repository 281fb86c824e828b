//! `sd: dns`: the hosts of a backend come from a DNS service (SRV) record and are looked up again and
//! again.
//!
//! Follows lura, sd/dnssrv/subscriber.go: the servers of the lowest priority number, each repeated by its
//! weight; a lookup that fails leaves the list as it is.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use tokio::time::sleep;

use super::dns::{Dns, Srv};
use super::task::{BoxFuture, Task, TaskEnv, TaskError};
use crate::shared::names::ServiceHost;
use crate::shared::published::Published;

/// Between two lookups, unless `dns_cache_ttl` says otherwise.
pub const TTL_DEFAULT: Duration = Duration::from_secs(30);

/// A `dns_cache_ttl` below this is ignored.
pub const TTL_MIN: Duration = Duration::from_secs(1);

/// The sum that weights are scaled down to, unless there are more servers than this. A longer list is
/// shuffled.
const WEIGHTS_MAX: usize = 100;

/// What to look up, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrvSettings {
    /// The backend's first host, such as `_http._tcp.api.example.com`.
    pub service: String,
    /// `sd_scheme`; empty means `http`.
    pub scheme: String,
    pub ttl: Duration,
}

/// The hosts of a service, as they are found.
pub struct Service {
    pub hosts: Published<Vec<ServiceHost>>,
    first: mpsc::Receiver<()>,
}

/// The task behind a [`Service`].
pub struct SrvLookup {
    dns: Arc<Dns>,
    settings: SrvSettings,
    name: String,
    hosts: Published<Vec<ServiceHost>>,
    /// Gone once the first lookup is done.
    first: Option<mpsc::Sender<()>>,
    has_failed: bool,
}

/// A service that has no hosts yet, and the task to spawn for it.
pub fn service(dns: Arc<Dns>, settings: SrvSettings) -> (Service, SrvLookup) {
    let (sender, first) = mpsc::channel();
    let hosts = Published::default();
    let name = format!("DNS {}", settings.service);
    let service = Service { hosts: hosts.clone(), first };
    (service, SrvLookup { dns, settings, name, hosts, first: Some(sender), has_failed: false })
}

/// The time between two lookups for a `dns_cache_ttl`.
pub fn ttl(dns_cache_ttl: Duration) -> Duration {
    if dns_cache_ttl < TTL_MIN { TTL_DEFAULT } else { dns_cache_ttl }
}

// === impl Service ===

impl Service {
    /// Waits until the first lookup is done, with or without hosts, as the original's start does.
    pub fn wait_first(&self, at_most: Duration) {
        // Ends with the message or with its sender; late is as good as failed.
        let _ = self.first.recv_timeout(at_most);
    }
}

// === impl SrvLookup ===

impl Task for SrvLookup {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(&mut self, env: TaskEnv) -> BoxFuture<'_, Result<(), TaskError>> {
        Box::pin(async move {
            loop {
                self.look_up(&env).await;
                self.first = None;
                sleep(self.settings.ttl).await;
            }
        })
    }
}

impl SrvLookup {
    async fn look_up(&mut self, env: &TaskEnv) {
        match self.dns.services(&self.settings.service).await {
            Ok(records) => {
                self.has_failed = false;
                let hosts = hosts(records, &self.settings.scheme);
                if *self.hosts.latest() != hosts {
                    self.hosts.publish(hosts);
                }
            }
            Err(error) if !self.has_failed => {
                self.has_failed = true;
                let service = &self.settings.service;
                env.log.warning(format_args!(
                    "[SERVICE: DNS] lookup of the service {service}: {error}"
                ));
            }
            Err(_) => {}
        }
    }
}

/// The list to choose hosts from.
fn hosts(mut records: Vec<Srv>, scheme: &str) -> Vec<ServiceHost> {
    records.sort_by(|a, b| {
        let weight = b.weight.cmp(&a.weight);
        a.priority
            .cmp(&b.priority)
            .then(weight)
            .then_with(|| a.target.cmp(&b.target))
            .then(a.port.cmp(&b.port))
    });
    let first = records.first().map(|record| record.priority);
    records.retain(|record| Some(record.priority) == first);

    let scheme: Arc<str> = if scheme.is_empty() { "http" } else { scheme }.into();
    let weights: Vec<u16> = records.iter().map(|record| record.weight).collect();
    let mut hosts = Vec::new();
    for (record, times) in records.iter().zip(repeats(&weights)) {
        let host = ServiceHost {
            scheme: Arc::clone(&scheme),
            host: record.target.as_str().into(),
            port: record.port,
        };
        hosts.extend(std::iter::repeat_n(host, times.into()));
    }
    if hosts.len() > WEIGHTS_MAX {
        shuffle(&mut hosts);
    }
    hosts
}

/// How often each server stands in the list: its weight, scaled down when the sum is too large, divided by
/// what all have in common. Servers without weight do not appear, not even when none has one.
fn repeats(weights: &[u16]) -> Vec<u16> {
    let scale = u64::try_from(weights.len().max(WEIGHTS_MAX)).unwrap_or(u64::MAX);
    let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    let scaled = |weight: u16| {
        let share = u64::from(weight).saturating_mul(scale).checked_div(sum);
        share.and_then(|share| u16::try_from(share).ok()).unwrap_or(u16::MAX)
    };
    let mut repeats: Vec<u16> =
        weights.iter().map(|weight| if sum <= scale { *weight } else { scaled(*weight) }).collect();
    let common = repeats.iter().copied().fold(0, greatest_common_divisor);
    if common > 1 {
        for times in &mut repeats {
            *times /= common;
        }
    }
    repeats
}

fn greatest_common_divisor(mut a: u16, mut b: u16) -> u16 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Fisher and Yates, with what seeds hash maps as the source of chance: order is no secret here.
fn shuffle<T>(list: &mut [T]) {
    let chance = RandomState::new();
    for end in (1..list.len()).rev() {
        let draw = chance.hash_one(end) % (end as u64 + 1);
        list.swap(end, usize::try_from(draw).unwrap_or(end));
    }
}

#[cfg(test)]
mod tests;
