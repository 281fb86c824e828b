//! Values of templates: how Go prints them, converts them loosely, and writes them as JSON.

use std::collections::BTreeMap;
use std::sync::Arc;

use gotmpl::Value;

use crate::config::source::{Node, NodeValue};
use crate::json;

pub type Members = BTreeMap<Arc<str>, Value>;

pub fn string(text: impl Into<String>) -> Value {
    Value::String(text.into().into())
}

pub fn list(values: Vec<Value>) -> Value {
    Value::List(values.into())
}

pub fn strings<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Value {
    list(texts.into_iter().map(string).collect())
}

pub fn map(members: Members) -> Value {
    Value::Map(Arc::new(members))
}

/// A file of settings. Numbers are doubles, as Go's reader of JSON keeps them.
pub fn from_node(node: &Node) -> Value {
    match &node.value {
        NodeValue::Null => Value::Nil,
        NodeValue::Bool(value) => Value::Bool(*value),
        NodeValue::Number(number, _) => Value::Float(number.to_f64()),
        NodeValue::Text(text) => string(text.as_str()),
        NodeValue::List(nodes) => list(nodes.iter().map(from_node).collect()),
        NodeValue::Map(entries) => map(entries
            .iter()
            .map(|entry| (Arc::from(entry.key.as_str()), from_node(&entry.value)))
            .collect()),
    }
}

pub fn from_json(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => Value::Float(number.as_f64().unwrap_or_default()),
        serde_json::Value::String(text) => string(text.as_str()),
        serde_json::Value::Array(values) => list(values.iter().map(from_json).collect()),
        serde_json::Value::Object(members) => map(members
            .iter()
            .map(|(key, value)| (Arc::from(key.as_str()), from_json(value)))
            .collect()),
    }
}

/// What Go's `%v` prints.
pub fn text(value: &Value) -> String {
    match value {
        Value::Float(number) => json::shortest(*number),
        Value::List(values) => {
            let texts: Vec<_> = values.iter().map(text).collect();
            format!("[{}]", texts.join(" "))
        }
        Value::Map(members) => {
            let texts: Vec<_> =
                members.iter().map(|(key, value)| format!("{key}:{}", text(value))).collect();
            format!("map[{}]", texts.join(" "))
        }
        other => other.to_string(),
    }
}

/// How Go names the type.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Nil => "<nil>",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Uint(_) => "uint",
        Value::Float(_) => "float64",
        Value::String(_) => "string",
        Value::List(_) => "[]interface {}",
        Value::Map(_) => "map[string]interface {}",
        Value::Function(_) => "func",
    }
}

/// How Go names the kind.
pub fn kind_name(value: &Value) -> &'static str {
    match value {
        Value::Nil => "invalid",
        Value::List(_) => "slice",
        Value::Map(_) => "map",
        other => type_name(other),
    }
}

/// A whole number out of anything: fractions are cut off, what is no number is 0.
pub fn to_i64(value: &Value) -> i64 {
    match value {
        Value::Bool(value) => i64::from(*value),
        Value::Int(number) => *number,
        Value::Uint(number) => i64::try_from(*number).unwrap_or(i64::MAX),
        #[allow(clippy::cast_possible_truncation, reason = "the conversion is meant to cut")]
        Value::Float(number) => *number as i64,
        Value::String(text) => whole_number(text).unwrap_or(0),
        Value::Nil | Value::List(_) | Value::Map(_) | Value::Function(_) => 0,
    }
}

/// `42`, `42.00`, `0x2a`, `0b1`, `052`: the prefix tells the base.
fn whole_number(text: &str) -> Option<i64> {
    let text = match text.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|byte| byte == b'0') => whole,
        _ => text,
    };
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (digits, radix) = match lower.as_bytes() {
        [b'0', b'x', ..] => (lower.get(2..)?, 16),
        [b'0', b'b', ..] => (lower.get(2..)?, 2),
        [b'0', b'o', ..] => (lower.get(2..)?, 8),
        [b'0', _, ..] => (lower.get(1..)?, 8),
        _ => (lower.as_str(), 10),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    i64::from_str_radix(&format!("{sign}{digits}"), radix).ok()
}

pub fn to_f64(value: &Value) -> f64 {
    match value {
        Value::Bool(value) => f64::from(u8::from(*value)),
        Value::Int(number) => *number as f64,
        Value::Uint(number) => *number as f64,
        Value::Float(number) => *number,
        Value::String(text) => text.parse().unwrap_or(0.0),
        Value::Nil | Value::List(_) | Value::Map(_) | Value::Function(_) => 0.0,
    }
}

/// JSON as Go's encoder writes it: names sorted; `<`, `>` and `&` escaped unless `is_raw`.
pub fn to_json(value: &Value, indent: Option<&str>, is_raw: bool) -> String {
    let mut out = Vec::new();
    write_json(value, indent, 0, &mut out);
    let text = String::from_utf8_lossy(&out).into_owned();
    if is_raw { text } else { json::html_escaped(&text) }
}

fn write_json(value: &Value, indent: Option<&str>, level: usize, out: &mut Vec<u8>) {
    match value {
        Value::Nil | Value::Function(_) => out.extend_from_slice(b"null"),
        Value::Bool(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::Int(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::Uint(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::Float(number) => out.extend_from_slice(json::float(*number).as_bytes()),
        Value::String(text) => json::write_string(text, out),
        Value::List(values) => {
            let write = |value: &&Value, out: &mut Vec<u8>| {
                write_json(value, indent, level + 1, out);
            };
            write_row((b'[', b']'), values.iter(), write, indent, level, out);
        }
        Value::Map(members) => {
            let write = |(key, value): &(&Arc<str>, &Value), out: &mut Vec<u8>| {
                json::write_string(key, out);
                out.extend_from_slice(if indent.is_some() { b": " } else { b":" });
                write_json(value, indent, level + 1, out);
            };
            write_row((b'{', b'}'), members.iter(), write, indent, level, out);
        }
    }
}

/// Members between brackets, each on a line of its own where there is an indent.
fn write_row<T>(
    (open, close): (u8, u8),
    items: impl ExactSizeIterator<Item = T>,
    write: impl Fn(&T, &mut Vec<u8>),
    indent: Option<&str>,
    level: usize,
    out: &mut Vec<u8>,
) {
    let is_empty = items.len() == 0;
    let new_line = |level: usize, out: &mut Vec<u8>| {
        if let Some(indent) = indent.filter(|_| !is_empty) {
            out.push(b'\n');
            out.extend_from_slice(indent.repeat(level).as_bytes());
        }
    };
    out.push(open);
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        new_line(level + 1, out);
        write(&item, out);
    }
    new_line(level, out);
    out.push(close);
}

/// A text in double quotes, as Go's `%q` writes it.
pub fn quoted(text: &str) -> String {
    let mut out = String::new();
    json::quote(text, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_come_out_of_anything() {
        for (value, expected) in [
            (string("42"), 42),
            (string("42.00"), 42),
            (string("42.5"), 0),
            (string("0x2A"), 42),
            (string("052"), 42),
            (string("-7"), -7),
            (string("x"), 0),
            (Value::Float(2.9), 2),
            (Value::Bool(true), 1),
            (Value::Nil, 0),
        ] {
            assert_eq!(to_i64(&value), expected, "{value}");
        }
    }

    #[test]
    fn json_is_written_as_go_does() {
        let value =
            from_json(&serde_json::json!({"b": [1, 2.5, "<x>"], "a": {}, "c": [], "d": null}));
        assert_eq!(
            to_json(&value, None, false),
            r#"{"a":{},"b":[1,2.5,"\u003cx\u003e"],"c":[],"d":null}"#
        );
        assert_eq!(
            to_json(&value, Some("  "), true),
            "{\n  \"a\": {},\n  \"b\": [\n    1,\n    2.5,\n    \"<x>\"\n  ],\n  \"c\": [],\n  \"d\": null\n}"
        );
    }

    #[test]
    fn numbers_print_with_an_exponent_from_a_million_on() {
        let value = from_json(&serde_json::json!({"n": 1_000_000, "l": [0.5, "x"]}));
        assert_eq!(text(&value), "map[l:[0.5 x] n:1e+06]");
    }
}
