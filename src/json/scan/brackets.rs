//! Brackets, one by one: which containers are open, and what is to be noted of the outermost one.

use super::lanes::{BLOCK, Lanes, ROW, padded};
use super::{Recorder, is_blank};

/// Those of a row, one byte each: the bracket, with the top bit set if it must stand in an object, clear if it must stand
/// in a list.
pub(super) struct Brackets {
    bytes: [u8; ROW * BLOCK + BLOCK],
    count: usize,
}

/// Before so many brackets it is made sure that there is room for all of them.
const CHECKED_AT_ONCE: usize = 16;
/// Containers that the stack has room for.
const ROOM: usize = 62;

/// What tells opening from closing brackets.
const OPENS: u8 = b'[' & !b']';
/// What tells curly from square brackets.
const CURLY: u8 = b'{' & !b'[';

/// The open containers, one bit each, the innermost lowest, 1 for an object; above them all a one.
#[derive(Clone, Copy)]
pub(super) struct Stack(u64);

/// The outermost container.
pub(super) struct Outermost {
    is_object: bool,
    /// The opening bracket or latest comma.
    separator: usize,
    colon: usize,
    /// A stack below this has nothing open but what is noted or ends.
    pub shallow: u64,
}

// === impl Brackets ===

impl Brackets {
    #[inline(always)]
    pub fn new() -> Self {
        Self { bytes: [0; _], count: 0 }
    }

    /// Takes the brackets of a row.
    ///
    /// # Safety
    /// The processor can do what `L` needs.
    #[inline(always)]
    pub unsafe fn take<L: Lanes>(
        &mut self,
        bytes: &[u8],
        places: &[u64; ROW],
        in_object: &[u64; ROW],
    ) {
        self.count = 0;
        let mut rest = bytes;
        for (&places, &in_object) in places.iter().zip(in_object) {
            let filled;
            let block = match rest.first_chunk() {
                Some(block) => block,
                None if rest.is_empty() => return,
                None => {
                    filled = padded(rest);
                    &filled
                }
            };
            let room = self.bytes.get_mut(self.count..).and_then(<[u8]>::first_chunk_mut);
            let Some(room) = room else { return };
            // SAFETY: the caller's promise.
            unsafe { L::load(block) }.pick(places, in_object, room);
            self.count += places.count_ones() as usize;
            rest = rest.get(BLOCK..).unwrap_or_default();
        }
    }
}

// === impl Stack ===

impl Stack {
    /// Whatever is open stands in a list that is not there.
    const EMPTY: u64 = 0b10;
    const IN_OUTERMOST_OBJECT: u64 = 0b101;

    #[inline(always)]
    pub fn new() -> Self {
        Self(Self::EMPTY)
    }

    /// How many bits must be free before some brackets are looked at, so that no more than `depth_max` containers are open
    /// behind them.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "at most 78")]
    pub fn free_min(depth_max: usize) -> u32 {
        (CHECKED_AT_ONCE + ROOM.saturating_sub(depth_max)) as u32
    }

    /// The stack behind the brackets, the lowest on the way, and whether one stands or ends where it must not; nothing if
    /// there is no room.
    #[inline(always)]
    pub fn behind(self, brackets: &Brackets, free_min: u32) -> Option<(Self, u64, bool)> {
        let (mut stack, mut lowest, mut wrong) = (self, self.0, 0);
        for some in brackets.bytes.get(..brackets.count)?.chunks(CHECKED_AT_ONCE) {
            if stack.0.leading_zeros() < free_min {
                return None;
            }
            for &byte in some {
                wrong |= stack.step(byte);
                lowest = lowest.min(stack.0);
            }
        }
        Some((stack, lowest, wrong & 1 == 1))
    }

    /// Behind a bracket. The lowest bit tells whether it must not be there.
    #[inline(always)]
    fn step(&mut self, bracket: u8) -> u64 {
        let wrong = self.0 ^ u64::from(bracket >> 7);
        let opened = self.0 << 1 | u64::from(bracket & CURLY != 0);
        self.0 = if bracket & OPENS != 0 { opened } else { self.0 >> 1 };
        wrong
    }
}

// === impl Outermost ===

impl Outermost {
    #[inline(always)]
    pub fn new(start: usize, is_object: bool) -> Self {
        let shallow = if is_object { 0b1000 } else { 0b100 };
        Self { is_object, separator: start, colon: start, shallow }
    }

    /// Goes through a row again to note members. Gives the place of the closing bracket, if it is there.
    #[inline(never)]
    pub fn row(
        &mut self,
        (body, at): (&[u8], usize),
        mut stack: Stack,
        brackets: &Brackets,
        [places, separators, colons]: [&[u64; ROW]; 3],
        may_escape: bool,
        recorder: &mut Recorder<'_>,
    ) -> Option<Option<usize>> {
        let mut bytes = brackets.bytes.iter();
        for i in 0..ROW {
            let at = at + i * BLOCK;
            let mut rest = places[i];
            let mut from = !0u64;
            loop {
                let bit = rest & rest.wrapping_neg();
                if stack.0 == Stack::IN_OUTERMOST_OBJECT {
                    let mut marks = separators[i] & from & bit.wrapping_sub(1);
                    while marks != 0 {
                        let mark = at + marks.trailing_zeros() as usize;
                        if colons[i] & marks & marks.wrapping_neg() != 0 {
                            self.colon = mark;
                        } else {
                            self.member((body, mark), may_escape, recorder);
                        }
                        marks &= marks - 1;
                    }
                }
                if bit == 0 {
                    break;
                }
                if stack.step(*bytes.next()?) & 1 == 1 {
                    return None;
                }
                if stack.0 == Stack::EMPTY {
                    let place = i * BLOCK + rest.trailing_zeros() as usize;
                    if self.is_object {
                        self.member(
                            (body, at + rest.trailing_zeros() as usize),
                            may_escape,
                            recorder,
                        );
                    }
                    return Some(Some(place));
                }
                from = (bit << 1).wrapping_neg();
                rest &= rest - 1;
            }
        }
        Some(None)
    }

    /// Notes what stands between the separator before and one that follows, if there is a member.
    fn member(
        &mut self,
        (body, end): (&[u8], usize),
        may_escape: bool,
        recorder: &mut Recorder<'_>,
    ) {
        let separator = std::mem::replace(&mut self.separator, end);
        if self.colon <= separator {
            return;
        }
        let key = without_blanks(body, separator + 1, self.colon);
        let value = without_blanks(body, self.colon + 1, end);
        recorder.push(body, key, value, may_escape);
    }
}

fn without_blanks(body: &[u8], mut start: usize, mut end: usize) -> (usize, usize) {
    let is_blank_at = |at: usize| body.get(at).copied().is_some_and(is_blank);
    while start < end && is_blank_at(start) {
        start += 1;
    }
    while start < end && is_blank_at(end - 1) {
        end -= 1;
    }
    (start, end)
}
