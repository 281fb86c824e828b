//! The handshake of an encrypted connection: bounded in time by the stream's deadline, and in bytes.

use std::fmt;
use std::io;

use rustls::ProtocolVersion;

use super::Tls;
use crate::net::Stream;
use crate::net::clock;

/// Bytes that the other side may send before the handshake is done: room for a long chain of certificates.
const BYTES_MAX: usize = 128 * 1024;
/// How long a client whose handshake failed may take to read why.
const LINGER_MS: u64 = 1000;
/// Bytes of it that are read and dropped meanwhile.
const LINGER_BYTES_MAX: usize = 256 * 1024;
/// What Go's server tells a client that speaks HTTP where TLS is spoken.
const PLAIN_HTTP: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
/// How the requests begin that get this answer; five bytes, the length of a record's head.
const METHODS: [&[u8; 5]; 8] =
    [b"GET /", b"HEAD ", b"POST ", b"PUT /", b"PATCH", b"DELET", b"OPTIO", b"HTTP/"];

/// Why an encrypted connection did not come about.
#[derive(Debug)]
pub enum HandshakeError {
    TimedOut,
    /// The other side closed the connection before it was done.
    Closed,
    Io(io::Error),
    /// Plain HTTP was spoken.
    PlainHttp,
    /// More bytes than any handshake needs.
    TooLong,
    Tls(rustls::Error),
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> HandshakeError {
        match error.kind() {
            io::ErrorKind::TimedOut => HandshakeError::TimedOut,
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => HandshakeError::Closed,
            _ => match error.downcast::<rustls::Error>() {
                Ok(error) => HandshakeError::Tls(error),
                Err(error) => HandshakeError::Io(error),
            },
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HandshakeError::TimedOut => f.write_str("TLS handshake timeout"),
            HandshakeError::Closed => f.write_str("EOF"),
            HandshakeError::Io(error) => error.fmt(f),
            HandshakeError::PlainHttp => f.write_str("plain HTTP was spoken instead of TLS"),
            HandshakeError::TooLong => {
                write!(f, "tls: more than {BYTES_MAX} bytes before the end of the handshake")
            }
            HandshakeError::Tls(error) => write!(f, "tls: {error}"),
        }
    }
}

impl Tls {
    /// Speaks until both sides agree. What this side has to say at the very end of version 1.3 (a server's tickets, a
    /// client's last message) leaves with the first bytes that are written.
    ///
    /// # Errors
    /// See [`HandshakeError`]; the other side has been told why then, as far as it listens.
    pub(in crate::net) async fn handshake(&self, stream: &Stream) -> Result<(), HandshakeError> {
        let result = self.shake_hands(stream).await;
        let is_told = match &result {
            Err(HandshakeError::PlainHttp) if !self.is_client() => {
                crate::net::stream::send_now(stream.socket(), PLAIN_HTTP);
                true
            }
            Err(HandshakeError::Tls(_)) => true,
            _ => false,
        };
        if result.is_err() {
            self.is_silent.set(true);
        }
        if is_told && !self.is_client() {
            linger(stream).await;
        }
        result
    }

    async fn shake_hands(&self, stream: &Stream) -> Result<(), HandshakeError> {
        let mut count = 0;
        loop {
            self.say(stream).await?;
            self.receive(stream).await?;
            let here = self.received.borrow().bytes.len();
            if count == 0 && is_plain_http(&self.received.borrow().bytes) {
                return Err(HandshakeError::PlainHttp);
            }
            count += here;
            while !self.received.borrow().is_empty() && self.session.borrow().is_handshaking() {
                self.feed(stream.socket())?;
            }
            if !self.session.borrow().is_handshaking() {
                // In version 1.2 the other side may wait for our last message (RFC 5246 section 7.3).
                if self.session.borrow().protocol_version() == Some(ProtocolVersion::TLSv1_2) {
                    self.say(stream).await?;
                }
                return Ok(());
            }
            if count > BYTES_MAX {
                return Err(HandshakeError::TooLong);
            }
        }
    }

    /// Sends what the session has to say.
    async fn say(&self, stream: &Stream) -> io::Result<()> {
        let mut out = Vec::new();
        {
            let mut session = self.session.borrow_mut();
            while session.wants_write() {
                session.write_tls(&mut out)?;
            }
        }
        if out.is_empty() {
            return Ok(());
        }
        stream.send(out).await.0
    }
}

fn is_plain_http(bytes: &[u8]) -> bool {
    METHODS.iter().any(|begin| bytes.starts_with(*begin))
}

/// Lets the other side read the last words: closing with unread bytes would reset the connection.
async fn linger(stream: &Stream) {
    stream.finish();
    stream.watch().arm(clock::now().plus_ms(LINGER_MS));
    let mut dropped = Vec::with_capacity(4096);
    let mut count = 0;
    while count < LINGER_BYTES_MAX {
        dropped.clear();
        let (got, bytes) = stream.receive(dropped).await;
        dropped = bytes;
        match got {
            Ok(got @ 1..) => count += got,
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_from_records() {
        for text in ["GET / HTTP/1.1\r\n", "POST /a HTTP/1.1\r\n", "HTTP/1.1 400 Bad Request\r\n"] {
            assert!(is_plain_http(text.as_bytes()), "{text}");
        }
        for bytes in [&b"\x16\x03\x01\x00\x05"[..], b"GET", b"PRI * HTTP/2.0", b""] {
            assert!(!is_plain_http(bytes));
        }
    }
}
