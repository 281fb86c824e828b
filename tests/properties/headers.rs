use proptest::prelude::*;
use shoal::message::head::RequestHead;
use shoal::message::headers::is_token;
use shoal::message::hop_by_hop::{crosses_to_client, crosses_to_upstream};
use shoal::wire::HeaderBlock;
use shoal::wire::http1::encode::checked_header;
use shoal::wire::http1::parse::{self, HeadLimits, Progress};

const LIMITS: HeadLimits =
    HeadLimits { bytes_max: 64 * 1024, headers_max: 100, uri_bytes_max: 1024 };

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[A-Za-z0-9!#$%&'*+.^_`|~-]{1,14}",
        1 => prop::sample::select(vec!["Date", "content-type", "Content-Encoding", "DATE"])
            .prop_map(str::to_owned),
    ]
}

#[derive(Clone, Debug)]
enum Edit {
    Push(String, Vec<u8>),
    Append(Vec<(String, Vec<u8>)>),
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => "[!-~]([ -~\t]{0,20}[!-~])?".prop_map(String::into_bytes),
        1 => prop::collection::vec(prop::sample::select(b"ab\r\n\0:; \xff".to_vec()), 0..12),
    ]
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        3 => (name(), value()).prop_map(|(name, value)| Edit::Push(name, value)),
        1 => prop::collection::vec((name(), value()), 0..4).prop_map(Edit::Append),
    ]
}

/// As a reader on the other side sees a value.
fn seen(value: &[u8]) -> Vec<u8> {
    let clean: Vec<u8> = value.iter().copied().filter(|byte| !b"\r\n\0".contains(byte)).collect();
    clean.trim_ascii().to_vec()
}

proptest! {
    /// A block holds what was put into it, line by line, and its notes about three names are right.
    #[test]
    fn a_block_says_what_was_pushed(edits in prop::collection::vec(edit(), 0..12)) {
        let mut block = HeaderBlock::default();
        let mut model: Vec<(String, Vec<u8>)> = Vec::new();
        for edit in edits {
            match edit {
                Edit::Push(name, value) => {
                    block.push(name.as_bytes(), &value);
                    model.push((name, seen(&value)));
                }
                Edit::Append(lines) => {
                    let mut other = HeaderBlock::with_capacity(16);
                    for (name, value) in lines {
                        other.push(name.as_bytes(), &value);
                        model.push((name, seen(&value)));
                    }
                    block.append(&other);
                }
            }
        }
        let lines: Vec<_> =
            block.iter().map(|(name, value)| (String::from_utf8(name.to_vec()).unwrap(), value.to_vec())).collect();
        prop_assert_eq!(&lines, &model);
        let has = |wanted: &str| model.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
        prop_assert_eq!(block.has_date, has("date"));
        prop_assert_eq!(block.has_content_type, has("content-type"));
        prop_assert_eq!(block.has_content_encoding, has("content-encoding"));
        prop_assert_eq!(block.as_bytes().split(|byte| *byte == b'\n').count(), model.len() + 1);
    }

    /// Text of any origin becomes one line that our own parser reads back, or nothing at all.
    #[test]
    fn checked_lines_are_one_line_or_none(
        name in prop::collection::vec(any::<u8>(), 0..8),
        value in prop::collection::vec(any::<u8>(), 0..12),
    ) {
        let mut out = b"GET / HTTP/1.1\r\nHost: h\r\n".to_vec();
        let before = out.len();
        if !checked_header(&mut out, &name, &value) {
            prop_assert_eq!(out.len(), before);
            return Ok(());
        }
        out.extend_from_slice(b"\r\n");
        let end = out.len();
        let mut head = RequestHead::with_bytes(out);
        // Host twice, or a framing of its own, is refused for what it says, not for how it is written.
        if let Ok(progress) = parse::request(&mut head, &LIMITS) {
            prop_assert_eq!((progress, head.head_len), (Progress::Complete, end));
            prop_assert!(is_token(&name));
            prop_assert_eq!(head.headers().iter().count(), 2);
        }
    }

    /// What `Connection` names never crosses, whatever its case; framing never does.
    #[test]
    fn what_belongs_to_a_connection_stays(
        named in prop::collection::vec("[A-Za-z]-[a-z]{1,5}", 0..4),
        others in prop::collection::vec("[A-Za-z]-[a-z]{1,5}", 0..6),
    ) {
        let mut raw = "GET / HTTP/1.1\r\nHost: h\r\n".to_owned();
        if !named.is_empty() {
            raw.push_str(&format!("Connection: {}\r\n", named.join(" ,\t")));
        }
        for name in named.iter().chain(&others) {
            raw.push_str(&format!("{}: 1\r\n", name.to_uppercase()));
        }
        raw.push_str("Transfer-Encoding: chunked\r\n\r\n");
        let mut head = RequestHead::with_bytes(raw.into_bytes());
        prop_assert_eq!(parse::request(&mut head, &LIMITS), Ok(Progress::Complete));
        let headers = head.headers();
        for (name, _) in headers.iter() {
            let text = String::from_utf8(name.to_vec()).unwrap();
            let is_named = named.iter().any(|named| named.eq_ignore_ascii_case(&text));
            let is_ours = ["Host", "Connection", "Transfer-Encoding"].contains(&text.as_str());
            prop_assert_eq!(crosses_to_upstream(headers, name), !is_named && !is_ours, "{}", text);
            if is_named || text == "Transfer-Encoding" {
                prop_assert!(!crosses_to_client(headers, name));
            }
        }
    }
}
