//! Eight bytes at a time, taken as one number: for processors without vector instructions of our own.
//!
//! Arithmetic marks the bytes in question with their highest bit. A borrow may mark too much above a byte that is
//! marked rightly, never below: the lowest mark is always true.

pub const BYTES: usize = 8;

/// A one in each of the eight bytes.
const ONES: u64 = u64::MAX / 255;
/// The highest bit of each of the eight bytes.
const HIGHS: u64 = ONES << 7;

#[derive(Clone, Copy)]
pub struct Block(u64);

/// The highest bit of each marked byte.
pub type Marks = u64;

impl Block {
    #[inline]
    pub fn of(bytes: [u8; BYTES]) -> Block {
        Block(u64::from_le_bytes(bytes))
    }

    /// Marks exactly the bytes that are neither letter, digit nor hyphen. No sum leaves its byte, for all are of seven bits.
    #[inline]
    pub fn not_frequent_in_tokens(self) -> Marks {
        let low = self.0 & !HIGHS;
        let reaches = |bytes: u64, limit: u8| bytes + ONES * u64::from(0x80 - limit);
        let lower = low | (ONES << 5);
        let letter = reaches(lower, b'a') & !reaches(lower, b'z' + 1);
        let digit = reaches(low, b'0') & !reaches(low, b'9' + 1);
        let hyphen = !reaches(low ^ (ONES * u64::from(b'-')), 1);
        !((letter | digit | hyphen) & !self.0) & HIGHS
    }

    /// Marks the bytes below `limit`, which is at most 128.
    #[inline]
    pub fn below(self, limit: u8) -> Marks {
        self.0.wrapping_sub(ONES * u64::from(limit)) & !self.0 & HIGHS
    }

    /// Marks the bytes that are `byte`.
    #[inline]
    pub fn equal(self, byte: u8) -> Marks {
        Block(self.0 ^ (ONES * u64::from(byte))).below(1)
    }
}

/// Which byte the lowest mark is on.
#[inline]
pub fn lowest(marks: Marks) -> usize {
    marks.trailing_zeros() as usize / 8
}
