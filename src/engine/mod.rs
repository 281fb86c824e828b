//! Running a plan: what one core does with a request, from the route to the reply.

pub mod bounds;
pub mod builtin;
mod cached;
pub mod current;
pub mod endpoint;
pub mod fetch;
pub mod headers;
mod hosts;
pub mod pipe;
pub mod race;
pub mod reply;
mod request_head;
mod retry;
mod service;
mod settled;
mod watched;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use bounds::Limiter;

use crate::message::head::TargetForm;
use crate::message::parameter;
use crate::message::path::{self, RequestTarget};
use crate::message::route_params::RouteParams;
use crate::net::task;
use crate::plan::backend::{BackendPlan, HostPlan};
use crate::plan::route::{self, Found, Redirect};
use crate::plan::{PlanHandle, RouteTarget};
use crate::shared::log::Log;
use crate::shared::meter::Meter;
use crate::shared::names::ServiceHost;
use crate::shared::published::{Published, Reader};
use crate::shared::refusals::{Bound, Refusals};
use crate::stage::ids::EndpointId;
use crate::stage::{CallStage, EndpointStage, PipeStage, Watchers};
use crate::upstream::{Pool, Upstreams};
use crate::wire::{Body, HeaderBlock, Peer, Reply, Request};
use retry::RetryCounters;
use service::ServiceStages;
use watched::ServedNote;

/// The plan at work on one core, with this core's connections and stages.
pub struct Gateway {
    plan: PlanHandle,
    upstreams: Rc<Upstreams>,
    /// What this core keeps of each of the plan's hosts.
    hosts: Vec<Host>,
    feeds: RefCell<Vec<Reader<Vec<ServiceHost>>>>,
    endpoints: Vec<EndpointStages>,
    /// Stages around all requests; most configurations have none.
    service: Option<Box<ServiceStages>>,
    /// `None`: nobody watches, as in most configurations.
    watchers: Option<Watchers>,
    log: Log,
    /// For work that outlives its request, such as shadow calls.
    me: Weak<Gateway>,
    random: Cell<u64>,
    load: Load,
    limiter: Limiter,
    /// `None`: no backend repeats calls.
    retries: Option<Box<RetryCounters>>,
}

/// How much this core has to do, and how much of it is let in.
struct Load {
    in_flight: Cell<usize>,
    in_flight_max: Cell<usize>,
    /// The core comes to its work too late.
    is_behind: Cell<bool>,
    /// Requests refused since the last sweep.
    refused: Cell<u64>,
}

/// A request in flight; dropping it ends the count.
struct InFlight<'g>(&'g Load);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get() - 1);
    }
}

impl Load {
    /// `None`: the request is one too many.
    fn enter(&self) -> Option<InFlight<'_>> {
        let count = self.in_flight.get();
        if count >= self.in_flight_max.get() || self.is_behind.get() {
            return None;
        }
        self.in_flight.set(count + 1);
        Some(InFlight(self))
    }
}

/// One of the plan's hosts on this core.
struct Host {
    /// `None`: it cannot be called.
    pool: Option<Rc<Pool>>,
    /// The Host header, shared by all calls without a copy.
    authority: Rc<str>,
}

/// This core's stages of one endpoint.
struct EndpointStages {
    around: Vec<Box<dyn EndpointStage>>,
    pipe: Vec<Box<dyn PipeStage>>,
    /// By the place of the backend in its list; regular backends first, then shadows.
    backends: Vec<Vec<Box<dyn CallStage>>>,
}

impl Gateway {
    /// Builds this core's part of a plan.
    pub fn new(
        plan: PlanHandle,
        upstreams: Rc<Upstreams>,
        feeds: &[Published<Vec<ServiceHost>>],
        log: Log,
        seed: u64,
        refusals: Rc<Refusals>,
        meter: &Meter,
    ) -> Rc<Gateway> {
        let limiter = Limiter::new(&plan.limits.bounds(), refusals);
        let hosts = plan.hosts.iter().map(|host| Host::of(host, &upstreams)).collect();
        let feeds = RefCell::new(feeds.iter().map(Published::reader).collect());
        let endpoints = plan.endpoints.iter().map(EndpointStages::of).collect();
        let service = ServiceStages::of(&plan, &log);
        let watchers = (!plan.watchers.is_empty())
            .then(|| plan.watchers.iter().map(|build| build(&plan, meter)).collect());
        let retries = plan.has_retries.then(|| Box::new(RetryCounters::new(meter)));
        Rc::new_cyclic(|me| Gateway {
            service,
            watchers,
            plan,
            upstreams,
            hosts,
            feeds,
            endpoints,
            log,
            me: me.clone(),
            random: Cell::new(seed | 1),
            load: Load {
                in_flight: Cell::new(0),
                in_flight_max: Cell::new(usize::MAX),
                is_behind: Cell::new(false),
                refused: Cell::new(0),
            },
            limiter,
            retries,
        })
    }

    /// This core's connections, for the plan that comes next.
    pub fn upstreams(&self) -> &Rc<Upstreams> {
        &self.upstreams
    }

    /// Closes connections to upstreams that have been unused for too long; called about once a second.
    pub fn sweep(&self) {
        self.upstreams.sweep();
        for (group, feed) in &self.plan.groups {
            feed.inspect(|feed| self.follow(group, *feed));
        }
        if let count @ 1.. = self.load.refused.take() {
            self.log
                .warning(format_args!("{count} requests refused: the gateway has too much to do"));
        }
    }

    /// How many requests to endpoints this core answers at a time.
    pub fn set_requests_max(&self, count: usize) {
        self.load.in_flight_max.set(count);
    }

    /// Whether requests to endpoints are refused until the core has caught up.
    pub fn set_behind(&self, is_behind: bool) {
        self.load.is_behind.set(is_behind);
    }

    /// Requests to endpoints that this core is answering.
    pub fn in_flight(&self) -> usize {
        self.load.in_flight.get()
    }

    /// Copies of requests that this core's shadow backends have not answered.
    pub fn shadows(&self) -> usize {
        self.limiter.shadows()
    }

    /// Calls of this core that wait to open a connection.
    pub fn calls_waiting(&self) -> usize {
        self.upstreams.waiting()
    }

    /// How many connections this core has to each of the plan's hosts: idle ones, and all.
    pub fn upstream_connections(&self) -> impl Iterator<Item = (usize, usize)> {
        let pools = self.hosts.iter().map(|host| host.pool.as_ref());
        pools.map(|pool| pool.map_or((0, 0), |pool| (pool.idle(), pool.connections())))
    }

    pub fn plan(&self) -> &PlanHandle {
        &self.plan
    }

    /// xorshift64*: spreads well, costs nothing, is no secret.
    fn next_random(&self) -> u64 {
        let mut state = self.random.get();
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        self.random.set(state);
        state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11
    }

    fn stages_of(&self, backend: &BackendPlan) -> &[Box<dyn CallStage>] {
        let (endpoint, place) = backend.id.parts();
        self.endpoints
            .get(endpoint)
            .and_then(|stages| stages.backends.get(place))
            .map_or(&[], Vec::as_slice)
    }

    /// Finds what the request is for, and gives its decoded path.
    ///
    /// # Errors
    /// The reply to what is refused, or answered, before any stage or backend hears of it.
    fn locate<'p>(
        &self,
        request: &Request<'p>,
        decoded: &'p mut Vec<u8>,
        params: &mut RouteParams,
        found: &mut Found,
    ) -> Result<&'p [u8], Reply> {
        let head = request.head;
        if head.form == TargetForm::Asterisk {
            return Err(Reply::empty(200));
        }
        if RequestTarget::parse(head.method_name(), head.target()).is_err() {
            return Err(Reply { close: true, ..Reply::empty(400) });
        }
        let Ok(path) = path::decode(head.path(), decoded) else {
            return Err(Reply { close: true, ..Reply::empty(400) });
        };
        *found = self.plan.routes.find(head.method_name(), path, params);
        Ok(path)
    }

    /// The reply where a parameter is still encoded.
    fn refused_param(&self, path: &[u8], params: &RouteParams) -> Option<Reply> {
        if !self.plan.router.check_params {
            return None;
        }
        let mut values = params.iter(path);
        let bad = values.find_map(|value| parameter::check(value).err())?;
        Some(plain_text(400, bad.to_string()))
    }

    /// The endpoint that was found, if it is not one of the gateway's own.
    fn endpoint_of(&self, found: &Found) -> Option<EndpointId> {
        match found {
            Found::Endpoint(id) => match self.plan.targets[*id as usize] {
                RouteTarget::Endpoint(id) => Some(id),
                _ => None,
            },
            _ => None,
        }
    }

    /// Answers what is not for an endpoint.
    async fn answer_itself(
        &self,
        request: &Request<'_>,
        path: &[u8],
        params: &RouteParams,
        found: Found,
    ) -> Reply {
        match found {
            Found::Endpoint(id) => match &self.plan.targets[id as usize] {
                RouteTarget::Health => builtin::health(),
                RouteTarget::Ready => builtin::ready(&self.plan.readiness),
                RouteTarget::Echo => task::rare(|| builtin::echo(request, path)).await,
                RouteTarget::Debug => {
                    task::rare(|| builtin::debug(request, path, params, &self.log)).await
                }
                RouteTarget::Options(allow) => self.options(allow),
                RouteTarget::Endpoint(_) => self.too_busy(),
            },
            Found::MethodNotAllowed { allow } => self.method_not_allowed(&allow),
            Found::NotFound | Found::Redirect(_) => self.not_found(),
        }
    }

    fn versioned(&self, status: u16) -> Reply {
        let mut headers = HeaderBlock::default();
        headers.push_lines(self.plan.router.version_line.as_bytes());
        Reply { headers, ..Reply::empty(status) }
    }

    #[cold]
    fn too_busy(&self) -> Reply {
        let load = &self.load;
        load.refused.set(load.refused.get() + 1);
        self.limiter.count(if load.is_behind.get() { Bound::Queue } else { Bound::Requests });
        let mut reply = self.versioned(503);
        reply.headers.push_lines(reply::NOT_COMPLETED);
        reply.headers.push(b"Retry-After", b"1");
        reply
    }

    fn options(&self, allow: &str) -> Reply {
        let mut reply = self.versioned(200);
        reply.headers.push(b"Allow", allow.as_bytes());
        reply
    }

    fn not_found(&self) -> Reply {
        self.unrouted(404, &self.plan.router.not_found)
    }

    fn method_not_allowed(&self, allow: &str) -> Reply {
        let mut reply = self.unrouted(405, &self.plan.router.method_not_allowed);
        reply.headers.push(b"Allow", allow.as_bytes());
        reply
    }

    fn unrouted(&self, status: u16, body: &crate::plan::router::ErrorBody) -> Reply {
        let mut reply = self.versioned(status);
        reply.headers.push_lines(reply::NOT_COMPLETED);
        reply.headers.push(b"Content-Type", body.content_type.as_bytes());
        reply.body = Body::Bytes(body.bytes.to_vec());
        reply
    }
}

fn plain_text(status: u16, text: String) -> Reply {
    let mut reply = Reply::empty(status);
    reply.headers.push(b"Content-Type", b"text/plain; charset=utf-8");
    reply.body = Body::Bytes(text.into_bytes());
    reply
}

fn redirected(redirect: &Redirect, request: &Request<'_>) -> Reply {
    let head = request.head;
    let Ok(target) = RequestTarget::parse(head.method_name(), head.target()) else {
        return Reply::empty(400);
    };
    let location = route::location(&target, redirect, head.header("x-forwarded-prefix"));
    let mut reply = Reply::empty(redirect.code);
    let address: Cow<'_, [u8]> = location.header();
    reply.headers.push(b"Location", &address);
    if redirect.code == 301 {
        reply.headers.push(b"Content-Type", b"text/html; charset=utf-8");
        reply.body = Body::Bytes(location.body());
    }
    reply
}

impl Gateway {
    /// Answers a request. It holds the gateway itself, so that a request ends on the plan it began with.
    pub(super) async fn answer(self: Rc<Self>, request: Request<'_>) -> Reply {
        let begin = |watchers| ServedNote::begin(watchers, self.next_random(), &request);
        let note = self.watchers.as_ref().map(begin);
        let watch = note.as_ref().map(|note| &note.watch);
        let mut decoded = Vec::new();
        let mut params = RouteParams::default();
        let mut found = Found::NotFound;
        // One future from here to the upstream: each more would be copied into the one around it.
        let mut reply = 'reply: {
            let began = self.begin();
            let path = match self.locate(&request, &mut decoded, &mut params, &mut found) {
                Ok(path) => path,
                Err(reply) => break 'reply reply,
            };
            if let Some(watch) = watch {
                watch.locate(request.head, path, self.route_of(&found));
            }
            if let Some(stages) = &self.service {
                let visit = || self.visit(stages, &request, path, &params, found, watch);
                break 'reply task::boxed(visit).await;
            }
            if let Found::Redirect(redirect) = &found {
                break 'reply redirected(redirect, &request);
            }
            if let Some(mut refused) = self.refused_param(path, &params) {
                self.log_request(&request, &mut refused, began);
                break 'reply refused;
            }
            // What most requests want is part of this future; what takes more room is boxed, so that it stays small.
            let mut reply = match self.endpoint_of(&found).map(|id| (id, self.load.enter())) {
                Some((id, Some(_in_flight))) => self.run(id, &request, path, &params, watch).await,
                Some((_, None)) => self.too_busy(),
                None => self.answer_itself(&request, path, &params, found).await,
            };
            self.log_request(&request, &mut reply, began);
            reply
        };
        if let Some(note) = note {
            note.accompany(&mut reply);
        }
        reply
    }

    /// Notes a message that never became a request.
    pub(super) fn note_refused(&self, peer: &Peer, status: u16, why: &str) {
        self.limiter.note_refusal(status, why);
        self.log.debug(format_args!(
            "[SERVICE: HTTP] {} sent what is no request ({status}): {why}",
            peer.ip_text
        ));
    }
}

impl Host {
    fn of(plan: &HostPlan, upstreams: &Upstreams) -> Host {
        let target = plan.target.as_ref().ok();
        Host {
            pool: target.and_then(|target| upstreams.pool(target).ok()),
            authority: Rc::from(&*plan.authority),
        }
    }
}

impl EndpointStages {
    fn of(endpoint: &crate::plan::endpoint::EndpointPlan) -> EndpointStages {
        let backends =
            endpoint.backends().map(|backend| backend.stages.iter().map(|build| build()).collect());
        EndpointStages {
            around: endpoint.stages.iter().map(|build| build()).collect(),
            pipe: endpoint.pipe_stages.iter().map(|build| build()).collect(),
            backends: backends.collect(),
        }
    }
}
