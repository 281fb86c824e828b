//! Hosts that fail: calls are sent again, hosts are ejected, checked and come back.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::client::try_get;
use crate::harness::tls::{Authority, Folder, TlsUpstream, Use, server_config};
use crate::harness::{Client, Gateway, Reply, Upstream, eventually, free_port, no_op};

const SOON: Duration = Duration::from_secs(5);
/// A budget that refuses nothing.
const PLENTY: u64 = 10_000;

/// A pass-through endpoint of these hosts, with blocks of our own at its backend.
fn guarded(method: &str, path: &str, hosts: &[String], blocks: Value) -> Value {
    let mut endpoint = no_op(method, path, "");
    endpoint["backend"][0]["host"] = json!(hosts);
    endpoint["backend"][0]["extra_config"] = blocks;
    endpoint
}

fn retrying(more: &Value) -> Value {
    let mut block = json!({"budget_min_per_second": PLENTY, "backoff": "1ms"});
    block.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"shoal/retry": block})
}

fn answering(text: &str) -> Upstream {
    let upstream = Upstream::start();
    upstream.on("*", Reply::text(text));
    upstream
}

fn resetting() -> Upstream {
    let upstream = Upstream::start();
    upstream.on("*", Reply::raw(b"").reset());
    upstream
}

fn unavailable() -> Upstream {
    let upstream = Upstream::start();
    upstream.on("*", Reply::text("not now").status(503));
    upstream
}

fn urls(upstreams: &[&Upstream]) -> Vec<String> {
    upstreams.iter().map(|upstream| upstream.url()).collect()
}

/// The statuses of so many requests, one after another.
fn statuses(gateway: &Gateway, path: &str, count: usize) -> Vec<u16> {
    (0..count).map(|_| gateway.get(path).status()).collect()
}

fn failed(statuses: &[u16]) -> usize {
    statuses.iter().filter(|status| **status != 200).count()
}

/// One request with a body, on a connection of its own.
fn send(gateway: &Gateway, method: &str, path: &str, body: &[u8]) -> u16 {
    let mut client = Client::connect(gateway.address());
    client.send(method, path, &[], Some(body)).unwrap();
    client.read(method).unwrap().status()
}

fn with_page(mut config: Value) -> (Gateway, SocketAddr) {
    let admin = free_port();
    config["extra_config"]["shoal/admin"] = json!({"address": format!("127.0.0.1:{admin}")});
    let gateway = Gateway::start(config);
    let address = SocketAddr::from(([127, 0, 0, 1], admin));
    eventually("the page is there", SOON, || try_get(address, "/__admin.json").is_ok());
    (gateway, address)
}

fn facts(page: SocketAddr) -> Value {
    try_get(page, "/__admin.json").unwrap().json()
}

/// What the page shows of a counter, added up over its labels.
fn counted(page: SocketAddr, name: &str) -> u64 {
    let facts = facts(page);
    let all = facts["counters"].as_array().unwrap().iter();
    all.filter(|fact| fact["name"] == name).map(|fact| fact["value"].as_u64().unwrap()).sum()
}

fn states(page: SocketAddr) -> Vec<String> {
    let facts = facts(page);
    let hosts = facts["hosts"].as_array().unwrap().iter();
    hosts.map(|host| host["state"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_host_that_resets_costs_its_share_of_the_requests_and_nothing_with_retries() {
    let (bad, good) = (resetting(), answering("good"));
    let hosts = urls(&[&bad, &good]);
    let gateway = Gateway::start(json!({"endpoints": [
        guarded("GET", "/plain", &hosts, json!({})),
        guarded("GET", "/again", &hosts, retrying(&json!({}))),
    ]}));
    let without = failed(&statuses(&gateway, "/plain", 60));
    assert!((15..=45).contains(&without), "{without} of 60");
    assert_eq!(failed(&statuses(&gateway, "/again", 60)), 0);
    assert!(bad.begun_at("/again") > 10, "half of them began there");
    assert_eq!(good.begun_at("/again"), 60, "the second attempt goes elsewhere");
}

#[test]
fn only_what_may_be_repeated_is_repeated() {
    let bad = resetting();
    let endpoint = |method| guarded(method, "/x", &urls(&[&bad]), retrying(&json!({})));
    let gateway = Gateway::start(json!({
        "endpoints": [endpoint("GET"), endpoint("POST"), endpoint("PUT"), endpoint("PATCH")]
    }));
    for (method, attempts) in [("POST", 1), ("PATCH", 1), ("PUT", 3), ("GET", 3)] {
        let before = bad.requests();
        let status = match method {
            "GET" => gateway.get("/x").status(),
            _ => send(&gateway, method, "/x", b"a body"),
        };
        assert_eq!((status, bad.requests() - before), (500, attempts), "{method}");
    }
    let puts: Vec<_> = bad.seen().into_iter().filter(|seen| seen.method == "PUT").collect();
    assert!(puts.len() == 3 && puts.iter().all(|seen| seen.body == b"a body"));
    let before = bad.requests();
    assert_eq!(send(&gateway, "PUT", "/x", &vec![b'x'; 100_000]), 500);
    assert_eq!(bad.requests() - before, 1, "too long to be kept");
}

#[test]
fn a_request_that_found_no_connection_is_sent_again_whatever_its_method() {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let more = json!({"attempts_max": 10, "backoff": "100ms", "backoff_max": "1s"});
    let hosts = [format!("http://{address}")];
    let gateway =
        Gateway::start(json!({"endpoints": [guarded("POST", "/x", &hosts, retrying(&more))]}));
    let comes = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        let upstream = Upstream::start_at(address);
        upstream.on("*", Reply::text("here"));
        upstream
    });
    assert_eq!(send(&gateway, "POST", "/x", b"once"), 200);
    let upstream = comes.join().unwrap();
    assert_eq!((upstream.requests(), &*upstream.seen()[0].body), (1, &b"once"[..]));
}

#[test]
fn listed_statuses_are_repeated_and_the_last_answer_is_passed_on() {
    let upstream = Upstream::start();
    let no = || Reply::text("not now").status(503);
    upstream.on_turns("/twice", vec![no(), no(), Reply::text("now")]);
    upstream.on("/never", no());
    upstream.on("/other", Reply::text("broken").status(500));
    let more = retrying(&json!({"statuses": [503, 502]}));
    let endpoint = |path| guarded("GET", path, &urls(&[&upstream]), more.clone());
    let endpoints = [endpoint("/twice"), endpoint("/never"), endpoint("/other")];
    let gateway = Gateway::with(json!({"endpoints": endpoints})).workers(1).start();
    assert_eq!(gateway.get("/twice").text(), "now");
    let never = gateway.get("/never");
    assert_eq!(
        (never.status(), never.text(), upstream.begun_at("/never")),
        (503, "not now".into(), 3)
    );
    assert_eq!((gateway.get("/other").status(), upstream.begun_at("/other")), (500, 1));
    assert_eq!(
        upstream.connections(),
        1,
        "what nobody wants is read, so its connection is used again"
    );
}

#[test]
fn an_attempt_that_takes_too_long_moves_on_and_the_endpoint_bounds_all() {
    let (hangs, good) = (Upstream::start(), answering("good"));
    hangs.on("*", Reply::text("late").delay(Duration::from_secs(20)));
    let short = retrying(&json!({"try_timeout": "150ms"}));
    let mut alone = guarded(
        "GET",
        "/alone",
        &urls(&[&hangs]),
        retrying(&json!({"try_timeout": "150ms", "attempts_max": 10})),
    );
    alone["timeout"] = json!("500ms");
    let gateway = Gateway::start(json!({"endpoints": [
        guarded("GET", "/both", &urls(&[&hangs, &good]), short), alone
    ]}));
    let begin = Instant::now();
    assert_eq!(failed(&statuses(&gateway, "/both", 10)), 0);
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
    let begin = Instant::now();
    assert_eq!(gateway.get("/alone").status(), 500);
    let took = begin.elapsed();
    assert!(took > Duration::from_millis(400) && took < Duration::from_millis(1500), "{took:?}");
    assert!((2..=4).contains(&hangs.begun_at("/alone")), "{}", hangs.begun_at("/alone"));
}

#[test]
fn a_slow_body_may_take_longer_than_an_attempt() {
    let slow = Upstream::start();
    slow.on("*", Reply::pattern(2_000).drip(100, Duration::from_millis(20)));
    let hosts = urls(&[&slow]);
    let gateway = Gateway::start(json!({"endpoints": [
        guarded("GET", "/x", &hosts, retrying(&json!({"try_timeout": "150ms"})))
    ]}));
    assert_eq!(gateway.get("/x").body.len(), 2_000);
    assert_eq!(slow.requests(), 1);
}

#[test]
fn retries_keep_to_their_budget_and_are_counted() {
    let bad = resetting();
    let block = json!({"shoal/retry": {
        "budget_percent": 20, "budget_min_per_second": 0, "backoff": "0s", "attempts_max": 10
    }});
    let (gateway, page) =
        with_page(json!({"endpoints": [guarded("GET", "/x", &urls(&[&bad]), block)]}));
    assert_eq!(failed(&statuses(&gateway, "/x", 100)), 100);
    let retries = bad.requests() - 100;
    assert!((10..=20).contains(&retries), "{retries} retries of 100 calls");
    assert_eq!(counted(page, "shoal_retries_total"), retries as u64);
    assert_eq!(counted(page, "shoal_refused_retries_total"), 100);
}

fn ejecting(more: &Value) -> Value {
    let mut block = json!({"consecutive_failures": 3, "ejection_time": "60s", "slow_return": "0s"});
    block.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"shoal/outlier-detection": block})
}

#[test]
fn a_host_that_fails_is_ejected_for_all_cores() {
    for (label, bad) in [("503", unavailable()), ("a reset", resetting())] {
        let good = answering("good");
        let hosts = urls(&[&bad, &good]);
        let (gateway, page) = with_page(json!({"endpoints": [
            guarded("GET", "/plain", &hosts, json!({})),
            guarded("GET", "/watched", &hosts, ejecting(&json!({}))),
        ]}));
        let without = failed(&statuses(&gateway, "/plain", 60));
        assert!((15..=45).contains(&without), "{label}: {without} of 60");
        assert_eq!(failed(&statuses(&gateway, "/watched", 60)), 3, "{label}");
        assert_eq!(bad.begun_at("/watched"), 3);
        assert_eq!(states(page), ["ejected", "up"]);
        let line = format!("{} is ejected", bad.url());
        eventually("the log says so", SOON, || gateway.log().contains(&line));
        assert_eq!(gateway.log().matches("is ejected").count(), 1);
        eventually("it is counted", SOON, || counted(page, "shoal_upstream_ejections_total") == 1);
    }
}

#[test]
fn an_ejected_host_comes_back() {
    let (bad, good) = (unavailable(), answering("good"));
    let block = ejecting(&json!({"ejection_time": "500ms", "slow_return": "10m"}));
    let (gateway, page) =
        with_page(json!({"endpoints": [guarded("GET", "/x", &urls(&[&bad, &good]), block)]}));
    assert_eq!(failed(&statuses(&gateway, "/x", 40)), 3);
    bad.on("*", Reply::text("well again"));
    eventually("its time is over", SOON, || states(page) == ["returning", "up"]);
    assert_eq!(failed(&statuses(&gateway, "/x", 200)), 0);
    let share = bad.requests() - 3;
    assert!((1..=60).contains(&share), "{share} of 200, where it would get 100");
    eventually("the log says so", SOON, || gateway.log().contains("is back"));
}

#[test]
fn hosts_are_not_all_ejected() {
    let (one, two) = (unavailable(), unavailable());
    let hosts = urls(&[&one, &two]);
    let block = ejecting(&json!({"ejected_percent_max": 100}));
    let (gateway, page) = with_page(json!({"endpoints": [guarded("GET", "/x", &hosts, block)]}));
    assert!(statuses(&gateway, "/x", 60).iter().all(|status| *status == 503));
    assert_eq!(states(page).iter().filter(|state| *state == "ejected").count(), 1);
    assert_eq!(one.requests() + two.requests(), 60);
}

#[test]
fn a_client_that_is_late_with_its_body_or_goes_away_costs_the_host_nothing() {
    let (one, two) = (answering("one"), answering("two"));
    for upstream in [&one, &two] {
        upstream.on("/slow", Reply::text("late").delay(Duration::from_secs(20)));
    }
    let hosts = urls(&[&one, &two]);
    let block = ejecting(&json!({"consecutive_failures": 1}));
    let mut upload = guarded("POST", "/upload", &hosts, block.clone());
    upload["timeout"] = json!("200ms");
    let slow = guarded("GET", "/slow", &hosts, block);
    let (gateway, page) = with_page(json!({"endpoints": [upload, slow]}));
    for _ in 0..4 {
        let mut late = Client::connect(gateway.address());
        late.send_head("POST", "/upload", &[("Content-Length", "100000")]).unwrap();
        assert_eq!(late.read("POST").unwrap().status(), 500);
        let mut gone = Client::connect(gateway.address());
        let before = one.begun_at("/slow") + two.begun_at("/slow");
        gone.send("GET", "/slow", &[], None).unwrap();
        eventually("the call is under way", SOON, || {
            one.begun_at("/slow") + two.begun_at("/slow") > before
        });
    }
    assert_eq!(states(page), ["up", "up"]);
}

fn checked(more: &Value) -> Value {
    let mut block = json!({
        "path": "/health", "interval": "100ms", "timeout": "1s", "unhealthy_threshold": 2, "slow_return": "0s"
    });
    block.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"shoal/health-check": block})
}

#[test]
fn a_host_that_is_down_gets_no_requests_until_it_is_up_again() {
    let (sick, well) = (answering("one"), answering("two"));
    sick.on("/health", Reply::text("ill").status(500));
    let (gateway, page) = with_page(json!({"endpoints": [
        guarded("GET", "/x", &urls(&[&sick, &well]), checked(&json!({"host": "health.test"}))),
        guarded("GET", "/y", &urls(&[&well, &sick]), checked(&json!({"host": "health.test"}))),
    ]}));
    eventually("it is down", SOON, || states(page) == ["down", "up", "up", "down"]);
    let before = sick.begun_at("/x");
    assert_eq!(failed(&statuses(&gateway, "/x", 30)), 0);
    assert_eq!((sick.begun_at("/x"), well.begun_at("/x")), (before, before.max(30)));
    let line = format!("{} is down", sick.url());
    eventually("the log says so", SOON, || gateway.log().contains(&line));
    sick.on("/health", Reply::text("well"));
    eventually("it is up", SOON, || states(page) == ["up", "up", "up", "up"]);
    eventually("and gets requests", SOON, || {
        gateway.get("/x");
        sick.begun_at("/x") > before
    });
    eventually("the log says that, too", SOON, || gateway.log().contains("is up:"));
    assert_eq!(gateway.log().matches("is up:").count(), 1, "once, although two backends have it");
    assert_eq!(gateway.log().matches("is down").count(), 1);
    eventually("checks are counted", SOON, || counted(page, "shoal_health_checks_total") >= 6);
    let checks: Vec<_> = sick.seen().into_iter().filter(|seen| seen.path() == "/health").collect();
    assert!(checks.iter().all(|seen| seen.method == "GET"));
    assert!(checks.iter().all(|seen| seen.header("host") == Some("health.test")));
}

#[test]
fn a_host_is_checked_once_however_many_cores_and_backends_call_it() {
    let upstream = answering("fine");
    let hosts = urls(&[&upstream]);
    let endpoints: Vec<Value> = (0..5)
        .map(|index| guarded("GET", &format!("/{index}"), &hosts, checked(&json!({}))))
        .collect();
    let _gateway = Gateway::with(json!({"endpoints": endpoints})).workers(4).start();
    eventually("checks begin", SOON, || upstream.begun_at("/health") >= 2);
    let (begin, before) = (Instant::now(), upstream.begun_at("/health"));
    thread::sleep(Duration::from_millis(1500));
    let checks = upstream.begun_at("/health") - before;
    let most = usize::try_from(begin.elapsed().as_millis() / 90).unwrap() + 2;
    assert!((5..=most).contains(&checks), "{checks} checks, at most {most} are due");
}

#[test]
fn when_all_hosts_are_down_all_are_used() {
    let (one, two) = (answering("one"), answering("two"));
    for upstream in [&one, &two] {
        upstream.on("/health", Reply::text("ill").status(500));
    }
    let (gateway, page) = with_page(json!({"endpoints": [
        guarded("GET", "/x", &urls(&[&one, &two]), checked(&json!({})))
    ]}));
    eventually("both are down", SOON, || states(page) == ["down", "down"]);
    assert_eq!(failed(&statuses(&gateway, "/x", 40)), 0);
    assert!(one.begun_at("/x") > 5 && two.begun_at("/x") > 5);
}

#[test]
fn a_host_that_hangs_or_is_gone_fails_its_checks() {
    let (hangs, good) = (Upstream::start(), answering("good"));
    hangs.on("*", Reply::text("late").delay(Duration::from_secs(20)));
    let mut hosts = urls(&[&hangs, &good]);
    hosts.push(format!("http://127.0.0.1:{}", free_port()));
    let block = checked(&json!({"timeout": "100ms"}));
    let (gateway, page) = with_page(json!({"endpoints": [guarded("GET", "/x", &hosts, block)]}));
    eventually("they are down", SOON, || states(page) == ["down", "up", "down"]);
    let begin = Instant::now();
    assert_eq!(failed(&statuses(&gateway, "/x", 20)), 0);
    assert!(begin.elapsed() < SOON);
}

#[test]
fn encrypted_hosts_are_checked_with_the_trust_of_calls() {
    let (folder, ca) = (Folder::new(), Authority::new("ca"));
    let pair = ca.sign(&["localhost"], Use::Server);
    let versions = &[&rustls::version::TLS13];
    let upstream = TlsUpstream::start(server_config(versions, &pair, Some(&ca)));
    let own = ca.sign(&["gateway"], Use::Client);
    let trusted = json!({"ca_certs": [folder.write("ca.pem", &ca.certificate)], "client_certs": [{
        "certificate": folder.write("own.pem", &own.certificate),
        "private_key": folder.write("own.key", &own.key),
    }]});
    for (client_tls, state) in [(trusted, "up"), (json!({"disable_system_ca_pool": true}), "down")]
    {
        let block = checked(&json!({"path": "/small", "unhealthy_threshold": 1}));
        let hosts = [upstream.url("localhost")];
        let (_gateway, page) = with_page(json!({
            "client_tls": client_tls, "endpoints": [guarded("GET", "/small", &hosts, block)]
        }));
        let has_been_checked = || {
            let host = &facts(page)["hosts"][0];
            host["checks_passed"].as_u64() > Some(1) || host["checks_failed"].as_u64() > Some(1)
        };
        eventually("it is checked", SOON, has_been_checked);
        assert_eq!(states(page), [state]);
    }
}

#[test]
fn a_reload_keeps_what_is_known_of_hosts() {
    let (bad, good) = (unavailable(), answering("good"));
    let hosts = urls(&[&bad, &good]);
    let mut blocks = ejecting(&json!({}));
    blocks["shoal/health-check"] = checked(&json!({}))["shoal/health-check"].clone();
    bad.on("/health", Reply::text("well"));
    let watched = guarded("GET", "/x", &hosts, blocks);
    let (gateway, page) = with_page(json!({"endpoints": [watched]}));
    assert_eq!(failed(&statuses(&gateway, "/x", 30)), 3);
    let address = page.to_string();
    gateway.rewrite(&json!({
        "endpoints": [guarded("GET", "/new", &hosts, json!({})), watched],
        "extra_config": {"shoal/admin": {"address": address}}
    }));
    gateway.hang_up();
    eventually("the new plan is in use", SOON, || gateway.get("/new").status() != 404);
    eventually("all cores have it", SOON, || gateway.log().contains("configuration is in use"));
    assert_eq!(failed(&statuses(&gateway, "/x", 30)), 0);
    assert_eq!(states(page), ["ejected", "up"]);
    let before = good.begun_at("/health");
    thread::sleep(Duration::from_millis(1500));
    let checks = good.begun_at("/health") - before;
    assert!((5..=20).contains(&checks), "{checks} checks: one plan makes them, and it does");
    assert_eq!(gateway.log().matches("is ejected").count(), 1);
}

#[test]
fn the_service_speaks_for_backends_that_say_nothing() {
    let (bad, good) = (resetting(), answering("good"));
    let hosts = urls(&[&bad, &good]);
    let mut config = json!({"endpoints": [
        guarded("GET", "/as-service", &hosts, json!({})),
        guarded("GET", "/off", &hosts, json!({"shoal/retry": {"enabled": false}})),
    ]});
    config["extra_config"] = retrying(&json!({}));
    let gateway = Gateway::start(config);
    assert_eq!(failed(&statuses(&gateway, "/as-service", 40)), 0);
    assert!(failed(&statuses(&gateway, "/off", 40)) > 5);
}

#[test]
fn a_breaker_sees_what_is_left_after_retries_and_ejections() {
    let (bad, good) = (resetting(), answering("good"));
    let breaker = json!({"interval": 60, "timeout": 60, "max_errors": 1});
    let with = |mut blocks: Value| {
        blocks["qos/circuit-breaker"] = breaker.clone();
        blocks
    };
    let (gateway, page) = with_page(json!({"endpoints": [
        guarded("GET", "/again", &urls(&[&bad, &good]), with(retrying(&json!({})))),
        guarded("GET", "/alone", &urls(&[&bad]), with(retrying(&json!({})))),
    ]}));
    assert_eq!(failed(&statuses(&gateway, "/again", 40)), 0);
    assert_eq!(failed(&statuses(&gateway, "/alone", 10)), 10);
    assert_eq!(bad.begun_at("/alone"), 6, "two calls of three attempts, and then none");
    let breakers = facts(page)["breakers"].clone();
    assert_eq!((&breakers[0]["state"], &breakers[1]["state"]), (&json!("closed"), &json!("open")));
}

/// A name server for `_http._tcp.service.test`: hosts by the name `localhost` with these ports. It ends with the test program.
fn service_of(ports: [u16; 2]) -> SocketAddr {
    const SRV: u8 = 33;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((_, client)) = socket.recv_from(&mut query) {
            // Behind the header of 12 bytes: the name up to its empty label, the type and the class.
            let name_end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap();
            let question = &query[12..name_end + 5];
            let records: Vec<Vec<u8>> = match question[question.len() - 3] {
                SRV => ports.iter().map(|port| srv(*port)).collect(),
                _ => Vec::new(),
            };
            let count = u8::try_from(records.len()).unwrap();
            let header = [query[0], query[1], 0x81, 0x80, 0, 1, 0, count, 0, 0, 0, 0];
            let answer = [&header[..], question, &records.concat()].concat();
            socket.send_to(&answer, client).unwrap();
        }
    });
    address
}

/// A record that names the question, with a priority of 1 and a weight of 1.
fn srv(port: u16) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    let target = b"\x09localhost\0";
    let head = [0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 60, 0, 6 + u8::try_from(target.len()).unwrap()];
    [&head[..], &[0, 1, 0, 1, high, low], target].concat()
}

#[test]
fn hosts_that_service_discovery_finds_are_watched_and_checked() {
    let (bad, good) = (unavailable(), answering("good"));
    bad.on("/health", Reply::text("well"));
    let name_server = service_of([bad.address().port(), good.address().port()]);
    let mut blocks = ejecting(&json!({}));
    blocks["shoal/health-check"] = checked(&json!({}))["shoal/health-check"].clone();
    let mut endpoint = guarded("GET", "/x", &["_http._tcp.service.test".to_owned()], blocks);
    endpoint["backend"][0]["sd"] = json!("dns");
    endpoint["backend"][0]["disable_host_sanitize"] = json!(true);
    let admin = free_port();
    let page = SocketAddr::from(([127, 0, 0, 1], admin));
    let gateway = Gateway::with(json!({
        "endpoints": [endpoint], "extra_config": {"shoal/admin": {"address": page.to_string()}}
    }))
    .env("SHOAL_DNS_SERVER", &name_server.to_string())
    .start();
    // Before the first request.
    eventually("both are checked", SOON, || {
        bad.begun_at("/health") > 0 && good.begun_at("/health") > 0
    });
    assert_eq!(failed(&statuses(&gateway, "/x", 40)), 3);
    assert_eq!(bad.begun_at("/x"), 3);
    let mut found = states(page);
    found.sort_unstable();
    assert_eq!(found, ["ejected", "up"]);
    good.on("/health", Reply::text("ill").status(500));
    eventually("nobody is left, so all are used", SOON, || {
        statuses(&gateway, "/x", 10).contains(&503)
    });
}
