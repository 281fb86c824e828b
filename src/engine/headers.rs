//! The headers that an endpoint's backends are sent: what the client's list lets through, and the gateway's own
//! (specification, section 2.7).

use std::borrow::Cow;

use crate::message::head::RequestHead;
use crate::message::headers::{Marks, is_same_word};
use crate::message::hop_by_hop;
use crate::plan::COMPATIBLE_VERSION;
use crate::plan::endpoint::ForwardedHeaders;
use crate::stage::{Cause, Exchange, Failure, Header, Headers};
use crate::wire::http1::encode;

/// How the gateway names itself to upstreams: as the original does, because upstreams may look for it.
pub fn agent() -> &'static [u8] {
    const AGENT: &str = "KrakenD Version 2.13.8";
    debug_assert!(AGENT.ends_with(COMPATIBLE_VERSION));
    AGENT.as_bytes()
}

/// Appends the headers for the backends of an endpoint, before any backend's own list narrows them. They are filled in where
/// they stay.
pub fn forward<'x>(
    exchange: &'x Exchange<'_>,
    allowed: &ForwardedHeaders,
    headers: &mut Headers<'x>,
) {
    let head: &'x RequestHead = exchange.head;
    let mut agent_passed = false;
    let fields = head.headers();
    for (name, value) in fields.iter() {
        if !allowed.admits(name) || is_overwritten(name) || !crosses(fields, name) {
            continue;
        }
        if !exchange.added.is_empty() && exchange.added.lines(name).is_some() {
            continue;
        }
        if is_same_word(name, b"user-agent") {
            // Of several only the first goes up, as Go's client sends it.
            if agent_passed {
                continue;
            }
            agent_passed = true;
        }
        headers.push(Header::new(name, value));
    }
    if !exchange.added.is_empty() {
        agent_passed |= forward_added(exchange, allowed, headers);
    }
    headers.push(Header::new(b"X-Forwarded-For", exchange.client_text().as_bytes()));
    headers.push(Header {
        name: Cow::Borrowed(b"X-Forwarded-Host"),
        value: Cow::Borrowed(head.host()),
    });
    if agent_passed {
        headers.retain(|header| !is_same_word(&header.name, b"x-forwarded-via"));
        headers.push(Header::new(b"X-Forwarded-Via", agent()));
    } else {
        headers.push(Header::new(b"User-Agent", agent()));
    }
}

/// Appends the lines of stages; true when one of them names an agent.
#[inline(never)]
fn forward_added<'x>(
    exchange: &'x Exchange<'_>,
    allowed: &ForwardedHeaders,
    headers: &mut Headers<'x>,
) -> bool {
    let mut agent_passed = false;
    for (name, value) in sent(exchange, allowed) {
        agent_passed |= name.eq_ignore_ascii_case(b"user-agent");
        headers.push(Header::new(name, value));
    }
    agent_passed
}

/// Lines of stages that go to the backends.
fn sent<'x, 'r, 'a>(
    exchange: &'x Exchange<'r>,
    allowed: &'a ForwardedHeaders,
) -> impl Iterator<Item = (&'x [u8], &'x [u8])> + use<'x, 'r, 'a> {
    // What the client's Connection header names is the client's: it must not take these away.
    let nothing = crate::message::headers::Headers::new(&[], &[], Marks::NONE);
    exchange.added.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).filter(
        move |(name, _)| {
            allowed.admits(name)
                && !is_overwritten(name)
                && hop_by_hop::crosses_to_upstream(nothing, name)
        },
    )
}

/// Why the calls of an endpoint cannot be made: a stage's header line would end its line. Go's client refuses it, too.
pub fn unsendable(exchange: &Exchange<'_>, allowed: &ForwardedHeaders) -> Option<Failure> {
    if exchange.added.is_empty() {
        return None;
    }
    let (name, _) = sent(exchange, allowed).find(|(_, value)| !encode::is_value_safe(value))?;
    let name = String::from_utf8_lossy(name);
    let message = format!("net/http: invalid header field value for {name:?}");
    Some(Failure::new(Cause::BadUrl, message))
}

/// The client's own never survive: the gateway says who the client is.
fn is_overwritten(name: &[u8]) -> bool {
    match name.len() {
        15 => is_same_word(name, b"x-forwarded-for"),
        16 => is_same_word(name, b"x-forwarded-host"),
        _ => false,
    }
}

fn crosses(fields: crate::message::headers::Headers<'_>, name: &[u8]) -> bool {
    // Most requests have no Connection header that names others: one comparison by length then decides.
    if !fields.marks().has(Marks::CONNECTION)
        && !matches!(name.len(), 4 | 6 | 7 | 10 | 14 | 16 | 17)
    {
        return true;
    }
    hop_by_hop::crosses_to_upstream(fields, name)
}
