//! A changed configuration is taken up while requests go on; one that is wrong changes nothing.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::client::try_get;
use crate::harness::{
    Client, Driver, Gate, Gateway, Reply, Upstream, endpoint, eventually, free_port, no_op,
};

const SOON: Duration = Duration::from_secs(5);

fn with(upstream: &Upstream, endpoints: &[Value]) -> Value {
    json!({"host": [upstream.url()], "endpoints": endpoints})
}

fn plain(path: &str) -> Value {
    endpoint(path, &[json!({"url_pattern": path})])
}

/// Waits until that many reloads have ended, well or not.
fn wait_for_reloads(gateway: &Gateway, count: usize) {
    eventually("the configuration is read again", SOON, || {
        gateway.log().matches("[SERVICE: Reload] the").count() >= count
    });
}

fn reload(gateway: &Gateway, config: &Value) {
    let before = gateway.log().matches("[SERVICE: Reload] the").count();
    gateway.rewrite(config);
    gateway.hang_up();
    wait_for_reloads(gateway, before + 1);
}

fn upstream() -> Upstream {
    let upstream = Upstream::start();
    for path in ["/a", "/b"] {
        upstream.on(path, Reply::json(json!({"path": path})));
    }
    upstream
}

#[test]
fn endpoints_come_and_go_and_connections_stay() {
    for driver in Driver::available() {
        let upstream = upstream();
        let gateway = Gateway::with(with(&upstream, &[plain("/a")])).driver(driver).start();
        let mut client = Client::connect(gateway.address());
        assert_eq!(client.get("/a").unwrap().status(), 200);
        assert_eq!(client.get("/b").unwrap().status(), 404);
        reload(&gateway, &with(&upstream, &[plain("/b")]));
        eventually("every core has the new plan", SOON, || gateway.get("/b").status() == 200);
        eventually("and the old connection's core", SOON, || {
            client.get("/b").unwrap().status() == 200
        });
        assert_eq!(client.get("/a").unwrap().status(), 404);
        assert_eq!(upstream.connections(), upstream.open_connections(), "pools go over");
    }
}

#[test]
fn a_request_in_flight_ends_on_the_plan_it_began_with() {
    let upstream = upstream();
    let gate = Gate::new();
    upstream.on("/held", Reply::json(json!({"held": true})).held_by(&gate));
    let mut held = plain("/held");
    held["timeout"] = json!("30s");
    let gateway = Gateway::start(with(&upstream, &[held]));
    let address = gateway.address();
    let client = thread::spawn(move || crate::harness::get(address, "/held"));
    upstream.wait_for_requests(1);
    reload(&gateway, &with(&upstream, &[plain("/a")]));
    eventually("the new plan is in use", SOON, || gateway.get("/a").status() == 200);
    gate.open();
    let answer = client.join().unwrap();
    assert_eq!((answer.status(), answer.json()), (200, json!({"held": true})));
}

#[test]
fn nobody_notices_many_reloads_under_load() {
    for driver in Driver::available() {
        let upstream = upstream();
        let both = [
            with(&upstream, &[plain("/a"), no_op("GET", "/b", &upstream.url())]),
            with(&upstream, &[no_op("GET", "/b", &upstream.url()), plain("/a"), plain("/c")]),
        ];
        let gateway = Gateway::with(both[0].clone()).driver(driver).start();
        let address = gateway.address();
        let (is_over, count) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            for number in 0..4 {
                let (is_over, count) = (&is_over, &count);
                scope.spawn(move || {
                    let mut client = Client::connect(address);
                    while !is_over.load(Ordering::Relaxed) {
                        let path = if number % 2 == 0 { "/a" } else { "/b" };
                        let answer = client.get(path).expect("an answer");
                        assert_eq!((answer.status(), answer.json()), (200, json!({"path": path})));
                        let made = count.fetch_add(1, Ordering::Relaxed);
                        if made.is_multiple_of(7) {
                            client = Client::connect(address);
                        }
                    }
                });
            }
            for round in 1..=20 {
                reload(&gateway, &both[round % 2]);
            }
            is_over.store(true, Ordering::Relaxed);
        });
        assert!(count.load(Ordering::Relaxed) > 200, "{count:?}");
        assert_eq!(gateway.log().matches("the new configuration is in use").count(), 20);
    }
}

#[test]
fn a_wrong_configuration_changes_nothing_and_is_told() {
    let (upstream, admin) = (upstream(), free_port());
    let admin_block = json!({"shoal/admin": {"address": format!("127.0.0.1:{admin}")}});
    let config = |endpoints: &[Value]| {
        let mut config = with(&upstream, endpoints);
        config["extra_config"] = admin_block.clone();
        config
    };
    let gateway = Gateway::start(config(&[plain("/a")]));
    gateway.rewrite_text("{\"version\": 3, \"endpoints\": [\n  nothing");
    gateway.hang_up();
    wait_for_reloads(&gateway, 1);
    let mut nameless = plain("/b");
    nameless["backend"] = json!([]);
    reload(&gateway, &config(&[nameless]));
    reload(&gateway, &{
        let mut moved = config(&[plain("/b")]);
        moved["port"] = json!(1);
        moved
    });
    assert_eq!(gateway.get("/a").status(), 200);
    let log = gateway.log();
    assert_eq!(log.matches("the configuration stays as it was").count(), 3, "{log}");
    for part in ["krakend.json:2:4", "0 backends", "the port has changed"] {
        assert!(log.contains(part), "{part} is not told:\n{log}");
    }
    let status = || {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], admin));
        let answer = try_get(address, "/__admin.json").expect("the page");
        let facts: Value = serde_json::from_slice(&answer.body).expect("JSON");
        facts["problems"].as_array().expect("a list").clone()
    };
    assert!(status()[0].as_str().unwrap().contains("the port has changed"));
    reload(&gateway, &config(&[plain("/a"), plain("/b")]));
    assert_eq!(status(), Vec::<Value>::new());
    eventually("the right one is taken up", SOON, || gateway.get("/b").status() == 200);
}

#[test]
fn limits_and_breakers_of_unchanged_blocks_go_on() {
    let upstream = upstream();
    upstream.on("/bad", Reply::text("no").status(500));
    let mut limited = plain("/a");
    limited["extra_config"] =
        json!({"qos/ratelimit/router": {"max_rate": 2, "capacity": 2, "every": "1h"}});
    let mut guarded = plain("/bad");
    guarded["backend"][0]["extra_config"] =
        json!({"qos/circuit-breaker": {"interval": 60, "timeout": 60, "max_errors": 1}});
    let gateway = Gateway::start(with(&upstream, &[limited.clone(), guarded.clone()]));
    let statuses = |path: &str, count: usize| -> Vec<u16> {
        (0..count).map(|_| gateway.get(path).status()).collect()
    };
    assert_eq!(statuses("/a", 3), [200, 200, 503]);
    assert_eq!(statuses("/bad", 4), [500; 4]);
    let asked = upstream.seen_at("/bad");
    reload(&gateway, &with(&upstream, &[plain("/b"), limited, guarded]));
    eventually("the new plan is in use", SOON, || gateway.get("/b").status() == 200);
    assert_eq!(statuses("/a", 2), [503, 503], "the limit has not begun anew");
    assert_eq!(statuses("/bad", 2), [500; 2]);
    assert_eq!(upstream.seen_at("/bad"), asked, "the breaker is still open");
    let mut wider = plain("/a");
    wider["extra_config"] =
        json!({"qos/ratelimit/router": {"max_rate": 5, "capacity": 5, "every": "1h"}});
    reload(&gateway, &with(&upstream, &[wider]));
    eventually("another limit is another limit", SOON, || gateway.get("/a").status() == 200);
}

#[test]
fn a_watched_file_is_taken_up_by_itself() {
    let upstream = upstream();
    let gateway = Gateway::with(with(&upstream, &[plain("/a")])).argument("--watch").start();
    assert_eq!(gateway.get("/b").status(), 404);
    gateway.rewrite(&with(&upstream, &[plain("/a"), plain("/b")]));
    eventually("the change is noticed", Duration::from_secs(10), || {
        gateway.get("/b").status() == 200
    });
}

#[test]
fn readiness_turns_red_before_listening_ends() {
    let upstream = upstream();
    let mut config = with(&upstream, &[plain("/a")]);
    config["extra_config"] = json!({"shoal/drain": {"lame_duck": "1500ms"}});
    let mut gateway = Gateway::start(config);
    eventually("it is ready", SOON, || gateway.get("/__ready").status() == 200);
    let mut kept = Client::connect(gateway.address());
    assert_eq!(kept.get("/a").unwrap().status(), 200);
    gateway.terminate();
    eventually("it is not ready any more", SOON, || gateway.get("/__ready").status() == 503);
    let new = gateway.get("/a");
    assert_eq!(new.status(), 200, "new connections are served");
    let answer = kept.get("/a").unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.head.closes(), "no connection is promised to be kept");
    assert!(!gateway.has_ended());
    assert!(gateway.wait(SOON).success());
}

#[test]
fn the_usual_path_of_readiness_is_an_endpoints_first() {
    let upstream = upstream();
    upstream.on("/__ready", Reply::json(json!({"mine": true})));
    let gateway = Gateway::start(with(&upstream, &[plain("/__ready")]));
    assert_eq!(gateway.get("/__ready").json(), json!({"mine": true}));
}
