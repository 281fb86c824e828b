//! Where backends are: names, lists of hosts, IPv6.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use socket2::{Domain, Socket, Type};

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

/// A port where the host of one family answers no connection: its queue is full, so dials stay under way.
fn black_hole(address: IpAddr) -> (SocketAddr, Vec<Socket>) {
    let socket =
        || Socket::new(Domain::for_address((address, 0).into()), Type::STREAM, None).unwrap();
    let host = socket();
    host.bind(&SocketAddr::new(address, 0).into()).unwrap();
    host.listen(0).unwrap();
    let address = host.local_addr().unwrap().as_socket().unwrap();
    let filling = (0..8).map(|_| {
        let socket = socket();
        socket.set_nonblocking(true).unwrap();
        drop(socket.connect(&address.into()));
        socket
    });
    let mut sockets: Vec<Socket> = filling.collect();
    sockets.push(host);
    (address, sockets)
}

/// A name server that knows the loopback addresses of both families for every name. It ends with the test program.
fn name_server() -> SocketAddr {
    const ADDRESS_OF_IPV4: u8 = 1;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((_, client)) = socket.recv_from(&mut query) {
            // Behind the header of 12 bytes: the name up to its empty label, the type and the class.
            let name_end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap();
            let question = &query[12..name_end + 5];
            let record_type = question[question.len() - 3];
            let data: Vec<u8> = match record_type {
                ADDRESS_OF_IPV4 => Ipv4Addr::LOCALHOST.octets().to_vec(),
                _ => Ipv6Addr::LOCALHOST.octets().to_vec(),
            };
            let header = [query[0], query[1], 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
            let record =
                [0xc0, 12, 0, record_type, 0, 1, 0, 0, 0, 60, 0, u8::try_from(data.len()).unwrap()];
            let answer = [&header[..], question, &record, &data].concat();
            socket.send_to(&answer, client).unwrap();
        }
    });
    address
}

#[test]
fn the_other_family_of_addresses_is_tried_before_long() {
    let (four, six) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST));
    if TcpListener::bind((six, 0)).is_err() {
        eprintln!("this machine has no IPv6 loopback: left out");
        return;
    }
    let name_server = name_server();
    // Whichever is tried first, one of the two turns begins with the silent one.
    for (silent, answering) in [(four, six), (six, four)] {
        let (hole, _sockets) = black_hole(silent);
        let upstream = Upstream::start_at(SocketAddr::new(answering, hole.port()));
        upstream.on("/raw", Reply::text("found"));
        let named = format!("http://two-families.test:{}", hole.port());
        let gateway = Gateway::with(json!({
            "timeout": "10s", "dialer_fallback_delay": "200ms",
            "endpoints": [no_op("GET", "/raw", &named)]
        }))
        .env("SHOAL_DNS_SERVER", &name_server.to_string())
        .start();
        let begin = Instant::now();
        assert_eq!(gateway.get("/raw").text(), "found");
        let took = begin.elapsed();
        assert!(took < Duration::from_millis(1_500), "{silent} held it up for {took:?}");
    }
}
