//! Bounds of heads, bodies, documents and queues: what is exactly at the bound passes, one more is refused and counted.

use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::limits::full_host;
use crate::harness::client::try_get;
use crate::harness::one_core::OneCore;
use crate::harness::{
    Client, Gate, Gateway, Reply, Response, Upstream, endpoint, eventually, no_op,
};

const REFUSED_CONNECTIONS: &str = "shoal_refused_connections_total";
const REFUSED_REQUESTS: &str = "shoal_refused_requests_total";
const REFUSED_CALLS: &str = "shoal_refused_calls_total";

fn limited(limits: &Value, endpoints: &[Value]) -> OneCore {
    OneCore::start(&json!({"endpoints": endpoints, "extra_config": {"shoal/limits": limits}}))
}

fn get(core: &OneCore, path: &str) -> Response {
    try_get(core.address(), path).unwrap()
}

/// A GET endpoint that decodes what the upstream says at the same path.
fn decoded(upstream: &Upstream, path: &str) -> Value {
    endpoint(path, &[json!({"host": [upstream.url()], "url_pattern": path})])
}

/// Sends a body in chunks of 100 bytes.
fn post_chunked(core: &OneCore, path: &str, bytes: usize) -> Response {
    let mut client = Client::connect(core.address());
    client.send_head("POST", path, &[("Transfer-Encoding", "chunked")]).unwrap();
    let mut left = bytes;
    while left > 0 {
        let size = left.min(100);
        client.write(format!("{size:x}\r\n{}\r\n", "x".repeat(size)).as_bytes()).unwrap();
        left -= size;
    }
    client.write(b"0\r\n\r\n").unwrap();
    client.read("POST").unwrap()
}

#[test]
fn headers_of_a_request() {
    let core = limited(&json!({"headers_max": 10}), &[]);
    let request = |count: usize| {
        let mut client = Client::connect(core.address());
        let headers = vec![("X-One", "1"); count - 1]; // and Host
        client.send("GET", "/__health", &headers, None).unwrap();
        client.read("GET").unwrap().status()
    };
    assert_eq!((request(10), request(11)), (200, 431));
    assert_eq!(core.number(REFUSED_REQUESTS, Some("headers_max")), 1);
}

#[test]
fn bytes_of_a_head() {
    let core = OneCore::start(&json!({"endpoints": [], "max_header_bytes": 1000}));
    let request = |bytes: usize| {
        let mut client = Client::connect(core.address());
        let start = "GET /__health HTTP/1.1\r\nHost: x\r\nX-Long: ";
        let head = format!("{start}{}\r\n\r\n", "y".repeat(bytes - start.len() - 4));
        client.write(head.as_bytes()).unwrap();
        client.read("GET").unwrap().status()
    };
    assert_eq!((request(1000 + 4096), request(1000 + 4097)), (200, 431));
    assert_eq!(core.number(REFUSED_REQUESTS, Some("max_header_bytes")), 1);
}

#[test]
fn bytes_of_a_target() {
    let core = limited(&json!({"uri_bytes_max": 100}), &[]);
    let status = |bytes: usize| {
        let start = "/__health?a=";
        get(&core, &format!("{start}{}", "b".repeat(bytes - start.len()))).status()
    };
    assert_eq!((status(100), status(101)), (200, 414));
    assert_eq!(core.number(REFUSED_REQUESTS, Some("uri_bytes_max")), 1);
}

#[test]
fn an_announced_body_of_a_request_is_refused_by_its_head() {
    let upstream = Upstream::start();
    upstream.on("/up", Reply::text("taken"));
    let core =
        limited(&json!({"request_body_bytes_max": 1000}), &[no_op("POST", "/up", &upstream.url())]);
    let body = vec![b'x'; 1000];
    assert_eq!(crate::harness::post(core.address(), "/up", &body).status(), 200);
    for headers in [
        [("Content-Length", "1001"), ("X-Other", "1")],
        [("Content-Length", "1001"), ("Expect", "100-continue")],
    ] {
        let mut client = Client::connect(core.address());
        client.send_head("POST", "/up", &headers).unwrap();
        let refused = client.read("POST").unwrap();
        assert_eq!((refused.status(), refused.head.interim.len()), (413, 0));
        assert!(refused.head.closes());
    }
    assert_eq!(upstream.requests(), 1, "no upstream hears of it");
    assert_eq!(core.number(REFUSED_REQUESTS, Some("request_body_bytes_max")), 2);
}

#[test]
fn a_chunked_body_of_a_request_is_refused_while_it_comes() {
    let upstream = Upstream::start();
    upstream.on("/up", Reply::text("taken"));
    let core =
        limited(&json!({"request_body_bytes_max": 1000}), &[no_op("POST", "/up", &upstream.url())]);
    assert_eq!(post_chunked(&core, "/up", 1000).status(), 200);
    assert_eq!(post_chunked(&core, "/up", 1001).status(), 413);
    eventually("the upstream sees a broken request", Duration::from_secs(5), || {
        upstream.broken() == 1
    });
    assert_eq!(upstream.seen().len(), 1);
    assert_eq!(core.number(REFUSED_REQUESTS, Some("request_body_bytes_max")), 1);
}

#[test]
fn bodies_of_requests_that_are_kept() {
    let upstream = Upstream::start();
    upstream.on("*", Reply::json(json!({"a": 1})));
    let backend = |path: &str| json!({"host": [upstream.url()], "url_pattern": path});
    let mut both = endpoint("/both", &[backend("/one"), backend("/two")]);
    both["method"] = json!("POST");
    let limits = json!({"kept_body_bytes_max": 1000, "request_body_bytes_max": 2000});
    let core = limited(&limits, &[both, no_op("POST", "/up", &upstream.url())]);
    let post =
        |bytes: usize| crate::harness::post(core.address(), "/both", &vec![b'x'; bytes]).status();
    assert_eq!((post(1000), post(1001)), (200, 413));
    assert_eq!(post_chunked(&core, "/both", 1000).status(), 200);
    assert_eq!(post_chunked(&core, "/both", 1001).status(), 413);
    assert_eq!(upstream.requests(), 4, "no upstream hears of the others");
    assert_eq!(post_chunked(&core, "/up", 2000).status(), 200, "one call streams it");
    assert_eq!(core.number(REFUSED_REQUESTS, Some("kept_body_bytes_max")), 2);
    assert_eq!(core.number(REFUSED_REQUESTS, Some("request_body_bytes_max")), 0);
}

#[test]
fn heads_of_upstreams() {
    let upstream = Upstream::start();
    // Two headers of its own.
    let answer = |bytes: usize, headers: usize| {
        let start = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{}X-Long: ",
            "X-One: 1\r\n".repeat(headers - 2)
        );
        format!("{start}{}\r\n\r\nok", "y".repeat(bytes - start.len() - 4))
    };
    for (path, head) in [
        ("/bytes", answer(2000, 2)),
        ("/interim", format!("HTTP/1.1 103 Early Hints\r\n\r\n{}", answer(2000, 2))),
        ("/headers", answer(1000, 20)),
        ("/more-bytes", answer(2001, 2)),
        ("/interim-more", format!("HTTP/1.1 103 Early Hints\r\n\r\n{}", answer(2001, 2))),
        ("/more-headers", answer(1000, 21)),
    ] {
        upstream.on(path, Reply::raw(head.as_bytes()));
    }
    let limits = json!({"upstream_head_bytes_max": 2000, "headers_max": 20});
    let core = limited(&limits, &[no_op("GET", "/{id}", &upstream.url())]);
    for path in ["/bytes", "/interim", "/headers"] {
        assert_eq!(get(&core, path).text(), "ok", "{path}");
    }
    for path in ["/more-bytes", "/interim-more", "/more-headers"] {
        assert_eq!(get(&core, path).status(), 500, "{path}");
    }
    assert_eq!(core.number(REFUSED_CALLS, Some("upstream_head_bytes_max")), 2);
    assert_eq!(core.number(REFUSED_CALLS, Some("headers_max")), 1);
}

#[test]
fn bodies_of_upstreams_that_are_decoded() {
    use std::io::Write;
    let upstream = Upstream::start();
    let document = |bytes: usize| format!("{{\"a\":\"{}\"}}", "b".repeat(bytes - 8)).into_bytes();
    let packed = |bytes: usize| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&document(bytes)).unwrap();
        Reply::bytes(&encoder.finish().unwrap()).header("Content-Encoding", "gzip")
    };
    for (name, bytes) in [("at", 50_000), ("above", 50_001)] {
        upstream.on(&format!("/{name}/announced"), Reply::bytes(&document(bytes)));
        upstream.on(&format!("/{name}/chunked"), Reply::bytes(&document(bytes)).chunked(1000));
        upstream.on(&format!("/{name}/packed"), packed(bytes));
    }
    let mut endpoints = vec![no_op("GET", "/raw", &upstream.url())];
    for path in ["/at/{id}", "/above/{id}"] {
        endpoints.push(decoded(&upstream, path));
    }
    upstream.on("/raw", Reply::pattern(200_000));
    let core = limited(&json!({"decoded_body_bytes_max": 50_000}), &endpoints);
    for how in ["announced", "chunked", "packed"] {
        assert_eq!(get(&core, &format!("/at/{how}")).status(), 200, "{how}");
        assert_eq!(get(&core, &format!("/above/{how}")).status(), 500, "{how}");
    }
    assert_eq!(core.number(REFUSED_CALLS, Some("decoded_body_bytes_max")), 3);
    assert_eq!(get(&core, "/raw").body.len(), 200_000, "what passes through has no bound");
}

#[test]
fn levels_of_a_document() {
    let upstream = Upstream::start();
    let nested =
        |levels: usize| format!("{}{{}}{}", "{\"a\":".repeat(levels - 1), "}".repeat(levels - 1));
    upstream.on("/at", Reply::bytes(nested(20).as_bytes()));
    upstream.on("/above", Reply::bytes(nested(21).as_bytes()));
    let endpoints = [decoded(&upstream, "/at"), decoded(&upstream, "/above")];
    let core = limited(&json!({"json_depth_max": 20}), &endpoints);
    assert_eq!(get(&core, "/at").text().trim_end(), nested(20));
    assert_eq!(get(&core, "/above").status(), 500);
    assert_eq!(core.number(REFUSED_CALLS, Some("json_depth_max")), 1);
}

#[test]
fn what_follows_a_document() {
    let upstream = Upstream::start();
    upstream.on("/clean", Reply::bytes(b"{\"a\":1} \r\n\t"));
    upstream.on("/rubbish", Reply::bytes(b"{\"a\":1}#"));
    upstream.on("/twice", Reply::bytes(b"{\"a\":1}{\"a\":1}").chunked(5));
    let backend = |path: &str, block: Value| json!({"host": [upstream.url()], "url_pattern": path, "extra_config": {"shoal/json": block}});
    let endpoints = [
        decoded(&upstream, "/clean"),
        decoded(&upstream, "/rubbish"),
        decoded(&upstream, "/twice"),
        endpoint("/tolerant", &[backend("/rubbish", json!({"refuse_trailing": false}))]),
        endpoint("/merged", &[backend("/rubbish", json!({})), backend("/clean", json!({}))]),
    ];
    let strict = json!({"shoal/json": {"refuse_trailing": true}});
    let core = OneCore::start(&json!({"endpoints": endpoints, "extra_config": strict}));
    assert_eq!((get(&core, "/clean").status(), get(&core, "/tolerant").status()), (200, 200));
    assert_eq!((get(&core, "/rubbish").status(), get(&core, "/twice").status()), (500, 500));
    let merged = get(&core, "/merged");
    assert_eq!((merged.status(), merged.is_completed()), (200, false));
    assert_eq!(core.number(REFUSED_CALLS, Some("refuse_trailing")), 3);
    let one = [endpoint("/strict", &[backend("/rubbish", json!({"refuse_trailing": true}))])];
    let core = OneCore::start(&json!({"endpoints": one}));
    assert_eq!(get(&core, "/strict").status(), 500, "a backend alone may be strict, too");
}

#[test]
fn a_rule_for_json_that_is_none_stops_the_start() {
    let block = json!({"shoal/json": {"refuse_trailing": "yes"}});
    let config = json!({"version": 3, "endpoints": [], "extra_config": block}).to_string();
    let arguments = ["run", "--lenient", "-c", "krakend.json"];
    let (status, log) = crate::harness::gateway::run(&[("krakend.json", &config)], &arguments);
    assert!(!status.success());
    assert!(log.contains("refuse_trailing is true or false"), "{log}");
}

#[test]
fn calls_that_wait_for_a_connection() {
    let (address, sockets) = full_host();
    let mut item = no_op("GET", "/item", &format!("http://{address}"));
    item["timeout"] = json!("3s");
    let limits = json!({"dials_per_host_max": 1, "waiting_per_host_max": 2});
    let core = limited(&limits, &[item]);
    let gateway = core.address();
    let clients: Vec<_> = (0..3)
        .map(|_| thread::spawn(move || try_get(gateway, "/item").unwrap().status()))
        .collect();
    eventually("one dials, two wait", Duration::from_secs(2), || {
        core.number("shoal_calls_waiting", None) == 2
            && core.number("shoal_requests_in_flight", None) == 3
    });
    let began = Instant::now();
    assert_eq!(get(&core, "/item").status(), 503);
    assert!(began.elapsed() < Duration::from_secs(1), "long before a connection is given up");
    assert_eq!(core.number(REFUSED_CALLS, Some("waiting_per_host_max")), 1);
    assert!(clients.into_iter().all(|client| client.join().unwrap() == 500));
    eventually("nobody waits", Duration::from_secs(3), || {
        core.number("shoal_calls_waiting", None) == 0
    });
    drop(sockets);
}

#[test]
fn questions_to_the_resolver() {
    // A name server that never answers.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut asked = no_op("GET", "/asked", "http://name.test:8000");
    asked["timeout"] = json!("2s");
    let limits = json!({"questions_max": 2});
    let gateway =
        Gateway::with(json!({"endpoints": [asked], "extra_config": {"shoal/limits": limits}}))
            .env("SHOAL_DNS_SERVER", &silent.local_addr().unwrap().to_string())
            .start();
    let address = gateway.address();
    let clients: Vec<_> = (0..3)
        .map(|_| {
            thread::spawn(move || {
                let began = Instant::now();
                let status = try_get(address, "/asked").unwrap().status();
                (status, began.elapsed() < Duration::from_secs(1))
            })
        })
        .collect();
    let mut answers: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    answers.sort_unstable();
    assert_eq!(answers, [(500, false), (500, false), (503, true)], "two wait, one is refused");
}

#[test]
fn copies_for_shadow_backends() {
    let upstream = Upstream::start();
    let gate = Gate::new();
    upstream.on("/main", Reply::json(json!({"a": 1})));
    upstream.on("/shadow", Reply::json(json!({"a": 1})).held_by(&gate));
    let backend = |path: &str| json!({"host": [upstream.url()], "url_pattern": path});
    let mut shadow = backend("/shadow");
    shadow["extra_config"] = json!({"proxy": {"shadow": true}});
    let core =
        limited(&json!({"shadows_max": 2}), &[endpoint("/both", &[backend("/main"), shadow])]);
    for _ in 0..5 {
        assert_eq!(get(&core, "/both").status(), 200);
    }
    eventually("two copies", Duration::from_secs(3), || {
        upstream.begun_at("/shadow") == 2 && core.number("shoal_shadows_in_flight", None) == 2
    });
    assert_eq!(core.number(REFUSED_CALLS, Some("shadows_max")), 3);
    gate.open();
    eventually("there is room again", Duration::from_secs(3), || {
        get(&core, "/both").status() == 200 && upstream.begun_at("/shadow") > 2
    });
}

#[test]
fn connections_and_requests_are_counted() {
    let upstream = Upstream::start();
    let gate = Gate::new();
    upstream.on("/held", Reply::text("held").held_by(&gate));
    let limits = json!({"connections_max": 3, "requests_max": 1});
    let core = limited(&limits, &[no_op("GET", "/held", &upstream.url())]);
    let address = core.address();
    let held = thread::spawn(move || try_get(address, "/held").unwrap().status());
    upstream.wait_for_requests(1);
    let mut client = Client::connect(address);
    assert_eq!(client.get("/held").unwrap().status(), 503);
    assert_eq!(core.number(REFUSED_REQUESTS, Some("requests_max")), 1);
    let mut third = Client::connect(address);
    assert_eq!(third.get("/__health").unwrap().status(), 200);
    for _ in 0..4 {
        let turned_away = Client::open(address).and_then(|mut client| client.get("/__health"));
        assert!(turned_away.is_err() || turned_away.is_ok_and(|answer| answer.status() == 503));
    }
    assert_eq!(core.number(REFUSED_CONNECTIONS, Some("connections_max")), 4);
    eventually("the gauges follow", Duration::from_secs(3), || {
        core.number("shoal_connections", None) == 3
            && core.number("shoal_requests_in_flight", None) == 1
            && core.number("shoal_pooled_buffers", None) > 0
    });
    gate.open();
    assert_eq!(held.join().unwrap(), 200);
}

#[test]
fn connections_from_one_address_are_counted() {
    let core = limited(&json!({"connections_per_address_max": 1}), &[]);
    let mut first = Client::connect(core.address());
    assert_eq!(first.get("/__health").unwrap().status(), 200);
    let second = Client::open(core.address()).and_then(|mut client| client.get("/__health"));
    assert!(second.is_err() || second.is_ok_and(|answer| answer.status() == 503));
    assert_eq!(core.number(REFUSED_CONNECTIONS, Some("connections_per_address_max")), 1);
    assert_eq!(core.number(REFUSED_CONNECTIONS, Some("connections_max")), 0);
}
