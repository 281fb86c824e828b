//! Telling the watchers: what a request, a pipe, a call and an exchange looked like, also when nobody waited for their end.

use std::cell::Cell;
use std::net::SocketAddr;

use smallvec::SmallVec;

use super::Gateway;
use super::fetch::{Context, Fetched};
use crate::net::clock;
use crate::plan::RouteTarget;
use crate::plan::backend::BackendPlan;
use crate::plan::route::Found;
use crate::stage::ids::{BackendId, EndpointId};
use crate::stage::watch::{
    BodyRead, Called, Connecting, End, Exchanged, Passing, Piped, ReadSize, Route, Served, SpanId,
    Timed, Watch, Watchers,
};
use crate::stage::{Call, Cause, Failure, Header};
use crate::wire::http1::client::Response;
use crate::wire::{HeaderBlock, Reply, Request, Witness};

/// A request from its beginning to the last byte of its answer.
pub(super) struct ServedNote {
    pub(super) watch: Watch,
    method: SmallVec<[u8; 8]>,
    status: u16,
    headers: Option<HeaderBlock>,
    client: SocketAddr,
    is_tls: bool,
    began_ns: u64,
    is_told: bool,
}

/// A pipe that runs.
pub(super) struct PipeNote<'w> {
    watch: &'w Watch,
    endpoint: EndpointId,
    headers: &'w [Header<'w>],
    pub(super) span: SpanId,
    pub(super) began_ns: u64,
    /// It is one call and nothing else, which begins and ends when the pipe does.
    is_one_call: bool,
    is_told: bool,
}

/// A call that runs.
pub(super) struct CallNote<'w> {
    watch: &'w Watch,
    backend: BackendId,
    headers: &'w [Header<'w>],
    pub(super) span: SpanId,
    parent: SpanId,
    began_ns: u64,
    /// It is all that its pipe does.
    is_whole_pipe: bool,
    /// It is one exchange and nothing else, which begins when the call does.
    is_one_exchange: bool,
    is_told: bool,
}

/// An exchange that runs.
pub(super) struct ExchangeNote<'w, 'x> {
    watch: &'w Watch,
    backend: &'w BackendPlan,
    call: &'w Call<'x>,
    span: SpanId,
    /// Header lines that tell the upstream of the trace.
    pub(super) lines: Vec<u8>,
    pub(super) connecting: Cell<Connecting>,
    began_ns: u64,
    is_told: Cell<bool>,
}

impl Gateway {
    /// Where a request has ended up, for those who watch.
    pub(super) fn route_of(&self, found: &Found) -> Route {
        match found {
            Found::Endpoint(id) => match &self.plan.targets[*id as usize] {
                RouteTarget::Endpoint(id) => Route::Endpoint(*id),
                RouteTarget::Health => Route::Own("/__health"),
                RouteTarget::Ready => Route::Own("/__ready"),
                RouteTarget::Echo => Route::Own("/__echo/"),
                RouteTarget::Debug => Route::Own("/__debug/"),
                RouteTarget::Options(_) => Route::Own("OPTIONS"),
            },
            Found::NotFound => Route::NotFound,
            Found::MethodNotAllowed { .. } => Route::MethodNotAllowed,
            Found::Redirect(_) => Route::Unrouted,
        }
    }
}

// === impl ServedNote, PipeNote, CallNote, ExchangeNote: what is dropped untold was given up ===

impl ServedNote {
    pub(super) fn begin(watchers: &Watchers, seed: u64, request: &Request<'_>) -> Box<ServedNote> {
        let watch = Watch::new(watchers.clone(), seed);
        watch.each(|watcher| watcher.arrived());
        Box::new(ServedNote {
            watch,
            method: SmallVec::from_slice(request.head.method_name()),
            // Of a request whose client has gone.
            status: 499,
            headers: None,
            client: request.peer.address,
            is_tls: request.peer.is_tls,
            began_ns: clock::monotonic_ns(),
            is_told: false,
        })
    }

    /// The reply is there; it tells the rest when it has left.
    pub(super) fn accompany(mut self: Box<Self>, reply: &mut Reply) {
        self.status = reply.status;
        if self.watch.trace().is_some_and(|trace| trace.wants_answer_headers) {
            self.headers = Some(reply.headers.clone());
        }
        reply.witness = Some(self);
    }

    fn tell(&mut self, body_bytes: u64, is_cut: bool) {
        self.is_told = true;
        let ended_ns = clock::monotonic_ns();
        if let Some(Passing { backend, span, began_ns }) = self.watch.take_passing() {
            let timed = Timed { began_ns, ended_ns };
            tell_body(&self.watch, backend, span, body_bytes, is_cut, timed);
        }
        let served = Served {
            route: self.watch.route(),
            method: &self.method,
            status: self.status,
            body_bytes,
            headers: self.headers.as_ref(),
            client: self.client,
            is_tls: self.is_tls,
            is_cut,
            timed: Timed { began_ns: self.began_ns, ended_ns },
            trace: self.watch.trace(),
        };
        self.watch.each_concerned(|watcher| watcher.served(&served));
    }
}

impl Witness for ServedNote {
    fn sent(&mut self, body_bytes: u64, is_whole: bool) {
        self.tell(body_bytes, !is_whole);
    }
}

impl Drop for ServedNote {
    fn drop(&mut self) {
        if !self.is_told {
            self.tell(0, true);
        }
    }
}

impl<'w> PipeNote<'w> {
    pub(super) fn begin(
        watch: &'w Watch,
        endpoint: EndpointId,
        headers: &'w [Header<'w>],
        is_one_call: bool,
    ) -> PipeNote<'w> {
        let (span, began_ns) = (watch.pipe_span(endpoint), clock::monotonic_ns());
        PipeNote { watch, endpoint, headers, span, began_ns, is_one_call, is_told: false }
    }

    pub(super) fn tell(&mut self, end: End<'_>) {
        self.is_told = true;
        let ended_ns =
            if self.is_one_call { self.watch.take_moment() } else { clock::monotonic_ns() };
        let piped = Piped {
            endpoint: self.endpoint,
            headers: self.headers,
            end,
            timed: Timed { began_ns: self.began_ns, ended_ns },
            spanned: self.watch.spanned(self.span, self.watch.span()),
        };
        self.watch.each(|watcher| watcher.piped(&piped));
    }
}

impl Drop for PipeNote<'_> {
    fn drop(&mut self) {
        if !self.is_told {
            self.tell(End::canceled());
        }
    }
}

impl<'w> CallNote<'w> {
    pub(super) fn begin(
        watch: &'w Watch,
        backend: &BackendPlan,
        context: &Context<'w>,
    ) -> CallNote<'w> {
        let (parent, headers) = (context.span, context.headers);
        let span = watch.call_span(backend.id, parent);
        let (is_whole_pipe, is_one_exchange) = (context.began_ns != 0, backend.is_plain);
        let began_ns = if is_whole_pipe { context.began_ns } else { clock::monotonic_ns() };
        if is_one_exchange {
            watch.pass_on(began_ns);
        }
        let (backend, is_told) = (backend.id, false);
        CallNote {
            watch,
            backend,
            headers,
            span,
            parent,
            began_ns,
            is_whole_pipe,
            is_one_exchange,
            is_told,
        }
    }

    pub(super) fn tell(&mut self, end: End<'_>) {
        self.is_told = true;
        let ended_ns =
            if self.is_one_exchange { self.watch.take_moment() } else { clock::monotonic_ns() };
        if self.is_whole_pipe {
            self.watch.pass_on(ended_ns);
        }
        let called = Called {
            backend: self.backend,
            headers: self.headers,
            end,
            timed: Timed { began_ns: self.began_ns, ended_ns },
            spanned: self.watch.spanned(self.span, self.parent),
        };
        self.watch.each(|watcher| watcher.called(&called));
    }
}

impl Drop for CallNote<'_> {
    fn drop(&mut self) {
        if !self.is_told {
            self.tell(End::canceled());
        }
    }
}

impl<'w, 'x> ExchangeNote<'w, 'x> {
    pub(super) fn begin(
        watch: &'w Watch,
        backend: &'w BackendPlan,
        call: &'w Call<'x>,
    ) -> ExchangeNote<'w, 'x> {
        let span = watch.next_span();
        let mut lines = Vec::new();
        if let Some(trace) = watch.trace() {
            watch.each(|watcher| watcher.propagate(trace, backend.id, span, &mut lines));
        }
        ExchangeNote {
            watch,
            backend,
            call,
            span,
            lines,
            connecting: Cell::default(),
            began_ns: watch.take_moment(),
            is_told: Cell::new(false),
        }
    }

    /// The first to tell is the one that counts.
    pub(super) fn tell(&self, sent: &Result<Fetched, Failure>) {
        let response = sent.as_ref().ok().map(|fetched| &*fetched.response);
        let length = response.and_then(Response::length_left);
        let status = response.map_or(0, |response| response.head.status);
        let ended_ns = self.finish(status, response, sent.as_ref().err(), length, false);
        if let Some(began_ns) = ended_ns
            && response.is_some()
            && self.backend.is_raw
        {
            let backend = self.backend.id;
            self.watch.note_passing(Passing { backend, span: self.span, began_ns });
        }
    }

    /// The answer was kept by the backend's cache.
    pub(super) fn tell_kept(&self, status: u16, body_bytes: usize) {
        self.finish(status, None, None, Some(body_bytes as u64), false);
    }

    /// What was read of the answer meanwhile.
    pub(super) fn tell_read(&self) {
        if let Some(ReadSize { bytes, is_broken, timed }) = self.watch.take_read() {
            tell_body(self.watch, self.backend.id, self.span, bytes, is_broken, timed);
        }
    }

    /// Tells the watchers, unless they were told; gives the moment.
    fn finish(
        &self,
        status: u16,
        response: Option<&Response>,
        failure: Option<&Failure>,
        response_bytes: Option<u64>,
        is_given_up: bool,
    ) -> Option<u64> {
        if self.is_told.replace(true) {
            return None;
        }
        let ended_ns = clock::monotonic_ns();
        // Without a body to be read here the call ends at once.
        if self.backend.is_plain && (self.backend.is_raw || response.is_none()) {
            self.watch.pass_on(ended_ns);
        }
        let (call, cause) = (self.call, failure.map(|failure| failure.cause));
        let exchanged = Exchanged {
            backend: self.backend.id,
            method: &call.method,
            authority: &call.url.authority,
            target: &call.url.target,
            is_tls: call.url.is_tls,
            headers: &call.headers,
            status,
            response: response.map(|response| &response.head),
            failure,
            is_canceled: is_given_up || cause == Some(Cause::ClientGone),
            is_timed_out: cause == Some(Cause::Deadline),
            timed: Timed { began_ns: self.began_ns, ended_ns },
            request_bytes: call.body.bytes_known(),
            response_bytes,
            connecting: self.connecting.get(),
            spanned: self.watch.spanned(self.span, call.span),
        };
        self.watch.each(|watcher| watcher.exchanged(&exchanged));
        Some(ended_ns)
    }
}

impl Drop for ExchangeNote<'_, '_> {
    fn drop(&mut self) {
        self.finish(0, None, None, None, true);
    }
}

/// What was read of an answer once its exchange was over, because a stage had to change it first.
pub(super) fn tell_late_read(watch: &Watch, backend: BackendId, call: SpanId) {
    if let Some(ReadSize { bytes, is_broken, timed }) = watch.take_read() {
        tell_body(watch, backend, call, bytes, is_broken, timed);
    }
}

fn tell_body(
    watch: &Watch,
    backend: BackendId,
    exchange: SpanId,
    bytes: u64,
    is_broken: bool,
    timed: Timed,
) {
    let spanned = watch.spanned(watch.next_span(), exchange);
    let read = BodyRead { backend, bytes, is_broken, timed, spanned };
    watch.each(|watcher| watcher.body_read(&read));
}
