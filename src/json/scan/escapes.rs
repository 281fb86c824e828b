//! Escapes: which bytes follow a backslash that counts, and whether they may.

use super::classes::Classes;
use super::lanes::{ROW, Row};

/// Every second bit, from the lowest on.
const EVEN: u64 = 0x5555_5555_5555_5555;

/// What precedes the next row.
pub(super) struct Escapes<R> {
    even: R,
    backslash: R,
    /// Backslashes of runs that began at an even place.
    from_even: R,
    carry: u64,
    /// The `u` of escapes.
    unit: R,
    /// There were backslashes in the row before.
    pub is_near: bool,
    /// There were backslashes so far.
    pub any: bool,
    /// There were escapes of surrogates so far.
    pub has_surrogates: bool,
}

impl<R: Row> Escapes<R> {
    /// # Safety
    /// The processor can do what `R` needs.
    #[inline(always)]
    pub unsafe fn new(none: R) -> Self {
        Self {
            // SAFETY: the caller's promise.
            even: unsafe { R::load(&[EVEN; ROW]) },
            backslash: none,
            from_even: none,
            carry: 0,
            unit: none,
            is_near: false,
            any: false,
            has_surrogates: false,
        }
    }

    /// The bytes escaped, and what is wrong.
    #[inline(always)]
    pub fn row(&mut self, classes: &Classes<R>, none: R) -> (R, R) {
        let backslash = classes.backslash();
        let is_any = !backslash.is_zero();
        if !(is_any | self.is_near) {
            return (none, none);
        }
        self.is_near = is_any;
        self.any = true;
        // Of a run of backslashes each second one is escaped: those at odd places if the run begins at an even one.
        let behind = backslash.next(self.backslash);
        let starts = backslash & !behind & self.even;
        let from_even = backslash & !backslash.sum(starts, &mut self.carry);
        let escaped = behind & (from_even.next(self.from_even) ^ self.even);

        let unit = escaped & classes.letter(b'u');
        let simple = classes.sign(b'"')
            | backslash
            | classes.sign(b'/')
            | classes.letter(b'b')
            | classes.letter(b'f')
            | classes.letter(b'n')
            | classes.letter(b'r')
            | classes.letter(b't');
        let pushed = unit.pushed(self.unit);
        let first = unit.up::<1>(pushed);
        let hex = first | unit.up::<2>(pushed) | unit.up::<3>(pushed) | unit.up::<4>(pushed);
        self.has_surrogates |= !(first & classes.any_case(b'd')).is_zero();
        self.backslash = backslash;
        self.from_even = from_even;
        self.unit = unit;
        (escaped, escaped & !(simple | unit) | hex & !classes.hex())
    }
}
