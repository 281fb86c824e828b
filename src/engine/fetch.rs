//! One call to one backend: build the request, send it, follow redirects, judge the status, decode and edit the answer.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use super::Gateway;
use super::bounds::Limiter;
use super::hosts::{Destination, Moved, is_https};
use super::reply::LINES_BYTES_USUAL;
use super::request_head::RequestHead;
use super::retry::{self, Attempts, Sent};
use super::watched::{CallNote, ExchangeNote};
use crate::json::{DecodeError, Document, Value};
use crate::message::head::Framing;
use crate::message::headers::is_same_word;
use crate::message::hop_by_hop;
use crate::message::query;
use crate::net::buffer::Buffer;
use crate::net::clock::{self, Tick};
use crate::net::pooled::Pooled;
use crate::net::task;
use crate::plan::backend::{BackendPlan, HostPlan, StatusRule};
use crate::plan::template::Values;
use crate::stage::claims;
use crate::stage::watch::{End, ReadSize, SpanId, Timed, Watch};
use crate::stage::{
    Answer, Call, CallBody, Cause, Exchange, Failure, Header, Notes, Outcome, Step,
};
use crate::upstream::pool::Attempt;
use crate::upstream::{Pool, UpstreamError, Url};
use crate::wire::gzip::{self, Unpacked, Unpacking};
use crate::wire::http1::body::ReadError;
use crate::wire::http1::client::{OutgoingBody, Response, Upload};
use crate::wire::http1::encode;
use crate::wire::{Body, HeaderBlock};

/// Memory that an announced length is worth before its bytes have come.
const COLLECTED_BYTES_FIRST: usize = 256 * 1024;
/// As many redirects as Go's client follows.
const REDIRECTS_MAX: usize = 10;

/// What a call needs beside its plan: shared by all calls of one exchange.
#[derive(Clone, Copy)]
pub struct Context<'x> {
    pub exchange: &'x Exchange<'x>,
    /// The headers that the endpoint forwards, with the gateway's own.
    pub headers: &'x [Header<'x>],
    pub body: &'x CallBody,
    /// Parameters from earlier answers of a sequence, under their internal names.
    pub extra_params: &'x [(String, String)],
    pub deadline: Tick,
    /// The span that calls belong to; 0 without a trace.
    pub span: SpanId,
    /// When the pipe began that the call is all of; 0 where it is not, or is not watched.
    pub began_ns: u64,
}

/// An answer's head has come.
pub(super) struct Fetched {
    pub(super) response: Box<Response>,
    pub(super) upload: Option<Upload>,
    /// The body is packed only because the gateway asked for it.
    pub(super) unpack: bool,
    /// Where redirects led to.
    pub(super) redirected: Option<Url>,
}

/// What one request of a call is made of, beside what all of its requests share.
struct Leg<'s> {
    url: &'s Url,
    method: &'s str,
    authorization: Option<&'s str>,
    referer: Option<&'s str>,
    drops_secrets: bool,
    body: OutgoingBody,
    drops_body_headers: bool,
    deadline: Tick,
}

impl Context<'_> {
    /// The same with at most so much time.
    #[must_use]
    pub fn within(&self, budget_ms: u64) -> Self {
        Context { deadline: self.deadline.min(clock::now().plus_ms(budget_ms)), ..*self }
    }
}

impl Values for Context<'_> {
    fn param(&self, slot: usize) -> Option<&[u8]> {
        self.exchange.param(slot)
    }

    fn named(&self, key: &str) -> Option<Cow<'_, str>> {
        if let Some(name) = key.strip_prefix("JWT.") {
            let claim = self.exchange.claims.as_ref()?.get(name)?;
            return Some(Cow::Owned(claims::text(claim)));
        }
        let found = self.extra_params.iter().find(|(name, _)| name == key)?;
        Some(Cow::Borrowed(&found.1))
    }
}

impl Gateway {
    /// Calls a backend, with as many racing copies as it wants.
    pub(super) async fn call(&self, backend: &BackendPlan, context: &Context<'_>) -> Outcome {
        if backend.concurrent > 1 {
            return task::rare(|| self.race(backend, context)).await;
        }
        self.call_once(backend, context).await
    }

    /// The first complete answer wins, the other calls are given up; otherwise the last answer and the last error count.
    async fn race(&self, backend: &BackendPlan, context: &Context<'_>) -> Outcome {
        let now = clock::now();
        let left_ms = context.deadline.since_ms(now);
        let context = Context { deadline: now.plus_ms(left_ms * 3 / 4), ..*context };
        let calls =
            (0..backend.concurrent).map(|_| Box::pin(self.call_once(backend, &context))).collect();
        let mut last = Outcome::default();
        let mut running = super::race::Race::new(calls);
        while let Some((_, outcome)) = running.next().await {
            if outcome.answer.as_ref().is_some_and(|answer| answer.is_complete) {
                return outcome;
            }
            last.answer = outcome.answer.or(last.answer);
            last.failure = outcome.failure.or(last.failure);
        }
        last
    }

    /// One call, which the watchers are told of.
    pub(super) async fn call_once(&self, backend: &BackendPlan, context: &Context<'_>) -> Outcome {
        let begin = |watch| CallNote::begin(watch, backend, context);
        let note = context.exchange.watch.map(begin);
        let span = note.as_ref().map_or(context.span, |note| note.span);
        let (mut call, to) = match self.prepare(backend, context, span) {
            Ok(prepared) => prepared,
            Err(failure) => return told(note, failure.into()),
        };
        let outcome = if backend.is_plain {
            self.perform(backend, &call, &to).await.into()
        } else {
            task::boxed(|| self.perform_staged(backend, &mut call, &to)).await
        };
        told(note, outcome)
    }

    /// Chooses a host and fills the URL and the headers.
    fn prepare<'x>(
        &'x self,
        backend: &'x BackendPlan,
        context: &Context<'x>,
        span: SpanId,
    ) -> Result<(Call<'x>, Destination<'x>), Failure> {
        let destination = self.destination(backend).ok_or_else(no_hosts)?;
        let host = &*destination.host;
        let mut target = Vec::with_capacity(96);
        expand(backend, host, context, &mut target)?;
        let is_tls = is_https(host);
        let pattern_range = host.path_prefix.len()..target.len();
        let separator = query::separator(&target);
        query::forward(context.exchange.head.query(), &backend.query, separator, &mut target);
        let headers = match &backend.headers {
            None => Cow::Borrowed(context.headers),
            Some(listed) => Cow::Owned(
                context
                    .headers
                    .iter()
                    .filter(|header| is_listed(listed, &header.name))
                    .cloned()
                    .collect(),
            ),
        };
        let call = Call {
            exchange: context.exchange,
            method: Cow::Borrowed(&backend.method),
            url: Url { is_tls, authority: destination.authority.clone(), target },
            host: None,
            headers,
            body: context.body.clone(),
            extra_params: context.extra_params,
            deadline: context.deadline,
            pattern_range,
            notes: Notes::default(),
            span,
        };
        Ok((call, destination))
    }

    /// Runs the stages round the call: in order before it, in reverse after it.
    async fn perform_staged(
        &self,
        backend: &BackendPlan,
        call: &mut Call<'_>,
        destination: &Destination<'_>,
    ) -> Outcome {
        let stages = self.stages_of(backend);
        let mut outcome: Option<Outcome> = None;
        let mut ran = 0;
        for stage in stages {
            ran += 1;
            let step = match stage.before(call) {
                Ok(Step::Next) => continue,
                Ok(Step::Done(done)) => Ok(Some(done)),
                Ok(Step::Wait(wait)) => wait.await,
                Err(failure) => Err(failure),
            };
            match step {
                Ok(None) => {}
                Ok(Some(done)) => outcome = Some(done),
                Err(failure) => outcome = Some(failure.into()),
            }
            if outcome.is_some() {
                break;
            }
        }
        let mut outcome = match outcome {
            Some(outcome) => outcome,
            None => match &backend.cache {
                None => self.perform(backend, call, destination).await.into(),
                Some(cache) => self.perform_cached(backend, call, destination, cache).await.into(),
            },
        };
        for (place, stage) in stages[..ran].iter().enumerate().rev() {
            let step = match stage.after(call, &mut outcome) {
                Ok(Step::Wait(wait)) => wait.await.err(),
                Ok(_) => None,
                Err(failure) => Some(failure),
            };
            if let Some(failure) = step {
                outcome = failure.into();
            }
            if backend.modifier == Some(place) {
                outcome = task::boxed(|| self.settle(backend, call, outcome)).await;
            }
        }
        outcome
    }

    /// Sends the request, and makes an answer of what comes back.
    pub(super) async fn perform(
        &self,
        backend: &BackendPlan,
        call: &Call<'_>,
        destination: &Destination<'_>,
    ) -> Result<Box<Answer>, Failure> {
        if let Some(watch) = call.exchange.watch {
            let perform = || self.perform_watched(backend, call, destination, watch);
            let mut performing = Pooled::new(perform);
            let performing: Pin<&mut dyn Future<Output = _>> = performing.as_mut();
            return performing.await;
        }
        // Here and not in `finish`: the usual way has as few futures in each other as can be.
        match self.send(backend, call, destination, None).await {
            Ok(fetched) if backend.answers_raw() => Ok(pass_through(fetched)),
            Ok(fetched) => decode(&self.limiter, backend, call, fetched).await,
            Err(failure) => Err(failure),
        }
    }

    /// The same, of which the watchers are told.
    async fn perform_watched(
        &self,
        backend: &BackendPlan,
        call: &Call<'_>,
        destination: &Destination<'_>,
        watch: &Watch,
    ) -> Result<Box<Answer>, Failure> {
        let note = ExchangeNote::begin(watch, backend, call);
        let sent = self.send(backend, call, destination, Some(&note)).await;
        note.tell(&sent);
        let answer = finish(&self.limiter, backend, call, sent?).await;
        note.tell_read();
        answer
    }

    /// Sends the request and follows redirects as Go's client does (specification, section 2.9). The caller tells the note
    /// what came of it.
    pub(super) async fn send(
        &self,
        backend: &BackendPlan,
        call: &Call<'_>,
        destination: &Destination<'_>,
        note: Option<&ExchangeNote<'_, '_>>,
    ) -> Result<Fetched, Failure> {
        // A stage may have sent the call elsewhere; the credentials of the configured host stay here then.
        let is_at_home = backend.is_plain
            || (call.url.authority == destination.authority
                && call.url.is_tls == is_https(&destination.host));
        let mut first = None;
        // The usual call is one exchange, of which nothing need be kept.
        if is_at_home
            && !backend.minds_failures
            && !backend.resends_body
            && let Ok(pool) = &destination.pool
        {
            let leg = Leg {
                url: &call.url,
                method: &call.method,
                authorization: destination.host.authorization.as_deref(),
                referer: None,
                drops_secrets: false,
                body: outgoing(&call.body),
                drops_body_headers: false,
                deadline: call.deadline,
            };
            let (attempt, asked_for_gzip) = self.attempt(call, leg, note)?;
            let sent = pool.exchange(attempt, note.map(|note| &note.connecting)).await;
            match sent {
                Ok((response, upload)) if !is_redirect(response.head.status) => {
                    let unpack = asked_for_gzip && is_gzip(&response);
                    return Ok(Fetched { response, upload, unpack, redirected: None });
                }
                sent => first = Some((sent, asked_for_gzip)),
            }
        }
        task::rare(|| self.pursue(backend, call, destination, is_at_home, note, first)).await
    }

    /// The same for what takes several exchanges, of which the first may have ended.
    async fn pursue(
        &self,
        backend: &BackendPlan,
        call: &Call<'_>,
        destination: &Destination<'_>,
        is_at_home: bool,
        note: Option<&ExchangeNote<'_, '_>>,
        mut first: Option<(Sent, bool)>,
    ) -> Result<Fetched, Failure> {
        let mut pool = if is_at_home {
            let pool = destination.pool.as_ref();
            pool.map_err(|error| {
                self.limiter.note_exchange(error);
                unreachable_host(backend, &destination.host, call, error)
            })?
            .clone()
        } else {
            self.pool_to(&call.url)
                .map_err(|error| self.exchange_failure(&call.method, &call.url, error))?
        };
        let mut redirected: Option<Url> = None;
        let mut method: Cow<'_, str> = Cow::Borrowed(&call.method);
        let mut sends_body = true;
        let mut referer: Option<String> = None;
        let mut keeps_secrets = true;
        let may_repeat = backend.minds_failures && retry::begin(backend, call);
        let keeps_body = may_repeat || backend.resends_body;
        let kept_body = if keeps_body { kept(&self.limiter, call).await? } else { None };
        let mut moved: Option<Box<Moved<'_>>> = None;
        let mut attempts: Option<Box<Attempts>> = None;
        let mut redirects = 0;
        loop {
            let at = moved.as_ref().map_or(destination, |moved| &moved.destination);
            let home = moved.as_ref().map_or(&call.url, |moved| &moved.url);
            let url = redirected.as_ref().unwrap_or(home);
            let body = match &kept_body {
                _ if !sends_body || call.body.is_empty() => OutgoingBody::Empty,
                Some(bytes) => OutgoingBody::Bytes(bytes.clone()),
                None => outgoing(&call.body),
            };
            // Only an attempt at one of the backend's own hosts is watched and repeated.
            let is_minded = backend.minds_failures && is_at_home && redirected.is_none();
            let can_resend = !matches!(body, OutgoingBody::Stream { .. });
            let (sent, asked_for_gzip) = match first.take() {
                Some(first) => first,
                None => {
                    let authorization = at.host.authorization.as_deref();
                    let leg = Leg {
                        url,
                        method: &method,
                        authorization: authorization.filter(|_| is_at_home && keeps_secrets),
                        referer: referer.as_deref(),
                        drops_secrets: !keeps_secrets,
                        body,
                        drops_body_headers: !sends_body,
                        deadline: match is_minded {
                            true => retry::try_deadline(backend, call.deadline),
                            false => call.deadline,
                        },
                    };
                    let (attempt, asked_for_gzip) = self.attempt(call, leg, note)?;
                    let connecting = note.map(|note| &note.connecting);
                    (pool.exchange(attempt, connecting).await, asked_for_gzip)
                }
            };
            if is_minded && let Some(group) = &backend.group {
                retry::note(group, at.member.as_deref(), call, &sent);
            }
            // Nothing was sent then, so another host may take the call, whatever its method.
            if matches!(sent, Err(UpstreamError::Connect(..))) && is_at_home && redirected.is_none()
            {
                let failed = &mut attempts.get_or_insert_default().failed;
                if failed.bury(&at.host)
                    && let Some((next, next_pool)) = self.other_host(backend, url, &at.host, failed)
                {
                    (moved, pool) = (Some(next), next_pool);
                    continue;
                }
            }
            if is_minded && let Some(reason) = retry::reason(backend, call, can_resend, &sent) {
                let attempts = attempts.get_or_insert_default();
                if let Some(pause_ms) = self.repeats(backend, call, reason, attempts) {
                    retry::pause(sent, pause_ms).await;
                    attempts.failed.end_attempt(&at.host);
                    let next = self.next_host(backend, url, &at.host, &attempts.failed);
                    if let Some((next, next_pool)) = next {
                        (moved, pool) = (Some(next), next_pool);
                    }
                    continue;
                }
            }
            let (mut response, upload) =
                sent.map_err(|error| self.exchange_failure(&method, url, error))?;
            if is_minded {
                // The deadline of the attempt was for the head.
                response.arm(call.deadline);
            }
            let Some(location) =
                redirect_location(&response, sends_body, call, backend.resends_body)
            else {
                let unpack = asked_for_gzip && is_gzip(&response);
                return Ok(Fetched { response, upload, unpack, redirected });
            };
            if redirects + 1 >= REDIRECTS_MAX {
                // Go names the next address, as it was written.
                let next = String::from_utf8_lossy(&location);
                let message = quoted(&method, &next, "stopped after 10 redirects");
                return Err(Failure::new(Cause::Unreachable, message));
            }
            let next = url.follow(&location).map_err(|error| match error {
                // A scheme is looked at only when the next address is called.
                UpstreamError::Scheme(_) => {
                    let next = String::from_utf8_lossy(&location);
                    Failure::new(Cause::Unreachable, quoted(&method, &next, &error.to_string()))
                }
                error => self.exchange_failure(&method, url, error),
            })?;
            let status = response.head.status;
            drop_body(&mut response).await;
            if matches!(status, 301..=303) && method != "GET" && method != "HEAD" {
                method = Cow::Borrowed("GET");
                sends_body = false;
            }
            referer = (!url.is_tls || next.is_tls).then(|| url.text());
            keeps_secrets &= is_same_or_below(next.host_name(), home.host_name());
            pool = self
                .pool_to(&next)
                .map_err(|error| self.exchange_failure(&method, &next, error))?;
            redirected = Some(next);
            redirects += 1;
        }
    }

    /// One request in the form in which it is sent, and whether the gateway itself asked for a packed answer.
    fn attempt(
        &self,
        call: &Call<'_>,
        leg: Leg<'_>,
        note: Option<&ExchangeNote<'_, '_>>,
    ) -> Result<(Attempt, bool), Failure> {
        let Leg { url, method, body, .. } = leg;
        // Whatever made this target (a pattern, a script, a Location): it must not end the request line.
        if !encode::is_target_safe(&url.target) {
            let message = quoted(method, &url.text(), "the url cannot be sent");
            return Err(Failure::new(Cause::BadUrl, message));
        }
        let mut head = Buffer::small();
        let asked_for_gzip = RequestHead {
            method,
            url,
            host: call.host.as_deref().filter(|_| url.authority == call.url.authority),
            headers: &call.headers,
            authorization: leg.authorization,
            referer: leg.referer,
            drops_secrets: leg.drops_secrets,
            drops_body_headers: leg.drops_body_headers,
            trace_lines: note.map_or(&[][..], |note| &note.lines),
            ask_for_gzip: self.plan.client.ask_for_gzip,
            keep_alive: self.plan.client.keep_alive,
        }
        .write(&body, &mut head);
        let attempt = Attempt {
            head,
            is_head_request: method == "HEAD",
            is_repeatable: is_repeatable(method, &body),
            deadline: leg.deadline,
            body,
        };
        Ok((attempt, asked_for_gzip))
    }

    fn pool_to(&self, url: &Url) -> Result<Rc<Pool>, UpstreamError> {
        self.upstreams.pool(&url.upstream()?)
    }

    #[cold]
    fn exchange_failure(&self, method: &str, url: &Url, error: UpstreamError) -> Failure {
        self.limiter.note_exchange(&error);
        exchange_failure(method, url, error)
    }
}

fn no_hosts() -> Failure {
    Failure::new(Cause::NoHost, "no hosts available")
}

fn expand(
    backend: &BackendPlan,
    host: &HostPlan,
    context: &Context<'_>,
    target: &mut Vec<u8>,
) -> Result<(), Failure> {
    let expanded = backend.template.expand(&host.path_prefix, context, target);
    expanded.map_err(|error| Failure::new(Cause::BadUrl, error.message(&host.origin)))
}

fn unreachable_host(
    backend: &BackendPlan,
    host: &HostPlan,
    call: &Call<'_>,
    error: &UpstreamError,
) -> Failure {
    let target = call.url.target.get(..call.pattern_range.end).unwrap_or_default();
    let target = String::from_utf8_lossy(target);
    Failure::new(
        Cause::Unreachable,
        format!("{} \"{}{target}\": {error}", backend.method_title, host.origin),
    )
}

fn is_listed(listed: &[Box<str>], name: &[u8]) -> bool {
    listed.iter().any(|listed| listed.as_bytes().eq_ignore_ascii_case(name))
}

/// `Get "http://host/path": reason`, as Go's client words it.
fn quoted(method: &str, url: &str, reason: &str) -> String {
    format!("{} \"{url}\": {reason}", title(method))
}

fn title(method: &str) -> String {
    let mut title = method.to_ascii_lowercase();
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}

fn exchange_failure(method: &str, url: &Url, error: UpstreamError) -> Failure {
    match error {
        UpstreamError::TimedOut => Failure::new(Cause::Deadline, "context deadline exceeded"),
        UpstreamError::ClientBody => Failure::new(Cause::ClientGone, error.to_string()),
        UpstreamError::ClientBodyTooLarge => Failure::new(Cause::BodyTooLarge, error.to_string()),
        UpstreamError::Overloaded(_) => Failure::new(Cause::Overloaded, error.to_string()),
        error => Failure::new(Cause::Unreachable, quoted(method, &url.text(), &error.to_string())),
    }
}

/// The watchers hear of a call's end.
fn told(note: Option<CallNote<'_>>, outcome: Outcome) -> Outcome {
    if let Some(mut note) = note {
        note.tell(End::of(&outcome));
    }
    outcome
}

/// Keeps the client's body, for backends that may have to send it twice.
async fn kept(limiter: &Limiter, call: &Call<'_>) -> Result<Option<Rc<Vec<u8>>>, Failure> {
    match &call.body {
        CallBody::Empty => Ok(None),
        CallBody::Bytes(bytes) => Ok(Some(bytes.clone())),
        CallBody::Stream(incoming) => {
            super::endpoint::collect_body(limiter, incoming, call.deadline).await.map(Some)
        }
    }
}

fn is_repeatable(method: &str, body: &OutgoingBody) -> bool {
    matches!(body, OutgoingBody::Empty) && matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE")
}

/// The body of a call that is sent once.
fn outgoing(body: &CallBody) -> OutgoingBody {
    match body {
        CallBody::Empty => OutgoingBody::Empty,
        CallBody::Bytes(bytes) if bytes.is_empty() => OutgoingBody::Empty,
        CallBody::Bytes(bytes) => OutgoingBody::Bytes(bytes.clone()),
        CallBody::Stream(incoming) => {
            let chunked = !matches!(incoming.framing(), Framing::Length(_));
            OutgoingBody::Stream { incoming: incoming.clone(), chunked }
        }
    }
}

/// A status with which Go's client goes on to another address.
fn is_redirect(status: u16) -> bool {
    matches!(status, 301..=303 | 307 | 308)
}

/// Where to go next, when this answer is a redirect that is followed.
fn redirect_location(
    response: &Response,
    sends_body: bool,
    call: &Call<'_>,
    can_resend: bool,
) -> Option<Vec<u8>> {
    let status = response.head.status;
    // The others are followed without the body.
    let sends_again = matches!(status, 307 | 308) && sends_body && !call.body.is_empty();
    if !is_redirect(status) || (sends_again && !can_resend) {
        return None;
    }
    let location = response.head.header("location")?;
    (!location.is_empty()).then(|| location.to_vec())
}

/// Credentials follow a redirect to the same name or to one below it.
fn is_same_or_below(name: &str, first: &str) -> bool {
    let (name, first) = (name.to_ascii_lowercase(), first.to_ascii_lowercase());
    name == first
        || (name.len() > first.len()
            && name.ends_with(&first)
            && name[..name.len() - first.len()].ends_with('.'))
}

/// Reads a short body that nobody wants, so that its connection can be used again.
pub(super) async fn drop_body(response: &mut Response) {
    const DROPPED_BYTES_MAX: usize = 2048;
    let mut dropped = Vec::with_capacity(DROPPED_BYTES_MAX);
    while dropped.len() < DROPPED_BYTES_MAX
        && matches!(response.read_into(&mut dropped).await, Ok(true))
    {}
}

fn is_gzip(response: &Response) -> bool {
    response
        .head
        .header("content-encoding")
        .is_some_and(|value| value.eq_ignore_ascii_case(b"gzip"))
}

/// Passes an answer through, or makes data of it.
pub(super) async fn finish(
    limiter: &Limiter,
    backend: &BackendPlan,
    call: &Call<'_>,
    fetched: Fetched,
) -> Result<Box<Answer>, Failure> {
    if backend.answers_raw() {
        return Ok(pass_through(fetched));
    }
    decode(limiter, backend, call, fetched).await
}

/// The upstream's own answer, for the client.
pub(super) fn pass_through(fetched: Fetched) -> Box<Answer> {
    let Fetched { response, upload, unpack, .. } = fetched;
    let mut headers = HeaderBlock::with_room_before(LINES_BYTES_USUAL, response.head.head_len);
    let fields = response.head.headers();
    for (name, value) in fields.iter() {
        let is = |other: &str| is_same_word(name, other.as_bytes());
        let is_undone = unpack && is("content-encoding");
        // A 304 has no content that could have a type (Go's server drops it as well).
        let is_moot = response.head.status == 304 && is("content-type");
        if hop_by_hop::crosses_to_client(fields, name) && !is_undone && !is_moot {
            headers.push_parsed(name, value);
        }
    }
    let status = response.head.status;
    let body = if unpack {
        Body::Unpacked(Box::new(Unpacked::new(response)))
    } else {
        Body::Upstream(response)
    };
    let (data, body) = (Document::empty(), Some(body));
    // Made where it stays.
    Box::write(Box::new_uninit(), Answer { data, is_complete: true, status, headers, body, upload })
}

/// Judges the status, reads the body and makes data of it.
async fn decode(
    limiter: &Limiter,
    backend: &BackendPlan,
    call: &Call<'_>,
    mut fetched: Fetched,
) -> Result<Box<Answer>, Failure> {
    let status = fetched.response.head.status;
    if matches!(status, 200 | 201) {
        let read = read_body(limiter, call.exchange.watch, &mut fetched).await?;
        return decoded(limiter, backend, read);
    }
    if backend.statuses == StatusRule::Plain {
        let url = fetched.redirected.as_ref().unwrap_or(&call.url).text();
        drop_body(&mut fetched.response).await;
        return Err(plain_failure(backend, status, &url));
    }
    let content_type = content_type(&fetched.response);
    let body = task::rare(|| error_body(limiter, call.exchange.watch, &mut fetched)).await;
    failed(backend, status, content_type, body)
}

/// Makes data of a body that was read.
pub(super) fn decoded(
    limiter: &Limiter,
    backend: &BackendPlan,
    read: ReadBody,
) -> Result<Box<Answer>, Failure> {
    let decoded = backend.decoder.decode_by(backend.json_rules, read.bytes, read.is_cut);
    let mut data = decoded.map_err(|error| {
        limiter.note_decoding(&error);
        if read.timed_out {
            return Failure::new(Cause::Deadline, "context deadline exceeded");
        }
        let reason = match (error, read.broken) {
            (DecodeError::EndedEarly, Some(reason)) => reason,
            (error, _) => error.to_string(),
        };
        Failure::new(Cause::Undecodable, reason)
    })?;
    backend
        .edit
        .apply(&mut data)
        .map_err(|error| Failure::new(Cause::Manipulation, error.to_string()))?;
    Ok(Answer::of_data(data, true))
}

/// An error of which the client learns nothing.
pub(super) fn plain_failure(backend: &BackendPlan, status: u16, url: &str) -> Failure {
    let pattern = backend.template.internal_pattern();
    let message = format!("invalid status code {status} [{} {pattern}]: {url}", backend.method);
    Failure::new(Cause::Status(status), message)
}

/// An error that the client may learn of.
pub(super) fn failed(
    backend: &BackendPlan,
    status: u16,
    content_type: String,
    body: String,
) -> Result<Box<Answer>, Failure> {
    let StatusRule::Details(name) = &backend.statuses else {
        return Err(Failure::new(Cause::StatusPassedOn(status), body).typed(Some(content_type)));
    };
    let mut data = Document::empty();
    data.set(&format!("error_{name}"), error_details(status, body, content_type));
    let mut answer = Answer::of_data(data, false);
    answer.status = status;
    Ok(answer)
}

/// The object that `return_error_details` makes of a failed call; empty members are left out.
fn error_details(status: u16, body: String, content_type: String) -> Value {
    let mut members =
        vec![("http_status_code", Value::Number(crate::json::Number::Int(i64::from(status))))];
    if !body.is_empty() {
        members.push(("http_body", Value::String(body)));
    }
    if !content_type.is_empty() {
        members.push(("http_body_encoding", Value::String(content_type)));
    }
    Value::Struct(members)
}

pub(super) fn content_type(response: &Response) -> String {
    response
        .head
        .header("content-type")
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .unwrap_or_default()
}

async fn error_body(limiter: &Limiter, watch: Option<&Watch>, fetched: &mut Fetched) -> String {
    read_body(limiter, watch, fetched).await.map_or_else(|_| String::new(), |read| text(read.bytes))
}

pub(super) fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned())
}

pub(super) struct ReadBody {
    pub(super) bytes: Vec<u8>,
    /// The body ended before its end.
    pub(super) is_cut: bool,
    timed_out: bool,
    /// Why it ended there, where it was not a plain end of the connection.
    broken: Option<String>,
}

impl ReadBody {
    pub(super) fn whole(bytes: Vec<u8>) -> ReadBody {
        ReadBody { bytes, is_cut: false, timed_out: false, broken: None }
    }
}

/// Reads the whole body, unpacked, and has it noted. An upload that is still running goes on meanwhile.
pub(super) async fn read_body(
    limiter: &Limiter,
    watch: Option<&Watch>,
    fetched: &mut Fetched,
) -> Result<ReadBody, Failure> {
    let Some(watch) = watch else { return read_unwatched(limiter, fetched).await };
    let began_ns = clock::monotonic_ns();
    let read = read_unwatched(limiter, fetched).await;
    watch.note_read(ReadSize {
        bytes: read.as_ref().map_or(0, |read| read.bytes.len() as u64),
        is_broken: read.as_ref().map_or(true, |read| read.is_cut),
        timed: Timed { began_ns, ended_ns: clock::monotonic_ns() },
    });
    read
}

async fn read_unwatched(limiter: &Limiter, fetched: &mut Fetched) -> Result<ReadBody, Failure> {
    let packed = is_gzip(&fetched.response);
    let read = match fetched.upload.take() {
        None => collect(limiter, &mut fetched.response).await,
        Some(mut upload) => {
            let mut collected = Box::pin(collect(limiter, &mut fetched.response));
            match task::first_of(collected.as_mut(), upload.as_mut()).await {
                task::First::Left(read) => read,
                task::First::Right(_) => collected.await,
            }
        }
    }?;
    if !packed || read.bytes.is_empty() {
        return Ok(read);
    }
    match gzip::unpack(&read.bytes, limiter.decoded_body_bytes_max) {
        Unpacking::Whole(bytes) => Ok(ReadBody { bytes, ..read }),
        Unpacking::TooLarge => Err(limiter.answer_too_large()),
        // A value that is complete by then still counts, as in a body that is cut off.
        Unpacking::Broken(bytes, error) => {
            Ok(ReadBody { bytes, is_cut: true, broken: Some(error.to_string()), ..read })
        }
    }
}

async fn collect(limiter: &Limiter, response: &mut Response) -> Result<ReadBody, Failure> {
    let bytes_max = limiter.decoded_body_bytes_max;
    let announced =
        response.length_left().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    if announced > bytes_max {
        return Err(limiter.answer_too_large());
    }
    // Memory follows the bytes that came, not the number that was announced.
    let mut bytes = Vec::with_capacity(announced.min(COLLECTED_BYTES_FIRST));
    if (1..=COLLECTED_BYTES_FIRST).contains(&announced) {
        // A broken chunk cannot be: the length is known. What is missing shows below.
        let _ = response.take_ready(&mut bytes, announced);
    }
    loop {
        match response.read_into(&mut bytes).await {
            Ok(true) if bytes.len() > bytes_max => return Err(limiter.answer_too_large()),
            Ok(true) => {}
            Ok(false) => {
                return Ok(ReadBody::whole(bytes));
            }
            Err(error) => {
                let timed_out = matches!(error, ReadError::TimedOut);
                let broken = matches!(error, ReadError::Malformed(_))
                    .then(|| UpstreamError::from(error).to_string());
                return Ok(ReadBody { bytes, is_cut: true, timed_out, broken });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_go_to_the_same_name_and_below() {
        assert!(is_same_or_below("api.example", "api.example"));
        assert!(is_same_or_below("a.api.example", "API.example"));
        assert!(!is_same_or_below("evilapi.example", "api.example"));
        assert!(!is_same_or_below("example", "api.example"));
    }

    #[test]
    fn error_details_leave_out_what_is_empty() {
        let Value::Struct(members) = error_details(404, String::new(), String::new()) else {
            panic!("a struct")
        };
        assert_eq!(members.len(), 1);
    }
}
