//! A call through the backend's cache: what is fresh is not asked for again, what is stale is validated.
//!
//! Follows httpcache, `RoundTrip` (specification, section 2.23).

use std::borrow::Cow;
use std::sync::Arc;

use super::Gateway;
use super::bounds::Limiter;
use super::fetch::{self, Fetched, ReadBody};
use super::hosts::Destination;
use super::watched::ExchangeNote;
use crate::message::caching::Freshness;
use crate::message::hop_by_hop;
use crate::net::clock;
use crate::plan::backend::{BackendPlan, StatusRule};
use crate::stage::{Answer, Call, Cause, Failure, Header, Notes};
use crate::upstream::HttpCache;
use crate::upstream::cache::{Asked, BODY_BYTES_MAX, Kept};
use crate::wire::gzip::{self, Unpacked, Unpacking};
use crate::wire::http1::client::Response;
use crate::wire::{Body, HeaderBlock};

/// One look at a cache.
struct Look<'c> {
    cache: &'c HttpCache,
    name: Vec<u8>,
    asked: Asked<'c>,
}

impl Gateway {
    /// Answers from the cache, or calls the upstream and keeps what it says.
    pub(super) async fn perform_cached(
        &self,
        backend: &BackendPlan,
        call: &Call<'_>,
        destination: &Destination<'_>,
        cache: &HttpCache,
    ) -> Result<Box<Answer>, Failure> {
        let look = Look::new(cache, call, destination);
        let is_cacheable = matches!(&*call.method, "GET" | "HEAD")
            && look.asked.header(b"range").is_empty()
            && call.body.is_empty();
        if !is_cacheable {
            cache.remove(&look.name);
            return self.perform(backend, call, destination).await;
        }
        let note = call.exchange.watch.map(|watch| ExchangeNote::begin(watch, backend, call));
        let note = note.as_ref();
        let answer = self.look_up(backend, call, destination, &look, note).await;
        if let Some(note) = note {
            note.tell_read();
        }
        answer
    }

    async fn look_up(
        &self,
        backend: &BackendPlan,
        call: &Call<'_>,
        destination: &Destination<'_>,
        look: &Look<'_>,
        note: Option<&ExchangeNote<'_, '_>>,
    ) -> Result<Box<Answer>, Failure> {
        let cache = look.cache;
        let wishes = &look.asked.wishes;
        let Some(kept) = cache.get(&look.name) else {
            if wishes.only_if_cached {
                tell_kept(note, 504, 0);
                return not_there(&self.limiter, backend, call);
            }
            let sent = self.send(backend, call, destination, note).await;
            tell(note, &sent);
            return look.keep(&self.limiter, backend, call, sent?).await;
        };
        let fits = kept.fits(&look.asked);
        let freshness =
            if fits { kept.freshness(wishes, now_ms()) } else { Freshness::Transparent };
        let asking = match freshness {
            Freshness::Fresh => {
                tell_kept(note, kept.status, kept.body.len());
                return given_again(&self.limiter, backend, call, &kept);
            }
            Freshness::Stale => validating(call, &kept),
            Freshness::Transparent => None,
        };
        let sent = self.send(backend, asking.as_ref().unwrap_or(call), destination, note).await;
        tell(note, &sent);
        let is_get = call.method == "GET";
        let covers = || fits && is_get && kept.serves_on_error(wishes, now_ms());
        match sent {
            // To a condition of the client's own, 304 says nothing about what is kept.
            Ok(fetched) if fetched.response.head.status == 304 && is_get && asking.is_some() => {
                look.validated(&self.limiter, backend, call, &kept, fetched)
            }
            Ok(fetched) if fetched.response.head.status >= 500 && covers() => {
                drop(fetched);
                given_again(&self.limiter, backend, call, &kept)
            }
            Err(_) if covers() => given_again(&self.limiter, backend, call, &kept),
            Err(failure) => {
                cache.remove(&look.name);
                Err(failure)
            }
            Ok(fetched) => {
                if fetched.response.head.status != 200 {
                    cache.remove(&look.name);
                }
                look.keep(&self.limiter, backend, call, fetched).await
            }
        }
    }
}

/// The upstream has answered.
fn tell(note: Option<&ExchangeNote<'_, '_>>, sent: &Result<Fetched, Failure>) {
    if let Some(note) = note {
        note.tell(sent);
    }
}

/// The cache answers in place of the upstream.
fn tell_kept(note: Option<&ExchangeNote<'_, '_>>, status: u16, body_bytes: usize) {
    if let Some(note) = note {
        note.tell_kept(status, body_bytes);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "milliseconds fit until the year 292 million")]
fn now_ms() -> i64 {
    (clock::unix_nanos() / 1_000_000) as i64
}

impl<'c> Look<'c> {
    fn new(cache: &'c HttpCache, call: &'c Call<'_>, destination: &Destination<'_>) -> Look<'c> {
        let authorization = destination.host.authorization.as_deref();
        let name = cache.name(&call.method, &call.url, authorization);
        let headers = call.headers.iter().map(|header| (&*header.name, &*header.value)).collect();
        let credentials = call.exchange.head.header("authorization");
        Look { cache, name, asked: Asked::new(headers, credentials) }
    }

    /// Gives an answer, and keeps it where that is allowed and it is read whole anyway.
    async fn keep(
        &self,
        limiter: &Limiter,
        backend: &BackendPlan,
        call: &Call<'_>,
        mut fetched: Fetched,
    ) -> Result<Box<Answer>, Failure> {
        let status = fetched.response.head.status;
        let is_read = backend.answers_raw()
            || matches!(status, 200 | 201)
            || backend.statuses != StatusRule::Plain;
        // What a redirect led to is the answer to another question.
        if !is_read
            || fetched.redirected.is_some()
            || !self.cache.may_keep(&self.asked, status, crossing(&fetched.response))
        {
            self.cache.remove(&self.name);
            return fetch::finish(limiter, backend, call, fetched).await;
        }
        let is_packed = is_gzip(&fetched.response) && (fetched.unpack || !backend.answers_raw());
        let mut kept = Kept::new(&self.asked, status, crossing(&fetched.response), is_packed);
        if backend.answers_raw() {
            return self.keep_raw(limiter, kept, fetched).await;
        }
        let content_type = fetch::content_type(&fetched.response);
        let read = fetch::read_body(limiter, call.exchange.watch, &mut fetched).await;
        if let Ok(read) = &read
            && !read.is_cut
            && read.bytes.len() <= BODY_BYTES_MAX
        {
            kept.body.clone_from(&read.bytes);
            self.put(kept);
        }
        if matches!(status, 200 | 201) {
            return fetch::decoded(limiter, backend, read?);
        }
        let body = read.map_or_else(|_| String::new(), |read| fetch::text(read.bytes));
        fetch::failed(backend, status, content_type, body)
    }

    /// The same for an answer that passes through: it is read first, unless it is large or may never end.
    async fn keep_raw(
        &self,
        limiter: &Limiter,
        mut kept: Kept,
        mut fetched: Fetched,
    ) -> Result<Box<Answer>, Failure> {
        let is_short = match fetched.response.length_left() {
            Some(length) => length <= BODY_BYTES_MAX as u64,
            None => kept.is_of_use() && !is_stream(&kept),
        };
        if !is_short {
            self.cache.remove(&self.name);
            return Ok(fetch::pass_through(fetched));
        }
        let length = fetched.response.length_left().and_then(|length| usize::try_from(length).ok());
        let mut bytes = Vec::with_capacity(length.unwrap_or(0));
        loop {
            match fetched.response.read_into(&mut bytes).await {
                Ok(true) if bytes.len() > BODY_BYTES_MAX && !fetched.response.is_done() => {
                    self.cache.remove(&self.name);
                    return Ok(read_ahead(&kept, fetched, bytes));
                }
                Ok(true) => {}
                Ok(false) => break,
                Err(_) => {
                    let what = "the upstream's answer broke off";
                    return Err(Failure::new(Cause::Unreachable, what));
                }
            }
        }
        if fetched.unpack {
            match gzip::unpack(&bytes, limiter.decoded_body_bytes_max) {
                Unpacking::Whole(unpacked) => bytes = unpacked,
                Unpacking::TooLarge | Unpacking::Broken(..) if bytes.is_empty() => {}
                Unpacking::TooLarge | Unpacking::Broken(..) => {
                    let what = "the upstream's answer cannot be unpacked";
                    return Err(Failure::new(Cause::Undecodable, what));
                }
            }
        }
        kept.body = bytes;
        let answer = raw(&kept);
        self.put(kept);
        Ok(answer)
    }

    /// The kept answer is still right.
    fn validated(
        &self,
        limiter: &Limiter,
        backend: &BackendPlan,
        call: &Call<'_>,
        kept: &Kept,
        fetched: Fetched,
    ) -> Result<Box<Answer>, Failure> {
        let news = crossing(&fetched.response);
        let renewed = kept.validated(&self.asked, news);
        let answer = given_again(limiter, backend, call, &renewed);
        if self.cache.may_keep(&self.asked, renewed.status, renewed.headers.iter()) {
            self.put(renewed);
        } else {
            self.cache.remove(&self.name);
        }
        answer
    }

    fn put(&self, kept: Kept) {
        self.cache.keep(&self.name, &Arc::new(kept));
    }
}

/// The headers of an answer that are about more than its connection.
fn crossing(response: &Response) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
    let fields = response.head.headers();
    let lines: Vec<_> =
        fields.iter().filter(|(name, _)| hop_by_hop::crosses_to_client(fields, name)).collect();
    lines.into_iter()
}

fn is_gzip(response: &Response) -> bool {
    let coding = response.head.header("content-encoding");
    coding.is_some_and(|coding| coding.eq_ignore_ascii_case(b"gzip"))
}

/// Events that come one by one.
fn is_stream(kept: &Kept) -> bool {
    let content_type = kept.header(b"content-type").unwrap_or_default();
    content_type.get(..17).is_some_and(|start| start.eq_ignore_ascii_case(b"text/event-stream"))
}

/// The call that asks whether a kept answer is still right; `None` where nothing identifies it.
fn validating<'x>(call: &Call<'x>, kept: &Kept) -> Option<Call<'x>> {
    const CONDITIONS: [(&[u8], &[u8]); 2] =
        [(b"If-None-Match", b"etag"), (b"If-Modified-Since", b"last-modified")];
    let is_condition = |header: &Header<'_>| {
        CONDITIONS.iter().any(|(name, _)| header.name.eq_ignore_ascii_case(name))
    };
    let ours = CONDITIONS.iter().filter_map(|(name, by)| {
        let value = kept.header(by)?.to_vec();
        Some(Header { name: Cow::Borrowed(*name), value: Cow::Owned(value) })
    });
    let ours: Vec<Header<'x>> = ours.collect();
    if ours.is_empty() {
        return None;
    }
    let theirs = call.headers.iter().filter(|header| !is_condition(header)).cloned();
    let headers: Vec<Header<'x>> = theirs.chain(ours).collect();
    Some(Call {
        exchange: call.exchange,
        method: call.method.clone(),
        url: call.url.clone(),
        host: call.host.clone(),
        headers: Cow::Owned(headers),
        body: call.body.clone(),
        extra_params: call.extra_params,
        deadline: call.deadline,
        pattern_range: call.pattern_range.clone(),
        notes: Notes::default(),
        span: call.span,
    })
}

/// The client wants nothing but what is kept, and nothing is.
fn not_there(
    limiter: &Limiter,
    backend: &BackendPlan,
    call: &Call<'_>,
) -> Result<Box<Answer>, Failure> {
    let nothing = Kept::new(&Asked::new(Vec::new(), None), 504, std::iter::empty(), false);
    given_again(limiter, backend, call, &nothing)
}

/// What a kept answer comes to, as if it had just arrived.
fn given_again(
    limiter: &Limiter,
    backend: &BackendPlan,
    call: &Call<'_>,
    kept: &Kept,
) -> Result<Box<Answer>, Failure> {
    if backend.answers_raw() {
        return Ok(raw(kept));
    }
    if !matches!(kept.status, 200 | 201) && backend.statuses == StatusRule::Plain {
        return Err(fetch::plain_failure(backend, kept.status, &call.url.text()));
    }
    let mut body = kept.body.clone();
    let is_packed = kept.header(b"content-encoding").is_some_and(|coding| coding == b"gzip");
    if is_packed
        && let Unpacking::Whole(bytes) = gzip::unpack(&body, limiter.decoded_body_bytes_max)
    {
        body = bytes;
    }
    if matches!(kept.status, 200 | 201) {
        return fetch::decoded(limiter, backend, ReadBody::whole(body));
    }
    let content_type = kept.header(b"content-type").unwrap_or_default();
    let content_type = String::from_utf8_lossy(content_type).into_owned();
    fetch::failed(backend, kept.status, content_type, fetch::text(body))
}

/// An answer that turned out too large, of which this much was read. Its own head is gone by then.
fn read_ahead(kept: &Kept, mut fetched: Fetched, bytes: Vec<u8>) -> Box<Answer> {
    fetched.response.put_back(bytes);
    let body = if fetched.unpack {
        Body::Unpacked(Box::new(Unpacked::new(fetched.response)))
    } else {
        Body::Upstream(fetched.response)
    };
    Box::new(Answer { body: Some(body), ..*raw(kept) })
}

fn raw(kept: &Kept) -> Box<Answer> {
    let mut headers = HeaderBlock::with_capacity(kept.headers.as_bytes().len());
    headers.append(&kept.headers);
    Box::new(Answer {
        data: crate::json::Document::empty(),
        is_complete: true,
        status: kept.status,
        headers,
        body: Some(Body::Bytes(kept.body.clone())),
        upload: None,
    })
}
