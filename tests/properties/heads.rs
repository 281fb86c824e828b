use proptest::prelude::*;
use shoal::message::head::{Framing, RequestHead, ResponseHead};
use shoal::message::headers::trim_blanks;
use shoal::wire::http1::parse::{self, HeadLimits, ParseError, Progress};

use super::pieces;

const LIMITS: HeadLimits = HeadLimits { bytes_max: 2048, headers_max: 12, uri_bytes_max: 300 };

type Fields = Vec<(Vec<u8>, Vec<u8>)>;
type Outcome<H> = (Result<Progress, ParseError>, H);

/// Parses after each piece, until something is decided.
fn in_pieces<H: Default>(
    pieces: &[&[u8]],
    bytes: impl Fn(&mut H) -> &mut Vec<u8>,
    parse: impl Fn(&mut H) -> Result<Progress, ParseError>,
) -> Outcome<H> {
    let mut head = H::default();
    let mut result = Ok(Progress::Partial);
    for piece in pieces {
        bytes(&mut head).extend_from_slice(piece);
        result = parse(&mut head);
        if result != Ok(Progress::Partial) {
            break;
        }
    }
    (result, head)
}

fn request(pieces: &[&[u8]]) -> Outcome<RequestHead> {
    in_pieces(
        pieces,
        |head: &mut RequestHead| &mut head.bytes,
        |head| parse::request(head, &LIMITS),
    )
}

fn response(pieces: &[&[u8]], to_head: bool) -> Outcome<ResponseHead> {
    let parse = |head: &mut ResponseHead| parse::response(head, &LIMITS, to_head);
    in_pieces(pieces, |head: &mut ResponseHead| &mut head.bytes, parse)
}

fn fields(headers: shoal::message::headers::Headers<'_>) -> Fields {
    headers.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

/// Lines that matter to a parser, some of them wrong, and any other.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[A-Za-z0-9!#$%&'*+.^_`|~-]{1,12}:[ \t]{0,2}[ -~]{0,20}[ \t]{0,2}",
        1 => "(?i:content-length): ?[0-9]{1,5}(, ?[0-9]{1,5})?",
        1 => "(?i:transfer-encoding): ?(chunked|gzip|chunked, chunked|identity)",
        1 => "(?i:host): ?[a-z0-9.:\\[\\]@/]{0,12}",
        1 => "(?i:connection): ?(close|keep-alive|upgrade, x)",
        1 => "(?i:expect): ?(100-continue|200)",
        1 => "[ \t][ -~]{0,10}",
        1 => "[\x00-\x7f]{0,12}",
    ]
}

fn line_end() -> impl Strategy<Value = &'static str> {
    prop_oneof![20 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r"), 1 => Just("\r\r\n")]
}

fn first_line(clean: &'static str) -> impl Strategy<Value = String> {
    prop_oneof![8 => clean, 1 => "[ -~]{0,20}", 1 => "[\x00-\x7f]{0,20}"]
}

fn message(clean: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let lines = prop::collection::vec((line(), line_end()), 0..10);
    let after = prop::collection::vec(any::<u8>(), 0..20);
    (first_line(clean), line_end(), lines, after).prop_map(|(first, end, lines, after)| {
        let lines = lines.into_iter().flat_map(|(line, end)| [line, end.to_owned()]);
        let lines: String = lines.collect();
        [format!("{first}{end}{lines}\r\n").as_bytes(), &after].concat()
    })
}

const REQUEST: &str =
    "(GET|POST|HEAD|OPTIONS|X-Y) (/[a-z/%?&=;]{0,30}|http://[a-z.]{1,9}/x|\\*) HTTP/1\\.[01]";
const STATUS: &str = "HTTP/1\\.[01] ?(100|101|200|204|304|404|999|600) ?[ -~]{0,12}";

proptest! {
    #[test]
    fn requests_in_pieces_are_those_in_one(
        raw in message(REQUEST),
        cuts in prop::collection::vec(0..24_usize, 0..60),
    ) {
        let (expected, whole) = request(&[&raw]);
        let (result, head) = request(&pieces(&raw, &cuts));
        prop_assert_eq!(result, expected);
        if expected == Ok(Progress::Complete) {
            prop_assert_eq!(head.head_len, whole.head_len);
            prop_assert_eq!((head.framing, head.keep_alive), (whole.framing, whole.keep_alive));
            prop_assert_eq!(head.expect_continue, whole.expect_continue);
            prop_assert_eq!((head.method_name(), head.target()), (whole.method_name(), whole.target()));
            prop_assert_eq!((head.host(), head.path()), (whole.host(), whole.path()));
            prop_assert_eq!(head.query(), whole.query());
            prop_assert_eq!(fields(head.headers()), fields(whole.headers()));
            prop_assert_ne!(head.framing, Framing::UntilClose);
            prop_assert!(head.headers.len() <= LIMITS.headers_max);
            prop_assert!(head.head_len <= LIMITS.bytes_max);
        }
    }

    #[test]
    fn answers_in_pieces_are_those_in_one(
        raw in message(STATUS),
        to_head in any::<bool>(),
        cuts in prop::collection::vec(0..24_usize, 0..60),
    ) {
        let (expected, whole) = response(&[&raw], to_head);
        let (result, head) = response(&pieces(&raw, &cuts), to_head);
        prop_assert_eq!(result, expected);
        if expected == Ok(Progress::Complete) {
            prop_assert_eq!((head.head_len, head.status), (whole.head_len, whole.status));
            prop_assert_eq!((head.framing, head.keep_alive), (whole.framing, whole.keep_alive));
            prop_assert_eq!(head.content_length, whole.content_length);
            prop_assert_eq!(head.reason(), whole.reason());
            prop_assert_eq!(fields(head.headers()), fields(whole.headers()));
        }
    }

    /// A clean request says what was put into it, and ends where the next one begins.
    #[test]
    fn a_clean_request_is_read_as_it_was_written(
        method in "(GET|POST|PUT|[A-Z-]{1,10})",
        path in "/[a-zA-Z0-9/._~-]{0,40}",
        query in "[a-z0-9=&]{0,30}",
        lines in prop::collection::vec(("[Xx]-[A-Za-z0-9_]{1,12}", "[ -~]{0,30}"), 0..9),
        length in prop::option::of(0..100_000_u64),
        next in prop::collection::vec(any::<u8>(), 0..20),
        cuts in prop::collection::vec(0..40_usize, 0..20),
    ) {
        prop_assume!(method != "CONNECT");
        let mut raw = format!("{method} {path}?{query} HTTP/1.1\r\nHost: a.b\r\n");
        for (name, value) in &lines {
            raw.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(length) = length {
            raw.push_str(&format!("Content-Length: {length}\r\n"));
        }
        raw.push_str("\r\n");
        let input = [raw.as_bytes(), &next].concat();
        let (result, mut head) = request(&pieces(&input, &cuts));
        prop_assert_eq!(result, Ok(Progress::Complete));
        prop_assert_eq!(head.head_len, raw.len());
        prop_assert_eq!(head.method_name(), method.as_bytes());
        prop_assert_eq!((head.path(), head.query()), (path.as_bytes(), query.as_bytes()));
        let framing = match length {
            None | Some(0) => Framing::Empty,
            Some(length) => Framing::Length(length),
        };
        prop_assert_eq!(head.framing, framing);
        let found = fields(head.headers());
        for ((name, value), found) in lines.iter().zip(&found[1..]) {
            prop_assert_eq!(found, &(name.clone().into_bytes(), trim_blanks(value.as_bytes()).to_vec()));
        }
        head.discard_head();
        prop_assert!(next.starts_with(&head.bytes));
    }
}
