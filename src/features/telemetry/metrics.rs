//! `telemetry/metrics`: counts requests, their latency and size, and shows them at `/__stats`.
//!
//! Follows krakend-metrics, metrics.go, router.go and proxy.go (specification, section 2.38).

mod page;

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::config::extra::Block;
use crate::config::problem::Problem;
use crate::config::values::parse_duration;
use crate::control::page_server::{Page, PageServer, Pages};
use crate::control::task::within;
use crate::control::{BoxFuture, Task, TaskEnv, TaskError};
use crate::plan::Plan;
use crate::plan::feature::{Fallback, Feature, Scope, Site};
use crate::shared::stats::{CoreStats, StatNames, Stats, ending};
use crate::stage::Watcher;
use crate::stage::ids::{BackendId, EndpointId};
use crate::stage::watch::{Called, End, Piped, Route, Served, Timed};

pub struct Metrics;

const PERIOD_DEFAULT: Duration = Duration::from_mins(1);
/// A shorter one would only keep the control thread busy.
const PERIOD_MIN: Duration = Duration::from_millis(100);
const ADDRESS_DEFAULT: &str = ":8090";

impl Feature for Metrics {
    fn namespace(&self) -> &'static str {
        "telemetry/metrics"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Service]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(&[
            "backend_disabled",
            "collection_time",
            "endpoint_disabled",
            "listen_address",
            "proxy_disabled",
            "router_disabled",
        ])
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let Site::Service(draft) = site else { return Ok(()) };
        if !block.value.is_object() {
            let problem = Problem::lenient(block.place.clone(), "the block must be an object");
            return Err(Fallback::Skip(problem.hint("--lenient counts nothing")));
        }
        let mut problems = Vec::new();
        let options = Options {
            period: period(block, &mut problems)?,
            address: address(block, &mut problems),
            has_page: !flag(block, "endpoint_disabled", &mut problems),
            has_router: !flag(block, "router_disabled", &mut problems),
            has_pipes: !flag(block, "proxy_disabled", &mut problems),
            has_backends: !flag(block, "backend_disabled", &mut problems),
        };
        let stats = draft.common.get::<Stats>();
        stats.want();
        draft
            .common
            .leave_task(Box::new(Collector { stats: stats.clone(), period: options.period }));
        if let (true, Some(address)) = (options.has_page, options.address) {
            let pages = pages(stats.clone());
            let server = PageServer::new("Stats", address, pages).redirecting();
            draft.common.leave_task(Box::new(server));
        }
        draft.watchers.push(Box::new(move |plan, _| {
            let layout = Layout::of(plan, options);
            let core = stats.core(|| layout.names.clone());
            Box::new(Counting { core, layout }) as Box<dyn Watcher>
        }));
        problems.into_iter().next().map_or(Ok(()), |problem| Err(Fallback::Skip(problem)))
    }
}

#[derive(Clone, Copy)]
struct Options {
    period: Duration,
    address: Option<SocketAddr>,
    has_page: bool,
    has_router: bool,
    has_pipes: bool,
    has_backends: bool,
}

fn period(block: &Block, problems: &mut Vec<Problem>) -> Result<Duration, Fallback> {
    let Some(written) = block.value.get("collection_time") else { return Ok(PERIOD_DEFAULT) };
    let place = || block.place_at("/collection_time");
    let parsed = match written {
        Value::String(text) => parse_duration(text).ok(),
        // The original crashes.
        other => {
            let problem = Problem::refuse(place(), format!("{other} is no duration"));
            return Err(Fallback::Refuse(problem.hint("write it like \"60s\"")));
        }
    };
    match parsed {
        None => {
            let problem = Problem::lenient(place(), format!("{written} is no duration"));
            problems.push(problem.hint("write it like \"60s\"; --lenient takes a minute"));
            Ok(PERIOD_DEFAULT)
        }
        Some(ns @ 1..) => Ok(Duration::from_nanos(ns.unsigned_abs()).max(PERIOD_MIN)),
        // Its ticker panics.
        Some(_) => {
            let problem = Problem::refuse(place(), "the time between collections must be positive");
            Err(Fallback::Refuse(problem.hint("leave it out for a minute")))
        }
    }
}

/// `None`: there can be no page.
fn address(block: &Block, problems: &mut Vec<Problem>) -> Option<SocketAddr> {
    let written = match block.value.get("listen_address") {
        None => ADDRESS_DEFAULT,
        Some(Value::String(text)) => text,
        Some(other) => {
            let place = block.place_at("/listen_address");
            problems.push(Problem::lenient(place, format!("{other} is no text")));
            ADDRESS_DEFAULT
        }
    };
    let address = go_address(written);
    if address.is_none() {
        let what = format!("{written:?} is no address with a port");
        let problem = Problem::lenient(block.place_at("/listen_address"), what);
        problems.push(problem.hint("write it like \":8090\" or \"127.0.0.1:8090\""));
    }
    address
}

/// An address to listen on as Go writes it: without a host, all interfaces.
fn go_address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok()?;
    match host {
        "" => Some((Ipv6Addr::UNSPECIFIED, port).into()),
        "localhost" => Some((Ipv4Addr::LOCALHOST, port).into()),
        _ => text.parse().ok(),
    }
}

fn flag(block: &Block, name: &str, problems: &mut Vec<Problem>) -> bool {
    match block.value.get(name) {
        None => false,
        Some(Value::Bool(flag)) => *flag,
        Some(other) => {
            let place = block.place_at(&format!("/{name}"));
            let problem = Problem::lenient(place, format!("{other} is neither true nor false"));
            problems.push(problem.hint("--lenient takes it for false"));
            false
        }
    }
}

fn pages(stats: Arc<Stats>) -> Pages {
    Arc::new(move |asked| {
        (asked.path == "/__stats").then(|| Page {
            status: 200,
            content_type: "application/json; charset=utf-8",
            body: page::write(&stats.now().unwrap_or_default()).into_bytes(),
        })
    })
}

/// Ends a period of the statistics again and again.
struct Collector {
    stats: Arc<Stats>,
    period: Duration,
}

impl Task for Collector {
    fn name(&self) -> &'static str {
        "Stats"
    }

    fn run(&mut self, mut env: TaskEnv) -> BoxFuture<'_, Result<(), TaskError>> {
        Box::pin(async move {
            while within(self.period, env.stopping()).await.is_none() {
                self.stats.end_period();
            }
            Ok(())
        })
    }
}

/// The names of a plan, and which of them each endpoint and backend has.
struct Layout {
    names: StatNames,
    endpoints: Vec<usize>,
    pipes: Vec<usize>,
    /// By endpoint and place, the rows one after another.
    backends: Vec<Vec<usize>>,
}

impl Layout {
    fn of(plan: &Plan, options: Options) -> Layout {
        let (mut endpoints, mut pipes, mut backends) =
            (Rows::default(), Rows::default(), Rows::default());
        let mut layout = Layout {
            names: StatNames::default(),
            endpoints: Vec::new(),
            pipes: Vec::new(),
            backends: Vec::new(),
        };
        for endpoint in &plan.endpoints {
            if options.has_router {
                layout.endpoints.push(endpoints.row(&endpoint.route));
            }
            if options.has_pipes {
                layout.pipes.push(pipes.row(&endpoint.route));
            }
            if options.has_backends {
                let mut rows = Vec::new();
                for backend in endpoint.backends() {
                    let place = backend.id.parts().1;
                    if rows.len() <= place {
                        rows.resize(place + 1, usize::MAX);
                    }
                    rows[place] = backends.row(backend.template.internal_pattern());
                }
                layout.backends.push(rows);
            }
        }
        layout.names.endpoints = endpoints.names;
        layout.names.pipes = pipes.names;
        layout.names.backends = backends.names;
        layout
    }
}

/// Names without repetition, in the order in which they came.
#[derive(Default)]
struct Rows {
    names: Vec<String>,
    known: HashMap<String, usize>,
}

impl Rows {
    fn row(&mut self, name: &str) -> usize {
        *self.known.entry(name.to_owned()).or_insert_with(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        })
    }
}

/// One core's counting.
struct Counting {
    core: CoreStats,
    layout: Layout,
}

impl Watcher for Counting {
    fn entered(&self, _endpoint: EndpointId) {
        if !self.layout.endpoints.is_empty() {
            self.core.connected();
        }
    }

    fn has_pipe_span(&self, _endpoint: EndpointId) -> bool {
        false
    }

    fn has_call_span(&self, _backend: BackendId) -> bool {
        false
    }

    fn served(&self, served: &Served<'_>) {
        let Route::Endpoint(id) = served.route else { return };
        if let Some(row) = self.layout.endpoints.get(id.index()) {
            self.core.disconnected(*row, served.status, served.body_bytes, length_ns(served.timed));
        }
    }

    fn piped(&self, piped: &Piped<'_>) {
        if let Some(row) = self.layout.pipes.get(piped.endpoint.index()) {
            self.core.piped(*row, ending_of(&piped.end), length_ns(piped.timed));
        }
    }

    fn called(&self, called: &Called<'_>) {
        let (endpoint, place) = called.backend.parts();
        if let Some(row) = self.layout.backends.get(endpoint).and_then(|rows| rows.get(place)) {
            self.core.called(*row, ending_of(&called.end), length_ns(called.timed));
        }
    }
}

fn ending_of(end: &End<'_>) -> usize {
    ending(end.is_complete, end.failure.is_some() || end.is_canceled)
}

fn length_ns(timed: Timed) -> u64 {
    timed.ended_ns.saturating_sub(timed.began_ns)
}

#[cfg(test)]
mod tests;
