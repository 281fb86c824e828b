//! Carrying a trace from hop to hop: W3C Trace Context, W3C Baggage, and B3 in its two forms.

use std::fmt::Write;

use crate::message::head::RequestHead;
use crate::message::headers::trim_blanks;
use crate::stage::watch::{SpanId, Trace};

/// Longer `tracestate` and `baggage` values are not passed on (W3C: 512 and 8192 bytes).
const STATE_BYTES_MAX: usize = 512;
const BAGGAGE_BYTES_MAX: usize = 8192;

/// How traces travel: what `OTEL_PROPAGATORS` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Propagators {
    pub trace_context: bool,
    pub baggage: bool,
    pub b3: bool,
    pub b3_multi: bool,
}

/// Where a request comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Trace, span, and whether it is sampled.
    pub parent: Option<([u8; 16], SpanId, bool)>,
    pub passed_on: Vec<(&'static str, Box<[u8]>)>,
}

// === impl Propagators ===

impl Propagators {
    pub const DEFAULT: Propagators =
        Propagators { trace_context: true, baggage: true, b3: false, b3_multi: false };

    /// Reads a list of names.
    ///
    /// # Errors
    /// The name that is not known here.
    pub fn named(list: &str) -> Result<Propagators, String> {
        let mut named =
            Propagators { trace_context: false, baggage: false, b3: false, b3_multi: false };
        if list.trim().is_empty() {
            return Ok(Propagators::DEFAULT);
        }
        for name in list.split(',') {
            match name.trim() {
                "tracecontext" => named.trace_context = true,
                "baggage" => named.baggage = true,
                "b3" => named.b3 = true,
                "b3multi" => named.b3_multi = true,
                "none" => {}
                other => return Err(other.to_owned()),
            }
        }
        Ok(named)
    }

    /// What the caller says.
    pub fn extract(self, head: &RequestHead) -> Origin {
        let mut origin = Origin::default();
        if self.trace_context
            && let Some(parent) = head.header("traceparent").and_then(trace_parent)
        {
            origin.parent = Some(parent);
            if let Some(state) = joined(head, "tracestate", STATE_BYTES_MAX) {
                origin.passed_on.push(("tracestate", state));
            }
        }
        if self.baggage
            && let Some(baggage) = joined(head, "baggage", BAGGAGE_BYTES_MAX)
        {
            origin.passed_on.push(("baggage", baggage));
        }
        if origin.parent.is_none() && self.b3 {
            origin.parent = head.header("b3").and_then(b3_single);
        }
        if origin.parent.is_none() && (self.b3 || self.b3_multi) {
            origin.parent = b3_multi(head);
        }
        origin
    }

    /// Appends the header lines for an upstream.
    pub fn inject(self, trace: &Trace, span: SpanId, lines: &mut Vec<u8>) {
        let id = u128::from_be_bytes(trace.id);
        let sampled = u8::from(trace.is_sampled);
        let mut text = String::with_capacity(160);
        if self.trace_context {
            let _ = write!(text, "traceparent: 00-{id:032x}-{span:016x}-{sampled:02x}\r\n");
        }
        if self.b3 {
            let _ = write!(text, "b3: {id:032x}-{span:016x}-{sampled}\r\n");
        }
        if self.b3_multi {
            let _ = write!(
                text,
                "x-b3-traceid: {id:032x}\r\nx-b3-spanid: {span:016x}\r\nx-b3-sampled: {sampled}\r\n"
            );
        }
        lines.extend_from_slice(text.as_bytes());
        for (name, value) in &trace.passed_on {
            lines.extend_from_slice(name.as_bytes());
            lines.extend_from_slice(b": ");
            lines.extend_from_slice(value);
            lines.extend_from_slice(b"\r\n");
        }
    }
}

/// `00-<trace>-<span>-<flags>`; a later version may have more behind it.
fn trace_parent(value: &[u8]) -> Option<([u8; 16], SpanId, bool)> {
    let text = std::str::from_utf8(trim_blanks(value)).ok()?;
    let mut parts = text.split('-');
    let version = hex::<u8>(parts.next()?, 2)?;
    let (trace, span) = (parts.next()?, parts.next()?);
    let flags = hex::<u8>(parts.next()?, 2)?;
    if version == 0xff || (version == 0 && (parts.next().is_some() || flags > 3)) {
        return None;
    }
    ids(trace, span, flags & 1 == 1)
}

/// `<trace>-<span>-<sampled>-<parent>`; a single `0` says only that nothing is sampled, and begins no trace here.
fn b3_single(value: &[u8]) -> Option<([u8; 16], SpanId, bool)> {
    let text = std::str::from_utf8(trim_blanks(value)).ok()?;
    let mut parts = text.split('-');
    let (trace, span) = (parts.next()?, parts.next()?);
    let is_sampled = matches!(parts.next(), Some("1" | "d" | "true"));
    b3_ids(trace, span, is_sampled)
}

fn b3_multi(head: &RequestHead) -> Option<([u8; 16], SpanId, bool)> {
    let text = |name| std::str::from_utf8(trim_blanks(head.header(name)?)).ok();
    let is_sampled = matches!(text("x-b3-sampled"), Some("1" | "true"))
        || text("x-b3-flags").is_some_and(|flags| flags == "1");
    b3_ids(text("x-b3-traceid")?, text("x-b3-spanid")?, is_sampled)
}

/// B3 has short trace ids, too.
fn b3_ids(trace: &str, span: &str, is_sampled: bool) -> Option<([u8; 16], SpanId, bool)> {
    if trace.len() == 16 {
        return ids(&format!("{:0>32}", trace.to_ascii_lowercase()), span, is_sampled);
    }
    ids(&trace.to_ascii_lowercase(), &span.to_ascii_lowercase(), is_sampled)
}

fn ids(trace: &str, span: &str, is_sampled: bool) -> Option<([u8; 16], SpanId, bool)> {
    let id = hex::<u128>(trace, 32).filter(|id| *id != 0)?;
    let span = hex::<u64>(span, 16).filter(|id| *id != 0)?;
    Some((id.to_be_bytes(), span, is_sampled))
}

/// A number of exactly so many lower-case digits.
fn hex<T: TryFrom<u128>>(text: &str, digits: usize) -> Option<T> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != digits || !text.bytes().all(is_digit) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()?.try_into().ok()
}

/// The lines of a header as one list; `None` where there is nothing that may be passed on.
fn joined(head: &RequestHead, name: &str, bytes_max: usize) -> Option<Box<[u8]>> {
    let lines: Vec<&[u8]> = head.headers_named(name).map(trim_blanks).collect();
    let value = lines.join(&b","[..]);
    let is_fit = !value.is_empty()
        && value.len() <= bytes_max
        && value.contains(&b'=')
        && value.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    is_fit.then(|| value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn head(lines: &[(&str, &str)]) -> RequestHead {
        let mut head = RequestHead::default();
        for (name, value) in lines {
            head.push_header(name.as_bytes(), value.as_bytes());
        }
        head
    }

    #[test]
    fn a_parent_is_read_only_where_it_is_whole() {
        let (id, span, is_sampled) = trace_parent(PARENT).expect("a parent");
        assert_eq!(u128::from_be_bytes(id), 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!((span, is_sampled), (0xb7ad_6b71_6920_3331, true));
        for wrong in [
            "00-zzz-1-01",
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        ] {
            assert_eq!(trace_parent(wrong.as_bytes()), None, "{wrong}");
        }
        let later = b"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-more";
        assert!(trace_parent(later).is_some_and(|(_, _, is_sampled)| !is_sampled));
    }

    #[test]
    fn a_trace_goes_on_with_what_belongs_to_it() {
        let text = std::str::from_utf8(PARENT).expect("text");
        let head = head(&[("traceparent", text), ("tracestate", "v=1"), ("baggage", "k=v")]);
        let origin = Propagators::DEFAULT.extract(&head);
        let (id, parent, is_sampled) = origin.parent.expect("a parent");
        let trace = Trace {
            id,
            parent: Some(parent),
            is_sampled,
            passed_on: origin.passed_on,
            ..Trace::default()
        };
        let mut lines = Vec::new();
        Propagators::DEFAULT.inject(&trace, 5, &mut lines);
        assert_eq!(
            String::from_utf8(lines).expect("text"),
            "traceparent: 00-0af7651916cd43dd8448eb211c80319c-0000000000000005-01\r\n\
             tracestate: v=1\r\nbaggage: k=v\r\n"
        );
    }

    #[test]
    fn baggage_needs_no_trace_and_nothing_can_end_a_line() {
        let origin = Propagators::DEFAULT.extract(&head(&[("baggage", "k=v"), ("baggage", "l=w")]));
        assert_eq!(origin.parent, None);
        assert_eq!(origin.passed_on, [("baggage", b"k=v,l=w"[..].into())]);
        let long = "k=".repeat(5000);
        assert_eq!(Propagators::DEFAULT.extract(&head(&[("baggage", &long)])), Origin::default());
    }

    #[test]
    fn b3_is_read_and_written_in_both_forms() {
        let named = Propagators::named("b3, b3multi").expect("known");
        let one = named.extract(&head(&[("b3", "a3ce929d0e0e4736-00f067aa0ba902b7-1")]));
        assert_eq!(one.parent.map(|(_, _, is_sampled)| is_sampled), Some(true));
        let many = named.extract(&head(&[
            ("X-B3-TraceId", "80f198ee56343ba864fe8b2a57d3eff7"),
            ("X-B3-SpanId", "e457b5a2e4d86bd1"),
            ("X-B3-Sampled", "1"),
        ]));
        let (id, span, _) = many.parent.expect("a parent");
        let trace = Trace { id, is_sampled: true, ..Trace::default() };
        let mut lines = Vec::new();
        named.inject(&trace, span, &mut lines);
        let lines = String::from_utf8(lines).expect("text");
        assert!(lines.contains("b3: 80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1\r\n"));
        assert!(lines.contains("x-b3-spanid: e457b5a2e4d86bd1\r\n"), "{lines}");
        assert_eq!(Propagators::named("jaeger"), Err("jaeger".to_owned()));
        assert_eq!(Propagators::named(" "), Ok(Propagators::DEFAULT));
    }
}
