//! Where backends are: names, lists of hosts, IPv6.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Gateway, Reply, Upstream, free_port, get, no_op, post as post_to};

#[test]
fn a_host_by_name_is_found() {
    let upstream = Upstream::start();
    upstream.on("/raw", Reply::text("found"));
    let named = format!("http://localhost:{}", upstream.address().port());
    let gateway = Gateway::start(json!({"endpoints": [no_op("GET", "/raw", &named)]}));
    assert_eq!(gateway.get("/raw").text(), "found");
    assert_eq!(upstream.seen()[0].header("host"), Some(named.trim_start_matches("http://")));
}

#[test]
fn a_name_that_does_not_resolve_holds_up_nobody_else() {
    let upstream = Upstream::start();
    upstream.on("/fine", Reply::text("fine"));
    let gateway = Gateway::with(json!({"timeout": "2s", "endpoints": [
        no_op("GET", "/lost", "http://no-such-host.invalid:8080"), no_op("GET", "/fine", &upstream.url())
    ]}))
    .workers(1)
    .start();
    let address = gateway.address();
    let lost: Vec<_> =
        (0..4).map(|_| thread::spawn(move || get(address, "/lost").status())).collect();
    for _ in 0..100 {
        let begin = Instant::now();
        assert_eq!(gateway.get("/fine").text(), "fine");
        assert!(begin.elapsed() < Duration::from_secs(1), "held up for {:?}", begin.elapsed());
    }
    assert!(lost.into_iter().all(|client| client.join().unwrap() == 500));
}

#[test]
fn a_list_of_hosts_shares_the_load() {
    let upstreams: Vec<_> = (0..3).map(|_| Upstream::start()).collect();
    let mut endpoint = no_op("GET", "/raw", "");
    endpoint["backend"][0]["host"] = upstreams.iter().map(Upstream::url).collect();
    for upstream in &upstreams {
        upstream.on("/raw", Reply::text("one of three"));
    }
    let gateway = Gateway::start(json!({"endpoints": [endpoint]}));
    for _ in 0..90 {
        assert_eq!(gateway.get("/raw").status(), 200);
    }
    let shares: Vec<_> = upstreams.iter().map(Upstream::requests).collect();
    assert_eq!(shares.iter().sum::<usize>(), 90);
    assert!(shares.iter().all(|share| *share >= 10), "{shares:?}");
}

#[test]
fn ipv6_serves_on_both_sides() {
    let loopback = IpAddr::V6(Ipv6Addr::LOCALHOST);
    if TcpListener::bind((loopback, 0)).is_err() {
        eprintln!("this machine has no IPv6 loopback: left out");
        return;
    }
    let upstream = Upstream::start_at(SocketAddr::new(loopback, 0));
    upstream.on("/raw", Reply::text("six"));
    let mut endpoint = no_op("GET", "/raw", &upstream.url());
    // The original's rule for hosts knows no brackets; without the rule they are fine.
    endpoint["backend"][0]["disable_host_sanitize"] = json!(true);
    let gateway = Gateway::with(json!({"endpoints": [endpoint]})).address(loopback).start();
    assert_eq!(gateway.get("/raw").text(), "six");
    assert_eq!(upstream.seen()[0].header("x-forwarded-for"), Some("::1"));
}

/// An address where nobody listens.
fn dead() -> String {
    format!("http://127.0.0.1:{}", free_port())
}

#[test]
fn a_call_moves_on_from_a_host_that_cannot_be_connected_to() {
    let upstream = Upstream::start();
    upstream.on("/raw", Reply::text("alive"));
    upstream.on("/under/raw", Reply::text("alive below"));
    let dead_host = dead();
    let mut get = no_op("GET", "/raw", "");
    get["backend"][0]["host"] = json!([dead_host, upstream.url()]);
    let mut post = no_op("POST", "/raw", "");
    post["backend"][0]["host"] = json!([dead_host, upstream.url()]);
    let mut prefixed = no_op("GET", "/other", "");
    prefixed["backend"][0]["url_pattern"] = json!("/raw");
    prefixed["backend"][0]["disable_host_sanitize"] = json!(true);
    prefixed["backend"][0]["host"] = json!([dead_host, format!("{}/under", upstream.url())]);
    let gateway = Gateway::start(json!({"endpoints": [get, post, prefixed]}));
    for _ in 0..20 {
        assert_eq!(gateway.get("/raw").text(), "alive");
        assert_eq!(post_to(gateway.address(), "/raw", b"whole body").text(), "alive");
        assert_eq!(gateway.get("/other").text(), "alive below");
    }
    let seen = upstream.seen();
    assert!(
        seen.iter().filter(|seen| seen.method == "POST").all(|seen| seen.body == b"whole body")
    );
    let own = upstream.url();
    assert!(seen.iter().all(|seen| seen.header("host") == own.strip_prefix("http://")));
}

#[test]
fn without_a_host_that_answers_the_call_fails() {
    let mut endpoint = no_op("GET", "/raw", "");
    endpoint["backend"][0]["host"] = (0..6).map(|_| dead()).collect();
    let gateway = Gateway::start(json!({"endpoints": [endpoint]}));
    assert_eq!(gateway.get("/raw").status(), 500);
}
