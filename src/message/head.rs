//! `RequestHead` and `ResponseHead`: the start line and the headers of a message, as spans into one owned buffer.
//!
//! The buffer is the one that the connection reads into, so nothing is copied: it holds the head, and behind it
//! whatever else has arrived. The parser fills the spans; heads from elsewhere are made with `append` and `push_header`.

use crate::message::headers::{HeaderSpan, HeaderSpans, Headers, Marks, Span};
use crate::message::method::Method;

/// Room that is kept for the next head: most are far smaller.
const KEPT_BYTES_MAX: usize = 16 * 1024;
const KEPT_HEADERS_MAX: usize = 128;

/// How far a message's body reaches (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    #[default]
    Empty,
    Length(u64),
    Chunked,
    /// To the end of the connection; only answers may.
    UntilClose,
}

/// The version that a message is treated as: a higher minor version is 1.1 (RFC 9110 section 2.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    Http10,
    #[default]
    Http11,
}

/// The form of a request's target (RFC 9112 section 3.2). The authority form, of CONNECT, is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetForm {
    /// `/path?query`
    #[default]
    Origin,
    /// `http://host/path?query`
    Absolute,
    /// `*`, only with OPTIONS
    Asterisk,
}

/// How far a head has been read, so that its parser goes on where it stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The start line is done.
    pub in_fields: bool,
    /// Empty lines skipped before the start line.
    pub empty_lines: u8,
    /// Where the line begins that is not whole yet; at first, where the message begins.
    pub line_at: usize,
    /// How much of the buffer has been looked at.
    pub seen: usize,
}

/// A request without its body.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    /// The connection's read buffer: the head, then perhaps body or further requests.
    pub bytes: Vec<u8>,
    pub method: Method,
    pub version: Version,
    pub form: TargetForm,
    /// The whole target as it was sent. May hold bytes beyond ASCII: encode them before they go anywhere.
    pub target: Span,
    /// The path within the target; use [`RequestHead::path`], which knows what an empty one means.
    pub path: Span,
    /// What follows the first `?` of the target.
    pub query: Span,
    /// Authority of an absolute target, else the value of Host; empty for HTTP/1.0 without one.
    pub host: Span,
    pub headers: HeaderSpans,
    /// Which of the headers that matter to the connection are there.
    pub marks: Marks,
    /// Where the head ends and the body begins.
    pub head_len: usize,
    pub framing: Framing,
    /// The client wants to send another request on this connection.
    pub keep_alive: bool,
    /// The client waits for `100 Continue` before it sends the body.
    pub expect_continue: bool,
    pub reading: Reading,
}

/// An answer without its body.
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    /// The connection's read buffer: the head, then perhaps (a part of) the body.
    pub bytes: Vec<u8>,
    pub version: Version,
    pub status: u16,
    pub reason: Span,
    pub headers: HeaderSpans,
    pub marks: Marks,
    pub head_len: usize,
    pub framing: Framing,
    /// What `Content-Length` says, also where no body follows it: in answers to HEAD and in 304.
    pub content_length: Option<u64>,
    /// The connection can carry another request once the body has been read.
    pub keep_alive: bool,
    pub reading: Reading,
}

// === impl RequestHead ===

impl RequestHead {
    /// A head to be parsed from what `bytes` holds or will hold.
    pub fn with_bytes(bytes: Vec<u8>) -> RequestHead {
        RequestHead { bytes, ..RequestHead::default() }
    }

    /// Empties everything; the memory stays.
    pub fn reset(&mut self) {
        self.bytes.clear();
        self.forget();
    }

    /// Drops the head's bytes and makes ready for the request that begins behind them.
    pub fn discard_head(&mut self) {
        discard(&mut self.bytes, self.head_len);
        self.forget();
    }

    /// Makes ready for the request that begins with `rest`.
    pub fn restart_with(&mut self, rest: Vec<u8>) {
        self.bytes = rest;
        self.forget();
    }

    fn forget(&mut self) {
        self.method = Method::Get;
        self.version = Version::Http11;
        self.form = TargetForm::Origin;
        self.target = Span::default();
        self.path = Span::default();
        self.query = Span::default();
        self.host = Span::default();
        self.headers.clear();
        if self.headers.capacity() > KEPT_HEADERS_MAX {
            self.headers = HeaderSpans::new();
        }
        self.marks = Marks::NONE;
        self.head_len = 0;
        self.framing = Framing::Empty;
        self.keep_alive = false;
        self.expect_continue = false;
        self.reading = Reading::default();
    }

    pub fn method_name(&self) -> &[u8] {
        self.method.name(&self.bytes)
    }

    pub fn target(&self) -> &[u8] {
        self.target.of(&self.bytes)
    }

    /// The path, still percent-encoded. An absolute target without one means `/`; `*` is its own path.
    pub fn path(&self) -> &[u8] {
        if self.path.is_empty() { b"/" } else { self.path.of(&self.bytes) }
    }

    pub fn query(&self) -> &[u8] {
        self.query.of(&self.bytes)
    }

    pub fn host(&self) -> &[u8] {
        self.host.of(&self.bytes)
    }

    /// The host as text; the parser lets only ASCII through.
    pub fn host_str(&self) -> &str {
        std::str::from_utf8(self.host()).unwrap_or_default()
    }

    pub fn is_head_method(&self) -> bool {
        self.method == Method::Head
    }

    pub fn is_http_10(&self) -> bool {
        self.version == Version::Http10
    }

    pub fn headers(&self) -> Headers<'_> {
        Headers::new(&self.bytes, &self.headers, self.marks)
    }

    /// The first header of that name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers().first(name)
    }

    /// All headers of that name, whatever its case.
    pub fn headers_named<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
        self.headers().named(name)
    }

    /// Adds bytes to the buffer and says where they are: for heads that do not come from a parser.
    pub fn append(&mut self, text: &[u8]) -> Span {
        append(&mut self.bytes, text)
    }

    /// Adds a header; its name must be a token.
    pub fn push_header(&mut self, name: &[u8], value: &[u8]) {
        let header = HeaderSpan { name: self.append(name), value: self.append(value) };
        self.headers.push(header);
        self.marks.add(Marks::of(name));
    }
}

// === impl ResponseHead ===

impl ResponseHead {
    /// A head to be parsed from what `bytes` holds or will hold.
    pub fn with_bytes(bytes: Vec<u8>) -> ResponseHead {
        ResponseHead { bytes, ..ResponseHead::default() }
    }

    /// Empties everything; the memory stays.
    pub fn reset(&mut self) {
        self.bytes.clear();
        self.forget();
    }

    /// A head to be parsed from what comes behind the bytes that are there: they are room, not part of it.
    // Each field by itself, so that the room for headers is not copied to where the head will stay.
    #[inline(always)]
    pub fn behind(room: usize) -> ResponseHead {
        ResponseHead {
            bytes: Vec::new(),
            version: Version::Http11,
            status: 0,
            reason: Span::default(),
            headers: HeaderSpans::new(),
            marks: Marks::NONE,
            head_len: 0,
            framing: Framing::Empty,
            content_length: None,
            keep_alive: false,
            reading: Reading { line_at: room, ..Reading::default() },
        }
    }

    /// Drops the head's bytes and makes ready for the answer that begins behind them: after an interim one.
    pub fn discard_head(&mut self) {
        discard(&mut self.bytes, self.head_len);
        self.forget();
    }

    fn forget(&mut self) {
        self.version = Version::Http11;
        self.status = 0;
        self.reason = Span::default();
        self.headers.clear();
        self.marks = Marks::NONE;
        self.head_len = 0;
        self.framing = Framing::Empty;
        self.content_length = None;
        self.keep_alive = false;
        self.reading = Reading::default();
    }

    pub fn reason(&self) -> &[u8] {
        self.reason.of(&self.bytes)
    }

    pub fn headers(&self) -> Headers<'_> {
        Headers::new(&self.bytes, &self.headers, self.marks)
    }

    /// The first header of that name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers().first(name)
    }

    /// All headers of that name, whatever its case.
    pub fn headers_named<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
        self.headers().named(name)
    }

    /// Adds a header; its name must be a token.
    pub fn push_header(&mut self, name: &[u8], value: &[u8]) {
        let header = HeaderSpan {
            name: append(&mut self.bytes, name),
            value: append(&mut self.bytes, value),
        };
        self.headers.push(header);
        self.marks.add(Marks::of(name));
    }
}

// === buffers ===

fn append(bytes: &mut Vec<u8>, text: &[u8]) -> Span {
    let start = bytes.len();
    bytes.extend_from_slice(text);
    Span::new(start, bytes.len())
}

/// Removes the first `count` bytes; without a move in the usual case that nothing follows them. The room of a large head is
/// given up: a connection may wait for long before it needs it again.
fn discard(bytes: &mut Vec<u8>, count: usize) {
    if count >= bytes.len() {
        bytes.clear();
    } else {
        bytes.drain(..count);
    }
    if bytes.capacity() > KEPT_BYTES_MAX {
        bytes.shrink_to(KEPT_BYTES_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_head_leaves_no_large_buffer_behind() {
        let mut head = RequestHead::with_bytes(vec![b'x'; 1 << 20]);
        for _ in 0..1000 {
            head.push_header(b"X-One", b"1");
        }
        head.head_len = head.bytes.len();
        head.discard_head();
        assert!(head.bytes.capacity() <= KEPT_BYTES_MAX);
        assert!(head.headers.capacity() <= KEPT_HEADERS_MAX);
        head.bytes = vec![b'x'; 100_000];
        head.head_len = 90_000;
        head.discard_head();
        assert_eq!(head.bytes.len(), 10_000, "what follows the head stays");
    }

    #[test]
    fn a_head_made_by_hand_is_read_like_a_parsed_one() {
        let mut head = RequestHead::default();
        head.method = Method::Post;
        head.target = head.append(b"/a?b=1");
        head.path = Span::new(0, 2);
        head.query = Span::new(3, 6);
        head.push_header(b"X-One", b"1");
        head.push_header(b"x-one", b"2");
        head.push_header(b"Connection", b"close");
        assert_eq!(
            (head.method_name(), head.path(), head.query()),
            (&b"POST"[..], &b"/a"[..], &b"b=1"[..])
        );
        assert_eq!(head.header("X-ONE"), Some(&b"1"[..]));
        assert_eq!(head.headers_named("x-One").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!(head.headers().iter().count(), 3);
        assert_eq!(head.header("x-two"), None);
        assert!(head.marks.has(Marks::CONNECTION));
    }

    #[test]
    fn discarding_a_head_keeps_what_follows_and_resetting_keeps_the_memory() {
        let mut head = RequestHead::with_bytes(b"GET / HTTP/1.1\r\n\r\nNEXT".to_vec());
        head.head_len = 18;
        head.keep_alive = true;
        head.discard_head();
        assert_eq!(head.bytes, b"NEXT");
        assert!(!head.keep_alive && head.head_len == 0);
        let capacity = head.bytes.capacity();
        head.reset();
        assert!(head.bytes.is_empty() && head.bytes.capacity() == capacity);
    }

    #[test]
    fn restarting_with_the_rest_forgets_all_spans() {
        let mut head = RequestHead::with_bytes(b"GET /".to_vec());
        head.target = Span::new(4, 5);
        head.restart_with(b"POST".to_vec());
        assert_eq!(head.bytes, b"POST");
        assert!(head.target().is_empty() && head.headers.is_empty());
    }

    #[test]
    fn an_answer_keeps_the_order_of_its_headers() {
        let mut head = ResponseHead::default();
        head.push_header(b"Set-Cookie", b"a=1");
        head.push_header(b"ETag", b"x");
        head.push_header(b"set-cookie", b"b=2");
        assert_eq!(head.headers_named("Set-Cookie").collect::<Vec<_>>(), [b"a=1", b"b=2"]);
        assert_eq!(
            head.headers().iter().map(|(name, _)| name.to_vec()).nth(1).as_deref(),
            Some(&b"ETag"[..])
        );
    }
}
