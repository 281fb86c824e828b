//! A byte sequence of any length whose every part is known, so that large bodies are checked without keeping them.

use std::sync::OnceLock;

/// A prime, so that no block size of a buffer divides the period and a displaced block shows.
const PERIOD: usize = 65_521;
/// The longest slice that `at` returns.
const SLICE_MAX: usize = 65_536;

fn table() -> &'static [u8] {
    static TABLE: OnceLock<Vec<u8>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut period: Vec<u8> = (0..PERIOD)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()[3]
            })
            .collect();
        period.extend_from_within(..);
        period.extend_from_within(..SLICE_MAX);
        period
    })
}

/// The bytes from `offset` on, at most `len` and at most 64 KiB of them.
pub fn at(offset: u64, len: usize) -> &'static [u8] {
    let start = usize::try_from(offset % PERIOD as u64).expect("below the period");
    &table()[start..start + len.min(SLICE_MAX)]
}

/// The first `len` bytes as one piece.
pub fn bytes(len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(len);
    while out.len() < len {
        out.extend_from_slice(at(out.len() as u64, len - out.len()));
    }
    out
}

/// Compares a body with the pattern while it arrives.
#[derive(Debug, Default, Clone)]
pub struct Check {
    /// Bytes seen so far.
    pub len: u64,
    /// Where the first byte stood that differs.
    pub differs_at: Option<u64>,
}

impl Check {
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let want = at(self.len, bytes.len());
            let (part, rest) = bytes.split_at(want.len());
            if part != want && self.differs_at.is_none() {
                let place =
                    part.iter().zip(want).position(|(have, want)| have != want).unwrap_or(0);
                self.differs_at = Some(self.len + place as u64);
            }
            self.len += part.len() as u64;
            bytes = rest;
        }
    }

    /// Fails the test unless exactly `len` bytes of the pattern were seen.
    #[track_caller]
    pub fn assert_complete(&self, len: u64) {
        assert_eq!(self.differs_at, None, "the body differs from what was sent (offset)");
        assert_eq!(self.len, len, "the body has another length than what was sent");
    }
}
