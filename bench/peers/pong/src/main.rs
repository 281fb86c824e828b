//! An upstream for benchmarks: answers canned bodies by path, as cheaply as an epoll loop can.
//!
//! `pong PORT [THREADS]` listens on 127.0.0.1. The first segment of the path picks the answer: `/300`, `/10k`, `/1m`,
//! `/64m`, `/post` (300 bytes). Bodies of requests are read to their end. It expects what gateways send: HTTP/1.1,
//! one request after another on a connection that is kept; anything else closes the connection.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(usize::MAX);
/// Longer heads are nobody's here.
const HEAD_LIMIT_BYTES: usize = 64 << 10;
const READ_BYTES: usize = 256 << 10;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let number = |text: Option<String>| text.and_then(|text| text.parse::<u16>().ok());
    let Some(port) = number(arguments.next()) else {
        eprintln!("usage: pong PORT [THREADS]");
        std::process::exit(2);
    };
    let threads = number(arguments.next()).unwrap_or(1);
    if let Err(error) = run(port, threads) {
        eprintln!("pong: port {port}: {error}");
        std::process::exit(1);
    }
}

fn run(port: u16, threads: u16) -> io::Result<()> {
    let listener = std::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port)))?;
    listener.set_nonblocking(true)?;
    let mut loops = Vec::new();
    for _ in 0..threads {
        let listener = TcpListener::from_std(listener.try_clone()?);
        loops.push(std::thread::spawn(move || serve(listener)));
    }
    for one in loops {
        one.join().map_err(|_| io::Error::other("a thread panicked"))??;
    }
    Ok(())
}

fn serve(mut listener: TcpListener) -> io::Result<()> {
    let answers = Answers::new();
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(1024);
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    let mut scratch = vec![0; READ_BYTES];
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    let place = free.pop().unwrap_or_else(|| {
                        connections.push(None);
                        connections.len() - 1
                    });
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, Token(place), interest)?;
                    connections[place] = Some(Connection::new(stream));
                }
                continue;
            }
            let place = event.token().0;
            let Some(connection) = &mut connections[place] else { continue };
            if !connection.step(event, &answers, &mut scratch) {
                connections[place] = None;
                free.push(place);
            }
        }
    }
}

/// What is still to come of the request.
enum Expect {
    Head,
    /// So many bytes; then the next chunk, if it comes in chunks.
    Body {
        left: usize,
        chunked: bool,
    },
    /// The digits of a chunk's size so far.
    ChunkSize(usize),
}

struct Connection {
    stream: TcpStream,
    expect: Expect,
    /// A head that has come in part; empty nearly always.
    head: Vec<u8>,
    answer: usize,
    /// How much of the answer is out; nothing is being sent if `None`.
    sent: Option<usize>,
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        Self { stream, expect: Expect::Head, head: Vec::new(), answer: 0, sent: None }
    }

    /// False: the connection is over.
    fn step(&mut self, event: &Event, answers: &Answers, scratch: &mut [u8]) -> bool {
        if event.is_writable() && self.sent.is_some() && !self.send(answers) {
            return false;
        }
        if !event.is_readable() {
            return true;
        }
        loop {
            match self.stream.read(scratch) {
                Ok(0) => return false,
                Ok(length) => {
                    if !self.take(&scratch[..length], answers) {
                        return false;
                    }
                    // A short read has emptied the socket: what comes next is a new event. The peer's end of
                    // the stream may have come with the data and would not.
                    if length < scratch.len() && !event.is_read_closed() {
                        return true;
                    }
                }
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    }

    fn take(&mut self, mut bytes: &[u8], answers: &Answers) -> bool {
        while !bytes.is_empty() {
            let complete = match &mut self.expect {
                Expect::Head => {
                    self.head.extend_from_slice(bytes);
                    let Some(end) = find(&self.head, b"\r\n\r\n") else {
                        return self.head.len() < HEAD_LIMIT_BYTES;
                    };
                    let end = end + 4;
                    let before = self.head.len() - bytes.len();
                    bytes = &bytes[end - before..];
                    let head = &self.head[..end];
                    let Some(answer) = answers.find(head) else { return false };
                    self.answer = answer;
                    self.expect = after_head(head);
                    self.head.clear();
                    matches!(self.expect, Expect::Head)
                }
                Expect::Body { left, chunked } => {
                    let step = bytes.len().min(*left);
                    bytes = &bytes[step..];
                    *left -= step;
                    match (*left, *chunked) {
                        (0, true) => self.expect = Expect::ChunkSize(0),
                        (0, false) => self.expect = Expect::Head,
                        _ => {}
                    }
                    matches!(self.expect, Expect::Head)
                }
                Expect::ChunkSize(size) => {
                    let byte = bytes[0];
                    bytes = &bytes[1..];
                    match (char::from(byte).to_digit(16), byte) {
                        (Some(digit), _) => *size = *size * 16 + digit as usize,
                        // The line's end that follows a chunk counts as its last two bytes; the chunk of size
                        // zero, the last one, is that line's end alone.
                        (None, b'\n') => {
                            let (left, chunked) = (*size + 2, *size > 0);
                            self.expect = Expect::Body { left, chunked };
                        }
                        (None, b'\r') => {}
                        _ => return false,
                    }
                    false
                }
            };
            if complete {
                if self.sent.is_some() || !bytes.is_empty() {
                    return false;
                }
                self.sent = Some(0);
                return self.send(answers);
            }
        }
        true
    }

    fn send(&mut self, answers: &Answers) -> bool {
        let answer = &answers.0[self.answer].1;
        let mut sent = self.sent.unwrap_or(0);
        while sent < answer.length {
            match self.stream.write(answer.from(sent)) {
                Ok(length) => sent += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.sent = Some(sent);
                    return true;
                }
                Err(_) => return false,
            }
        }
        self.sent = None;
        true
    }
}

fn after_head(head: &[u8]) -> Expect {
    // GET and DELETE come without a body.
    if matches!(head[0], b'G' | b'D') {
        return Expect::Head;
    }
    let head = head.to_ascii_lowercase();
    if find(&head, b"\r\ntransfer-encoding: chunked").is_some() {
        return Expect::ChunkSize(0);
    }
    const LENGTH: &[u8] = b"\r\ncontent-length: ";
    let left = find(&head, LENGTH).map_or(0, |at| {
        let digits = head[at + LENGTH.len()..].iter().take_while(|byte| byte.is_ascii_digit());
        digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
    });
    if left == 0 { Expect::Head } else { Expect::Body { left, chunked: false } }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// An answer as it goes over the wire: a start, then a block as often as needed.
struct Answer {
    start: Vec<u8>,
    block: Vec<u8>,
    length: usize,
}

impl Answer {
    fn new(content_type: &str, body: &str, times: usize) -> Self {
        let length = body.len() * times;
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
        );
        let total = head.len() + length;
        if times == 1 {
            return Self { start: (head + body).into_bytes(), block: Vec::new(), length: total };
        }
        Self { start: head.into_bytes(), block: body.as_bytes().to_vec(), length: total }
    }

    fn from(&self, place: usize) -> &[u8] {
        match place.checked_sub(self.start.len()) {
            None => &self.start[place..],
            Some(place) => &self.block[place % self.block.len()..],
        }
    }
}

struct Answers(Vec<(&'static [u8], Answer)>);

impl Answers {
    fn new() -> Self {
        let small = object(300);
        let json = "application/json";
        let binary = "application/octet-stream";
        Self(vec![
            (b"300", Answer::new(json, &small, 1)),
            (b"10k", Answer::new(json, &object(10 << 10), 1)),
            (b"post", Answer::new(json, &small, 1)),
            (b"1m", Answer::new(binary, &"m".repeat(1 << 20), 1)),
            (b"64m", Answer::new(binary, &"M".repeat(256 << 10), 256)),
        ])
    }

    /// By the first segment of the path.
    fn find(&self, head: &[u8]) -> Option<usize> {
        let path = &head[find(head, b" /")? + 2..];
        let end = path.iter().position(|byte| matches!(byte, b' ' | b'/' | b'?'))?;
        self.0.iter().position(|(name, _)| *name == &path[..end])
    }
}

/// A JSON object of exactly `length` bytes: a few fields, records as far as there is room, padding.
fn object(length: usize) -> String {
    let mut text = String::from(
        r#"{"id":4711,"name":"Ada Byron","email":"ada@example.com","status":"active","#,
    );
    text.push_str(r#""address":{"city":"London","zip":"W1","geo":{"lat":51.5,"lon":-0.14}},"#);
    text.push_str(r#""tags":["a","b"],"records":["#);
    let end = |text: &str| length - text.len() - r#"],"pad":""}"#.len();
    for number in 0.. {
        let comma = if number == 0 { "" } else { "," };
        let record = format!(
            r#"{comma}{{"sku":"item-{number:05}","price":{number}.95,"open":true,"note":"row \"{number}\" of many"}}"#
        );
        if record.len() > end(&text) {
            break;
        }
        text.push_str(&record);
    }
    let pad = "p".repeat(end(&text));
    text + r#"],"pad":""# + &pad + r#""}"#
}
