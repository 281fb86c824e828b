//! The compiled configuration: what the cores run. Data, no behaviour, shared read-only by all threads.

pub mod backend;
pub mod client_key;
pub mod common;
pub mod compile;
pub mod endpoint;
pub mod feature;
pub mod limits;
pub mod logging;
pub mod resilience;
pub mod route;
pub mod router;
pub mod statics;
pub mod template;
pub mod tls;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

pub use compile::{compile, compile_after};

use crate::shared::hosts::HostGroup;
use crate::shared::readiness::Readiness;
use crate::stage::ids::{EndpointId, HostId};
use backend::HostPlan;
use common::Common;
use endpoint::EndpointPlan;
use feature::{ServiceStageBuilder, WatcherBuilder};
use limits::LimitOptions;
use logging::LoggingPlan;
use route::Routes;
use router::RouterPlan;
use tls::{ClientTls, ServerTls};

/// The version of the original whose behaviour is kept; the headers that name a version name this one.
pub const COMPATIBLE_VERSION: &str = "2.13.8";

/// The program the cores run.
pub struct Plan {
    pub routes: Routes,
    /// What each route's id stands for.
    pub targets: Vec<RouteTarget>,
    pub endpoints: Vec<EndpointPlan>,
    pub hosts: Vec<HostPlan>,
    /// Host lists that change while the gateway runs.
    pub feeds: Vec<Feed>,
    pub router: RouterPlan,
    /// Stages around all requests.
    pub stages: ServiceStages,
    /// Those who are told of every request.
    pub watchers: Vec<WatcherBuilder>,
    /// Where the status page is; `None`: there is none.
    pub admin: Option<SocketAddr>,
    pub listen: ListenPlan,
    pub client: ClientPlan,
    pub limits: LimitOptions,
    pub logging: LoggingPlan,
    pub common: Common,
    /// `None`: plain HTTP is served.
    pub tls: Option<ServerTls>,
    pub client_tls: ClientTls,
    pub readiness: Arc<Readiness>,
    pub groups: HostGroups,
    /// Some backend repeats calls.
    pub has_retries: bool,
}

/// Hosts that are watched, and the feed that keeps their list.
pub type HostGroups = Vec<(Arc<HostGroup>, Option<usize>)>;

/// The stages around all requests, from the outside in.
#[derive(Default)]
pub struct ServiceStages {
    pub outside_of_router: Vec<ServiceStageBuilder>,
    pub inside_of_router: Vec<ServiceStageBuilder>,
}

/// The one shared pointer that a core holds to its plan.
pub type PlanHandle = Arc<Plan>;

/// What a matched route leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteTarget {
    Endpoint(EndpointId),
    Health,
    Ready,
    Debug,
    Echo,
    /// An automatic OPTIONS answer with its `Allow` value.
    Options(Box<str>),
}

/// A host list that service discovery keeps: `sd: dns`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// The name whose SRV records are read.
    pub service: String,
    /// Empty means `http`.
    pub scheme: String,
}

/// Where and how to listen.
#[derive(Clone, Debug)]
pub struct ListenPlan {
    pub address: Option<IpAddr>,
    pub port: u16,
    pub head_bytes_max: usize,
    pub head_ms: u64,
    pub request_ms: u64,
    pub idle_ms: u64,
    /// A whole answer, from the end of its request's head; zero is without bound.
    pub answer_ms: u64,
    pub write_stall_ms: u64,
    /// How long a stop waits for requests in flight; zero is without bound.
    pub drain_ms: u64,
    /// How long a node that will stop goes on as before, but for its readiness.
    pub lame_duck_ms: u64,
}

/// How backends are reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientPlan {
    pub connect_ms: u64,
    pub fallback_ms: u64,
    pub probe_after_ms: u64,
    pub answer_head_ms: u64,
    pub idle_max_per_host: usize,
    /// Over all hosts and cores; zero is without bound.
    pub idle_max: usize,
    pub idle_ms: u64,
    pub keep_alive: bool,
    pub ask_for_gzip: bool,
    /// `dns_cache_ttl`.
    pub srv_refresh_ms: u64,
}

impl ClientPlan {
    /// One core's part of the idle connections: a count over all cores would cost every call.
    pub fn idle_max_of_one(&self, cores: usize) -> usize {
        match self.idle_max {
            0 => usize::MAX,
            all => all.div_ceil(cores.max(1)),
        }
    }
}

impl Plan {
    pub fn endpoint(&self, id: EndpointId) -> &EndpointPlan {
        &self.endpoints[id.index()]
    }

    /// Whether upstreams will be called over TLS for certain; where not, a redirect may still lead to it.
    pub fn calls_tls(&self) -> bool {
        let is_secure = |host: &HostPlan| host.target.as_ref().is_ok_and(|target| target.is_tls);
        self.hosts.iter().any(is_secure) || self.feeds.iter().any(|feed| feed.scheme == "https")
    }

    pub fn host(&self, id: HostId) -> &HostPlan {
        &self.hosts[id.index()]
    }
}
