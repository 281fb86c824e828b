//! Messages for Graylog (GELF 1.1): over UDP packed and in chunks, over TCP with a zero byte behind each.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::access::AccessRecord;
use super::device::{Device, Remedy};
use super::logstash::append_json;
use super::pattern::program;
use super::syslog::severity;
use super::{AccessFormat, Level, Line, LineFormat, LocalTime};

/// The largest datagram, which fits through the internet unbroken, and what a chunk's head takes of it.
const DATAGRAM_BYTES_MAX: usize = 1420;
const CHUNK_HEAD_BYTES: usize = 12;
/// More chunks have no number.
const CHUNKS_MAX: usize = 128;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A collector that takes nothing for so long is asked again.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// How messages are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

/// Makes messages of lines and of access records.
pub struct GelfFormat {
    host: String,
    program: String,
    prefix: String,
    transport: Transport,
    access: Option<Box<dyn AccessFormat>>,
    scratch: Vec<u8>,
}

/// A collector that messages are sent to without an answer.
pub struct GelfUdp {
    address: String,
    socket: Option<UdpSocket>,
    /// Makes the numbers of messages that go out in chunks.
    random: RandomState,
    sent: u64,
}

/// A collector at the end of a connection.
pub struct GelfTcp {
    address: String,
    stream: Option<TcpStream>,
}

// === impl GelfFormat ===

impl GelfFormat {
    pub fn new(host: &str, prefix: &str, transport: Transport) -> Self {
        Self {
            host: host.to_owned(),
            program: program(),
            prefix: prefix.to_owned(),
            transport,
            access: None,
            scratch: Vec::new(),
        }
    }

    /// Makes messages of access records in this format.
    #[must_use]
    pub fn with_access(self, format: Box<dyn AccessFormat>) -> Self {
        Self { access: Some(format), ..self }
    }

    fn append_message(&self, at: SystemTime, level: Level, text: &str, out: &mut Vec<u8>) {
        let text = text.trim();
        // The first line is what is shown, and a message without it is none.
        let short = text.lines().next().unwrap_or("-");
        out.extend_from_slice(b"{\"version\":\"1.1\",\"host\":");
        append_json(&self.host, out);
        out.extend_from_slice(b",\"short_message\":");
        append_json(short, out);
        if short.len() < text.len() {
            out.extend_from_slice(b",\"full_message\":");
            append_json(text, out);
        }
        let since_epoch = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        // Writing to a vector cannot fail.
        let _ = write!(
            out,
            ",\"timestamp\":{}.{:03},\"level\":{},\"facility\":",
            since_epoch.as_secs(),
            since_epoch.subsec_millis(),
            severity(level)
        );
        append_json(&self.program, out);
        out.push(b'}');
        if self.transport == Transport::Tcp {
            out.push(0);
        }
    }
}

impl LineFormat for GelfFormat {
    fn append(&mut self, line: &Line<'_>, out: &mut Vec<u8>) {
        if self.prefix.is_empty() {
            self.append_message(line.at, line.level, line.message, out);
        } else {
            let text = format!("{}{}", self.prefix, line.message);
            self.append_message(line.at, line.level, &text, out);
        }
    }
}

impl AccessFormat for GelfFormat {
    fn append(&mut self, record: &AccessRecord, local: &LocalTime, out: &mut Vec<u8>) {
        let Some(format) = &mut self.access else { return };
        self.scratch.clear();
        format.append(record, local, &mut self.scratch);
        let text = String::from_utf8_lossy(&self.scratch);
        self.append_message(record.at, Level::Info, &text, out);
    }
}

// === impl GelfUdp ===

impl GelfUdp {
    /// `host:port`
    pub fn new(address: &str) -> Self {
        let random = RandomState::new();
        Self { address: address.to_owned(), socket: None, random, sent: 0 }
    }

    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let Some(socket) = &self.socket else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let packed = packed(message)?;
        if packed.len() <= DATAGRAM_BYTES_MAX {
            return socket.send(&packed).map(drop);
        }
        self.sent += 1;
        let id = self.random.hash_one(self.sent).to_be_bytes();
        for chunk in chunks(&packed, id)? {
            socket.send(&chunk)?;
        }
        Ok(())
    }
}

impl Device for GelfUdp {
    fn open(&mut self) -> io::Result<()> {
        if self.socket.is_none() {
            let mut last = io::Error::from(io::ErrorKind::NotFound);
            for address in self.address.to_socket_addrs()? {
                match connected(address) {
                    Ok(socket) => {
                        self.socket = Some(socket);
                        return Ok(());
                    }
                    Err(error) => last = error,
                }
            }
            return Err(last);
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8], record_len: usize) -> io::Result<usize> {
        self.send(&bytes[..record_len]).map(|()| record_len)
    }

    /// A refusal belongs to an earlier message, and waiting helps nobody.
    fn remedy(&self, _error: &io::Error) -> Remedy {
        Remedy::SkipRecord
    }

    fn close(&mut self) {
        self.socket = None;
    }
}

fn connected(address: SocketAddr) -> io::Result<UdpSocket> {
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.connect(address)?;
    socket.set_write_timeout(Some(WRITE_TIMEOUT))?;
    Ok(socket)
}

fn packed(message: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(message)?;
    encoder.finish()
}

/// Each with its head: two fixed bytes, the message's number, its own, and how many there are.
fn chunks(packed: &[u8], id: [u8; 8]) -> io::Result<impl Iterator<Item = Vec<u8>>> {
    let parts = packed.chunks(DATAGRAM_BYTES_MAX - CHUNK_HEAD_BYTES);
    let count = u8::try_from(parts.len()).ok().filter(|count| usize::from(*count) <= CHUNKS_MAX);
    let Some(count) = count else {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge));
    };
    Ok(parts.zip(0..count).map(move |(part, index)| {
        let mut chunk = Vec::with_capacity(CHUNK_HEAD_BYTES + part.len());
        chunk.extend_from_slice(&[0x1e, 0x0f]);
        chunk.extend_from_slice(&id);
        chunk.extend_from_slice(&[index, count]);
        chunk.extend_from_slice(part);
        chunk
    }))
}

// === impl GelfTcp ===

impl GelfTcp {
    /// `host:port`
    pub fn new(address: &str) -> Self {
        Self { address: address.to_owned(), stream: None }
    }
}

impl Device for GelfTcp {
    fn open(&mut self) -> io::Result<()> {
        if self.stream.as_ref().is_some_and(is_closed) {
            self.close();
        }
        if self.stream.is_none() {
            let mut last = io::Error::from(io::ErrorKind::NotFound);
            for address in self.address.to_socket_addrs()? {
                match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
                    Ok(stream) => {
                        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
                        self.stream = Some(stream);
                        return Ok(());
                    }
                    Err(error) => last = error,
                }
            }
            return Err(last);
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8], _record_len: usize) -> io::Result<usize> {
        let stream = self.stream.as_mut();
        stream.map_or(Err(io::ErrorKind::NotConnected.into()), |stream| stream.write(bytes))
    }

    fn remedy(&self, _error: &io::Error) -> Remedy {
        Remedy::Reconnect
    }

    fn close(&mut self) {
        if let Some(stream) = self.stream.take() {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Whether the other end has closed: a write would seem to succeed once more, and its lines would be lost.
fn is_closed(stream: &TcpStream) -> bool {
    if stream.set_nonblocking(true).is_err() {
        return true;
    }
    let peeked = stream.peek(&mut [0]);
    let is_blocking_again = stream.set_nonblocking(false).is_ok();
    let is_alive = match peeked {
        Ok(len) => len > 0,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    };
    !(is_alive && is_blocking_again)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::log::Gin;
    use flate2::read::GzDecoder;
    use serde_json::{Value, json};
    use std::io::Read;

    fn message(transport: Transport, level: Level, text: &str) -> Vec<u8> {
        let mut format = GelfFormat::new("a-host", "[P] ", transport);
        let at = UNIX_EPOCH + Duration::from_millis(1_769_871_845_095);
        let mut out = Vec::new();
        let local = LocalTime::default();
        LineFormat::append(
            &mut format,
            &Line { at, local: &local, level, message: text },
            &mut out,
        );
        out
    }

    #[test]
    fn a_message_has_the_members_of_version_1_1() {
        let bytes = message(Transport::Udp, Level::Error, "one");
        let value: Value = serde_json::from_slice(&bytes).expect("JSON");
        assert_eq!(
            value,
            json!({
                "version": "1.1", "host": "a-host", "short_message": "[P] one",
                "timestamp": 1_769_871_845.095, "level": 3, "facility": program()
            })
        );
        let mut bytes = message(Transport::Tcp, Level::Debug, " one\ntwo\n");
        assert_eq!(bytes.pop(), Some(0));
        let value: Value = serde_json::from_slice(&bytes).expect("JSON");
        assert_eq!(
            (&value["short_message"], &value["full_message"], &value["level"]),
            (&json!("[P]  one"), &json!("[P]  one\ntwo"), &json!(7))
        );
    }

    #[test]
    fn an_access_record_is_one_message_with_its_errors() {
        let mut format = GelfFormat::new("h", "[P]", Transport::Udp).with_access(Box::new(Gin));
        let record = AccessRecord {
            at: UNIX_EPOCH,
            latency: Duration::from_millis(1),
            status: 500,
            client: b"::1".as_slice().into(),
            method: b"GET".as_slice().into(),
            path: b"/".as_slice().into(),
            errors: ["broken".into()].into(),
            fields: Box::default(),
        };
        let mut out = Vec::new();
        AccessFormat::append(&mut format, &record, &LocalTime::default(), &mut out);
        let value: Value = serde_json::from_slice(&out).expect("JSON");
        let short = value["short_message"].as_str().expect("a text");
        assert!(short.starts_with("[GIN] ") && short.ends_with("GET      \"/\""), "{short}");
        let full = value["full_message"].as_str().expect("a text");
        assert_eq!(full, format!("{short}\nError #01: broken"));
    }

    #[test]
    fn what_is_too_long_for_a_datagram_goes_out_in_numbered_chunks() {
        // Nothing that packs well.
        let mut state = 1_u64;
        let text: String = (0..20_000)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                char::from(b'a' + u8::try_from(state >> 59).expect("five bits") % 26)
            })
            .collect();
        let packed = packed(text.as_bytes()).expect("packs");
        let all: Vec<Vec<u8>> = chunks(&packed, *b"12345678").expect("few").collect();
        assert!(all.len() > 5);
        let mut joined = Vec::new();
        for (index, chunk) in all.iter().enumerate() {
            assert!(chunk.len() <= DATAGRAM_BYTES_MAX && chunk.len() > CHUNK_HEAD_BYTES);
            assert_eq!(&chunk[..10], b"\x1e\x0f12345678");
            assert_eq!((usize::from(chunk[10]), usize::from(chunk[11])), (index, all.len()));
            joined.extend_from_slice(&chunk[12..]);
        }
        let mut unpacked = String::new();
        GzDecoder::new(joined.as_slice()).read_to_string(&mut unpacked).expect("unpacks");
        assert_eq!(unpacked, text);
        assert!(chunks(&vec![0; 200_000], *b"12345678").is_err(), "too many to be numbered");
    }
}
