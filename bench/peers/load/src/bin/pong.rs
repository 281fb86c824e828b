//! An upstream for benchmarks: answers canned bodies by path, as cheaply as io_uring can.
//!
//! `pong PORT [THREADS]` listens on 127.0.0.1. The first segment of the path picks the answer: `/300`, `/10k`, `/1m`,
//! `/64m`, `/post` (300 bytes). Bodies of requests are read to their end. It expects what gateways send: HTTP/1.1,
//! one request after another on a connection that is kept; anything else closes the connection.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use load::{Done, Kind, Ring};

/// Longer heads are nobody's here.
const HEAD_LIMIT_BYTES: usize = 64 << 10;
const READ_BYTES: usize = 16 << 10;
/// For the bodies of long uploads.
const READ_BYTES_LONG: usize = 256 << 10;

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
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    let mut loops = Vec::new();
    for _ in 0..threads {
        let listener = listener.try_clone()?;
        loops.push(std::thread::spawn(move || serve(&listener)));
    }
    for one in loops {
        one.join().map_err(|_| io::Error::other("a thread panicked"))??;
    }
    Ok(())
}

fn serve(listener: &TcpListener) -> io::Result<()> {
    let answers = Answers::new();
    let mut ring = Ring::new()?;
    ring.accept(listener.as_raw_fd());
    let mut connections: Vec<Option<Box<Connection>>> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    let mut done: Vec<Done> = Vec::new();
    loop {
        ring.wait(Duration::from_secs(1), &mut done)?;
        for event in done.drain(..) {
            if event.kind == Kind::Accept {
                if !event.goes_on {
                    ring.accept(listener.as_raw_fd());
                }
                if event.result < 0 {
                    return Err(io::Error::from_raw_os_error(-event.result));
                }
                let place = free.pop().unwrap_or_else(|| {
                    connections.push(None);
                    connections.len() - 1
                });
                let connection = connections[place].insert(Connection::new(event.result, place));
                connection.receive(&mut ring);
                continue;
            }
            let Some(connection) = &mut connections[event.place] else { continue };
            if !connection.step(&event, &answers, &mut ring) {
                // What is in flight ends now; then nothing of it writes any more.
                connection.close();
            }
            if connection.is_closed && connection.in_flight == 0 {
                connections[event.place] = None;
                free.push(event.place);
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
    socket: OwnedFd,
    place: usize,
    buffer: Vec<u8>,
    expect: Expect,
    /// A head that has come in part; empty nearly always.
    head: Vec<u8>,
    answer: usize,
    /// How much of the answer is out or on its way; nothing is being sent if `None`.
    sent: Option<usize>,
    /// Operations whose end will be told.
    in_flight: usize,
    is_closed: bool,
}

impl Connection {
    fn new(socket: RawFd, place: usize) -> Box<Self> {
        let yes: libc::c_int = 1;
        // SAFETY: the kernel has just given us this descriptor, and the option is a plain number.
        let socket = unsafe {
            let size = libc::socklen_t::try_from(size_of_val(&yes)).unwrap_or_default();
            libc::setsockopt(
                socket,
                libc::IPPROTO_TCP,
                libc::TCP_NODELAY,
                (&raw const yes).cast(),
                size,
            );
            OwnedFd::from_raw_fd(socket)
        };
        Box::new(Self {
            socket,
            place,
            buffer: vec![0; READ_BYTES],
            expect: Expect::Head,
            head: Vec::new(),
            answer: 0,
            sent: None,
            in_flight: 0,
            is_closed: false,
        })
    }

    fn receive(&mut self, ring: &mut Ring) {
        if matches!(self.expect, Expect::Body { left, .. } if left > READ_BYTES)
            && self.buffer.len() < READ_BYTES_LONG
        {
            self.buffer = vec![0; READ_BYTES_LONG];
        }
        self.in_flight += 1;
        // SAFETY: one read is in flight at a time, and the buffer is only changed between two of them; the connection is
        // kept until all that it began has ended.
        unsafe {
            ring.receive(
                self.place,
                self.socket.as_raw_fd(),
                self.buffer.as_mut_ptr(),
                self.buffer.len(),
            );
        }
    }

    fn close(&mut self) {
        self.is_closed = true;
        // SAFETY: the descriptor is open as long as `self` lives.
        unsafe { libc::shutdown(self.socket.as_raw_fd(), libc::SHUT_RDWR) };
    }

    /// False: the connection is over.
    fn step(&mut self, event: &Done, answers: &Answers, ring: &mut Ring) -> bool {
        if event.kind == Kind::Receive || self.sent.is_some() {
            self.in_flight -= 1;
        }
        let Some(count) = usize::try_from(event.result).ok().filter(|count| *count > 0) else {
            return false;
        };
        if self.is_closed {
            return false;
        }
        if event.kind == Kind::Send {
            self.send(answers, ring);
            return true;
        }
        let buffer = std::mem::take(&mut self.buffer);
        let goes_on = self.take(&buffer[..count]);
        self.buffer = buffer;
        match (goes_on, self.sent) {
            (false, _) => return false,
            (true, Some(_)) => self.send(answers, ring),
            (true, None) => self.receive(ring),
        }
        true
    }

    fn take(&mut self, mut bytes: &[u8]) -> bool {
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
                    let Some(answer) = find_answer(head) else { return false };
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
            }
        }
        true
    }

    /// Sends the next slice of the answer. The end of the last one is not waited for: the next request may come.
    fn send(&mut self, answers: &Answers, ring: &mut Ring) {
        let answer = &answers.0[self.answer];
        let from = self.sent.unwrap_or(0);
        let slice = answer.from(from);
        let is_last = from + slice.len() == answer.length;
        // SAFETY: the answers live as long as the process.
        unsafe { ring.send(self.place, self.socket.as_raw_fd(), slice, !is_last) };
        if is_last {
            self.sent = None;
            self.receive(ring);
        } else {
            self.sent = Some(from + slice.len());
            self.in_flight += 1;
        }
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
    memchr::memmem::find(text, part)
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

/// In the order of [`NAMES`].
struct Answers(Vec<Answer>);

/// The first segments of the paths that are answered.
const NAMES: [&[u8]; 5] = [b"300", b"10k", b"post", b"1m", b"64m"];

impl Answers {
    fn new() -> Self {
        let small = object(300);
        let json = "application/json";
        let binary = "application/octet-stream";
        Self(vec![
            Answer::new(json, &small, 1),
            Answer::new(json, &object(10 << 10), 1),
            Answer::new(json, &small, 1),
            Answer::new(binary, &"m".repeat(1 << 20), 1),
            Answer::new(binary, &"M".repeat(256 << 10), 256),
        ])
    }
}

fn find_answer(head: &[u8]) -> Option<usize> {
    let path = &head[find(head, b" /")? + 2..];
    let end = path.iter().position(|byte| matches!(byte, b' ' | b'/' | b'?'))?;
    NAMES.iter().position(|name| *name == &path[..end])
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
