//! The fast walk: classifies 64 bytes at a time, then steps through the few that matter.
//!
//! The method is that of "Parsing Gigabytes of JSON per Second" (Langdale and Lemire, 2019): bit masks say which bytes
//! are quotes, brackets, blanks; a carry-less multiplication turns quotes into "inside a string"; what is left are the
//! first bytes of tokens. Unlike there, no list of tokens and no tree is built: a small table checks the grammar as the
//! tokens come by.

use std::arch::x86_64::{
    __m256i, _mm_clmulepi64_si128, _mm_cvtsi128_si64, _mm_set_epi64x, _mm_set1_epi8,
    _mm256_broadcastsi128_si256, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_max_epu8,
    _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8, _mm256_shuffle_epi8,
};

use super::{Kind, Recorder, Scanned, is_blank};

/// Deeper documents are left to the exact walk: up to here one word holds the kinds of all open containers.
const DEPTH_MAX: u32 = 64;

const BLOCK: usize = 64;

/// Table entry that no byte can match: a byte with its top bit set looks up 0, not this.
const NO: u8 = 0xff;

/// Scans the first value, if it is a well-formed object or list and this processor can do it.
/// `None` means "in doubt", never "wrong".
pub(super) fn scan(body: &[u8], start: usize, recorder: &mut Recorder<'_>) -> Option<Scanned> {
    if !is_available() {
        return None;
    }
    let start = start + body.get(start..)?.iter().position(|&byte| !is_blank(byte))?;
    let kind = match body.get(start)? {
        b'{' => Kind::Object,
        b'[' => Kind::Array,
        _ => return None,
    };
    // SAFETY: is_available has just found each of the features that the function is compiled for.
    // JUSTIFICATION: bench/results/spike-json.md, several times the speed of the byte-wise walk.
    unsafe { Walk::new(body, kind, recorder).run(start) }
}

fn is_available() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("pclmulqdq")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
}

/// One bit a byte of a block.
struct Masks {
    backslash: u64,
    quote: u64,
    control: u64,
    operator: u64,
    blank: u64,
    wide: u64,
}

struct Walk<'b, 'r, 'm> {
    body: &'b [u8],
    kind: Kind,
    recorder: &'r mut Recorder<'m>,
    state: State,
    /// Open containers, the innermost in the lowest bit: 1 for an object.
    containers: u64,
    depth: u32,
    key: (usize, usize),
    value: usize,
    wide: u64,
    has_surrogates: bool,
}

// === the grammar ===

type State = u8;

/// Nothing can follow; every step from here stays here.
const WRONG: State = 0;
const FIRST_KEY: State = 1;
const KEY: State = 2;
const COLON: State = 3;
const MEMBER_VALUE: State = 4;
const AFTER_MEMBER: State = 5;
const FIRST_ELEMENT: State = 6;
const ELEMENT: State = 7;
const AFTER_ELEMENT: State = 8;
/// Not states but orders: a container opens or closes.
const OPEN_OBJECT: State = 9;
const OPEN_ARRAY: State = 10;
const CLOSE: State = 11;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
#[repr(u8)]
enum Class {
    Quote,
    Colon,
    Comma,
    OpenObject,
    OpenArray,
    CloseObject,
    CloseArray,
    Number,
    Literal,
    Other,
}

static CLASSES: [Class; 256] = {
    let mut classes = [Class::Other; 256];
    classes[b'"' as usize] = Class::Quote;
    classes[b':' as usize] = Class::Colon;
    classes[b',' as usize] = Class::Comma;
    classes[b'{' as usize] = Class::OpenObject;
    classes[b'[' as usize] = Class::OpenArray;
    classes[b'}' as usize] = Class::CloseObject;
    classes[b']' as usize] = Class::CloseArray;
    classes[b'-' as usize] = Class::Number;
    let mut digit = b'0';
    while digit <= b'9' {
        classes[digit as usize] = Class::Number;
        digit += 1;
    }
    classes[b't' as usize] = Class::Literal;
    classes[b'f' as usize] = Class::Literal;
    classes[b'n' as usize] = Class::Literal;
    classes
};

/// `NEXT[state][class]`; sixteen wide so that an index needs no multiplication.
static NEXT: [[State; 16]; 16] = {
    let mut next = [[WRONG; 16]; 16];
    next[FIRST_KEY as usize][Class::Quote as usize] = COLON;
    next[FIRST_KEY as usize][Class::CloseObject as usize] = CLOSE;
    next[KEY as usize][Class::Quote as usize] = COLON;
    next[COLON as usize][Class::Colon as usize] = MEMBER_VALUE;
    next[AFTER_MEMBER as usize][Class::Comma as usize] = KEY;
    next[AFTER_MEMBER as usize][Class::CloseObject as usize] = CLOSE;
    next[AFTER_ELEMENT as usize][Class::Comma as usize] = ELEMENT;
    next[AFTER_ELEMENT as usize][Class::CloseArray as usize] = CLOSE;
    next[FIRST_ELEMENT as usize][Class::CloseArray as usize] = CLOSE;
    let values =
        [(MEMBER_VALUE, AFTER_MEMBER), (FIRST_ELEMENT, AFTER_ELEMENT), (ELEMENT, AFTER_ELEMENT)];
    let mut i = 0;
    while i < values.len() {
        let (state, after) = values[i];
        next[state as usize][Class::Quote as usize] = after;
        next[state as usize][Class::Number as usize] = after;
        next[state as usize][Class::Literal as usize] = after;
        next[state as usize][Class::OpenObject as usize] = OPEN_OBJECT;
        next[state as usize][Class::OpenArray as usize] = OPEN_ARRAY;
        i += 1;
    }
    next
};

// === impl Walk ===

impl<'b, 'r, 'm> Walk<'b, 'r, 'm> {
    fn new(body: &'b [u8], kind: Kind, recorder: &'r mut Recorder<'m>) -> Self {
        // As if the value were the only element of a list: its end brings the depth back to 0.
        Self {
            body,
            kind,
            recorder,
            state: ELEMENT,
            containers: 0,
            depth: 0,
            key: (0, 0),
            value: 0,
            wide: 0,
            has_surrogates: false,
        }
    }

    #[target_feature(enable = "avx2,pclmulqdq,bmi1,bmi2")]
    fn run(mut self, start: usize) -> Option<Scanned> {
        let mut at = start;
        let mut is_escaped = 0; // whether the block's first byte is
        let mut in_string = 0; // all ones if the block begins inside a string
        let mut in_scalar = 0; // whether the block's first byte continues a number or word
        while at < self.body.len() {
            let masks = Masks::of(self.body, at);
            let escaped = if masks.backslash | is_escaped == 0 {
                0
            } else {
                self.escaped(masks.backslash, &mut is_escaped, at)?
            };
            let quote = masks.quote & !escaped;
            let strings = prefix_xor(quote) ^ in_string;
            in_string = 0u64.wrapping_sub(strings >> 63);
            if masks.control & strings != 0 {
                return None;
            }
            let scalar = !(masks.operator | masks.blank);
            let words = scalar & !quote;
            let starts = scalar & !(words << 1 | in_scalar);
            in_scalar = words >> 63;
            self.wide |= masks.wide;
            // `strings` holds opening quotes but not closing ones; here it must be the reverse.
            let tokens = (masks.operator | starts) & !(strings ^ quote);
            if let Some(end) = self.tokens(tokens, at)? {
                let Self { kind, has_surrogates, .. } = self;
                return Some(Scanned {
                    kind,
                    start,
                    end,
                    has_wide: self.wide != 0,
                    has_surrogates,
                });
            }
            at += BLOCK;
        }
        None
    }

    /// Which bytes are escaped by a backslash; checks the escapes on the way.
    #[inline(never)]
    fn escaped(&mut self, mut backslashes: u64, is_escaped: &mut u64, at: usize) -> Option<u64> {
        let mut escaped = *is_escaped;
        backslashes &= !escaped;
        *is_escaped = 0;
        while backslashes != 0 {
            let bit = backslashes.trailing_zeros();
            self.check_escape(at + bit as usize + 1)?;
            if bit == 63 {
                *is_escaped = 1;
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

    /// Steps through the tokens of a block; gives the end of the value if it is among them.
    #[inline(always)]
    fn tokens(&mut self, mut tokens: u64, at: usize) -> Option<Option<usize>> {
        while tokens != 0 {
            let position = at + tokens.trailing_zeros() as usize;
            tokens &= tokens - 1;
            let class = CLASSES[usize::from(*self.body.get(position)?)];
            let next = NEXT[usize::from(self.state & 15)][class as usize];
            if self.depth == 1 {
                self.note(class, position);
            }
            match class {
                Class::Quote | Class::Colon | Class::Comma => self.state = next,
                Class::Number | Class::Literal => {
                    let end = if class == Class::Number {
                        self.number(position)
                    } else {
                        self.literal(position)
                    }?;
                    if !self
                        .body
                        .get(end)
                        .is_none_or(|&byte| is_blank(byte) || matches!(byte, b',' | b'}' | b']'))
                    {
                        return None;
                    }
                    self.state = next;
                }
                _ if next == CLOSE => {
                    if self.close() {
                        return Some(Some(position + 1));
                    }
                }
                _ if next >= OPEN_OBJECT => self.open(next)?,
                _ => return None,
            }
        }
        // A wrong state leads nowhere else, so once a block is enough.
        if self.state == WRONG { None } else { Some(None) }
    }

    fn open(&mut self, order: State) -> Option<()> {
        if self.depth == DEPTH_MAX {
            return None;
        }
        self.depth += 1;
        self.containers = self.containers << 1 | u64::from(order == OPEN_OBJECT);
        self.state = if order == OPEN_OBJECT { FIRST_KEY } else { FIRST_ELEMENT };
        Some(())
    }

    /// True when that was the outermost container.
    fn close(&mut self) -> bool {
        self.depth -= 1;
        self.containers >>= 1;
        self.state = if self.containers & 1 == 1 { AFTER_MEMBER } else { AFTER_ELEMENT };
        self.depth == 0
    }

    /// Keeps track of the outermost object's members.
    fn note(&mut self, class: Class, position: usize) {
        match (class, self.state) {
            (Class::Quote, FIRST_KEY | KEY) => self.key.0 = position,
            (Class::Colon, COLON) => self.key.1 = self.without_blanks(position),
            (Class::Comma | Class::CloseObject, AFTER_MEMBER) => {
                let end = self.without_blanks(position);
                self.recorder.push(self.body, self.key, (self.value, end));
            }
            _ => {}
        }
        if self.state == MEMBER_VALUE {
            self.value = position;
        }
    }

    /// Where the token before `end` ends.
    fn without_blanks(&self, mut end: usize) -> usize {
        while end > 0 && self.body.get(end - 1).is_some_and(|&byte| is_blank(byte)) {
            end -= 1;
        }
        end
    }

    fn byte(&self, at: usize) -> u8 {
        self.body.get(at).copied().unwrap_or(0)
    }

    /// The end of a well-formed number.
    #[inline(always)]
    fn number(&self, start: usize) -> Option<usize> {
        let mut at = start + usize::from(self.byte(start) == b'-');
        let integer = at;
        at = self.digits(at)?;
        if self.byte(integer) == b'0' && at > integer + 1 {
            return None;
        }
        if self.byte(at) == b'.' {
            at = self.digits(at + 1)?;
        }
        if self.byte(at) | 0x20 == b'e' {
            at += 1;
            at = self.digits(at + usize::from(matches!(self.byte(at), b'+' | b'-')))?;
        }
        Some(at)
    }

    #[inline(always)]
    fn digits(&self, start: usize) -> Option<usize> {
        let mut at = start;
        while self.byte(at).is_ascii_digit() {
            at += 1;
        }
        (at > start).then_some(at)
    }

    #[inline(always)]
    fn literal(&self, start: usize) -> Option<usize> {
        let rest = self.body.get(start..)?;
        let length = match rest.first()? {
            b't' => rest.starts_with(b"true").then_some(4),
            b'f' => rest.starts_with(b"false").then_some(5),
            _ => rest.starts_with(b"null").then_some(4),
        }?;
        Some(start + length)
    }
}

// === impl Masks ===

impl Masks {
    #[target_feature(enable = "avx2")]
    #[inline]
    fn of(body: &[u8], at: usize) -> Self {
        let mut padded = [b' '; BLOCK];
        let block: &[u8; BLOCK] =
            match body.get(at..at + BLOCK).and_then(|block| block.try_into().ok()) {
                Some(block) => block,
                None => {
                    let rest = body.get(at..).unwrap_or_default();
                    padded[..rest.len()].copy_from_slice(rest);
                    &padded
                }
            };
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
        let at_most = |half| _mm256_cmpeq_epi8(_mm256_max_epu8(half, limit), limit);
        // Looked up by the low four bits, a table can hold the one byte that would match there.
        let blanks =
            table([0x20, NO, NO, NO, NO, NO, NO, NO, NO, 0x09, 0x0a, NO, NO, 0x0d, NO, NO]);
        let operators =
            table([NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, 0x3a, 0x7b, 0x2c, 0x7d, NO, NO]);
        let is_blank = |half| _mm256_cmpeq_epi8(half, _mm256_shuffle_epi8(blanks, half));
        // Setting bit 5 folds `[]` onto `{}`. It also folds two control characters onto `:` and `,`: they become
        // tokens, whose class is then found wrong.
        let fold = _mm256_set1_epi8(0x20);
        let is_operator = |half| {
            _mm256_cmpeq_epi8(_mm256_or_si256(half, fold), _mm256_shuffle_epi8(operators, half))
        };
        Self {
            backslash: equal(b'\\'),
            quote: equal(b'"'),
            control: bits(at_most(low), at_most(high)),
            operator: bits(is_operator(low), is_operator(high)),
            blank: bits(is_blank(low), is_blank(high)),
            wide: bits(low, high),
        }
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn table(bytes: [u8; 16]) -> __m256i {
    // SAFETY: the load lies within the sixteen bytes of the array and needs no alignment.
    _mm256_broadcastsi128_si256(unsafe {
        std::arch::x86_64::_mm_loadu_si128(bytes.as_ptr().cast())
    })
}

/// Each bit becomes the parity of itself and all lower ones.
#[target_feature(enable = "pclmulqdq")]
#[inline]
fn prefix_xor(bits: u64) -> u64 {
    let product = _mm_clmulepi64_si128(_mm_set_epi64x(0, bits.cast_signed()), _mm_set1_epi8(-1), 0);
    _mm_cvtsi128_si64(product).cast_unsigned()
}
