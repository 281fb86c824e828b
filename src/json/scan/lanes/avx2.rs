//! 64 bytes in two registers: the wide instructions that nearly every x86-64 processor has (AVX2).

use std::arch::x86_64::{
    __m256i, _mm_cvtsi32_si128, _mm256_add_epi8, _mm256_add_epi64, _mm256_alignr_epi8,
    _mm256_and_si256, _mm256_castsi256_pd, _mm256_cmpeq_epi8, _mm256_cmpeq_epi64,
    _mm256_cmpgt_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_movemask_pd,
    _mm256_or_si256, _mm256_permute2x128_si256, _mm256_set1_epi8, _mm256_set1_epi64x,
    _mm256_setr_epi64x, _mm256_sll_epi64, _mm256_slli_epi64, _mm256_srl_epi64, _mm256_storeu_si256,
    _mm256_sub_epi64, _mm256_testz_si256, _mm256_xor_si256,
};
use std::ops::{BitAnd, BitOr, BitXor, Not};

use super::{BLOCK, Lanes, ROW, Row, carried, odd_before, pick};

/// Does the same with both halves. Not a closure: it would be compiled without the instructions, and called.
macro_rules! halves {
    ($of:ident, $($half:ident = $row:expr),+ => $done:expr) => {{
        $(let $half = ($row.0, $row.1);)+
        $of(
            { $(let $half = $half.0;)+ $done },
            { $(let $half = $half.1;)+ $done },
        )
    }};
}

/// Needs `avx2`.
#[derive(Clone, Copy)]
pub(in super::super) struct Avx2(__m256i, __m256i);

// SAFETY (of every block below): these instructions are there, as a value of the type proves; loads and stores lie within
// the arrays they are given and need no alignment.
impl Lanes for Avx2 {
    #[inline(always)]
    unsafe fn load(block: &[u8; BLOCK]) -> Self {
        // SAFETY: as above, by the caller's promise; the block has two times 32 bytes.
        unsafe {
            Self(
                _mm256_loadu_si256(block.as_ptr().cast()),
                _mm256_loadu_si256(block.as_ptr().add(32).cast()),
            )
        }
    }

    #[inline(always)]
    fn planes(row: &[Self; ROW]) -> [[u64; ROW]; 8] {
        let mut planes = [[0; ROW]; 8];
        for (i, &block) in row.iter().enumerate() {
            let mut bytes = block;
            for plane in planes.iter_mut().rev() {
                // SAFETY: as above.
                unsafe {
                    let low = _mm256_movemask_epi8(bytes.0).cast_unsigned();
                    let high = _mm256_movemask_epi8(bytes.1).cast_unsigned();
                    plane[i] = u64::from(low) | u64::from(high) << 32;
                    bytes = halves!(Self, half = bytes => _mm256_add_epi8(half, half));
                }
            }
        }
        planes
    }

    #[inline(always)]
    fn is_text(self) -> bool {
        // SAFETY: as above. As signed numbers, bytes above 0x7F are below the control characters.
        unsafe {
            let (quote, backslash) = (_mm256_set1_epi8(0x22), _mm256_set1_epi8(0x5c));
            let limit = _mm256_set1_epi8(0x20);
            let others = halves!(Self, half = self => _mm256_or_si256(
                _mm256_or_si256(_mm256_cmpeq_epi8(half, quote), _mm256_cmpeq_epi8(half, backslash)),
                _mm256_cmpgt_epi8(limit, half)
            ));
            _mm256_movemask_epi8(_mm256_or_si256(others.0, others.1)) == 0
        }
    }

    #[inline(always)]
    fn pick(self, places: u64, topped: u64, out: &mut [u8; BLOCK]) {
        let mut block = [0; BLOCK];
        // SAFETY: as above; there is room for two times 32 bytes.
        unsafe {
            _mm256_storeu_si256(block.as_mut_ptr().cast(), self.0);
            _mm256_storeu_si256(block.as_mut_ptr().add(32).cast(), self.1);
        }
        pick(&block, places, topped, out);
    }
}

/// Needs `avx2`.
#[derive(Clone, Copy)]
pub(in super::super) struct Row256(__m256i, __m256i);

impl Row for Row256 {
    #[inline(always)]
    unsafe fn load(masks: &[u64; ROW]) -> Self {
        // SAFETY: as above; the row has two times 32 bytes.
        unsafe {
            Self(
                _mm256_loadu_si256(masks.as_ptr().cast()),
                _mm256_loadu_si256(masks.as_ptr().add(4).cast()),
            )
        }
    }

    #[inline(always)]
    fn masks(self) -> [u64; ROW] {
        let mut masks = [0; ROW];
        // SAFETY: as above; the row has two times 32 bytes.
        unsafe {
            _mm256_storeu_si256(masks.as_mut_ptr().cast(), self.0);
            _mm256_storeu_si256(masks.as_mut_ptr().add(4).cast(), self.1);
        }
        masks
    }

    #[inline(always)]
    fn is_zero(self) -> bool {
        // SAFETY: as above.
        unsafe {
            let any = _mm256_or_si256(self.0, self.1);
            _mm256_testz_si256(any, any) == 1
        }
    }

    #[inline(always)]
    fn pushed(self, before: Self) -> Self {
        Self(Self::lower(before.1, self.0), Self::lower(self.0, self.1))
    }

    #[inline(always)]
    fn up<const PLACES: u32>(self, pushed: Self) -> Self {
        // SAFETY: as above.
        unsafe {
            let up = _mm_cvtsi32_si128(PLACES.cast_signed());
            let down = _mm_cvtsi32_si128((u64::BITS - PLACES).cast_signed());
            halves!(Self, row = self, lower = pushed => _mm256_or_si256(
                _mm256_sll_epi64(row, up),
                _mm256_srl_epi64(lower, down)
            ))
        }
    }

    #[inline(always)]
    fn sum(self, other: Self, carry: &mut u64) -> Self {
        // SAFETY: as above.
        unsafe {
            let sum = halves!(Self, a = self, b = other => _mm256_add_epi64(a, b));
            // A carry goes out where both top bits are set, or one of them and not that of the sum.
            let out = (self & other | (self | other) & !sum).tops();
            let ones = _mm256_set1_epi64x(-1);
            let on = halves!(Self, half = sum => _mm256_cmpeq_epi64(half, ones)).tops();
            let into = Self::spread(carried(out, on, carry));
            halves!(Self, sum = sum, into = into => _mm256_sub_epi64(sum, into))
        }
    }

    #[inline(always)]
    fn parity(self, odd: &mut u64) -> Self {
        let mut row = self;
        // SAFETY: as above.
        unsafe {
            row = halves!(Self, half = row => _mm256_xor_si256(half, _mm256_slli_epi64::<1>(half)));
            row = halves!(Self, half = row => _mm256_xor_si256(half, _mm256_slli_epi64::<2>(half)));
            row = halves!(Self, half = row => _mm256_xor_si256(half, _mm256_slli_epi64::<4>(half)));
            row = halves!(Self, half = row => _mm256_xor_si256(half, _mm256_slli_epi64::<8>(half)));
            row =
                halves!(Self, half = row => _mm256_xor_si256(half, _mm256_slli_epi64::<16>(half)));
            row =
                halves!(Self, half = row => _mm256_xor_si256(half, _mm256_slli_epi64::<32>(half)));
        }
        row ^ Self::spread(odd_before(row.tops(), odd))
    }
}

impl Row256 {
    /// The last mask of one half and all but the last of the other.
    #[inline(always)]
    fn lower(before: __m256i, half: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe {
            let middle = _mm256_permute2x128_si256::<0x21>(before, half);
            _mm256_alignr_epi8::<8>(half, middle)
        }
    }

    /// The top bits of the masks.
    #[inline(always)]
    fn tops(self) -> u64 {
        // SAFETY: as above.
        let (low, high) = unsafe {
            (
                _mm256_movemask_pd(_mm256_castsi256_pd(self.0)),
                _mm256_movemask_pd(_mm256_castsi256_pd(self.1)),
            )
        };
        u64::from(low.cast_unsigned()) | u64::from(high.cast_unsigned()) << 4
    }

    /// Masks full of ones for the bits set.
    #[inline(always)]
    fn spread(bits: u64) -> Self {
        // SAFETY: as above.
        unsafe {
            let all = _mm256_set1_epi64x(bits.cast_signed());
            let each = Self(_mm256_setr_epi64x(1, 2, 4, 8), _mm256_setr_epi64x(16, 32, 64, 128));
            halves!(Self, bit = each => _mm256_cmpeq_epi64(_mm256_and_si256(all, bit), bit))
        }
    }
}

impl BitAnd for Row256 {
    type Output = Self;

    #[inline(always)]
    fn bitand(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { halves!(Self, a = self, b = other => _mm256_and_si256(a, b)) }
    }
}

impl BitOr for Row256 {
    type Output = Self;

    #[inline(always)]
    fn bitor(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { halves!(Self, a = self, b = other => _mm256_or_si256(a, b)) }
    }
}

impl BitXor for Row256 {
    type Output = Self;

    #[inline(always)]
    fn bitxor(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { halves!(Self, a = self, b = other => _mm256_xor_si256(a, b)) }
    }
}

impl Not for Row256 {
    type Output = Self;

    #[inline(always)]
    fn not(self) -> Self {
        // SAFETY: as above.
        let ones = unsafe { _mm256_set1_epi64x(-1) };
        self ^ Self(ones, ones)
    }
}
