//! Several backends, one answer.

use serde_json::json;

use crate::harness::{Gate, Gateway, Reply, Upstream, endpoint, get};

fn gateway(upstream: &Upstream, backends: &[serde_json::Value]) -> Gateway {
    Gateway::start(json!({"host": [upstream.url()], "endpoints": [endpoint("/all", backends)]}))
}

#[test]
fn answers_are_merged_into_one_object() {
    let upstream = Upstream::start();
    upstream.on("/user", Reply::json(json!({"id": 7, "name": "Ada"})));
    upstream.on("/orders", Reply::json(json!({"items": [1, 2]})));
    let gateway = gateway(
        &upstream,
        &[json!({"url_pattern": "/user", "group": "user"}), json!({"url_pattern": "/orders"})],
    );
    let response = gateway.get("/all");
    assert_eq!(response.status(), 200);
    assert!(response.is_completed());
    assert_eq!(response.json(), json!({"user": {"id": 7, "name": "Ada"}, "items": [1, 2]}));
    assert_eq!((upstream.seen_at("/user"), upstream.seen_at("/orders")), (1, 1));
}

#[test]
fn backends_are_asked_at_the_same_time() {
    let upstream = Upstream::start();
    let gate = Gate::new();
    for path in ["/a", "/b", "/c"] {
        upstream.on(path, Reply::json(json!({path: true})).held_by(&gate));
    }
    let backends = ["/a", "/b", "/c"].map(|path| json!({"url_pattern": path}));
    let gateway = gateway(&upstream, &backends);
    let address = gateway.address();
    let client = std::thread::spawn(move || get(address, "/all"));
    upstream.wait_for_requests(3); // none of them was answered
    gate.open();
    assert_eq!(client.join().unwrap().json(), json!({"/a": true, "/b": true, "/c": true}));
}

#[test]
fn a_failed_backend_leaves_a_partial_answer() {
    let upstream = Upstream::start();
    upstream.on("/good", Reply::json(json!({"good": 1})));
    upstream.on("/bad", Reply::json(json!({"bad": 1})).status(503));
    let gateway =
        gateway(&upstream, &[json!({"url_pattern": "/good"}), json!({"url_pattern": "/bad"})]);
    let response = gateway.get("/all");
    assert_eq!((response.status(), response.is_completed()), (200, false));
    assert_eq!(response.json(), json!({"good": 1}));
}

#[test]
fn a_slow_backend_is_left_out_before_the_deadline() {
    let upstream = Upstream::start();
    let gate = Gate::new();
    upstream.on("/good", Reply::json(json!({"good": 1})));
    upstream.on("/slow", Reply::json(json!({"slow": 1})).held_by(&gate));
    let mut all =
        endpoint("/all", &[json!({"url_pattern": "/good"}), json!({"url_pattern": "/slow"})]);
    all["timeout"] = json!("600ms");
    let gateway = Gateway::start(json!({"host": [upstream.url()], "endpoints": [all]}));
    let response = gateway.get("/all");
    gate.open();
    assert_eq!((response.status(), response.is_completed()), (200, false));
    assert_eq!(response.json(), json!({"good": 1}));
}

#[test]
fn nothing_but_failures_is_a_500() {
    let upstream = Upstream::start();
    upstream.on("/a", Reply::text("no").status(404));
    upstream.on("/b", Reply::nothing());
    let gateway = gateway(&upstream, &[json!({"url_pattern": "/a"}), json!({"url_pattern": "/b"})]);
    let response = gateway.get("/all");
    assert_eq!((response.status(), response.text()), (500, String::new()));
}

#[test]
fn large_documents_are_merged_whole() {
    let upstream = Upstream::start();
    let list = |from: u32| (from..from + 60_000).map(|n| json!({"n": n})).collect::<Vec<_>>();
    upstream.on("/a", Reply::json(json!({"a": list(0), "dropped": list(5)})).chunked(10_007));
    upstream.on("/b", Reply::json(json!({"b": list(60_000)})));
    let gateway = gateway(
        &upstream,
        &[json!({"url_pattern": "/a", "allow": ["a"]}), json!({"url_pattern": "/b"})],
    );
    let response = gateway.get("/all");
    assert!(response.json() == json!({"a": list(0), "b": list(60_000)}), "the documents differ");
}

#[test]
fn a_sequence_passes_values_from_answer_to_request() {
    let upstream = Upstream::start();
    upstream.on("/session", Reply::json(json!({"user": {"id": 42}})));
    upstream.on("/users/42", Reply::json(json!({"name": "Ada"})));
    let mut all = endpoint(
        "/all",
        &[json!({"url_pattern": "/session"}), json!({"url_pattern": "/users/{resp0_user.id}"})],
    );
    all["extra_config"] = json!({"proxy": {"sequential": true}});
    let gateway = Gateway::start(json!({"host": [upstream.url()], "endpoints": [all]}));
    assert_eq!(gateway.get("/all").json(), json!({"user": {"id": 42}, "name": "Ada"}));
}
