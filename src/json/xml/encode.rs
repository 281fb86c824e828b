//! Writes an answer as XML: one key that can be a root is the root, else the root is `<doc>`.
//!
//! The rules are those of mxj 2.7 (`Map.Xml`): keys with a hyphen are attributes, `#text` is the text, a list
//! repeats its element, nothing inside means `<x/>`. Names are written as they are, however unfit they are for
//! XML.

use crate::json::go_float;
use crate::json::{Map, Number, Value};

const ROOT: &str = "doc";

const TEXT: &str = "#text";

/// First member of the details of a failed backend, which the original writes as text.
const ERROR_STATUS: &str = "http_status_code";

/// What is still to be written: a tree of any depth needs no recursion.
enum Step<'v> {
    Element(&'v str, &'v Value),
    Map(&'v str, &'v Map),
    Close(&'v str),
}

/// Writes `data`, without data an empty root; nothing at all when an attribute is a list, a map or null, as
/// the original does.
pub fn encode(data: Option<&Map>, out: &mut Vec<u8>) {
    let none = Map::new();
    let data = data.unwrap_or(&none);
    let start = out.len();
    let mut steps = Vec::new();
    let mut entries = data.iter();
    steps.push(match (entries.next(), entries.next()) {
        (Some((key, value)), None) if !is_list_of_scalars(value) => Step::Element(key, value),
        _ => Step::Map(ROOT, data),
    });
    while let Some(step) = steps.pop() {
        let written = match step {
            Step::Element(name, value) => element(name, value, &mut steps, out),
            Step::Map(name, map) => {
                mapping(name, map.iter().map(|(key, value)| (key.as_str(), value)), &mut steps, out)
            }
            Step::Close(name) => {
                close(name, out);
                Some(())
            }
        };
        if written.is_none() {
            out.truncate(start);
            return;
        }
    }
}

/// Whether a list cannot stand for several roots, because an entry of it is no element.
fn is_list_of_scalars(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.iter().any(|entry| !matches!(entry, Value::Object(_))),
        _ => false,
    }
}

fn element<'v>(
    name: &'v str,
    value: &'v Value,
    steps: &mut Vec<Step<'v>>,
    out: &mut Vec<u8>,
) -> Option<()> {
    match value.shown() {
        Value::Object(map) => {
            return mapping(name, map.iter().map(|(key, value)| (key.as_str(), value)), steps, out);
        }
        Value::Struct(members) => match members.first() {
            Some((ERROR_STATUS, _)) => text_element(name, &escaped(&error_details(members)), out),
            _ => {
                return mapping(name, members.iter().map(|(key, value)| (*key, value)), steps, out);
            }
        },
        Value::Array(list) if list.is_empty() => text_element(name, "", out),
        Value::Array(list) => {
            steps.extend(list.iter().rev().map(|entry| Step::Element(name, entry)));
        }
        scalar => text_element(name, &scalar_text(scalar).unwrap_or_default(), out),
    }
    Some(())
}

fn mapping<'v>(
    name: &'v str,
    members: impl Iterator<Item = (&'v str, &'v Value)>,
    steps: &mut Vec<Step<'v>>,
    out: &mut Vec<u8>,
) -> Option<()> {
    open(name, out);
    let mut text = None;
    let mut children = Vec::new();
    for (key, value) in members {
        match key.strip_prefix('-') {
            Some(attribute) if !attribute.is_empty() => {
                let value = scalar_text(value).filter(|_| !matches!(value, Value::Null))?;
                out.push(b' ');
                out.extend_from_slice(attribute.as_bytes());
                out.extend_from_slice(b"=\"");
                out.extend_from_slice(value.as_bytes());
                out.push(b'"');
            }
            _ if key == TEXT => text = Some(value),
            _ => children.push(Step::Element(key, value)),
        }
    }
    if text.is_none() && children.is_empty() {
        out.extend_from_slice(b"/>");
        return Some(());
    }
    out.push(b'>');
    if let Some(text) = text {
        out.extend_from_slice(printed(text).as_bytes());
    }
    steps.push(Step::Close(name));
    steps.extend(children.into_iter().rev());
    Some(())
}

fn text_element(name: &str, text: &str, out: &mut Vec<u8>) {
    open(name, out);
    if text.is_empty() {
        out.extend_from_slice(b"/>");
        return;
    }
    out.push(b'>');
    out.extend_from_slice(text.as_bytes());
    close(name, out);
}

fn open(name: &str, out: &mut Vec<u8>) {
    out.push(b'<');
    out.extend_from_slice(name.as_bytes());
}

fn close(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"</");
    out.extend_from_slice(name.as_bytes());
    out.push(b'>');
}

/// A scalar as it stands between tags; null is nothing.
fn scalar_text(value: &Value) -> Option<String> {
    Some(match value.shown() {
        Value::Null => String::new(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(Number::Text(text)) => text.to_string(),
        Value::Number(Number::Float(number)) => go_float::shortest(*number),
        Value::Number(Number::Int(number)) => number.to_string(),
        Value::String(text) => escaped(text),
        Value::Array(_) | Value::Object(_) | Value::Struct(_) | Value::Typed(_) => return None,
    })
}

/// What stands under `#text`, which need not be a scalar: Go prints whatever it is, `map[k:1]`, `[1 2]`.
fn printed(value: &Value) -> String {
    enum Part<'v> {
        Value(&'v Value),
        Mark(&'static str),
        Key(&'v str),
    }
    if let (Some(text), false) = (scalar_text(value), matches!(value, Value::Null)) {
        return text;
    }
    let mut text = String::new();
    let mut parts = vec![Part::Value(value)];
    while let Some(part) = parts.pop() {
        match part {
            Part::Mark(mark) => text.push_str(mark),
            Part::Key(key) => text.push_str(key),
            Part::Value(Value::Null) => text.push_str("<nil>"),
            Part::Value(Value::String(string)) => text.push_str(string),
            Part::Value(Value::Array(list)) => {
                text.push('[');
                parts.push(Part::Mark("]"));
                for (position, entry) in list.iter().enumerate().rev() {
                    parts.push(Part::Value(entry));
                    parts.push(Part::Mark(if position > 0 { " " } else { "" }));
                }
            }
            Part::Value(Value::Object(map)) => {
                text.push_str("map[");
                parts.push(Part::Mark("]"));
                for (position, (key, entry)) in map.iter().enumerate().rev() {
                    parts.push(Part::Value(entry));
                    parts.push(Part::Mark(":"));
                    parts.push(Part::Key(key));
                    parts.push(Part::Mark(if position > 0 { " " } else { "" }));
                }
            }
            Part::Value(Value::Struct(members)) => {
                text.push('{');
                parts.push(Part::Mark("}"));
                for (position, (_, entry)) in members.iter().enumerate().rev() {
                    parts.push(Part::Value(entry));
                    parts.push(Part::Mark(if position > 0 { " " } else { "" }));
                }
            }
            Part::Value(Value::Typed(held)) => parts.push(Part::Value(held)),
            Part::Value(scalar) => text.push_str(&scalar_text(scalar).unwrap_or_default()),
        }
    }
    text
}

/// The details of a failed backend as `encoding/xml` writes their struct.
fn error_details(members: &[(&'static str, Value)]) -> String {
    let text = |name| match members.iter().find(|(key, _)| *key == name) {
        Some((_, Value::String(text))) => text.as_str(),
        _ => "",
    };
    let status = members.first().and_then(|(_, value)| scalar_text(value)).unwrap_or_default();
    format!(
        "<NamedHTTPResponseError><Code>{status}</Code><Msg>{}</Msg><Enc>{}</Enc></NamedHTTPResponseError>",
        escaped_by_number(text("http_body")),
        escaped_by_number(text("http_body_encoding")),
    )
}

/// mxj's escapes: by name.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// The escapes of `encoding/xml`: quotes and blanks by number, what is no character replaced.
fn escaped_by_number(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' => escaped.push_str("&#x9;"),
            '\n' => escaped.push_str("&#xA;"),
            '\r' => escaped.push_str("&#xD;"),
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => escaped.push(char::REPLACEMENT_CHARACTER),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
