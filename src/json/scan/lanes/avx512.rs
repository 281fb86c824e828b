//! 64 bytes in one register: the widest instructions of x86-64 (AVX-512), for processors that do not slow down for them.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_alignr_epi64, _mm512_and_si512, _mm512_cmpeq_epi8_mask,
    _mm512_cmpeq_epi64_mask, _mm512_cmplt_epi8_mask, _mm512_cmplt_epu64_mask,
    _mm512_gf2p8affine_epi64_epi8, _mm512_loadu_si512, _mm512_mask_sub_epi64,
    _mm512_mask_xor_epi64, _mm512_maskz_compress_epi8, _mm512_maskz_set1_epi8,
    _mm512_movepi64_mask, _mm512_or_si512, _mm512_permutexvar_epi8, _mm512_set1_epi8,
    _mm512_set1_epi64, _mm512_shldv_epi64, _mm512_shuffle_i64x2, _mm512_slli_epi64,
    _mm512_storeu_si512, _mm512_test_epi64_mask, _mm512_unpackhi_epi64, _mm512_unpacklo_epi64,
    _mm512_xor_si512,
};
use std::ops::{BitAnd, BitOr, BitXor, Not};

use super::{BLOCK, Lanes, ROW, Row, carried, odd_before};

/// Needs `avx512f`, `avx512bw`, `avx512vbmi`, `avx512vbmi2` and `gfni`.
#[derive(Clone, Copy)]
pub(in super::super) struct Avx512(__m512i);

/// Eight bytes of one bit each. Multiplied by a matrix of eight times eight bits they give its columns; as a matrix they
/// turn the bits of a byte round.
const DIAGONAL: i64 = i64::from_le_bytes([1, 2, 4, 8, 16, 32, 64, 128]);

/// The places of the first bytes of all eights, of the second ones, and so on.
const EIGHTS: [u8; BLOCK] = {
    let mut places = [0; BLOCK];
    let mut i = 0;
    while i < BLOCK {
        places[i] = (i % 8 * 8 + i / 8).to_le_bytes()[0];
        i += 1;
    }
    places
};

/// The first eight bytes of all rows, the second ones, and so on.
///
/// # Safety
/// The processor has `avx512f`.
#[inline(always)]
unsafe fn transposed(rows: [__m512i; 8]) -> [__m512i; 8] {
    // SAFETY: the caller's promise.
    unsafe {
        let (mut even, mut odd) = ([rows[0]; 4], [rows[0]; 4]);
        for (i, pair) in rows.as_chunks::<2>().0.iter().enumerate() {
            even[i] = _mm512_unpacklo_epi64(pair[0], pair[1]);
            odd[i] = _mm512_unpackhi_epi64(pair[0], pair[1]);
        }
        let ([p0, p2, p4, p6], [p1, p3, p5, p7]) = (quarters(even), quarters(odd));
        [p0, p1, p2, p3, p4, p5, p6, p7]
    }
}

/// The first quarters of all rows, the second ones, and so on.
///
/// # Safety
/// The processor has `avx512f`.
#[inline(always)]
unsafe fn quarters(rows: [__m512i; 4]) -> [__m512i; 4] {
    const EVEN: i32 = 0b10_00_10_00;
    const ODD: i32 = 0b11_01_11_01;
    let [a, b, c, d] = rows;
    // SAFETY: the caller's promise.
    unsafe {
        let (ab_even, ab_odd) =
            (_mm512_shuffle_i64x2::<EVEN>(a, b), _mm512_shuffle_i64x2::<ODD>(a, b));
        let (cd_even, cd_odd) =
            (_mm512_shuffle_i64x2::<EVEN>(c, d), _mm512_shuffle_i64x2::<ODD>(c, d));
        [
            _mm512_shuffle_i64x2::<EVEN>(ab_even, cd_even),
            _mm512_shuffle_i64x2::<EVEN>(ab_odd, cd_odd),
            _mm512_shuffle_i64x2::<ODD>(ab_even, cd_even),
            _mm512_shuffle_i64x2::<ODD>(ab_odd, cd_odd),
        ]
    }
}

// SAFETY (of every block below): these instructions are there, as a value of the type proves; loads and stores lie within
// the arrays they are given and need no alignment.
impl Lanes for Avx512 {
    #[inline(always)]
    unsafe fn load(block: &[u8; BLOCK]) -> Self {
        // SAFETY: as above, by the caller's promise; the block has 64 bytes.
        unsafe { Self(_mm512_loadu_si512(block.as_ptr().cast())) }
    }

    #[inline(always)]
    fn planes(row: &[Self; ROW]) -> [[u64; ROW]; 8] {
        let mut planes = [[0; ROW]; 8];
        // SAFETY: as above; each plane has 64 bytes.
        unsafe {
            // The bits of each eight bytes, as a matrix, become one byte for each bit, with the first byte's at the top.
            let diagonal = _mm512_set1_epi64(DIAGONAL);
            let mut blocks = [diagonal; ROW];
            for (block, bytes) in blocks.iter_mut().zip(row) {
                let columns = _mm512_gf2p8affine_epi64_epi8::<0>(diagonal, bytes.0);
                // Those of the same bit together: eight bytes for each.
                let of_eights = _mm512_loadu_si512(EIGHTS.as_ptr().cast());
                *block = _mm512_permutexvar_epi8(of_eights, columns);
            }
            for (plane, masks) in planes.iter_mut().zip(transposed(blocks)) {
                // The top bit becomes the lowest.
                let masks = _mm512_gf2p8affine_epi64_epi8::<0>(masks, diagonal);
                _mm512_storeu_si512(plane.as_mut_ptr().cast(), masks);
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
