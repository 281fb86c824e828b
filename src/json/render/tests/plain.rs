//! A small JSON reader and writer for tests: numbers keep their text, structs their order.

use std::fmt::Write as _;

use crate::json::{Map, Number, Value};

/// Reads a JSON text that is known to be good.
pub fn read(text: &str) -> Value {
    let mut rest = text;
    let value = value(&mut rest);
    assert!(rest.trim().is_empty(), "more than one value: {text}");
    value
}

pub fn read_map(text: &str) -> Map {
    match read(text) {
        Value::Object(map) => map,
        other => panic!("not an object: {other:?}"),
    }
}

fn value(rest: &mut &str) -> Value {
    *rest = rest.trim_start();
    match rest.as_bytes()[0] {
        b'{' => {
            let mut map = Map::new();
            entries(rest, '}', |rest| {
                let Value::String(key) = value(rest) else { panic!("a key must be a text") };
                eat(rest, ":");
                map.insert(key, value(rest));
            });
            Value::Object(map)
        }
        b'[' => {
            let mut list = Vec::new();
            entries(rest, ']', |rest| list.push(value(rest)));
            Value::Array(list)
        }
        b'"' => string(rest),
        _ => {
            let length = rest.find([',', '}', ']', ' ', '\n']).unwrap_or(rest.len());
            let (word, after) = rest.split_at(length);
            *rest = after;
            match word {
                "null" => Value::Null,
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                number => Value::Number(Number::Text(number.into())),
            }
        }
    }
}

fn entries(rest: &mut &str, end: char, mut entry: impl FnMut(&mut &str)) {
    *rest = &rest[1..];
    loop {
        *rest = rest.trim_start().trim_start_matches(',').trim_start();
        if let Some(after) = rest.strip_prefix(end) {
            *rest = after;
            return;
        }
        entry(rest);
    }
}

fn eat(rest: &mut &str, text: &str) {
    *rest = rest.trim_start().strip_prefix(text).expect("well-formed");
}

fn string(rest: &mut &str) -> Value {
    let mut end = 1;
    while rest.as_bytes()[end] != b'"' {
        end += if rest.as_bytes()[end] == b'\\' { 2 } else { 1 };
    }
    let (text, after) = rest.split_at(end + 1);
    *rest = after;
    Value::String(serde_json::from_str(text).expect("a JSON text"))
}

/// Writes a tree without blanks, structs as objects in their order.
pub fn write(value: &Value) -> String {
    let mut out = String::new();
    write_to(value, &mut out);
    out
}

fn write_to(value: &Value, out: &mut String) {
    let members = |members: Vec<(&str, &Value)>, out: &mut String| {
        out.push('{');
        for (position, (key, value)) in members.into_iter().enumerate() {
            out.push_str(if position > 0 { "," } else { "" });
            let _ = write!(out, "{}:", serde_json::Value::from(key));
            write_to(value, out);
        }
        out.push('}');
    };
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(truth) => out.push_str(&truth.to_string()),
        Value::Number(Number::Text(text)) => out.push_str(text),
        Value::Number(Number::Int(number)) => out.push_str(&number.to_string()),
        Value::Number(Number::Float(number)) => out.push_str(&number.to_string()),
        Value::String(text) => out.push_str(&serde_json::Value::from(text.as_str()).to_string()),
        Value::Array(list) => {
            out.push('[');
            for (position, value) in list.iter().enumerate() {
                out.push_str(if position > 0 { "," } else { "" });
                write_to(value, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            members(map.iter().map(|(key, value)| (key.as_str(), value)).collect(), out);
        }
        Value::Struct(list) => {
            members(list.iter().map(|(key, value)| (*key, value)).collect(), out);
        }
        Value::Typed(_) => write_to(value.shown(), out),
    }
}
