//! Encrypted connections, to clients and to upstreams.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustls::ProtocolVersion;
use serde_json::{Value, json};

use crate::harness::pattern::{self, Check};
use crate::harness::tls::{
    Authority, BOTH, Folder, LARGE_BYTES, Pair, TLS12, TLS13, TlsClient, TlsUpstream, Use,
    client_config, self_signed, server_config,
};
use crate::harness::{Driver, Gateway, Reply, Upstream, eventually, eventually_some, no_op};

/// Waits until the log says so: it is written behind the answers.
#[track_caller]
fn logged(gateway: &Gateway, text: &str) {
    eventually(text, Duration::from_secs(5), || gateway.log().contains(text));
}

fn number(count: &AtomicUsize) -> usize {
    count.load(Ordering::Relaxed)
}

/// A gateway that serves `/small` of a plain upstream with this `tls` block.
fn serving(upstream: &Upstream, tls: &Value) -> Gateway {
    upstream.on("/small", Reply::text("small"));
    Gateway::start(json!({"tls": tls, "endpoints": [no_op("GET", "/small", &upstream.url())]}))
}

/// `pair` with more members.
fn with(mut pair: Value, more: &Value) -> Value {
    pair.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    pair
}

#[test]
fn version_13_is_the_least_unless_12_is_allowed() {
    let (upstream, folder) = (Upstream::start(), Folder::new());
    let pair = Authority::new("ca").sign(&["gw.test"], Use::Server);
    let strict = serving(&upstream, &folder.pair("gw", &pair));
    let mut client =
        TlsClient::connect(strict.address(), &client_config(BOTH, None), "gw.test").unwrap();
    assert_eq!(client.version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(client.get("/small").unwrap(), (200, b"small".to_vec()));
    assert_eq!(client.get("/small").unwrap(), (200, b"small".to_vec()));
    let old = TlsClient::connect(strict.address(), &client_config(TLS12, None), "gw.test");
    assert!(old.is_err(), "TLS 1.2 is refused");

    let tls = with(folder.pair("gw", &pair), &json!({"min_version": "TLS12"}));
    let gateway = serving(&upstream, &tls);
    for (versions, version) in
        [(TLS12, ProtocolVersion::TLSv1_2), (TLS13, ProtocolVersion::TLSv1_3)]
    {
        let config = client_config(versions, None);
        let mut client = TlsClient::connect(gateway.address(), &config, "gw.test").unwrap();
        assert_eq!(client.version(), Some(version));
        assert_eq!(client.get("/small").unwrap(), (200, b"small".to_vec()));
    }
}

#[test]
fn the_name_a_client_asks_for_chooses_the_certificate() {
    let (upstream, folder, ca) = (Upstream::start(), Folder::new(), Authority::new("ca"));
    let (first, second) =
        (ca.sign(&["one.test"], Use::Server), ca.sign(&["*.two.test"], Use::Server));
    let keys = json!({"keys": [folder.pair("one", &first), folder.pair("two", &second)]});
    let gateway = serving(&upstream, &keys);
    for (name, pair) in [("one.test", &first), ("a.two.test", &second), ("other.test", &first)] {
        let config = client_config(BOTH, None);
        let mut client = TlsClient::connect(gateway.address(), &config, name).unwrap();
        assert_eq!(client.certificate(), Some(pair.der()), "{name}");
        assert_eq!(client.get("/small").unwrap().0, 200);
    }
}

#[test]
fn only_clients_with_a_certificate_of_the_authority_are_let_in() {
    let (upstream, folder) = (Upstream::start(), Folder::new());
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let more = json!({
        "enable_mtls": true, "ca_certs": [folder.write("ca.pem", &ca.certificate)],
        "disable_system_ca_pool": true, "min_version": "TLS12"
    });
    let server = ca.sign(&["gw.test"], Use::Server);
    let gateway = serving(&upstream, &with(folder.pair("gw", &server), &more));
    let asked = |versions, pair: Option<&_>| {
        let config = client_config(versions, pair);
        TlsClient::connect(gateway.address(), &config, "gw.test")
            .and_then(|mut client| client.get("/small"))
    };
    let good = ca.sign(&["client"], Use::Client);
    for versions in [TLS12, TLS13] {
        assert_eq!(asked(versions, Some(&good)).unwrap(), (200, b"small".to_vec()));
        let why = |result: std::io::Result<_>| match result {
            Ok(_) => panic!("let in"),
            Err(error) => error.to_string(),
        };
        // The client learns why: the alert is not lost in a reset.
        assert!(why(asked(versions, None)).contains("alert"), "no certificate");
        let stranger = other.sign(&["client"], Use::Client);
        assert!(why(asked(versions, Some(&stranger))).contains("alert"), "another authority");
        let wrong_use = ca.sign(&["client"], Use::Server);
        assert!(why(asked(versions, Some(&wrong_use))).contains("alert"), "no client");
    }
    assert_eq!(upstream.requests(), 2);
}

#[test]
fn sessions_are_taken_up_again() {
    let (upstream, folder) = (Upstream::start(), Folder::new());
    let pair = Authority::new("ca").sign(&["gw.test"], Use::Server);
    let tls = with(folder.pair("gw", &pair), &json!({"min_version": "TLS12"}));
    let gateway = serving(&upstream, &tls);
    for versions in [TLS12, TLS13] {
        let config = client_config(versions, None);
        for round in 0..4 {
            let mut client = TlsClient::connect(gateway.address(), &config, "gw.test").unwrap();
            assert_eq!(client.get("/small").unwrap(), (200, b"small".to_vec()));
            assert_eq!(client.was_resumed(), round > 0);
        }
    }
}

#[test]
fn what_is_no_tls_costs_its_connection_only() {
    let (upstream, folder) = (Upstream::start(), Folder::new());
    let pair = Authority::new("ca").sign(&["gw.test"], Use::Server);
    let gateway = serving(&upstream, &folder.pair("gw", &pair));
    let answer = gateway.get("/small");
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.text(), "Client sent an HTTP request to an HTTPS server.\n");
    let garbage = [vec![0; 8], b"\x16\x03\x01\xff\xff".to_vec(), vec![0x16; 200_000]];
    for garbage in garbage {
        let mut tcp = TcpStream::connect(gateway.address()).unwrap();
        tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // It may be cut while it still writes.
        drop(tcp.write_all(&garbage));
        drop(tcp.shutdown(std::net::Shutdown::Write));
        let mut rest = Vec::new();
        drop(tcp.read_to_end(&mut rest));
        assert!(rest.len() < 100, "an alert at most");
    }
    let config = client_config(BOTH, None);
    let mut client = TlsClient::connect(gateway.address(), &config, "gw.test").unwrap();
    assert_eq!(client.get("/small").unwrap().0, 200);
    logged(&gateway, "TLS handshakes failed");
}

#[test]
fn a_handshake_that_does_not_come_is_cut() {
    let (upstream, folder) = (Upstream::start(), Folder::new());
    let pair = Authority::new("ca").sign(&["gw.test"], Use::Server);
    upstream.on("/small", Reply::text("small"));
    let gateway = Gateway::start(json!({
        "tls": folder.pair("gw", &pair), "read_header_timeout": "300ms",
        "endpoints": [no_op("GET", "/small", &upstream.url())]
    }));
    for begun in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut tcp = TcpStream::connect(gateway.address()).unwrap();
        tcp.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        tcp.write_all(begun).unwrap();
        let since = Instant::now();
        let got = tcp.read(&mut [0; 100]);
        assert!(matches!(got, Ok(0)) || got.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset));
        assert!(since.elapsed() < Duration::from_secs(3));
    }
}

#[test]
fn large_bodies_pass_both_ways_and_every_end_is_announced() {
    let (folder, ca) = (Folder::new(), Authority::new("ca"));
    let server = ca.sign(&["localhost", "127.0.0.1"], Use::Server);
    let upstream = TlsUpstream::start(server_config(BOTH, &server, None));
    let url = upstream.url("localhost");
    let ca_file = folder.write("ca.pem", &ca.certificate);
    for driver in Driver::available() {
        let mut endpoints: Vec<Value> = ["/small", "/large", "/until-close", "/broken-off"]
            .map(|path| no_op("GET", path, &url))
            .into();
        endpoints.push(no_op("POST", "/up", &url));
        let gateway = Gateway::with(json!({
            "tls": folder.pair("gw", &server), "endpoints": endpoints,
            "client_tls": {"ca_certs": [ca_file], "disable_system_ca_pool": true}
        }))
        .driver(driver)
        .start();
        let label = driver.name();
        let config = client_config(BOTH, None);
        let mut client = TlsClient::connect(gateway.address(), &config, "localhost").unwrap();
        for _ in 0..2 {
            let mut check = Check::default();
            client.send("GET", "/large", "", b"").unwrap();
            client.read(|part| check.update(part)).unwrap();
            check.assert_complete(LARGE_BYTES);
            client.send("POST", "/up", "", &pattern::bytes(5_000_000)).unwrap();
            let mut text = Vec::new();
            client.read(|part| text.extend_from_slice(part)).unwrap();
            assert_eq!(String::from_utf8_lossy(&text), "5000000 None", "{label}");
        }
        let mut check = Check::default();
        client.send("GET", "/until-close", "", b"").unwrap();
        client.read(|part| check.update(part)).unwrap();
        check.assert_complete(100_000);
        // An upstream's end that was not announced is no end, and ours is not announced then either.
        let broken = client.get("/broken-off").expect_err("it is not whole");
        assert_eq!(broken.kind(), ErrorKind::UnexpectedEof, "{label}: {broken}");
        // What we end on purpose is announced.
        let mut client = TlsClient::connect(gateway.address(), &config, "localhost").unwrap();
        client.send("GET", "/small", "Connection: close\r\n", b"").unwrap();
        client.read(|_| {}).unwrap();
        assert_eq!(client.stream.read(&mut [0; 10]).unwrap(), 0, "{label}");
    }
}

/// The gateway's answer for `/small` of an upstream with this certificate.
fn small_of(upstream: &TlsUpstream, host: &str, client_tls: Option<Value>) -> (u16, Gateway) {
    let mut config = json!({"endpoints": [no_op("GET", "/small", &upstream.url(host))]});
    if let Some(client_tls) = client_tls {
        config["client_tls"] = client_tls;
    }
    let gateway = Gateway::with(config).workers(1).start();
    (gateway.get("/small").status(), gateway)
}

#[test]
fn an_upstream_must_show_a_certificate_that_counts() {
    let (folder, ca) = (Folder::new(), Authority::new("ca"));
    let trusting = json!({
        "ca_certs": [folder.write("ca.pem", &ca.certificate)], "disable_system_ca_pool": true
    });
    let upstream = |pair: Pair| TlsUpstream::start(server_config(BOTH, &pair, None));
    let good = upstream(ca.sign(&["localhost", "127.0.0.1"], Use::Server));
    assert_eq!(small_of(&good, "localhost", Some(trusting.clone())).0, 200);
    assert_eq!(small_of(&good, "127.0.0.1", Some(trusting.clone())).0, 200);
    for (client_tls, why) in [
        (None, "unknown authority"),
        (Some(json!({"disable_system_ca_pool": true})), "unknown authority"),
    ] {
        let (status, gateway) = small_of(&good, "localhost", client_tls);
        assert_eq!(status, 500, "{}", gateway.log());
        logged(&gateway, why);
    }
    let expired = upstream(ca.sign(&["localhost"], Use::Expired));
    let (status, gateway) = small_of(&expired, "localhost", Some(trusting.clone()));
    assert_eq!(status, 500);
    logged(&gateway, "expired");
    let misnamed = upstream(ca.sign(&["elsewhere.test"], Use::Server));
    assert_eq!(small_of(&misnamed, "localhost", Some(trusting)).0, 500);
    let insecure = json!({"allow_insecure_connections": true});
    for any in [&expired, &misnamed] {
        assert_eq!(small_of(any, "localhost", Some(insecure.clone())).0, 200);
    }
}

#[test]
fn an_upstream_whose_own_certificate_is_named_is_trusted() {
    let folder = Folder::new();
    for (names, is_expired, status) in
        [(["localhost"], false, 200), (["localhost"], true, 500), (["elsewhere.test"], false, 500)]
    {
        let pair = self_signed(&names, is_expired);
        let upstream = TlsUpstream::start(server_config(BOTH, &pair, None));
        let trusting = json!({
            "ca_certs": [folder.write("self.pem", &pair.certificate)], "disable_system_ca_pool": true
        });
        let (got, gateway) = small_of(&upstream, "localhost", Some(trusting));
        assert_eq!(got, status, "{names:?} {is_expired}: {}", gateway.log());
    }
}

#[test]
fn versions_towards_upstreams_follow_the_block() {
    let (folder, ca) = (Folder::new(), Authority::new("ca"));
    let pair = ca.sign(&["localhost"], Use::Server);
    let old = TlsUpstream::start(server_config(TLS12, &pair, None));
    let ca_file = folder.write("ca.pem", &ca.certificate);
    assert_eq!(small_of(&old, "localhost", Some(json!({"ca_certs": [ca_file]}))).0, 500);
    let allowed = json!({"ca_certs": [ca_file], "min_version": "TLS12"});
    assert_eq!(small_of(&old, "localhost", Some(allowed)).0, 200);
}

#[test]
fn the_gateway_shows_its_certificate_to_upstreams_that_ask() {
    let (folder, ca, other) = (Folder::new(), Authority::new("ca"), Authority::new("other"));
    let pair = ca.sign(&["localhost"], Use::Server);
    let upstream = TlsUpstream::start(server_config(BOTH, &pair, Some(&ca)));
    let file = |name: &str, text: &str| folder.write(name, text);
    let ca_file = file("ca.pem", &ca.certificate);
    let own = |name: &str, signer: &Authority| {
        let pair = signer.sign(&["gateway"], Use::Client);
        json!({
            "certificate": file(&format!("{name}.pem"), &pair.certificate),
            "private_key": file(&format!("{name}.key"), &pair.key)
        })
    };
    // The one that the upstream's authority signed is found behind another.
    let both = json!({"ca_certs": [ca_file], "client_certs": [own("b", &other), own("a", &ca)]});
    assert_eq!(small_of(&upstream, "localhost", Some(both)).0, 200);
    assert_eq!(small_of(&upstream, "localhost", Some(json!({"ca_certs": [ca_file]}))).0, 500);
    assert_eq!(number(&upstream.counts.requests), 1);
}

#[test]
fn connections_to_upstreams_are_kept_and_sessions_taken_up_again() {
    let (folder, ca) = (Folder::new(), Authority::new("ca"));
    let pair = ca.sign(&["localhost"], Use::Server);
    let client_tls =
        json!({"ca_certs": [folder.write("ca.pem", &ca.certificate)], "min_version": "TLS12"});
    for versions in [TLS12, TLS13] {
        for driver in Driver::available() {
            let upstream = TlsUpstream::start(server_config(versions, &pair, None));
            let url = upstream.url("localhost");
            let gateway = Gateway::with(json!({
                "client_tls": client_tls, "idle_connection_timeout": "500ms",
                "endpoints": [no_op("GET", "/small", &url), no_op("GET", "/closing", &url)]
            }))
            .workers(1)
            .driver(driver)
            .start();
            for _ in 0..10 {
                assert_eq!(gateway.get("/small").text(), "small");
            }
            assert_eq!(number(&upstream.counts.handshakes), 1, "kept");
            for _ in 0..4 {
                assert_eq!(gateway.get("/closing").text(), "small");
            }
            // The kept one carries the first of them.
            assert_eq!(number(&upstream.counts.handshakes), 4);
            assert_eq!(number(&upstream.counts.resumed), 3);
            assert_eq!(gateway.get("/small").text(), "small");
            eventually("an idle connection is ended with a word", Duration::from_secs(5), || {
                number(&upstream.counts.said_goodbye) == 1
            });
        }
    }
}

#[test]
fn plain_http_is_told_from_tls_on_the_way_to_upstreams() {
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = plain.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut tcp, _) = plain.accept().unwrap();
        drop(tcp.read(&mut [0; 4096]));
        drop(tcp.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"));
    });
    let pair = Authority::new("ca").sign(&["localhost"], Use::Server);
    let secure = TlsUpstream::start(server_config(BOTH, &pair, None));
    let gateway = Gateway::start(json!({
        "client_tls": {"allow_insecure_connections": true},
        "endpoints": [
            no_op("GET", "/small", &format!("https://127.0.0.1:{port}")),
            no_op("GET", "/wrong", &format!("http://127.0.0.1:{}", secure.port())),
        ]
    }));
    assert_eq!(gateway.get("/small").status(), 500);
    logged(&gateway, "server gave HTTP response to HTTPS client");
    assert_eq!(gateway.get("/wrong").status(), 500);
}

#[test]
fn a_redirect_may_lead_to_tls_that_nothing_in_the_configuration_speaks_of() {
    let pair = self_signed(&["127.0.0.1"], false);
    let secure = TlsUpstream::start(server_config(BOTH, &pair, None));
    let plain = Upstream::start();
    let there = format!("{}/small", secure.url("127.0.0.1"));
    plain.on("/small", Reply::text("").status(302).header("Location", &there));
    let gateway = Gateway::start(json!({
        "allow_insecure_connections": true, "endpoints": [no_op("GET", "/small", &plain.url())]
    }));
    for _ in 0..2 {
        assert_eq!(gateway.get("/small").text(), "small");
    }
}

#[test]
fn certificates_are_read_again_when_their_files_change() {
    let (upstream, folder, ca) = (Upstream::start(), Folder::new(), Authority::new("ca"));
    let (first, second) = (ca.sign(&["gw.test"], Use::Server), ca.sign(&["gw.test"], Use::Server));
    let gateway = serving(&upstream, &folder.pair("gw", &first));
    let shown = || {
        let config = client_config(BOTH, None);
        TlsClient::connect(gateway.address(), &config, "gw.test").unwrap().certificate()
    };
    let mut old =
        TlsClient::connect(gateway.address(), &client_config(BOTH, None), "gw.test").unwrap();
    assert_eq!(shown(), Some(first.der()));
    folder.write("gw.pem", "no certificate");
    let bad = "the old certificates stay in use";
    eventually("a bad file is named", Duration::from_secs(10), || gateway.log().contains(bad));
    assert!(gateway.log().contains("gw.pem"));
    assert_eq!(shown(), Some(first.der()));
    folder.pair("gw", &second);
    eventually_some("the new certificate is shown", Duration::from_secs(10), || {
        (shown() == Some(second.der())).then_some(())
    });
    assert_eq!(old.get("/small").unwrap(), (200, b"small".to_vec()), "old connections live on");
}

#[test]
fn authorities_of_upstreams_are_read_again() {
    let (folder, ca, other) = (Folder::new(), Authority::new("ca"), Authority::new("other"));
    let upstream =
        TlsUpstream::start(server_config(BOTH, &ca.sign(&["localhost"], Use::Server), None));
    let trusting = json!({"ca_certs": [folder.write("ca.pem", &other.certificate)]});
    let (status, gateway) = small_of(&upstream, "localhost", Some(trusting));
    assert_eq!(status, 500);
    folder.write("ca.pem", &ca.certificate);
    eventually("the new authority counts", Duration::from_secs(10), || {
        gateway.get("/small").status() == 200
    });
}

#[test]
fn idle_encrypted_clients_do_not_hold_up_the_end() {
    let (upstream, folder) = (Upstream::start(), Folder::new());
    let pair = Authority::new("ca").sign(&["gw.test"], Use::Server);
    let mut gateway = serving(&upstream, &folder.pair("gw", &pair));
    let config: Arc<_> = client_config(BOTH, None);
    let mut client = TlsClient::connect(gateway.address(), &config, "gw.test").unwrap();
    assert_eq!(client.get("/small").unwrap().0, 200);
    gateway.terminate();
    assert_eq!(client.stream.read(&mut [0; 10]).unwrap(), 0, "with a word");
    assert!(gateway.wait(Duration::from_secs(5)).success());
}
