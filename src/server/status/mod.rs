//! The status page: what this node runs and how it is, for people (`/__admin`) and for programs (`/__admin.json`).

mod html;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use crate::control::page_server::{Asked, Page, PageServer, Pages};
use crate::control::{Task, process};
use crate::net::clock;
use crate::plan::Plan;
use crate::plan::backend::{BackendPlan, Hosts};
use crate::plan::endpoint::{EndpointPlan, Pipe};
use crate::server::core::Serving;
use crate::shared::board::Board;
use crate::shared::hosts::health::Health;
use crate::shared::hosts::{Member, State};
use crate::shared::meter::{Meter, Value};
use crate::shared::metric;
use crate::shared::published::Published;

/// The page itself; with `.json` behind it, or asked for with `Accept: application/json`, it is for programs.
const PATH: &str = "/__admin";

/// What the page needs to know beside the plan.
pub struct Node {
    pub serving: Published<Serving>,
    pub meter: Meter,
    pub driver: String,
    pub workers: usize,
    /// What the last check of the configuration had to say.
    pub problems: Published<Vec<String>>,
    pub started: Instant,
}

/// What the page shows.
#[derive(Serialize)]
struct Facts {
    version: &'static str,
    pid: u32,
    uptime_s: u64,
    driver: String,
    workers: usize,
    memory: Memory,
    listen: String,
    requests_in_flight: i64,
    client_connections: i64,
    problems: Vec<String>,
    endpoints: Vec<EndpointFact>,
    upstreams: Vec<UpstreamFact>,
    hosts: Vec<HostFact>,
    breakers: Vec<BreakerFact>,
    limits: Vec<LimitFact>,
    counters: Vec<CounterFact>,
}

#[derive(Serialize)]
struct Memory {
    resident_bytes: u64,
    descriptors: u64,
}

#[derive(Serialize)]
struct EndpointFact {
    method: String,
    path: String,
    timeout_ms: u64,
    stages: usize,
    /// Answers everything with this status, because a guard could not be built.
    sealed: Option<u16>,
    backends: Vec<BackendFact>,
}

#[derive(Serialize)]
struct BackendFact {
    method: String,
    pattern: String,
    hosts: Vec<String>,
    stages: usize,
    is_cached: bool,
    is_shadow: bool,
}

#[derive(Serialize)]
struct UpstreamFact {
    origin: String,
    idle: i64,
    busy: i64,
}

/// A host that is watched. It stands here once for each group of hosts that it belongs to.
#[derive(Serialize)]
struct HostFact {
    origin: String,
    state: &'static str,
    /// Of an ejected one: how long it stays that.
    ejected_ms: Option<u64>,
    /// Of one that comes back.
    share_percent: Option<u64>,
    ejections: u64,
    /// Of one that is checked.
    checks_passed: Option<u64>,
    checks_failed: Option<u64>,
}

#[derive(Serialize)]
struct BreakerFact {
    name: String,
    state: &'static str,
}

#[derive(Serialize)]
struct LimitFact {
    name: &'static str,
    /// `None`: the default holds.
    value: Option<u64>,
}

#[derive(Serialize)]
struct CounterFact {
    name: &'static str,
    labels: String,
    value: u64,
}

/// The task that serves the page.
pub fn server(address: SocketAddr, node: Node) -> Box<dyn Task> {
    let pages: Pages = Arc::new(move |asked| page(asked, &node));
    Box::new(PageServer::new(format!("status page on {address}"), address, pages))
}

fn page(asked: &Asked, node: &Node) -> Option<Page> {
    let facts = || Facts::of(node, clock::now().as_ms());
    match asked.path.strip_prefix(PATH)? {
        "" | "/" if !asked.accept.contains("application/json") => Some(Page {
            status: 200,
            content_type: "text/html; charset=utf-8",
            body: html::page(&facts()).into_bytes(),
        }),
        "" | "/" | ".json" => Some(Page {
            status: 200,
            content_type: "application/json",
            // The facts are plain structs: there is nothing in them that JSON cannot say.
            body: serde_json::to_vec(&facts()).unwrap_or_default(),
        }),
        _ => None,
    }
}

// === impl Facts ===

impl Facts {
    fn of(node: &Node, now_ms: u64) -> Facts {
        let serving = node.serving.latest();
        let plan = &*serving.plan;
        let used = process::usage();
        Facts {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            uptime_s: node.started.elapsed().as_secs(),
            driver: node.driver.clone(),
            workers: node.workers,
            memory: Memory { resident_bytes: used.resident_bytes, descriptors: used.descriptors },
            listen: match plan.listen.address {
                Some(address) => SocketAddr::new(address, plan.listen.port).to_string(),
                None => format!("port {}", plan.listen.port),
            },
            requests_in_flight: gauge(&node.meter, metric::REQUESTS_IN_FLIGHT),
            client_connections: gauge(&node.meter, metric::CONNECTIONS),
            problems: node.problems.latest().to_vec(),
            endpoints: plan
                .endpoints
                .iter()
                .map(|endpoint| EndpointFact::of(endpoint, plan))
                .collect(),
            upstreams: upstreams(&node.meter),
            hosts: hosts(plan, now_ms),
            breakers: breakers(plan, now_ms),
            limits: limits(plan),
            counters: counters(&node.meter),
        }
    }
}

impl EndpointFact {
    fn of(endpoint: &EndpointPlan, plan: &Plan) -> EndpointFact {
        let regular = match &endpoint.pipe {
            Pipe::Single(_) => 1,
            Pipe::Parallel { backends, .. } => backends.len(),
            Pipe::Sequential { calls, .. } => calls.len(),
            Pipe::Unbuilt(_) => 0,
        };
        let backends = endpoint.backends().enumerate();
        EndpointFact {
            method: endpoint.method.to_string(),
            path: endpoint.route.to_string(),
            timeout_ms: endpoint.timeout_ms,
            stages: endpoint.stages.len(),
            sealed: endpoint.sealed,
            backends: backends
                .map(|(place, backend)| BackendFact::of(backend, place >= regular, plan))
                .collect(),
        }
    }
}

impl BackendFact {
    fn of(backend: &BackendPlan, is_shadow: bool, plan: &Plan) -> BackendFact {
        let hosts = match &backend.hosts {
            Hosts::Fixed(hosts) => {
                hosts.iter().map(|id| plan.host(*id).origin.to_string()).collect()
            }
            Hosts::Discovered(feed) => {
                let feed = plan.feeds.get(*feed);
                feed.map(|feed| format!("dns {}", feed.service)).into_iter().collect()
            }
        };
        BackendFact {
            method: backend.method.to_string(),
            pattern: backend.template.internal_pattern().to_string(),
            hosts,
            stages: backend.stages.len(),
            is_cached: backend.cache.is_some(),
            is_shadow,
        }
    }
}

fn gauge(meter: &Meter, metric: metric::Metric) -> i64 {
    let readings = meter.readings();
    let of_it = readings.iter().filter(|reading| reading.name == metric.name);
    of_it.map(|reading| if let Value::Gauge(value) = reading.value { value } else { 0 }).sum()
}

fn upstreams(meter: &Meter) -> Vec<UpstreamFact> {
    let mut facts: Vec<UpstreamFact> = Vec::new();
    for reading in meter.readings() {
        if reading.name != metric::UPSTREAM_CONNECTIONS.name {
            continue;
        }
        let label = |wanted: &str| {
            let found = reading.labels.iter().find(|(name, _)| &**name == wanted);
            found.map_or("", |(_, value)| value)
        };
        let Value::Gauge(value) = reading.value else { continue };
        let (origin, is_idle) = (label("upstream"), label("state") == "idle");
        let place = facts.iter().position(|fact| fact.origin == origin).unwrap_or_else(|| {
            facts.push(UpstreamFact { origin: origin.to_owned(), idle: 0, busy: 0 });
            facts.len() - 1
        });
        let of_it = if is_idle { &mut facts[place].idle } else { &mut facts[place].busy };
        *of_it += value;
    }
    facts
}

fn hosts(plan: &Plan, now_ms: u64) -> Vec<HostFact> {
    let members = plan.groups.iter().flat_map(|(group, _)| group.members(now_ms));
    let fact = |(member, state): (Arc<Member>, State)| {
        let counts = member.health().map(Health::counts);
        HostFact {
            origin: member.origin().to_owned(),
            state: state.name(),
            ejected_ms: if let State::Ejected(left_ms) = state { Some(left_ms) } else { None },
            share_percent: if let State::Returning(share) = state {
                Some(share / 10)
            } else {
                None
            },
            ejections: member.ejections(),
            checks_passed: counts.map(|(passed, _)| passed),
            checks_failed: counts.map(|(_, failed)| failed),
        }
    };
    members.map(fact).collect()
}

fn breakers(plan: &Plan, now_ms: u64) -> Vec<BreakerFact> {
    let states = plan.common.get::<Board>().states(now_ms);
    states.into_iter().map(|(name, state)| BreakerFact { name, state: state.name() }).collect()
}

fn limits(plan: &Plan) -> Vec<LimitFact> {
    let all = plan.limits.all().into_iter();
    all.map(|option| LimitFact { name: option.name, value: option.value }).collect()
}

/// Everything that only grows, and has grown.
fn counters(meter: &Meter) -> Vec<CounterFact> {
    let readings = meter.readings().into_iter();
    let shown = readings.filter_map(|reading| {
        let Value::Counter(value @ 1..) = reading.value else { return None };
        let ours = metric::ALL.iter().find(|metric| metric.name == reading.name)?;
        let labels: Vec<String> =
            reading.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Some(CounterFact { name: ours.name, labels: labels.join(" "), value })
    });
    shown.collect()
}

/// The clock on the wall, for the foot of the page.
fn now_text() -> String {
    httpdate::fmt_http_date(SystemTime::now())
}

fn uptime_text(uptime_s: u64) -> String {
    let left = Duration::from_secs(uptime_s).as_secs();
    let (days, hours, minutes, seconds) =
        (left / 86_400, left / 3600 % 24, left / 60 % 60, left % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {seconds} s"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests;
