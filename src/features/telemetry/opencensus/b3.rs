//! The headers of B3 propagation, and which traces are sampled.

use crate::message::head::RequestHead;
use crate::stage::watch::SpanId;

/// What a request says of the trace that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    pub trace: [u8; 16],
    pub span: SpanId,
    pub is_sampled: bool,
}

impl Context {
    /// `None` where there is no trace, or half of one.
    pub fn of(head: &RequestHead) -> Option<Context> {
        let header = |name| head.header(name).unwrap_or_default();
        Some(Context {
            trace: number::<16>(header("x-b3-traceid"))?,
            span: u64::from_be_bytes(number::<8>(header("x-b3-spanid"))?),
            is_sampled: matches!(header("x-b3-sampled"), b"1" | b"true"),
        })
    }
}

/// Hexadecimal digits, an even number of them; zeros are put before what is shorter.
fn number<const LEN: usize>(digits: &[u8]) -> Option<[u8; LEN]> {
    if digits.is_empty() || !digits.len().is_multiple_of(2) || digits.len() > 2 * LEN {
        return None;
    }
    let mut number = [0; LEN];
    let start = LEN - digits.len() / 2;
    for (byte, pair) in number[start..].iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    digits.iter().all(u8::is_ascii_hexdigit).then_some(number)
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The lines that tell an upstream of its span.
pub fn append(trace: &[u8; 16], span: SpanId, is_sampled: bool, lines: &mut Vec<u8>) {
    let sampled = u8::from(is_sampled);
    let text = format!(
        "X-B3-TraceId: {}\r\nX-B3-SpanId: {span:016x}\r\nX-B3-Sampled: {sampled}\r\n",
        hex(trace)
    );
    lines.extend_from_slice(text.as_bytes());
}

/// Whether a trace is sampled, at so many percent. One in a hundred thousand traces more or less is all the same.
pub fn is_sampled(percent: i64, trace: &[u8; 16], parent: Option<Context>) -> bool {
    match percent {
        ..=0 => false,
        100.. => true,
        1..=99 if parent.is_some_and(|parent| parent.is_sampled) => true,
        percent => {
            let head = trace.iter().take(8).fold(0_u64, |head, byte| head << 8 | u64::from(*byte));
            // Of 2^63, as the original compares.
            let bound = (1_u64 << 63) / 100 * percent.unsigned_abs();
            head >> 1 < bound
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_be_short_and_must_be_hexadecimal() {
        assert_eq!(number::<8>(b"a2fb4a1d1a96d312"), Some(0xa2fb_4a1d_1a96_d312_u64.to_be_bytes()));
        assert_eq!(number::<8>(b"0102"), Some(0x0102_u64.to_be_bytes()));
        let mut long = [0; 16];
        long[8..].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(number::<16>(b"0102030405060708"), Some(long));
        for wrong in [&b""[..], b"1", b"zz", b"+1", b"010203040506070809"] {
            assert_eq!(number::<8>(wrong), None, "{}", String::from_utf8_lossy(wrong));
        }
    }

    #[test]
    fn an_upstream_is_told_in_three_lines() {
        let mut lines = Vec::new();
        append(&[0xAB; 16], 0x1F, true, &mut lines);
        append(&[0; 16], 1, false, &mut lines);
        let lines = String::from_utf8(lines).expect("text");
        assert!(lines.starts_with(&format!("X-B3-TraceId: {}\r\n", "ab".repeat(16))));
        assert!(lines.contains("X-B3-SpanId: 000000000000001f\r\nX-B3-Sampled: 1\r\n"));
        assert!(lines.ends_with("X-B3-Sampled: 0\r\n"));
    }

    #[test]
    fn some_percent_of_traces_are_sampled() {
        let trace = |number: u64| {
            let mut trace = [0; 16];
            trace[..8].copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
            trace
        };
        let sampled = (0..10_000).filter(|number| is_sampled(25, &trace(*number), None)).count();
        assert!((2300..2700).contains(&sampled), "{sampled}");
        assert!(!is_sampled(0, &trace(0), None) && is_sampled(100, &trace(u64::MAX), None));
        let parent = Context { trace: trace(7), span: 1, is_sampled: true };
        assert!(is_sampled(1, &[0xFF; 16], Some(parent)), "the caller's wish");
        assert!(!is_sampled(0, &[0; 16], Some(parent)), "never is never");
    }
}
