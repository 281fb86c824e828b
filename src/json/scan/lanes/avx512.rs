//! 64 bytes in one register: the widest instructions of x86-64 (AVX-512), for processors that do not slow down for them.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi8, _mm512_add_epi64, _mm512_alignr_epi64, _mm512_and_si512,
    _mm512_cmpeq_epi8_mask, _mm512_cmpeq_epi64_mask, _mm512_cmplt_epi8_mask,
    _mm512_cmplt_epu64_mask, _mm512_loadu_si512, _mm512_mask_sub_epi64, _mm512_mask_xor_epi64,
    _mm512_maskz_compress_epi8, _mm512_maskz_set1_epi8, _mm512_movepi8_mask, _mm512_movepi64_mask,
    _mm512_or_si512, _mm512_set1_epi8, _mm512_set1_epi64, _mm512_shldv_epi64, _mm512_slli_epi64,
    _mm512_storeu_si512, _mm512_test_epi64_mask, _mm512_xor_si512,
};
use std::ops::{BitAnd, BitOr, BitXor, Not};

use super::{BLOCK, Lanes, ROW, Row, carried, odd_before};

/// Needs `avx512f`, `avx512bw` and `avx512vbmi2`.
#[derive(Clone, Copy)]
pub(in super::super) struct Avx512(__m512i);

// SAFETY (of every block below): these instructions are there, as a value of the type proves; loads and stores lie within
// the arrays they are given and need no alignment.
impl Lanes for Avx512 {
    #[inline(always)]
    unsafe fn load(block: &[u8; BLOCK]) -> Self {
        // SAFETY: as above, by the caller's promise; the block has 64 bytes.
        unsafe { Self(_mm512_loadu_si512(block.as_ptr().cast())) }
    }

    #[inline(always)]
    fn planes(self) -> [u64; 8] {
        let mut planes = [0; 8];
        let mut bytes = self.0;
        for plane in planes.iter_mut().rev() {
            // SAFETY: as above.
            unsafe {
                *plane = _mm512_movepi8_mask(bytes);
                bytes = _mm512_add_epi8(bytes, bytes);
            }
        }
        planes
    }

    #[inline(always)]
    fn is_text(self) -> bool {
        // SAFETY: as above. As signed numbers, bytes above 0x7F are below the control characters.
        unsafe {
            let quote = _mm512_cmpeq_epi8_mask(self.0, _mm512_set1_epi8(0x22));
            let backslash = _mm512_cmpeq_epi8_mask(self.0, _mm512_set1_epi8(0x5c));
            let others = _mm512_cmplt_epi8_mask(self.0, _mm512_set1_epi8(0x20));
            quote | backslash | others == 0
        }
    }

    #[inline(always)]
    fn pick(self, places: u64, topped: u64, out: &mut [u8; BLOCK]) {
        // SAFETY: as above; there is room for 64 bytes.
        unsafe {
            let top = _mm512_maskz_set1_epi8(topped, i8::MIN);
            let bytes = _mm512_maskz_compress_epi8(places, _mm512_or_si512(self.0, top));
            _mm512_storeu_si512(out.as_mut_ptr().cast(), bytes);
        }
    }
}

/// Needs `avx512f`, `avx512dq` and `avx512vbmi2`.
#[derive(Clone, Copy)]
pub(in super::super) struct Row512(__m512i);

impl Row for Row512 {
    #[inline(always)]
    unsafe fn load(masks: &[u64; ROW]) -> Self {
        // SAFETY: as above; the row has 64 bytes.
        unsafe { Self(_mm512_loadu_si512(masks.as_ptr().cast())) }
    }

    #[inline(always)]
    fn masks(self) -> [u64; ROW] {
        let mut masks = [0; ROW];
        // SAFETY: as above; the row has 64 bytes.
        unsafe { _mm512_storeu_si512(masks.as_mut_ptr().cast(), self.0) };
        masks
    }

    #[inline(always)]
    fn is_zero(self) -> bool {
        // SAFETY: as above.
        unsafe { _mm512_test_epi64_mask(self.0, self.0) == 0 }
    }

    #[inline(always)]
    fn pushed(self, before: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm512_alignr_epi64::<7>(self.0, before.0)) }
    }

    #[inline(always)]
    fn up<const PLACES: u32>(self, pushed: Self) -> Self {
        // SAFETY: as above.
        unsafe {
            let places = _mm512_set1_epi64(i64::from(PLACES));
            Self(_mm512_shldv_epi64(self.0, pushed.0, places))
        }
    }

    #[inline(always)]
    fn sum(self, other: Self, carry: &mut u64) -> Self {
        // SAFETY: as above.
        unsafe {
            let ones = _mm512_set1_epi64(-1);
            let sum = _mm512_add_epi64(self.0, other.0);
            let out = u64::from(_mm512_cmplt_epu64_mask(sum, self.0));
            let on = u64::from(_mm512_cmpeq_epi64_mask(sum, ones));
            let into = carried(out, on, carry).to_le_bytes()[0];
            Self(_mm512_mask_sub_epi64(sum, into, sum, ones))
        }
    }

    #[inline(always)]
    fn parity(self, odd: &mut u64) -> Self {
        // SAFETY: as above.
        unsafe {
            let mut row = self.0;
            row = _mm512_xor_si512(row, _mm512_slli_epi64::<1>(row));
            row = _mm512_xor_si512(row, _mm512_slli_epi64::<2>(row));
            row = _mm512_xor_si512(row, _mm512_slli_epi64::<4>(row));
            row = _mm512_xor_si512(row, _mm512_slli_epi64::<8>(row));
            row = _mm512_xor_si512(row, _mm512_slli_epi64::<16>(row));
            row = _mm512_xor_si512(row, _mm512_slli_epi64::<32>(row));
            let flipped = odd_before(u64::from(_mm512_movepi64_mask(row)), odd).to_le_bytes()[0];
            Self(_mm512_mask_xor_epi64(row, flipped, row, _mm512_set1_epi64(-1)))
        }
    }
}

impl BitAnd for Row512 {
    type Output = Self;

    #[inline(always)]
    fn bitand(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm512_and_si512(self.0, other.0)) }
    }
}

impl BitOr for Row512 {
    type Output = Self;

    #[inline(always)]
    fn bitor(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm512_or_si512(self.0, other.0)) }
    }
}

impl BitXor for Row512 {
    type Output = Self;

    #[inline(always)]
    fn bitxor(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm512_xor_si512(self.0, other.0)) }
    }
}

impl Not for Row512 {
    type Output = Self;

    #[inline(always)]
    fn not(self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm512_xor_si512(self.0, _mm512_set1_epi64(-1))) }
    }
}
