//! One endpoint's way with a request: stages in, the pipe, static data, stages out.

use std::rc::Rc;

use super::bounds::{Limiter, Shadow};
use super::fetch::Context;
use super::headers;
use super::service::{enter, leave};
use super::watched::PipeNote;
use super::{Gateway, reply};
use crate::json::Document;
use crate::message::head::RequestHead;
use crate::message::route_params::RouteParams;
use crate::net::clock::{self, Tick};
use crate::net::task;
use crate::plan::endpoint::{EndpointPlan, Pipe};
use crate::plan::statics::StaticPlan;
use crate::shared::refusals::Bound;
use crate::stage::ids::EndpointId;
use crate::stage::watch::End;
use crate::stage::{
    AddedHeaders, Answer, CallBody, Cause, Claims, Exchange, Failure, Headers, Outcome, PipeCall,
    Watch,
};
use crate::wire::body::CollectError;
use crate::wire::http1::body::ReadError;
use crate::wire::{Incoming, Peer, Reply, Request};

impl Gateway {
    /// Answers a request to an endpoint.
    pub(super) async fn run(
        &self,
        id: EndpointId,
        request: &Request<'_>,
        path: &[u8],
        params: &RouteParams,
        watch: Option<&Watch>,
    ) -> Reply {
        let endpoint = self.plan.endpoint(id);
        if let Some(watch) = watch {
            watch.enter();
        }
        if let Some(status) = endpoint.sealed {
            return Reply::empty(status);
        }
        let body =
            request.body.map_or(CallBody::Empty, |incoming| CallBody::Stream(incoming.clone()));
        let peer_ip = request.peer.address.ip().to_canonical();
        let client =
            self.plan.router.client_ip.client_ip(peer_ip, |name| request.head.headers_named(name));
        let deadline = clock::now().plus_ms(endpoint.timeout_ms);
        let mut exchange = Exchange {
            head: request.head,
            peer: request.peer,
            path,
            params,
            body,
            client,
            deadline,
            log: &self.log,
            claims: None,
            added: AddedHeaders::default(),
            watch,
        };
        if !self.endpoints[id.index()].around.is_empty() {
            return task::boxed(|| self.run_staged(id, endpoint, &mut exchange)).await;
        }
        let outcome = self.outcome(id, endpoint, &mut exchange).await;
        let errors = self.log_outcome(endpoint, &outcome);
        let mut reply = reply::of_outcome(&self.plan.router, endpoint, &exchange, outcome);
        reply.errors = errors;
        reply
    }

    /// Runs the stages round the endpoint: in order before it, in reverse after it.
    async fn run_staged(
        &self,
        id: EndpointId,
        endpoint: &EndpointPlan,
        exchange: &mut Exchange<'_>,
    ) -> Reply {
        let stages = &self.endpoints[id.index()].around;
        let (ran, step) = enter(stages, exchange).await;
        let mut reply = match step {
            Ok(Some(reply)) => reply,
            Ok(None) => {
                // The time of the stages is not the backends'.
                exchange.deadline = clock::now().plus_ms(endpoint.timeout_ms);
                let mut outcome = self.outcome(id, endpoint, exchange).await;
                let errors = self.log_outcome(endpoint, &outcome);
                let mut inside_out = stages.iter().rev();
                let answered = inside_out.find_map(|stage| stage.answer(exchange, &mut outcome));
                let reply = answered.unwrap_or_else(|| {
                    reply::of_outcome(&self.plan.router, endpoint, exchange, outcome)
                });
                Reply { errors, ..reply }
            }
            Err(failure) => {
                if !failure.message.is_empty() {
                    self.log_failure(endpoint, &failure);
                }
                Reply::empty(failure.status())
            }
        };
        leave(&stages[..ran], exchange, &mut reply);
        reply
    }

    /// Calls the backends.
    async fn outcome(
        &self,
        id: EndpointId,
        endpoint: &EndpointPlan,
        exchange: &mut Exchange<'_>,
    ) -> Outcome {
        if matches!(exchange.body, CallBody::Stream(_))
            && endpoint.needs_whole_body()
            && let Err(failure) = task::rare(|| keep_body(&self.limiter, exchange)).await
        {
            return failure.into();
        }
        let exchange = &*exchange;
        let mut headers = Headers::new();
        headers::forward(exchange, &endpoint.headers, &mut headers);
        let one_call = match &endpoint.pipe {
            Pipe::Single(backend) if backend.concurrent <= 1 => {
                self.endpoints[id.index()].pipe.is_empty().then_some(&**backend)
            }
            _ => None,
        };
        let is_one_call = one_call.is_some();
        let begin = |watch| PipeNote::begin(watch, id, &headers, is_one_call);
        let mut note = exchange.watch.map(begin);
        let began_ns = note.as_ref().filter(|_| is_one_call).map_or(0, |note| note.began_ns);
        let context = Context {
            exchange,
            headers: &headers,
            body: &exchange.body,
            extra_params: &[],
            deadline: exchange.deadline,
            span: note.as_ref().map_or(0, |note| note.span),
            began_ns,
        };
        let outcome = match one_call {
            // The usual endpoint, without the steps in between that only others need.
            Some(backend)
                if endpoint.shadows.is_none()
                    && endpoint.static_data.is_none()
                    && exchange.added.is_empty() =>
            {
                self.call_once(backend, &context).await
            }
            _ => task::boxed(|| self.piped(id, &context)).await,
        };
        if let Some(note) = &mut note {
            note.tell(End::of(&outcome));
        }
        outcome
    }

    /// Runs the stages round the pipe: in order before it, in reverse after it.
    async fn piped(&self, id: EndpointId, context: &Context<'_>) -> Outcome {
        let stages = self.endpoints[id.index()].pipe.as_slice();
        let endpoint = self.plan.endpoint(id);
        let call = PipeCall {
            exchange: context.exchange,
            headers: context.headers,
            query: &endpoint.query,
        };
        let mut ran = 0;
        let mut refused = None;
        while let Some(stage) = stages.get(ran).filter(|_| refused.is_none()) {
            refused = stage.before(&call).err();
            ran += 1;
        }
        let mut outcome = match refused {
            Some(failure) => failure.into(),
            None => self.piped_inside(id, endpoint, context).await,
        };
        for stage in stages[..ran].iter().rev() {
            if let Err(failure) = stage.after(&call, &mut outcome) {
                outcome = failure.into();
            }
        }
        outcome
    }

    /// Runs the endpoint's pipe, and adds what it answers by itself.
    async fn piped_inside(
        &self,
        id: EndpointId,
        endpoint: &EndpointPlan,
        context: &Context<'_>,
    ) -> Outcome {
        let exchange = context.exchange;
        if endpoint.shadows.is_some() {
            self.cast_shadow(id, exchange);
        }
        let mut outcome = match (&endpoint.pipe, headers::unsendable(exchange, &endpoint.headers)) {
            (_, Some(failure)) => failure.into(),
            (pipe, None) => self.run_pipe(pipe, context).await,
        };
        if let Some(statics) = &endpoint.static_data {
            add_static(statics, &mut outcome);
        }
        outcome
    }

    /// Logs what failed, and gives it for the access log as well.
    fn log_outcome(&self, endpoint: &EndpointPlan, outcome: &Outcome) -> Box<[Box<str>]> {
        let Some(failure) = &outcome.failure else { return Box::default() };
        self.log_failure(endpoint, failure);
        if !self.log.has_access() {
            return Box::default();
        }
        match failure.parts.as_slice() {
            [] => [failure.message.as_str().into()].into(),
            parts => parts.iter().map(|part| part.as_str().into()).collect(),
        }
    }

    fn log_failure(&self, endpoint: &EndpointPlan, failure: &Failure) {
        if failure.parts.is_empty() {
            self.log.error(format_args!("[ENDPOINT: {}] {}", endpoint.route, failure.message));
        }
        for (number, part) in failure.parts.iter().enumerate() {
            self.log.error(format_args!("[ENDPOINT: {}] Error #{number}: {part}", endpoint.route));
        }
    }

    /// Sends the shadow backends their copy of the request; nobody waits for their answers.
    fn cast_shadow(&self, id: EndpointId, exchange: &Exchange<'_>) {
        let (Some(gateway), Some(counted)) = (self.me.upgrade(), self.limiter.cast_shadow()) else {
            return;
        };
        let copy = Copied {
            head: copied_head(exchange.head),
            peer: exchange.peer.clone(),
            path: exchange.path.to_vec(),
            params: exchange.params.clone(),
            body: exchange.body.clone(),
            counted,
            claims: exchange.claims.clone(),
            added: exchange.added.clone(),
            watch: exchange.watch.map(Watch::beside),
        };
        task::spawn(async move { gateway.follow_shadow(id, copy).await });
    }

    async fn follow_shadow(self: Rc<Self>, id: EndpointId, copy: Copied) {
        let endpoint = self.plan.endpoint(id);
        let Some(shadows) = &endpoint.shadows else { return };
        let deadline = clock::now().plus_ms(shadows.timeout_ms);
        let Copied { head, peer, path, params, body, claims, added, watch, counted: _counted } =
            &copy;
        let peer_ip = peer.address.ip().to_canonical();
        let client = self.plan.router.client_ip.client_ip(peer_ip, |name| head.headers_named(name));
        let exchange = Exchange {
            head,
            peer,
            path,
            params,
            body: body.clone(),
            client,
            deadline,
            log: &self.log,
            claims: claims.clone(),
            added: added.clone(),
            watch: watch.as_ref(),
        };
        if headers::unsendable(&exchange, &endpoint.headers).is_some() {
            return;
        }
        let mut headers = Headers::new();
        headers::forward(&exchange, &endpoint.headers, &mut headers);
        let context = Context {
            exchange: &exchange,
            headers: &headers,
            body,
            extra_params: &[],
            deadline,
            span: watch.as_ref().map_or(0, Watch::span),
            began_ns: 0,
        };
        let outcome = self.run_pipe(&shadows.pipe, &context).await;
        // An answer that would pass through is read to its end, so that its connection can be used again.
        let body = outcome.answer.and_then(|answer| answer.body);
        if let Some(crate::wire::Body::Upstream(mut response)) = body {
            let mut dropped = Vec::with_capacity(4096);
            while matches!(response.read_into(&mut dropped).await, Ok(true)) {
                dropped.clear();
            }
        }
    }
}

/// What a shadow call needs of a request that may long be over.
struct Copied {
    head: RequestHead,
    peer: Peer,
    path: Vec<u8>,
    params: RouteParams,
    body: CallBody,
    counted: Shadow,
    claims: Option<Rc<Claims>>,
    added: AddedHeaders,
    watch: Option<Watch>,
}

fn copied_head(head: &RequestHead) -> RequestHead {
    let mut copy = head.clone();
    copy.bytes.truncate(copy.head_len);
    copy
}

/// Keeps the body in memory where more than one call needs it.
async fn keep_body(limiter: &Limiter, exchange: &mut Exchange<'_>) -> Result<(), Failure> {
    let CallBody::Stream(incoming) = &exchange.body else { return Ok(()) };
    let bytes = collect_body(limiter, incoming, exchange.deadline).await?;
    exchange.body = CallBody::Bytes(bytes);
    Ok(())
}

/// Reads a request's body whole, before the deadline.
pub(super) async fn collect_body(
    limiter: &Limiter,
    incoming: &Incoming,
    deadline: Tick,
) -> Result<Rc<Vec<u8>>, Failure> {
    let left_ms = deadline.since_ms(clock::now());
    match task::within_ms(left_ms, incoming.collect(limiter.kept_body_bytes_max)).await {
        Some(Ok(bytes)) => Ok(Rc::new(bytes)),
        Some(Err(CollectError::TooLarge)) => Err(limiter.request_too_large(Bound::KeptBodyBytes)),
        Some(Err(CollectError::Read(ReadError::TooLarge))) => {
            Err(limiter.request_too_large(Bound::RequestBodyBytes))
        }
        None | Some(Err(CollectError::Read(ReadError::TimedOut))) => {
            Err(Failure::new(Cause::Deadline, "context deadline exceeded"))
        }
        Some(Err(CollectError::Read(_))) => {
            Err(Failure::new(Cause::ClientGone, "the client's body broke off"))
        }
    }
}

/// Static data makes an answer even where there was none; the error stays for the log.
fn add_static(statics: &StaticPlan, outcome: &mut Outcome) {
    let complete = outcome.answer.as_ref().map(|answer| answer.is_complete);
    if !statics.when.holds(outcome.failure.is_some(), complete) {
        return;
    }
    let answer = outcome.answer.get_or_insert_with(|| Answer::of_data(Document::empty(), false));
    answer.data.extend(statics.data.clone());
}

impl EndpointPlan {
    /// All backends, the shadows last: the order of their stages.
    pub fn backends(&self) -> impl Iterator<Item = &crate::plan::backend::BackendPlan> {
        self.pipe.backends().chain(self.shadows.iter().flat_map(|shadows| shadows.pipe.backends()))
    }

    /// Several calls, or a call that may be repeated, need the body in memory.
    fn needs_whole_body(&self) -> bool {
        match &self.pipe {
            Pipe::Single(backend) => {
                self.shadows.is_some() || backend.concurrent > 1 || backend.reads_body
            }
            Pipe::Parallel { .. } | Pipe::Sequential { .. } => true,
            Pipe::Unbuilt(_) => false,
        }
    }
}

impl Pipe {
    fn backends(&self) -> std::slice::Iter<'_, crate::plan::backend::BackendPlan> {
        match self {
            Pipe::Single(backend) => std::slice::from_ref(&**backend).iter(),
            Pipe::Parallel { backends: calls, .. } | Pipe::Sequential { calls, .. } => calls.iter(),
            Pipe::Unbuilt(_) => [].iter(),
        }
    }
}
