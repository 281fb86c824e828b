//! Deadlines of endpoints and of idle or slow clients.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{
    Client, ClientError, Driver, Gate, Gateway, Reply, Upstream, endpoint, eventually, no_op,
};

const SOON: Duration = Duration::from_secs(5);

#[test]
fn an_endpoint_answers_500_at_its_deadline_and_lets_go_of_the_upstream() {
    let upstream = Upstream::start();
    upstream.on("*", Reply::json(json!({"a": 1})).delay(Duration::from_secs(20)));
    let mut raw = no_op("GET", "/raw", &upstream.url());
    let mut decoded =
        endpoint("/decoded", &[json!({"host": [upstream.url()], "url_pattern": "/decoded"})]);
    raw["timeout"] = json!("400ms");
    decoded["timeout"] = json!("400ms");
    let gateway = Gateway::start(json!({"endpoints": [raw, decoded]}));
    for (count, path) in ["/raw", "/decoded"].into_iter().enumerate() {
        let begin = Instant::now();
        assert_eq!(gateway.get(path).status(), 500, "{path}");
        let took = begin.elapsed();
        assert!((350..2_000).contains(&took.as_millis()), "{path} took {took:?}");
        eventually("the upstream's connection ends", SOON, || upstream.broken() == count + 1);
    }
}

#[test]
fn the_deadline_cuts_a_body_visibly() {
    for chunked in [false, true] {
        let upstream = Upstream::start();
        let gate = Gate::new();
        let reply = Reply::pattern(200_000).held_after(50_000, &gate);
        upstream.on("/raw", if chunked { reply.chunked(10_000) } else { reply });
        let mut raw = no_op("GET", "/raw", &upstream.url());
        raw["timeout"] = json!("400ms");
        let gateway = Gateway::start(json!({"endpoints": [raw]}));
        let mut client = Client::connect(gateway.address());
        client.send("GET", "/raw", &[], None).unwrap();
        let error = client.read("GET").expect_err("half a body must not look whole");
        assert!(matches!(error, ClientError::Truncated { .. }), "{error}");
        gate.open();
    }
}

#[test]
fn a_client_that_leaves_ends_the_upstreams_request() {
    let upstream = Upstream::start();
    upstream.on("*", Reply::json(json!({"a": 1})).delay(Duration::from_secs(20)));
    let mut slow = endpoint("/slow", &[json!({"host": [upstream.url()], "url_pattern": "/slow"})]);
    slow["timeout"] = json!("20s");
    let gateway = Gateway::start(json!({"endpoints": [slow]}));
    let mut client = Client::connect(gateway.address());
    client.send("GET", "/slow", &[], None).unwrap();
    upstream.wait_for_requests(1);
    drop(client);
    eventually("the upstream's connection ends", SOON, || upstream.broken() == 1);
}

#[test]
fn a_client_that_never_finishes_its_head_is_left() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(
        json!({"read_header_timeout": "400ms", "endpoints": [no_op("GET", "/raw", &upstream.url())]}),
    );
    let mut client = Client::connect(gateway.address());
    client.write(b"GET /raw HTTP/1.1\r\nHost: h\r\nX-Slow").unwrap();
    let begin = Instant::now();
    match client.read("GET") {
        Ok(response) => assert_eq!(response.status(), 408),
        Err(error) => assert_ne!(error, ClientError::TimedOut),
    }
    assert!(begin.elapsed() < Duration::from_secs(4));
    assert_eq!(upstream.requests(), 0);
}

#[test]
fn a_client_that_never_says_anything_is_left() {
    let gateway = Gateway::start(json!({"read_header_timeout": "400ms", "endpoints": []}));
    let mut client = Client::connect(gateway.address());
    let begin = Instant::now();
    assert!(client.is_ended_by_server(SOON));
    assert!(begin.elapsed() >= Duration::from_millis(350));
}

#[test]
fn read_timeout_bounds_a_request_and_not_its_answer() {
    for driver in Driver::available() {
        let upstream = Upstream::start();
        upstream.on("/raw", Reply::text("raw").delay(Duration::from_millis(900)));
        let endpoints =
            [no_op("GET", "/raw", &upstream.url()), no_op("POST", "/raw", &upstream.url())];
        let gateway = Gateway::with(json!({"read_timeout": "400ms", "endpoints": endpoints}))
            .driver(driver)
            .start();
        let mut client = Client::connect(gateway.address());
        assert_eq!(client.get("/raw").unwrap().text(), "raw", "no body");
        client.send("POST", "/raw", &[], Some(b"whole")).unwrap();
        assert_eq!(client.read("POST").unwrap().text(), "raw", "a whole body");
        let begin = Instant::now();
        client.send_head("POST", "/raw", &[("Content-Length", "10")]).unwrap();
        client.write(b"half").unwrap();
        let response = client.read("POST").unwrap();
        assert_eq!(response.status(), 500, "half a body");
        assert!(response.head.closes());
        let took = begin.elapsed();
        assert!((350..890).contains(&took.as_millis()), "{took:?}");
    }
}

#[test]
fn write_timeout_bounds_the_whole_answer() {
    let upstream = Upstream::start();
    upstream.on("/late", Reply::text("late").delay(Duration::from_millis(900)));
    upstream.on("/slow", Reply::pattern(50_000).drip(1_000, Duration::from_millis(50)));
    upstream.on("/soon", Reply::text("soon"));
    let endpoints = ["/late", "/slow", "/soon"].map(|path| no_op("GET", path, &upstream.url()));
    let gateway = Gateway::start(json!({"write_timeout": "400ms", "endpoints": endpoints}));
    let mut client = Client::connect(gateway.address());
    for _ in 0..3 {
        assert_eq!(client.get("/soon").unwrap().text(), "soon");
        std::thread::sleep(Duration::from_millis(250));
    }
    assert_eq!(client.get("/late").map(|_| ()), Err(ClientError::Closed));
    let mut client = Client::connect(gateway.address());
    let begin = Instant::now();
    let error = client.get("/slow").map(|_| ()).expect_err("it takes two seconds and a half");
    assert!(matches!(error, ClientError::Truncated { .. }), "{error}");
    assert!((350..1_500).contains(&begin.elapsed().as_millis()));
}

#[test]
fn an_idle_client_is_left_after_the_configured_time() {
    let upstream = Upstream::start();
    upstream.on("/raw", Reply::text("raw"));
    let gateway = Gateway::start(
        json!({"idle_timeout": "400ms", "endpoints": [no_op("GET", "/raw", &upstream.url())]}),
    );
    let mut client = Client::connect(gateway.address());
    assert_eq!(client.get("/raw").unwrap().status(), 200);
    let begin = Instant::now();
    assert!(client.is_ended_by_server(SOON));
    assert!(begin.elapsed() >= Duration::from_millis(350));
}

#[test]
fn a_request_within_the_deadline_is_not_disturbed_by_an_earlier_ones() {
    let upstream = Upstream::start();
    upstream.on_each("/raw", |_, turn| {
        Reply::text("raw").delay(Duration::from_millis(if turn % 2 == 0 { 250 } else { 0 }))
    });
    let mut raw = no_op("GET", "/raw", &upstream.url());
    raw["timeout"] = json!("450ms");
    let gateway = Gateway::start(json!({"endpoints": [raw]}));
    let mut client = Client::connect(gateway.address());
    for number in 0..10 {
        assert_eq!(client.get("/raw").unwrap().text(), "raw", "request {number}");
    }
}
