//! Builds a tree of values from JSON text that has already been found well-formed.

use crate::json::text::unescape;
use crate::json::value::{Map, Number, Value};

/// Deepest tree. A value further down stays the text it was, carried in place of a number: it is written back
/// unchanged, and everything that walks a tree can recurse without a limit of its own.
pub(super) const DEPTH_MAX: usize = 512;

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
}

/// The value that `text` consists of. Text that is not well-formed gives some value, never a panic.
pub(super) fn parse(text: &[u8]) -> Value {
    Reader { text, at: 0 }.value(0)
}

// === impl Reader ===

impl<'t> Reader<'t> {
    fn value(&mut self, depth: usize) -> Value {
        match self.next_byte() {
            Some(b'{' | b'[') if depth == DEPTH_MAX => self.unread(),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Value::String(self.string()),
            Some(b't') => self.word(Value::Bool(true)),
            Some(b'f') => self.word(Value::Bool(false)),
            Some(b'-' | b'0'..=b'9') => Value::Number(Number::Text(lossy(self.bare()).into())),
            _ => self.word(Value::Null),
        }
    }

    /// Skips blanks and separators.
    fn next_byte(&mut self) -> Option<u8> {
        while let Some(&byte) = self.text.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b':') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    fn object(&mut self, depth: usize) -> Value {
        let mut map = Map::new();
        self.at += 1;
        while self.next_byte() == Some(b'"') {
            let key = self.string();
            let value = self.value(depth + 1);
            map.insert(key, value);
        }
        self.at += 1;
        Value::Object(map)
    }

    fn array(&mut self, depth: usize) -> Value {
        let mut list = Vec::new();
        self.at += 1;
        while self.next_byte().is_some_and(|byte| byte != b']') {
            list.push(self.value(depth + 1));
        }
        self.at += 1;
        Value::Array(list)
    }

    fn string(&mut self) -> String {
        let raw = self.quoted();
        unescape(raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default()).into_owned()
    }

    /// A string with its quotes.
    fn quoted(&mut self) -> &'t [u8] {
        let start = self.at;
        self.at += 1;
        while let Some(&byte) = self.text.get(self.at) {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                break;
            }
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn word(&mut self, value: Value) -> Value {
        if self.bare().is_empty() {
            self.at += 1;
        }
        value
    }

    /// A number or word.
    fn bare(&mut self) -> &'t [u8] {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let is_part =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
        let length = rest.iter().position(|byte| !is_part(byte)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    /// Skips a container and keeps its text.
    fn unread(&mut self) -> Value {
        let start = self.at;
        let mut open = 0usize;
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b'"' => {
                    self.quoted();
                    continue;
                }
                b'{' | b'[' => open += 1,
                b'}' | b']' => open -= 1,
                _ => {}
            }
            self.at += 1;
            if open == 0 {
                break;
            }
        }
        Value::Number(Number::Text(lossy(self.text.get(start..self.at).unwrap_or_default()).into()))
    }
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_text_and_strings_lose_their_escapes() {
        let tree = parse(br#" {"a": [1.50, -0, 1E+3, true, null, {}], "\u0062": "x\ty"} "#);
        let Value::Object(map) = tree else { panic!("not an object") };
        let number = |text: &str| Value::Number(Number::Text(text.into()));
        let list = vec![
            number("1.50"),
            number("-0"),
            number("1E+3"),
            Value::Bool(true),
            Value::Null,
            Value::Object(Map::new()),
        ];
        assert_eq!(map["a"], Value::Array(list));
        assert_eq!(map["b"], Value::String("x\ty".to_owned()));
    }

    #[test]
    fn the_last_of_two_equal_keys_wins_at_every_depth() {
        let Value::Object(map) = parse(br#"{"a":{"k":1,"k":[2]}}"#) else {
            panic!("not an object")
        };
        let Value::Object(inner) = &map["a"] else { panic!("not an object") };
        assert!(matches!(inner["k"], Value::Array(_)));
    }

    #[test]
    fn below_the_deepest_level_the_text_is_kept() {
        let text = format!("{}\"]]\"{}", "[".repeat(9_000), "]".repeat(9_000));
        let mut out = Vec::new();
        crate::json::encode::write_value(&parse(text.as_bytes()), &mut out);
        assert_eq!(out, text.as_bytes());
    }

    #[test]
    fn text_that_is_not_well_formed_gives_some_value() {
        for text in ["", "}", "[", "{\"a\"", "\"\\", "[}]", "{\"a\":}", "@@", "[@,@]"] {
            parse(text.as_bytes());
        }
    }
}
