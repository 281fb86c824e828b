//! `Watcher`: telemetry's view of requests. What happened is told when it is over; nothing is told when nobody watches.
//!
//! A request is served by an endpoint's pipe, which calls backends, each of which exchanges messages with an upstream: four
//! layers, four events. One core has its own watchers; they count in their own cells and never wait.

use std::cell::{Cell, OnceCell};
use std::net::SocketAddr;
use std::rc::Rc;

use super::call::{Answer, Header, Outcome};
use super::failure::Failure;
use super::ids::{BackendId, EndpointId};
use crate::message::head::{RequestHead, ResponseHead};
use crate::net::clock;
pub use crate::upstream::pool::Connecting;
use crate::wire::HeaderBlock;

/// Takes part in what one core sees. What a watcher does not care for, it leaves to the empty method here.
pub trait Watcher {
    /// A request has come.
    fn arrived(&self) {}

    /// An endpoint, and not a stage before it, begins to answer it.
    fn entered(&self, _endpoint: EndpointId) {}

    /// Its answer has left, or the client was gone before.
    fn served(&self, _served: &Served<'_>) {}

    /// An endpoint's pipe has ended.
    fn piped(&self, _piped: &Piped<'_>) {}

    /// A backend has answered, with all that its stages made of it.
    fn called(&self, _called: &Called<'_>) {}

    /// The head of an upstream's answer has come, or will never come.
    fn exchanged(&self, _exchanged: &Exchanged<'_>) {}

    /// The body of an upstream's answer was read to its end.
    fn body_read(&self, _read: &BodyRead<'_>) {}

    /// Whether this path is none of its business: it is not told of such requests.
    fn skips(&self, _path: &[u8]) -> bool {
        false
    }

    /// Whether an endpoint's pipe has a span of its own in traces.
    fn has_pipe_span(&self, _endpoint: EndpointId) -> bool {
        true
    }

    /// The same for calls of a backend.
    fn has_call_span(&self, _backend: BackendId) -> bool {
        true
    }

    /// The trace of a request, for the first watcher that traces. `path` is decoded.
    fn trace(&self, _head: &RequestHead, _path: &[u8], _route: Route) -> Option<Trace> {
        None
    }

    /// Appends header lines that tell an upstream of the trace and of its own span there.
    fn propagate(&self, _trace: &Trace, _backend: BackendId, _span: SpanId, _lines: &mut Vec<u8>) {}
}

/// Those of one core.
pub type Watchers = Rc<[Box<dyn Watcher>]>;

/// Where a request ended up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    Endpoint(EndpointId),
    /// One of the gateway's own: health, echo, debug, the answer to OPTIONS.
    Own(&'static str),
    NotFound,
    MethodNotAllowed,
    /// What ended before the router, or was sent to another path.
    Unrouted,
}

/// Nanoseconds of the monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timed {
    pub began_ns: u64,
    pub ended_ns: u64,
}

/// Of a span; never zero.
pub type SpanId = u64;

/// What the spans of one request have in common.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    pub id: [u8; 16],
    /// The caller's span; `None` where the trace begins here.
    pub parent: Option<SpanId>,
    /// The request's own span.
    pub span: SpanId,
    pub is_sampled: bool,
    /// Somebody will have its spans; not so where too many wait already.
    pub is_recorded: bool,
    /// Attributes of the request's span, noted while its head was there.
    pub noted: Vec<(&'static str, Box<str>)>,
    /// Header lines of the request that the span shall show, as attributes.
    pub noted_headers: Vec<(Box<str>, Box<str>)>,
    /// The answer's header lines are to be kept until it is served.
    pub wants_answer_headers: bool,
    /// What is passed on as it came: `tracestate`, `baggage`.
    pub passed_on: Vec<(&'static str, Box<[u8]>)>,
}

/// Which span an event is.
#[derive(Clone, Copy, Debug)]
pub struct Spanned<'e> {
    pub trace: &'e Trace,
    pub span: SpanId,
    pub parent: SpanId,
}

pub struct Served<'e> {
    pub route: Route,
    /// As the client sent it.
    pub method: &'e [u8],
    pub status: u16,
    pub body_bytes: u64,
    /// Of the answer; only for a trace that wants them.
    pub headers: Option<&'e HeaderBlock>,
    pub client: SocketAddr,
    pub is_tls: bool,
    /// The client was gone before it had all.
    pub is_cut: bool,
    pub timed: Timed,
    pub trace: Option<&'e Trace>,
}

pub struct Piped<'e> {
    pub endpoint: EndpointId,
    /// Those that the endpoint forwards.
    pub headers: &'e [Header<'e>],
    pub end: End<'e>,
    pub timed: Timed,
    pub spanned: Option<Spanned<'e>>,
}

pub struct Called<'e> {
    pub backend: BackendId,
    /// Those that the endpoint forwards; the backend may let fewer pass.
    pub headers: &'e [Header<'e>],
    pub end: End<'e>,
    pub timed: Timed,
    pub spanned: Option<Spanned<'e>>,
}

/// How a pipe or a call ended.
#[derive(Clone, Copy, Default)]
pub struct End<'e> {
    pub failure: Option<&'e Failure>,
    pub answer: Option<&'e Answer>,
    /// Nobody waits for it any more.
    pub is_canceled: bool,
    pub is_complete: bool,
}

pub struct Exchanged<'e> {
    pub backend: BackendId,
    pub method: &'e str,
    /// `host:port`, the port only where the URL names one.
    pub authority: &'e str,
    pub target: &'e [u8],
    pub is_tls: bool,
    pub headers: &'e [Header<'e>],
    /// 0: no answer came.
    pub status: u16,
    /// `None` as well where the answer came from the backend's cache.
    pub response: Option<&'e ResponseHead>,
    pub failure: Option<&'e Failure>,
    pub is_canceled: bool,
    pub is_timed_out: bool,
    /// Until the answer's head was there.
    pub timed: Timed,
    pub request_bytes: Option<u64>,
    /// As the answer announces it.
    pub response_bytes: Option<u64>,
    pub connecting: Connecting,
    pub spanned: Option<Spanned<'e>>,
}

/// A body of an upstream's answer.
pub struct BodyRead<'e> {
    pub backend: BackendId,
    /// Unpacked, where the gateway itself had asked for a packed one.
    pub bytes: u64,
    pub is_broken: bool,
    pub timed: Timed,
    /// Its parent is the exchange.
    pub spanned: Option<Spanned<'e>>,
}

/// What reading a body came to.
#[derive(Clone, Copy, Debug)]
pub struct ReadSize {
    pub bytes: u64,
    pub is_broken: bool,
    pub timed: Timed,
}

/// A body that passes through: it is read when the answer has left.
#[derive(Clone, Copy, Debug)]
pub struct Passing {
    pub backend: BackendId,
    /// The exchange's.
    pub span: SpanId,
    pub began_ns: u64,
}

/// One watched request.
pub struct Watch {
    pub watchers: Watchers,
    route: Cell<Route>,
    trace: OnceCell<Rc<Trace>>,
    /// What the next span id is drawn from.
    random: Cell<u64>,
    /// What was read last, until it is told.
    read: Cell<Option<ReadSize>>,
    passing: Cell<Option<Passing>>,
    /// The clock as it was read last, for what begins or ends at the same moment; 0: for nothing.
    moment_ns: Cell<u64>,
    /// A bit for each watcher that does not care for the request.
    skipping: Cell<u64>,
    /// An endpoint, and not a stage before it, answers.
    is_entered: Cell<bool>,
}

// === impl Watch ===

impl Watch {
    pub fn new(watchers: Watchers, seed: u64) -> Watch {
        let (route, trace) = (Cell::new(Route::Unrouted), OnceCell::new());
        let (read, passing) = (Cell::new(None), Cell::new(None));
        let (skipping, is_entered) = (Cell::new(0), Cell::new(false));
        let random = Cell::new(seed | 1);
        let moment_ns = Cell::new(0);
        Watch { watchers, route, trace, random, read, passing, moment_ns, skipping, is_entered }
    }

    /// The same for calls that outlive the request, with span ids of their own.
    #[must_use]
    pub fn beside(&self) -> Watch {
        let beside = Watch::new(self.watchers.clone(), self.next_span());
        beside.route.set(self.route.get());
        beside.is_entered.set(self.is_entered.get());
        if let Some(trace) = self.trace.get() {
            let _ = beside.trace.set(trace.clone());
        }
        beside
    }

    /// The request's place is known: its trace begins, or goes on.
    pub fn locate(&self, head: &RequestHead, path: &[u8], route: Route) {
        self.route.set(route);
        for (index, watcher) in self.watchers.iter().enumerate() {
            if watcher.skips(path) {
                self.skipping.set(self.skipping.get() | bit(index));
            }
        }
        let begun = self.watchers.iter().find_map(|watcher| watcher.trace(head, path, route));
        if let Some(trace) = begun {
            // A request is located once.
            let _ = self.trace.set(Rc::new(trace));
        }
    }

    /// A body was read; its exchange tells of it.
    pub fn note_read(&self, read: ReadSize) {
        self.read.set(Some(read));
    }

    pub fn take_read(&self) -> Option<ReadSize> {
        self.read.take()
    }

    /// A body is left for the client; the request tells of it in the end.
    pub fn note_passing(&self, passing: Passing) {
        self.passing.set(Some(passing));
    }

    pub fn take_passing(&self) -> Option<Passing> {
        self.passing.take()
    }

    /// What comes next begins or ends at this moment as well: a reading of the clock costs as much as all the counting
    /// of a layer.
    pub fn pass_on(&self, moment_ns: u64) {
        self.moment_ns.set(moment_ns);
    }

    /// The moment that was passed on; without one, now.
    pub fn take_moment(&self) -> u64 {
        match self.moment_ns.take() {
            0 => clock::monotonic_ns(),
            moment_ns => moment_ns,
        }
    }

    /// An endpoint answers the request.
    pub fn enter(&self) {
        self.is_entered.set(true);
        if let Route::Endpoint(endpoint) = self.route.get() {
            self.each(|watcher| watcher.entered(endpoint));
        }
    }

    /// Where the request ended up; what was answered before its endpoint was reached is unrouted.
    pub fn route(&self) -> Route {
        match self.route.get() {
            Route::Endpoint(_) if !self.is_entered.get() => Route::Unrouted,
            route => route,
        }
    }

    /// The span of an endpoint's pipe: the request's where nobody wants one.
    pub fn pipe_span(&self, endpoint: EndpointId) -> SpanId {
        let is_wanted = self.watchers.iter().any(|watcher| watcher.has_pipe_span(endpoint));
        if is_wanted { self.next_span() } else { self.span() }
    }

    /// The span of a call: that around it where nobody wants one.
    pub fn call_span(&self, backend: BackendId, around: SpanId) -> SpanId {
        let is_wanted = self.watchers.iter().any(|watcher| watcher.has_call_span(backend));
        if is_wanted { self.next_span() } else { around }
    }

    pub fn trace(&self) -> Option<&Trace> {
        self.trace.get().map(|trace| &**trace)
    }

    /// The request's own span, the parent of its pipe's; 0 without a trace.
    pub fn span(&self) -> SpanId {
        self.trace().map_or(0, |trace| trace.span)
    }

    /// An id for one more span. xorshift64* never gives zero; ids need to differ, not to be secret.
    pub fn next_span(&self) -> SpanId {
        let mut state = self.random.get();
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        self.random.set(state);
        state.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn spanned(&self, span: SpanId, parent: SpanId) -> Option<Spanned<'_>> {
        self.trace().map(|trace| Spanned { trace, span, parent })
    }

    pub fn each(&self, tell: impl FnMut(&dyn Watcher)) {
        self.watchers.iter().map(|watcher| &**watcher).for_each(tell);
    }

    /// Those who care for the request itself.
    pub fn each_concerned(&self, mut tell: impl FnMut(&dyn Watcher)) {
        let skipping = self.skipping.get();
        for (index, watcher) in self.watchers.iter().enumerate() {
            if skipping & bit(index) == 0 {
                tell(&**watcher);
            }
        }
    }
}

fn bit(index: usize) -> u64 {
    u32::try_from(index).ok().and_then(|index| 1_u64.checked_shl(index)).unwrap_or(0)
}

impl End<'_> {
    pub fn of(outcome: &Outcome) -> End<'_> {
        End {
            failure: outcome.failure.as_ref(),
            answer: outcome.answer.as_deref(),
            is_canceled: false,
            is_complete: outcome.answer.as_ref().is_some_and(|answer| answer.is_complete),
        }
    }

    /// Nobody waited for the end.
    pub fn canceled() -> End<'static> {
        End { is_canceled: true, ..End::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_differ_and_are_never_zero() {
        let watch = Watch::new(Rc::new([]), 0);
        let spans: std::collections::HashSet<SpanId> =
            (0..1000).map(|_| watch.next_span()).collect();
        assert_eq!(spans.len(), 1000);
        assert!(!spans.contains(&0));
    }
}
