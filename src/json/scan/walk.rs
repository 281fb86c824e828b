//! The fast walk: checks the grammar by a few operations for each of its rules on masks of one bit a byte.
//!
//! It only ever says "fine" or "in doubt" (`None`): wrong bodies, scalars by themselves and very deep nesting are left
//! to the exact walk.
//!
//! Finding strings by the parity of quotes is the method of "Parsing Gigabytes of JSON per Second" (Langdale and Lemire,
//! 2019). Beyond that no token is looked at by itself, except brackets and words: the grammar is put as rules on what
//! stands before a token, blanks left out, and before an operator, all but operators left out. [`Flood`] tells that of
//! all tokens of eight blocks at once.

use super::brackets::{Brackets, Outermost, Stack};
use super::classes::Classes;
use super::escapes::Escapes;
use super::lanes::{BLOCK, Lanes, ROW, Row, padded};
use super::scalars::{Scalars, are_numbers};
use super::{Kind, Recorder, Scanned, is_blank};

struct Walk<'b, R> {
    body: &'b [u8],
    /// First byte of the row.
    at: usize,
    none: R,
    escapes: Escapes<R>,
    /// Whatever bytes above 0x7F there were.
    wide: R,
    /// 1 inside a string.
    inside: u64,
    scalars: Scalars<R>,
    stack: Stack,
    /// Bits of the stack that must be free.
    free_min: u32,
    brackets: Brackets,
    /// Behind values, over blanks.
    after_value: Flood<R>,
    /// Behind strings, over blanks.
    after_string: Flood<R>,
    /// Behind opening brackets, over blanks.
    after_opening: Flood<R>,
    /// Behind commas and opening curly brackets, up to the next operator.
    after_separator: Flood<R>,
    /// Behind colons, up to the next bracket.
    after_colon: Flood<R>,
    /// Behind commas that no key follows, up to the next bracket.
    after_plain: Flood<R>,
}

/// The bits of a row's bytes, the lowest first.
#[derive(Default)]
struct Planes {
    /// Its first byte.
    at: usize,
    bits: [[u64; ROW]; 8],
}

/// A row that is all right as far as masks can tell.
struct Checked<R> {
    /// Its first byte.
    at: usize,
    wrong: R,
    /// There is nothing but text.
    is_text: bool,
    /// Numbers to be looked at.
    odd: R,
    brackets: [u64; ROW],
    /// Which of the brackets must stand in an object.
    in_object: [u64; ROW],
    separators: [u64; ROW],
    colons: [u64; ROW],
}

/// Runs of ones filled from a one that is put in, on into the next masks.
///
/// An addition does it: a one added to the low end of a run comes out above its high end. Ones put in where no run
/// is stay where they are.
#[derive(Clone, Copy)]
pub(super) struct Flood<R> {
    before: R,
    carry: u64,
}

/// See [`super::scan`].
///
/// # Safety
/// The processor can do what `L` and `R` need.
#[inline(always)]
pub(super) unsafe fn scan<L: Lanes, R: Row>(
    body: &[u8],
    start: usize,
    recorder: &mut Recorder<'_>,
) -> Option<Scanned> {
    let from = start;
    let start = from + body.get(from..)?.iter().position(|&byte| !is_blank(byte))?;
    let kind = match body.get(start)? {
        b'{' => Kind::Object,
        b'[' => Kind::Array,
        _ => return None,
    };
    let is_object = kind == Kind::Object;
    // SAFETY: the caller's promise.
    let none = unsafe { R::load(&[0; ROW]) };
    let flood = Flood::new(none);
    let mut walk = Walk {
        body,
        // Blocks of a whole body lie as the body does, which the allocator has aligned.
        at: if from == 0 { start / BLOCK * BLOCK } else { start },
        none,
        // SAFETY: the caller's promise.
        escapes: unsafe { Escapes::new(none) },
        wide: none,
        inside: 0,
        scalars: Scalars::new(none),
        stack: Stack::new(),
        free_min: Stack::free_min(recorder.depth_max),
        brackets: Brackets::new(),
        after_value: flood,
        after_string: flood,
        after_opening: flood,
        after_separator: flood,
        after_colon: flood,
        after_plain: flood,
    };
    let mut outermost = Outermost::new(start, is_object);
    // Two rows are under way: when one has been checked, the next is read before the brackets of the first are looked
    // at. So no step waits for what has only just been written, and the number of brackets, which cannot be foreseen, is
    // known early.
    let mut planes = Planes::default();
    let mut checked = Checked::nothing(none);
    let (mut is_read, mut is_checked) = (false, false);
    let end = loop {
        // SAFETY: the caller's promise.
        unsafe {
            if is_checked && let Some(end) = walk.finish::<L>(&checked, &mut outermost, recorder)? {
                break end;
            }
            if is_read {
                checked = walk.row(&planes);
            }
            is_checked = is_read;
            is_read = walk.read::<L>(&mut planes);
        }
        if !is_read && !is_checked {
            return None;
        }
    };
    Some(Scanned {
        kind,
        start,
        end,
        has_wide: !walk.wide.is_zero(),
        has_surrogates: walk.escapes.has_surrogates,
    })
}

// === impl Walk ===

impl<R: Row> Walk<'_, R> {
    /// Reads the next row, with blanks behind the end of the body. False if there is none.
    ///
    /// # Safety
    /// The processor can do what `L` needs.
    #[inline(always)]
    unsafe fn read<L: Lanes>(&mut self, planes: &mut Planes) -> bool {
        let mut rest = self.body.get(self.at..).unwrap_or_default();
        if self.inside == 1 && !self.escapes.is_near {
            // Rows of nothing but text change nothing.
            while let Some(row) = rest.first_chunk::<{ ROW * BLOCK }>()
                // SAFETY: the caller's promise.
                && row.as_chunks().0.iter().all(|block| unsafe { L::load(block) }.is_text())
            {
                self.at += ROW * BLOCK;
                rest = self.body.get(self.at..).unwrap_or_default();
            }
        }
        if rest.is_empty() {
            return false;
        }
        planes.at = self.at;
        self.at += ROW * BLOCK;
        let filled;
        let bytes = match rest.first_chunk::<{ ROW * BLOCK }>() {
            Some(bytes) => bytes,
            None => {
                filled = padded(rest);
                &filled
            }
        };
        let (blocks, _) = bytes.as_chunks();
        // SAFETY: the caller's promise.
        let mut row = [unsafe { L::load(&blocks[0]) }; ROW];
        for (place, block) in row.iter_mut().zip(blocks) {
            // SAFETY: the caller's promise.
            *place = unsafe { L::load(block) };
        }
        planes.bits = L::planes(&row);
        true
    }

    /// Checks a row, but for what has to be looked at one by one.
    ///
    /// # Safety
    /// The processor can do what `R` needs.
    #[inline(always)]
    unsafe fn row(&mut self, planes: &Planes) -> Checked<R> {
        // SAFETY: the caller's promise.
        let classes = Classes::new(planes.bits.each_ref().map(|plane| unsafe { R::load(plane) }));
        self.wide = self.wide | classes.wide();
        let (escaped, wrong) = self.escapes.row(&classes, self.none);
        let quote = classes.sign(b'"') & !escaped;
        if self.inside == 1 && quote.is_zero() {
            let wrong = wrong | classes.control();
            return Checked { at: planes.at, wrong, is_text: true, ..Checked::nothing(self.none) };
        }
        // Opening quotes and texts.
        let text = quote.parity(&mut self.inside);
        let outside = !(quote | text);
        let (opening, closing) = (quote & text, quote & !text);
        let comma = outside & classes.sign(b',');
        let colon = outside & classes.sign(b':');
        let blank = outside & classes.blank();
        let open = outside & classes.any_case(b'[');
        let close = outside & classes.any_case(b']');
        let curly = classes.curly();
        let bracket = open | close;
        let operator = bracket | comma | colon;
        let scalar = outside & !(operator | blank);
        let found = self.scalars.row(scalar, &classes);
        let mut wrong = wrong | classes.control() & text | found.wrong;

        // A value does not follow a value; all else does, but for the end of what is empty.
        let after_value = self.after_value.behind_or(close | closing, found.behind, blank);
        let after_string = self.after_string.behind(closing, blank);
        let after_opening = self.after_opening.behind(open, blank);
        wrong = wrong | after_value & (opening | found.starts | open);
        wrong = wrong | (comma | close & !after_opening) & !after_value;

        // A key follows a comma or curly bracket, and only a key is followed by a colon.
        let after_separator = self.after_separator.behind(comma | open & curly, !operator);
        wrong = wrong | colon & !(after_string & after_separator);

        // Whether commas have keys tells lists from objects; so does each bracket.
        let plain = after_separator & !colon & !(close & !after_value);
        let has_colon = self.after_colon.within(colon, !bracket);
        let has_plain = (self.after_plain.within(plain & !bracket, !bracket) | plain) & bracket;
        wrong = wrong | has_colon & has_plain;
        wrong = wrong | close & (curly & has_plain | has_colon & !curly);
        let in_object = close & curly | open & has_colon;

        Checked {
            at: planes.at,
            wrong,
            is_text: false,
            odd: found.odd,
            brackets: bracket.masks(),
            in_object: in_object.masks(),
            separators: (comma | colon).masks(),
            colons: colon.masks(),
        }
    }

    /// Looks at what is left to do of a row; tells where the outermost container ends, if it does there.
    ///
    /// # Safety
    /// The processor can do what `L` and `R` need.
    #[inline(always)]
    unsafe fn finish<L: Lanes>(
        &mut self,
        row: &Checked<R>,
        outermost: &mut Outermost,
        recorder: &mut Recorder<'_>,
    ) -> Option<Option<usize>> {
        if row.is_text {
            return row.wrong.is_zero().then_some(None);
        }
        let bytes = self.body.get(row.at..)?;
        // SAFETY: the caller's promise.
        unsafe { self.brackets.take::<L>(bytes, &row.brackets, &row.in_object) };
        let (stack, lowest, is_wrong) = self.stack.behind(&self.brackets, self.free_min)?;
        if lowest < outermost.shallow {
            let masks = [&row.brackets, &row.separators, &row.colons];
            let place = (self.body, row.at);
            let may_escape = self.escapes.any;
            let end =
                outermost.row(place, self.stack, &self.brackets, masks, may_escape, recorder)?;
            if let Some(last) = end {
                // SAFETY: the caller's promise.
                let live = unsafe { R::load(&up_to(last)) };
                if !(row.wrong & live).is_zero() {
                    return None;
                }
                are_numbers(self.body, row.at, &(row.odd & live).masks())?;
                return Some(Some(row.at + last + 1));
            }
        } else if is_wrong {
            return None;
        }
        self.stack = stack;
        if !row.wrong.is_zero() {
            return None;
        }
        if !row.odd.is_zero() {
            are_numbers(self.body, row.at, &row.odd.masks())?;
        }
        Some(None)
    }
}

/// Ones up to a place.
fn up_to(last: usize) -> [u64; ROW] {
    std::array::from_fn(|i| match last.checked_sub(i * BLOCK) {
        None => 0,
        Some(place @ ..BLOCK) => !0 >> (BLOCK - 1 - place),
        Some(_) => !0,
    })
}

// === impl Checked ===

impl<R: Row> Checked<R> {
    #[inline(always)]
    fn nothing(none: R) -> Self {
        Self {
            at: 0,
            wrong: none,
            is_text: false,
            odd: none,
            brackets: [0; ROW],
            in_object: [0; ROW],
            separators: [0; ROW],
            colons: [0; ROW],
        }
    }
}

// === impl Flood ===

impl<R: Row> Flood<R> {
    #[inline(always)]
    pub fn new(none: R) -> Self {
        Self { before: none, carry: 0 }
    }

    /// The first places that are not in `runs`, from behind each of `ones` on.
    #[inline(always)]
    pub fn behind(&mut self, ones: R, runs: R) -> R {
        let from = ones.next(self.before);
        self.before = ones;
        self.within(from, runs)
    }

    /// The same, and from `more` on.
    #[inline(always)]
    fn behind_or(&mut self, ones: R, more: R, runs: R) -> R {
        let from = ones.next(self.before) | more;
        self.before = ones;
        self.within(from, runs)
    }

    /// The first places that are not in `runs`, from each of `ones` on.
    #[inline(always)]
    fn within(&mut self, ones: R, runs: R) -> R {
        runs.sum(ones, &mut self.carry) & !runs
    }
}
