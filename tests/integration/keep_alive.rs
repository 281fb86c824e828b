//! Several requests on one connection.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Client, ClientError, Gate, Gateway, Reply, Upstream, endpoint, no_op};

const SOON: Duration = Duration::from_secs(3);

fn gateway(upstream: &Upstream) -> Gateway {
    let url = upstream.url();
    let json_endpoint = endpoint("/json", &[json!({"host": [url], "url_pattern": "/json"})]);
    Gateway::start(json!({"endpoints": [
        no_op("GET", "/one", &url), no_op("GET", "/two", &url), no_op("POST", "/three", &url), json_endpoint
    ]}))
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::start();
    let gate = Gate::new();
    upstream.on("/one", Reply::text("first").held_by(&gate));
    upstream.on("/two", Reply::text("second"));
    upstream.on_each("/three", |seen, _| Reply::text(&String::from_utf8_lossy(&seen.body)));
    let gateway = gateway(&upstream);
    let mut client = Client::connect(gateway.address());
    let requests = "GET /one HTTP/1.1\r\nHost: h\r\n\r\n\
                    GET /two HTTP/1.1\r\nHost: h\r\n\r\n\
                    POST /three HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nthird\
                    POST /three HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nfou\r\n3\r\nrth\r\n0\r\n\r\n\
                    GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n";
    client.write(requests.as_bytes()).unwrap();
    upstream.wait_for_requests(1);
    gate.open();
    for want in ["first", "second", "third", "fourth"] {
        assert_eq!(client.read("GET").unwrap().text(), want);
    }
    assert_eq!(client.read("GET").unwrap().status(), 404);
    assert!(client.surplus().is_empty());
}

#[test]
fn a_request_in_single_bytes_is_a_request() {
    let upstream = Upstream::start();
    upstream.on("/three", Reply::text("whole"));
    let gateway = gateway(&upstream);
    let mut client = Client::connect(gateway.address());
    for byte in
        b"POST /three HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
    {
        client.write(&[*byte]).unwrap();
    }
    assert_eq!(client.read("POST").unwrap().text(), "whole");
    assert_eq!(upstream.seen()[0].body, b"ab");
}

#[test]
fn failures_leave_the_connection_usable() {
    let upstream = Upstream::start();
    upstream.on("/json", Reply::text("no JSON"));
    upstream.on("/one", Reply::nothing());
    upstream.on("/two", Reply::text("fine"));
    let gateway = gateway(&upstream);
    let mut client = Client::connect(gateway.address());
    for (path, status) in
        [("/json", 500), ("/one", 500), ("/nowhere", 404), ("/three", 405), ("/two", 200)]
    {
        assert_eq!(client.get(path).unwrap().status(), status, "{path}");
    }
}

#[test]
fn a_client_that_says_close_is_left_after_the_answer() {
    let upstream = Upstream::start();
    upstream.on("/one", Reply::text("last"));
    let gateway = gateway(&upstream);
    let mut client = Client::connect(gateway.address());
    client.send("GET", "/one", &[("Connection", "close")], None).unwrap();
    let response = client.read("GET").unwrap();
    assert_eq!((response.text().as_str(), response.head.closes()), ("last", true));
    assert!(client.is_ended_by_server(SOON));
}

#[test]
fn http_1_0_gets_a_body_it_can_read_and_the_end() {
    let upstream = Upstream::start();
    upstream.on("/one", Reply::text("old but whole").chunked(4));
    let gateway = gateway(&upstream);
    let mut client = Client::connect(gateway.address());
    client.write(b"GET /one HTTP/1.0\r\nHost: h\r\n\r\n").unwrap();
    let response = client.read("GET").unwrap();
    assert_eq!(
        response.header("transfer-encoding"),
        None,
        "RFC 9112 section 6.1: not for HTTP/1.0"
    );
    assert_eq!(response.text(), "old but whole");
    assert!(response.head.closes() && client.is_ended_by_server(SOON));
}

#[test]
fn an_unread_body_does_not_become_the_next_request() {
    let upstream = Upstream::start();
    upstream.on("/two", Reply::text("fine"));
    let gateway = gateway(&upstream);
    let mut client = Client::connect(gateway.address());
    let body = "GET /one HTTP/1.1\r\nHost: h\r\n\r\n";
    client.send("POST", "/nowhere", &[], Some(body.as_bytes())).unwrap();
    let response = client.read("POST").unwrap();
    assert_eq!(response.status(), 404);
    match client.get("/two") {
        Ok(next) => assert_eq!(next.text(), "fine"),
        Err(ClientError::Closed | ClientError::Reset) => {} // closing is the other right way
        Err(error) => panic!("{error}"),
    }
    assert_eq!(upstream.seen_at("/one"), 0);
}
