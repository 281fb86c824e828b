//! Trace headers: what is understood is passed on as the same, and nothing of it can end a header line.

use shoal::features::telemetry::opencensus::b3::{self, Context};
use shoal::features::telemetry::opentelemetry::propagation::{Origin, Propagators};
use shoal::message::head::RequestHead;
use shoal::stage::watch::Trace;
use shoal::wire::http1::parse::{self, HeadLimits, Progress};

use crate::Input;

const LIMITS: HeadLimits =
    HeadLimits { bytes_max: 64 * 1024, headers_max: 100, uri_bytes_max: 8 * 1024 };

/// A head with these header lines, as a client may send it.
fn head(lines: &[u8]) -> Option<RequestHead> {
    let raw = [b"GET / HTTP/1.1\r\nHost: h\r\n", lines, b"\r\n"].concat();
    let mut head = RequestHead::with_bytes(raw);
    (parse::request(&mut head, &LIMITS) == Ok(Progress::Complete)).then_some(head)
}

/// `flags header lines`
pub fn propagation(input: &[u8]) {
    let mut input = Input(input);
    let flags = input.byte();
    let on = |bit: u8| flags & bit != 0;
    let named = Propagators { trace_context: on(1), baggage: on(2), b3: on(4), b3_multi: on(8) };
    let Some(head) = head(input.0) else { return };
    let origin = named.extract(&head);
    if !named.baggage {
        assert!(origin.passed_on.iter().all(|(name, _)| *name != "baggage"));
    }
    if let Some((id, span, is_sampled)) = origin.parent {
        assert!(id != [0; 16] && span != 0, "a trace without a number");
        let trace =
            Trace { id, is_sampled, passed_on: origin.passed_on.clone(), ..Trace::default() };
        let mut lines = Vec::new();
        named.inject(&trace, span, &mut lines);
        let Some(next) = self::head(&lines) else {
            panic!("no header lines: {}", lines.escape_ascii())
        };
        let mut next = named.extract(&next);
        // A trace that comes in one form goes on in all: what goes with one of them stays.
        assert_eq!(next.parent.take(), origin.parent);
        assert_eq!(next, Origin { parent: None, ..origin });
    }
    if let Some(context) = Context::of(&head) {
        let mut lines = Vec::new();
        b3::append(&context.trace, context.span, context.is_sampled, &mut lines);
        let next = self::head(&lines).expect("header lines of ours");
        assert_eq!(Context::of(&next), Some(context));
    }
}
