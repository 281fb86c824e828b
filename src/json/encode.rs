//! Writes values as JSON, the way Go's `encoding/json` does but for escapes that readers cannot tell apart.

use crate::json::value::{Number, Value};

/// Writes a tree. Its depth bounds the recursion, and trees are shallow (see `tree.rs`).
pub fn write_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => write_string(text, out),
        Value::Array(list) => write_list(list, out),
        Value::Object(map) => {
            write_members(map.iter().map(|(key, value)| (key.as_str(), value)), out);
        }
        Value::Struct(members) => {
            write_members(members.iter().map(|(key, value)| (*key, value)), out);
        }
        Value::Typed(_) => write_value(value.shown(), out),
    }
}

/// JSON text with `<`, `>`, `&` and two line separators escaped, byte for byte as Go's encoder writes it: outside of
/// strings none of them stands.
#[must_use]
pub fn html_escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '<' => out.push_str(r"\u003c"),
            '>' => out.push_str(r"\u003e"),
            '&' => out.push_str(r"\u0026"),
            '\u{2028}' => out.push_str(r"\u2028"),
            '\u{2029}' => out.push_str(r"\u2029"),
            other => out.push(other),
        }
    }
    out
}

/// Writes a text with its quotes.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\')
    {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            byte @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', byte]),
            0x08 => out.extend_from_slice(br"\b"),
            0x0c => out.extend_from_slice(br"\f"),
            b'\n' => out.extend_from_slice(br"\n"),
            b'\r' => out.extend_from_slice(br"\r"),
            b'\t' => out.extend_from_slice(br"\t"),
            byte => out.extend_from_slice(&[
                b'\\',
                b'u',
                b'0',
                b'0',
                HEX[usize::from(byte >> 4)],
                HEX[usize::from(byte & 15)],
            ]),
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn write_list(list: &[Value], out: &mut Vec<u8>) {
    out.push(b'[');
    for (i, value) in list.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_value(value, out);
    }
    out.push(b']');
}

fn write_members<'v>(members: impl Iterator<Item = (&'v str, &'v Value)>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (i, (key, value)) in members.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_string(key, out);
        out.push(b':');
        write_value(value, out);
    }
    out.push(b'}');
}

fn write_number(number: &Number, out: &mut Vec<u8>) {
    match number {
        Number::Text(text) => out.extend_from_slice(text.as_bytes()),
        Number::Float(number) => out.extend_from_slice(float(*number).as_bytes()),
        Number::Int(number) => out.extend_from_slice(number.to_string().as_bytes()),
    }
}

/// A double as Go's `encoding/json` writes it (as JavaScript does): shortest digits, an exponent only below 1e-6 and
/// from 1e21 on. What JSON cannot say becomes null.
#[must_use]
pub fn float(number: f64) -> String {
    if !number.is_finite() {
        return "null".to_owned();
    }
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{number:e}");
        return if size < 1.0 { text } else { text.replacen('e', "e+", 1) };
    }
    format!("{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &Value) -> String {
        let mut out = Vec::new();
        write_value(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_of_the_configuration_print_as_go_prints_a_double() {
        let cases = [
            (1e21, "1e+21"),
            (1.0, "1"),
            (-0.0, "-0"),
            (12_345_678_901_234_567_890.0, "12345678901234567000"),
            (1e20, "100000000000000000000"),
            (1.5, "1.5"),
            (0.000_001, "0.000001"),
            (0.000_000_1, "1e-7"),
            (1.234e-9, "1.234e-9"),
            (-2.5e300, "-2.5e+300"),
            (0.1, "0.1"),
        ];
        for (number, text) in cases {
            assert_eq!(written(&Value::Number(Number::Float(number))), text);
        }
        assert_eq!(written(&Value::Number(Number::Int(-404))), "-404");
        assert_eq!(written(&Value::Number(Number::Text("1.50".into()))), "1.50");
    }

    #[test]
    fn control_characters_quotes_and_backslashes_are_escaped() {
        let text = Value::String("a\"b\\c\n\r\t\u{8}\u{c}\u{1}\u{7f}é\u{2028}".to_owned());
        assert_eq!(written(&text), "\"a\\\"b\\\\c\\n\\r\\t\\b\\f\\u0001\u{7f}é\u{2028}\"");
    }

    #[test]
    fn a_struct_keeps_its_order() {
        let details = Value::Struct(vec![
            ("http_status_code", Value::Number(Number::Int(404))),
            ("http_body", Value::String("no".to_owned())),
            ("a", Value::Array(vec![Value::Null, Value::Bool(true), Value::Bool(false)])),
        ]);
        assert_eq!(
            written(&details),
            r#"{"http_status_code":404,"http_body":"no","a":[null,true,false]}"#
        );
    }
}
