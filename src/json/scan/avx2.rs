//! Bit masks of 64 bytes at a time, with the wide instructions of x86-64 (AVX2).

use std::arch::x86_64::{
    __m256i, _mm_clmulepi64_si128, _mm_cvtsi128_si64, _mm_loadu_si128, _mm_set_epi64x,
    _mm_set1_epi8, _mm256_broadcastsi128_si256, _mm256_cmpeq_epi8, _mm256_loadu_si256,
    _mm256_max_epu8, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8, _mm256_shuffle_epi8,
};

pub(super) const BLOCK: usize = 64;

/// Table entry that no byte can match: a byte with its top bit set looks up 0, not this.
const NO: u8 = 0xff;

/// One bit a byte of a block.
pub(super) struct Masks {
    pub backslash: u64,
    pub quote: u64,
    /// Below 0x20.
    pub control: u64,
    /// Brackets, colons, commas; also 0x0C and 0x1A, which nothing accepts as a token.
    pub operator: u64,
    pub blank: u64,
    /// Above 0x7F.
    pub wide: u64,
}

pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("pclmulqdq")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("popcnt")
}

#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn masks(block: &[u8; BLOCK]) -> Masks {
    // SAFETY: both loads lie within the 64 bytes of `block` and need no alignment.
    let (low, high) = unsafe {
        (
            _mm256_loadu_si256(block.as_ptr().cast()),
            _mm256_loadu_si256(block.as_ptr().add(32).cast()),
        )
    };
    let bits = |low: __m256i, high: __m256i| {
        u64::from(_mm256_movemask_epi8(low).cast_unsigned())
            | u64::from(_mm256_movemask_epi8(high).cast_unsigned()) << 32
    };
    let equal = |byte: u8| {
        let wanted = _mm256_set1_epi8(byte.cast_signed());
        bits(_mm256_cmpeq_epi8(low, wanted), _mm256_cmpeq_epi8(high, wanted))
    };
    let limit = _mm256_set1_epi8(0x1f);
    let is_control = |half| _mm256_cmpeq_epi8(_mm256_max_epu8(half, limit), limit);
    // Looked up by the low four bits, a table can hold the one byte that would match there.
    let blanks = table([0x20, NO, NO, NO, NO, NO, NO, NO, NO, 0x09, 0x0a, NO, NO, 0x0d, NO, NO]);
    let operators = table([NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, 0x3a, 0x7b, 0x2c, 0x7d, NO, NO]);
    let is_blank = |half| _mm256_cmpeq_epi8(half, _mm256_shuffle_epi8(blanks, half));
    // Setting bit 5 folds `[]` onto `{}` (and the two control characters onto `,` and `:`).
    let fold = _mm256_set1_epi8(0x20);
    let is_operator =
        |half| _mm256_cmpeq_epi8(_mm256_or_si256(half, fold), _mm256_shuffle_epi8(operators, half));
    Masks {
        backslash: equal(b'\\'),
        quote: equal(b'"'),
        control: bits(is_control(low), is_control(high)),
        operator: bits(is_operator(low), is_operator(high)),
        blank: bits(is_blank(low), is_blank(high)),
        wide: bits(low, high),
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn table(bytes: [u8; 16]) -> __m256i {
    // SAFETY: the load lies within the sixteen bytes of the array and needs no alignment.
    _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
}

/// Each bit becomes the parity of itself and all lower ones.
#[target_feature(enable = "pclmulqdq")]
#[inline]
pub(super) fn prefix_xor(bits: u64) -> u64 {
    let product = _mm_clmulepi64_si128(_mm_set_epi64x(0, bits.cast_signed()), _mm_set1_epi8(-1), 0);
    _mm_cvtsi128_si64(product).cast_unsigned()
}
