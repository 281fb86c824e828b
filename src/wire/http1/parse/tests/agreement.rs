//! Two parsers must see the same message: ours, and one that is written as simply as the grammar allows.

use super::*;
use crate::wire::http1::chunked::Decoder;

const ROUNDS: u32 = if cfg!(miri) { 60 } else { 60_000 };

const MESSAGES: [&str; 6] = [
    "GET /a?b=c HTTP/1.1\r\nHost: h\r\nX-A: b\r\n\r\n",
    "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\nX-A: b\r\n\r\n0\r\n\r\nGET /x ",
    "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n",
    "PUT /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: h\r\n\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST /p HTTP/1.0\r\nContent-Length: 4\r\nConnection: keep-alive\r\n\r\nabcd",
    "DELETE / HTTP/1.1\r\nHost: h\r\nConnection: close, X-A\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n1",
];

/// Pieces of text that have confused parsers.
const PIECES: [&[u8]; 40] = [
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b"\0",
    b"\x0b",
    b":",
    b",",
    b";",
    b"\x7f",
    b"\x80",
    b"\xa0",
    b"0",
    b"5",
    b"+",
    b"-",
    b"f",
    b"chunked",
    b"identity",
    b"Content-Length: 5\r\n",
    b"Content-Length: 6\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"transfer-encoding:chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Content-Length : 5\r\n",
    b"\r\n\r\n",
    b"\r\n ",
    b"Host: h\r\n",
    b"X: y\r\n",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"HTTP/1.1",
    b"GET / HTTP/1.1\r\n",
    b"Content_Length: 5\r\n",
    b"Content-Length: 0005\r\n",
    b"Content-Length: 5,5\r\n",
    b"ffffffffffffffff",
    b"\"",
    b"\r\n\n",
];

/// A small generator of numbers, so that a failure can be repeated.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit.max(1)
    }
}

fn mutated(numbers: &mut Numbers, messages: &[&str]) -> Vec<u8> {
    let mut raw = messages[numbers.below(messages.len())].as_bytes().to_vec();
    for _ in 0..numbers.below(4) {
        let at = numbers.below(raw.len() + 1);
        let until = (at + numbers.below(8)).min(raw.len());
        match numbers.below(4) {
            0 => drop(raw.drain(at..until)),
            1 => {
                let copy = raw[at..until].to_vec();
                raw.splice(at..at, copy);
            }
            2 => {
                let byte = u8::try_from(numbers.below(256)).unwrap();
                raw.splice(at..until.min(at + 1), [byte]);
            }
            _ => drop(raw.splice(at..at, PIECES[numbers.below(PIECES.len())].iter().copied())),
        }
    }
    raw
}

// === the simple parser ===

/// Whether the line is a start line, and then whether its version is 1.1.
type FirstLine = fn(&str) -> Option<bool>;

fn is_simple_token(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
}

/// Where the head ends, and the framing; nothing for what is not a clean message.
fn simple_head(raw: &[u8], start_line: (bool, FirstLine)) -> Option<(usize, Framing)> {
    // One character a byte, so that text can be cut anywhere.
    let text: String = raw.iter().map(|&byte| byte as char).collect();
    let (is_request, first_line) = start_line;
    let text_at_start = if is_request { text.trim_start_matches("\r\n") } else { &text };
    let start = text.len() - text_at_start.len();
    let (head, _) = text_at_start.split_once("\r\n\r\n")?;
    let (mut lengths, mut codings) = (Vec::new(), Vec::new());
    let mut lines = head.split("\r\n");
    let is_11 = first_line(lines.next()?)?;
    for line in lines {
        let (name, value) = line.split_once(':')?;
        let value = value.trim_matches([' ', '\t']);
        if !is_simple_token(name) || value.chars().any(|c| c.is_ascii_control() && c != '\t') {
            return None;
        }
        match name.to_ascii_lowercase().as_str() {
            "content-length" => lengths.push(value.to_string()),
            "transfer-encoding" => codings.push(value.to_ascii_lowercase()),
            _ => {}
        }
    }
    let head_len = start + head.chars().count() + 4;
    let number = |text: &String| {
        text.chars().all(|c| c.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten()
    };
    lengths.dedup();
    match (codings.as_slice(), lengths.as_slice()) {
        ([], []) => Some((head_len, if is_request { Empty } else { UntilClose })),
        ([coding], []) if coding == "chunked" && is_11 => Some((head_len, Chunked)),
        ([], [length]) => match number(length)? {
            0 => Some((head_len, Empty)),
            length => Some((head_len, Length(length))),
        },
        _ => None,
    }
}

fn simple_request_line(line: &str) -> Option<bool> {
    let parts: Vec<&str> = line.split(' ').collect();
    let [method, target, version] = parts[..] else { return None };
    if !is_simple_token(method)
        || target.is_empty()
        || target.chars().any(|c| c.is_ascii_control() || c == '#')
    {
        return None;
    }
    let minor = version.strip_prefix("HTTP/1.")?;
    (minor.len() == 1 && minor.chars().all(|c| c.is_ascii_digit())).then_some(minor != "0")
}

fn simple_status_line(line: &str) -> Option<bool> {
    let (version, rest) = line.split_once(' ')?;
    let (status, reason) = rest.split_once(' ')?;
    let status_is_whole = status.len() == 3
        && status.parse::<u16>().is_ok_and(|status| (200..=999).contains(&status));
    let is_clean = status_is_whole
        && !matches!(status, "204" | "304")
        && !reason.chars().any(|c| c.is_ascii_control() && c != '\t');
    let minor = version.strip_prefix("HTTP/1.")?;
    (is_clean && minor.len() == 1 && minor.chars().all(|c| c.is_ascii_digit()))
        .then_some(minor != "0")
}

/// Where a chunked body ends, counted from its begin.
fn simple_chunked_end(body: &[u8]) -> Option<usize> {
    let line_end =
        |from: usize| body[from..].windows(2).position(|pair| pair == b"\r\n").map(|at| from + at);
    let mut at = 0;
    loop {
        let end = line_end(at)?;
        let line = body[at..end].iter().map(|&byte| byte as char).collect::<String>();
        let size = line.split(';').next()?;
        if size.is_empty()
            || size.len() > 16
            || !size.chars().all(|c| c.is_ascii_hexdigit())
            || line.contains(['\n', '\r', '\0'])
        {
            return None;
        }
        let size = usize::from_str_radix(size, 16).ok()?;
        at = end + 2;
        if size == 0 {
            break;
        }
        let end = at.checked_add(size)?;
        if body.get(end..end.checked_add(2)?)? != b"\r\n" {
            return None;
        }
        at = end + 2;
    }
    loop {
        let end = line_end(at)?;
        if end == at {
            return Some(at + 2);
        }
        if !body[at..end].contains(&b':') || body[at..end].contains(&b'\n') {
            return None;
        }
        at = end + 2;
    }
}

// === ours ===

/// Where the message's body ends, if all of it is there.
fn message_end(head: &RequestHead) -> Option<usize> {
    let body = head.bytes.get(head.head_len..)?;
    let count = match head.framing {
        Empty => 0,
        Length(length) => usize::try_from(length).ok()?,
        UntilClose => body.len(),
        Chunked => {
            let (mut decoder, mut at) = (Decoder::default(), 0);
            while !decoder.is_done() && at < body.len() {
                at += decoder.decode(&body[at..]).ok()?.consumed;
            }
            return decoder.is_done().then_some(head.head_len + at);
        }
    };
    (count <= body.len()).then_some(head.head_len + count)
}

#[test]
fn what_we_accept_the_simple_parser_ends_at_the_same_byte() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut accepted = 0;
    for _ in 0..ROUNDS {
        let raw = mutated(&mut numbers, &MESSAGES);
        let mut head = RequestHead::with_bytes(raw.clone());
        let result = request(&mut head, &LIMITS);
        let simple = simple_head(&raw, (true, simple_request_line));
        if result == Ok(Progress::Complete) {
            accepted += 1;
            assert_eq!(simple, Some((head.head_len, head.framing)), "{}", raw.escape_ascii());
            if head.framing == Chunked
                && let Some(end) = message_end(&head)
            {
                let simple = simple_chunked_end(&raw[head.head_len..]);
                assert_eq!(
                    simple.map(|count| head.head_len + count),
                    Some(end),
                    "{}",
                    raw.escape_ascii()
                );
            }
        } else if let Err(error) = result
            && simple.is_some()
        {
            // The simple parser looks neither at hosts nor at targets, nor counts empty lines or digits.
            let is_beyond_it = matches!(
                error,
                ParseError::Host
                    | ParseError::HostMissing
                    | ParseError::HostRepeated
                    | ParseError::Target
                    | ParseError::Expectation
                    | ParseError::Method
                    | ParseError::RequestLine
                    | ParseError::Framing(FramingError::Length)
            );
            assert!(is_beyond_it, "{error:?}: {}", raw.escape_ascii());
        }
    }
    assert!(accepted > ROUNDS / 10, "{accepted}");
}

#[test]
fn clean_answers_are_read_as_the_simple_parser_reads_them() {
    const ANSWERS: [&str; 4] = [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello",
        "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nX-A: b\r\n\r\nuntil the end",
        "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    ];
    let mut numbers = Numbers(0x1234_5678_9abc_def1);
    let mut agreed = 0;
    for _ in 0..ROUNDS {
        let raw = mutated(&mut numbers, &ANSWERS);
        let Some(simple) = simple_head(&raw, (false, simple_status_line)) else { continue };
        let mut head = ResponseHead::with_bytes(raw.clone());
        let result = response(&mut head, &LIMITS, false);
        if matches!(result, Err(ParseError::Framing(FramingError::Length))) {
            continue;
        }
        assert_eq!(result, Ok(Progress::Complete), "{}", raw.escape_ascii());
        // A lone LF ends a line for us: a head may end sooner than one that knows only CR LF thinks.
        if !raw[..simple.0].windows(2).any(|pair| pair[1] == b'\n' && pair[0] != b'\r') {
            assert_eq!((head.head_len, head.framing), simple, "{}", raw.escape_ascii());
            agreed += 1;
        }
    }
    assert!(agreed > ROUNDS / 10, "{agreed}");
}

#[test]
fn the_outcome_does_not_depend_on_how_the_bytes_are_cut() {
    let mut numbers = Numbers(0xdead_beef_cafe_f00d);
    for _ in 0..ROUNDS {
        let mut raw = mutated(&mut numbers, &MESSAGES);
        raw.extend_from_slice(b"\r\n\r\n");
        let mut whole = RequestHead::with_bytes(raw.clone());
        let expected = request(&mut whole, &LIMITS);
        let mut pieces = RequestHead::default();
        let (mut result, mut at) = (Ok(Progress::Partial), 0);
        while result == Ok(Progress::Partial) && at < raw.len() {
            let until = (at + 1 + numbers.below(9)).min(raw.len());
            pieces.bytes.extend_from_slice(&raw[at..until]);
            at = until;
            result = request(&mut pieces, &LIMITS);
        }
        assert_eq!(result, expected, "{}", raw.escape_ascii());
        if result == Ok(Progress::Complete) {
            assert_eq!(
                (pieces.head_len, pieces.framing, &pieces.headers),
                (whole.head_len, whole.framing, &whole.headers)
            );
            assert_eq!(
                (pieces.target, pieces.host, pieces.marks),
                (whole.target, whole.host, whole.marks)
            );
        }
    }
}

#[test]
fn answers_do_not_depend_on_how_the_bytes_are_cut() {
    const ANSWERS: [&str; 2] = [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n c\r\n\r\nhello",
        "HTTP/1.1 200\nX-A : b\n\tc\nX-B:\n d\nTransfer-Encoding: chunked\n\n",
    ];
    let mut numbers = Numbers(0x0bad_cafe_0bad_cafe);
    for _ in 0..ROUNDS {
        let mut raw = mutated(&mut numbers, &ANSWERS);
        raw.extend_from_slice(b"\r\n\r\n");
        let mut whole = ResponseHead::with_bytes(raw.clone());
        let expected = response(&mut whole, &LIMITS, false);
        let mut pieces = ResponseHead::default();
        let (mut result, mut at) = (Ok(Progress::Partial), 0);
        while result == Ok(Progress::Partial) && at < raw.len() {
            let until = (at + 1 + numbers.below(9)).min(raw.len());
            pieces.bytes.extend_from_slice(&raw[at..until]);
            at = until;
            result = response(&mut pieces, &LIMITS, false);
        }
        assert_eq!(result, expected, "{}", raw.escape_ascii());
        if result == Ok(Progress::Complete) {
            let fields = |head: &ResponseHead| {
                head.headers().iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect::<Vec<_>>()
            };
            assert_eq!(
                (pieces.head_len, pieces.framing, fields(&pieces)),
                (whole.head_len, whole.framing, fields(&whole))
            );
        }
    }
}
