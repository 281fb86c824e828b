//! `security/…` around everything: the order of the guards, and what passes by them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{
    Client, Driver, Gateway, Reply, Response, Upstream, endpoint, eventually, no_op,
};

/// Sends these headers and no others; `Host` must be among them.
fn request(gateway: &Gateway, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut text = format!("{method} {path} HTTP/1.1\r\n");
    for (name, value) in headers {
        text.extend([name, ": ", value, "\r\n"]);
    }
    text.push_str("\r\n");
    let mut client = Client::connect(gateway.address());
    client.write(text.as_bytes()).unwrap();
    client.read(method).unwrap()
}

/// All blocks at once, and an endpoint with a detector of its own.
fn guarded(upstream: &Upstream) -> Value {
    upstream.on("*", Reply::json(json!({"a": 1})));
    let mut inner =
        endpoint("/inner/{id}", &[json!({"host": [upstream.url()], "url_pattern": "/x"})]);
    inner["extra_config"] = json!({"security/bot-detector": {"deny": ["inner"]}});
    json!({
        "endpoints": [inner, no_op("GET", "/raw", &upstream.url())],
        "echo_endpoint": true,
        "extra_config": {
            "security/cors": {"allow_origins": ["https://a.test"]},
            "security/http": {"allowed_hosts": ["good"], "frame_deny": true},
            "security/bot-detector": {"deny": ["outer"]},
            "router": {"return_error_msg": true}
        }
    })
}

#[test]
fn cors_is_outside_of_hosts_and_hosts_are_outside_of_bots() {
    for driver in Driver::available() {
        let upstream = Upstream::start();
        let gateway = Gateway::with(guarded(&upstream)).driver(driver).start();
        let origin = ("Origin", "https://a.test");
        let (good, bad) = (("Host", "good"), ("Host", "bad"));
        let (outer, inner) = (("User-Agent", "outer"), ("User-Agent", "inner"));
        let table: &[(&str, &[(&str, &str)], u16, bool)] = &[
            // path, headers, status, has the headers of security/http
            ("/inner/1", &[good, origin], 200, true),
            ("/inner/1", &[bad, origin, outer], 500, false),
            ("/inner/1", &[good, origin, outer], 403, true),
            ("/inner/1", &[good, origin, inner], 403, true),
            ("/raw", &[good, origin, inner], 200, true),
            ("/nowhere", &[good, origin], 404, true),
            ("/nowhere", &[good, origin, outer], 403, true),
            ("/nowhere", &[bad, origin], 500, false),
            ("/__echo/", &[good, origin, outer], 403, true),
            ("/__echo/", &[good, origin], 200, true),
            // These pass by all but CORS.
            ("/__health", &[bad, origin, outer], 200, false),
            ("/raw/", &[bad, origin, outer], 301, false),
            ("/inner/%2541", &[bad, origin, outer], 400, false),
        ];
        for (path, headers, status, has_frame_options) in table {
            let response = request(&gateway, "GET", path, headers);
            assert_eq!(response.status(), *status, "{path} {headers:?}");
            assert_eq!(response.header("x-frame-options").is_some(), *has_frame_options, "{path}");
            assert_eq!(response.header("vary"), Some("Origin"), "{path}");
            assert_eq!(response.header("access-control-allow-origin"), Some("https://a.test"));
        }
        assert_eq!(upstream.requests(), 2, "what is refused reaches no upstream");
        eventually("the log tells", Duration::from_secs(5), || {
            gateway.log().contains("bot rejected")
        });
    }
}

#[test]
fn preflights_are_answered_before_everything() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(guarded(&upstream));
    let headers = [
        ("Host", "bad"),
        ("User-Agent", "outer"),
        ("Origin", "https://a.test"),
        ("Access-Control-Request-Method", "GET"),
    ];
    for path in ["/raw", "/nowhere", "/raw/", "/inner/%2541", "/__health"] {
        let response = request(&gateway, "OPTIONS", path, &headers);
        assert_eq!(response.status(), 204, "{path}");
        assert_eq!(response.header("access-control-allow-methods"), Some("GET"));
        assert_eq!(response.header("allow"), None, "{path}");
    }
    assert_eq!(upstream.requests(), 0);
}

#[test]
fn a_wrong_method_is_told_what_is_allowed_also_by_a_guard() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(guarded(&upstream));
    let headers = [("Host", "good"), ("User-Agent", "outer")];
    let response = request(&gateway, "DELETE", "/raw", &headers);
    assert_eq!((response.status(), response.header("allow")), (403, Some("GET")));
}

#[test]
fn a_block_that_cannot_be_understood_stops_the_start() {
    for (namespace, block, word, stops_lenient) in [
        ("security/cors", json!({"allow_origins": "https://a.test"}), "allow_origins", false),
        ("security/http", json!({"frame_deny": 1}), "frame_deny", false),
        (
            "security/http",
            json!({"allowed_hosts": ["("], "allowed_hosts_are_regex": true}),
            "allowed_hosts[0]",
            true,
        ),
        ("security/bot-detector", json!({"patterns": ["("]}), "patterns[0]", false),
    ] {
        let config = json!({"version": 3, "endpoints": [], "extra_config": {namespace: block}});
        let files = [("krakend.json", config.to_string())];
        let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
        let check = |arguments: &[&str]| crate::harness::gateway::run(&files, arguments);
        let (status, log) = check(&["check", "-c", "krakend.json"]);
        assert!(!status.success() && log.contains(word), "{log}");
        let command = if stops_lenient { "run" } else { "check" };
        let (status, log) = check(&[command, "--lenient", "-c", "krakend.json"]);
        assert_eq!(status.success(), !stops_lenient, "{log}");
    }
}
