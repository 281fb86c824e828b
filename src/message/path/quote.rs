//! `quote`: a text in quotation marks as Go's `%q` writes it, for error messages that name a url.

use std::fmt::Write as _;

/// Quotes a text, which need not be UTF-8.
#[must_use]
pub fn quote(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for chunk in text.utf8_chunks() {
        chunk.valid().chars().for_each(|c| quote_char(c, &mut out));
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('"');
    out
}

fn quote_char(c: char, out: &mut String) {
    match c {
        '"' | '\\' => out.extend(['\\', c]),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        ' ' => out.push(' '),
        _ if c.is_ascii_control() => push_code(out, 'x', 2, c),
        _ if c.is_control() || c.is_whitespace() || is_invisible(c) => match c {
            ..='\u{FFFF}' => push_code(out, 'u', 4, c),
            _ => push_code(out, 'U', 8, c),
        },
        _ => out.push(c),
    }
}

fn push_code(out: &mut String, kind: char, digits: usize, c: char) {
    // Writing to a String does not fail.
    let _ = write!(out, "\\{kind}{:0digits$x}", u32::from(c));
}

/// Marks that print nothing: soft hyphen, joiners, directions, byte order mark, private use.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{E000}'..='\u{F8FF}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{F0000}'..)
}
