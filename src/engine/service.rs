//! Stages around all requests: the outermost see everything, the others what the router found a place for.

use super::{Gateway, redirected};
use crate::message::route_params::RouteParams;
use crate::net::clock::{self, Tick};
use crate::plan::route::Found;
use crate::plan::{Plan, RouteTarget};
use crate::shared::log::Log;
use crate::stage::{AddedHeaders, CallBody, EndpointStage, Exchange, Failure, Step, Watch};
use crate::wire::{Reply, Request};

/// This core's stages around all requests, from the outside in.
pub(super) struct ServiceStages {
    outside_of_router: Vec<Box<dyn EndpointStage>>,
    inside_of_router: Vec<Box<dyn EndpointStage>>,
}

impl ServiceStages {
    /// `None`: the configuration has none.
    pub(super) fn of(plan: &Plan, log: &Log) -> Option<Box<ServiceStages>> {
        let (outside, inside) = (&plan.stages.outside_of_router, &plan.stages.inside_of_router);
        if outside.is_empty() && inside.is_empty() {
            return None;
        }
        Some(Box::new(ServiceStages {
            outside_of_router: outside.iter().map(|build| build(log)).collect(),
            inside_of_router: inside.iter().map(|build| build(log)).collect(),
        }))
    }
}

/// Runs the first halves of stages in order until one answers. Gives how many ran, and the answer if there is one.
pub(super) async fn enter(
    stages: &[Box<dyn EndpointStage>],
    exchange: &mut Exchange<'_>,
) -> (usize, Result<Option<Reply>, Failure>) {
    for (index, stage) in stages.iter().enumerate() {
        let step = match stage.on_request(exchange) {
            Ok(Step::Next) => continue,
            Ok(Step::Done(reply)) => Ok(Some(reply)),
            Ok(Step::Wait(wait)) => wait.await,
            Err(failure) => Err(failure),
        };
        if !matches!(step, Ok(None)) {
            return (index + 1, step);
        }
    }
    (stages.len(), Ok(None))
}

/// Runs the second halves of stages, in reverse.
pub(super) fn leave(stages: &[Box<dyn EndpointStage>], exchange: &Exchange<'_>, reply: &mut Reply) {
    for stage in stages.iter().rev() {
        stage.on_reply(exchange, reply);
    }
}

impl Gateway {
    /// Answers a request with the service's stages around it.
    pub(super) async fn visit(
        &self,
        stages: &ServiceStages,
        request: &Request<'_>,
        path: &[u8],
        params: &RouteParams,
        found: Found,
        watch: Option<&Watch>,
    ) -> Reply {
        let peer_ip = request.peer.address.ip().to_canonical();
        let rules = &self.plan.router.client_ip;
        let mut exchange = Exchange {
            head: request.head,
            peer: request.peer,
            path,
            params,
            body: request.body.map_or(CallBody::Empty, |body| CallBody::Stream(body.clone())),
            client: rules.client_ip(peer_ip, |name| request.head.headers_named(name)),
            deadline: Tick::NEVER,
            log: &self.log,
            claims: None,
            added: AddedHeaders::default(),
            watch,
        };
        let outside = &stages.outside_of_router;
        let (ran, step) = enter(outside, &mut exchange).await;
        let mut reply = match self.stopped(step) {
            Some(reply) => reply,
            None => self.visit_router(stages, request, found, &mut exchange).await,
        };
        leave(&outside[..ran], &exchange, &mut reply);
        reply
    }

    /// The access log begins here, and redirects are not in it: both as in the original.
    async fn visit_router(
        &self,
        stages: &ServiceStages,
        request: &Request<'_>,
        found: Found,
        exchange: &mut Exchange<'_>,
    ) -> Reply {
        if let Found::Redirect(redirect) = &found {
            return redirected(redirect, request);
        }
        let began = self.begin();
        let mut reply = match self.refused_param(exchange.path, exchange.params) {
            Some(reply) => reply,
            None => self.visit_target(stages, request, found, exchange).await,
        };
        self.log_request(request, &mut reply, began);
        reply
    }

    async fn visit_target(
        &self,
        stages: &ServiceStages,
        request: &Request<'_>,
        found: Found,
        exchange: &mut Exchange<'_>,
    ) -> Reply {
        let (path, params) = (exchange.path, exchange.params);
        if let Found::Endpoint(id) = found
            && matches!(self.plan.targets[id as usize], RouteTarget::Health | RouteTarget::Ready)
        {
            return self.answer_itself(request, path, params, found).await;
        }
        let inside = &stages.inside_of_router;
        let (ran, step) = enter(inside, exchange).await;
        let mut reply = match (self.stopped(step), self.endpoint_of(&found)) {
            (Some(mut reply), _) => {
                if let Found::MethodNotAllowed { allow } = &found {
                    // gin has put it there before anything else runs.
                    reply.headers.push(b"Allow", allow.as_bytes());
                }
                reply
            }
            (None, Some(id)) => match self.load.enter() {
                Some(_in_flight) => self.run(id, request, path, params, exchange.watch).await,
                None => self.too_busy(),
            },
            (None, None) => self.answer_itself(request, path, params, found).await,
        };
        leave(&inside[..ran], exchange, &mut reply);
        reply
    }

    /// The reply of a stage that did not let the request go on.
    fn stopped(&self, step: Result<Option<Reply>, Failure>) -> Option<Reply> {
        step.unwrap_or_else(|failure| {
            self.log.error(format_args!("[SERVICE: Gin]{}", failure.message));
            Some(Reply::empty(failure.status()))
        })
    }

    /// When the request came, if the access log wants to know.
    pub(super) fn begin(&self) -> u64 {
        if self.log.has_access() { clock::monotonic_ns() } else { 0 }
    }

    pub(super) fn log_request(&self, request: &Request<'_>, reply: &mut Reply, began_ns: u64) {
        if self.log.has_access() {
            self.log_access(request, reply, clock::monotonic_ns() - began_ns);
        }
    }
}
