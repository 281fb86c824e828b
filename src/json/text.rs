//! JSON strings as bytes: undoing escapes, and mending text that is not valid Unicode as Go's decoder does.

use std::borrow::Cow;

/// What stands for a byte or an escape that is no character.
const REPLACEMENT: char = '\u{fffd}';

/// The text of a well-formed string, given without its quotes.
pub(super) fn unescape(raw: &[u8]) -> Cow<'_, str> {
    if !raw.contains(&b'\\') {
        return String::from_utf8_lossy(raw);
    }
    let mut text = Vec::with_capacity(raw.len());
    let mut at = 0;
    while let Some(&byte) = raw.get(at) {
        if byte == b'\\' {
            let (character, length) = escaped(&raw[at..]);
            text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            at += length;
        } else {
            text.push(byte);
            at += 1;
        }
    }
    Cow::Owned(
        String::from_utf8(text)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
    )
}

/// The character of the escape at the beginning of `raw`, and the length of the escape (of both for a pair).
fn escaped(raw: &[u8]) -> (char, usize) {
    let simple = match raw.get(1) {
        Some(b'u') => return escaped_unit(raw),
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(&other) => char::from(other),
        None => REPLACEMENT,
    };
    (simple, 2)
}

fn escaped_unit(raw: &[u8]) -> (char, usize) {
    let Some(unit) = code_unit(raw) else { return (REPLACEMENT, 6) };
    if let Some(character) = char::from_u32(unit) {
        return (character, 6);
    }
    // A high surrogate needs a low one right behind it; otherwise it stands alone and the next is read by itself.
    match raw.get(6..).and_then(code_unit) {
        Some(low @ 0xdc00..=0xdfff) if unit < 0xdc00 => {
            let code_point = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
            (char::from_u32(code_point).unwrap_or(REPLACEMENT), 12)
        }
        _ => (REPLACEMENT, 6),
    }
}

/// The number of a `\uXXXX` at the beginning of `raw`.
fn code_unit(raw: &[u8]) -> Option<u32> {
    let digits = raw.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |unit, &digit| Some(unit << 4 | char::from(digit).to_digit(16)?))
}

/// The same JSON text with U+FFFD in place of each byte that is not UTF-8 and of each lone surrogate escape, or `None`
/// if there is nothing to mend.
pub(super) fn mended(raw: &[u8], has_wide: bool, has_surrogates: bool) -> Option<Vec<u8>> {
    let mut mended = if has_wide { mended_bytes(raw) } else { None };
    if has_surrogates && let Some(again) = mended_surrogates(mended.as_deref().unwrap_or(raw)) {
        mended = Some(again);
    }
    mended
}

/// One U+FFFD a byte, not one a sequence: so does Go.
pub(super) fn mended_bytes(raw: &[u8]) -> Option<Vec<u8>> {
    if std::str::from_utf8(raw).is_ok() {
        return None;
    }
    let mut mended = Vec::with_capacity(raw.len() + 64);
    for chunk in raw.utf8_chunks() {
        mended.extend_from_slice(chunk.valid().as_bytes());
        for _ in chunk.invalid() {
            push_replacement(&mut mended);
        }
    }
    Some(mended)
}

fn mended_surrogates(raw: &[u8]) -> Option<Vec<u8>> {
    let mut mended: Option<Vec<u8>> = None;
    let (mut at, mut copied) = (0, 0);
    while let Some(offset) = memchr::memchr(b'\\', raw.get(at..)?) {
        at += offset;
        let (character, length) = escaped(&raw[at..]);
        // U+FFFD written as an escape of its own may be replaced by itself.
        if character == REPLACEMENT {
            let target = mended.get_or_insert_default();
            target.extend_from_slice(&raw[copied..at]);
            push_replacement(target);
            copied = at + length;
        }
        at += length;
    }
    if let Some(target) = &mut mended {
        target.extend_from_slice(raw.get(copied..).unwrap_or_default());
    }
    mended
}

fn push_replacement(target: &mut Vec<u8>) {
    target.extend_from_slice(REPLACEMENT.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone() {
        assert_eq!(unescape(br#"a\"\\\/\b\f\n\r\t\u00e9\u4e2d"#), "a\"\\/\u{8}\u{c}\n\r\té中");
        assert_eq!(unescape(br"\ud83d\ude00!"), "😀!");
    }

    #[test]
    fn a_lone_surrogate_becomes_the_replacement_character() {
        assert_eq!(unescape(br"\ud800x"), "\u{fffd}x");
        assert_eq!(unescape(br"\ud800\u0041"), "\u{fffd}A");
        assert_eq!(unescape(br"\udc00\ud83d\ude00"), "\u{fffd}😀");
        assert_eq!(unescape(br"\ud83d\ud83d\ude00"), "\u{fffd}😀");
        assert_eq!(
            mended(br#"{"a":"\\ud800\ud800x\ud83d\ude00"}"#, false, true).as_deref(),
            Some("{\"a\":\"\\\\ud800\u{fffd}x\\ud83d\\ude00\"}".as_bytes())
        );
        assert_eq!(mended(br#"{"a":"\ud83d\ude00"}"#, false, true), None);
    }

    #[test]
    fn each_bad_byte_becomes_one_replacement_character() {
        assert_eq!(mended(b"\"\xe9\"", true, false).as_deref(), Some("\"\u{fffd}\"".as_bytes()));
        assert_eq!(
            mended(b"\xe2\x82x\xed\xa0\x80", true, false).as_deref(),
            Some("\u{fffd}\u{fffd}x\u{fffd}\u{fffd}\u{fffd}".as_bytes())
        );
        assert_eq!(mended("\"é漢😀\"".as_bytes(), true, false), None);
    }
}
