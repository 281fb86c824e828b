//! `Feature`: what a namespace of `extra_config` must offer to take part in the plan, and what it may change.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::Plan;
use super::backend::{CacheOptions, StatusRule};
use super::common::Common;
use super::limits::{LimitOptions, RateLimitOptions};
use super::logging::LoggingPlan;
use super::resilience::Resilience;
use super::router::RouterOptions;
use super::statics::StaticPlan;
use crate::config::extra::Block;
use crate::config::problem::{Place, Problem};
use crate::json::FlatmapOp;
use crate::shared::log::Log;
use crate::shared::meter::Meter;
use crate::stage::claims::ClaimRules;
use crate::stage::{CallStage, EndpointStage, PipeStage, Watcher};

/// Makes a core's instance of a stage: the blueprint crosses threads, the stage never does.
pub type EndpointStageBuilder = Box<dyn Fn() -> Box<dyn EndpointStage> + Send + Sync>;
/// The same for stages around all requests; they may keep the log.
pub type ServiceStageBuilder = Box<dyn Fn(&Log) -> Box<dyn EndpointStage> + Send + Sync>;
/// The same for stages around an endpoint's pipe.
pub type PipeStageBuilder = Box<dyn Fn() -> Box<dyn PipeStage> + Send + Sync>;
/// The same for stages around calls.
pub type CallStageBuilder = Box<dyn Fn() -> Box<dyn CallStage> + Send + Sync>;

/// The same for a stage that stands around every endpoint.
pub type CommonStageBuilder = Arc<dyn Fn() -> Box<dyn EndpointStage> + Send + Sync>;

/// Makes a core's instance of a watcher, which counts in cells of the meter.
pub type WatcherBuilder = Box<dyn Fn(&Plan, &Meter) -> Box<dyn Watcher> + Send + Sync>;

/// One namespace of `extra_config`.
pub trait Feature: Sync {
    /// The current name, such as `backend/http`.
    fn namespace(&self) -> &'static str;

    /// Where a block of it may stand.
    fn scopes(&self) -> &'static [Scope];

    /// False for a namespace that is known by name only.
    fn is_built(&self) -> bool {
        true
    }

    /// Members that a block may have; others are warned of. `None`: the feature looks at them itself.
    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        None
    }

    /// Installs a block.
    ///
    /// # Errors
    /// [`Fallback`] says why it was not installed, and what the original does then.
    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback>;
}

/// Where a stage stands around all requests, from the outside in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServiceSlot {
    Cors,
    Http,
    BotDetector,
}

impl ServiceSlot {
    /// Whether the stage stands outside of the router, so that the router's redirects, refused parameters and the health
    /// endpoint pass through it, too.
    pub fn is_outside_of_router(self) -> bool {
        self == ServiceSlot::Cors
    }
}

/// Where a stage stands around an endpoint, from the outside in: the original's order, whatever the order of the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndpointSlot {
    ServiceRateLimit,
    BotDetector,
    Validator,
    Signer,
    RateLimit,
    /// Behind the validator: what a token says may name the client.
    ServiceQuota,
    Quota,
}

/// Where a stage stands around an endpoint's pipe, from the outside in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PipeSlot {
    Cel,
}

/// Where a stage stands around a call to a backend, from the outside in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallSlot {
    CircuitBreaker,
    RateLimit,
    Lua,
    Cel,
    Martian,
    Credentials,
}

impl CallSlot {
    /// Whether a stage there may look at the request's body, so that it must be kept in memory.
    pub fn reads_body(self) -> bool {
        let blind =
            [CallSlot::CircuitBreaker, CallSlot::RateLimit, CallSlot::Cel, CallSlot::Martian];
        !blind.contains(&self)
    }

    /// Whether a stage there sees the upstream's answer as it came, before it is judged and decoded.
    pub fn changes_answer(self) -> bool {
        self == CallSlot::Martian
    }
}

/// The builders of stages in the order of their slots.
pub fn in_order<S: Ord + Copy, B>(mut stages: Vec<(S, B)>) -> Vec<B> {
    stages.sort_by_key(|(slot, _)| *slot);
    stages.into_iter().map(|(_, build)| build).collect()
}

/// Where the stage that changes answers will stand once the stages are in order.
pub fn modifier_place<B>(stages: &[(CallSlot, B)]) -> Option<usize> {
    let (slot, _) = stages.iter().find(|(slot, _)| slot.changes_answer())?;
    Some(stages.iter().filter(|(other, _)| other < slot).count())
}

/// Where a block of a namespace may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Service,
    Endpoint,
    Backend,
}

impl Scope {
    pub fn name(self) -> &'static str {
        match self {
            Scope::Service => "the service",
            Scope::Endpoint => "an endpoint",
            Scope::Backend => "a backend",
        }
    }
}

/// What a block may change: the part of the plan that it stands in.
pub enum Site<'a> {
    Service(&'a mut ServiceDraft),
    Endpoint(&'a mut EndpointDraft),
    Backend(&'a mut BackendDraft),
}

impl Site<'_> {
    pub fn common(&self) -> &Common {
        match self {
            Site::Service(draft) => &draft.common,
            Site::Endpoint(draft) => &draft.common,
            Site::Backend(draft) => &draft.common,
        }
    }

    /// What is said there of hosts that fail; `None` at an endpoint, which has no hosts.
    pub fn resilience(&mut self) -> Option<&mut Resilience> {
        match self {
            Site::Service(draft) => Some(&mut draft.resilience),
            Site::Endpoint(_) => None,
            Site::Backend(draft) => Some(&mut draft.resilience),
        }
    }

    pub fn scope(&self) -> Scope {
        match self {
            Site::Service(_) => Scope::Service,
            Site::Endpoint(_) => Scope::Endpoint,
            Site::Backend(_) => Scope::Backend,
        }
    }
}

/// What the service's blocks said.
#[derive(Default)]
pub struct ServiceDraft {
    /// Given: the start is lenient.
    pub is_lenient: bool,
    /// Given: the name that the service gives itself.
    pub name: Box<str>,
    /// Given.
    pub common: Common,
    /// `None`: there is no router block, which is not the same as an empty one.
    pub router: Option<RouterOptions>,
    pub limits: LimitOptions,
    pub logging: LoggingPlan,
    /// Of upstreams whose backends say nothing themselves.
    pub refuses_trailing_json: bool,
    pub rate_limits: RateLimitOptions,
    /// Of hosts of backends that say nothing themselves.
    pub resilience: Resilience,
    /// Stages around every endpoint.
    pub endpoint_stages: Vec<(EndpointSlot, CommonStageBuilder)>,
    pub stages: Vec<(ServiceSlot, ServiceStageBuilder)>,
    pub watchers: Vec<WatcherBuilder>,
    /// Where the status page is.
    pub admin: Option<SocketAddr>,
    /// Between the signal to stop and the end of listening.
    pub lame_duck_ms: u64,
    /// Where readiness is told; empty: nowhere. `None`: at the usual path, unless an endpoint has it.
    pub ready_path: Option<String>,
}

/// What an endpoint's blocks said.
#[derive(Default)]
pub struct EndpointDraft {
    /// Given: the names of the endpoint's parameters, in the order of their slots.
    pub param_names: Vec<String>,
    /// Given: what the service says of rate limits.
    pub rate_limits: RateLimitOptions,
    /// Given.
    pub common: Common,
    /// Given: the endpoint's path as it was written.
    pub route: Box<str>,
    pub is_sequential: bool,
    pub propagated_params: Vec<String>,
    pub static_data: Option<StaticPlan>,
    pub flatmap: Vec<FlatmapOp>,
    pub stages: Vec<(EndpointSlot, EndpointStageBuilder)>,
    pub pipe_stages: Vec<(PipeSlot, PipeStageBuilder)>,
    /// What else a validator asks of a token, and where that is written.
    pub claim_rules: ClaimRules,
    pub claim_rules_at: Option<Place>,
    /// Further problems of its blocks.
    pub problems: Vec<Problem>,
    /// What the endpoint says of its layers' telemetry.
    pub layers: Option<serde_json::Value>,
    /// A guard could not be built: the endpoint answers everything with this status.
    pub sealed: Option<u16>,
}

impl EndpointDraft {
    /// Rules for the claims of a token that nobody looks at.
    pub fn unasked_claim_rules(&self) -> Option<Problem> {
        let is_guarded = self.stages.iter().any(|(slot, _)| *slot == EndpointSlot::Validator);
        let place =
            self.claim_rules_at.as_ref().filter(|_| !is_guarded && self.sealed.is_none())?;
        let what = "claims of a token are checked, and there is no auth/validator to read one";
        let problem = Problem::lenient(place.clone(), what);
        Some(problem.hint("--lenient never makes the check"))
    }
}

/// What a backend's blocks said.
#[derive(Default)]
pub struct BackendDraft {
    /// Given.
    pub common: Common,
    /// Given: the internal names of the endpoint's parameters, in the order of their slots.
    pub param_keys: Arc<[Box<str>]>,
    /// Given: the `url_pattern`.
    pub pattern: Box<str>,
    pub is_shadow: bool,
    pub shadow_timeout_ms: Option<u64>,
    pub flatmap: Vec<FlatmapOp>,
    pub statuses: Option<StatusRule>,
    pub resends_body: bool,
    /// `None`: as the service says.
    pub refuses_trailing_json: Option<bool>,
    pub resilience: Resilience,
    pub cache: Option<CacheOptions>,
    /// The cache keeps also what is meant for one client.
    pub caches_as_original: bool,
    pub stages: Vec<(CallSlot, CallStageBuilder)>,
    /// Further problems of its blocks.
    pub problems: Vec<Problem>,
    /// What the backend says of its layer's telemetry.
    pub layers: Option<serde_json::Value>,
    /// A guard could not be built: the endpoint of this backend answers everything with this status.
    pub sealed: Option<u16>,
}

/// Why a block was not installed, and what the original does then.
#[derive(Debug)]
pub enum Fallback {
    /// It logs, and serves without the feature.
    Skip(Problem),
    /// It serves the endpoint with this status for ever.
    Seal(u16, Problem),
    /// It does not start.
    Refuse(Problem),
}

/// Reads a block into its typed form.
///
/// # Errors
/// [`Fallback::Skip`], naming what does not fit.
pub fn decode<T: DeserializeOwned>(block: &Block) -> Result<T, Fallback> {
    serde_json::from_value(block.value.clone()).map_err(|error| {
        let mut what = error.to_string();
        // The names of our types tell nobody anything.
        if let Some(at) = what.find("expected struct ") {
            what.replace_range(at.., "expected an object");
        }
        Fallback::Skip(Problem::lenient(block.place.clone(), what))
    })
}
