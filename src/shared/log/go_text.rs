//! Text as Go's library prints it: durations and quoted strings.

use std::io::Write;
use std::time::Duration;

/// Appends what `time.Duration.String` gives: `0s`, `1.5µs`, `12.34ms`, `1m2.5s`.
pub(super) fn append_duration(duration: Duration, out: &mut Vec<u8>) {
    const MICRO: u128 = 1000;
    const MILLI: u128 = 1000 * MICRO;
    const SECOND: u128 = 1000 * MILLI;
    let nanos = duration.as_nanos();
    match nanos {
        0 => out.extend_from_slice(b"0s"),
        1..MICRO => append_fraction(nanos, 1, 0, "ns", out),
        MICRO..MILLI => append_fraction(nanos, MICRO, 3, "µs", out),
        MILLI..SECOND => append_fraction(nanos, MILLI, 6, "ms", out),
        _ => {
            let minutes = nanos / (60 * SECOND);
            // Writing to a vector cannot fail.
            let _ = match (minutes / 60, minutes % 60) {
                (0, 0) => Ok(()),
                (0, minutes) => write!(out, "{minutes}m"),
                (hours, minutes) => write!(out, "{hours}h{minutes}m"),
            };
            append_fraction(nanos % (60 * SECOND), SECOND, 9, "s", out);
        }
    }
}

/// Appends `nanos / unit` with up to `digits` decimals and no zeros at the end.
fn append_fraction(nanos: u128, unit: u128, digits: usize, name: &str, out: &mut Vec<u8>) {
    let (whole, rest) = (nanos / unit, nanos % unit);
    let _ = if rest == 0 {
        write!(out, "{whole}{name}")
    } else {
        let decimals = format!("{rest:0digits$}");
        write!(out, "{whole}.{}{name}", decimals.trim_end_matches('0'))
    };
}

/// Appends what `strconv.Quote` gives. Bytes that are no UTF-8 are written as `\x..`.
pub(super) fn append_quoted(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for chunk in text.utf8_chunks() {
        chunk.valid().chars().for_each(|char| append_quoted_char(char, out));
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push(b'"');
}

fn append_quoted_char(char: char, out: &mut Vec<u8>) {
    let escaped = match char {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\x07' => "\\a",
        '\x08' => "\\b",
        '\x0c' => "\\f",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\x0b' => "\\v",
        ' '..='~' => return out.push(char as u8),
        _ => return append_rare_char(char, out),
    };
    out.extend_from_slice(escaped.as_bytes());
}

fn append_rare_char(char: char, out: &mut Vec<u8>) {
    let code = u32::from(char);
    let _ = match code {
        _ if is_printable(char) => write!(out, "{char}"),
        ..0x20 | 0x7f => write!(out, "\\x{code:02x}"),
        ..0x1_0000 => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
}

/// Go's `strconv.IsPrint`: letters, marks, numbers, punctuation, symbols. Rust's table of the same name
/// is reached through `escape_debug`, which also escapes a mark at the beginning, hence the `a`.
fn is_printable(char: char) -> bool {
    let mut buffer = [b'a', 0, 0, 0, 0];
    let len = 1 + char.encode_utf8(&mut buffer[1..]).len();
    let pair = std::str::from_utf8(&buffer[..len]).unwrap_or("");
    pair.escape_debug().nth(1) == Some(char)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn duration(nanos: u64) -> String {
        let mut out = Vec::new();
        append_duration(Duration::from_nanos(nanos), &mut out);
        String::from_utf8(out).expect("text")
    }

    fn quoted(text: &[u8]) -> String {
        let mut out = Vec::new();
        append_quoted(text, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn durations_are_printed_as_go_prints_them() {
        let table = [
            (0, "0s"),
            (1, "1ns"),
            (999, "999ns"),
            (1100, "1.1µs"),
            (200_000, "200µs"),
            (2_200_000, "2.2ms"),
            (12_030_000, "12.03ms"),
            (1_000_000_000, "1s"),
            (3_300_000_000, "3.3s"),
            (60_000_000_000, "1m0s"),
            (245_000_000_000, "4m5s"),
            (245_001_000_000, "4m5.001s"),
            (18_367_001_000_000, "5h6m7.001s"),
            (480_000_000_001, "8m0.000000001s"),
            (3_600_000_000_000, "1h0m0s"),
        ];
        for (nanos, expected) in table {
            assert_eq!(duration(nanos), expected);
        }
    }

    #[test]
    fn text_is_quoted_as_go_quotes_it() {
        let table: [(&[u8], &str); 9] = [
            (b"/a?b=c", r#""/a?b=c""#),
            (b"\"\\\n\r\t\x07\x08\x0b\x0c", r#""\"\\\n\r\t\a\b\v\f""#),
            (b"\x00\x1b\x7f", r#""\x00\x1b\x7f""#),
            ("/ä/世界/😀".as_bytes(), "\"/ä/世界/😀\""),
            (b"\xff\xe4\xb8", r#""\xff\xe4\xb8""#),
            ("\u{a0}\u{ad}\u{200b}\u{feff}".as_bytes(), r#""\u00a0\u00ad\u200b\ufeff""#),
            ("\u{301}e\u{301}".as_bytes(), "\"\u{301}e\u{301}\""),
            ("\u{e0001}".as_bytes(), r#""\U000e0001""#),
            ("'\u{fffd}".as_bytes(), "\"'\u{fffd}\""),
        ];
        for (text, expected) in table {
            assert_eq!(quoted(text), expected);
        }
    }
}
