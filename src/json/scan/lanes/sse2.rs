//! 64 bytes in four registers: what every x86-64 processor can do (SSE2).

use std::arch::x86_64::{
    __m128i, _mm_add_epi8, _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_loadu_si128, _mm_movemask_epi8,
    _mm_or_si128, _mm_set1_epi8, _mm_storeu_si128,
};
use std::array::from_fn;
use std::ops::{BitAnd, BitOr, BitXor, Not};

use super::{BLOCK, Lanes, ROW, Row, odd_before, pick};

/// Needs nothing that x86-64 might lack.
#[derive(Clone, Copy)]
pub(in super::super) struct Sse2([__m128i; 4]);

// SAFETY (of every block below): x86-64 always has these instructions; loads and stores lie within the arrays they are
// given and need no alignment.
impl Lanes for Sse2 {
    #[inline(always)]
    unsafe fn load(block: &[u8; BLOCK]) -> Self {
        // SAFETY: as above; the block has four times sixteen bytes.
        Self(from_fn(|i| unsafe { _mm_loadu_si128(block.as_ptr().add(16 * i).cast()) }))
    }

    #[inline(always)]
    fn planes(row: &[Self; ROW]) -> [[u64; ROW]; 8] {
        let mut planes = [[0; ROW]; 8];
        for (i, block) in row.iter().enumerate() {
            let mut parts = block.0;
            for plane in planes.iter_mut().rev() {
                for (quarter, part) in parts.iter_mut().enumerate() {
                    // SAFETY: as above.
                    unsafe {
                        let bits = _mm_movemask_epi8(*part).cast_unsigned();
                        plane[i] |= u64::from(bits) << (16 * quarter);
                        *part = _mm_add_epi8(*part, *part);
                    }
                }
            }
        }
        planes
    }

    #[inline(always)]
    fn is_text(self) -> bool {
        self.0.iter().all(|&part| {
            // SAFETY: as above. As signed numbers, bytes above 0x7F are below the control characters.
            unsafe {
                let quote = _mm_cmpeq_epi8(part, _mm_set1_epi8(0x22));
                let backslash = _mm_cmpeq_epi8(part, _mm_set1_epi8(0x5c));
                let others = _mm_cmplt_epi8(part, _mm_set1_epi8(0x20));
                _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), others)) == 0
            }
        })
    }

    #[inline(always)]
    fn pick(self, places: u64, topped: u64, out: &mut [u8; BLOCK]) {
        let mut block = [0; BLOCK];
        for (i, part) in self.0.iter().enumerate() {
            // SAFETY: as above; there is room for four times sixteen bytes.
            unsafe { _mm_storeu_si128(block.as_mut_ptr().add(16 * i).cast(), *part) };
        }
        pick(&block, places, topped, out);
    }
}

/// A row without vector instructions.
#[derive(Clone, Copy)]
pub(in super::super) struct Row64([u64; ROW]);

impl Row for Row64 {
    #[inline(always)]
    unsafe fn load(masks: &[u64; ROW]) -> Self {
        Self(*masks)
    }

    #[inline(always)]
    fn masks(self) -> [u64; ROW] {
        self.0
    }

    #[inline(always)]
    fn is_zero(self) -> bool {
        self.0 == [0; ROW]
    }

    #[inline(always)]
    fn pushed(self, before: Self) -> Self {
        Self(from_fn(|i| if i == 0 { before.0[ROW - 1] } else { self.0[i - 1] }))
    }

    #[inline(always)]
    fn up<const PLACES: u32>(self, pushed: Self) -> Self {
        Self(from_fn(|i| self.0[i] << PLACES | pushed.0[i] >> (u64::BITS - PLACES)))
    }

    #[inline(always)]
    fn sum(self, other: Self, carry: &mut u64) -> Self {
        Self(from_fn(|i| {
            let (sum, is_out) = self.0[i].overflowing_add(other.0[i]);
            let (sum, is_on) = sum.overflowing_add(*carry);
            *carry = u64::from(is_out | is_on);
            sum
        }))
    }

    #[inline(always)]
    fn parity(self, odd: &mut u64) -> Self {
        let within =
            |mask| [1, 2, 4, 8, 16, 32].iter().fold(mask, |mask, shift| mask ^ mask << shift);
        let row = self.0.map(within);
        let tops = (0..ROW).fold(0, |tops, i| tops | row[i] >> 63 << i);
        let flipped = odd_before(tops, odd);
        Self(from_fn(|i| row[i] ^ 0u64.wrapping_sub(flipped >> i & 1)))
    }
}

impl BitAnd for Row64 {
    type Output = Self;

    #[inline(always)]
    fn bitand(self, other: Self) -> Self {
        Self(from_fn(|i| self.0[i] & other.0[i]))
    }
}

impl BitOr for Row64 {
    type Output = Self;

    #[inline(always)]
    fn bitor(self, other: Self) -> Self {
        Self(from_fn(|i| self.0[i] | other.0[i]))
    }
}

impl BitXor for Row64 {
    type Output = Self;

    #[inline(always)]
    fn bitxor(self, other: Self) -> Self {
        Self(from_fn(|i| self.0[i] ^ other.0[i]))
    }
}

impl Not for Row64 {
    type Output = Self;

    #[inline(always)]
    fn not(self) -> Self {
        Self(self.0.map(|mask| !mask))
    }
}
