//! The end: drain, bounds, a second signal.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Client, ClientError, Gate, Gateway, Reply, Upstream, eventually, get, no_op};

const SOON: Duration = Duration::from_secs(5);

fn gateway(upstream: &Upstream, options: &Value) -> Gateway {
    let mut endpoint = no_op("GET", "/held", &upstream.url());
    endpoint["timeout"] = json!("30s");
    let mut config = json!({"endpoints": [endpoint, no_op("GET", "/quick", &upstream.url())]});
    config.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    Gateway::start(config)
}

#[test]
fn requests_in_flight_are_answered_before_the_end() {
    let upstream = Upstream::start();
    let gate = Gate::new();
    upstream.on("/held", Reply::pattern(300_000).held_after(100_000, &gate));
    let mut gateway = gateway(&upstream, &json!({}));
    let address = gateway.address();
    let clients: Vec<_> = (0..10).map(|_| thread::spawn(move || get(address, "/held"))).collect();
    upstream.wait_for_requests(10);
    gateway.terminate();
    eventually("new connections are refused", SOON, || gateway.has_stopped_listening());
    assert!(!gateway.has_ended(), "it must wait for its requests");
    gate.open();
    for client in clients {
        let response = client.join().unwrap();
        assert_eq!((response.status(), response.body.len()), (200, 300_000));
    }
    assert!(gateway.wait(SOON).success());
}

#[test]
fn idle_connections_do_not_hold_up_the_end() {
    let upstream = Upstream::start();
    upstream.on("/quick", Reply::text("quick"));
    let mut gateway = gateway(&upstream, &json!({}));
    let mut used = Client::connect(gateway.address());
    assert_eq!(used.get("/quick").unwrap().status(), 200);
    let mut unused = Client::connect(gateway.address());
    gateway.terminate();
    assert!(gateway.wait(SOON).success());
    assert!(used.is_ended_by_server(SOON) && unused.is_ended_by_server(SOON));
}

#[test]
fn no_request_sent_before_the_signal_is_lost() {
    let upstream = Upstream::start();
    upstream.on("/quick", Reply::text("quick"));
    for _ in 0..5 {
        let mut gateway = gateway(&upstream, &json!({}));
        // A burst: many of them are still in the kernel's queue when the signal comes.
        let mut clients: Vec<_> = (0..200)
            .map(|_| {
                let mut client = Client::connect(gateway.address());
                client.send("GET", "/quick", &[], None).unwrap();
                client
            })
            .collect();
        gateway.terminate();
        for (number, client) in clients.iter_mut().enumerate() {
            let response = client
                .read("GET")
                .unwrap_or_else(|error| panic!("request {number} is lost: {error}"));
            assert_eq!(response.text(), "quick");
        }
        assert!(gateway.wait(SOON).success());
    }
}

#[test]
fn busy_clients_meet_a_clean_end() {
    let upstream = Upstream::start();
    upstream.on("/quick", Reply::text("quick"));
    let mut gateway = gateway(&upstream, &json!({}));
    let address = gateway.address();
    let (started, starts) = mpsc::channel();
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let started = started.clone();
            thread::spawn(move || {
                let mut client = Client::connect(address);
                let mut answered = 0;
                loop {
                    match client.get("/quick") {
                        Ok(response) => {
                            assert_eq!(response.text(), "quick");
                            answered += 1;
                            if answered == 20 {
                                started.send(()).unwrap();
                            }
                            if response.head.closes() {
                                return;
                            }
                        }
                        // A request may cross with the end of its idle connection, but no answer is cut.
                        Err(ClientError::Closed | ClientError::Reset) => return,
                        Err(error) => panic!("after {answered} answers: {error}"),
                    }
                }
            })
        })
        .collect();
    for _ in 0..8 {
        starts.recv_timeout(SOON).unwrap();
    }
    gateway.terminate();
    for client in clients {
        client.join().unwrap();
    }
    assert!(gateway.wait(SOON).success());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let upstream = Upstream::start();
    let gate = Gate::new();
    upstream.on("/held", Reply::text("late").held_by(&gate));
    let mut gateway = gateway(&upstream, &json!({}));
    let mut client = Client::connect(gateway.address());
    client.send("GET", "/held", &[], None).unwrap();
    upstream.wait_for_requests(1);
    gateway.terminate();
    eventually("new connections are refused", SOON, || gateway.has_stopped_listening());
    assert!(!gateway.has_ended());
    gateway.terminate();
    gateway.wait(Duration::from_secs(2));
    gate.open();
}

#[test]
fn the_wait_for_requests_has_the_configured_bound() {
    let upstream = Upstream::start();
    let gate = Gate::new();
    upstream.on("/held", Reply::text("late").held_by(&gate));
    let mut gateway = gateway(&upstream, &json!({"max_shutdown_wait_time": "700ms"}));
    let mut client = Client::connect(gateway.address());
    client.send("GET", "/held", &[], None).unwrap();
    upstream.wait_for_requests(1);
    let begin = Instant::now();
    gateway.terminate();
    gateway.wait(SOON);
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(600), "it waited for {took:?} only");
    gate.open();
}
