//! Connections to upstreams are used again, and stale ones harm nobody.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Client, Gate, Gateway, Reply, Upstream, eventually, get, no_op, pattern};

fn gateway(upstream: &Upstream, options: &Value) -> Gateway {
    let url = upstream.url();
    let mut config = json!({"endpoints": [
        no_op("GET", "/item", &url), no_op("POST", "/item", &url),
        {"endpoint": "/json", "backend": [{"host": [url], "url_pattern": "/json"}]}
    ]});
    config.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    Gateway::with(config).workers(1).start()
}

#[test]
fn one_connection_serves_many_requests() {
    let upstream = Upstream::start();
    upstream.on("/item", Reply::text("item"));
    upstream.on("/json", Reply::json(json!({"a": 1})));
    let gateway = gateway(&upstream, &json!({}));
    for path in ["/item", "/json"].repeat(50) {
        assert_eq!(gateway.get(path).status(), 200);
    }
    assert_eq!((upstream.requests(), upstream.connections()), (100, 1));
}

#[test]
fn concurrent_requests_have_a_connection_each_and_keep_them() {
    let upstream = Upstream::start();
    let gate = Gate::new();
    upstream.on("/item", Reply::text("item").held_by(&gate));
    let gateway = gateway(&upstream, &json!({}));
    let address = gateway.address();
    let clients: Vec<_> =
        (0..20).map(|_| std::thread::spawn(move || get(address, "/item").status())).collect();
    upstream.wait_for_requests(20);
    assert_eq!(upstream.connections(), 20);
    gate.open();
    assert!(clients.into_iter().all(|client| client.join().unwrap() == 200));
    for _ in 0..20 {
        gateway.get("/item");
    }
    assert_eq!(upstream.connections(), 20);
}

#[test]
fn without_keep_alives_each_request_has_its_own() {
    let upstream = Upstream::start();
    upstream.on("/item", Reply::text("item"));
    let gateway = gateway(&upstream, &json!({"disable_keep_alives": true}));
    for _ in 0..5 {
        assert_eq!(gateway.get("/item").status(), 200);
    }
    assert_eq!(upstream.connections(), 5);
    eventually("no connection stays", Duration::from_secs(3), || upstream.open_connections() == 0);
}

#[test]
fn an_upstream_that_closes_after_each_answer_costs_no_request() {
    for reply in [Reply::text("item").close(), Reply::text("item").reset()] {
        let upstream = Upstream::start();
        upstream.on("/item", reply);
        let gateway = gateway(&upstream, &json!({}));
        let mut client = Client::connect(gateway.address());
        for number in 0..100 {
            let response = client.get("/item").unwrap();
            assert_eq!(
                (response.status(), response.text().as_str()),
                (200, "item"),
                "request {number}"
            );
        }
    }
}

#[test]
fn connections_closed_while_idle_cost_no_request() {
    let upstream = Upstream::start();
    upstream.on("/item", Reply::text("item"));
    let gateway = gateway(&upstream, &json!({}));
    for round in 0..30 {
        assert_eq!(gateway.get("/item").status(), 200, "round {round}");
        upstream.close_idle(); // the next request may meet the end on its way
    }
}

#[test]
fn a_reused_connection_that_ends_before_the_answer_is_replaced_for_a_get_only() {
    let upstream = Upstream::start();
    upstream.on_turns("GET /item", vec![Reply::text("one"), Reply::nothing(), Reply::text("two")]);
    let gateway = gateway(&upstream, &json!({}));
    assert_eq!(gateway.get("/item").text(), "one");
    assert_eq!(gateway.get("/item").text(), "two", "asked again on a fresh connection");
    assert_eq!(upstream.requests(), 3);
    upstream.on_turns("POST /item", vec![Reply::text("one"), Reply::nothing(), Reply::text("two")]);
    assert_eq!(crate::harness::post(gateway.address(), "/item", b"x").text(), "one");
    let second = crate::harness::post(gateway.address(), "/item", b"x");
    assert_eq!(second.status(), 500, "nobody knows whether the first one had its effect");
    assert_eq!(upstream.requests(), 5);
}

#[test]
fn an_upstream_that_comes_back_is_found_again() {
    let upstream = Upstream::start();
    upstream.on("/item", Reply::text("before"));
    let gateway = gateway(&upstream, &json!({}));
    assert_eq!(gateway.get("/item").text(), "before");
    let address = upstream.address();
    drop(upstream);
    eventually("failures while it is away", Duration::from_secs(5), || {
        gateway.get("/item").status() == 500
    });
    let upstream = Upstream::start_at(address);
    upstream.on("/item", Reply::text("after"));
    eventually("an answer when it is back", Duration::from_secs(5), || {
        gateway.get("/item").text() == "after"
    });
}

#[test]
fn idle_connections_end_when_the_configuration_says() {
    let upstream = Upstream::start();
    upstream.on("/item", Reply::text("item"));
    let gateway = gateway(&upstream, &json!({"idle_connection_timeout": "300ms"}));
    gateway.get("/item");
    eventually("the idle connection ends", Duration::from_secs(5), || {
        upstream.open_connections() == 0
    });
}

#[test]
fn idle_connections_over_all_hosts_are_as_many_as_the_configuration_says() {
    let upstreams = [Upstream::start(), Upstream::start()];
    let gate = Gate::new();
    for (upstream, path) in upstreams.iter().zip(["/a", "/b"]) {
        upstream.on(path, Reply::text("item").held_by(&gate));
    }
    let endpoints =
        [no_op("GET", "/a", &upstreams[0].url()), no_op("GET", "/b", &upstreams[1].url())];
    let config = json!({"max_idle_connections": 3, "endpoints": endpoints});
    let gateway = Gateway::with(config).workers(1).start();
    let address = gateway.address();
    let clients: Vec<_> = (0..10)
        .map(|turn| {
            let path = if turn % 2 == 0 { "/a" } else { "/b" };
            std::thread::spawn(move || get(address, path).status())
        })
        .collect();
    for upstream in &upstreams {
        upstream.wait_for_requests(5);
    }
    gate.open();
    assert!(clients.into_iter().all(|client| client.join().unwrap() == 200));
    let open = || upstreams.iter().map(Upstream::open_connections).sum::<usize>();
    eventually("three are left", Duration::from_secs(5), || open() == 3);
    std::thread::sleep(Duration::from_millis(1_200));
    assert_eq!(open(), 3);
}

#[test]
fn bytes_after_an_answer_never_reach_another_client() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, &json!({}));
    let forged = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
    // Wherever the answer ends in the gateway's buffers, what follows it must not pass for the next answer.
    for len in [3, 900, 3_900, 4_000, 8_000, 8_192, 16_000, 32_000, 65_000, 65_536, 70_000, 300_000]
    {
        let answer = [pattern::bytes(len).as_slice(), forged].concat();
        for path in ["/item", "/json"] {
            let sent = upstream.sent_body_bytes() + answer.len() as u64;
            let with_surplus = Reply::bytes(&answer).claiming(len as u64);
            upstream.on_turns(path, vec![with_surplus, Reply::json(json!({"a": 1}))]);
            let first = gateway.get(path);
            assert!(path == "/json" || first.body == pattern::bytes(len), "{path}: {len} bytes");
            eventually("all of it is sent", Duration::from_secs(5), || {
                upstream.sent_body_bytes() >= sent
            });
            let second = gateway.get(path);
            assert_eq!(second.text(), "{\"a\":1}", "{path} after {len} bytes");
        }
    }
}

#[test]
fn bytes_after_an_answer_never_reach_a_client_that_waits_for_the_connection() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, &json!({}));
    let address = gateway.address();
    let forged = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
    // The end of these is not read together with what follows it, and the next request is there already.
    for (path, len) in [("/item", 20_000), ("/item", 70_000), ("/json", 20_000)] {
        let document = json!({"filler": "x".repeat(len)});
        let body = document.to_string().into_bytes();
        let answer = [body.as_slice(), forged].concat();
        upstream.on(path, Reply::bytes(&answer).claiming(body.len() as u64));
        let right = |text: &str| serde_json::from_str(text).is_ok_and(|got: Value| got == document);
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    let mut client = Client::connect(address);
                    for _ in 0..60 {
                        let got = client.get(path).unwrap();
                        assert!(right(&got.text()), "{path}, {len} bytes: got {}", got.status());
                    }
                });
            }
        });
    }
}

#[test]
fn bytes_that_come_while_a_connection_is_idle_never_reach_another_client() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, &json!({}));
    let forged = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
    let two_parts = format!("{:width$}{forged}", "one", width = forged.len());
    let late = Reply::text(&two_parts).claiming(forged.len() as u64);
    let late = late.drip(forged.len(), Duration::from_millis(50));
    upstream.on_turns("/item", vec![late, Reply::text("two")]);
    assert_eq!(gateway.get("/item").text().trim(), "one");
    eventually("the upstream has sent what nobody asked for", Duration::from_secs(5), || {
        upstream.sent_body_bytes() == two_parts.len() as u64
    });
    assert_eq!(gateway.get("/item").text(), "two");
}
