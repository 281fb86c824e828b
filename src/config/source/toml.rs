//! Reads TOML; dates become the text that they are written as.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use super::SyntaxError;
use super::lines::Lines;
use super::node::{Entry, Node, NodeValue, Number};

pub fn read(bytes: &[u8]) -> Result<Node, SyntaxError> {
    let lines = Lines::new(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        SyntaxError::new(lines.locate(error.valid_up_to()), "toml: invalid UTF-8")
    })?;
    let table = DeTable::parse(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        SyntaxError::new(lines.locate(offset), format!("toml: {}", error.message()))
    })?;
    Ok(Node::new((1, 1), object(table.get_ref(), &lines)))
}

// The reader bounds how deep tables and arrays are nested, so the recursion below is bounded, too.

/// In the order of the file: the reader sorts by name.
fn object(table: &DeTable<'_>, lines: &Lines<'_>) -> NodeValue {
    let mut members: Vec<_> = table.iter().collect();
    members.sort_by_key(|(key, _)| key.span().start);
    let entry = |(key, value): (&Spanned<Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
        let (line, column) = lines.locate(key.span().start);
        Entry { key: key.get_ref().to_string(), line, column, value: node(value, lines) }
    };
    NodeValue::Map(members.into_iter().map(entry).collect())
}

fn array(array: &DeArray<'_>, lines: &Lines<'_>) -> NodeValue {
    NodeValue::List(array.iter().map(|value| node(value, lines)).collect())
}

fn node(value: &Spanned<DeValue<'_>>, lines: &Lines<'_>) -> Node {
    let converted = match value.get_ref() {
        DeValue::String(text) => NodeValue::Text(text.to_string()),
        DeValue::Integer(integer) => NodeValue::Number(number(integer), "int64"),
        DeValue::Float(float) => NodeValue::Number(
            Number::Float(float.as_str().parse().unwrap_or(f64::INFINITY)),
            "float64",
        ),
        DeValue::Boolean(value) => NodeValue::Bool(*value),
        DeValue::Datetime(date) => NodeValue::Text(date.to_string()),
        DeValue::Array(list) => array(list, lines),
        DeValue::Table(table) => object(table, lines),
    };
    Node::new(lines.locate(value.span().start), converted)
}

fn number(integer: &DeInteger<'_>) -> Number {
    let (digits, radix) = (integer.as_str(), integer.radix());
    if let Ok(value) = i64::from_str_radix(digits, radix) {
        return Number::Int(value);
    }
    u64::from_str_radix(digits, radix).map_or(Number::Float(f64::INFINITY), Number::Uint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tables_keep_the_order_of_the_file() {
        let text =
            b"z = 1\n[b.c]\nx = [1, 2.5, \"t\", true]\n[[a]]\nn = 0x10\n[[a]]\nd = 2020-01-02\n";
        let value = read(text).expect("right").to_json();
        let expected = json!({"z": 1, "b": {"c": {"x": [1, 2.5, "t", true]}}, "a": [{"n": 16}, {"d": "2020-01-02"}]});
        assert_eq!(value.to_string(), expected.to_string());
    }

    #[test]
    fn mistakes_have_a_position() {
        let error = read(b"version = 3\nname = \n").expect_err("no value");
        assert_eq!((error.line, error.column), (2, 8));
        let error = read(b"version = 3\nversion = 3\n").expect_err("a duplicate");
        assert_eq!((error.line, error.column), (2, 1));
        assert!(error.what.contains("duplicate key"), "{}", error.what);
    }

    #[test]
    fn keys_and_values_know_their_positions() {
        let root = read(b"version = 3\n[[endpoints]]\nendpoint = \"/a\"\n").expect("right");
        let endpoint = root
            .child("endpoints")
            .and_then(|list| list.child("0"))
            .and_then(|e| e.child("endpoint"));
        assert_eq!(endpoint.map(|node| (node.line, node.column)), Some((3, 12)));
    }
}
