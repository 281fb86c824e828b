//! `Unpacked`: an upstream's gzip body as the bytes it stands for, unpacked piece by piece.

use flate2::{Decompress, FlushDecompress, Status};

use super::http1::body::ReadError;
use super::http1::client::Response;
use crate::net::buffer::BUFFER_BYTES;

/// Why packed bytes are not gzip (RFC 1952).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GzipError {
    Header,
    Data,
    Truncated,
}

/// What a packed body stands for.
#[derive(Debug, PartialEq, Eq)]
pub enum Unpacking {
    Whole(Vec<u8>),
    /// More than is allowed.
    TooLarge,
    /// What came out before the packed bytes went wrong.
    Broken(Vec<u8>, GzipError),
}

/// A member of a gzip file has no shorter header.
const HEADER_BYTES_MIN: usize = 10;
/// The first byte of every member.
const MEMBER_START: u8 = 0x1f;

impl std::fmt::Display for GzipError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            GzipError::Header => "gzip: invalid header",
            GzipError::Data => "gzip: invalid checksum",
            GzipError::Truncated => "unexpected EOF",
        })
    }
}

/// Unpacks a whole body, at most `bytes_max` of result: a small body may stand for a very large one.
/// Several members in a row are one body (RFC 1952 section 2.2).
pub fn unpack(packed: &[u8], bytes_max: usize) -> Unpacking {
    let mut out = Vec::with_capacity(packed.len().saturating_mul(4).min(bytes_max));
    let mut rest = packed;
    loop {
        match unpack_member(rest, bytes_max, &mut out) {
            Ok(_) if out.len() > bytes_max => return Unpacking::TooLarge,
            Ok(used) if used >= rest.len() => return Unpacking::Whole(out),
            Ok(used) => rest = &rest[used..],
            Err(error) => return Unpacking::Broken(out, error),
        }
    }
}

/// Unpacks one member; returns how many packed bytes it has. Stops early once there is more than `bytes_max`.
fn unpack_member(packed: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> Result<usize, GzipError> {
    if packed.len() < HEADER_BYTES_MIN {
        return Err(GzipError::Truncated);
    }
    let mut state = Inflate::default();
    let mut at = 0;
    loop {
        out.reserve(BUFFER_BYTES);
        let used = state.step(packed.get(at..).unwrap_or_default(), out)?;
        at += used;
        if state.is_done() || out.len() > bytes_max {
            return Ok(at);
        }
        if used == 0 && at >= packed.len() && out.capacity() > out.len() {
            return Err(GzipError::Truncated);
        }
    }
}

/// The decoder of one gzip member.
struct Inflate {
    decoder: Decompress,
    done: bool,
    started: bool,
}

impl Default for Inflate {
    fn default() -> Inflate {
        // 15 bits of window, and a gzip frame round the data.
        Inflate { decoder: Decompress::new_gzip(15), done: false, started: false }
    }
}

impl Inflate {
    fn is_done(&self) -> bool {
        self.done
    }

    /// Unpacks into the spare room of `out`; returns how many packed bytes were used.
    fn step(&mut self, packed: &[u8], out: &mut Vec<u8>) -> Result<usize, GzipError> {
        let before = self.decoder.total_in();
        let filled = out.len();
        let status = self.decoder.decompress_vec(packed, out, FlushDecompress::None);
        let used = usize::try_from(self.decoder.total_in() - before).unwrap_or(0);
        match status {
            Ok(Status::StreamEnd) => self.done = true,
            Ok(_) => {}
            Err(_) if !self.started && out.len() == filled => return Err(GzipError::Header),
            Err(_) => return Err(GzipError::Data),
        }
        self.started = true;
        Ok(used)
    }
}

/// A packed body that is passed on unpacked.
pub struct Unpacked {
    pub response: Box<Response>,
    inflate: Inflate,
    packed: Vec<u8>,
    at: usize,
}

impl Unpacked {
    pub fn new(response: Box<Response>) -> Unpacked {
        Unpacked {
            response,
            inflate: Inflate::default(),
            packed: Vec::with_capacity(BUFFER_BYTES),
            at: 0,
        }
    }

    /// Appends the next unpacked bytes to `out`; false when the body has ended.
    ///
    /// # Errors
    /// [`ReadError::Truncated`] also for bytes that are no gzip: what was sent so far cannot be taken back.
    pub async fn read_into(&mut self, out: &mut Vec<u8>) -> Result<bool, ReadError> {
        let before = out.len();
        loop {
            if self.at >= self.packed.len() {
                self.packed.clear();
                self.at = 0;
                if !self.response.read_into(&mut self.packed).await? {
                    return if self.inflate.is_done() {
                        Ok(false)
                    } else {
                        Err(ReadError::Truncated)
                    };
                }
            }
            let rest = self.packed.get(self.at..).unwrap_or_default();
            if self.inflate.is_done() {
                if rest.first() != Some(&MEMBER_START) {
                    // What follows the last member is read so that the connection ends cleanly, and dropped.
                    self.at = self.packed.len();
                    continue;
                }
                self.inflate = Inflate::default();
            }
            out.reserve(BUFFER_BYTES);
            self.at += self.inflate.step(rest, out).map_err(|_| ReadError::Truncated)?;
            if out.len() > before {
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn packed(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_body_comes_out_as_it_went_in() {
        let plain = b"{\"packed\":[1,2]}".repeat(5000);
        assert_eq!(unpack(&packed(&plain), 1 << 20), Unpacking::Whole(plain));
        assert_eq!(unpack(&packed(b""), 100), Unpacking::Whole(Vec::new()));
    }

    #[test]
    fn several_members_are_one_body() {
        let both = [packed(b"{\"a\":"), packed(b"1}")].concat();
        assert_eq!(unpack(&both, 100), Unpacking::Whole(b"{\"a\":1}".to_vec()));
    }

    #[test]
    fn what_follows_the_last_member_or_spoils_its_checksum_leaves_the_bytes_before() {
        let trailing = [packed(b"abc"), b"rubbish".to_vec()].concat();
        assert_eq!(
            unpack(&trailing, 100),
            Unpacking::Broken(b"abc".to_vec(), GzipError::Truncated)
        );
        let mut spoilt = packed(b"abc");
        let at = spoilt.len() - 8;
        spoilt[at..].fill(0);
        assert_eq!(unpack(&spoilt, 100), Unpacking::Broken(b"abc".to_vec(), GzipError::Data));
    }

    #[test]
    fn plain_bytes_are_no_gzip() {
        let plain = b"{\"not\":\"packed\"}";
        assert_eq!(unpack(plain, 1000), Unpacking::Broken(Vec::new(), GzipError::Header));
    }

    #[test]
    fn a_cut_body_is_noticed() {
        let whole = packed(&b"abc".repeat(1000));
        let cut = unpack(&whole[..whole.len() - 6], 1 << 20);
        assert!(matches!(cut, Unpacking::Broken(_, GzipError::Truncated)));
    }

    #[test]
    fn a_small_body_cannot_grow_without_bound() {
        let bomb = packed(&vec![0; 8 << 20]);
        assert!(bomb.len() < 20_000);
        assert_eq!(unpack(&bomb, 1 << 20), Unpacking::TooLarge);
    }
}
