//! Which bytes of a row are quotes, digits, brackets and so on, found from their bits.

use super::lanes::Row;

/// The bits of all bytes of a row, the lowest first, and what many characters have in common.
pub(super) struct Classes<R> {
    bits: [R; 8],
    /// 0x20 to 0x2F and so on.
    high_2: R,
    high_3: R,
    /// Both with and without bit 5.
    high_4_6: R,
    high_5_7: R,
    /// By bits 3 and 2 of the low four bits: 0 to 3, 4 to 7, 8 to 11, 12 to 15.
    fours: [R; 4],
    /// By bits 1 and 0.
    ones: [R; 4],
}

impl<R: Row> Classes<R> {
    #[inline(always)]
    pub fn new(bits: [R; 8]) -> Self {
        let [b0, b1, b2, b3, b4, b5, b6, b7] = bits;
        let is_2_3 = b5 & !(b6 | b7);
        let is_4_to_7 = b6 & !b7;
        Self {
            bits,
            high_2: is_2_3 & !b4,
            high_3: is_2_3 & b4,
            high_4_6: is_4_to_7 & !b4,
            high_5_7: is_4_to_7 & b4,
            fours: [!(b3 | b2), b2 & !b3, b3 & !b2, b3 & b2],
            ones: [!(b1 | b0), b0 & !b1, b1 & !b0, b1 & b0],
        }
    }

    /// Bytes with these low four bits.
    #[inline(always)]
    fn low(&self, low: usize) -> R {
        self.fours[low >> 2 & 3] & self.ones[low & 3]
    }

    /// An ASCII character above the controls and below `@`.
    #[inline(always)]
    pub fn sign(&self, sign: u8) -> R {
        self.low(sign as usize) & if sign < b'0' { self.high_2 } else { self.high_3 }
    }

    /// A small letter.
    #[inline(always)]
    pub fn letter(&self, letter: u8) -> R {
        self.any_case(letter) & self.curly()
    }

    /// A letter or what is as far above one: `[` and `{`.
    #[inline(always)]
    pub fn any_case(&self, letter: u8) -> R {
        self.low(letter as usize) & if letter & 0x10 == 0 { self.high_4_6 } else { self.high_5_7 }
    }

    /// Tells curly brackets from square ones.
    #[inline(always)]
    pub fn curly(&self) -> R {
        self.bits[5]
    }

    pub fn backslash(&self) -> R {
        self.any_case(b'\\') & !self.bits[5]
    }

    /// Above 0x7F.
    pub fn wide(&self) -> R {
        self.bits[7]
    }

    /// Below 0x20.
    #[inline(always)]
    pub fn control(&self) -> R {
        !(self.bits[7] | self.bits[6] | self.bits[5])
    }

    #[inline(always)]
    pub fn blank(&self) -> R {
        let breaks = self.low(0x9) | self.low(0xa) | self.low(0xd);
        breaks & self.control() & !self.bits[4] | self.sign(b' ')
    }

    #[inline(always)]
    pub fn digit(&self) -> R {
        let [_, b1, b2, b3, ..] = self.bits;
        self.high_3 & !(b3 & (b2 | b1))
    }

    /// Hexadecimal digits.
    #[inline(always)]
    pub fn hex(&self) -> R {
        let not_a_to_f = self.bits[3] | self.low(0) | self.low(7);
        self.digit() | self.high_4_6 & !not_a_to_f
    }
}
