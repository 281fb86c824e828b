//! `Reply`: what a client will get, and the block of header lines in it.

use super::body::Body;
use super::http1::client::Upload;
use super::http1::encode;
use crate::message::headers::is_same_word;
use crate::net::buffer::Buffer;

/// An answer on its way to the client. Framing, Date and Connection headers are the protocol's business.
pub struct Reply {
    pub status: u16,
    pub headers: HeaderBlock,
    pub body: Body,
    /// The rest of a request body that is still being sent to an upstream which answered early.
    pub upload: Option<Upload>,
    /// What went wrong on the way, for the access log.
    pub errors: Box<[Box<str>]>,
    /// Close the client's connection afterwards.
    pub close: bool,
    /// The headers name no content type: one is found by looking at the body, as Go's server does.
    pub sniff: bool,
    /// Who wants to know when the answer has left.
    pub witness: Option<Box<dyn Witness>>,
}

/// Told of an answer's end.
pub trait Witness {
    /// So many bytes of the body were sent; not whole when the client or the upstream broke off.
    fn sent(&mut self, body_bytes: u64, is_whole: bool);
}

impl Reply {
    /// A reply without headers and body.
    pub fn empty(status: u16) -> Self {
        Reply {
            status,
            headers: HeaderBlock::default(),
            body: Body::Empty,
            upload: None,
            errors: Box::default(),
            close: false,
            sniff: false,
            witness: None,
        }
    }
}

/// Header lines in wire form, `Name: value` and a line end each.
#[derive(Clone, Debug, Default)]
pub struct HeaderBlock {
    bytes: Buffer,
    /// Where the lines begin: what lies before them is room for lines that are to come first.
    from: usize,
    /// Of the headers that what follows depends on, those that are here: noted when they come, never searched for.
    pub has_date: bool,
    pub has_content_type: bool,
    pub has_content_encoding: bool,
}

impl HeaderBlock {
    pub fn with_capacity(bytes: usize) -> HeaderBlock {
        HeaderBlock { bytes: Buffer::with_capacity(bytes), ..HeaderBlock::default() }
    }

    /// An empty block in which lines can be put before all others without moving them.
    pub fn with_room_before(room: usize, bytes: usize) -> HeaderBlock {
        let mut block = HeaderBlock::with_capacity(room + bytes);
        block.bytes.resize(room, 0);
        block.from = room;
        block
    }

    /// Appends a line. Bytes that could end a line or a message are left out of the value, so no caller can be tricked
    /// into splitting an answer (RFC 9112 section 11.1).
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        if memchr::memchr3(b'\r', b'\n', 0, value).is_none() {
            return self.push_parsed(name, value);
        }
        let clean: Vec<u8> =
            value.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)).collect();
        self.push_parsed(name, &clean);
    }

    /// Appends a line of a head that our parser took: it cannot split an answer.
    pub fn push_parsed(&mut self, name: &[u8], value: &[u8]) {
        let is = |other: &str| is_same_word(name, other.as_bytes());
        match name.len() {
            4 => self.has_date |= is("date"),
            12 => self.has_content_type |= is("content-type"),
            16 => self.has_content_encoding |= is("content-encoding"),
            _ => {}
        }
        encode::header(&mut self.bytes, name, value);
    }

    /// Appends lines that were made when the configuration was compiled: about the gateway, not about a body.
    pub fn push_lines(&mut self, lines: &[u8]) {
        debug_assert!(lines.is_empty() || lines.ends_with(b"\r\n"));
        self.bytes.extend_from_slice(lines);
    }

    /// Puts lines that were made when the configuration was compiled before all that is here.
    pub fn prepend_lines(&mut self, lines: &[u8]) {
        debug_assert!(lines.is_empty() || lines.ends_with(b"\r\n"));
        match self.from.checked_sub(lines.len()) {
            Some(from) => {
                self.bytes[from..self.from].copy_from_slice(lines);
                self.from = from;
            }
            None => drop(self.bytes.splice(self.from..self.from, lines.iter().copied())),
        }
    }

    /// Puts lines of another block before all that is here.
    pub fn prepend(&mut self, mut other: HeaderBlock) {
        other.append(self);
        *self = other;
    }

    /// Appends all lines of another block.
    pub fn append(&mut self, other: &HeaderBlock) {
        self.bytes.extend_from_slice(other.as_bytes());
        self.has_date |= other.has_date;
        self.has_content_type |= other.has_content_type;
        self.has_content_encoding |= other.has_content_encoding;
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(self.from..).unwrap_or_default()
    }

    /// The lines as pairs.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        self.as_bytes().split(|byte| *byte == b'\n').filter_map(|line| {
            let line = line.strip_suffix(b"\r")?;
            let colon = memchr::memchr(b':', line)?;
            Some((&line[..colon], line[colon + 1..].trim_ascii()))
        })
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
        assert!(block.has_content_type && !block.has_content_encoding && !block.has_date);
    }

    #[test]
    fn what_is_prepended_comes_first_and_keeps_its_marks() {
        let mut block = HeaderBlock::default();
        block.push(b"Vary", b"Accept");
        let mut other = HeaderBlock::default();
        other.push(b"Content-Type", b"a/b");
        other.push(b"Vary", b"Origin");
        block.prepend(other);
        assert_eq!(block.as_bytes(), b"Content-Type: a/b\r\nVary: Origin\r\nVary: Accept\r\n");
        assert!(block.has_content_type && !block.has_date);
    }

    #[test]
    fn lines_come_before_the_others_whether_or_not_room_was_left_for_them() {
        for room in [0, 3, 7, 11, 100] {
            let mut block = HeaderBlock::with_room_before(room, 20);
            block.push(b"c", b"3");
            block.prepend_lines(b"b: 2\r\n");
            block.prepend_lines(b"a: 1\r\n");
            block.push(b"d", b"4");
            assert_eq!(block.as_bytes(), b"a: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\n", "{room}");
            assert_eq!(block.iter().count(), 4);
            let mut copy = HeaderBlock::default();
            copy.append(&block);
            assert_eq!(copy.as_bytes(), block.as_bytes());
        }
    }

    #[test]
    fn a_value_cannot_smuggle_a_line() {
        let mut block = HeaderBlock::default();
        block.push(b"Location", b"/a\r\nSet-Cookie: x=1");
        assert_eq!(block.iter().count(), 1);
        assert_eq!(block.as_bytes(), b"Location: /aSet-Cookie: x=1\r\n");
    }
}
