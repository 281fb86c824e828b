//! A client that notices everything: raw bytes out, answers read by the letter of RFC 9112.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// How long a read or a write may take unless a test says otherwise.
const PATIENCE: Duration = Duration::from_secs(20);
/// No head that a test expects is longer.
const HEAD_BYTES_MAX: usize = 256 * 1024;

/// Why there is no whole answer.
#[derive(Debug, PartialEq, Eq)]
pub enum ClientError {
    /// The connection ended before the first byte of an answer.
    Closed,
    /// It was reset before the first byte of an answer.
    Reset,
    /// The answer began and did not come to its end.
    Truncated {
        body_bytes: u64,
    },
    /// Nothing came in time.
    TimedOut,
    /// The answer breaks the protocol.
    Malformed(String),
    Io(ErrorKind),
}

impl fmt::Display for ClientError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self:?}")
    }
}

impl std::error::Error for ClientError {}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Self::TimedOut,
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Self::Reset,
            kind => Self::Io(kind),
        }
    }
}

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

/// The first lines of an answer.
#[derive(Clone, Debug)]
pub struct Head {
    pub version: String,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    /// Statuses of interim answers that came before.
    pub interim: Vec<u16>,
    pub framing: Framing,
}

impl Head {
    /// The first value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Whether the answer announces the end of its connection.
    pub fn closes(&self) -> bool {
        let connection = self.header("connection").unwrap_or("").to_ascii_lowercase();
        self.framing == Framing::UntilClose
            || connection.contains("close")
            || (self.version == "HTTP/1.0" && !connection.contains("keep-alive"))
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Response {
    pub head: Head,
    pub body: Vec<u8>,
}

impl Response {
    pub fn status(&self) -> u16 {
        self.head.status
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("no JSON ({error}), status {}: {}", self.status(), self.text())
        })
    }

    /// The value of `X-Krakend-Completed`, as a truth value.
    pub fn is_completed(&self) -> bool {
        self.header("x-krakend-completed") == Some("true")
    }
}

/// One GET on a connection of its own; fails the test when there is no whole answer.
#[track_caller]
pub fn get(address: SocketAddr, path: &str) -> Response {
    try_get(address, path).unwrap_or_else(|error| panic!("GET {path}: {error}"))
}

/// One GET on a connection of its own.
pub fn try_get(address: SocketAddr, path: &str) -> Result<Response, ClientError> {
    Client::open(address)?.get(path)
}

/// One POST on a connection of its own; fails the test when there is no whole answer.
#[track_caller]
pub fn post(address: SocketAddr, path: &str, body: &[u8]) -> Response {
    let mut client = Client::connect(address);
    client
        .send("POST", path, &[], Some(body))
        .and_then(|()| client.read("POST"))
        .unwrap_or_else(|error| panic!("POST {path}: {error}"))
}

/// One connection to a server.
pub struct Client {
    stream: TcpStream,
    host: String,
    /// Bytes received and not yet consumed start at `start`.
    buffer: Vec<u8>,
    start: usize,
}

impl Client {
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        Self::open(address).unwrap_or_else(|error| panic!("no connection to {address}: {error}"))
    }

    pub fn open(address: SocketAddr) -> Result<Self, ClientError> {
        Ok(Self::on(TcpStream::connect_timeout(&address, PATIENCE)?, address)?)
    }

    /// A connection whose kernel keeps few bytes that nobody has read.
    #[track_caller]
    pub fn connect_with_small_window(address: SocketAddr) -> Self {
        let open = || {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
            socket.set_recv_buffer_size(16 * 1024)?;
            socket.connect(&address.into())?;
            Self::on(socket.into(), address)
        };
        open().unwrap_or_else(|error| panic!("no connection to {address}: {error}"))
    }

    fn on(stream: TcpStream, address: SocketAddr) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, host: address.to_string(), buffer: Vec::new(), start: 0 })
    }

    /// Reads and writes fail after this time.
    pub fn set_patience(&self, limit: Duration) {
        self.stream.set_read_timeout(Some(limit)).expect("a limit above zero");
        self.stream.set_write_timeout(Some(limit)).expect("a limit above zero");
    }

    /// Ends the connection with a reset instead of a proper end.
    pub fn reset(self) {
        drop(socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)));
    }

    /// Says that nothing more will be sent, and keeps reading.
    pub fn finish_writing(&self) {
        drop(self.stream.shutdown(std::net::Shutdown::Write));
    }

    /// The bytes as they stand.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        Ok(self.stream.write_all(bytes)?)
    }

    pub fn get(&mut self, path: &str) -> Result<Response, ClientError> {
        self.send("GET", path, &[], None)?;
        self.read("GET")
    }

    /// Writes a request in one piece; a body gets a Content-Length.
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<(), ClientError> {
        let mut bytes = self.head(method, path, headers);
        if let Some(body) = body {
            bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
            bytes.extend_from_slice(body);
        } else {
            bytes.extend_from_slice(b"\r\n");
        }
        self.write(&bytes)
    }

    /// Writes a head; the caller adds the body.
    pub fn send_head(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<(), ClientError> {
        let mut bytes = self.head(method, path, headers);
        bytes.extend_from_slice(b"\r\n");
        self.write(&bytes)
    }

    fn head(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in headers {
            text.extend([name, ": ", value, "\r\n"]);
        }
        text.into_bytes()
    }

    /// Reads one answer to its end.
    pub fn read(&mut self, method: &str) -> Result<Response, ClientError> {
        let mut body = Vec::new();
        let head = self.read_into(method, |part| body.extend_from_slice(part))?;
        Ok(Response { head, body })
    }

    /// Reads one answer to its end and hands over its body part by part.
    pub fn read_into(
        &mut self,
        method: &str,
        part: impl FnMut(&[u8]),
    ) -> Result<Head, ClientError> {
        let head = self.read_head(method)?;
        self.read_body(head.framing, part)?;
        Ok(head)
    }

    /// Reads the first lines of an answer, and interim answers before it.
    pub fn read_head(&mut self, method: &str) -> Result<Head, ClientError> {
        let mut interim = Vec::new();
        loop {
            let head = self.read_any_head(method)?;
            if head.status >= 200 || head.status == 101 {
                return Ok(Head { interim, ..head });
            }
            interim.push(head.status);
        }
    }

    /// Reads the first lines of the next answer, be it an interim one.
    pub fn read_any_head(&mut self, method: &str) -> Result<Head, ClientError> {
        let mut searched = 0;
        let end = loop {
            let unread = &self.buffer[self.start..];
            if let Some(place) = unread[searched..].windows(4).position(|four| four == b"\r\n\r\n")
            {
                break searched + place;
            }
            if unread.len() > HEAD_BYTES_MAX {
                return Err(ClientError::Malformed("a head without end".to_owned()));
            }
            searched = unread.len().saturating_sub(3);
            let nothing_yet = unread.is_empty();
            match self.fill() {
                Ok(0) if nothing_yet => return Err(ClientError::Closed),
                Ok(0) => return Err(ClientError::Truncated { body_bytes: 0 }),
                Err(ClientError::Reset) if !nothing_yet => {
                    return Err(ClientError::Truncated { body_bytes: 0 });
                }
                Err(error) => return Err(error),
                Ok(_) => {}
            }
        };
        let text = String::from_utf8_lossy(&self.buffer[self.start..self.start + end]).into_owned();
        self.start += end + 4;
        parse_head(&text, method)
    }

    /// Reads a body to its end.
    pub fn read_body(
        &mut self,
        framing: Framing,
        mut part: impl FnMut(&[u8]),
    ) -> Result<(), ClientError> {
        let mut total = 0;
        match framing {
            Framing::None => Ok(()),
            Framing::Length(length) => self.read_exactly(length, &mut total, &mut part),
            Framing::UntilClose => loop {
                let unread = &self.buffer[self.start..];
                part(unread);
                total += unread.len() as u64;
                self.start = self.buffer.len();
                match self.fill() {
                    Ok(0) => return Ok(()),
                    Ok(_) => {}
                    Err(ClientError::Reset) => {
                        return Err(ClientError::Truncated { body_bytes: total });
                    }
                    Err(error) => return Err(error),
                }
            },
            Framing::Chunked => loop {
                let line = self.read_line(total)?;
                let digits = line.split(';').next().unwrap_or("").trim_end_matches([' ', '\t']);
                let size = u64::from_str_radix(digits, 16)
                    .map_err(|_| ClientError::Malformed(format!("chunk size {line:?}")))?;
                if size == 0 {
                    while !self.read_line(total)?.is_empty() {}
                    return Ok(());
                }
                self.read_exactly(size, &mut total, &mut part)?;
                if !self.read_line(total)?.is_empty() {
                    return Err(ClientError::Malformed("a chunk longer than its size".to_owned()));
                }
            },
        }
    }

    fn read_exactly(
        &mut self,
        mut left: u64,
        total: &mut u64,
        part: &mut impl FnMut(&[u8]),
    ) -> Result<(), ClientError> {
        while left > 0 {
            if self.start == self.buffer.len() {
                self.fill_body(*total)?;
            }
            let unread = &self.buffer[self.start..];
            let take = unread.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            part(&unread[..take]);
            self.start += take;
            *total += take as u64;
            left -= take as u64;
        }
        Ok(())
    }

    fn read_line(&mut self, total: u64) -> Result<String, ClientError> {
        loop {
            let unread = &self.buffer[self.start..];
            if let Some(end) = unread.windows(2).position(|two| two == b"\r\n") {
                let line = String::from_utf8_lossy(&unread[..end]).into_owned();
                self.start += end + 2;
                return Ok(line);
            }
            if unread.len() > 4096 {
                return Err(ClientError::Malformed(
                    "a line of a chunked body without end".to_owned(),
                ));
            }
            self.fill_body(total)?;
        }
    }

    fn fill_body(&mut self, total: u64) -> Result<(), ClientError> {
        match self.fill() {
            Ok(0) | Err(ClientError::Reset) => Err(ClientError::Truncated { body_bytes: total }),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn fill(&mut self) -> Result<usize, ClientError> {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        }
        let mut piece = [0; 16_384];
        loop {
            match self.stream.read(&mut piece) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => {
                    let count = read?;
                    self.buffer.extend_from_slice(&piece[..count]);
                    return Ok(count);
                }
            }
        }
    }

    /// Bytes that came after the last answer and belong to none.
    pub fn surplus(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Whether the server ends this connection, having sent nothing more, within `limit`.
    pub fn is_ended_by_server(&mut self, limit: Duration) -> bool {
        self.set_patience(limit);
        self.surplus().is_empty() && matches!(self.fill(), Ok(0) | Err(ClientError::Reset))
    }
}

fn parse_head(text: &str, method: &str) -> Result<Head, ClientError> {
    let malformed = |what: &str| ClientError::Malformed(format!("{what}: {text:?}"));
    if text.replace("\r\n", "").contains(['\r', '\n', '\0']) {
        return Err(malformed("a stray control character in the head"));
    }
    let mut lines = text.split("\r\n");
    let mut status_line = lines.next().unwrap_or("").splitn(3, ' ');
    let version = status_line.next().unwrap_or("").to_owned();
    if version != "HTTP/1.1" && version != "HTTP/1.0" {
        return Err(malformed("no HTTP version"));
    }
    let status =
        status_line.next().filter(|code| code.len() == 3).and_then(|code| code.parse::<u16>().ok());
    let status = status.filter(|code| *code >= 100).ok_or_else(|| malformed("no status"))?;
    let mut headers = Vec::new();
    for line in lines {
        let (name, value) =
            line.split_once(':').ok_or_else(|| malformed("a header without colon"))?;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(malformed("a header's name"));
        }
        headers.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
    }
    let framing = framing(&headers, status, method).map_err(|what| malformed(&what))?;
    Ok(Head { version, status, headers, interim: Vec::new(), framing })
}

/// RFC 9112 section 6.3, for an answer.
fn framing(headers: &[(String, String)], status: u16, method: &str) -> Result<Framing, String> {
    let values = |wanted: &str| -> Vec<&str> {
        headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.as_str())
            .collect()
    };
    let (codings, lengths) = (values("transfer-encoding"), values("content-length"));
    if !codings.is_empty() && !lengths.is_empty() {
        return Err("a length beside a transfer coding".to_owned());
    }
    let bodiless = method == "HEAD" || status < 200 || status == 204 || status == 304;
    match (codings.as_slice(), lengths.as_slice()) {
        _ if bodiless => Ok(Framing::None),
        ([coding], []) if coding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
        ([], [length])
            if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            length.parse().map(Framing::Length).map_err(|_| "a length beyond bounds".to_owned())
        }
        ([], []) => Ok(Framing::UntilClose),
        _ => Err(format!("framing by {codings:?} and {lengths:?}")),
    }
}
