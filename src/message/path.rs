//! Percent coding of paths and queries, and request targets, the way Go's `net/url` has them.
//!
//! Which bytes of a path are decoded, kept or encoded again is visible to upstreams and to clients (in redirects), so
//! the classes below follow Go's, which are close to RFC 3986 section 3.3 but not equal to it.

mod quote;
mod target;

use std::borrow::Cow;
use std::fmt;

pub use quote::quote;
pub use target::{BadTarget, RequestTarget, write_target};

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
        // A name may hold UTF-8.
        b'<' | b'>' | b'"' | 0x80..=0xFF => HOST,
        b'%' => USER,
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

fn decode_onto(
    raw: &[u8],
    first: usize,
    plus_is_blank: bool,
    out: &mut Vec<u8>,
) -> Result<(), BadEscape> {
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
    out.extend_from_slice(&[
        b'%',
        HEX_UPPER[usize::from(byte >> 4)],
        HEX_UPPER[usize::from(byte & 15)],
    ]);
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
    let same =
        is_well_encoded(raw) && decode(raw, &mut decoded).is_ok_and(|decoded| decoded == path);
    if same || path == b"*" {
        out.extend_from_slice(if same { raw } else { path });
    } else {
        encode(path, out);
    }
}

fn is_well_encoded(raw: &[u8]) -> bool {
    raw.iter().all(|&byte| byte == b'%' || is(byte, TOLERATED))
}

#[cfg(test)]
mod tests;
