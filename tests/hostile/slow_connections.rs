use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use socket2::{Domain, Socket, Type};

use super::honest::Honest;
use super::stage::Stage;
use crate::ALONE;
use crate::harness::Driver;
use crate::harness::process::try_allow_descriptors;

const CONNECTIONS: usize = 10_000;
/// One in so many is in the middle of an upload, so that a connection to the upstream waits with it.
const UPLOADS: usize = 25;
/// They come from several addresses, as one has only so many ports.
const ADDRESSES: usize = 5;
/// Of the gateway in all, with every connection waiting for the next byte.
const RESIDENT_KIB_MAX: u64 = 100_000_000 / 1024;
/// Of this process: both ends of uploads' connections are here, and a copy that the scripted upstream keeps.
const DESCRIPTORS: u64 = 14_000;
const HELD: Duration = Duration::from_secs(6);
const CALM: Duration = Duration::from_secs(3);

fn open(address: SocketAddr, number: usize) -> TcpStream {
    let open = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        let from = u8::try_from(2 + number % ADDRESSES).expect("a few addresses");
        socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, from), 0)).into())?;
        socket.connect(&address.into())?;
        let mut stream = TcpStream::from(socket);
        let begin: &[u8] = if number.is_multiple_of(UPLOADS) {
            b"POST /up/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n"
        } else {
            b"GET /raw/5 HTTP/1.1\r\nHost: h\r\nX-Slow: "
        };
        stream.write_all(begin)?;
        Ok::<_, std::io::Error>(stream)
    };
    open().unwrap_or_else(|error| panic!("connection {number}: {error}"))
}

fn hold(driver: Driver) {
    let stage = Stage::start_with(driver, json!({"timeout": "120s"}));
    let gateway = &stage.gateway;
    let (stop, honest) = (AtomicBool::new(false), Honest::new(gateway.address(), 2));
    let mut resident_kib = 0;
    let mut held: Vec<TcpStream> = thread::scope(|scope| {
        honest.start(scope, &stop);
        honest.begin_phase(0);
        thread::sleep(CALM);
        let mut held: Vec<_> = (0..CONNECTIONS).map(|at| open(gateway.address(), at)).collect();
        honest.begin_phase(1);
        let end = Instant::now() + HELD;
        while Instant::now() < end {
            for stream in &mut held {
                stream.write_all(b"a").expect("a slow connection is held");
            }
            thread::sleep(Duration::from_millis(500));
            resident_kib = resident_kib.max(gateway.resident_kib());
        }
        stop.store(true, Ordering::Relaxed);
        held
    });
    println!("{driver:?}: {CONNECTIONS} held in {resident_kib} KiB; {}", honest.summary());
    assert!(honest.is_fast(), "honest clients wait too long: {}", honest.summary());
    assert!(resident_kib <= RESIDENT_KIB_MAX, "{resident_kib} KiB for {CONNECTIONS} connections");
    assert!(gateway.sockets() >= CONNECTIONS);
    // Slow ones get their answer when they come to the end at last.
    for stream in held.iter_mut().skip(1).step_by(UPLOADS) {
        stream.write_all(b"\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    drop(held);
    stage.expect_nothing_left();
}

#[test]
fn ten_thousand_slow_connections_are_held_in_little_memory() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    if !try_allow_descriptors(DESCRIPTORS) {
        eprintln!(
            "NOT TESTED: ten thousand connections need {DESCRIPTORS} descriptors, raise the hard limit (ulimit -Hn)"
        );
        return;
    }
    Driver::available().into_iter().for_each(hold);
}
