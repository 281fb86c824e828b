//! What the fast walk asks of vector instructions: bytes turned into rows of bits, and arithmetic on such rows.
//!
//! A value of these types is the proof that the processor has the instructions: only [`Lanes::load`] and [`Row::load`]
//! make one of nothing.

mod avx2;
mod avx512;
mod sse2;

use std::ops::{BitAnd, BitOr, BitXor, Not};

pub(super) use avx2::{Avx2, Row256};
pub(super) use avx512::{Avx512, Row512};
pub(super) use sse2::{Row64, Sse2};

/// So many bytes make one mask of one bit a byte, the first byte in the lowest.
pub(super) const BLOCK: usize = 64;

/// So many masks are calculated with in one go.
pub(super) const ROW: usize = 8;

/// The bytes of a block.
pub(super) trait Lanes: Copy {
    /// # Safety
    /// The processor has the instructions that the implementation names.
    unsafe fn load(block: &[u8; BLOCK]) -> Self;

    /// The lowest bits of all bytes of a row, the second lowest, and so on.
    fn planes(row: &[Self; ROW]) -> [[u64; ROW]; 8];

    /// Whether there is nothing but ASCII text of a string: no quote, backslash or control character.
    fn is_text(self) -> bool;

    /// The bytes at the places, packed, with the top bit set in some of them. What comes behind them is rubbish.
    fn pick(self, places: u64, topped: u64, out: &mut [u8; BLOCK]);
}

/// The masks of the blocks in a row.
pub(super) trait Row:
    Copy + BitAnd<Output = Self> + BitOr<Output = Self> + BitXor<Output = Self> + Not<Output = Self>
{
    /// # Safety
    /// The processor has the instructions that the implementation names.
    unsafe fn load(masks: &[u64; ROW]) -> Self;

    fn masks(self) -> [u64; ROW];

    fn is_zero(self) -> bool;

    /// All masks one place up: each becomes the one before, the first that of the last of `before`.
    fn pushed(self, before: Self) -> Self;

    /// All bits some places up, each mask getting the top bits of the one before, which `pushed` tells.
    fn up<const PLACES: u32>(self, pushed: Self) -> Self;

    /// The sum of each two masks, and of a carry from mask to mask. The carry is 0 or 1.
    fn sum(self, other: Self, carry: &mut u64) -> Self;

    /// Each bit becomes the parity of itself and all lower ones, of its mask and the masks before. `odd` (0 or 1) is the
    /// parity of what was before the row, then of what was up to its end.
    fn parity(self, odd: &mut u64) -> Self;

    /// All bits one place up.
    #[inline(always)]
    fn next(self, before: Self) -> Self {
        self.up::<1>(self.pushed(before))
    }
}

/// Into which masks a carry comes, given from which masks one goes out (`out`) and which would send on one that came in
/// (`on`); and whether one goes out of the last.
#[inline(always)]
fn carried(out: u64, on: u64, carry: &mut u64) -> u64 {
    let arriving = out << 1 | *carry;
    let sum = arriving + on;
    *carry = sum >> ROW & 1;
    sum ^ on
}

/// For each mask, whether the bits before it are odd in number, given for which masks their own bits are.
#[inline(always)]
fn odd_before(tops: u64, odd: &mut u64) -> u64 {
    let mut through = tops << 1 | *odd;
    through ^= through << 1;
    through ^= through << 2;
    through ^= through << 4;
    through ^= through << 8;
    *odd = through >> ROW & 1;
    through
}

/// See [`Lanes::pick`].
#[inline(always)]
fn pick(block: &[u8; BLOCK], mut places: u64, topped: u64, out: &mut [u8; BLOCK]) {
    for pair in out.as_chunks_mut::<2>().0 {
        for byte in pair {
            let place = places.trailing_zeros() & 63;
            *byte = block[place as usize] | ((topped >> place).to_le_bytes()[0] & 1) << 7;
            places &= places.wrapping_sub(1);
        }
        if places == 0 {
            break;
        }
    }
}

/// The last bytes of a body, and blanks.
#[cold]
pub(super) fn padded<const BYTES: usize>(rest: &[u8]) -> [u8; BYTES] {
    let mut padded = [b' '; BYTES];
    if let Some(place) = padded.get_mut(..rest.len()) {
        place.copy_from_slice(rest);
    }
    padded
}
