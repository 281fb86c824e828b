//! The endpoints that every gateway has: `/__health`, `/__echo/` and `/__debug/` (specification, section 2.5).

use std::fmt::Write;
use std::time::Duration;

use super::Gateway;
use crate::json;
use crate::message::forwarded::ClientIp;
use crate::message::query;
use crate::message::route_params::RouteParams;
use crate::net::clock;
use crate::shared::log::{AccessRecord, Field, Log};
use crate::shared::readiness::Readiness;
use crate::wire::{Body, Reply, Request};

/// The largest body that echo and debug show.
const SHOWN_BODY_BYTES_MAX: usize = 1024 * 1024;

/// Always well: whoever answers is alive.
pub fn health() -> Reply {
    // As Go prints a moment: the last part is its reading of the monotonic clock.
    let now = chrono::DateTime::<chrono::Utc>::from(clock::wall())
        .format("%Y-%m-%d %H:%M:%S%.9f +0000 UTC");
    let since_boot_ns = clock::monotonic_ns();
    let (seconds, nanos) = (since_boot_ns / 1_000_000_000, since_boot_ns % 1_000_000_000);
    json_reply(
        format!(r#"{{"agents":{{}},"now":"{now} m=+{seconds}.{nanos:09}","status":"ok"}}"#)
            .into_bytes(),
    )
}

/// 503 tells balancers to send new requests elsewhere; whatever comes all the same is served.
pub fn ready(readiness: &Readiness) -> Reply {
    let (status, text) = if readiness.is_ready() { (200, "ready") } else { (503, "not ready") };
    Reply { status, ..json_reply(format!(r#"{{"status":"{text}"}}"#).into_bytes()) }
}

fn json_reply(bytes: Vec<u8>) -> Reply {
    let mut reply = Reply::empty(200);
    reply.headers.push(b"Content-Type", b"application/json; charset=utf-8");
    reply.body = Body::Bytes(bytes);
    reply
}

async fn body_of(request: &Request<'_>) -> Vec<u8> {
    match request.body {
        None => Vec::new(),
        Some(incoming) => incoming.collect(SHOWN_BODY_BYTES_MAX).await.unwrap_or_default(),
    }
}

/// Says what the gateway saw of the request.
pub async fn echo(request: &Request<'_>, path: &[u8]) -> Reply {
    let body = body_of(request).await;
    let head = request.head;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut out = Vec::with_capacity(1024);
    let member = |name: &str, first: bool, out: &mut Vec<u8>| {
        out.extend_from_slice(if first { b"{" } else { b"," });
        json::write_string(name, out);
        out.push(b':');
    };
    member("req_uri", true, &mut out);
    json::write_string(&text(head.target()), &mut out);
    member("req_uri_details", false, &mut out);
    let mut shown_query = Vec::new();
    query::forward(head.query(), &query::Allowed::All, None, &mut shown_query);
    let details = [
        ("user", String::new()),
        ("host", text(head.host())),
        ("path", text(path)),
        ("query", text(&shown_query)),
    ];
    for (place, (name, value)) in details.iter().enumerate() {
        member(name, place == 0, &mut out);
        json::write_string(value, &mut out);
    }
    out.extend_from_slice(br#","fragment":""}"#);
    member("req_method", false, &mut out);
    json::write_string(&text(head.method_name()), &mut out);
    member("req_querystring", false, &mut out);
    write_lists(
        query::pairs(head.query()).map(|(name, value)| (text(&name), text(&value))),
        &mut out,
    );
    member("req_body", false, &mut out);
    json::write_string(&text(&body), &mut out);
    member("req_headers", false, &mut out);
    // Go keeps neither the host nor the framing among a request's headers.
    let is_shown = |name: &[u8]| {
        !name.eq_ignore_ascii_case(b"host") && !name.eq_ignore_ascii_case(b"transfer-encoding")
    };
    let fields = head.headers().iter().filter(|(name, _)| is_shown(name));
    write_lists(fields.map(|(name, value)| (canonical(name), text(value))), &mut out);
    out.push(b'}');
    json_reply(out)
}

/// Logs what the gateway saw of the request.
pub async fn debug(request: &Request<'_>, path: &[u8], params: &RouteParams, log: &Log) -> Reply {
    let body = body_of(request).await;
    let head = request.head;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut headers = String::new();
    for (name, value) in head.headers().iter() {
        let _ = write!(headers, "{}:[{}] ", canonical(name), text(value));
    }
    let values: Vec<String> = params.iter(path).map(text).collect();
    log.debug(format_args!("[ENDPOINT: /__debug/*] Method: {}", text(head.method_name())));
    log.debug(format_args!("[ENDPOINT: /__debug/*] URL: {}", text(head.target())));
    log.debug(format_args!("[ENDPOINT: /__debug/*] Query: {}", text(head.query())));
    log.debug(format_args!("[ENDPOINT: /__debug/*] Params: {values:?}"));
    log.debug(format_args!("[ENDPOINT: /__debug/*] Headers: {}", headers.trim_end()));
    log.debug(format_args!("[ENDPOINT: /__debug/*] Body: {}", text(&body)));
    json_reply(br#"{"message":"pong"}"#.to_vec())
}

/// `{"name":["value", …], …}` with names in order of their bytes.
fn write_lists(pairs: impl Iterator<Item = (String, String)>, out: &mut Vec<u8>) {
    let mut lists: std::collections::BTreeMap<String, Vec<String>> =
        std::collections::BTreeMap::new();
    for (name, value) in pairs {
        lists.entry(name).or_default().push(value);
    }
    out.push(b'{');
    for (place, (name, values)) in lists.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        json::write_string(name, out);
        out.extend_from_slice(b":[");
        for (place, value) in values.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            json::write_string(value, out);
        }
        out.push(b']');
    }
    out.push(b'}');
}

/// `x-one` as Go writes it: `X-One`.
fn canonical(name: &[u8]) -> String {
    let mut upper = true;
    let letters = name.iter().map(|&byte| {
        let letter = if upper { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() };
        upper = byte == b'-';
        letter as char
    });
    letters.collect()
}

/// What the access log's format asks for.
fn field_of(field: &Field, request: &Request<'_>) -> Option<Box<[u8]>> {
    let head = request.head;
    let value: &[u8] = match field {
        Field::Header(name) => head.headers_named(name).next()?,
        Field::Host => head.host(),
        Field::Scheme if request.peer.is_tls => b"https",
        Field::Scheme => b"http",
        Field::Protocol if head.is_http_10() => b"HTTP/1.0",
        Field::Protocol => b"HTTP/1.1",
    };
    Some(value.into())
}

impl Gateway {
    /// One line of the access log, made by the log's own thread.
    pub(super) fn log_access(&self, request: &Request<'_>, reply: &mut Reply, took_ns: u64) {
        let head = request.head;
        let path = head.path();
        if self.plan.router.silent_paths.iter().any(|silent| silent.as_bytes() == path) {
            return;
        }
        let peer_ip = request.peer.address.ip().to_canonical();
        let client = self.plan.router.client_ip.client_ip(peer_ip, |name| head.headers_named(name));
        let client = match client {
            ClientIp::Header(text) => text,
            ClientIp::Peer(_) => &request.peer.ip_text,
        };
        self.log.access(AccessRecord {
            at: clock::wall(),
            latency: Duration::from_nanos(took_ns),
            status: reply.status,
            client: client.as_bytes().into(),
            method: head.method_name().into(),
            path: head.target().into(),
            errors: std::mem::take(&mut reply.errors),
            fields: self.log.access_fields().iter().map(|field| field_of(field, request)).collect(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_names_are_shown_as_go_writes_them() {
        assert_eq!(canonical(b"x-ONE-two"), "X-One-Two");
    }

    #[test]
    fn repeated_names_become_one_list() {
        let mut out = Vec::new();
        let pairs = [("b", "1"), ("a", "2"), ("b", "3")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        write_lists(pairs.into_iter(), &mut out);
        assert_eq!(out, br#"{"a":["2"],"b":["1","3"]}"#);
    }
}
