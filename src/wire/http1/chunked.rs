//! The chunked transfer coding (RFC 9112 section 7.1) as a state machine over whatever pieces the bytes come in.
//!
//! Strict: a size is one to sixteen hexadecimal digits, lines end with CR LF, nothing stands between a size and its
//! `;`. Extensions and trailers are checked, bounded and dropped.

use std::fmt;
use std::ops::Range;

use crate::message::headers::{is_token_byte, is_value_byte};

/// Digits of a size, leading zeros included.
const SIZE_DIGITS_MAX: u8 = 16;
/// The largest chunk: positions in a body stay within signed 64 bits.
const CHUNK_BYTES_MAX: u64 = i64::MAX as u64;
/// Extensions of one chunk.
const EXTENSION_BYTES_MAX: u64 = 4 * 1024;
/// Extensions in all, beyond one byte for each byte of data: signed chunks pass, a flood of empty talk does not.
const EXTENSION_EXCESS_MAX: u64 = 16 * 1024;
/// All trailer lines together.
const TRAILER_BYTES_MAX: u32 = 16 * 1024;

/// What ends a chunked body that has no trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// Room that the head of any chunk fits into.
pub const HEAD_ROOM: usize = 18;

/// Why a body is not chunked as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkError {
    Size,
    SizeTooLarge,
    Extension,
    ExtensionsTooLong,
    /// Not CR LF where a line or a chunk ends.
    LineEnd,
    Trailer,
    TrailersTooLong,
}

/// What one call has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Bytes of the input that have been dealt with.
    pub consumed: usize,
    /// Where in the input body bytes lie; empty if there are none among the consumed ones.
    pub data: Range<usize>,
    /// The body has ended; what follows `consumed` belongs to the next message.
    pub done: bool,
}

/// The place in a chunked body between two calls.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    state: State,
    /// The size that is being read, or what is left of the chunk.
    size: u64,
    digits: u8,
    extension_bytes: u64,
    extension_excess: u64,
    trailer_bytes: u32,
}

/// What the next byte is part of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// The first byte of a trailer line, or of the empty line that ends the body.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    LastLf,
    Done,
}

// === impl Decoder ===

impl Decoder {
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Goes over the input up to the end of the first run of body bytes. Call it again with what was not consumed.
    ///
    /// # Errors
    /// [`ChunkError`]; nobody can say then where the message ends.
    pub fn decode(&mut self, input: &[u8]) -> Result<Step, ChunkError> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            match self.state {
                State::Data => return Ok(self.take_data(at, input.len())),
                State::Done => break,
                State::Size => at = self.read_size(input, at)?,
                // The end of a chunk is mostly here as a whole.
                State::DataCr if input.get(at..at + 2) == Some(b"\r\n") => {
                    self.state = State::Size;
                    at += 2;
                }
                State::Extension | State::TrailerValue => at = self.run(input, at)?,
                _ => {
                    self.state = self.next(byte)?;
                    at += 1;
                }
            }
        }
        Ok(Step { consumed: at, data: at..at, done: self.is_done() })
    }

    /// The bytes of the chunk that are in the input.
    fn take_data(&mut self, at: usize, input_bytes: usize) -> Step {
        let here = input_bytes - at;
        let taken = usize::try_from(self.size).unwrap_or(usize::MAX).min(here);
        self.size -= taken as u64;
        if self.size == 0 {
            self.state = State::DataCr;
        }
        Step { consumed: at + taken, data: at..at + taken, done: false }
    }

    /// The state after a byte of a line.
    fn next(&mut self, byte: u8) -> Result<State, ChunkError> {
        match (self.state, byte) {
            (State::SizeLf, b'\n') => self.begin_chunk(),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size),
            (State::TrailerStart, b'\r') => Ok(State::LastLf),
            (State::TrailerName, b':') => self.count_trailer(1, State::TrailerValue),
            (State::TrailerStart | State::TrailerName, _) if is_token_byte(byte) => {
                self.count_trailer(1, State::TrailerName)
            }
            (State::TrailerStart | State::TrailerName, _) => Err(ChunkError::Trailer),
            (State::TrailerLf, b'\n') => self.count_trailer(2, State::TrailerStart),
            (State::LastLf, b'\n') => Ok(State::Done),
            _ => Err(ChunkError::LineEnd),
        }
    }

    /// The rest of an extension or of a trailer's value, up to the end of its line or of the input.
    fn run(&mut self, input: &[u8], at: usize) -> Result<usize, ChunkError> {
        let rest = input.get(at..).unwrap_or_default();
        let count = rest.iter().position(|&byte| !is_value_byte(byte)).unwrap_or(rest.len());
        let is_trailer = self.state == State::TrailerValue;
        if is_trailer {
            self.count_trailer(u32::try_from(count).unwrap_or(u32::MAX), State::TrailerValue)?;
        } else {
            self.extension_bytes += count as u64;
            if self.extension_bytes > EXTENSION_BYTES_MAX {
                return Err(ChunkError::ExtensionsTooLong);
            }
        }
        match rest.get(count) {
            None => Ok(at + count),
            Some(b'\r') => {
                self.state = if is_trailer { State::TrailerLf } else { State::SizeLf };
                Ok(at + count + 1)
            }
            Some(b'\n') => Err(ChunkError::LineEnd),
            Some(_) => Err(if is_trailer { ChunkError::Trailer } else { ChunkError::Extension }),
        }
    }

    /// The digits of a size, up to what ends them or to the end of the input.
    fn read_size(&mut self, input: &[u8], from: usize) -> Result<usize, ChunkError> {
        let rest = input.get(from..).unwrap_or_default();
        for (count, &byte) in rest.iter().enumerate() {
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                b'A'..=b'F' => byte - b'A' + 10,
                b'\r' | b';' if self.digits > 0 => {
                    self.state = if byte == b';' { State::Extension } else { State::SizeLf };
                    return Ok(from + count + 1);
                }
                _ => return Err(ChunkError::Size),
            };
            if self.digits == SIZE_DIGITS_MAX {
                return Err(ChunkError::SizeTooLarge);
            }
            self.digits += 1;
            // Sixteen digits fit into 64 bits exactly.
            self.size = (self.size << 4) | u64::from(digit);
        }
        Ok(input.len())
    }

    /// The line with the size is over: data follows, or, after a size of zero, the trailers.
    fn begin_chunk(&mut self) -> Result<State, ChunkError> {
        if self.size > CHUNK_BYTES_MAX {
            return Err(ChunkError::SizeTooLarge);
        }
        self.extension_excess =
            (self.extension_excess + self.extension_bytes).saturating_sub(self.size);
        if self.extension_excess > EXTENSION_EXCESS_MAX {
            return Err(ChunkError::ExtensionsTooLong);
        }
        self.extension_bytes = 0;
        self.digits = 0;
        Ok(if self.size == 0 { State::TrailerStart } else { State::Data })
    }

    fn count_trailer(&mut self, count: u32, next: State) -> Result<State, ChunkError> {
        self.trailer_bytes = self.trailer_bytes.saturating_add(count);
        if self.trailer_bytes > TRAILER_BYTES_MAX {
            Err(ChunkError::TrailersTooLong)
        } else {
            Ok(next)
        }
    }
}

// === encoding ===

/// Begins a chunk of that many bytes; they and a CR LF follow. A chunk is never empty: that would end the body.
pub fn write_chunk_head(out: &mut Vec<u8>, chunk_bytes: usize) {
    debug_assert!(chunk_bytes > 0);
    let mut room = [0; HEAD_ROOM];
    let from = fill_chunk_head(&mut room, chunk_bytes);
    out.extend_from_slice(room.get(from..).unwrap_or_default());
}

/// Makes a chunk of the bytes that lie behind the first [`HEAD_ROOM`] ones, and says where it begins. There must be
/// some: without any, the chunk would end the body.
pub fn frame_in_place(out: &mut Vec<u8>) -> usize {
    debug_assert!(out.len() > HEAD_ROOM);
    let chunk_bytes = out.len().saturating_sub(HEAD_ROOM);
    out.extend_from_slice(b"\r\n");
    match out.first_chunk_mut::<HEAD_ROOM>() {
        Some(room) => fill_chunk_head(room, chunk_bytes),
        None => 0,
    }
}

/// Writes the size and its line end so that they end with the room; gives where they begin.
fn fill_chunk_head(room: &mut [u8; HEAD_ROOM], chunk_bytes: usize) -> usize {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let [digits @ .., cr, lf] = room;
    (*cr, *lf) = (b'\r', b'\n');
    let mut left = chunk_bytes;
    let mut from = digits.len();
    for place in digits.iter_mut().rev() {
        *place = DIGITS[left & 15];
        from -= 1;
        left >>= 4;
        if left == 0 {
            break;
        }
    }
    from
}

// === impl ChunkError ===

impl ChunkError {
    pub fn reason(self) -> &'static str {
        match self {
            ChunkError::Size => "a chunk size is not a hexadecimal number",
            ChunkError::SizeTooLarge => "a chunk size is too large",
            ChunkError::Extension => "a chunk extension holds a control character",
            ChunkError::ExtensionsTooLong => "the chunk extensions are too long",
            ChunkError::LineEnd => "a chunk or its line does not end with cr lf",
            ChunkError::Trailer => "a trailer is not a header line",
            ChunkError::TrailersTooLong => "the trailers are too long",
        }
    }
}

impl fmt::Display for ChunkError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.reason())
    }
}

impl std::error::Error for ChunkError {}

#[cfg(test)]
mod tests;
