//! Bodies of requests: streamed, answered early, announced by Expect.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{
    Client, ClientError, Gate, Gateway, Reply, Upstream, eventually, no_op, pattern,
};

const MIB: u64 = 1 << 20;

/// Writes the pattern's bytes from `from` to `to`, as they stand or in chunks; the last chunk is the caller's.
pub fn write_pattern(
    client: &mut Client,
    from: u64,
    to: u64,
    chunk: Option<usize>,
) -> Result<(), ClientError> {
    let mut offset = from;
    let mut out = Vec::new();
    while offset < to {
        let most = usize::try_from(to - offset).unwrap_or(usize::MAX).min(chunk.unwrap_or(65_536));
        let piece = pattern::at(offset, most);
        if chunk.is_some() {
            out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        }
        out.extend_from_slice(piece);
        if chunk.is_some() {
            out.extend_from_slice(b"\r\n");
        }
        offset += piece.len() as u64;
        if out.len() >= 65_536 || offset == to {
            client.write(&out)?;
            out.clear();
        }
    }
    Ok(())
}

fn gateway(upstream: &Upstream) -> Gateway {
    let mut post = no_op("POST", "/up", &upstream.url());
    post["timeout"] = json!("30s");
    Gateway::start(json!({"endpoints": [post]}))
}

#[test]
fn a_body_reaches_the_upstream_while_it_is_sent() {
    for chunk in [None, Some(30_011)] {
        let upstream = Upstream::start();
        upstream.on("/up", Reply::text("taken"));
        let gateway = gateway(&upstream);
        let mut client = Client::connect(gateway.address());
        let length = (10 * MIB).to_string();
        let framing = if chunk.is_some() {
            ("Transfer-Encoding", "chunked")
        } else {
            ("Content-Length", &*length)
        };
        client.send_head("POST", "/up", &[framing]).unwrap();
        write_pattern(&mut client, 0, 5 * MIB, chunk).unwrap();
        eventually("half a body at the upstream", Duration::from_secs(10), || {
            upstream.received_body_bytes() >= 4 * MIB
        });
        write_pattern(&mut client, 5 * MIB, 10 * MIB, chunk).unwrap();
        if chunk.is_some() {
            client.write(b"0\r\n\r\n").unwrap();
        }
        assert_eq!(client.read("POST").unwrap().status(), 200);
        upstream.seen()[0].check.assert_complete(10 * MIB);
    }
}

#[test]
fn an_early_answer_reaches_the_client_that_is_still_sending() {
    let upstream = Upstream::start();
    upstream.on_head("/up", Reply::text("too much").status(413));
    let gateway = gateway(&upstream);
    let mut client = Client::connect(gateway.address());
    let length = (10 * MIB).to_string();
    client.send_head("POST", "/up", &[("Content-Length", &length)]).unwrap();
    let sent = write_pattern(&mut client, 0, 10 * MIB, None);
    let response = client
        .read("POST")
        .unwrap_or_else(|error| panic!("no answer ({error}); sending: {sent:?}"));
    assert_eq!(response.status(), 413);
    assert_eq!(
        crate::harness::post(gateway.address(), "/up", b"x").status(),
        413,
        "and the gateway goes on"
    );
}

#[test]
fn bodies_that_go_both_ways_at_once_hold_up_nobody() {
    const PAUSE: Duration = Duration::from_secs(1);
    let upstream = Upstream::start();
    upstream.on_head("/up", Reply::pattern(100_000).drip(20_000, PAUSE));
    let mut post = no_op("POST", "/up", &upstream.url());
    post["timeout"] = json!("30s");
    let gateway = Gateway::with(json!({"endpoints": [post]})).workers(1).start();
    let mut client = Client::connect(gateway.address());
    client.send_head("POST", "/up", &[("Content-Length", "65536")]).unwrap();
    assert_eq!(client.read_head("POST").unwrap().status, 200);
    // The upload ends while the answer goes on.
    write_pattern(&mut client, 0, 65_536, None).unwrap();
    let mut longest = Duration::ZERO;
    for _ in 0..30 {
        let asked = Instant::now();
        assert_eq!(gateway.get("/__health").status(), 200);
        longest = longest.max(asked.elapsed());
        std::thread::sleep(PAUSE / 10);
    }
    assert!(longest < PAUSE / 2, "another client waited for {longest:?}");
}

#[test]
fn a_client_that_waits_for_100_is_told_to_go_on() {
    let upstream = Upstream::start();
    upstream.on("/up", Reply::text("taken"));
    let gateway = gateway(&upstream);
    let mut client = Client::connect(gateway.address());
    client
        .send_head("POST", "/up", &[("Content-Length", "5"), ("Expect", "100-continue")])
        .unwrap();
    assert_eq!(client.read_any_head("POST").unwrap().status, 100);
    client.write(b"hello").unwrap();
    let response = client.read("POST").unwrap();
    assert_eq!((response.status(), response.head.interim.as_slice()), (200, [].as_slice()));
    assert_eq!(upstream.seen()[0].body, b"hello");
}

#[test]
fn a_client_that_waits_for_100_in_vain_gets_the_final_answer() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let mut client = Client::connect(gateway.address());
    client
        .send_head("POST", "/nowhere", &[("Content-Length", "5"), ("Expect", "100-continue")])
        .unwrap();
    let response = client.read("POST").unwrap();
    assert_eq!((response.status(), response.head.interim.as_slice()), (404, [].as_slice()));
    assert_eq!(upstream.requests(), 0);
}

#[test]
fn a_client_that_breaks_off_ends_the_upstreams_request() {
    let upstream = Upstream::start();
    upstream.on("/up", Reply::text("taken"));
    let gateway = gateway(&upstream);
    let mut client = Client::connect(gateway.address());
    client.send_head("POST", "/up", &[("Content-Length", "1000000")]).unwrap();
    write_pattern(&mut client, 0, 500_000, None).unwrap();
    upstream.wait_for_requests(1);
    drop(client);
    eventually("the upstream sees a broken request", Duration::from_secs(5), || {
        upstream.broken() == 1
    });
    assert!(upstream.seen().is_empty(), "half a body must not look like a whole one");
}

#[test]
fn many_uploads_at_once_stay_apart() {
    let upstream = Upstream::start();
    let gate = Gate::new();
    upstream.read_bodies_after(&gate);
    upstream.on_each("/up", |seen, _| {
        Reply::text(&format!("{} {:?}", seen.check.len, seen.check.differs_at))
    });
    let gateway = gateway(&upstream);
    let address = gateway.address();
    let clients: Vec<_> = (0..24_u64)
        .map(|number| {
            std::thread::spawn(move || {
                let size = 100_000 + number * 7_919;
                let mut client = Client::connect(address);
                client.send_head("POST", "/up", &[("Content-Length", &size.to_string())]).unwrap();
                write_pattern(&mut client, 0, size, None).unwrap();
                assert_eq!(client.read("POST").unwrap().text(), format!("{size} None"));
            })
        })
        .collect();
    upstream.wait_for_requests(24);
    gate.open();
    for client in clients {
        client.join().unwrap();
    }
}
