//! `UpstreamError`: why an upstream gave no answer, in the words of Go's HTTP client where users know them from logs.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use rustls::CertificateError;

use crate::net::tls::HandshakeError;
use crate::wire::http1::body::ReadError;
use crate::wire::http1::client::ExchangeError;
use crate::wire::http1::parse::ParseError;

#[derive(Debug)]
pub enum UpstreamError {
    /// The name has no address.
    Resolve(Box<str>),
    Connect(SocketAddr, io::Error),
    /// The connection could not be encrypted, or the certificate does not count.
    Handshake(HandshakeError),
    TimedOut,
    /// Closed before the first byte of an answer.
    Closed,
    /// Closed inside the answer.
    Truncated,
    Malformed(ParseError),
    MalformedBody,
    Io(io::Error),
    /// The client stopped sending its body.
    ClientBody,
    /// The client's body is longer than is allowed.
    ClientBodyTooLarge,
    Protocol(&'static str),
    Overloaded(Overload),
    /// A scheme that this gateway does not speak.
    Scheme(Box<str>),
}

/// What there is too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overload {
    /// Calls that wait to open a connection to this host.
    Waiting,
    /// Hosts that are known.
    Hosts,
    /// Questions to the resolver.
    Questions,
    /// Open files, by the process's limit.
    Descriptors,
}

impl From<ExchangeError> for UpstreamError {
    fn from(error: ExchangeError) -> UpstreamError {
        match error {
            ExchangeError::Closed => UpstreamError::Closed,
            ExchangeError::Truncated => UpstreamError::Truncated,
            ExchangeError::Malformed(error) => UpstreamError::Malformed(error),
            ExchangeError::TimedOut => UpstreamError::TimedOut,
            ExchangeError::Io(error) => UpstreamError::Io(error),
            ExchangeError::ClientBody(ReadError::TooLarge) => UpstreamError::ClientBodyTooLarge,
            ExchangeError::ClientBody(ReadError::TimedOut) => UpstreamError::TimedOut,
            ExchangeError::ClientBody(_) => UpstreamError::ClientBody,
            ExchangeError::Protocol(what) => UpstreamError::Protocol(what),
        }
    }
}

impl From<ReadError> for UpstreamError {
    fn from(error: ReadError) -> UpstreamError {
        match error {
            ReadError::Truncated => UpstreamError::Truncated,
            ReadError::Malformed(_) => UpstreamError::MalformedBody,
            ReadError::TimedOut => UpstreamError::TimedOut,
            ReadError::TooLarge => UpstreamError::ClientBodyTooLarge,
            ReadError::Io(error) => UpstreamError::Io(error),
        }
    }
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UpstreamError::Resolve(name) => write!(f, "dial tcp: lookup {name}: no such host"),
            UpstreamError::Connect(address, error) => {
                write!(f, "dial tcp {address}: connect: {}", reason(error))
            }
            UpstreamError::Handshake(error) => handshake(error, f),
            UpstreamError::TimedOut => f.write_str("context deadline exceeded"),
            UpstreamError::Closed => f.write_str("EOF"),
            UpstreamError::Truncated => f.write_str("unexpected EOF"),
            UpstreamError::Malformed(error) => {
                write!(f, "net/http: HTTP/1.x transport connection broken: {}", error.reason())
            }
            UpstreamError::MalformedBody => f.write_str("invalid byte in chunk length"),
            UpstreamError::Io(error) => f.write_str(&reason(error)),
            UpstreamError::ClientBody => f.write_str("the client's body broke off"),
            UpstreamError::Protocol(what) => f.write_str(what),
            UpstreamError::ClientBodyTooLarge => f.write_str("the request's body is too large"),
            UpstreamError::Overloaded(what) => f.write_str(match what {
                Overload::Waiting => "too many connections are being opened",
                Overload::Hosts => "too many hosts are known",
                Overload::Questions => "too many lookups are waiting",
                Overload::Descriptors => "too many files are open",
            }),
            UpstreamError::Scheme(scheme) => write!(f, "unsupported protocol scheme \"{scheme}\""),
        }
    }
}

fn handshake(error: &HandshakeError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let HandshakeError::Tls(rustls::Error::InvalidCertificate(why)) = error else {
        return match error {
            HandshakeError::PlainHttp => {
                f.write_str("http: server gave HTTP response to HTTPS client")
            }
            other => write!(f, "{other}"),
        };
    };
    f.write_str("tls: failed to verify certificate: x509: ")?;
    match why {
        CertificateError::UnknownIssuer => f.write_str("certificate signed by unknown authority"),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            f.write_str("certificate has expired or is not yet valid")
        }
        other => write!(f, "{other}"),
    }
}

/// The kernel's words without Rust's error number, in lower case as Go prints them.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_read_as_users_know_them() {
        let refused = io::Error::from_raw_os_error(libc::ECONNREFUSED);
        let error = UpstreamError::Connect("127.0.0.1:1".parse().unwrap(), refused);
        assert_eq!(error.to_string(), "dial tcp 127.0.0.1:1: connect: connection refused");
        assert_eq!(UpstreamError::TimedOut.to_string(), "context deadline exceeded");
        assert_eq!(UpstreamError::Closed.to_string(), "EOF");
    }
}
