//! Where the tokens of a body begin: brackets, colons, commas, opening quotes, first bytes of numbers and words.
//!
//! The method is that of "Parsing Gigabytes of JSON per Second" (Langdale and Lemire, 2019): a carry-less
//! multiplication turns the mask of quotes into "inside a string"; what is not inside is tokens. Strings are checked on
//! the way (control characters, escapes), everything else is up to the reader. Positions are found a few blocks ahead
//! and kept in a small buffer, so that no list of all tokens is needed.

use super::avx2::{BLOCK, is_available, masks, prefix_xor};

/// Room for positions; what is not needed of it costs a little time for small bodies.
const POSITIONS: usize = 256;
/// Positions are written in groups, the last of which may be filled up with rubbish.
const GROUP: usize = 8;
/// So many positions can be read at once. Behind the last token follow as many that point behind the body.
pub(super) const AHEAD: usize = 4;

pub(super) struct Tokens<'b> {
    body: &'b [u8],
    /// First byte of the next block.
    at: usize,
    positions: [u32; POSITIONS],
    filled: usize,
    /// 1 if the block's first byte is escaped by the byte before it.
    is_escaped: u64,
    /// All ones if the block begins inside a string.
    in_string: u64,
    /// 1 if the block's first byte goes on with a number or word.
    in_scalar: u64,
    wide: u64,
    has_backslashes: bool,
    has_surrogates: bool,
}

// === impl Tokens ===

impl<'b> Tokens<'b> {
    /// Nothing if this processor cannot do it, or if positions do not fit.
    pub fn new(body: &'b [u8], start: usize) -> Option<Self> {
        (is_available() && u32::try_from(body.len()).is_ok()).then_some(Self {
            body,
            at: start,
            positions: [0; POSITIONS],
            filled: 0,
            is_escaped: 0,
            in_string: 0,
            in_scalar: 0,
            wide: 0,
            has_backslashes: false,
            has_surrogates: false,
        })
    }

    /// The positions at the cursor, which then may be moved on by up to as many; `None` if there are no more tokens, and
    /// at anything wrong within a string. The cursor begins at 0; it belongs to the caller, to be kept in a register.
    #[inline(always)]
    pub fn ahead(&mut self, cursor: &mut usize) -> Option<[usize; AHEAD]> {
        if *cursor + AHEAD > self.filled {
            self.fill(*cursor)?;
            *cursor = 0;
        }
        let positions = self.positions.get(*cursor..)?.first_chunk::<AHEAD>()?;
        Some(positions.map(|position| position as usize))
    }

    /// Whether there were bytes above 0x7F in the blocks read so far.
    pub fn has_wide(&self) -> bool {
        self.wide != 0
    }

    /// Whether there were backslashes in the blocks read so far.
    pub fn has_backslashes(&self) -> bool {
        self.has_backslashes
    }

    pub fn has_surrogates(&self) -> bool {
        self.has_surrogates
    }

    /// Keeps what is left at the cursor and puts more behind it.
    #[inline(never)]
    fn fill(&mut self, cursor: usize) -> Option<()> {
        if self.at >= self.body.len() {
            return None;
        }
        self.positions.copy_within(cursor..self.filled, 0);
        self.filled -= cursor;
        // SAFETY: `new` makes no `Tokens` unless the features that the function is compiled for were found.
        // JUSTIFICATION: bench/results/spike-json.md, several times the speed of the byte-wise walk.
        unsafe { self.fill_wide() }
    }

    #[target_feature(enable = "avx2,pclmulqdq,bmi1,popcnt")]
    #[allow(clippy::cast_possible_truncation)]
    fn fill_wide(&mut self) -> Option<()> {
        while self.filled <= POSITIONS - BLOCK - GROUP {
            let tokens = match self.body.get(self.at..).and_then(<[u8]>::first_chunk) {
                Some(block) => self.block(block)?,
                None => {
                    let mut padded = [b' '; BLOCK];
                    let rest = self.body.get(self.at..).unwrap_or_default();
                    padded[..rest.len()].copy_from_slice(rest);
                    self.block(&padded)?
                }
            };
            self.keep(tokens);
            self.at += BLOCK;
            if self.at >= self.body.len() {
                self.positions[self.filled..self.filled + AHEAD].fill(self.body.len() as u32);
                self.filled += AHEAD;
                break;
            }
        }
        Some(())
    }

    /// The tokens of a block.
    #[target_feature(enable = "avx2,pclmulqdq,bmi1,popcnt")]
    #[inline]
    fn block(&mut self, block: &[u8; BLOCK]) -> Option<u64> {
        let masks = masks(block);
        let escaped =
            if masks.backslash | self.is_escaped == 0 { 0 } else { self.escaped(masks.backslash)? };
        let quote = masks.quote & !escaped;
        // Holds opening quotes and texts, but not closing quotes.
        let strings = prefix_xor(quote) ^ self.in_string;
        self.in_string = 0u64.wrapping_sub(strings >> 63);
        if masks.control & strings != 0 {
            return None;
        }
        let scalar = !(masks.operator | masks.blank);
        let words = scalar & !quote;
        let begun = scalar & !(words << 1 | self.in_scalar);
        self.in_scalar = words >> 63;
        self.wide |= masks.wide;
        Some((masks.operator | begun) & !(strings ^ quote))
    }

    #[target_feature(enable = "bmi1,popcnt")]
    #[inline]
    #[allow(clippy::cast_possible_truncation)]
    fn keep(&mut self, mut tokens: u64) {
        let count = tokens.count_ones() as usize;
        let mut rest = self.positions.get_mut(self.filled..).unwrap_or_default();
        while tokens != 0 {
            let Some((group, others)) = rest.split_first_chunk_mut::<GROUP>() else { break };
            for position in group {
                *position = (self.at as u32).wrapping_add(tokens.trailing_zeros());
                tokens &= tokens.wrapping_sub(1);
            }
            rest = others;
        }
        self.filled += count;
    }

    /// Which bytes of the block are escaped by a backslash; checks the escapes on the way.
    #[inline(never)]
    fn escaped(&mut self, mut backslashes: u64) -> Option<u64> {
        self.has_backslashes = true;
        let mut escaped = self.is_escaped;
        backslashes &= !escaped;
        self.is_escaped = 0;
        while backslashes != 0 {
            let bit = backslashes.trailing_zeros();
            self.check_escape(self.at + bit as usize + 1)?;
            if bit == 63 {
                self.is_escaped = 1;
            } else {
                escaped |= 2 << bit;
            }
            backslashes &= !(3 << bit);
        }
        Some(escaped)
    }

    fn check_escape(&mut self, at: usize) -> Option<()> {
        match self.body.get(at)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => {
                let digits = self.body.get(at + 1..at + 5)?;
                self.has_surrogates |= matches!(digits, [b'd' | b'D', ..]);
                digits.iter().all(u8::is_ascii_hexdigit).then_some(())
            }
            _ => None,
        }
    }
}
