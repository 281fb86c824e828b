//! One request in is one request out: no framing lets a second one through unseen.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Client, Gateway, Reply, Upstream, no_op};

/// The request that must never reach the upstream.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n";

fn gateway(upstream: &Upstream) -> Gateway {
    let url = upstream.url();
    Gateway::start(json!({"read_header_timeout": "1s", "endpoints": [
        no_op("POST", "/open/{case}", &url), no_op("GET", "/open", &url)
    ]}))
}

/// Requests that two readers could understand in two ways, each followed by a hidden one inside what one of them
/// takes for the body.
fn ambiguous() -> Vec<(&'static str, String)> {
    let post = "POST /open HTTP/1.1\r\nHost: h\r\n";
    let length = HIDDEN.len();
    let chunk = format!("{length:x}\r\n{HIDDEN}\r\n0\r\n\r\n");
    let whole = format!("0\r\n\r\n{HIDDEN}");
    vec![
        (
            "a length and chunks",
            format!(
                "{post}Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}",
                chunk.len()
            ),
        ),
        (
            "chunks and a length",
            format!("{post}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n{chunk}"),
        ),
        (
            "two lengths",
            format!("{post}Content-Length: {length}\r\nContent-Length: 0\r\n\r\n{HIDDEN}"),
        ),
        ("a list of lengths", format!("{post}Content-Length: {length}, 0\r\n\r\n{HIDDEN}")),
        ("a signed length", format!("{post}Content-Length: +{length}\r\n\r\n{HIDDEN}")),
        ("a blank before the colon", format!("{post}Content-Length : {length}\r\n\r\n{HIDDEN}")),
        (
            "an odd coding",
            format!(
                "{post}Transfer-Encoding: xchunked\r\nContent-Length: {length}\r\n\r\n{HIDDEN}"
            ),
        ),
        ("chunked not last", format!("{post}Transfer-Encoding: chunked, identity\r\n\r\n{whole}")),
        (
            "chunked twice",
            format!(
                "{post}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"
            ),
        ),
        (
            "a tab in the coding",
            format!(
                "{post}Transfer-Encoding:\tchunked\x0b\r\nContent-Length: {length}\r\n\r\n{HIDDEN}"
            ),
        ),
        (
            "a folded coding",
            format!(
                "{post}Transfer-Encoding:\r\n chunked\r\nContent-Length: {length}\r\n\r\n{HIDDEN}"
            ),
        ),
        ("a zero byte in a name", format!("{post}Content-Length\0: {length}\r\n\r\n{HIDDEN}")),
        ("a bare return", format!("{post}X: a\rContent-Length: {length}\r\n\r\n{HIDDEN}")),
        ("a chunk size with a sign", format!("{post}Transfer-Encoding: chunked\r\n\r\n+{chunk}")),
        ("a chunk size in 0x", format!("{post}Transfer-Encoding: chunked\r\n\r\n0x{chunk}")),
        (
            "a chunk size that wraps",
            format!("{post}Transfer-Encoding: chunked\r\n\r\n100000000{chunk}"),
        ),
        (
            "HTTP/1.0 and chunks",
            format!(
                "POST /open HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: {}\r\n\r\n{chunk}",
                chunk.len()
            ),
        ),
    ]
}

#[test]
fn an_ambiguous_request_carries_nothing_past_the_gateway() {
    let upstream = Upstream::start();
    upstream.on("*", Reply::text("fine"));
    let gateway = gateway(&upstream);
    for (number, (label, bytes)) in ambiguous().into_iter().enumerate() {
        let path = format!("/open/{number}");
        let bytes = bytes.replacen("/open", &path, 1);
        let mut client = Client::connect(gateway.address());
        client.set_patience(Duration::from_secs(5));
        client.write(bytes.as_bytes()).unwrap();
        client.finish_writing();
        let mut statuses = Vec::new();
        while let Ok(response) = client.read("POST") {
            statuses.push(response.status());
            if response.head.closes() {
                break;
            }
        }
        assert_eq!(upstream.begun_at("/hidden"), 0, "{label}: {statuses:?}");
        assert_eq!(upstream.garbled(), 0, "{label}: the upstream could not read what came");
        assert!(upstream.begun_at(&path) <= 1, "{label}: {statuses:?}");
        // Refused, or understood as one request. A second request may follow only by the gateway's own
        // reading of the client's bytes, and then its router, not the upstream, answers it.
        assert!(
            matches!(statuses.first(), Some(200 | 400 | 500 | 501) | None),
            "{label}: {statuses:?}"
        );
        assert!(statuses.iter().skip(1).all(|status| *status >= 400), "{label}: {statuses:?}");
    }
    assert_eq!(gateway.get("/open").text(), "fine", "afterwards");
}

#[test]
fn line_ends_in_a_target_or_value_do_not_become_requests() {
    let upstream = Upstream::start();
    upstream.on("*", Reply::text("fine"));
    let gateway = gateway(&upstream);
    for target in [
        "/open?a=%0d%0aGET%20/hidden%20HTTP/1.1%0d%0a",
        "/open?a=b%20HTTP/1.1%0d%0aX:%20y",
        "/open%0d%0aX:y",
    ] {
        let mut client = Client::connect(gateway.address());
        drop(client.get(target));
    }
    for seen in upstream.seen() {
        assert_eq!(seen.path(), "/open");
        assert_eq!(seen.header("x"), None);
        assert!(!seen.target.contains(char::is_whitespace), "{}", seen.target);
    }
    assert_eq!(upstream.garbled(), 0);
}
