//! The same walk on io_uring and on epoll.

use std::time::Duration;

use serde_json::json;

use crate::harness::pattern::{self, Check};
use crate::harness::{
    Client, ClientError, Driver, Gate, Gateway, Reply, Upstream, endpoint, get, no_op,
};

fn gateway(upstream: &Upstream, driver: Driver) -> Gateway {
    let url = upstream.url();
    let merged = endpoint(
        "/merged",
        &[json!({"host": [url], "url_pattern": "/a"}), json!({"host": [url], "url_pattern": "/b"})],
    );
    let mut slow = no_op("GET", "/slow", &url);
    slow["timeout"] = json!("300ms");
    let others =
        ["/small", "/large", "/cut", "/closing", "/held"].map(|path| no_op("GET", path, &url));
    let mut endpoints = vec![merged, slow, no_op("POST", "/up", &url)];
    endpoints.extend(others);
    Gateway::with(json!({"endpoints": endpoints})).driver(driver).start()
}

fn upstream(gate: &Gate) -> Upstream {
    let upstream = Upstream::start();
    upstream.on("/a", Reply::json(json!({"a": 1})));
    upstream.on("/b", Reply::json(json!({"b": [2]})).chunked(3));
    upstream.on("/small", Reply::text("small"));
    upstream.on("/large", Reply::pattern(8 << 20));
    upstream.on("/cut", Reply::pattern(200_000).cut_after(100_000));
    upstream.on("/closing", Reply::text("closing").close());
    upstream.on("/slow", Reply::text("slow").delay(Duration::from_secs(10)));
    upstream.on("/held", Reply::text("held").held_by(gate));
    upstream.on_each("/up", |seen, _| {
        Reply::text(&format!("{} {:?}", seen.check.len, seen.check.differs_at))
    });
    upstream
}

#[test]
fn each_driver_is_really_used() {
    for driver in Driver::available() {
        let gateway = gateway(&upstream(&Gate::new()), driver);
        let links: Vec<_> = std::fs::read_dir(format!("/proc/{}/fd", gateway.pid()))
            .unwrap()
            .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
            .collect();
        let has_ring = links.iter().any(|link| link.to_string_lossy().contains("io_uring"));
        assert_eq!(has_ring, driver == Driver::IoUring, "{driver:?}: {links:?}");
    }
}

#[test]
fn every_driver_serves_the_same() {
    for driver in Driver::available() {
        let gate = Gate::new();
        let upstream = upstream(&gate);
        let mut gateway = gateway(&upstream, driver);
        let mut client = Client::connect(gateway.address());
        let label = driver.name();
        assert_eq!(client.get("/merged").unwrap().json(), json!({"a": 1, "b": [2]}), "{label}");
        for _ in 0..50 {
            assert_eq!(client.get("/small").unwrap().text(), "small", "{label}");
            assert_eq!(client.get("/closing").unwrap().text(), "closing", "{label}");
        }
        let mut check = Check::default();
        client.send("GET", "/large", &[], None).unwrap();
        client.read_into("GET", |part| check.update(part)).unwrap();
        check.assert_complete(8 << 20);
        client.send("POST", "/up", &[], Some(&pattern::bytes(3_000_000))).unwrap();
        assert_eq!(client.read("POST").unwrap().text(), "3000000 None", "{label}");
        assert_eq!(client.get("/slow").unwrap().status(), 500, "{label}");
        let cut =
            crate::harness::client::try_get(gateway.address(), "/cut").expect_err("it is cut");
        assert!(matches!(cut, ClientError::Truncated { .. }), "{label}: {cut}");
        ends_well(&mut gateway, &upstream, &gate);
    }
}

/// Drains with one request in flight.
fn ends_well(gateway: &mut Gateway, upstream: &Upstream, gate: &Gate) {
    let (address, before) = (gateway.address(), upstream.requests());
    let client = std::thread::spawn(move || get(address, "/held"));
    upstream.wait_for_requests(before + 1);
    gateway.terminate();
    gate.open();
    assert_eq!(client.join().unwrap().text(), "held");
    assert!(gateway.wait(Duration::from_secs(5)).success());
}
