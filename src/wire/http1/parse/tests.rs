use super::*;
use crate::message::head::Framing::{self, Chunked, Empty, Length, UntilClose};

mod agreement;

const LIMITS: HeadLimits =
    HeadLimits { bytes_max: 100_000, headers_max: 500, uri_bytes_max: 50_000 };
const HOST: &str = "Host: a.test\r\n";

fn parsed(raw: &[u8]) -> Result<RequestHead, ParseError> {
    let mut head = RequestHead::with_bytes(raw.to_vec());
    match request(&mut head, &LIMITS)? {
        Progress::Complete => Ok(head),
        Progress::Partial => panic!("more was expected after {:?}", raw.escape_ascii().to_string()),
    }
}

fn parsed_answer(raw: &[u8], is_head_request: bool) -> Result<ResponseHead, ParseError> {
    let mut head = ResponseHead::with_bytes(raw.to_vec());
    match response(&mut head, &LIMITS, is_head_request)? {
        Progress::Complete => Ok(head),
        Progress::Partial => panic!("more was expected after {:?}", raw.escape_ascii().to_string()),
    }
}

/// The outcome for a whole request, which must be the same however the bytes arrive: the framing, or the status.
fn outcome(raw: &[u8]) -> Result<Framing, u16> {
    let whole = parsed(raw).map(|head| (head.head_len, head.framing));
    let mut head = RequestHead::default();
    let mut pieces = Ok(Progress::Partial);
    for &byte in raw {
        head.bytes.push(byte);
        pieces = request(&mut head, &LIMITS);
        if pieces != Ok(Progress::Partial) {
            break;
        }
    }
    let pieces = pieces.map(|_| (head.head_len, head.framing));
    assert_eq!(pieces, whole, "byte by byte: {}", raw.escape_ascii());
    whole.map(|(_, framing)| framing).map_err(ParseError::status)
}

/// A POST with these further header lines.
fn post(lines: &[u8]) -> Vec<u8> {
    [b"POST /test HTTP/1.1\r\n", HOST.as_bytes(), lines, b"\r\n"].concat()
}

/// A GET with this request line.
fn line(line: &[u8]) -> Vec<u8> {
    [line, b"\r\n", HOST.as_bytes(), b"\r\n"].concat()
}

// === request lines ===

#[test]
fn the_parts_of_an_ordinary_request_are_found() {
    let raw = b"PATCH /a/b?x=1&y=?2 HTTP/1.1\r\nhost:h:81\r\nX-A:  one two \t\r\nx-a: 2\r\nX-Empty:\r\n\r\nBODY";
    let head = parsed(raw).unwrap();
    assert_eq!(head.method, Method::Patch);
    assert_eq!(head.target(), b"/a/b?x=1&y=?2");
    assert_eq!((head.path(), head.query()), (&b"/a/b"[..], &b"x=1&y=?2"[..]));
    assert_eq!((head.host(), head.host_str()), (&b"h:81"[..], "h:81"));
    assert_eq!(head.header("X-a"), Some(&b"one two"[..]));
    assert_eq!(head.headers_named("x-A").collect::<Vec<_>>(), [&b"one two"[..], b"2"]);
    assert_eq!(head.header("x-empty"), Some(&b""[..]));
    assert_eq!(head.bytes.get(head.head_len..), Some(&b"BODY"[..]));
    assert!(head.keep_alive && !head.expect_continue);
}

#[test]
fn request_lines_with_other_than_three_parts_are_refused() {
    for raw in [
        &b"GET /test"[..],
        b"GET",
        b"GET HTTP/1.1",
        b" GET /test HTTP/1.1",
        b"\tGET /test HTTP/1.1",
        b"GET  /test HTTP/1.1",
        b"GET /test  HTTP/1.1",
        b"GET /test HTTP/1.1 ",
        b"GET /test x HTTP/1.1",
        b"GET\t/test\tHTTP/1.1",
        b"GET\x0b/test HTTP/1.1",
        b"GET /test\rHTTP/1.1",
        b"GET /test\nX HTTP/1.1",
        b" /test HTTP/1.1",
        b"\0GET /test HTTP/1.1",
        b"PROXY TCP4 6.6.6.6 7.7.7.7 1 2",
        b"SSH-2.0-OpenSSH_9.9",
    ] {
        assert_eq!(outcome(&line(raw)), Err(400), "{}", raw.escape_ascii());
    }
}

#[test]
fn methods_are_tokens_of_a_bounded_length() {
    for method in [&b"get"[..], b"FOO", b"TRACE", b"M-SEARCH", b"!#$%&'*+-.^_`|~09aZ"] {
        let raw = line(&[method, b" /test HTTP/1.1"].concat());
        assert_eq!(parsed(&raw).unwrap().method_name(), method);
        assert_eq!(outcome(&raw), Ok(Empty));
    }
    for method in [&b"G@T"[..], b"G\"T", b"G\xc3\x89T", b"G\0T", b"GET:", b"(GET)", &[b'G'; 33][..]]
    {
        assert_eq!(
            outcome(&line(&[method, b" /test HTTP/1.1"].concat())),
            Err(400),
            "{}",
            method.escape_ascii()
        );
    }
}

#[test]
fn versions_other_than_1_0_and_1_1_are_not_supported() {
    for (version, expected) in [
        ("HTTP/1.1", Ok(Empty)),
        ("HTTP/1.0", Ok(Empty)),
        ("HTTP/1.2", Ok(Empty)),
        ("HTTP/3.7", Err(505)),
        ("HTTP/2.0", Err(505)),
        ("HTTP/0.9", Err(505)),
        ("HTTP/1.10", Err(400)),
        ("HTTP/01.1", Err(400)),
        ("http/1.1", Err(400)),
        ("HTTP/1.1x", Err(400)),
        ("HTTP/1", Err(400)),
        ("HTTPS/1.1", Err(400)),
        ("ICE/1.0", Err(400)),
        ("HTTP /1.1", Err(400)),
        ("HTTP/1.1\0", Err(400)),
        ("HTTP/1,1", Err(400)),
    ] {
        assert_eq!(outcome(&line(format!("GET / {version}").as_bytes())), expected, "{version}");
    }
    assert!(parsed(b"GET / HTTP/1.0\r\n\r\n").unwrap().is_http_10());
    assert_eq!(parsed(&line(b"GET / HTTP/1.9")).unwrap().version, Version::Http11);
}

#[test]
fn targets_hold_no_blanks_controls_or_fragments() {
    for target in [
        &b"/test#x"[..],
        b"/test?a#x",
        b"/te\x01st",
        b"/test\0x",
        b"/test\x7f",
        b"/a b",
        b"/test%zz",
        b"/100%",
        b"/%4",
        b"test",
        b"",
        b"*",
        b"a.test:80",
        b"//",
        b"mailto:x",
        b"http:/a",
        b"http:a",
    ] {
        let expected = if target == b"//" { Ok(Empty) } else { Err(400) };
        let raw = line(&[b"GET ", target, b" HTTP/1.1"].concat());
        assert_eq!(outcome(&raw), expected, "{}", target.escape_ascii());
    }
    for target in [
        &b"/caf\xc3\xa9"[..],
        b"/?a=\"<b>\\^`{|}",
        b"/test?a=%zz",
        b"/p?a=%0d%0aX:y",
        b"/a;b?c;d",
        b"/%C3%a9",
        b"/?",
    ] {
        let raw = line(&[b"GET ", target, b" HTTP/1.1"].concat());
        assert_eq!(parsed(&raw).unwrap().target(), target);
        assert_eq!(outcome(&raw), Ok(Empty));
    }
}

#[test]
fn an_absolute_target_names_host_and_path() {
    for (target, host, path, query) in [
        ("http://b.test/a?x=1", "b.test", "/a", "x=1"),
        ("HTTPS://b.test:81/", "b.test:81", "/", ""),
        ("http://b.test", "b.test", "/", ""),
        ("http://b.test?x=/y", "b.test", "/", "x=/y"),
        ("http://[::1]:80/a", "[::1]:80", "/a", ""),
    ] {
        let head = parsed(&line(format!("GET {target} HTTP/1.1").as_bytes())).unwrap();
        assert_eq!(head.form, TargetForm::Absolute);
        assert_eq!(
            (head.host_str(), head.path(), head.query()),
            (host, path.as_bytes(), query.as_bytes()),
            "{target}"
        );
    }
    for target in [
        "ftp://a.test/",
        "http://",
        "http:///a",
        "http://u:p@a.test/",
        "http://a.test:8x/",
        "http://a b/",
        "http://?a",
    ] {
        assert_eq!(
            outcome(&line(format!("GET {target} HTTP/1.1").as_bytes())),
            Err(400),
            "{target}"
        );
    }
    assert_eq!(
        outcome(b"GET http://a.test/test HTTP/1.1\r\n\r\n"),
        Err(400),
        "it takes a Host header all the same"
    );
}

#[test]
fn an_asterisk_goes_with_options_and_an_authority_with_nothing() {
    let head = parsed(&line(b"OPTIONS * HTTP/1.1")).unwrap();
    assert_eq!((head.form, head.path()), (TargetForm::Asterisk, &b"*"[..]));
    for raw in [
        &b"OPTIONS *x HTTP/1.1"[..],
        b"OPTIONS *?a HTTP/1.1",
        b"POST * HTTP/1.1",
        b"CONNECT a.test:80 HTTP/1.1",
    ] {
        assert_eq!(outcome(&line(raw)), Err(400), "{}", raw.escape_ascii());
    }
}

#[test]
fn a_few_empty_lines_may_come_first() {
    assert_eq!(outcome(&[b"\r\n", &line(b"GET / HTTP/1.1")[..]].concat()), Ok(Empty));
    let head = parsed(&[b"\r\n\r\n", &line(b"GET /x HTTP/1.1")[..]].concat()).unwrap();
    assert_eq!(
        (head.path(), head.method_name(), head.head_len),
        (&b"/x"[..], &b"GET"[..], head.bytes.len())
    );
    assert_eq!(outcome(&[&b"\r\n".repeat(5)[..], &line(b"GET / HTTP/1.1")].concat()), Err(400));
    assert_eq!(outcome(&[b"\n", &line(b"GET / HTTP/1.1")[..]].concat()), Err(400));
    assert_eq!(outcome(&[b"\rX", &line(b"GET / HTTP/1.1")[..]].concat()), Err(400));
}

// === hosts ===

#[test]
fn there_is_exactly_one_host_but_in_http_10() {
    assert_eq!(outcome(b"GET / HTTP/1.1\r\n\r\n"), Err(400));
    assert_eq!(outcome(b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), Err(400));
    assert_eq!(outcome(b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nhOST: b\r\n\r\n"), Err(400));
    assert_eq!(outcome(b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"), Err(400));
    assert_eq!(outcome(b"GET / HTTP/1.0\r\n\r\n"), Ok(Empty));
    assert_eq!(parsed(b"GET / HTTP/1.0\r\n\r\n").unwrap().host_str(), "");
}

#[test]
fn a_host_is_a_name_or_an_address_and_a_port() {
    for host in [
        "",
        "a.test",
        "a.test:8080",
        "127.0.0.1",
        "[::1]:80",
        "[2001:db8::1]",
        "a_b-c.test",
        "a,b",
        "a:",
        "*.x",
        "xn--caf-dma",
    ] {
        let head = parsed(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).unwrap();
        assert_eq!(head.host_str(), host);
    }
    for host in [
        "a b",
        "a, b",
        "u@evil",
        "a/evil",
        "a:8x",
        "a?x",
        "a#x",
        "a:1:2",
        "[::1",
        "[]",
        "[::1]x",
        "[::g]",
        "::1",
        "caf\u{e9}",
        "a\\b",
        "\"a\"",
    ] {
        assert_eq!(
            outcome(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()),
            Err(400),
            "{host}"
        );
    }
}

// === header fields ===

#[test]
fn header_names_are_tokens_with_the_colon_right_behind() {
    for field in [
        &b"X-A : b"[..],
        b"X-A\t: b",
        b": b",
        b"XA b",
        b"X(A): b",
        b"X@A: b",
        b"X{A}: b",
        b"X[]: b",
        b"X\xc3\xa9: b",
        b"X\x01A: b",
        b"X\"A\": b",
        b"X\0A: b",
        b"Bad Name: x",
        b"GARBAGE",
        b"Transfer-Encoding : chunked",
        b"Host : b",
        b"Content-Length : 5",
        b"Transfer-Encoding\x0b: chunked",
        b"Transfer-Encoding= chunked",
        b"\rX-B: c",
    ] {
        assert_eq!(
            outcome(&post(&[field, b"\r\n"].concat())),
            Err(400),
            "{}",
            field.escape_ascii()
        );
    }
    for field in [
        &b"X: y"[..],
        b"X-A:",
        b"!#$%&'*+.^_`|~9: y",
        b"X-A:b",
        b"X-A: a\tb",
        b"X-A: caf\xe9",
        b"X_A: b",
        b"Proxy: x",
    ] {
        assert_eq!(
            outcome(&post(&[field, b"\r\n"].concat())),
            Ok(Empty),
            "{}",
            field.escape_ascii()
        );
    }
}

#[test]
fn header_values_hold_no_control_characters() {
    for value in [
        &b"a\x7fb"[..],
        b"a\x01b",
        b"a\x0bb",
        b"\x07",
        b"a\0b",
        b"\x1b[31m",
        b"a\rb",
        b"a\rX-Evil: 1",
        b"a\r",
        b"\x0c",
    ] {
        assert_eq!(
            outcome(&post(&[b"X-A: ", value, b"\r\n"].concat())),
            Err(400),
            "{}",
            value.escape_ascii()
        );
    }
}

#[test]
fn lines_end_with_cr_lf_and_are_not_folded() {
    for raw in [
        &b"GET / HTTP/1.1\nHost: h\n\n"[..],
        b"GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n\n",
        b"GET / HTTP/1.1\rHost: h\r\r",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: y\n\rX: z\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: y\r\n z\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: y\r\n\tz\r\n\r\n",
        b"GET / HTTP/1.1\r\n X: y\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost:\r\n h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n \r\n\r\n",
    ] {
        assert_eq!(outcome(raw), Err(400), "{}", raw.escape_ascii());
    }
}

// === framing within whole heads ===

#[test]
fn bodies_are_framed_by_one_length_or_by_chunks() {
    for (lines, expected) in [
        (&b"Content-Length: 5\r\n"[..], Ok(Length(5))),
        (b"Content-Length:\t5\t\r\n", Ok(Length(5))),
        (b"Content-Length: 5\r\nContent-Length: 5\r\n", Ok(Length(5))),
        (b"Transfer-Encoding:chunked\r\n", Ok(Chunked)),
        (b"TRANSFER-ENCODING: CHUNKED \t\r\n", Ok(Chunked)),
        (b"Transfer_Encoding: chunked\r\nContent_Length: 5\r\n", Ok(Empty)),
        (b"Transfer-Encoding: squeeze\r\n", Err(501)),
        (b"Transfer-Encoding: identity\r\n", Err(501)),
        (b"Transfer-Encoding: gzip, chunked\r\n", Err(501)),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Err(400)),
        (b"Content-Length: 5\r\nTransfer-Encoding: cow\r\n", Err(400)),
        (b"Content-Length: 5\r\nTransfer-Encoding:\r\n", Err(400)),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Err(501)),
        (b"Transfer-Encoding: chu\xe2\x84\xaaed\r\n", Err(501)),
        (b"Content-Length: 5\r\nContent-Length: 0\r\n", Err(400)),
        (b"Content-Length: 5\r\n 5\r\n", Err(400)),
        (b"Content-Length:\r\n", Err(400)),
        (b"Content-Length: -1\r\n", Err(400)),
        (b"Content-Length: 99999999999999999999\r\n", Err(400)),
    ] {
        assert_eq!(outcome(&post(lines)), expected, "{}", lines.escape_ascii());
    }
    assert_eq!(outcome(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), Err(400));
}

// === connection and expectation ===

#[test]
fn connections_are_kept_as_the_version_and_the_options_say() {
    for (version, options, kept, names) in [
        ("1.1", "", true, false),
        ("1.1", "Connection: close\r\n", false, false),
        ("1.1", "Connection: keep-alive, CLOSE\r\n", false, false),
        ("1.1", "Connection: X-Hop\r\nConnection: close\r\n", false, true),
        ("1.1", "Connection: te\r\n", true, true),
        ("1.1", "Connection: , X-Hop ,close\r\n", false, true),
        ("1.1", "Connection: closed\r\n", true, true),
        ("1.0", "", false, false),
        ("1.0", "Connection: Keep-Alive\r\n", true, false),
        ("1.0", "Connection: keep-alive\r\nConnection: close\r\n", false, false),
    ] {
        let head =
            parsed(format!("GET / HTTP/{version}\r\n{HOST}{options}\r\n").as_bytes()).unwrap();
        assert_eq!(head.keep_alive, kept, "{version} {options}");
        assert_eq!(head.marks.has(Marks::CONNECTION_NAMES), names, "{version} {options}");
    }
}

#[test]
fn the_only_expectation_is_100_continue_and_it_needs_a_body() {
    let expects =
        |raw: &[u8]| parsed(raw).map(|head| head.expect_continue).map_err(ParseError::status);
    assert_eq!(expects(&post(b"Expect: 100-Continue\r\nContent-Length: 4\r\n")), Ok(true));
    assert_eq!(expects(&post(b"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n")), Ok(true));
    assert_eq!(expects(&post(b"Expect: 100-continue\r\n")), Ok(false));
    assert_eq!(
        expects(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"),
        Ok(false)
    );
    for value in ["miracles", "200-ok", "y 100-continue", "100-continue, x", "100-continue;q=1"] {
        assert_eq!(
            expects(&post(format!("Expect: {value}\r\nContent-Length: 1\r\n").as_bytes())),
            Err(417),
            "{value}"
        );
    }
    assert_eq!(
        expects(&post(b"Expect: 100-continue\r\nExpect: x\r\nContent-Length: 1\r\n")),
        Err(417)
    );
}

// === limits and pieces ===

#[test]
fn a_head_may_be_as_large_as_the_limit_and_not_larger() {
    let raw = post(b"X-A: 123456789\r\n");
    for (bytes_max, expected) in [
        (raw.len(), Ok(Progress::Complete)),
        (raw.len() - 1, Err(ParseError::HeadTooLarge)),
        (20, Err(ParseError::HeadTooLarge)),
        (0, Err(ParseError::HeadTooLarge)),
    ] {
        let limits = HeadLimits { bytes_max, ..LIMITS };
        let mut head = RequestHead::with_bytes([&raw[..], b"body"].concat());
        assert_eq!(request(&mut head, &limits), expected, "{bytes_max}");
    }
    assert_eq!(ParseError::HeadTooLarge.status(), 431);
}

#[test]
fn a_long_target_and_many_headers_have_limits_of_their_own() {
    let limits = HeadLimits { uri_bytes_max: 10, headers_max: 2, ..LIMITS };
    let result = |raw: &[u8]| request(&mut RequestHead::with_bytes(raw.to_vec()), &limits);
    assert_eq!(
        result(b"GET /123456789 HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n"),
        Ok(Progress::Complete)
    );
    assert_eq!(
        result(b"GET /123456789a HTTP/1.1\r\nHost: h\r\n\r\n"),
        Err(ParseError::TargetTooLong)
    );
    assert_eq!(
        result(b"GET /123456789a"),
        Err(ParseError::TargetTooLong),
        "before the line is whole"
    );
    assert_eq!(
        result(b"GET / HTTP/1.1\r\nHost: h\r\nX: y\r\nX: y\r\n\r\n"),
        Err(ParseError::TooManyHeaders)
    );
    assert_eq!(
        (ParseError::TargetTooLong.status(), ParseError::TooManyHeaders.status()),
        (414, 431)
    );
}

#[test]
fn every_beginning_of_a_request_waits_for_more() {
    let raw = b"\r\nPOST http://b.test/a?b=c HTTP/1.1\r\nHost: a.test\r\nX-A: b \t\r\nContent-Length: 5\r\n\r\n";
    for count in 0..raw.len() {
        let mut head = RequestHead::with_bytes(raw.iter().copied().take(count).collect());
        assert_eq!(request(&mut head, &LIMITS), Ok(Progress::Partial), "{count}");
        head.bytes = raw.to_vec();
        assert_eq!(request(&mut head, &LIMITS), Ok(Progress::Complete), "{count}");
        assert_eq!((head.headers.len(), head.framing), (3, Length(5)));
    }
}

#[test]
fn nonsense_is_refused_before_its_line_ends() {
    for raw in [
        &b"\x16\x03\x01\x00\xc8\x01\x00"[..],
        b"\0\0\0\0",
        b"GET / HTTP/1.1\r\nHost: a\0",
        b"GET / HTTP/1.1\rHost",
        b"{\"a\":1}",
    ] {
        let mut head = RequestHead::default();
        let refused = raw.iter().any(|&byte| {
            head.bytes.push(byte);
            request(&mut head, &LIMITS).is_err()
        });
        assert!(refused, "{}", raw.escape_ascii());
    }
}

/// Quadratic work would take minutes here.
#[test]
fn a_head_that_arrives_byte_by_byte_costs_no_more_than_linear_work() {
    let (long, lines) = if cfg!(miri) { (200, 20) } else { (300_000, 60_000) };
    let mut raw = b"GET / HTTP/1.1\r\nHost: h\r\nX-Long: ".to_vec();
    raw.resize(raw.len() + long, b'v');
    raw.extend_from_slice(b"\r\n");
    raw.extend_from_slice(&b"X: y\r\n".repeat(lines));
    raw.extend_from_slice(b"\r\n");
    let limits = HeadLimits { bytes_max: 1 << 20, headers_max: lines + 2, uri_bytes_max: 100 };
    let mut head = RequestHead::default();
    for (count, &byte) in raw.iter().enumerate() {
        head.bytes.push(byte);
        let expected = if count + 1 == raw.len() { Progress::Complete } else { Progress::Partial };
        assert_eq!(request(&mut head, &limits), Ok(expected));
    }
}

#[test]
fn requests_in_a_row_are_read_one_by_one_from_the_same_buffer() {
    let mut head = RequestHead::with_bytes(
        [line(b"GET /1 HTTP/1.1"), line(b"GET /2 HTTP/1.1"), b"GET /3".to_vec()].concat(),
    );
    for path in [b"/1", b"/2"] {
        assert_eq!(request(&mut head, &LIMITS), Ok(Progress::Complete));
        assert_eq!(head.path(), path);
        head.discard_head();
    }
    assert_eq!(request(&mut head, &LIMITS), Ok(Progress::Partial));
    assert_eq!(head.bytes, b"GET /3");
}

// === answers ===

fn answer_outcome(raw: &[u8]) -> Result<(u16, Framing, bool), ParseError> {
    let whole = parsed_answer(raw, false);
    let mut head = ResponseHead::default();
    let mut pieces = Ok(Progress::Partial);
    for &byte in raw {
        head.bytes.push(byte);
        pieces = response(&mut head, &LIMITS, false);
        if pieces != Ok(Progress::Partial) {
            break;
        }
    }
    let whole = whole.map(|head| (head.status, head.framing, head.keep_alive));
    assert_eq!(
        pieces.map(|_| (head.status, head.framing, head.keep_alive)),
        whole,
        "{}",
        raw.escape_ascii()
    );
    whole
}

#[test]
fn answers_have_a_version_a_status_and_perhaps_a_reason() {
    for (start, status, reason) in [
        ("HTTP/1.1 200 OK", 200, "OK"),
        ("HTTP/1.1 200", 200, ""),
        ("HTTP/1.1 200 ", 200, ""),
        ("HTTP/1.0 404 Not  Found", 404, "Not  Found"),
        ("HTTP/1.1 999 X", 999, "X"),
        ("HTTP/1.7 100 Continue", 100, "Continue"),
    ] {
        let raw = format!("{start}\r\nContent-Length: 0\r\n\r\n");
        let head = parsed_answer(raw.as_bytes(), false).unwrap();
        assert_eq!((head.status, head.reason()), (status, reason.as_bytes()), "{start}");
        answer_outcome(raw.as_bytes()).unwrap();
    }
    for start in [
        "HTTP/1.1 99 X",
        "HTTP/1.1 1000 X",
        "HTTP/1.1 abc X",
        "HTTP/1.1 2x0 OK",
        "HTTP/1.1 -200 OK",
        "HTTP/1.1 099 X",
        "HTTP/2.0 200 OK",
        "HTTP/1.1  200 OK",
        "HTTP/1.1\t200 OK",
        "ICY 200 OK",
        "hello world",
        "this is not http",
        "HTTP/1.1 200 a\0b",
        "HTTP/1.1 200 a\rb",
        "HTTP/1.1",
        "\r\nHTTP/1.1 200 OK",
        " HTTP/1.1 200 OK",
        "",
    ] {
        let raw = format!("{start}\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(answer_outcome(raw.as_bytes()), Err(ParseError::StatusLine), "{start}");
    }
}

#[test]
fn answers_are_framed_as_their_headers_say() {
    let answer = |lines: &str| answer_outcome(format!("HTTP/1.1 200 OK\r\n{lines}\r\n").as_bytes());
    assert_eq!(answer("Content-Length: 5\r\n"), Ok((200, Length(5), true)));
    assert_eq!(answer("Content-Length: 0\r\n"), Ok((200, Empty, true)));
    assert_eq!(answer("Transfer-Encoding: chunked\r\n"), Ok((200, Chunked, true)));
    assert_eq!(answer(""), Ok((200, UntilClose, false)));
    assert_eq!(answer("Content-Length: 5\r\nConnection: close\r\n"), Ok((200, Length(5), false)));
    assert_eq!(
        answer("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"),
        Ok((200, Chunked, false))
    );
    for lines in [
        "Content-Length: 5\r\nContent-Length: 3\r\n",
        "Content-Length: 5, 3\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: abc\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    ] {
        assert!(matches!(answer(lines), Err(ParseError::Framing(_))), "{lines}");
    }
    assert_eq!(answer_outcome(b"HTTP/1.0 200 OK\r\n\r\n"), Ok((200, UntilClose, false)));
    assert_eq!(
        answer_outcome(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n"),
        Ok((200, Length(2), true))
    );
    assert!(answer_outcome(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
    assert_eq!(
        answer_outcome(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
        Ok((103, Empty, true))
    );
    assert_eq!(answer_outcome(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), Ok((101, Empty, true)));
    let head = parsed_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", true).unwrap();
    assert_eq!((head.framing, head.content_length), (Empty, Some(7)));
}

#[test]
fn line_feeds_folds_and_blanks_before_colons_are_repaired_in_answers() {
    let head = parsed_answer(b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", false).unwrap();
    assert_eq!((head.framing, head.bytes.get(head.head_len..)), (Length(5), Some(&b"hello"[..])));
    let raw =
        b"HTTP/1.1 200 OK\r\nX-A: b\r\n  c\r\n\td \r\nX-B:\r\n e\r\n \r\nX-C : f\r\nContent-Length\t:\t5\r\n\r\nhello";
    let head = parsed_answer(raw, false).unwrap();
    assert_eq!(head.header("x-a"), Some(&b"b c d"[..]));
    assert_eq!(head.header("x-b"), Some(&b"e"[..]));
    assert_eq!(head.header("x-c"), Some(&b"f"[..]));
    assert_eq!((head.framing, head.headers.len()), (Length(5), 4));
    assert_eq!(answer_outcome(raw), Ok((200, Length(5), true)));
}

#[test]
fn answers_with_broken_headers_are_refused() {
    for field in [
        "X-A: b\0c",
        "X-A: b\rX-Evil: 1",
        "GARBAGE",
        "X-A: a\x01b",
        "X(A): b",
        "X A: b",
        ": b",
        "X-A\r: b",
    ] {
        let raw = format!("HTTP/1.1 200 OK\r\n{field}\r\nContent-Length: 5\r\n\r\nhello");
        assert!(answer_outcome(raw.as_bytes()).is_err(), "{}", field.escape_debug());
    }
    assert_eq!(
        answer_outcome(b"HTTP/1.1 200 OK\r\n X: folded into nothing\r\n\r\n"),
        Err(ParseError::FoldedHeader)
    );
    let mut head =
        ResponseHead::with_bytes(b"HTTP/1.1 200 OK\r\nX-A: aaaaaaaaaaaaaaaaaaaaaaa".to_vec());
    assert_eq!(
        response(&mut head, &HeadLimits { bytes_max: 40, ..LIMITS }, false),
        Err(ParseError::HeadTooLarge)
    );
}

#[test]
fn errors_read_as_short_sentences() {
    assert_eq!(ParseError::HostMissing.to_string(), "the host header is missing");
    assert_eq!(ParseError::from(FramingError::Coding).to_string(), FramingError::Coding.reason());
    for error in [
        ParseError::Method,
        ParseError::Target,
        ParseError::StatusLine,
        ParseError::HeaderName,
        ParseError::LineEnd,
    ] {
        assert_eq!(error.status(), 400);
        assert!(!error.reason().ends_with('.') && error.reason().starts_with(char::is_lowercase));
    }
}
