//! Tokens, with key servers and token endpoints that are slow, down or change their minds.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64_URL;
use serde_json::{Value, json};

use crate::harness::{Client, Driver, Gate, Gateway, Reply, Upstream, eventually, free_port};

const PATIENCE: Duration = Duration::from_secs(10);

/// A token of HS256; the key is its own name.
fn token(kid: &str, claims: &Value) -> String {
    let header = json!({"alg": "HS256", "kid": kid});
    let part = |value: &Value| BASE64_URL.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(claims));
    let signature =
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, kid.as_bytes()), signed.as_bytes());
    format!("{signed}.{}", BASE64_URL.encode(signature))
}

fn set(kids: &[&str]) -> Reply {
    let key = |kid: &&str| json!({"kty": "oct", "kid": kid, "k": BASE64_URL.encode(kid)});
    Reply::json(json!({"keys": kids.iter().map(key).collect::<Vec<_>>()}))
}

fn guarded(path: &str, host: &str, more: &Value) -> Value {
    let mut block = json!({"alg": "HS256", "disable_jwk_security": true});
    block.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"endpoint": path, "input_headers": ["X-User"], "extra_config": {"auth/validator": block},
        "backend": [{"host": [host], "url_pattern": "/a/{JWT.sub}"}]})
}

fn status(gateway: &Gateway, path: &str, token: &str) -> u16 {
    let mut client = Client::connect(gateway.address());
    let authorization = format!("Bearer {token}");
    let headers = [("Authorization", authorization.as_str())];
    client.send("GET", path, &headers, None).unwrap();
    client.read("GET").unwrap().status()
}

fn fetches(upstream: &Upstream) -> usize {
    upstream.seen().iter().filter(|seen| seen.path() == "/set").count()
}

#[test]
fn one_fetch_serves_all_who_wait_and_nobody_else_waits() {
    for driver in Driver::available() {
        let (upstream, keys, gate) = (Upstream::start(), Upstream::start(), Gate::new());
        upstream.on("/a/anna", Reply::json(json!({"a": 1})));
        keys.on("/set", set(&["k"]).held_by(&gate));
        let url = format!("{}/set", keys.url());
        let open = json!({"endpoint": "/open", "backend": [{"host": [upstream.url()], "url_pattern": "/a/anna"}]});
        let guarded = guarded("/guarded", &upstream.url(), &json!({"jwk_url": url}));
        let gateway = Gateway::with(json!({"endpoints": [guarded, open]})).driver(driver).start();
        let good = token("k", &json!({"sub": "anna"}));
        thread::scope(|scope| {
            let waiting: Vec<_> =
                (0..20).map(|_| scope.spawn(|| status(&gateway, "/guarded", &good))).collect();
            eventually("the set is asked for", PATIENCE, || keys.begun_at("/set") > 0);
            let begin = Instant::now();
            assert_eq!(gateway.get("/open").status(), 200);
            assert!(begin.elapsed() < Duration::from_secs(2), "a core waited for the key server");
            thread::sleep(Duration::from_millis(200));
            gate.open();
            for answer in waiting {
                assert_eq!(answer.join().unwrap(), 200);
            }
        });
        assert!(fetches(&keys) <= 3, "{} fetches for 20 requests", fetches(&keys));
    }
}

#[test]
fn a_cached_set_is_fetched_for_a_new_key_and_not_for_known_ones() {
    let (upstream, keys) = (Upstream::start(), Upstream::start());
    upstream.on("/a/anna", Reply::json(json!({"a": 1})));
    keys.on("/set", set(&["old"]));
    let more = json!({"jwk_url": format!("{}/set", keys.url()), "cache": true});
    let gateway =
        Gateway::start(json!({"endpoints": [guarded("/guarded", &upstream.url(), &more)]}));
    let claims = json!({"sub": "anna"});
    let get = |kid: &str| status(&gateway, "/guarded", &token(kid, &claims));
    assert_eq!(get("old"), 200);
    let before = fetches(&keys);
    assert!((0..20).all(|_| get("old") == 200));
    assert_eq!(fetches(&keys), before);
    assert_eq!(get("new"), 401);
    keys.on("/set", set(&["new"]));
    assert_eq!(get("new"), 200);
    assert_eq!(get("old"), 200, "until its own time is over");
    assert_eq!(fetches(&keys), before + 2);
}

#[test]
fn a_key_that_was_taken_out_counts_no_more_once_its_time_is_over() {
    let (upstream, keys) = (Upstream::start(), Upstream::start());
    upstream.on("/a/anna", Reply::json(json!({"a": 1})));
    keys.on("/set", set(&["old"]));
    let more =
        json!({"jwk_url": format!("{}/set", keys.url()), "cache": true, "cache_duration": 1});
    let gateway =
        Gateway::start(json!({"endpoints": [guarded("/guarded", &upstream.url(), &more)]}));
    let good = token("old", &json!({"sub": "anna"}));
    assert_eq!(status(&gateway, "/guarded", &good), 200);
    keys.on("/set", set(&["new"]));
    eventually("the key is forgotten", PATIENCE, || status(&gateway, "/guarded", &good) == 401);
}

#[test]
fn a_claim_that_would_split_a_message_fails_the_request() {
    let (upstream, keys) = (Upstream::start(), Upstream::start());
    upstream.on("/a/anna", Reply::json(json!({"a": 1})));
    keys.on("/set", set(&["k"]));
    let url = format!("{}/set", keys.url());
    let more = json!({"jwk_url": url, "propagate_claims": [["name", "X-User"]]});
    let gateway =
        Gateway::start(json!({"endpoints": [guarded("/guarded", &upstream.url(), &more)]}));
    let with = |name: &str| {
        let claims = json!({"sub": "anna", "name": name});
        status(&gateway, "/guarded", &token("k", &claims))
    };
    assert_eq!(with("Anna \u{e4}"), 200);
    assert_eq!(upstream.seen().last().unwrap().header("X-User"), Some("Anna \u{e4}"));
    let before = upstream.seen().len();
    assert_eq!(with("a\r\nX-Admin: 1"), 500);
    assert_eq!(upstream.seen().len(), before, "nothing was sent");
}

#[test]
fn what_the_client_names_in_connection_does_not_take_a_claim_away() {
    let (upstream, keys) = (Upstream::start(), Upstream::start());
    upstream.on("/a/anna", Reply::json(json!({"a": 1})));
    keys.on("/set", set(&["k"]));
    let url = format!("{}/set", keys.url());
    let more = json!({"jwk_url": url, "propagate_claims": [["sub", "X-User"]]});
    let gateway =
        Gateway::start(json!({"endpoints": [guarded("/guarded", &upstream.url(), &more)]}));
    let authorization = format!("Bearer {}", token("k", &json!({"sub": "anna"})));
    let headers = [
        ("Authorization", authorization.as_str()),
        ("Connection", "X-User"),
        ("X-User", "mallory"),
    ];
    let mut client = Client::connect(gateway.address());
    client.send("GET", "/guarded", &headers, None).unwrap();
    assert_eq!(client.read("GET").unwrap().status(), 200);
    assert_eq!(upstream.seen().last().unwrap().header("X-User"), Some("anna"));
}

#[test]
fn rubbish_on_the_revoker_s_port_is_closed_and_harms_nobody() {
    let port = free_port();
    let revoker =
        json!({"N": 1000, "P": 0.000_001, "TTL": 60, "port": port, "token_keys": ["jti"]});
    let gateway =
        Gateway::start(json!({"endpoints": [], "extra_config": {"auth/revoker": revoker}}));
    eventually("the port is open", PATIENCE, || TcpStream::connect(("127.0.0.1", port)).is_ok());
    for rubbish in [b"GET / HTTP/1.1\r\n\r\n".as_slice(), &[0xFF; 64], &[0xF8; 64], &[0; 64]] {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.write_all(rubbish);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty());
    }
    assert_eq!(gateway.get("/__health").status(), 200);
}

#[test]
fn one_access_token_is_fetched_for_all_calls_that_wait() {
    for driver in Driver::available() {
        let (upstream, tokens, gate) = (Upstream::start(), Upstream::start(), Gate::new());
        upstream.on("/a", Reply::json(json!({"a": 1})));
        let answer = json!({"access_token": "abc", "token_type": "bearer", "expires_in": 3600});
        tokens.on("/token", Reply::json(answer).held_by(&gate));
        let block = json!({"client_id": "me", "client_secret": "x", "token_url": format!("{}/token", tokens.url())});
        let backend = json!({"host": [upstream.url()], "url_pattern": "/a",
            "extra_config": {"auth/client-credentials": block}});
        let endpoint = json!({"endpoint": "/a", "timeout": "20s", "backend": [backend]});
        let gateway = Gateway::with(json!({"endpoints": [endpoint]})).driver(driver).start();
        thread::scope(|scope| {
            let waiting: Vec<_> =
                (0..20).map(|_| scope.spawn(|| gateway.get("/a").status())).collect();
            eventually("a token is asked for", PATIENCE, || tokens.begun_at("/token") > 0);
            thread::sleep(Duration::from_millis(200));
            gate.open();
            for answer in waiting {
                assert_eq!(answer.join().unwrap(), 200);
            }
        });
        assert_eq!(tokens.seen().len(), 1);
        let seen = upstream.seen();
        assert!(seen.iter().all(|seen| seen.header("Authorization") == Some("Bearer abc")));
    }
}

#[test]
fn a_token_endpoint_that_does_not_answer_costs_the_call_s_own_time() {
    let (upstream, tokens, gate) = (Upstream::start(), Upstream::start(), Gate::new());
    upstream.on("/a", Reply::json(json!({"a": 1})));
    tokens.on("/token", Reply::nothing().held_by(&gate));
    let block = json!({"client_id": "me", "client_secret": "x", "token_url": format!("{}/token", tokens.url())});
    let backend = json!({"host": [upstream.url()], "url_pattern": "/a",
        "extra_config": {"auth/client-credentials": block}});
    let endpoint = json!({"endpoint": "/a", "timeout": "300ms", "backend": [backend]});
    let gateway = Gateway::start(json!({"endpoints": [endpoint]}));
    let begin = Instant::now();
    assert_eq!(gateway.get("/a").status(), 500);
    assert!(begin.elapsed() < Duration::from_secs(3));
    gate.open();
}
