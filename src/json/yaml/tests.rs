//! How trees are written as YAML, rule by rule.

use super::encode;
use crate::json::{Map, Number, Value};

fn text(text: &str) -> Value {
    Value::String(text.into())
}

fn number(text: &str) -> Value {
    Value::Number(Number::Text(text.into()))
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(map(members))
}

fn map<const N: usize>(members: [(&str, Value); N]) -> Map {
    members.map(|(key, value)| (key.to_owned(), value)).into_iter().collect()
}

fn written<const N: usize>(members: [(&str, Value); N]) -> String {
    let mut out = Vec::new();
    encode(Some(&map(members)), &mut out);
    String::from_utf8(out).expect("text")
}

#[test]
fn nothing_is_an_empty_mapping() {
    let mut out = Vec::new();
    encode(None, &mut out);
    assert_eq!(out, b"{}\n");
    assert_eq!(written([]), "{}\n");
}

#[test]
fn numbers_of_a_body_are_quoted_when_they_look_like_numbers_to_the_writer() {
    let values =
        [("a", number("1")), ("b", number("1.50")), ("c", number("-0.0")), ("d", number("1e2"))];
    assert_eq!(written(values), "a: \"1\"\nb: \"1.50\"\nc: \"-0.0\"\nd: 1e2\n");
    let huge = number("12345678901234567890123");
    assert_eq!(
        written([("a", huge), ("b", number("1.5e400"))]),
        "a: \"12345678901234567890123\"\nb: \"1.5e400\"\n"
    );
}

#[test]
fn numbers_of_the_configuration_are_floats_and_the_gateways_own_are_integers() {
    let float = |number| Value::Number(Number::Float(number));
    let values = [
        ("a", float(1.0)),
        ("b", float(1.5)),
        ("c", float(1e21)),
        ("d", Value::Number(Number::Int(404))),
    ];
    assert_eq!(written(values), "a: 1.0\nb: 1.5\nc: 1e+21\nd: 404\n");
}

#[test]
fn keys_that_could_be_taken_for_something_else_are_quoted() {
    let values = [
        ("n", text("v")),
        ("y", text("v")),
        ("123", text("v")),
        ("null", text("v")),
        ("", text("v")),
    ];
    assert_eq!(written(values), "\"\": v\n\"123\": v\n\"n\": v\n\"null\": v\n\"y\": v\n");
}

#[test]
fn lists_are_not_indented_below_their_key_but_mappings_are() {
    let list =
        Value::Array(vec![object([("i", text("a")), ("j", text("b"))]), Value::Null, text("c")]);
    let tree = object([("l", list), ("m", object([("k", Value::Bool(true))]))]);
    assert_eq!(
        written([("t", tree)]),
        "t:\n  l:\n  - i: a\n    j: b\n  - null\n  - c\n  m:\n    k: true\n"
    );
}

#[test]
fn lists_of_lists_share_a_line_and_empty_ones_are_written_in_place() {
    let inner = Value::Array(vec![text("a"), Value::Array(vec![text("b"), text("c")])]);
    let list = Value::Array(vec![inner, Value::Array(vec![]), object([])]);
    assert_eq!(
        written([("l", list), ("e", object([]))]),
        "e: {}\nl:\n- - a\n  - - b\n    - c\n- []\n- {}\n"
    );
}

#[test]
fn texts_are_quoted_where_another_reader_would_stumble() {
    for (value, wanted) in [
        ("plain words", "plain words"),
        ("text: yes", "\"text: yes\""),
        ("a:b", "a:b"),
        ("ends:", "\"ends:\""),
        ("a - b", "\"a - b\""),
        ("a #b", "\"a #b\""),
        ("#", "\"#\""),
        ("yes", "\"yes\""),
        ("2001-12-14", "\"2001-12-14\""),
        ("2001-12-14T21:59:43Z", "\"2001-12-14T21:59:43Z\""),
        ("12:30", "\"12:30\""),
        ("1:2:3", "1:2:3"),
        ("0x1f", "\"0x1f\""),
        ("08", "08"),
        ("{a", "\"{a\""),
        ("x<y", "x<y"),
        ("<a>", "<a>"),
        (" a", "\" a\""),
        ("", "\"\""),
        ("back\\slash", "\"back\\\\slash\""),
        ("a\tb", "a\tb"),
        ("#\u{1}\t\u{7f}\u{85}\u{feff}é", "\"#\\x01\\t\\x7f\\u0085\\ufeffé\""),
    ] {
        assert_eq!(written([("k", text(value))]), format!("k: {wanted}\n"));
    }
}

#[test]
fn texts_of_several_lines_are_literal_blocks() {
    assert_eq!(written([("k", text("a\nb"))]), "k: |-\n  a\n  b\n");
    assert_eq!(written([("k", text("a\n\nb\n"))]), "k: |\n  a\n  \n  b\n");
    assert_eq!(written([("k", text("a\n\n")), ("l", text("x"))]), "k: |+\n  a\n\nl: x\n");
    let list = Value::Array(vec![text("a\n\nb"), object([("m", text("c\nd"))])]);
    assert_eq!(written([("k", list)]), "k:\n- |-\n  a\n\n  b\n- m: |-\n    c\n    d\n");
}

#[test]
fn the_details_of_a_failed_backend_stand_one_level_deeper() {
    let details = Value::Struct(vec![
        ("http_status_code", Value::Number(Number::Int(500))),
        ("http_body", text("no")),
        ("http_body_encoding", text("text/plain")),
    ]);
    assert_eq!(
        written([("error_x", details)]),
        "error_x:\n  httpresponseerror:\n    http_status_code: 500\n    http_body: \"no\"\n    http_body_encoding: text/plain\n"
    );
}

#[test]
fn a_feeds_parsed_moments_are_no_texts() {
    let item = Value::Struct(vec![
        ("published", text("2023-01-03")),
        ("publishedParsed", text("2023-01-03T00:00:00Z")),
    ]);
    assert_eq!(
        written([("items", Value::Array(vec![item]))]),
        "items:\n- published: \"2023-01-03\"\n  publishedParsed: 2023-01-03T00:00:00Z\n"
    );
}

#[test]
fn a_deep_tree_is_written_whole() {
    let mut value = text("x");
    for _ in 0..500 {
        value = Value::Array(vec![object([("a", value)])]);
    }
    let lines = written([("a", value)]);
    assert!(lines.ends_with("a: x\n"));
}
