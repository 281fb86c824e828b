//! Bodies of every size and framing pass untouched.

use serde_json::json;

use crate::harness::client::Framing;
use crate::harness::pattern::Check;
use crate::harness::{Client, Gateway, Reply, Upstream, no_op};

/// Around the sizes of buffers, and far from them.
const SIZES: [u64; 10] = [0, 1, 1_000, 8_191, 65_535, 65_536, 65_537, 131_072, 1_048_577, 16 << 20];

fn gateway(upstream: &Upstream) -> Gateway {
    let mut get = no_op("GET", "/body", &upstream.url());
    let mut post = no_op("POST", "/body", &upstream.url());
    get["timeout"] = json!("60s"); // the deadline cuts a download
    post["timeout"] = json!("60s");
    Gateway::start(json!({"endpoints": [get, post]}))
}

/// Downloads on one connection each and compares every byte.
fn downloads_match(label: &str, sizes: &[u64], reply: impl Fn(u64) -> Reply) {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let mut client = Client::connect(gateway.address());
    for size in sizes {
        upstream.on("/body", reply(*size));
        client.send("GET", "/body", &[], None).unwrap();
        let mut check = Check::default();
        let head = client
            .read_into("GET", |part| check.update(part))
            .unwrap_or_else(|error| panic!("{label}, {size} bytes: {error} after {}", check.len));
        assert_eq!(head.status, 200, "{label}, {size} bytes");
        check.assert_complete(*size);
        assert!(client.surplus().is_empty(), "{label}, {size} bytes: more than the body came");
        if head.closes() {
            client = Client::connect(gateway.address());
        }
    }
}

#[test]
fn downloads_with_a_length_pass() {
    downloads_match("length", &SIZES, Reply::pattern);
}

#[test]
fn downloads_in_chunks_pass() {
    for chunk in [1_000, 65_536] {
        downloads_match("chunked", &SIZES, |size| Reply::pattern(size).chunked(chunk));
    }
    downloads_match("chunks of one byte", &[1, 1_000, 20_000], |size| {
        Reply::pattern(size).chunked(1)
    });
}

#[test]
fn downloads_that_end_with_the_connection_pass() {
    downloads_match("until close", &SIZES, |size| Reply::pattern(size).until_close());
}

#[test]
fn a_download_of_64_mib_passes() {
    downloads_match("length", &[64 << 20], Reply::pattern);
    downloads_match("chunked", &[64 << 20], |size| Reply::pattern(size).chunked(65_536));
}

#[test]
fn a_length_stays_a_length() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    upstream.on("/body", Reply::pattern(5_000));
    assert_eq!(gateway.get("/body").head.framing, Framing::Length(5_000));
}

/// Uploads `size` bytes, with a length or in chunks, and compares what the upstream saw.
fn upload_matches(client: &mut Client, upstream: &Upstream, size: u64, chunk: Option<usize>) {
    let label = format!("{size} bytes, chunks of {chunk:?}");
    let length = size.to_string();
    let framing = if chunk.is_some() {
        ("Transfer-Encoding", "chunked")
    } else {
        ("Content-Length", length.as_str())
    };
    client.send_head("POST", "/body", &[framing]).unwrap();
    super::uploads::write_pattern(client, 0, size, chunk)
        .unwrap_or_else(|error| panic!("{label}: {error}"));
    if chunk.is_some() {
        client.write(b"0\r\n\r\n").unwrap();
    }
    let response = client.read("POST").unwrap_or_else(|error| panic!("{label}: {error}"));
    assert_eq!((response.status(), response.text().as_str()), (200, "taken"), "{label}");
    let seen = upstream.seen().pop().unwrap();
    seen.check.assert_complete(size);
    assert_eq!(upstream.requests(), upstream.seen().len(), "{label}: a request came in two");
}

#[test]
fn uploads_with_a_length_pass() {
    let upstream = Upstream::start();
    upstream.on("POST /body", Reply::text("taken"));
    let gateway = gateway(&upstream);
    let mut client = Client::connect(gateway.address());
    for size in SIZES {
        upload_matches(&mut client, &upstream, size, None);
    }
}

#[test]
fn uploads_in_chunks_pass() {
    let upstream = Upstream::start();
    upstream.on("POST /body", Reply::text("taken"));
    let gateway = gateway(&upstream);
    let mut client = Client::connect(gateway.address());
    for size in SIZES {
        upload_matches(&mut client, &upstream, size, Some(10_007));
    }
    upload_matches(&mut client, &upstream, 2_000, Some(1));
}

#[test]
fn an_upload_of_64_mib_passes() {
    let upstream = Upstream::start();
    upstream.on("POST /body", Reply::text("taken"));
    let gateway = gateway(&upstream);
    let mut client = Client::connect(gateway.address());
    upload_matches(&mut client, &upstream, 64 << 20, None);
    upload_matches(&mut client, &upstream, 64 << 20, Some(65_536));
}

#[test]
fn statuses_headers_and_packed_bodies_pass() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    for status in [201, 204, 304, 400, 404, 503] {
        let body = if matches!(status, 204 | 304) { "" } else { "word" };
        upstream.on(
            "/body",
            Reply::text(body).status(status).header("X-Own", "1").header("X-Own", "2"),
        );
        let response = gateway.get("/body");
        assert_eq!((response.status(), response.text().as_str()), (status, body));
        let own: Vec<_> =
            response.head.headers.iter().filter(|(name, _)| name == "X-Own").collect();
        assert_eq!(own.len(), 2, "status {status}: {:?}", response.head.headers);
    }
    upstream.on("/body", Reply::bytes(b"\x1f\x8bpacked").header("Content-Encoding", "gzip"));
    let mut client = Client::connect(gateway.address());
    client.send("GET", "/body", &[("Accept-Encoding", "gzip")], None).unwrap();
    assert_eq!(client.read("GET").unwrap().body, b"\x1f\x8bpacked");
}

#[test]
fn a_thousand_small_requests_on_one_connection_are_answered_each_by_its_own() {
    let upstream = Upstream::start();
    upstream.on_each("/body", |seen, _| Reply::text(&seen.target));
    let gateway = gateway(&upstream);
    let mut client = Client::connect(gateway.address());
    for number in 0..1_000 {
        let response = client.get(&format!("/body?n={number}")).unwrap();
        assert_eq!(response.text(), format!("/body?n={number}"));
    }
}
