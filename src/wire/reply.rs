//! `Reply`: what a client will get, and the block of header lines in it.

use super::body::Body;
use super::http1::client::Upload;

/// An answer on its way to the client. Framing, Date and Connection headers are the protocol's business.
pub struct Reply {
    pub status: u16,
    pub headers: HeaderBlock,
    pub body: Body,
    /// The rest of a request body that is still being sent to an upstream which answered early.
    pub upload: Option<Upload>,
    /// Close the client's connection afterwards.
    pub close: bool,
    /// The headers name no content type: one is found by looking at the body, as Go's server does.
    pub sniff: bool,
    /// The headers have a Date already.
    pub has_date: bool,
}

impl Reply {
    /// A reply without headers and body.
    pub fn empty(status: u16) -> Self {
        Reply {
            status,
            headers: HeaderBlock::default(),
            body: Body::Empty,
            upload: None,
            close: false,
            sniff: false,
            has_date: false,
        }
    }
}

/// Header lines in wire form, `Name: value` and a line end each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderBlock(Vec<u8>);

impl HeaderBlock {
    pub fn with_capacity(bytes: usize) -> HeaderBlock {
        HeaderBlock(Vec::with_capacity(bytes))
    }

    /// Appends a line. Bytes that could end a line or a message are left out of the value, so no caller can be tricked
    /// into splitting an answer (RFC 9112 section 11.1).
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.0.extend_from_slice(name);
        self.0.extend_from_slice(b": ");
        if memchr::memchr3(b'\r', b'\n', 0, value).is_none() {
            self.0.extend_from_slice(value);
        } else {
            self.0.extend(value.iter().filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)));
        }
        self.0.extend_from_slice(b"\r\n");
    }

    /// Appends lines that were made when the configuration was compiled.
    pub fn push_lines(&mut self, lines: &[u8]) {
        debug_assert!(lines.is_empty() || lines.ends_with(b"\r\n"));
        self.0.extend_from_slice(lines);
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The lines as pairs.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.split(|byte| *byte == b'\n').filter_map(|line| {
            let line = line.strip_suffix(b"\r")?;
            let colon = memchr::memchr(b':', line)?;
            Some((&line[..colon], line[colon + 1..].trim_ascii()))
        })
    }

    pub fn has(&self, name: &str) -> bool {
        self.iter().any(|(present, _)| present.eq_ignore_ascii_case(name.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_written_as_the_wire_wants_them() {
        let mut block = HeaderBlock::default();
        block.push(b"Content-Type", b"text/plain");
        block.push_lines(b"X-Krakend: Version 2.13.8\r\n");
        assert_eq!(block.as_bytes(), b"Content-Type: text/plain\r\nX-Krakend: Version 2.13.8\r\n");
        assert!(block.has("content-type"));
        assert!(!block.has("content"));
    }

    #[test]
    fn a_value_cannot_smuggle_a_line() {
        let mut block = HeaderBlock::default();
        block.push(b"Location", b"/a\r\nSet-Cookie: x=1");
        assert_eq!(block.iter().count(), 1);
        assert_eq!(block.as_bytes(), b"Location: /aSet-Cookie: x=1\r\n");
    }
}
