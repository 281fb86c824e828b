//! Percent coding and request targets, read the way Go's `net/url` reads them.
//!
//! Which bytes of a path are decoded, kept or encoded again is visible to upstreams and to clients (in redirects), so
//! the classes below follow Go's, which are close to RFC 3986 section 3.3 but not equal to it.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv6Addr;

const HEX_UPPER: &[u8; 16] = b"0123456789ABCDEF";

/// Left alone when a decoded path is encoded.
const KEPT: u8 = 1;
/// May stand in an encoded path as it is, although encoding would not leave it alone: `! ' ( ) * [ ]`.
const TOLERATED: u8 = 1 << 1;
/// Left alone in the key or the value of a query.
const UNRESERVED: u8 = 1 << 2;
/// May stand in a host name.
const HOST: u8 = 1 << 3;
/// May stand in the user information before a host.
const USER: u8 = 1 << 4;

static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0u8; 256];
    let mut byte = 0u8;
    loop {
        table[byte as usize] = class_of(byte);
        if byte == u8::MAX {
            return table;
        }
        byte += 1;
    }
}

const fn class_of(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
            KEPT | TOLERATED | UNRESERVED | HOST | USER
        }
        b'$' | b'&' | b'+' | b',' | b';' | b'=' | b':' => KEPT | TOLERATED | HOST | USER,
        b'@' => KEPT | TOLERATED | USER,
        b'/' => KEPT | TOLERATED,
        b'!' | b'\'' | b'(' | b')' | b'*' => TOLERATED | HOST | USER,
        b'[' | b']' => TOLERATED | HOST,
        b'<' | b'>' | b'"' => HOST,
        b'%' => USER,
        // A name may hold UTF-8.
        0x80..=0xFF => HOST,
        _ => 0,
    }
}

fn is(byte: u8, class: u8) -> bool {
    CLASS[usize::from(byte)] & class != 0
}

/// A `%` that two hexadecimal digits do not follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadEscape {
    text: [u8; 3],
    length: usize,
}

impl BadEscape {
    fn at(rest: &[u8]) -> Self {
        let mut text = [0; 3];
        let length = rest.len().min(3);
        text[..length].copy_from_slice(&rest[..length]);
        Self { text, length }
    }

    /// The `%` and at most two bytes after it.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text[..self.length]
    }
}

impl fmt::Display for BadEscape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid URL escape {}", quote(self.text()))
    }
}

impl std::error::Error for BadEscape {}

/// Whether all bytes may stand in an encoded path as they are. A `%` may not, as it is only right with what follows.
#[must_use]
pub fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| is(byte, TOLERATED))
}

/// Whether a byte may not stand in any part of a url (RFC 3986 has no controls; Go refuses only these).
#[must_use]
pub fn is_control(byte: u8) -> bool {
    byte < b' ' || byte == 0x7F
}

/// Decodes a path. Without a `%` the result is `raw` itself, else it lies in `out`.
///
/// # Errors
/// A `%` without two hexadecimal digits, wherever it stands.
pub fn decode<'a>(raw: &'a [u8], out: &'a mut Vec<u8>) -> Result<&'a [u8], BadEscape> {
    let Some(first) = memchr::memchr(b'%', raw) else { return Ok(raw) };
    out.clear();
    decode_onto(raw, first, false, out)?;
    Ok(out)
}

/// Decodes the key or the value of a query, where `+` stands for a blank.
///
/// # Errors
/// A `%` without two hexadecimal digits.
pub fn decode_query_component(raw: &[u8]) -> Result<Cow<'_, [u8]>, BadEscape> {
    let Some(first) = memchr::memchr2(b'%', b'+', raw) else { return Ok(Cow::Borrowed(raw)) };
    let mut out = Vec::with_capacity(raw.len());
    decode_onto(raw, first, true, &mut out)?;
    Ok(Cow::Owned(out))
}

fn decode_onto(raw: &[u8], first: usize, plus_is_blank: bool, out: &mut Vec<u8>) -> Result<(), BadEscape> {
    let (plain, mut rest) = raw.split_at(first);
    out.extend_from_slice(plain);
    while let Some((&byte, after)) = rest.split_first() {
        match byte {
            b'%' => {
                out.push(escaped_byte(rest).ok_or_else(|| BadEscape::at(rest))?);
                rest = &rest[3..];
                continue;
            }
            b'+' if plus_is_blank => out.push(b' '),
            _ => out.push(byte),
        }
        rest = after;
    }
    Ok(())
}

/// The byte that `%xx` at the start of `rest` stands for.
fn escaped_byte(rest: &[u8]) -> Option<u8> {
    let &[b'%', high, low, ..] = rest else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

/// Finds the first `%` that two hexadecimal digits do not follow.
///
/// # Errors
/// That `%`.
pub fn check_escapes(raw: &[u8]) -> Result<(), BadEscape> {
    for at in memchr::memchr_iter(b'%', raw) {
        // `%%20` fails at the first sign, and `%2%` too, so that looking at each sign on its own is enough.
        escaped_byte(&raw[at..]).ok_or_else(|| BadEscape::at(&raw[at..]))?;
    }
    Ok(())
}

/// Encodes a decoded path as Go does by default.
pub fn encode(path: &[u8], out: &mut Vec<u8>) {
    encode_keeping(path, KEPT, out);
}

/// Encodes the key or the value of a query: a blank becomes `+`, only unreserved bytes are left alone.
pub fn encode_query_component(text: &[u8], out: &mut Vec<u8>) {
    if text.iter().all(|&byte| is(byte, UNRESERVED)) {
        out.extend_from_slice(text);
        return;
    }
    for part in text.split_inclusive(|&byte| byte == b' ') {
        let (words, blank) = match part.split_last() {
            Some((b' ', words)) => (words, true),
            _ => (part, false),
        };
        encode_keeping(words, UNRESERVED, out);
        if blank {
            out.push(b'+');
        }
    }
}

fn encode_keeping(text: &[u8], class: u8, out: &mut Vec<u8>) {
    out.reserve(text.len());
    for &byte in text {
        if is(byte, class) {
            out.push(byte);
        } else {
            push_escape(byte, out);
        }
    }
}

/// Writes `%XX`.
pub fn push_escape(byte: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'%', HEX_UPPER[usize::from(byte >> 4)], HEX_UPPER[usize::from(byte & 15)]]);
}

/// Writes an encoded path the way Go sends it: as it stands where all of it is allowed, else decoded and encoded anew.
///
/// # Errors
/// A `%` without two hexadecimal digits.
pub fn recode(raw: &[u8], out: &mut Vec<u8>) -> Result<(), BadEscape> {
    if is_plain(raw) {
        out.extend_from_slice(raw);
        return Ok(());
    }
    if is_well_encoded(raw) {
        check_escapes(raw)?;
        out.extend_from_slice(raw);
        return Ok(());
    }
    let mut decoded = Vec::new();
    encode(decode(raw, &mut decoded)?, out);
    Ok(())
}

/// Encodes a decoded path, taking `raw` instead if that is one of the ways to write it.
pub fn encode_like(path: &[u8], raw: &[u8], out: &mut Vec<u8>) {
    let mut decoded = Vec::new();
    let same = is_well_encoded(raw) && decode(raw, &mut decoded).is_ok_and(|decoded| decoded == path);
    if same || path == b"*" {
        out.extend_from_slice(if same { raw } else { path });
    } else {
        encode(path, out);
    }
}

fn is_well_encoded(raw: &[u8]) -> bool {
    raw.iter().all(|&byte| byte == b'%' || is(byte, TOLERATED))
}

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

    fn with_authority(scheme: &'a [u8], rest: &'a [u8], query: Option<&'a [u8]>) -> Result<Self, BadTarget> {
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
fn cut(text: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
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
        // A zone after %25 (RFC 6874) says nothing to a server, and is let through.
        let address = address.split(|&byte| byte == b'%').next().unwrap_or_default();
        return is_port(port) && std::str::from_utf8(address).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok());
    }
    let name_end = memchr::memchr(b':', host).unwrap_or(host.len());
    let (name, port) = host.split_at(name_end);
    is_port(port) && !name.contains(&b'[') && is_host_name(name)
}

/// Escapes in a name may only stand for bytes beyond ASCII.
fn is_host_name(name: &[u8]) -> bool {
    let mut rest = name;
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            if escaped_byte(rest).is_none_or(|byte| byte < 0x80) {
                return false;
            }
            rest = &rest[3..];
        } else if is(byte, HOST) {
            rest = after;
        } else {
            return false;
        }
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

/// Quotes a text as Go's `%q` does, for error messages that name a url.
#[must_use]
pub fn quote(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for chunk in text.utf8_chunks() {
        chunk.valid().chars().for_each(|c| quote_char(c, &mut out));
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out.push('"');
    out
}

fn quote_char(c: char, out: &mut String) {
    match c {
        '"' | '\\' => out.extend(['\\', c]),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        ' ' => out.push(' '),
        _ if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", c as u32)),
        _ if c.is_control() || c.is_whitespace() || is_invisible(c) => match c as u32 {
            code @ 0..=0xFFFF => out.push_str(&format!("\\u{code:04x}")),
            code => out.push_str(&format!("\\U{code:08x}")),
        },
        _ => out.push(c),
    }
}

/// Marks that print nothing: soft hyphen, joiners, directions, byte order mark, private use.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{E000}'..='\u{F8FF}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{F0000}'..)
}

#[cfg(test)]
mod tests;
