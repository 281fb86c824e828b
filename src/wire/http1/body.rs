//! `BodyReader`: reads a message body off a connection in whichever way it is framed, with back-pressure.

use std::io;

use super::chunked::{ChunkError, Decoder};
use crate::message::head::Framing;
use crate::net::Stream;
use crate::net::buffer::BUFFER_BYTES;

/// Why a body did not arrive as announced.
#[derive(Debug)]
pub enum ReadError {
    /// The connection ended before the body did.
    Truncated,
    /// The chunked coding is broken.
    Malformed(ChunkError),
    /// The deadline passed.
    TimedOut,
    /// A request's body is longer than is allowed.
    TooLarge,
    Io(io::Error),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> ReadError {
        match error.kind() {
            io::ErrorKind::TimedOut => ReadError::TimedOut,
            // The end of a connection that TLS did not announce.
            io::ErrorKind::UnexpectedEof => ReadError::Truncated,
            _ => ReadError::Io(error),
        }
    }
}

enum Coding {
    Done,
    Length(u64),
    Chunked(Decoder),
    UntilClose,
    /// Content that was read and put back, and how the rest is coded.
    Ahead(Box<(Vec<u8>, Coding)>),
}

/// What is left of one body. The raw bytes that came with the head lie in a buffer that the caller keeps.
pub struct BodyReader {
    coding: Coding,
    /// First raw byte in the caller's buffer that has not been taken yet.
    at: usize,
    /// The last read took all it had room for: the socket may hold bytes behind the message.
    may_be_more: bool,
}

impl BodyReader {
    /// `at` is where the body begins in the buffer that the head was read into.
    pub fn new(framing: Framing, at: usize) -> BodyReader {
        let coding = match framing {
            Framing::Empty | Framing::Length(0) => Coding::Done,
            Framing::Length(length) => Coding::Length(length),
            Framing::Chunked => Coding::Chunked(Decoder::default()),
            Framing::UntilClose => Coding::UntilClose,
        };
        BodyReader { coding, at, may_be_more: false }
    }

    pub fn is_done(&self) -> bool {
        matches!(self.coding, Coding::Done)
    }

    /// Bytes that are still to come, where the message said so.
    pub fn length_left(&self) -> Option<u64> {
        match self.coding {
            Coding::Done => Some(0),
            Coding::Length(left) => Some(left),
            Coding::Chunked(_) | Coding::UntilClose | Coding::Ahead(_) => None,
        }
    }

    /// Puts content back that [`BodyReader::read_into`] gave of a body whose length is not known.
    pub fn put_back(&mut self, content: Vec<u8>) {
        let rest = std::mem::replace(&mut self.coding, Coding::Done);
        self.coding = Coding::Ahead(Box::new((content, rest)));
    }

    fn take_ahead(&mut self, out: &mut Vec<u8>) {
        if let Coding::Ahead(ahead) = std::mem::replace(&mut self.coding, Coding::Done) {
            let (content, rest) = *ahead;
            out.extend_from_slice(&content);
            self.coding = rest;
        }
    }

    /// Where the bytes behind this body begin, once it is done.
    pub fn rest_at(&self) -> usize {
        debug_assert!(self.is_done());
        self.at
    }

    /// Whether bytes may wait in the socket behind this body, which only another look can tell. A read that came back with
    /// less than it had room for has emptied the socket.
    pub fn may_be_more(&self) -> bool {
        self.may_be_more
    }

    /// The head was read into all the room its buffer had.
    pub fn head_filled_its_buffer(&mut self) {
        self.may_be_more = true;
    }

    /// How much of the caller's buffer is still to be looked at.
    pub fn has_buffered(&self, raw: &[u8]) -> bool {
        self.at < raw.len()
    }

    /// Appends what the socket holds of a body of known length, without waiting, until `out` is `full` bytes long.
    pub fn read_ready(&mut self, stream: &Stream, out: &mut Vec<u8>, full: usize) {
        while let Coding::Length(left) = self.coding
            && out.len() < full
        {
            let room = usize::try_from(left).unwrap_or(usize::MAX).min(full - out.len());
            out.reserve(room);
            let got = stream.read_ready(out, room) as u64;
            if got == 0 {
                return;
            }
            self.may_be_more = got == room as u64;
            self.coding = if got == left { Coding::Done } else { Coding::Length(left - got) };
        }
    }

    /// All that is left of the body, where its length is known and all of it is in the caller's buffer.
    pub fn whole<'r>(&self, raw: &'r [u8]) -> Option<&'r [u8]> {
        let left = usize::try_from(self.length_left()?).ok()?;
        raw.get(self.at..self.at.checked_add(left)?)
    }

    /// Counts what [`BodyReader::whole`] gave as taken, and says where it ends.
    pub fn skip_whole(&mut self) -> usize {
        if let Coding::Length(left) = self.coding {
            self.at += usize::try_from(left).unwrap_or(usize::MAX);
            self.coding = Coding::Done;
        }
        self.at
    }

    /// Counts bytes as moved by other means (a pipe); only for bodies of known length with nothing buffered.
    pub fn moved_elsewhere(&mut self) {
        debug_assert!(matches!(self.coding, Coding::Length(_)));
        self.coding = Coding::Done;
        self.may_be_more = true;
    }

    /// Appends what has already arrived to `out`, at most about `count_max` bytes of it.
    ///
    /// # Errors
    /// [`ReadError::Malformed`] for a broken chunk.
    pub fn take_buffered(
        &mut self,
        raw: &[u8],
        out: &mut Vec<u8>,
        count_max: usize,
    ) -> Result<(), ReadError> {
        match &mut self.coding {
            Coding::Done => {}
            Coding::Ahead(_) => self.take_ahead(out),
            Coding::UntilClose => {
                let taken = (raw.len() - self.at).min(count_max);
                out.extend_from_slice(&raw[self.at..self.at + taken]);
                self.at += taken;
            }
            Coding::Length(left) => {
                let here = (raw.len() - self.at).min(count_max);
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(here);
                out.extend_from_slice(&raw[self.at..self.at + taken]);
                self.at += taken;
                *left -= taken as u64;
                if *left == 0 {
                    self.coding = Coding::Done;
                }
            }
            Coding::Chunked(decoder) => {
                let full = out.len().saturating_add(count_max);
                while self.at < raw.len() && out.len() < full {
                    let input = &raw[self.at..];
                    let input = &input[..input.len().min(count_max.max(64))];
                    let step = decoder.decode(input).map_err(ReadError::Malformed)?;
                    out.extend_from_slice(&input[step.data]);
                    self.at += step.consumed;
                    if step.done {
                        self.coding = Coding::Done;
                        break;
                    }
                    if step.consumed == 0 {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Appends at least one byte of the body to `out`, reading from the socket where nothing is buffered.
    /// `raw` is the buffer the head came in; it is reused for chunked bodies. `out` should have room to spare.
    /// Returns false when the body has ended and nothing was appended.
    ///
    /// # Errors
    /// See [`ReadError`]. Afterwards the connection cannot be used for another message.
    pub async fn read_into(
        &mut self,
        stream: &Stream,
        raw: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<bool, ReadError> {
        let before = out.len();
        loop {
            if self.has_buffered(raw) {
                self.take_buffered(raw, out, BUFFER_BYTES.max(out.capacity() - out.len()))?;
            }
            if out.len() > before {
                return Ok(true);
            }
            match self.coding {
                Coding::Done => return Ok(false),
                Coding::Ahead(_) => {
                    self.take_ahead(out);
                    return Ok(true);
                }
                Coding::Length(left) => {
                    let got = self.read_direct(stream, out, left).await?;
                    if got == 0 {
                        return Err(ReadError::Truncated);
                    }
                    let left = left - got as u64;
                    self.coding = if left == 0 { Coding::Done } else { Coding::Length(left) };
                }
                Coding::UntilClose => {
                    if self.read_direct(stream, out, u64::MAX).await? == 0 {
                        self.coding = Coding::Done;
                    }
                }
                Coding::Chunked(_) => {
                    raw.clear();
                    self.at = 0;
                    if self.read_direct(stream, raw, u64::MAX).await? == 0 {
                        return Err(ReadError::Truncated);
                    }
                }
            }
        }
    }

    /// Reads once into the spare room of `out`, at most `count_max` bytes.
    async fn read_direct(
        &mut self,
        stream: &Stream,
        out: &mut Vec<u8>,
        count_max: u64,
    ) -> io::Result<usize> {
        if out.capacity() == out.len() {
            out.reserve(BUFFER_BYTES);
        }
        let count_max = usize::try_from(count_max).unwrap_or(usize::MAX);
        let room = count_max.min(out.capacity() - out.len());
        let (result, bytes) = stream.read_at_most(std::mem::take(out), count_max).await;
        *out = bytes;
        self.may_be_more = matches!(result, Ok(got) if got == room);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffered(framing: Framing, raw: &[u8]) -> (Vec<u8>, BodyReader) {
        let mut reader = BodyReader::new(framing, 0);
        let mut out = Vec::new();
        reader.take_buffered(raw, &mut out, usize::MAX).unwrap();
        (out, reader)
    }

    #[test]
    fn a_body_of_known_length_leaves_what_follows_it() {
        let (out, reader) = buffered(Framing::Length(5), b"helloGET / HTTP/1.1");
        assert_eq!(out, b"hello");
        assert!(reader.is_done());
        assert_eq!(reader.rest_at(), 5);
    }

    #[test]
    fn a_part_of_a_body_says_how_much_is_left() {
        let (out, reader) = buffered(Framing::Length(8), b"hel");
        assert_eq!(out, b"hel");
        assert_eq!(reader.length_left(), Some(5));
    }

    #[test]
    fn a_chunked_body_leaves_what_follows_it() {
        let (out, reader) = buffered(Framing::Chunked, b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\nNEXT");
        assert_eq!(out, b"abcde");
        assert!(reader.is_done());
        assert_eq!(reader.rest_at(), 20);
    }

    #[test]
    fn what_was_put_back_comes_first() {
        let mut reader = BodyReader::new(Framing::Chunked, 0);
        let mut out = Vec::new();
        let raw = b"4\r\nwxyz\r\n2\r\nab\r\n0\r\n\r\n";
        reader.take_buffered(&raw[..5], &mut out, usize::MAX).unwrap();
        assert_eq!(out, b"wx");
        reader.put_back(std::mem::take(&mut out));
        assert!(!reader.is_done() && reader.length_left().is_none());
        reader.take_buffered(&raw[..5], &mut out, usize::MAX).unwrap();
        reader.take_buffered(raw, &mut out, usize::MAX).unwrap();
        assert_eq!(out, b"wxyzab");
        assert!(reader.is_done());
    }

    #[test]
    fn an_empty_body_is_done_at_once() {
        assert!(BodyReader::new(Framing::Empty, 3).is_done());
        assert!(BodyReader::new(Framing::Length(0), 3).is_done());
    }
}
