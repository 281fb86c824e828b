use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::stage::MISDEEDS;
use crate::harness::client::Framing;
use crate::harness::{Client, ClientError};

/// Connections that one kind of slow client holds at a time.
const SLOW: usize = 60;
/// The gateway gets rid of whoever is slow within its own timeouts, which are a few seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where an attack goes, and how often it came to its end.
pub struct Target<'t> {
    pub address: SocketAddr,
    pub stop: &'t AtomicBool,
    pub count: &'t AtomicU64,
}

pub struct Attack {
    pub name: &'static str,
    pub run: fn(&Target<'_>),
}

pub const ATTACKS: [Attack; 11] = [
    Attack { name: "heads that drip", run: dripping_heads },
    Attack { name: "bodies that drip", run: dripping_bodies },
    Attack { name: "answers that nobody reads", run: unread_answers },
    Attack { name: "garbage", run: garbage },
    Attack { name: "resets", run: resets },
    Attack { name: "endless headers", run: endless_headers },
    Attack { name: "chunk floods", run: chunk_floods },
    Attack { name: "broken chunks and framing", run: broken_framing },
    Attack { name: "connections that come and go", run: churn },
    Attack { name: "pipelines that nobody reads", run: pipelines },
    Attack { name: "upstreams that misbehave", run: misdeeds },
];

impl Target<'_> {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// Again and again, with a pause: it is many kinds at once that is tested, not who has more processors.
    fn repeat(&self, pause: Duration, mut attack: impl FnMut()) {
        while self.goes_on() {
            attack();
            self.count.fetch_add(1, Ordering::Relaxed);
            thread::sleep(pause);
        }
    }

    fn open(&self) -> TcpStream {
        let stream =
            TcpStream::connect_timeout(&self.address, PATIENCE).expect("it takes connections");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn client(&self) -> Client {
        let client = Client::connect(self.address);
        client.set_patience(PATIENCE);
        client
    }

    /// Holds connections that send one byte at a time, until the gateway has ended all of them.
    fn drip(&self, begin: &str) {
        let mut held: Vec<TcpStream> = (0..SLOW).map(|_| self.open()).collect();
        for stream in &mut held {
            stream.write_all(begin.as_bytes()).expect("the first bytes are taken");
            stream.set_nonblocking(true).unwrap();
        }
        let end = Instant::now() + PATIENCE;
        while !held.is_empty() && self.goes_on() {
            assert!(Instant::now() < end, "{} slow connections were never ended", held.len());
            held.retain_mut(|stream| stream.write_all(b"a").is_ok() && !has_ended(stream));
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Whether the other side has ended a connection that does not block; its last words are dropped.
fn has_ended(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 4096]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

/// What comes until the connection ends; `None` when it does not end in time.
fn last_words(stream: &mut TcpStream) -> Option<String> {
    let mut all = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => all.extend_from_slice(&piece[..count.min(4096)]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return None,
            Err(_) => break,
        }
    }
    Some(String::from_utf8_lossy(&all).into_owned())
}

fn dripping_heads(target: &Target<'_>) {
    target.repeat(Duration::ZERO, || target.drip("GET /raw/1 HTTP/1.1\r\nHost: h\r\nX-Slow: "));
}

fn dripping_bodies(target: &Target<'_>) {
    let head = "POST /up/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n";
    target.repeat(Duration::ZERO, || target.drip(head));
}

fn unread_answers(target: &Target<'_>) {
    target.repeat(Duration::from_millis(50), || {
        let held: Vec<Client> = (0..8)
            .map(|_| {
                let mut client = Client::connect_with_small_window(target.address);
                client.send("GET", "/large", &[], None).expect("a request is taken");
                client
            })
            .collect();
        thread::sleep(Duration::from_millis(600));
        drop(held);
    });
}

fn garbage(target: &Target<'_>) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = [0; 512];
    target.repeat(Duration::from_millis(10), || {
        for byte in &mut noise {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = state.to_le_bytes()[3];
        }
        // A control character that no request line begins with, so that it is refused at once.
        noise[0] = 0x16;
        let mut stream = target.open();
        drop(stream.write_all(&noise));
        let words = last_words(&mut stream).expect("garbage ends a connection");
        assert!(words.is_empty() || words.starts_with("HTTP/1.1 4"), "{words:?}");
    });
}

fn resets(target: &Target<'_>) {
    let mut turn = 0_usize;
    target.repeat(Duration::from_millis(4), || {
        turn += 1;
        let mut stream = target.open();
        let request = format!("GET /merged/{turn} HTTP/1.1\r\nHost: h\r\n\r\n");
        drop(stream.write_all(&request.as_bytes()[..turn % (request.len() + 1)]));
        thread::sleep(Duration::from_millis(turn as u64 % 3));
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    });
}

fn endless_headers(target: &Target<'_>) {
    target.repeat(Duration::from_millis(50), || {
        let mut stream = target.open();
        drop(stream.write_all(b"GET /raw/1 HTTP/1.1\r\nHost: h\r\n"));
        let lines = "X-More: and more of it\r\n".repeat(40);
        let end = Instant::now() + PATIENCE;
        // It may go on for the second that a refused client gets to read its answer.
        while stream.write_all(lines.as_bytes()).is_ok() {
            assert!(Instant::now() < end, "a head without an end is read for ever");
            thread::sleep(Duration::from_millis(1));
        }
        let words = last_words(&mut stream).expect("a head without an end ends its connection");
        assert!(words.is_empty() || words.starts_with("HTTP/1.1 4"), "{words:?}");
    });
}

fn chunk_floods(target: &Target<'_>) {
    let flood = "1\r\na\r\n".repeat(500);
    let padded = format!("1;{}\r\na\r\n", "x".repeat(4000)).repeat(20);
    let mut turn = 0_u64;
    target.repeat(Duration::from_millis(50), || {
        turn += 1;
        let mut stream = target.open();
        let head = "POST /up/1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
        drop(stream.write_all(head.as_bytes()));
        let piece = if turn.is_multiple_of(2) { &flood } else { &padded };
        for _ in 0..40 {
            if stream.write_all(piece.as_bytes()).is_err() {
                break;
            }
        }
        drop(stream.shutdown(Shutdown::Write));
        let words = last_words(&mut stream).expect("a body that broke off ends its connection");
        assert!(!words.starts_with("HTTP/1.1 200"), "half a body was taken for a whole one");
    });
}

fn broken_framing(target: &Target<'_>) {
    let requests = [
        "POST /up/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
        "POST /up/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "POST /up/1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "POST /up/1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        "POST /up/1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "GET /raw/1 HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n",
        "GET /raw/1 HTTP/1.1\nHost: h\n\n",
        "GET  /raw/1 HTTP/1.1\r\nHost: h\r\n\r\n",
    ];
    let mut turn = 0;
    target.repeat(Duration::from_millis(10), || {
        turn += 1;
        let mut stream = target.open();
        drop(stream.write_all(requests[turn % requests.len()].as_bytes()));
        let words = last_words(&mut stream).expect("a refused request ends its connection");
        assert!(!words.starts_with("HTTP/1.1 2"), "{}: {words:?}", requests[turn % requests.len()]);
    });
}

fn churn(target: &Target<'_>) {
    target.repeat(Duration::from_millis(20), || {
        let burst: Vec<TcpStream> = (0..20).map(|_| target.open()).collect();
        drop(burst);
    });
}

fn pipelines(target: &Target<'_>) {
    let many = "GET /decoded/4 HTTP/1.1\r\nHost: h\r\n\r\n".repeat(30);
    let mut turn = 0_u64;
    target.repeat(Duration::from_millis(100), || {
        turn += 1;
        let mut client = target.client();
        client.write(many.as_bytes()).expect("requests are taken");
        // Some answers are read and must be right, then the client is gone.
        for _ in 0..turn % 3 {
            let response = client.read("GET").expect("a pipelined answer");
            assert_eq!(
                (response.status(), &response.json()["number"]),
                (200, &serde_json::json!(4))
            );
        }
    });
}

/// An upstream's misdeed never looks like a whole answer.
fn misdeeds(target: &Target<'_>) {
    let mut turn = 0;
    target.repeat(Duration::from_millis(10), || {
        turn += 1;
        let how = MISDEEDS[turn % MISDEEDS.len()];
        if how == "silent" && turn % 5 != 0 {
            return;
        }
        let mut client = target.client();
        client.send("GET", &format!("/bad/{how}"), &[], None).expect("a request is taken");
        let head = client.read_head("GET");
        let is_whole = match head {
            Err(ClientError::TimedOut) => panic!("{how}: no answer in time"),
            Err(_) => false,
            Ok(head) if head.status != 200 => false,
            Ok(head) => {
                client.read_body(head.framing, |_| {}).is_ok()
                    && head.framing != Framing::UntilClose
            }
        };
        // What follows a whole answer is dropped; a response of its own it must not become.
        assert_eq!(
            is_whole,
            how == "surplus",
            "{how} passed for a whole answer, or a whole one was cut"
        );
        let response = target
            .client()
            .get(&format!("/bad-decoded/{how}"))
            .unwrap_or_else(|error| panic!("{how}: {error}"));
        assert_eq!(response.status(), 200, "{how}: {}", response.text());
        assert_eq!(response.is_completed(), how == "surplus", "{how}: {}", response.text());
        assert_eq!(response.json()["sure"]["number"], 1);
    });
}
