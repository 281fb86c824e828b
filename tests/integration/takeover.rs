//! A new program takes over from a running one: clients notice nothing, and one that does not start changes nothing.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::client::try_get;
use crate::harness::process::{self, Signal};
use crate::harness::{
    Client, Driver, Gate, Gateway, Reply, Upstream, endpoint, eventually, eventually_some,
    free_port,
};

const SOON: Duration = Duration::from_secs(10);

fn upstream() -> Upstream {
    let upstream = Upstream::start();
    upstream.on("/a", Reply::json(json!({"path": "/a"})));
    upstream
}

fn config(upstream: &Upstream) -> Value {
    json!({
        "host": [upstream.url()],
        "endpoints": [
            endpoint("/a", &[json!({"url_pattern": "/a"})]),
            {"endpoint": "/held", "timeout": "30s", "backend": [{"url_pattern": "/held"}]},
        ],
    })
}

/// The processes that took over from the first, ended with the test.
#[derive(Default)]
struct Successors(Vec<u32>);

impl Drop for Successors {
    fn drop(&mut self) {
        self.0.iter().for_each(|pid| process::signal(*pid, Signal::Kill));
    }
}

impl Successors {
    /// Has the newest process hand over; the number of the next.
    fn hand_over(&mut self, gateway: &Gateway) -> u32 {
        let before = self.0.len();
        process::signal(*self.0.last().unwrap_or(&gateway.pid()), Signal::User2);
        let pid = eventually_some("a successor serves", SOON, || {
            let log = gateway.log();
            let lines = log.lines().filter(|line| line.contains("serves in our place"));
            let newest = lines.skip(before).last()?.split_once("process ")?.1;
            newest.split(' ').next()?.parse().ok()
        });
        self.0.push(pid);
        pid
    }
}

#[test]
fn nobody_notices_that_the_program_is_replaced() {
    for driver in Driver::available() {
        let upstream = upstream();
        let mut gateway = Gateway::with(config(&upstream)).driver(driver).start();
        let address = gateway.address();
        let mut successors = Successors::default();
        let (is_over, count) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            for number in 0..4 {
                let (is_over, count) = (&is_over, &count);
                scope.spawn(move || {
                    let mut client = Client::connect(address);
                    while !is_over.load(Ordering::Relaxed) {
                        let answer = client.get("/a").expect("an answer");
                        assert_eq!((answer.status(), answer.json()), (200, json!({"path": "/a"})));
                        let made = count.fetch_add(1, Ordering::Relaxed);
                        // Half of them keep their connections as long as they may.
                        if answer.head.closes() || (number % 2 == 0 && made.is_multiple_of(3)) {
                            client = Client::connect(address);
                        }
                    }
                });
            }
            for _ in 0..3 {
                thread::sleep(Duration::from_millis(300));
                successors.hand_over(&gateway);
            }
            thread::sleep(Duration::from_millis(300));
            is_over.store(true, Ordering::Relaxed);
        });
        assert!(count.load(Ordering::Relaxed) > 500, "{count:?}");
        assert!(gateway.wait(SOON).success(), "the first process ends by itself");
        assert_eq!(gateway.get("/a").status(), 200);
        let (first, last) = (successors.0[0], successors.0[2]);
        eventually("the second process has ended, too", SOON, || {
            let status = std::fs::read_to_string(format!("/proc/{first}/status"));
            status.map_or(true, |status| status.contains("State:\tZ"))
        });
        // What it inherited is the sockets and nothing else: a chain of successors must not gather descriptors.
        let fresh = Gateway::with(config(&upstream)).driver(driver).start();
        eventually("as few descriptors as a process without a predecessor", SOON, || {
            process::descriptors(last) <= fresh.descriptors() + upstream.open_connections()
        });
    }
}

#[test]
fn a_request_in_flight_is_finished_by_the_process_that_took_it() {
    let upstream = upstream();
    let gate = Gate::new();
    upstream.on("/held", Reply::json(json!({"held": true})).held_by(&gate));
    let mut gateway = Gateway::start(config(&upstream));
    let address = gateway.address();
    let mut idle = Client::connect(address);
    assert_eq!(idle.get("/a").unwrap().status(), 200);
    let client = thread::spawn(move || crate::harness::get(address, "/held"));
    upstream.wait_for_requests(2);
    let mut successors = Successors::default();
    successors.hand_over(&gateway);
    // A connection that was kept is served once more, and told that it ends.
    let answer = idle.get("/a").unwrap();
    assert!(answer.status() == 200 && answer.head.closes(), "{answer:?}");
    assert!(!gateway.has_ended(), "a request is in flight");
    gate.open();
    let answer = client.join().unwrap();
    assert_eq!((answer.status(), answer.json()), (200, json!({"held": true})));
    assert!(gateway.wait(SOON).success());
    assert_eq!(gateway.get("/a").status(), 200);
}

#[test]
fn a_successor_that_does_not_start_changes_nothing() {
    let upstream = upstream();
    let gateway = Gateway::start(config(&upstream));
    let refused = |round: usize| {
        process::signal(gateway.pid(), Signal::User2);
        eventually("it is told", SOON, || {
            gateway.log().matches("[SERVICE: Takeover] this process goes on").count() == round
        });
        assert_eq!(gateway.get("/a").status(), 200);
        gateway.log()
    };
    gateway.rewrite_text("{\"version\": 3, \"endpoints\": 7}");
    let log = refused(1);
    assert!(log.contains("has ended (exit status: 255)"), "{log}");
    // The harness names its port on the command line, the successor must listen where we do; what differs is the address.
    let mut other = config(&upstream);
    other["listen_ip"] = json!("127.0.0.2");
    gateway.rewrite(&other);
    let log = refused(2);
    assert!(log.contains("and the configuration asks for 127.0.0.2"), "{log}");
    assert!(!log.contains("serves in our place"), "{log}");
}

#[test]
fn pages_go_over_with_the_port() {
    let upstream = upstream();
    let (admin, metrics) = (free_port(), free_port());
    let mut config = config(&upstream);
    config["extra_config"] = json!({
        "shoal/admin": {"address": format!("127.0.0.1:{admin}")},
        "telemetry/opentelemetry": {"exporters": {"prometheus": [
            {"name": "page", "host": "127.0.0.1", "port": metrics},
        ]}},
    });
    let gateway = Gateway::start(config);
    let page = |port: u16, path: &str| {
        try_get(std::net::SocketAddr::from(([127, 0, 0, 1], port)), path)
            .is_ok_and(|answer| answer.status() == 200)
    };
    eventually("the first has its pages", SOON, || {
        page(admin, "/__admin.json") && page(metrics, "/metrics")
    });
    let mut successors = Successors::default();
    successors.hand_over(&gateway);
    eventually("the second has them", SOON, || {
        page(admin, "/__admin.json") && page(metrics, "/metrics")
    });
    assert!(!gateway.log().contains("cannot listen"), "{}", gateway.log());
}
