//! Reads the head of a request or an answer from the bytes that have arrived so far.
//!
//! Strict where a second parser could read something else (RFC 9112 sections 2.2, 3, 5 and 11.2): one blank between
//! the parts of the start line, no blank before a colon, no control characters, no folded lines. Answers may end
//! lines with a lone LF, fold them, and put blanks before colons: the original takes that from upstreams, and each
//! is repaired here, so that nobody else sees it. A parser goes on where it stopped: however finely its input is
//! cut, each byte is looked at three times at most.

mod scan;

use std::fmt;

use super::framing::{self, FramingError};
use crate::message::head::{Framing, Reading, RequestHead, ResponseHead, TargetForm, Version};
use crate::message::headers::{
    HeaderSpan, HeaderSpans, Headers, Marks, Span, elements, letters_digits_and,
};
use crate::message::method::Method;
use crate::message::path;

/// The longest method name; the longest registered one has 17 letters.
const METHOD_BYTES_MAX: usize = 32;
/// Empty lines that may precede a request: some clients send one behind a body (RFC 9112 section 2.2).
const EMPTY_LINES_MAX: u8 = 4;
/// No limit goes beyond this, so that positions in a head fit into 32 bits.
const HEAD_BYTES_CEILING: usize = 1 << 30;
/// `HTTP/1.1 200` and the shortest line end.
const STATUS_LINE_BYTES_MIN: usize = 13;

/// How large a head may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Start line and headers together, with the empty line.
    pub bytes_max: usize,
    pub headers_max: usize,
    pub uri_bytes_max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More bytes are needed.
    Partial,
    /// The head is whole; `head_len` says where it ends.
    Complete,
}

/// Why the bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    Method,
    Target,
    TargetTooLong,
    /// The request line has not exactly three parts, or its version is no version.
    RequestLine,
    /// A version that is well written, but is neither 1.0 nor 1.1.
    Version,
    StatusLine,
    HeaderName,
    HeaderValue,
    /// A header continued on the next line.
    FoldedHeader,
    /// A lone CR, or a lone LF.
    LineEnd,
    TooManyHeaders,
    HeadTooLarge,
    /// The announced body is longer than is allowed; not the parser's finding.
    BodyTooLarge,
    HostMissing,
    HostRepeated,
    Host,
    Expectation,
    Framing(FramingError),
}

/// Reads a request's head from `head.bytes`, going on where the last call stopped.
///
/// # Errors
/// [`ParseError`]; the connection is of no further use then.
pub fn request(head: &mut RequestHead, limits: &HeadLimits) -> Result<Progress, ParseError> {
    let cap = limits.bytes_max.min(HEAD_BYTES_CEILING);
    let end = head.bytes.len().min(cap);
    if read_request(head, end, limits)? {
        finish_request(head)?;
        debug_assert!(head.head_len <= end);
        return Ok(Progress::Complete);
    }
    wait_for_more(&mut head.reading, end, cap)
}

/// Reads an answer's head from `head.bytes`, going on where the last call stopped. Interim answers count as answers.
/// It begins at `head.reading.line_at`; `head_len` counts what lies before it.
///
/// # Errors
/// [`ParseError`]; the connection is of no further use then.
pub fn response(
    head: &mut ResponseHead,
    limits: &HeadLimits,
    is_head_request: bool,
) -> Result<Progress, ParseError> {
    let cap = limits.bytes_max.min(HEAD_BYTES_CEILING);
    let end = head.bytes.len().min(cap);
    if read_response(head, end, limits)? {
        finish_response(head, is_head_request)?;
        debug_assert!(head.head_len <= end);
        return Ok(Progress::Complete);
    }
    wait_for_more(&mut head.reading, end, cap)
}

fn wait_for_more(reading: &mut Reading, end: usize, cap: usize) -> Result<Progress, ParseError> {
    if end == cap {
        return Err(ParseError::HeadTooLarge);
    }
    reading.seen = end;
    Ok(Progress::Partial)
}

/// Whether a line that was begun earlier is still without its end. Only what is new is looked at; a control character
/// calls for another attempt as well, so that nonsense is refused at once.
fn must_wait(bytes: &[u8], reading: &Reading) -> bool {
    if reading.seen <= reading.line_at {
        return false;
    }
    // Again the last byte: if it was a CR, what follows it decides.
    let stop = scan::control(bytes, reading.seen - 1);
    stop == bytes.len() || (bytes.get(stop) == Some(&b'\r') && stop + 1 == bytes.len())
}

// === requests ===

fn read_request(
    head: &mut RequestHead,
    end: usize,
    limits: &HeadLimits,
) -> Result<bool, ParseError> {
    let bytes = head.bytes.get(..end).unwrap_or_default();
    if must_wait(bytes, &head.reading) {
        return Ok(false);
    }
    if !head.reading.in_fields {
        let Some(at) = skip_empty_lines(bytes, &mut head.reading)? else { return Ok(false) };
        let Some(line) = RequestLine::read(bytes, at, limits)? else { return Ok(false) };
        head.reading.line_at = line.next;
        head.reading.in_fields = true;
        line.store(head)?;
    }
    let Some(bytes) = head.bytes.get_mut(..end) else { return Ok(false) };
    let mut fields = Fields {
        bytes,
        headers: &mut head.headers,
        marks: &mut head.marks,
        headers_max: limits.headers_max,
    };
    let Some(head_len) = fields.read::<false>(&mut head.reading)? else { return Ok(false) };
    head.head_len = head_len;
    Ok(true)
}

/// Where the request line begins. Only whole empty lines are skipped.
fn skip_empty_lines(bytes: &[u8], reading: &mut Reading) -> Result<Option<usize>, ParseError> {
    loop {
        match bytes.get(reading.line_at) {
            None => return Ok(None),
            Some(b'\r' | b'\n') => {}
            Some(_) => return Ok(Some(reading.line_at)),
        }
        let Some(next) = line_end::<false>(bytes, reading.line_at)? else { return Ok(None) };
        reading.line_at = next;
        reading.empty_lines += 1;
        if reading.empty_lines > EMPTY_LINES_MAX {
            return Err(ParseError::RequestLine);
        }
    }
}

/// The parts of a request line, as positions.
struct RequestLine {
    method: Span,
    target: Span,
    /// Where the target's query begins, behind its first `?`.
    query: Option<usize>,
    version: Version,
    next: usize,
}

impl RequestLine {
    fn read(
        bytes: &[u8],
        at: usize,
        limits: &HeadLimits,
    ) -> Result<Option<RequestLine>, ParseError> {
        let method_end = scan::token_end(bytes, at);
        if method_end - at > METHOD_BYTES_MAX {
            return Err(ParseError::Method);
        }
        match bytes.get(method_end) {
            None => return Ok(None),
            Some(b' ') if method_end > at => {}
            Some(_) => return Err(ParseError::Method),
        }
        let target_at = method_end + 1;
        let (target_end, query) = target_end(bytes, target_at);
        if target_end - target_at > limits.uri_bytes_max {
            return Err(ParseError::TargetTooLong);
        }
        match bytes.get(target_end) {
            None => return Ok(None),
            Some(b' ') if target_end > target_at => {}
            Some(b'\r' | b'\n') => return Err(ParseError::RequestLine),
            Some(_) => return Err(ParseError::Target),
        }
        let Some((version, next)) = request_version(bytes, target_end + 1)? else {
            return Ok(None);
        };
        Ok(Some(RequestLine {
            method: Span::new(at, method_end),
            target: Span::new(target_at, target_end),
            query,
            version,
            next,
        }))
    }

    fn store(self, head: &mut RequestHead) -> Result<(), ParseError> {
        let RequestHead { bytes, .. } = &*head;
        let method = Method::of(self.method.of(bytes), self.method);
        let target = self.target.of(bytes);
        let path_end = self.query.map_or(self.target.end as usize, |query| query - 1);
        let (form, host, path_at) =
            target_form(target, method, self.target.start as usize, path_end)?;
        let path = Span::new(path_at, path_end);
        if scan::has_percent(path.of(bytes)) && path::check_escapes(path.of(bytes)).is_err() {
            return Err(ParseError::Target);
        }
        head.method = method;
        head.version = self.version;
        head.form = form;
        head.target = self.target;
        head.path = path;
        head.query = Span::new(self.query.unwrap_or(path_end), self.target.end as usize);
        head.host = host;
        Ok(())
    }
}

/// Where a target ends, and where its query begins. A `#` ends it, too: fragments are not sent (RFC 9112 section 3.2).
fn target_end(bytes: &[u8], at: usize) -> (usize, Option<usize>) {
    let mut query = None;
    let mut stop = scan::target_stop(bytes, at);
    while bytes.get(stop) == Some(&b'?') {
        query = query.or(Some(stop + 1));
        stop = scan::target_stop(bytes, stop + 1);
    }
    (stop, query)
}

/// The version at the end of a request line, and where the next line begins; nothing while the line is not whole.
fn request_version(bytes: &[u8], at: usize) -> Result<Option<(Version, usize)>, ParseError> {
    const USUAL: &[u8; 10] = b"HTTP/1.1\r\n";
    if bytes.get(at..at + USUAL.len()) == Some(USUAL) {
        return Ok(Some((Version::Http11, at + USUAL.len())));
    }
    let end = scan::control(bytes, at);
    let Some(next) = line_end::<false>(bytes, end)? else { return Ok(None) };
    let version = match bytes.get(at..end).unwrap_or_default() {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            if *major != b'1' {
                return Err(ParseError::Version);
            }
            Version::Http11
        }
        _ => return Err(ParseError::RequestLine),
    };
    Ok(Some((version, next)))
}

/// The form of a target, the authority within it, and where its path begins. `at` is where the target begins,
/// `path_end` where its path ends.
fn target_form(
    target: &[u8],
    method: Method,
    at: usize,
    path_end: usize,
) -> Result<(TargetForm, Span, usize), ParseError> {
    match target {
        [b'/', ..] => return Ok((TargetForm::Origin, Span::default(), at)),
        b"*" if method == Method::Options => {
            return Ok((TargetForm::Asterisk, Span::default(), at));
        }
        _ => {}
    }
    let scheme_bytes = match target {
        [scheme @ .., _] if starts_with_word(scheme, b"http://") => 7,
        [scheme @ .., _] if starts_with_word(scheme, b"https://") => 8,
        _ => return Err(ParseError::Target),
    };
    let before_query = target.get(scheme_bytes..path_end - at).unwrap_or_default();
    let authority_bytes = memchr::memchr(b'/', before_query).unwrap_or(before_query.len());
    let (authority, _) = before_query.split_at(authority_bytes);
    // RFC 9110 section 4.2: an http URI has a host, and user information in front of it is an error.
    if authority.is_empty() || !is_host(authority) {
        return Err(ParseError::Target);
    }
    let authority_at = at + scheme_bytes;
    let host = Span::new(authority_at, authority_at + authority_bytes);
    Ok((TargetForm::Absolute, host, authority_at + authority_bytes))
}

fn starts_with_word(text: &[u8], lower: &[u8]) -> bool {
    text.get(..lower.len()).is_some_and(|start| start.eq_ignore_ascii_case(lower))
}

fn finish_request(head: &mut RequestHead) -> Result<(), ParseError> {
    if head.marks.has(Marks::HOST) {
        read_host(head)?;
    } else if head.version == Version::Http11 {
        return Err(ParseError::HostMissing);
    }
    let headers = Headers::new(&head.bytes, &head.headers, head.marks);
    head.framing = framing::request(headers, head.version)?;
    let connection = ConnectionOptions::read(headers);
    let has_body = head.framing != Framing::Empty;
    head.expect_continue =
        expects_continue(headers)? && has_body && head.version == Version::Http11;
    head.keep_alive = connection.keeps_alive(head.version);
    connection.mark(&mut head.marks);
    Ok(())
}

/// Takes the Host header, unless an absolute target has named the host already (RFC 9112 section 3.2.2).
fn read_host(head: &mut RequestHead) -> Result<(), ParseError> {
    let is_host_header =
        |name: Span| name.len() == 4 && Marks::of(name.of(&head.bytes)) == Marks::HOST;
    let mut hosts = head.headers.iter().filter(|header| is_host_header(header.name));
    let Some(host) = hosts.next() else { return Err(ParseError::HostMissing) };
    if hosts.next().is_some() {
        return Err(ParseError::HostRepeated);
    }
    if !is_host(host.value.of(&head.bytes)) {
        return Err(ParseError::Host);
    }
    if head.form != TargetForm::Absolute {
        head.host = host.value;
    }
    Ok(())
}

/// Whether the text can be a host and a port (RFC 3986 section 3.2.2). It may be empty.
fn is_host(text: &[u8]) -> bool {
    let port_at = if let [b'[', address @ ..] = text {
        let end = address.iter().position(
            |byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' | b':' | b'.'),
        );
        match end {
            Some(end) if end > 0 && address.get(end) == Some(&b']') => end + 2,
            _ => return false,
        }
    } else {
        text.iter().position(|&byte| !HOST_BYTES[byte as usize]).unwrap_or(text.len())
    };
    match text.get(port_at..).unwrap_or_default() {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// What the name of a host consists of: unreserved characters, sub-delimiters, escapes.
static HOST_BYTES: [bool; 256] = letters_digits_and(b"-._~%!$&'()*+,;=");

/// `100-continue` is the only expectation there is (RFC 9110 section 10.1.1).
fn expects_continue(headers: Headers<'_>) -> Result<bool, ParseError> {
    if !headers.marks().has(Marks::EXPECT) {
        return Ok(false);
    }
    let mut expects = false;
    for value in headers.named("expect").filter(|value| !value.is_empty()) {
        if !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(ParseError::Expectation);
        }
        expects = true;
    }
    Ok(expects)
}

// === answers ===

fn read_response(
    head: &mut ResponseHead,
    end: usize,
    limits: &HeadLimits,
) -> Result<bool, ParseError> {
    let bytes = head.bytes.get(..end).unwrap_or_default();
    if must_wait(bytes, &head.reading) {
        return Ok(false);
    }
    if !head.reading.in_fields {
        let Some(line) = StatusLine::read(bytes, head.reading.line_at)? else { return Ok(false) };
        head.version = line.version;
        head.status = line.status;
        head.reason = line.reason;
        head.reading.line_at = line.next;
        head.reading.in_fields = true;
    }
    let Some(bytes) = head.bytes.get_mut(..end) else { return Ok(false) };
    let mut fields = Fields {
        bytes,
        headers: &mut head.headers,
        marks: &mut head.marks,
        headers_max: limits.headers_max,
    };
    let Some(head_len) = fields.read::<true>(&mut head.reading)? else { return Ok(false) };
    head.head_len = head_len;
    Ok(true)
}

struct StatusLine {
    version: Version,
    status: u16,
    reason: Span,
    next: usize,
}

impl StatusLine {
    /// The reason phrase and the blank in front of it may be missing, as some servers do it.
    fn read(bytes: &[u8], at: usize) -> Result<Option<StatusLine>, ParseError> {
        const PREFIX: &[u8] = b"HTTP/1.";
        let line = bytes.get(at..).unwrap_or_default();
        let known = line.len().min(PREFIX.len());
        if line.get(..known) != PREFIX.get(..known) {
            return Err(ParseError::StatusLine);
        }
        let Some(&[_, _, _, _, _, _, _, minor, blank, hundreds, tens, ones, after]) =
            line.first_chunk::<STATUS_LINE_BYTES_MIN>()
        else {
            return if line.contains(&b'\n') { Err(ParseError::StatusLine) } else { Ok(None) };
        };
        let digits = [hundreds, tens, ones];
        if !minor.is_ascii_digit()
            || blank != b' '
            || hundreds == b'0'
            || !digits.iter().all(u8::is_ascii_digit)
        {
            return Err(ParseError::StatusLine);
        }
        let reason_at =
            at + if after == b' ' { STATUS_LINE_BYTES_MIN } else { STATUS_LINE_BYTES_MIN - 1 };
        let reason_end = if after == b' ' { scan::control(bytes, reason_at) } else { reason_at };
        let Some(next) = line_end::<true>(bytes, reason_end).map_err(|_| ParseError::StatusLine)?
        else {
            return Ok(None);
        };
        Ok(Some(StatusLine {
            version: if minor == b'0' { Version::Http10 } else { Version::Http11 },
            status: digits.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0')),
            reason: Span::new(reason_at, reason_end),
            next,
        }))
    }
}

fn finish_response(head: &mut ResponseHead, is_head_request: bool) -> Result<(), ParseError> {
    let headers = Headers::new(&head.bytes, &head.headers, head.marks);
    let answer = framing::response(headers, head.version, head.status, is_head_request)?;
    let connection = ConnectionOptions::read(headers);
    head.framing = answer.framing;
    head.content_length = answer.content_length;
    head.keep_alive = connection.keeps_alive(head.version)
        && !answer.is_dubious
        && answer.framing != Framing::UntilClose;
    connection.mark(&mut head.marks);
    Ok(())
}

// === header fields ===

/// The header section that is being read. `TOLERANT` is for answers.
struct Fields<'h> {
    bytes: &'h mut [u8],
    headers: &'h mut HeaderSpans,
    marks: &'h mut Marks,
    headers_max: usize,
}

enum Line {
    Partial,
    /// A field; the next line begins there.
    Field(usize),
    /// The empty line; the head ends there.
    Empty(usize),
}

impl Fields<'_> {
    /// Reads as many lines as are whole; gives the end of the head once the empty line is there.
    fn read<const TOLERANT: bool>(
        &mut self,
        reading: &mut Reading,
    ) -> Result<Option<usize>, ParseError> {
        loop {
            match self.line::<TOLERANT>(reading.line_at)? {
                Line::Partial => return Ok(None),
                Line::Field(next) => reading.line_at = next,
                Line::Empty(end) => return Ok(Some(end)),
            }
        }
    }

    #[inline]
    fn line<const TOLERANT: bool>(&mut self, at: usize) -> Result<Line, ParseError> {
        let name_end = scan::token_end(self.bytes, at);
        match self.bytes.get(name_end) {
            None => Ok(Line::Partial),
            Some(b':') if name_end > at => {
                self.value::<TOLERANT>(Span::new(at, name_end), name_end + 1)
            }
            Some(b'\r' | b'\n') if name_end == at => {
                Ok(line_end::<TOLERANT>(self.bytes, at)?.map_or(Line::Partial, Line::Empty))
            }
            Some(b' ' | b'\t') if name_end == at => self.folded::<TOLERANT>(at),
            Some(b' ' | b'\t') if TOLERANT => self.blank_before_colon(at, name_end),
            Some(_) => Err(ParseError::HeaderName),
        }
    }

    /// The value behind the colon, up to the end of the line, without the blanks around it.
    #[inline]
    fn value<const TOLERANT: bool>(&mut self, name: Span, from: usize) -> Result<Line, ParseError> {
        let Some((value, next)) = value::<TOLERANT>(self.bytes, from)? else {
            return Ok(Line::Partial);
        };
        if self.headers.len() >= self.headers_max {
            return Err(ParseError::TooManyHeaders);
        }
        self.headers.push(HeaderSpan { name, value });
        self.marks.add(Marks::of(name.of(self.bytes)));
        Ok(Line::Field(next))
    }

    /// A proxy must remove blanks between an answer's field name and its colon (RFC 9112 section 5.1).
    #[cold]
    fn blank_before_colon(&mut self, at: usize, name_end: usize) -> Result<Line, ParseError> {
        let colon = skip_blanks(self.bytes, name_end);
        match self.bytes.get(colon) {
            None => Ok(Line::Partial),
            Some(b':') => self.value::<true>(Span::new(at, name_end), colon + 1),
            Some(_) => Err(ParseError::HeaderName),
        }
    }

    /// A line that begins with a blank goes on with the field before it, which is joined with one blank
    /// (RFC 9112 section 5.2). The bytes move up, over the line end between them.
    #[cold]
    fn folded<const TOLERANT: bool>(&mut self, at: usize) -> Result<Line, ParseError> {
        let Some(last) = self.headers.last_mut().filter(|_| TOLERANT) else {
            return Err(ParseError::FoldedHeader);
        };
        let Some((more, next)) = value::<TOLERANT>(self.bytes, at)? else {
            return Ok(Line::Partial);
        };
        let joint = last.value.end as usize;
        if last.value.is_empty() {
            last.value = more;
        } else if !more.is_empty()
            && let Some(blank) = self.bytes.get_mut(joint)
        {
            *blank = b' ';
            self.bytes.copy_within(more.start as usize..more.end as usize, joint + 1);
            last.value = Span::new(last.value.start as usize, joint + 1 + more.len());
        }
        Ok(Line::Field(next))
    }
}

/// A field's value from `from` to the end of its line, and where the next line begins.
#[inline]
fn value<const TOLERANT: bool>(
    bytes: &[u8],
    from: usize,
) -> Result<Option<(Span, usize)>, ParseError> {
    let start = skip_blanks(bytes, from);
    let stop = scan::control(bytes, start);
    let Some(next) = line_end::<TOLERANT>(bytes, stop)? else { return Ok(None) };
    let text = bytes.get(start..stop).unwrap_or_default();
    let blanks = text.iter().rev().take_while(|&&byte| is_blank(byte)).count();
    Ok(Some((Span::new(start, stop - blanks), next)))
}

/// Where the next line begins, if a line ends at `at`; nothing if that cannot be known yet.
#[inline]
fn line_end<const TOLERANT: bool>(bytes: &[u8], at: usize) -> Result<Option<usize>, ParseError> {
    match (bytes.get(at), bytes.get(at + 1)) {
        (Some(b'\r'), Some(b'\n')) => Ok(Some(at + 2)),
        (None, _) | (Some(b'\r'), None) => Ok(None),
        (Some(b'\n'), _) if TOLERANT => Ok(Some(at + 1)),
        (Some(b'\r' | b'\n'), _) => Err(ParseError::LineEnd),
        (Some(_), _) => Err(ParseError::HeaderValue),
    }
}

#[inline]
fn skip_blanks(bytes: &[u8], mut from: usize) -> usize {
    while let Some(b' ' | b'\t') = bytes.get(from) {
        from += 1;
    }
    from
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// What the `Connection` headers of a message ask for (RFC 9110 section 7.6.1).
#[derive(Clone, Copy, Default)]
struct ConnectionOptions {
    close: bool,
    keep_alive: bool,
    /// Anything else: names of fields, or `upgrade`.
    others: bool,
}

impl ConnectionOptions {
    fn read(headers: Headers<'_>) -> ConnectionOptions {
        let mut options = ConnectionOptions::default();
        if !headers.marks().has(Marks::CONNECTION) {
            return options;
        }
        for value in headers.named("connection") {
            // Mostly it is one word; lists take the longer way.
            if options.add(value) {
                continue;
            }
            for option in elements(value) {
                options.others |= !options.add(option) && !option.is_empty();
            }
        }
        options
    }

    /// False: the option is none that says whether the connection is kept.
    fn add(&mut self, option: &[u8]) -> bool {
        if option == b"keep-alive" || option.eq_ignore_ascii_case(b"keep-alive") {
            self.keep_alive = true;
        } else if option.eq_ignore_ascii_case(b"close") {
            self.close = true;
        } else {
            return false;
        }
        true
    }

    fn keeps_alive(self, version: Version) -> bool {
        !self.close && (self.keep_alive || version == Version::Http11)
    }

    fn mark(self, marks: &mut Marks) {
        if self.others {
            marks.add(Marks::CONNECTION_NAMES);
        }
    }
}

// === impl ParseError ===

impl ParseError {
    /// The status for a client that sent this.
    pub fn status(self) -> u16 {
        match self {
            ParseError::BodyTooLarge => 413,
            ParseError::TargetTooLong => 414,
            ParseError::Expectation => 417,
            ParseError::HeadTooLarge | ParseError::TooManyHeaders => 431,
            ParseError::Version => 505,
            ParseError::Framing(error) => error.status(),
            _ => 400,
        }
    }

    /// A short text for the log.
    pub fn reason(self) -> &'static str {
        match self {
            ParseError::Method => "the method is not a token",
            ParseError::Target => "the target is neither a path nor an http url",
            ParseError::TargetTooLong => "the target is too long",
            ParseError::RequestLine => "the request line is not method, target and version",
            ParseError::Version => "the version is not HTTP/1.0 or HTTP/1.1",
            ParseError::StatusLine => "the status line is not version, status and reason",
            ParseError::HeaderName => "a header name is not a token with a colon behind it",
            ParseError::HeaderValue => "a header value holds a control character",
            ParseError::FoldedHeader => "a header is continued on the next line",
            ParseError::LineEnd => "a line ends with a lone cr or lf",
            ParseError::TooManyHeaders => "too many headers",
            ParseError::HeadTooLarge => "the head is too large",
            ParseError::BodyTooLarge => "the body is too large",
            ParseError::HostMissing => "the host header is missing",
            ParseError::HostRepeated => "there are several host headers",
            ParseError::Host => "the host header is not a host and a port",
            ParseError::Expectation => "the expectation is not 100-continue",
            ParseError::Framing(error) => error.reason(),
        }
    }
}

impl From<FramingError> for ParseError {
    fn from(error: FramingError) -> ParseError {
        ParseError::Framing(error)
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.reason())
    }
}

impl std::error::Error for ParseError {}

#[cfg(test)]
mod tests;
