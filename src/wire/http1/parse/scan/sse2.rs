//! Sixteen bytes at a time, with the vector instructions that every `x86_64` has.

use std::arch::x86_64::{
    __m128i, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
    _mm_set1_epi8, _mm_sub_epi8,
};

pub const BYTES: usize = 16;

#[derive(Clone, Copy)]
pub struct Block(__m128i);

/// A bit for each marked byte, the lowest for the first.
pub type Marks = u32;

impl Block {
    #[inline]
    pub fn of(bytes: [u8; BYTES]) -> Block {
        let number = u128::from_le_bytes(bytes);
        #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
        // SAFETY: SSE2 is a part of x86_64.
        Block(unsafe {
            _mm_set_epi64x((number >> 64).cast_signed() as i64, number.cast_signed() as i64)
        })
    }

    /// Marks the bytes that are neither letter, digit nor hyphen.
    #[inline]
    pub fn not_frequent_in_tokens(self) -> Marks {
        // SAFETY: SSE2 is a part of x86_64. The bit that tells upper from lower case makes no letter of another byte.
        let lower = unsafe { _mm_or_si128(self.0, all(0x20)) };
        let frequent =
            in_range(lower, b'a', b'z') | in_range(self.0, b'0', b'9') | self.equal(b'-');
        !frequent & 0xffff
    }

    /// Marks the bytes below `limit`, which is not zero.
    #[inline]
    pub fn below(self, limit: u8) -> Marks {
        in_range(self.0, 0, limit - 1)
    }

    /// Marks the bytes that are `byte`.
    #[inline]
    pub fn equal(self, byte: u8) -> Marks {
        in_range(self.0, byte, byte)
    }
}

/// Which byte the lowest mark is on.
#[inline]
pub fn lowest(marks: Marks) -> usize {
    marks.trailing_zeros() as usize
}

#[inline]
fn all(byte: u8) -> __m128i {
    // SAFETY: SSE2 is a part of x86_64.
    unsafe { _mm_set1_epi8(byte.cast_signed()) }
}

/// Marks the bytes from `first` to `last`.
#[inline]
fn in_range(bytes: __m128i, first: u8, last: u8) -> Marks {
    // SAFETY: SSE2 is a part of x86_64.
    let marked = unsafe {
        let from_first = _mm_sub_epi8(bytes, all(first));
        _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(from_first, all(last - first)), from_first))
    };
    marked.cast_unsigned()
}
