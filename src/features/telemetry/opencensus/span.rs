//! `Span`: a part of a trace as Zipkin wants it.

use serde_json::{Map, Value, json};

use super::b3::hex;
use crate::stage::clock;
use crate::stage::watch::{SpanId, Timed};

/// One span, ended.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub trace: [u8; 16],
    pub id: SpanId,
    pub parent: Option<SpanId>,
    pub kind: Option<&'static str>,
    pub name: String,
    /// Since 1970.
    pub began_us: u64,
    pub took_us: u64,
    pub tags: Vec<(&'static str, String)>,
}

impl Span {
    /// `local` is the endpoint of all spans, where it is known.
    pub fn to_json(&self, local: Option<&Value>) -> Value {
        let mut span = Map::new();
        span.insert("timestamp".into(), self.began_us.into());
        span.insert("duration".into(), self.took_us.max(1).into());
        // The upper half is left out where it is empty.
        let trace = if self.trace[..8] == [0; 8] { &self.trace[8..] } else { &self.trace[..] };
        span.insert("traceId".into(), hex(trace).into());
        span.insert("id".into(), format!("{:016x}", self.id).into());
        if let Some(parent) = self.parent {
            span.insert("parentId".into(), format!("{parent:016x}").into());
        }
        span.insert("name".into(), self.name.as_str().into());
        if let Some(kind) = self.kind {
            span.insert("kind".into(), kind.into());
        }
        if let Some(local) = local {
            span.insert("localEndpoint".into(), local.clone());
        }
        if !self.tags.is_empty() {
            let tags: Map<String, Value> =
                self.tags.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
            span.insert("tags".into(), Value::Object(tags));
        }
        Value::Object(span)
    }
}

/// When it began, in microseconds since 1970, and how long it took.
pub(super) fn moments(timed: Timed) -> (u64, u64) {
    let now_us = u64::try_from(clock::unix_nanos() / 1000).unwrap_or(u64::MAX);
    let ago_us = clock::monotonic_ns().saturating_sub(timed.began_ns) / 1000;
    (now_us.saturating_sub(ago_us), timed.ended_ns.saturating_sub(timed.began_ns) / 1000)
}

/// What a status of HTTP is in a trace: its name, and whether it is an error.
pub(super) fn status_of(status: u16) -> (&'static str, bool) {
    let name = match status {
        400 | 422 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        501 => "UNIMPLEMENTED",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        200..400 => "OK",
        _ => "UNKNOWN",
    };
    (name, name != "OK")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_an_object() {
        let mut trace = [0; 16];
        trace[15] = 7;
        let span = Span {
            trace,
            id: 0xAB,
            parent: Some(1),
            kind: Some("CLIENT"),
            name: "/ok".into(),
            began_us: 1_700_000_000_000_000,
            took_us: 0,
            tags: vec![("http.method", "GET".into())],
        };
        let local = json!({"serviceName": "zip"});
        assert_eq!(
            span.to_json(Some(&local)),
            json!({
                "timestamp": 1_700_000_000_000_000_u64, "duration": 1,
                "traceId": "0000000000000007", "id": "00000000000000ab",
                "parentId": "0000000000000001", "name": "/ok", "kind": "CLIENT",
                "localEndpoint": {"serviceName": "zip"}, "tags": {"http.method": "GET"}
            })
        );
        let root = Span { trace: [0xFF; 16], parent: None, kind: None, tags: Vec::new(), ..span };
        let root = root.to_json(None);
        assert_eq!(root["traceId"], "f".repeat(32));
        assert!(root.get("parentId").is_none() && root.get("tags").is_none());
    }

    #[test]
    fn statuses_have_the_names_of_traces() {
        assert_eq!(status_of(200), ("OK", false));
        assert_eq!(status_of(302), ("OK", false));
        assert_eq!(status_of(404), ("NOT_FOUND", true));
        assert_eq!(status_of(500), ("UNKNOWN", true));
        assert_eq!(status_of(0), ("UNKNOWN", true));
    }
}
