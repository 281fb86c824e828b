//! Decides how long a message's body is: the one place where request smuggling is refused.
//!
//! Follows RFC 9112 section 6.3. Where it lets a recipient choose between repairing and refusing, requests are
//! refused; answers are repaired only where the original does it and the connection is closed afterwards.

use std::fmt;

use crate::message::head::{Framing, Version};
use crate::message::headers::{Headers, Marks, elements, is_token};

/// Digits of a length. All numbers of this many digits fit into 64 bits, and no body needs more.
const LENGTH_DIGITS_MAX: usize = 18;

/// Why nobody can say where the message ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FramingError {
    /// A `Content-Length` that is no plain decimal number.
    Length,
    /// Several `Content-Length` that differ.
    LengthsDiffer,
    /// `Content-Length` beside `Transfer-Encoding`.
    LengthBesideCoding,
    /// A `Transfer-Encoding` that is broken, or that is not exactly `chunked`.
    Coding,
    /// A transfer coding that we do not speak.
    UnknownCoding,
    /// `Transfer-Encoding` in an HTTP/1.0 message (RFC 9112 section 6.1).
    CodingInHttp10,
}

/// What an answer's headers say about its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerFraming {
    pub framing: Framing,
    /// The announced length, also where no body follows it.
    pub content_length: Option<u64>,
    /// The headers contradict each other: do not use the connection again.
    pub is_dubious: bool,
}

/// The framing of a request.
///
/// # Errors
/// Whatever a second parser could read differently.
pub fn request(headers: Headers<'_>, version: Version) -> Result<Framing, FramingError> {
    let marks = headers.marks();
    if marks.has(Marks::TRANSFER_ENCODING) {
        if marks.has(Marks::CONTENT_LENGTH) {
            return Err(FramingError::LengthBesideCoding);
        }
        require_chunked(headers, version)?;
        return Ok(Framing::Chunked);
    }
    if !marks.has(Marks::CONTENT_LENGTH) {
        return Ok(Framing::Empty);
    }
    match content_length(headers)? {
        None | Some(0) => Ok(Framing::Empty),
        Some(length) => Ok(Framing::Length(length)),
    }
}

/// The framing of an answer.
///
/// # Errors
/// A broken length or coding, even where no body follows: such an upstream cannot be trusted with the next answer.
pub fn response(
    headers: Headers<'_>,
    version: Version,
    status: u16,
    is_head_request: bool,
) -> Result<AnswerFraming, FramingError> {
    let marks = headers.marks();
    let content_length =
        if marks.has(Marks::CONTENT_LENGTH) { content_length(headers)? } else { None };
    let is_chunked = marks.has(Marks::TRANSFER_ENCODING);
    if is_chunked {
        require_chunked(headers, version)?;
    }
    let framing = if is_head_request || status < 200 || matches!(status, 204 | 304) {
        Framing::Empty
    } else if is_chunked {
        Framing::Chunked
    } else {
        match content_length {
            None => Framing::UntilClose,
            Some(0) => Framing::Empty,
            Some(length) => Framing::Length(length),
        }
    };
    let is_dubious = is_chunked && content_length.is_some();
    Ok(AnswerFraming {
        framing,
        content_length: content_length.filter(|_| !is_chunked),
        is_dubious,
    })
}

/// The one length that all `Content-Length` fields agree on, digit by digit. Lists are refused.
fn content_length(headers: Headers<'_>) -> Result<Option<u64>, FramingError> {
    let mut values = headers.named("content-length");
    let Some(first) = values.next() else { return Ok(None) };
    if values.any(|value| value != first) {
        return Err(FramingError::LengthsDiffer);
    }
    decimal(first).map(Some).ok_or(FramingError::Length)
}

/// Digits and nothing else: no sign, no blank, no separator.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > LENGTH_DIGITS_MAX || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0')))
}

/// All `Transfer-Encoding` fields together must be the single word `chunked`.
fn require_chunked(headers: Headers<'_>, version: Version) -> Result<(), FramingError> {
    if version == Version::Http10 {
        return Err(FramingError::CodingInHttp10);
    }
    let (mut chunked, mut unknown) = (0u32, false);
    for coding in headers.named("transfer-encoding").flat_map(elements) {
        if coding.eq_ignore_ascii_case(b"chunked") {
            chunked += 1;
        } else if is_token(coding) {
            unknown = true;
        } else {
            return Err(FramingError::Coding);
        }
    }
    match (chunked, unknown) {
        (1, false) => Ok(()),
        (_, true) => Err(FramingError::UnknownCoding),
        _ => Err(FramingError::Coding),
    }
}

// === impl FramingError ===

impl FramingError {
    /// The status for a client that sent this.
    pub fn status(self) -> u16 {
        match self {
            // Go says the same of every transfer-encoding that is not the one word.
            FramingError::UnknownCoding | FramingError::Coding => 501,
            _ => 400,
        }
    }

    pub fn reason(self) -> &'static str {
        match self {
            FramingError::Length => "content-length is not a number",
            FramingError::LengthsDiffer => "several content-length headers differ",
            FramingError::LengthBesideCoding => "content-length beside transfer-encoding",
            FramingError::Coding => "transfer-encoding is not exactly chunked",
            FramingError::UnknownCoding => "unknown transfer coding",
            FramingError::CodingInHttp10 => "transfer-encoding in an HTTP/1.0 message",
        }
    }
}

impl fmt::Display for FramingError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.reason())
    }
}

impl std::error::Error for FramingError {}

#[cfg(test)]
mod tests;
