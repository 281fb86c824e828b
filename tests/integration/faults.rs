//! Upstreams that break off, lie or talk rubbish.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Client, ClientError, Gateway, Reply, Upstream, endpoint, free_port, no_op};

fn gateway(upstream: &Upstream) -> Gateway {
    let url = upstream.url();
    let decoded = endpoint("/decoded", &[json!({"host": [url], "url_pattern": "/answer"})]);
    let mut raw = no_op("GET", "/raw", &url);
    raw["backend"][0]["url_pattern"] = json!("/answer");
    let mut config = json!({"endpoints": [raw, decoded]});
    config["timeout"] = json!("2s");
    Gateway::start(config)
}

/// Answers from which nothing can be passed on.
fn unusable() -> Vec<(&'static str, Reply)> {
    let endless = [
        b"HTTP/1.1 200 OK\r\n".as_slice(),
        &b"X-Filler: aaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(400_000),
    ]
    .concat();
    vec![
        ("an end before the first byte", Reply::nothing()),
        ("a reset before the first byte", Reply::raw(b"").reset()),
        ("an end within the head", Reply::raw(b"HTTP/1.1 200 OK\r\nContent-Len").close()),
        ("no HTTP", Reply::raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n").close()),
        ("bytes of another protocol", Reply::raw(&[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0]).close()),
        (
            "a status that is no number",
            Reply::raw(b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n").close(),
        ),
        ("a header without colon", Reply::raw(b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n").close()),
        (
            "two lengths",
            Reply::raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x")
                .close(),
        ),
        (
            "a length that is none",
            Reply::raw(b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}").close(),
        ),
        ("a head without end", Reply::raw(&endless).close()),
        (
            "an unknown transfer coding",
            Reply::raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: lzma\r\n\r\n{}").close(),
        ),
    ]
}

/// Answers whose head is fine and whose body is not.
fn broken_bodies() -> Vec<(&'static str, Reply)> {
    let chunked =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let raw = |rest: &str| Reply::raw(format!("{chunked}{rest}").as_bytes()).close();
    let object = json!({"a": "x".repeat(50_000)});
    vec![
        ("a body that is too short", Reply::json(object.clone()).cut_after(30_000)),
        ("a body that is reset", Reply::json(object.clone()).cut_after(30_000).reset()),
        ("chunks that end early", Reply::json(object).chunked(10_000).cut_after(30_000)),
        ("a chunk size that is none", raw("5\r\n{\"a\":\r\nzz\r\n1}\r\n0\r\n\r\n")),
        ("a chunk longer than its size", raw("3\r\n{\"a\":1,\"b\":2}\r\n0\r\n\r\n")),
        (
            "a chunk size beyond bounds",
            raw("5\r\n{\"a\":\r\nffffffffffffffffff\r\n1}\r\n0\r\n\r\n"),
        ),
        ("chunks without the last one", raw("5\r\n{\"a\":\r\n")),
    ]
}

#[test]
fn an_unusable_answer_is_a_500() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    for (label, reply) in unusable() {
        upstream.on("/answer", reply);
        for path in ["/decoded", "/raw"] {
            assert_eq!(gateway.get(path).status(), 500, "{path}: {label}");
        }
    }
    upstream.on("/answer", Reply::json(json!({"a": 1})));
    assert_eq!(gateway.get("/decoded").json(), json!({"a": 1}), "afterwards");
}

#[test]
fn a_broken_body_is_a_500_when_it_is_decoded() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    for (label, reply) in broken_bodies() {
        upstream.on("/answer", reply);
        assert_eq!(gateway.get("/decoded").status(), 500, "{label}");
    }
}

#[test]
fn a_broken_body_never_looks_whole_when_it_is_passed_on() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    for (label, reply) in broken_bodies() {
        upstream.on("/answer", reply);
        let mut client = Client::connect(gateway.address());
        client.send("GET", "/raw", &[], None).unwrap();
        match client.read("GET") {
            Ok(response) => assert_eq!(response.status(), 500, "{label}: {}", response.body.len()),
            Err(ClientError::Truncated { .. } | ClientError::Closed | ClientError::Reset) => {}
            Err(error) => panic!("{label}: {error}"),
        }
    }
}

#[test]
fn nothing_of_a_broken_answer_stays_for_the_next_one() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    for (label, reply) in unusable().into_iter().chain(broken_bodies()) {
        upstream.on("/answer", reply);
        for path in ["/decoded", "/raw"] {
            drop(crate::harness::client::try_get(gateway.address(), path));
        }
        upstream.on("/answer", Reply::json(json!({"fine": label})));
        for path in ["/decoded", "/raw"] {
            assert_eq!(gateway.get(path).json(), json!({"fine": label}), "{path} after {label}");
        }
    }
}

#[test]
fn interim_answers_are_left_out() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n";
    let last =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}";
    upstream.on("/answer", Reply::raw(format!("{interim}{last}").as_bytes()));
    for path in ["/decoded", "/raw"] {
        assert_eq!(gateway.get(path).json(), json!({"a": 1}), "{path}");
    }
}

#[test]
fn an_answer_in_single_bytes_is_an_answer() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    upstream.on("/answer", Reply::json(json!({"a": "slowly"})).drip(1, Duration::from_millis(1)));
    for path in ["/decoded", "/raw"] {
        assert_eq!(gateway.get(path).json(), json!({"a": "slowly"}), "{path}");
    }
}

#[test]
fn an_upstream_that_nobody_is_at_is_a_500_without_delay() {
    let dead = format!("http://127.0.0.1:{}", free_port());
    let gateway = Gateway::start(json!({"timeout": "20s", "endpoints": [
        no_op("GET", "/raw", &dead), endpoint("/decoded", &[json!({"host": [dead], "url_pattern": "/x"})])
    ]}));
    let begin = std::time::Instant::now();
    for path in ["/decoded", "/raw"] {
        assert_eq!(gateway.get(path).status(), 500, "{path}");
    }
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}
