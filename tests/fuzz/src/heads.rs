//! Heads, chunks and framing: the outcome does not depend on how bytes are cut, nor on who parses them.

use shoal::message::head::{Framing, RequestHead, ResponseHead};
use shoal::message::headers::{is_token, trim_blanks};
use shoal::wire::http1::chunked::{Decoder, LAST_CHUNK, write_chunk_head};
use shoal::wire::http1::parse::{self, HeadLimits, Progress};

use crate::Input;

const LIMITS: HeadLimits =
    HeadLimits { bytes_max: 16 * 1024, headers_max: 100, uri_bytes_max: 8 * 1024 };
const HTTPARSE_HEADERS: usize = 128;

fn has_control(text: &[u8]) -> bool {
    text.iter().any(|&byte| (byte < b' ' && byte != b'\t') || byte == 0x7F)
}

fn check_fields<'h>(fields: impl Iterator<Item = (&'h [u8], &'h [u8])>) {
    for (name, value) in fields {
        assert!(is_token(name), "a name that is no token: {}", name.escape_ascii());
        assert!(!has_control(value), "a value with control bytes: {}", value.escape_ascii());
        assert_eq!(value, trim_blanks(value), "a value with blanks around it");
    }
}

/// A request's head, whole and in pieces.
pub fn request_head(input: &[u8]) {
    let mut input = Input(input);
    let step = usize::from(input.byte() % 16) + 1;
    // Broken off, it may be refused at once or when the line is whole; then it must be the same.
    let _ = parse::request(&mut RequestHead::with_bytes(input.0.to_vec()), &LIMITS);
    let raw = &[input.0, b"\r\n\r\n"].concat()[..];
    let mut whole = RequestHead::with_bytes(raw.to_vec());
    let expected = parse::request(&mut whole, &LIMITS);
    let mut pieces = RequestHead::default();
    let mut result = Ok(Progress::Partial);
    for piece in raw.chunks(step) {
        pieces.bytes.extend_from_slice(piece);
        result = parse::request(&mut pieces, &LIMITS);
        if result != Ok(Progress::Partial) {
            break;
        }
    }
    assert_eq!(result, expected);
    if expected != Ok(Progress::Complete) {
        return;
    }
    assert!(whole.head_len <= raw.len());
    assert_eq!((pieces.head_len, pieces.framing), (whole.head_len, whole.framing));
    assert_eq!((pieces.target(), pieces.host()), (whole.target(), whole.host()));
    assert!(pieces.headers().iter().eq(whole.headers().iter()));
    assert!(is_token(whole.method_name()));
    for text in [whole.target(), whole.path(), whole.query(), whole.host()] {
        assert!(!has_control(text) && !text.contains(&b' ') && !text.contains(&b'\t'));
    }
    check_fields(whole.headers().iter());
    assert_ne!(whole.framing, Framing::UntilClose, "a request ends by itself");
    // What follows on the connection is found where the head ends.
    let rest = raw[whole.head_len..].to_vec();
    whole.discard_head();
    assert_eq!(whole.bytes, rest);
}

/// An answer's head, whole and in pieces, to a HEAD request or another one.
pub fn response_head(input: &[u8]) {
    let mut input = Input(input);
    let first = input.byte();
    let (step, is_head_request) = (usize::from(first % 16) + 1, first & 0x80 != 0);
    let _ = parse::response(&mut ResponseHead::with_bytes(input.0.to_vec()), &LIMITS, false);
    let raw = &[input.0, b"\r\n\r\n"].concat()[..];
    let mut whole = ResponseHead::with_bytes(raw.to_vec());
    let expected = parse::response(&mut whole, &LIMITS, is_head_request);
    let mut pieces = ResponseHead::default();
    let mut result = Ok(Progress::Partial);
    for piece in raw.chunks(step) {
        pieces.bytes.extend_from_slice(piece);
        result = parse::response(&mut pieces, &LIMITS, is_head_request);
        if result != Ok(Progress::Partial) {
            break;
        }
    }
    assert_eq!(result, expected);
    if expected != Ok(Progress::Complete) {
        return;
    }
    assert_eq!((pieces.head_len, pieces.framing), (whole.head_len, whole.framing));
    assert_eq!(pieces.status, whole.status);
    assert!(pieces.headers().iter().eq(whole.headers().iter()));
    assert!((100..=999).contains(&whole.status));
    assert!(!has_control(whole.reason()));
    check_fields(whole.headers().iter());
    if is_head_request || matches!(whole.status, 100..=199 | 204 | 304) {
        assert_eq!(whole.framing, Framing::Empty, "an answer without a body");
    }
}

/// The data of a chunked body and where it ends; nothing for what is broken or not whole.
fn dechunked(body: &[u8], step: usize) -> Option<(Vec<u8>, usize)> {
    let mut decoder = Decoder::default();
    let (mut data, mut at) = (Vec::new(), 0);
    while !decoder.is_done() && at < body.len() {
        let piece = &body[at..(at + step).min(body.len())];
        let found = decoder.decode(piece).ok()?;
        data.extend_from_slice(&piece[found.data.clone()]);
        assert!(found.consumed > 0 && found.data.end <= found.consumed);
        at += found.consumed;
        assert_eq!(found.done, decoder.is_done());
    }
    decoder.is_done().then_some((data, at))
}

/// A chunked body in pieces of any size; and what we write is read back.
pub fn chunked(input: &[u8]) {
    let mut input = Input(input);
    let step = usize::from(input.byte() % 32) + 1;
    let body = input.0;
    let whole = dechunked(body, usize::MAX / 2);
    assert_eq!(dechunked(body, step), whole);
    if let Some((_, end)) = whole {
        assert!(body[..end].ends_with(b"\r\n"));
    }
    let mut written = Vec::new();
    for piece in body.chunks(step) {
        write_chunk_head(&mut written, piece.len());
        written.extend_from_slice(piece);
        written.extend_from_slice(b"\r\n");
    }
    written.extend_from_slice(LAST_CHUNK);
    let end = written.len();
    written.extend_from_slice(b"GET / ");
    assert_eq!(dechunked(&written, step), Some((body.to_vec(), end)));
}

/// The framing that another parser's headers say; nothing where RFC 9112 section 6.3 sees an error.
fn framing_of(headers: &[httparse::Header<'_>], is_11: bool) -> Option<Framing> {
    let named = |name| {
        let mut all: Vec<&[u8]> = Vec::new();
        for header in headers.iter().filter(|h| h.name.eq_ignore_ascii_case(name)) {
            all.push(trim_blanks(header.value));
        }
        all
    };
    let codings = named("transfer-encoding");
    let mut lengths = named("content-length");
    match codings[..] {
        [] => {}
        [coding] if is_11 && lengths.is_empty() && coding.eq_ignore_ascii_case(b"chunked") => {
            return Some(Framing::Chunked);
        }
        _ => return None,
    }
    lengths.dedup();
    match lengths[..] {
        [] => Some(Framing::Empty),
        [length] if !length.is_empty() && length.iter().all(u8::is_ascii_digit) => {
            match std::str::from_utf8(length).ok()?.parse().ok()? {
                0 => Some(Framing::Empty),
                length => Some(Framing::Length(length)),
            }
        }
        _ => None,
    }
}

/// Where the target stands: behind empty lines, the method and a blank.
fn target_of(head: &RequestHead, input: &[u8]) -> usize {
    let empty = input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let start = empty + head.method_name().len() + 1;
    assert!(input[start..].starts_with(head.target()));
    start
}

/// What we accept, a second parser reads in the same way.
pub fn framing(input: &[u8]) {
    let mut head = RequestHead::with_bytes(input.to_vec());
    if parse::request(&mut head, &LIMITS) == Ok(Progress::Complete) {
        let mut headers = [httparse::EMPTY_HEADER; HTTPARSE_HEADERS];
        let mut other = httparse::Request::new(&mut headers);
        // Targets may have bytes above ASCII here, which go on as escapes; elsewhere they may not.
        let mut masked = input.to_vec();
        let start = target_of(&head, input);
        masked[start..start + head.target().len()]
            .iter_mut()
            .filter(|byte| !byte.is_ascii())
            .for_each(|byte| *byte = b'x');
        // A higher minor version is 1.1 (RFC 9110 section 2.5).
        let minor = &mut masked[start + head.target().len() + " HTTP/1.".len()];
        *minor = (*minor).min(b'1');
        let end = other.parse(&masked).expect("what we accept is accepted elsewhere");
        assert_eq!(end, httparse::Status::Complete(head.head_len));
        assert_eq!(other.method.map(str::as_bytes), Some(head.method_name()));
        assert_eq!(other.path.map(str::len), Some(head.target().len()));
        let other_fields = other.headers.iter().map(|h| (h.name.as_bytes(), trim_blanks(h.value)));
        assert!(head.headers().iter().eq(other_fields));
        let is_11 = other.version == Some(1);
        assert_eq!(framing_of(other.headers, is_11), Some(head.framing));
    }
    let mut head = ResponseHead::with_bytes(input.to_vec());
    if parse::response(&mut head, &LIMITS, false) == Ok(Progress::Complete) {
        let mut headers = [httparse::EMPTY_HEADER; HTTPARSE_HEADERS];
        let mut other = httparse::Response::new(&mut headers);
        let mut lenient = httparse::ParserConfig::default();
        lenient
            .allow_spaces_after_header_name_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true);
        // An answer is read more leniently than httparse does it; where both read it, they read the same.
        if let Ok(httparse::Status::Complete(end)) = lenient.parse_response(&mut other, input) {
            assert_eq!((end, other.code), (head.head_len, Some(head.status)));
            assert_eq!(other.headers.len(), head.headers().len());
        }
    }
}
