//! What the gateway weighs.

use std::time::Duration;

use serde_json::json;

use crate::harness::process::allow_descriptors;
use crate::harness::{Client, Gateway, Reply, Upstream, endpoint, eventually, no_op};

/// With one worker, right after the start.
const START_KIB_MAX: u64 = 15 * 1024;
const CONNECTIONS: u64 = 3_000;
/// Of the gateway's own memory, for a keep-alive connection that had a request and waits for the next.
const IDLE_BYTES_MAX: u64 = 5 * 1024;

fn gateway(upstream: &Upstream) -> Gateway {
    let url = upstream.url();
    Gateway::with(json!({"endpoints": [
        no_op("GET", "/raw", &url), endpoint("/decoded", &[json!({"host": [url], "url_pattern": "/decoded"})])
    ]}))
    .workers(1)
    .start()
}

#[test]
fn it_starts_small() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    // Its cores answer a moment before the code of the start is let go, and it is ready after that.
    gateway.wait_until_ready();
    let kib = gateway.resident_kib();
    assert!(kib <= START_KIB_MAX, "{kib} KiB after the start");
}

#[test]
fn an_idle_connection_costs_little() {
    allow_descriptors(CONNECTIONS * 2 + 1_000);
    let upstream = Upstream::start();
    upstream.forget_requests();
    upstream.on("/raw", Reply::text("raw"));
    upstream.on("/decoded", Reply::json(json!({"a": 1})));
    let gateway = gateway(&upstream);
    let paths = ["/raw", "/decoded"];
    for path in paths.repeat(200) {
        assert_eq!(gateway.get(path).status(), 200); // pools and buffers have their size now
    }
    let before = gateway.resident_kib();
    let mut clients: Vec<_> =
        (0..CONNECTIONS).map(|_| Client::connect(gateway.address())).collect();
    for (client, path) in clients.iter_mut().zip(paths.into_iter().cycle()) {
        assert_eq!(client.get(path).unwrap().status(), 200);
    }
    let grown = gateway.resident_kib().saturating_sub(before);
    let each = grown * 1024 / CONNECTIONS;
    assert!(each <= IDLE_BYTES_MAX, "{each} bytes for each of {CONNECTIONS} idle connections");
    assert_eq!(clients[0].get("/raw").unwrap().text(), "raw", "and they still serve");
    let open = gateway.descriptors();
    drop(clients);
    eventually("their descriptors are free again", Duration::from_secs(10), || {
        gateway.descriptors() + usize::try_from(CONNECTIONS).unwrap() <= open
    });
}

#[test]
fn a_large_answer_leaves_nothing_behind() {
    let upstream = Upstream::start();
    let list: Vec<_> = (0..200_000).map(|n| json!({"number": n})).collect();
    upstream.on("/decoded", Reply::json(json!({"list": list})));
    upstream.on("/raw", Reply::pattern(16 << 20));
    let gateway = gateway(&upstream);
    let round = || {
        for path in ["/decoded", "/raw"].repeat(4) {
            assert_eq!(gateway.get(path).status(), 200);
        }
        gateway.resident_kib()
    };
    round();
    let first = round();
    let mut last = first;
    for _ in 0..4 {
        last = round();
    }
    assert!(last <= first + 4 * 1024, "{first} KiB after two rounds, {last} KiB after six");
}
