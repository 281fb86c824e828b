//! `quote`: a text in double quotes as Go writes it, where characters that cannot be seen are escaped.

use std::fmt::Write;

/// Go's `strconv.Quote`: characters that cannot be seen are escaped, all others stand as they are.
pub fn quote(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            _ if is_printable(character) => out.push(character),
            _ => {
                let code = u32::from(character);
                let _ = match code {
                    0..0x80 => write!(out, "\\x{code:02x}"),
                    0x80..0x1_0000 => write!(out, "\\u{code:04x}"),
                    _ => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push('"');
}

/// Letters, marks, numbers, punctuation, symbols and the blank: what the standard library's `Debug` shows
/// as itself behind another character (at the start of a text it escapes marks, too).
fn is_printable(character: char) -> bool {
    match character {
        ' '..='~' => true,
        '\0'..='\u{7f}' => false,
        _ => {
            let mut buffer = [0; 5];
            buffer[0] = b'a';
            let length = character.encode_utf8(&mut buffer[1..]).len();
            std::str::from_utf8(&buffer[..=length])
                .is_ok_and(|text| text.escape_debug().count() == 2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_escaped_by_its_width() {
        let mut out = String::new();
        quote("a\"\\\u{7}\0\u{7f}\u{a0}\u{ad}\u{200b}\u{e0001}\u{301}é世😀", &mut out);
        assert_eq!(
            out,
            r#""a\"\\\a\x00\x7f\u00a0\u00ad\u200b\U000e0001"#.to_owned() + "\u{301}é世😀\""
        );
    }

    #[test]
    fn marks_are_printable_controls_and_blanks_are_not() {
        for character in ['a', 'é', '日', '\u{301}', '😀', ' '] {
            assert!(is_printable(character), "{character:?}");
        }
        for character in ['\0', '\u{7f}', '\u{a0}', '\u{200b}', '\u{2028}', '\u{e000}', '\u{fffe}']
        {
            assert!(!is_printable(character), "{character:?}");
        }
    }
}
