//! Bounds of `shoal/limits`: at the bound the gateway refuses early, and the rest goes on.

use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use crate::harness::client::try_get;
use crate::harness::gateway::Builder;
use crate::harness::process;
use crate::harness::{
    Client, ClientError, Driver, Gate, Gateway, Reply, Upstream, endpoint, eventually, no_op,
};

fn limited(limits: &Value, endpoints: &[Value]) -> Builder {
    Gateway::with(json!({"endpoints": endpoints, "extra_config": {"shoal/limits": limits}}))
}

/// A connection that has had an answer, so that the gateway has let it in.
fn open(gateway: &Gateway) -> Result<Client, ClientError> {
    let mut client = Client::open(gateway.address())?;
    match client.get("/__health")? {
        answer if answer.status() == 200 => Ok(client),
        answer => {
            assert_eq!((answer.status(), answer.header("retry-after")), (503, Some("1")));
            assert!(answer.head.closes());
            Err(ClientError::Closed)
        }
    }
}

#[test]
fn connections_beyond_the_bound_are_closed_and_the_others_live() {
    for driver in Driver::available() {
        // One of them the harness opened and closed while it waited for the start.
        let gateway = limited(&json!({"connections_max": 20}), &[]).driver(driver).start();
        let mut kept = Vec::new();
        eventually("twenty are let in", Duration::from_secs(5), || {
            kept.extend(open(&gateway).ok());
            kept.len() == 20
        });
        for _ in 0..50 {
            assert!(open(&gateway).is_err());
        }
        for client in &mut kept {
            assert_eq!(client.get("/__health").unwrap().status(), 200);
        }
        kept.pop();
        eventually("a place comes free", Duration::from_secs(5), || open(&gateway).is_ok());
        eventually("the log tells", Duration::from_secs(5), || {
            gateway.log().contains("connections refused")
        });
    }
}

#[test]
fn one_address_cannot_take_all_connections() {
    for driver in Driver::available() {
        let limits = json!({"connections_per_address_max": 5});
        let gateway = limited(&limits, &[]).driver(driver).start();
        let mut kept = Vec::new();
        eventually("five are let in", Duration::from_secs(5), || {
            kept.extend(open(&gateway).ok());
            kept.len() == 5
        });
        for _ in 0..20 {
            assert!(open(&gateway).is_err());
        }
        drop(kept);
        eventually("places come free", Duration::from_secs(5), || open(&gateway).is_ok());
    }
}

#[test]
fn requests_beyond_the_bound_get_503_and_keep_their_connection() {
    let upstream = Upstream::start();
    let gate = Gate::new();
    upstream.on("/held", Reply::text("held").held_by(&gate));
    let endpoints = [no_op("GET", "/held", &upstream.url())];
    let gateway = limited(&json!({"requests_max": 4}), &endpoints).workers(1).start();
    let address = gateway.address();
    let held: Vec<_> = (0..4)
        .map(|_| thread::spawn(move || try_get(address, "/held").unwrap().status()))
        .collect();
    upstream.wait_for_requests(4);
    let mut client = Client::connect(address);
    for _ in 0..10 {
        let refused = client.get("/held").unwrap();
        assert_eq!((refused.status(), refused.header("retry-after")), (503, Some("1")));
        assert_eq!(client.get("/__health").unwrap().status(), 200);
    }
    assert_eq!(upstream.requests(), 4, "no upstream hears of what is refused");
    gate.open();
    assert!(held.into_iter().all(|client| client.join().unwrap() == 200));
    assert_eq!(client.get("/held").unwrap().status(), 200);
}

#[test]
fn a_host_is_dialed_so_often_at_a_time() {
    let (address, filling) = full_host();
    let endpoints = [no_op("GET", "/item", &format!("http://{address}"))];
    let gateway = limited(&json!({"dials_per_host_max": 3}), &endpoints).workers(1).start();
    let before = dials_to(address);
    let gateway_address = gateway.address();
    let clients: Vec<_> = (0..10)
        .map(|_| thread::spawn(move || try_get(gateway_address, "/item").unwrap().status()))
        .collect();
    eventually("three dials are under way", Duration::from_secs(3), || {
        dials_to(address) == before + 3
    });
    thread::sleep(Duration::from_millis(300));
    assert_eq!(dials_to(address), before + 3, "the others wait");
    assert!(clients.into_iter().all(|client| client.join().unwrap() == 500));
    drop(filling);
}

/// A host that answers no connection: its queue is full, as long as the sockets live, so dials stay under way.
pub fn full_host() -> (SocketAddr, Vec<Socket>) {
    let host = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    host.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    host.listen(0).unwrap();
    let address = host.local_addr().unwrap().as_socket().unwrap();
    let mut sockets: Vec<Socket> = (0..8)
        .map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            drop(socket.connect(&address.into()));
            socket
        })
        .collect();
    sockets.push(host);
    (address, sockets)
}

/// Connections to this address that wait for their first answer.
fn dials_to(address: SocketAddr) -> usize {
    const SYN_SENT: &str = "02";
    let port = format!(":{:04X}", address.port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let is_dial = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields[2].ends_with(&port) && fields[3] == SYN_SENT
    };
    table.lines().filter(is_dial).count()
}

#[test]
fn a_core_that_is_behind_sheds_load() {
    let upstream = Upstream::start();
    let members: Vec<Value> =
        (0..20_000).map(|n| json!({"number": n, "text": "x".repeat(20)})).collect();
    upstream.on("/heavy", Reply::json(json!({"list": members})));
    let heavy = json!({"host": [upstream.url()], "url_pattern": "/heavy", "deny": ["list.number"]});
    // Written as YAML: the core has to build every value.
    let mut slow = endpoint("/heavy", &[heavy]);
    slow["output_encoding"] = json!("yaml");
    let gateway = limited(&json!({"queue_max_ms": 5}), &[slow]).workers(1).start();
    let address = gateway.address();
    let (served, shed) = (&AtomicUsize::new(0), &AtomicUsize::new(0));
    let has_both = || served.load(Relaxed) > 0 && shed.load(Relaxed) > 0;
    let end = Instant::now() + Duration::from_secs(30);
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                while Instant::now() < end && !has_both() {
                    match try_get(address, "/heavy").unwrap() {
                        answer if answer.status() == 200 => served.fetch_add(1, Relaxed),
                        answer => {
                            assert_eq!(answer.status(), 503);
                            assert_eq!(answer.header("retry-after"), Some("1"));
                            shed.fetch_add(1, Relaxed)
                        }
                    };
                }
            });
        }
    });
    assert!(has_both(), "{served:?} served, {shed:?} shed");
    eventually("it has caught up", Duration::from_secs(5), || {
        try_get(address, "/heavy").unwrap().status() == 200
    });
}

#[test]
fn descriptors_run_out_without_a_spin_or_a_lost_listener() {
    const DESCRIPTORS: u32 = 64;
    for driver in Driver::available() {
        let gateway = limited(&json!({}), &[]).driver(driver).workers(2).start();
        process::limit_descriptors(gateway.pid(), DESCRIPTORS);
        // Several at once, so that cores run out of descriptors at the same time.
        let opening: Vec<_> = (0..4)
            .map(|_| {
                let address = gateway.address();
                thread::spawn(move || -> Vec<Client> {
                    (0..50).map(|_| Client::open(address).unwrap()).collect()
                })
            })
            .collect();
        let waiting: Vec<Client> =
            opening.into_iter().flat_map(|clients| clients.join().unwrap()).collect();
        eventually("all descriptors are taken", Duration::from_secs(5), || {
            gateway.descriptors() >= DESCRIPTORS as usize
        });
        let before = cpu_ticks(gateway.pid());
        thread::sleep(Duration::from_secs(1));
        let ticks = cpu_ticks(gateway.pid()) - before;
        assert!(ticks < 30, "{ticks} of 100 ticks of a processor while nothing can be done");
        // A balancer that looks whether the node is well must not wait for that, whichever core it comes to.
        for _ in 0..20 {
            let began = Instant::now();
            assert!(try_get(gateway.address(), "/__ready").is_err(), "closed without an answer");
            assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        }
        drop(waiting);
        eventually("it serves again", Duration::from_secs(5), || {
            (0..20).all(|_| open(&gateway).is_ok())
        });
    }
}

#[test]
fn calls_share_the_connections_that_there_are_when_descriptors_run_out() {
    for driver in Driver::available() {
        let upstream = Upstream::start();
        upstream.on("/slow", Reply::text("done").delay(Duration::from_millis(50)));
        let gateway = Gateway::with(json!({
            "endpoints": [no_op("GET", "/slow", &upstream.url())]
        }));
        let gateway = gateway.driver(driver).workers(1).start();
        let mut clients: Vec<Client> = (0..6).map(|_| Client::connect(gateway.address())).collect();
        for client in &mut clients {
            assert_eq!(client.get("/slow").unwrap().status(), 200);
        }
        assert_eq!(upstream.connections(), 1, "they came one after another");
        process::starve_of_descriptors(gateway.pid());
        let calls: Vec<_> = clients
            .into_iter()
            .map(|mut client| thread::spawn(move || client.get("/slow").unwrap().status()))
            .collect();
        let statuses: Vec<u16> = calls.into_iter().map(|call| call.join().unwrap()).collect();
        assert_eq!(statuses, [200; 6]);
        // What was being closed when the limit was set leaves room for one or two more.
        assert!(upstream.connections() <= 3, "{}", upstream.connections());
    }
}

/// Processor time of a process in hundredths of a second.
fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn a_limit_that_is_none_stops_the_start() {
    for (limits, word) in [
        (json!({"connections_max": 0}), "connections_max cannot be 0"),
        (json!({"requests_max": -1}), "whole numbers above zero"),
        (json!({"accept_backlog": 70_000}), "a number from 1 to 65535"),
        (json!({"json_depth_max": 10_001}), "a number from 1 to 10000"),
        (json!({"uri_bytes_max": 0}), "uri_bytes_max cannot be 0"),
        (json!({"upstream_head_bytes_max": 2_000_000_000}), "a number from 1 to 1073741824"),
        (json!({"request_body_bytes_max": 1.5}), "whole numbers above zero"),
        (json!({"kept_body_bytes_max": "1M"}), "whole numbers above zero"),
    ] {
        let config =
            json!({"version": 3, "endpoints": [], "extra_config": {"shoal/limits": limits}});
        let arguments = ["run", "--lenient", "-c", "krakend.json"];
        let (status, log) =
            crate::harness::gateway::run(&[("krakend.json", &config.to_string())], &arguments);
        assert!(!status.success());
        assert!(log.contains(word), "{log}");
    }
}
