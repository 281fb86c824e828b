//! The cache of upstreams' answers: over all cores, packed and unpacked, with streams left alone.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Client, Gateway, Reply, Upstream, endpoint};

fn now() -> String {
    httpdate::fmt_http_date(std::time::SystemTime::now())
}

fn fresh(reply: Reply) -> Reply {
    reply.header("Date", &now()).header("Cache-Control", "max-age=600")
}

fn cached(path: &str, upstream: &Upstream, encoding: &str, more: Value) -> Value {
    let mut extra = json!({"qos/http-cache": {}});
    if let (Some(extra), Value::Object(more)) = (extra.as_object_mut(), more) {
        extra.extend(more);
    }
    let backend = json!({
        "host": [upstream.url()], "url_pattern": path, "encoding": encoding, "extra_config": extra,
    });
    let mut endpoint = endpoint(path, &[backend]);
    endpoint["output_encoding"] = encoding.into();
    endpoint["input_headers"] = json!(["*"]);
    endpoint
}

#[test]
fn an_answer_that_one_core_keeps_is_given_by_all() {
    let upstream = Upstream::start();
    upstream.on("/json", fresh(Reply::json(json!({"n": 1}))));
    upstream.on("/raw", fresh(Reply::text("raw").header("X-Own", "1")));
    upstream.on("/pieces", fresh(Reply::pattern(100_000).chunked(700)));
    let endpoints = [
        cached("/json", &upstream, "json", json!({})),
        cached("/raw", &upstream, "no-op", json!({})),
        cached("/pieces", &upstream, "no-op", json!({})),
    ];
    let gateway = Gateway::with(json!({"endpoints": endpoints})).workers(4).start();
    let first = gateway.get("/pieces");
    for _ in 0..12 {
        assert_eq!(gateway.get("/json").json(), json!({"n": 1}));
        let raw = gateway.get("/raw");
        assert_eq!((raw.text().as_str(), raw.header("x-own")), ("raw", Some("1")));
        assert!(gateway.get("/pieces").body == first.body);
    }
    assert_eq!(upstream.requests(), 3);
}

#[test]
fn large_answers_and_streams_pass_through() {
    let upstream = Upstream::start();
    let large = 5 * 1024 * 1024;
    upstream.on("/known", fresh(Reply::pattern(large)));
    upstream.on("/unknown", fresh(Reply::pattern(large).chunked(10_000)));
    let events = Reply::bytes(&[b'x'; 80]).chunked(10).drip(10, Duration::from_millis(700));
    upstream.on("/events", fresh(events).header("Content-Type", "text/event-stream"));
    let endpoints =
        ["/known", "/unknown", "/events"].map(|path| cached(path, &upstream, "no-op", json!({})));
    let gateway = Gateway::start(json!({"endpoints": endpoints, "timeout": "20s"}));
    for _ in 0..2 {
        let known = gateway.get("/known").body;
        assert_eq!(known.len() as u64, large);
        let unknown = gateway.get("/unknown");
        assert!(unknown.body == known, "what was read ahead is not lost");
        assert_eq!(unknown.header("cache-control"), Some("max-age=600"));
    }
    assert_eq!(upstream.requests(), 4, "nothing of it was kept");
    let mut client = Client::connect(gateway.address());
    let begin = std::time::Instant::now();
    client.write(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    client.read_head("GET").unwrap();
    assert!(begin.elapsed() < Duration::from_millis(2800), "the head came before the last event");
}

#[test]
fn answers_for_one_client_are_kept_only_where_one_asks_for_it() {
    let upstream = Upstream::start();
    let mine = |path: &str| {
        upstream.on(path, fresh(Reply::json(json!({"n": 1}))).header("Set-Cookie", "a=1"));
    };
    mine("/safe");
    mine("/old");
    upstream.on("/credentials", fresh(Reply::json(json!({"n": 1}))));
    let endpoints = [
        cached("/safe", &upstream, "json", json!({})),
        cached("/old", &upstream, "json", json!({"shoal/http-cache": {"as_original": true}})),
        cached("/credentials", &upstream, "json", json!({})),
    ];
    let gateway = Gateway::start(json!({"endpoints": endpoints}));
    let mut client = Client::connect(gateway.address());
    for _ in 0..3 {
        for path in ["/safe", "/old"] {
            assert_eq!(client.get(path).unwrap().status(), 200);
        }
        client
            .write(b"GET /credentials HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\n\r\n")
            .unwrap();
        assert_eq!(client.read("GET").unwrap().status(), 200);
    }
    let seen = ["/safe", "/old", "/credentials"].map(|path| upstream.seen_at(path));
    assert_eq!(seen, [3, 1, 3]);
}
