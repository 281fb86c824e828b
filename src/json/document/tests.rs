//! Tests: what a document holds and how it is written.

use super::*;
use crate::json::Number;
use crate::json::tests::{decoded, meaning, written};

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

#[test]
fn an_untouched_document_is_written_as_it_came() {
    let body = "{ \"b\" : [1, 2.50],\n\t\"a\\u0041\":{\"k\":1,\"k\":2} }";
    assert_eq!(written(&decoded(&format!("  {body} trailing"))), body);
}

#[test]
fn repeated_keys_are_written_once() {
    assert_eq!(written(&decoded(r#"{"k":1,"k":2,"K":3}"#)), r#"{"k":2,"K":3}"#);
}

#[test]
fn null_is_not_the_same_as_an_object_without_members() {
    assert_eq!(
        (written(&Document::null()), written(&Document::empty())),
        ("null".to_owned(), "{}".to_owned())
    );
    assert!(Document::null().is_null() && Document::null().is_empty());
    assert!(!Document::empty().is_null() && Document::empty().is_empty());
    assert!(Document::null().to_map().is_empty());
    assert_eq!(written(&decoded(" { } ")), "{ }");
}

#[test]
fn values_are_found_by_their_decoded_key() {
    let document = decoded(r#"{"\u0061":1.50,"b":{"x":[true]},"c":"d\n"}"#);
    assert_eq!(document.get("a"), Some(Value::Number(Number::Text("1.50".into()))));
    assert_eq!(
        document.get("b"),
        Some(Value::Object(Map::from([("x".to_owned(), Value::Array(vec![Value::Bool(true)]))])))
    );
    assert_eq!(document.get("c"), Some(text("d\n")));
    assert_eq!(document.get("x"), None);
    let mut out = Vec::new();
    assert!(document.write_member("b", &mut out) && !document.write_member("z", &mut out));
    assert_eq!(out, br#"{"x":[true]}"#);
}

#[test]
fn setting_replaces_and_adds() {
    let mut document = decoded(r#"{"a":{"b":1},"c":2}"#);
    document.set("a", text("new"));
    document.set(
        "quote\"",
        Value::Struct(vec![("z", Value::Null), ("y", Value::Number(Number::Int(4)))]),
    );
    assert_eq!(written(&document), r#"{"a":"new","c":2,"quote\"":{"z":null,"y":4}}"#);
    assert_eq!(
        document.get("quote\""),
        Some(Value::Struct(vec![("z", Value::Null), ("y", Value::Number(Number::Int(4)))]))
    );
    let mut null = Document::null();
    null.set("k", Value::Null);
    assert_eq!(written(&null), r#"{"k":null}"#);
}

#[test]
fn the_later_document_wins_whole_and_null_adds_nothing() {
    let mut merged = decoded(r#"{"a":{"x":1},"b":1}"#);
    merged.merge(decoded(r#"{"c":[],"a":{"y":2}}"#));
    merged.merge(Document::null());
    merged.merge(Document::empty());
    assert_eq!(meaning(&written(&merged)), meaning(r#"{"a":{"y":2},"b":1,"c":[]}"#));
    let mut null = Document::null();
    null.merge(decoded(r#"{"a":1}"#));
    assert_eq!(written(&null), r#"{"a":1}"#);
    let mut nothing = Document::null();
    nothing.merge(Document::null());
    assert_eq!(written(&nothing), "{}");
}

#[test]
fn documents_of_many_members_are_merged_as_well() {
    let object = |keys: std::ops::Range<usize>, value: &str| {
        format!("{{{}}}", keys.map(|i| format!("\"k{i}\":{value}")).collect::<Vec<_>>().join(","))
    };
    let mut merged = decoded(&object(0..300, "1"));
    merged.merge(decoded(&object(200..500, "2")));
    assert_eq!(merged.len(), 500);
    assert_eq!(merged.get("k199"), Some(Value::Number(Number::Text("1".into()))));
    assert_eq!(merged.get("k200"), Some(Value::Number(Number::Text("2".into()))));
}

#[test]
fn merging_copies_no_body() {
    let mut merged = decoded(r#"{"a":1}"#);
    let later = decoded(r#"{"b":2}"#);
    let (first, second) = (merged.bodies[0].as_ptr(), later.bodies[0].as_ptr());
    merged.merge(later);
    let places: Vec<_> = merged.into_bodies().map(|body| body.as_ptr()).collect();
    assert_eq!(places, [first, second]);
}

#[test]
fn the_length_hint_is_near_the_length() {
    for body in [r#"{"a":1}"#, r#"{"a":1,"b":"xyz","a":2}"#, "null"] {
        let document = decoded(body);
        let (hint, length) = (document.json_len_hint(), written(&document).len());
        assert!(hint >= length && hint <= length + 16, "{body}: {hint} for {length}");
    }
}
