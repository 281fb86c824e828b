//! Slow readers on either side stop the sender, and cost no memory.

use std::time::Duration;

use serde_json::json;

use super::uploads::write_pattern;
use crate::harness::pattern::Check;
use crate::harness::wait::settled;
use crate::harness::{Client, Gate, Gateway, Reply, Upstream, no_op};

/// More than any system keeps on the way.
const BODY: u64 = 256 << 20;
/// A transfer that moves nothing for so long has stopped.
const QUIET: Duration = Duration::from_millis(500);
/// What a stalled transfer may cost in the gateway: its buffers, not the body.
const STALLED_KIB: u64 = 512;

/// What two sockets' kernel buffers on the way may take, where the system lets them grow as far as they may, and a pipe.
fn in_flight_bytes_max() -> u64 {
    let largest = |name: &str| -> u64 {
        let file = format!("/proc/sys/net/ipv4/{name}");
        let sizes = std::fs::read_to_string(&file).expect("the system tells its buffers");
        sizes.split_whitespace().last().expect("the third").parse().expect("a number")
    };
    let bytes = 2 * (largest("tcp_rmem") + largest("tcp_wmem")) + (1 << 20);
    assert!(bytes < BODY / 2, "buffers of {bytes} bytes: the test needs a larger body");
    bytes
}

fn gateway(upstream: &Upstream) -> Gateway {
    let mut get = no_op("GET", "/body", &upstream.url());
    let mut post = no_op("POST", "/body", &upstream.url());
    get["timeout"] = json!("60s");
    post["timeout"] = json!("60s");
    Gateway::with(json!({"endpoints": [get, post]})).workers(1).start()
}

#[test]
fn a_client_that_does_not_read_stops_the_upstream() {
    let readers: u64 = 8;
    let upstream = Upstream::start();
    upstream.on("/body", Reply::pattern(BODY));
    let gateway = gateway(&upstream);
    gateway.wait_until_ready();
    let before = gateway.anonymous_kib();
    let mut clients: Vec<_> = (0..readers)
        .map(|_| {
            let mut client = Client::connect_with_small_window(gateway.address());
            client.send("GET", "/body", &[], None).unwrap();
            client
        })
        .collect();
    upstream.wait_for_requests(8);
    let sent = settled(QUIET, || upstream.sent_body_bytes());
    assert!(
        sent < readers * in_flight_bytes_max(),
        "{} MiB were taken from the upstreams",
        sent >> 20
    );
    let grown = gateway.anonymous_kib().saturating_sub(before);
    assert!(grown < readers * STALLED_KIB, "{grown} KiB more for {readers} stalled downloads");
    let mut check = Check::default();
    clients[0].read_into("GET", |part| check.update(part)).unwrap();
    check.assert_complete(BODY);
}

#[test]
fn an_upstream_that_does_not_read_stops_the_client() {
    let upstream = Upstream::start();
    let gate = Gate::new();
    upstream.read_bodies_after(&gate);
    upstream.on("POST /body", Reply::text("taken"));
    let gateway = gateway(&upstream);
    gateway.wait_until_ready();
    let before = gateway.anonymous_kib();
    let mut client = Client::connect(gateway.address());
    client.send_head("POST", "/body", &[("Content-Length", &BODY.to_string())]).unwrap();
    client.set_patience(QUIET);
    let mut sent = 0;
    while sent < BODY && write_pattern(&mut client, sent, sent + 65_536, None).is_ok() {
        sent += 65_536;
    }
    assert!(sent < in_flight_bytes_max(), "{} MiB were taken from the client", sent >> 20);
    let grown = gateway.anonymous_kib().saturating_sub(before);
    assert!(grown < 2 * STALLED_KIB, "{grown} KiB more for a stalled upload");
    gate.open();
}

#[test]
fn parts_of_a_body_pass_as_they_come() {
    for chunked in [false, true] {
        let upstream = Upstream::start();
        let gate = Gate::new();
        let reply = Reply::pattern(2_000).held_after(1_000, &gate);
        upstream.on(
            "/body",
            if chunked { reply.chunked(1_000) } else { reply.drip(1_000, Duration::ZERO) },
        );
        let gateway = gateway(&upstream);
        let mut client = Client::connect(gateway.address());
        client.send("GET", "/body", &[], None).unwrap();
        let head = client.read_head("GET").unwrap();
        let mut check = Check::default();
        let mut opened = false;
        client
            .read_body(head.framing, |part| {
                check.update(part);
                if check.len >= 1_000 && !opened {
                    gate.open(); // only what came through lets the rest go
                    opened = true;
                }
            })
            .unwrap();
        check.assert_complete(2_000);
    }
}
