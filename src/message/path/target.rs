//! Request targets: taking apart what a client sends, and writing what goes to a backend.

use std::fmt;
use std::net::Ipv6Addr;

use super::{BadEscape, HOST, USER, check_escapes, escaped_byte, is, is_control, recode};

/// Why a request target or a composed url is refused, in Go's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadTarget {
    Empty,
    ControlByte,
    NotAPath,
    NoScheme,
    Authority,
    Escape(BadEscape),
}

impl fmt::Display for BadTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty url"),
            Self::ControlByte => f.write_str("net/url: invalid control character in URL"),
            Self::NotAPath => f.write_str("invalid URI for request"),
            Self::NoScheme => f.write_str("missing protocol scheme"),
            Self::Authority => f.write_str("invalid host"),
            Self::Escape(bad) => bad.fmt(f),
        }
    }
}

impl std::error::Error for BadTarget {}

impl From<BadEscape> for BadTarget {
    fn from(bad: BadEscape) -> Self {
        Self::Escape(bad)
    }
}

/// The parts of a request line's target (RFC 9112 section 3.2); `#` is a byte of the path here, as it is in Go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestTarget<'a> {
    /// As written, without the colon; empty unless the target is an absolute url.
    pub scheme: &'a [u8],
    /// User information, host and port as written; empty unless absolute, or of CONNECT.
    pub authority: &'a [u8],
    /// Still percent-encoded, but known to decode.
    pub path: &'a [u8],
    /// What follows the first `?`, which may be nothing.
    pub query: Option<&'a [u8]>,
}

impl<'a> RequestTarget<'a> {
    /// Splits a target.
    ///
    /// # Errors
    /// What Go refuses with 400: nothing, control bytes, neither path nor url, a bad authority, broken escapes.
    pub fn parse(method: &[u8], raw: &'a [u8]) -> Result<Self, BadTarget> {
        if raw.iter().any(|&byte| is_control(byte)) {
            return Err(BadTarget::ControlByte);
        }
        if method == b"CONNECT" && raw.first() != Some(&b'/') {
            let (rest, query) = cut(raw, b'?');
            return Self::with_authority(b"", rest, query);
        }
        let (scheme, rest) = match raw {
            b"" => return Err(BadTarget::Empty),
            b"*" => return Ok(Self { scheme: b"", authority: b"", path: raw, query: None }),
            [b'/', ..] => (&b""[..], raw),
            _ => split_scheme(raw)?,
        };
        let (rest, query) = cut(rest, b'?');
        if rest.first() != Some(&b'/') {
            // `mailto:x` has no path at all, and so matches no route.
            let path = &rest[..0];
            return if scheme.is_empty() {
                Err(BadTarget::NotAPath)
            } else {
                Ok(Self { scheme, authority: b"", path, query })
            };
        }
        match rest.strip_prefix(b"//") {
            Some(rest) if !scheme.is_empty() => Self::with_authority(scheme, rest, query),
            _ => {
                check_escapes(rest)?;
                Ok(Self { scheme, authority: b"", path: rest, query })
            }
        }
    }

    fn with_authority(
        scheme: &'a [u8],
        rest: &'a [u8],
        query: Option<&'a [u8]>,
    ) -> Result<Self, BadTarget> {
        let end = memchr::memchr(b'/', rest).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if !is_authority(authority) {
            return Err(BadTarget::Authority);
        }
        check_escapes(path)?;
        Ok(Self { scheme, authority, path, query })
    }

    /// Host and port of the authority, which win over a Host header (RFC 9112 section 3.2.2).
    #[must_use]
    pub fn host(&self) -> &'a [u8] {
        match memchr::memrchr(b'@', self.authority) {
            Some(at) => &self.authority[at + 1..],
            None => self.authority,
        }
    }
}

/// Splits at the first `separator`; the second part is there only if the separator is.
pub(super) fn cut(text: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(separator, text) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

/// `http://…` gives `http` and the rest without the colon (RFC 3986 section 3.1).
fn split_scheme(raw: &[u8]) -> Result<(&[u8], &[u8]), BadTarget> {
    for (at, byte) in raw.iter().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return Err(BadTarget::NoScheme),
            b':' => return Ok((&raw[..at], &raw[at + 1..])),
            _ => break,
        }
    }
    Ok((b"", raw))
}

fn is_authority(authority: &[u8]) -> bool {
    let (user, host) = match memchr::memrchr(b'@', authority) {
        Some(at) => (&authority[..at], &authority[at + 1..]),
        None => (&b""[..], authority),
    };
    user.iter().all(|&byte| is(byte, USER)) && check_escapes(user).is_ok() && is_host(host)
}

fn is_host(host: &[u8]) -> bool {
    let is_port = |port: &[u8]| match port.split_first() {
        None => true,
        Some((b':', digits)) => digits.iter().all(u8::is_ascii_digit),
        Some(_) => false,
    };
    if let Some(literal) = host.strip_prefix(b"[") {
        let Some(end) = memchr::memrchr(b']', literal) else { return false };
        let (address, port) = (&literal[..end], &literal[end + 1..]);
        let (address, zone) = match memchr::memmem::find(address, b"%25") {
            Some(at) => (&address[..at], Some(&address[at + 3..])),
            None => (address, None),
        };
        let is_address =
            std::str::from_utf8(address).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok());
        return is_address
            && is_port(port)
            && zone.is_none_or(|zone| !zone.is_empty() && is_zone(zone));
    }
    let name_end = memchr::memchr(b':', host).unwrap_or(host.len());
    let (name, port) = host.split_at(name_end);
    is_port(port) && !name.contains(&b'[') && is_host_name(name)
}

/// Escapes in a name may only stand for bytes beyond ASCII.
fn is_host_name(name: &[u8]) -> bool {
    every_byte(name, |byte| is(byte, HOST), |escaped| escaped >= 0x80)
}

/// The zone of an IPv6 address, behind `%25` (RFC 6874).
fn is_zone(zone: &[u8]) -> bool {
    every_byte(
        zone,
        |byte| is(byte, HOST),
        |escaped| escaped == b'%' || escaped == b' ' || is_host_byte(escaped),
    )
}

/// A byte that a host name may hold without an escape.
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii() && is(byte, HOST)
}

fn every_byte(text: &[u8], plain: impl Fn(u8) -> bool, escaped: impl Fn(u8) -> bool) -> bool {
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'%' {
            if !plain(byte) {
                return false;
            }
            rest = after;
            continue;
        }
        if !escaped_byte(rest).is_some_and(&escaped) {
            return false;
        }
        rest = &rest[3..];
    }
    true
}

/// Writes what Go would put on the request line for a url whose part behind the authority is `raw`.
///
/// The fragment is dropped, the path recoded, the query kept as it is. A blank in the query becomes `%20`, where Go
/// sends it bare and breaks the request line.
///
/// # Errors
/// Control bytes, and a `%` without two hexadecimal digits in path or fragment.
pub fn write_target(raw: &[u8], out: &mut Vec<u8>) -> Result<(), BadTarget> {
    let (raw, fragment) = cut(raw, b'#');
    if raw.iter().any(|&byte| is_control(byte)) {
        return Err(BadTarget::ControlByte);
    }
    let (path, query) = cut(raw, b'?');
    check_escapes(path)?;
    check_escapes(fragment.unwrap_or_default())?;
    if path.is_empty() {
        out.push(b'/');
    }
    recode(path, out)?;
    if let Some(query) = query {
        out.push(b'?');
        for (at, part) in query.split(|&byte| byte == b' ').enumerate() {
            if at > 0 {
                out.extend_from_slice(b"%20");
            }
            out.extend_from_slice(part);
        }
    }
    Ok(())
}
