//! Header fields as spans into the buffer that they were read into, and the view that looks them up.

use smallvec::SmallVec;

/// Header fields that fit without an allocation; browsers send about 15.
pub const HEADERS_INLINE: usize = 24;

/// The spans of all fields of a head, in the order of arrival.
pub type HeaderSpans = SmallVec<[HeaderSpan; HEADERS_INLINE]>;

/// A run of bytes in a head's buffer, from `start` up to `end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

/// One header field: its name as it was written, and its value without the blanks around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeaderSpan {
    pub name: Span,
    pub value: Span,
}

/// Which fields that matter to the connection a head holds, so that most heads are never searched for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks(u8);

/// The fields of a head, to look up and to walk over.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'h> {
    bytes: &'h [u8],
    spans: &'h [HeaderSpan],
    marks: Marks,
}

// === impl Span ===

impl Span {
    /// The span from `start` up to `end`. Heads end far below 4 GiB, for the parser bounds them.
    #[expect(clippy::cast_possible_truncation, reason = "heads are bounded by a limit below 4 GiB")]
    pub fn new(start: usize, end: usize) -> Span {
        debug_assert!(start <= end && u32::try_from(end).is_ok());
        Span { start: start as u32, end: end as u32 }
    }

    /// The bytes of the span; none if the buffer has been cut since.
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }

    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }
}

// === impl Marks ===

impl Marks {
    pub const NONE: Marks = Marks(0);
    pub const HOST: Marks = Marks(1);
    pub const CONTENT_LENGTH: Marks = Marks(1 << 1);
    pub const TRANSFER_ENCODING: Marks = Marks(1 << 2);
    pub const CONNECTION: Marks = Marks(1 << 3);
    pub const EXPECT: Marks = Marks(1 << 4);
    /// `Connection` holds more than `close` and `keep-alive`: it names fields, or asks for an upgrade.
    pub const CONNECTION_NAMES: Marks = Marks(1 << 5);

    pub const fn has(self, other: Marks) -> bool {
        self.0 & other.0 != 0
    }

    pub const fn add(&mut self, other: Marks) {
        self.0 |= other.0;
    }

    /// The mark of a field's name, which must be a token. The length decides before any letter is compared.
    #[inline]
    pub fn of(name: &[u8]) -> Marks {
        match name.len() {
            4 if is_token_word(name, b"host") => Marks::HOST,
            6 if is_token_word(name, b"expect") => Marks::EXPECT,
            10 if is_token_word(name, b"connection") => Marks::CONNECTION,
            14 if is_token_word(name, b"content-length") => Marks::CONTENT_LENGTH,
            17 if is_token_word(name, b"transfer-encoding") => Marks::TRANSFER_ENCODING,
            _ => Marks::NONE,
        }
    }
}

// === impl Headers ===

impl<'h> Headers<'h> {
    pub fn new(bytes: &'h [u8], spans: &'h [HeaderSpan], marks: Marks) -> Headers<'h> {
        Headers { bytes, spans, marks }
    }

    pub fn marks(self) -> Marks {
        self.marks
    }

    pub fn len(self) -> usize {
        self.spans.len()
    }

    pub fn is_empty(self) -> bool {
        self.spans.is_empty()
    }

    /// Every field as name and value, in the order of arrival.
    pub fn iter(self) -> impl Iterator<Item = (&'h [u8], &'h [u8])> + use<'h> {
        self.spans.iter().map(move |span| (span.name.of(self.bytes), span.value.of(self.bytes)))
    }

    /// The value of the first field of that name, whatever its case.
    pub fn first(self, name: &str) -> Option<&'h [u8]> {
        let found = self.spans.iter().find(|span| self.is_named(span, name.as_bytes()))?;
        Some(found.value.of(self.bytes))
    }

    /// The values of all fields of that name, whatever its case.
    pub fn named<'n>(self, name: &'n str) -> impl Iterator<Item = &'h [u8]> + use<'h, 'n> {
        self.spans
            .iter()
            .filter(move |span| self.is_named(span, name.as_bytes()))
            .map(move |span| span.value.of(self.bytes))
    }

    fn is_named(self, span: &HeaderSpan, name: &[u8]) -> bool {
        span.name.len() == name.len() && is_same_word(span.name.of(self.bytes), name)
    }
}

// === tokens and lists ===

/// The characters of a token (RFC 9110 section 5.6.2): of methods, field names and codings.
static TOKEN: [bool; 256] = letters_digits_and(b"!#$%&'*+-.^_`|~");

/// A table of the ASCII letters, the digits and these signs.
pub const fn letters_digits_and(signs: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut place = 0;
    while place < signs.len() {
        table[signs[place] as usize] = true;
        place += 1;
    }
    table
}

#[inline]
pub fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

/// Whether the text can stand as a method, a field name or a coding.
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_token_byte(byte))
}

/// Whether a byte may stand in a field's value (RFC 9110 section 5.5): no control character but the tab.
#[inline]
pub fn is_value_byte(byte: u8) -> bool {
    (byte >= b' ' && byte != 0x7f) || byte == b'\t'
}

/// The elements of a comma-separated list, without the blanks around them; empty ones are not left out.
pub fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    value.split(|&byte| byte == b',').map(trim_blanks)
}

/// Without the spaces and tabs at both ends: the only white space HTTP knows inside of a line.
pub fn trim_blanks(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Whether two words differ at most in the case of ASCII letters: what `eq_ignore_ascii_case` says, eight bytes at a time.
#[inline]
pub fn is_same_word(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let (left_words, left_rest) = left.as_chunks::<8>();
    let (right_words, right_rest) = right.as_chunks::<8>();
    if left_words.iter().zip(right_words).any(|(left, right)| folded(*left) != folded(*right)) {
        return false;
    }
    match (left.last_chunk::<8>(), right.last_chunk::<8>()) {
        // The last eight bytes again: those of them that were not compared yet are the rest.
        (Some(left), Some(right)) => left_rest.is_empty() || folded(*left) == folded(*right),
        _ => left_rest.eq_ignore_ascii_case(right_rest),
    }
}

/// Eight bytes with their capital letters made small.
#[inline]
fn folded(bytes: [u8; 8]) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let word = u64::from_le_bytes(bytes);
    let low = word & !HIGH;
    // The highest bit of each byte says: not below `A`, and above `Z`. Bytes beyond ASCII are no letters.
    let from_a = low + ONES * u64::from(0x80 - b'A');
    let above_z = low + ONES * u64::from(0x7f - b'Z');
    let capital = (from_a ^ above_z) & !word & HIGH;
    word | capital >> 2
}

/// Compares a token with a word in lower case. A token's bytes meet a letter or a hyphen with the case bit
/// set only if they are that letter or hyphen, so one `or` a byte is exact.
#[inline]
fn is_token_word<const N: usize>(token: &[u8], lower: &[u8; N]) -> bool {
    let Ok(token) = <&[u8; N]>::try_from(token) else { return false };
    let mut difference = 0;
    for (left, right) in token.iter().zip(lower) {
        difference |= (left | 0x20) ^ right;
    }
    difference == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_letters_digits_and_fifteen_signs() {
        assert_eq!((0..=255).filter(|&byte| is_token_byte(byte)).count(), 26 + 26 + 10 + 15);
        assert!(is_token(b"!#$%&'*+.^_`|~9-az"));
        for text in [&b""[..], b"a b", b"a:", b"a(", b"\xc3\xa9", b"a\0"] {
            assert!(!is_token(text), "{text:?}");
        }
    }

    #[test]
    fn marks_are_found_in_any_case_and_only_for_whole_names() {
        assert_eq!(Marks::of(b"HOST"), Marks::HOST);
        assert_eq!(Marks::of(b"Transfer-Encoding"), Marks::TRANSFER_ENCODING);
        assert_eq!(Marks::of(b"cONTENT-lENGTH"), Marks::CONTENT_LENGTH);
        for other in
            [&b"Hos"[..], b"Host1", b"Transfer_Encoding", b"Content_Length", b"Connectio~", b""]
        {
            assert_eq!(Marks::of(other), Marks::NONE, "{other:?}");
        }
    }

    #[test]
    fn words_are_compared_as_ascii_does() {
        let words: Vec<Vec<u8>> = (0..=255u8)
            .flat_map(|byte| (0..20).map(move |length| (byte, length)))
            .map(|(byte, length)| {
                (0..length).map(|place| byte.wrapping_add(u8::wrapping_mul(place, 37))).collect()
            })
            .collect();
        for word in &words {
            for place in 0..word.len() {
                for bit in 0..8 {
                    let mut other = word.clone();
                    other[place] ^= 1 << bit;
                    assert_eq!(
                        is_same_word(word, &other),
                        word.eq_ignore_ascii_case(&other),
                        "{word:?} {other:?}"
                    );
                }
            }
            assert!(is_same_word(word, &word.to_ascii_uppercase()));
            assert!(!is_same_word(word, &[&word[..], b"x"].concat()));
        }
    }

    #[test]
    fn list_elements_lose_blanks_but_empty_ones_stay() {
        let found: Vec<&[u8]> = elements(b" a ,\tb,, c\t").collect();
        assert_eq!(found, [&b"a"[..], b"b", b"", b"c"]);
        assert_eq!(elements(b"").count(), 1);
    }
}
