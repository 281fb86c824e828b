//! Tests: what each encoding makes of a body.

use super::*;
use crate::json::tests::{decoded, written};

fn outcome(decoder: Decoder, body: impl AsRef<[u8]>) -> String {
    match decoder.decode(body.as_ref().to_vec(), false) {
        Ok(document) => written(&document),
        Err(error) => error.to_string(),
    }
}

fn cut(decoder: Decoder, body: &str) -> String {
    match decoder.decode(body.into(), true) {
        Ok(document) => written(&document),
        Err(error) => error.to_string(),
    }
}

#[test]
fn names_are_the_same_in_any_case_and_an_unknown_one_is_json() {
    let cases = [
        ("json", Decoder::Json),
        ("JSON", Decoder::Json),
        ("", Decoder::Json),
        ("fast-json", Decoder::Json),
        ("SafeJSON", Decoder::Safe),
        ("String", Decoder::Text),
        ("xml", Decoder::Xml),
        ("RSS", Decoder::Rss),
        ("NO-OP", Decoder::NoOp),
    ];
    for (name, decoder) in cases {
        assert_eq!(Decoder::named(name, false), decoder, "{name}");
    }
    assert_eq!(Decoder::named("bogus", true), Decoder::JsonCollection);
    assert_eq!(Decoder::named("xml", true), Decoder::XmlCollection);
    assert_eq!(Decoder::named("safejson", true), Decoder::Safe);
}

#[test]
fn json_wants_an_object_or_null() {
    let json = |body: &str| outcome(Decoder::Json, body);
    assert_eq!(json(r#" {"a": 1.50} rubbish"#), r#"{"a": 1.50}"#);
    assert_eq!(json("null"), "null");
    assert!(decoded("null").is_null());
    assert_eq!(
        json("[1]"),
        "json: cannot unmarshal array into Go value of type map[string]interface {}"
    );
    assert_eq!(
        json("\"s\""),
        "json: cannot unmarshal string into Go value of type map[string]interface {}"
    );
    assert_eq!(
        json("5"),
        "json: cannot unmarshal number into Go value of type map[string]interface {}"
    );
    assert_eq!(
        json("true"),
        "json: cannot unmarshal bool into Go value of type map[string]interface {}"
    );
    assert_eq!(json(""), "EOF");
    assert_eq!(json(" \n"), "EOF");
    assert_eq!(json("{"), "unexpected EOF");
    assert_eq!(json("\u{feff}{}"), "invalid character 'ï' looking for beginning of value");
}

#[test]
fn a_collection_wants_a_list_or_null() {
    let list = |body: &str| outcome(Decoder::JsonCollection, body);
    assert_eq!(list("[1.0,2] [3]"), r#"{"collection":[1.0,2]}"#);
    assert_eq!(list("null"), r#"{"collection":null}"#);
    assert_eq!(list("{}"), "json: cannot unmarshal object into Go value of type []interface {}");
}

#[test]
fn safejson_takes_any_value() {
    let safe = |body: &str| outcome(Decoder::Safe, body);
    assert_eq!(safe(r#"{"a":1}"#), r#"{"a":1}"#);
    assert_eq!(safe("[1]"), r#"{"collection":[1]}"#);
    assert_eq!(safe("1.50"), r#"{"content":1.50}"#);
    assert_eq!(safe("null"), r#"{"content":null}"#);
    assert_eq!(safe("\"x\\n\""), r#"{"content":"x\n"}"#);
}

#[test]
fn text_is_taken_as_it_is() {
    assert_eq!(outcome(Decoder::Text, "plain\n\"t\""), r#"{"content":"plain\n\"t\""}"#);
    assert_eq!(outcome(Decoder::Text, ""), r#"{"content":""}"#);
    assert_eq!(outcome(Decoder::Text, b"a\xe9b"), "{\"content\":\"a\u{fffd}b\"}");
}

#[test]
fn no_op_reads_nothing() {
    assert_eq!(outcome(Decoder::NoOp, "not json"), "{}");
    assert!(!Decoder::NoOp.decode(Vec::new(), true).unwrap().is_null());
}

#[test]
fn a_value_that_is_complete_before_the_body_breaks_off_counts() {
    assert_eq!(cut(Decoder::Json, r#"{"a":1}"#), r#"{"a":1}"#);
    assert_eq!(cut(Decoder::Json, r#"{"a":1,"#), "unexpected EOF");
    assert_eq!(cut(Decoder::Json, "  "), "unexpected EOF");
    assert_eq!(
        cut(Decoder::Json, r#"{"a":x"#),
        "invalid character 'x' looking for beginning of value"
    );
    assert_eq!(cut(Decoder::Safe, "12"), "unexpected EOF");
    assert_eq!(cut(Decoder::Safe, "12 "), r#"{"content":12}"#);
    assert_eq!(cut(Decoder::Safe, "\"s\""), "unexpected EOF");
    assert_eq!(cut(Decoder::Text, "abc"), "unexpected EOF");
    assert_eq!(cut(Decoder::Rss, "<rss/>"), "unexpected EOF");
}

#[test]
fn bytes_that_are_not_utf8_and_lone_surrogates_become_the_replacement_character() {
    assert_eq!(
        outcome(Decoder::Json, b"{\"a\":\"\xe9\",\"b\\ud800\":\"\\udc00x\"} \xff"),
        "{\"a\":\"\u{fffd}\",\"b\u{fffd}\":\"\u{fffd}x\"}"
    );
    assert_eq!(outcome(Decoder::Json, br#"{"a":"\ud83d\ude00"}"#), r#"{"a":"\ud83d\ude00"}"#);
    // Two keys that only differ in bad bytes become one.
    assert_eq!(outcome(Decoder::Json, b"{\"\xe9\":1,\"\xe8\":2}"), "{\"\u{fffd}\":2}");
}

#[test]
fn a_body_nested_too_deeply_is_refused_cleanly_and_a_deep_one_survives_a_tree() {
    assert_eq!(
        outcome(Decoder::Json, "{\"a\":".repeat(100_000)),
        "invalid character '{' exceeded max depth"
    );
    let deep = "{\"a\":".repeat(9_999) + "[]" + &"}".repeat(9_999);
    assert_eq!(written(&Document::from_map(decoded(&deep).to_map())), deep);
}

#[test]
fn what_follows_a_document_is_refused_only_where_the_rules_say_so() {
    let strict = JsonRules { refuses_trailing: true, ..JsonRules::default() };
    let by =
        |rules, decoder: Decoder, body: &str| match decoder.decode_by(rules, body.into(), false) {
            Ok(document) => written(&document),
            Err(error) => {
                assert!(error.is_trailing());
                error.to_string()
            }
        };
    // As JSONTestSuite has them.
    let cases = [
        (Decoder::JsonCollection, "[1],", ","),
        (Decoder::JsonCollection, "[\"x\"]]", "]"),
        (Decoder::JsonCollection, "[1]x", "x"),
        (Decoder::JsonCollection, "[][]", "["),
        (Decoder::Json, "{\"a\":\"b\"}/**/", "/"),
        (Decoder::Json, "{\"a\":\"b\"}#", "#"),
        (Decoder::Json, "{\"a\":\"b\"}#{}", "#"),
        (Decoder::Json, "{}}", "}"),
        (Decoder::Json, "{\"a\": true} \"x\"", "\""),
        (Decoder::Safe, "2@", "@"),
        (Decoder::Safe, "\"s\" 1", "1"),
        (Decoder::Safe, "null,", ","),
        (Decoder::Json, "{\"a\":1}\u{0}", "\u{0}"),
    ];
    for (decoder, body, _) in cases {
        assert!(!by(JsonRules::default(), decoder, body).contains("after top-level"), "{body}");
        let said = by(strict, decoder, body);
        assert!(said.ends_with("after top-level value"), "{body}: {said}");
    }
    assert_eq!(
        by(strict, Decoder::Json, "{\"a\":1}x"),
        "invalid character 'x' after top-level value"
    );
    for blanks in ["", "\n", " \t\r\n  "] {
        assert_eq!(by(strict, Decoder::Json, &format!("{{\"a\":1}}{blanks}")), "{\"a\":1}");
        assert_eq!(by(strict, Decoder::Safe, &format!("12{blanks}")), "{\"content\":12}");
    }
    // Wide characters are mended first; what follows counts all the same.
    let mut body = b"{\"a\":\"\xe9\"}".to_vec();
    assert!(Decoder::Json.decode_by(strict, body.clone(), false).is_ok());
    body.push(b'x');
    assert!(Decoder::Json.decode_by(strict, body, false).is_err());
}

#[test]
fn the_depth_that_the_rules_allow_is_read_and_one_more_is_not() {
    let rules = JsonRules { depth_max: 5, ..JsonRules::default() };
    let nested =
        |depth: usize| format!("{}{}", "{\"a\":".repeat(depth - 1) + "{}", "}".repeat(depth - 1));
    assert!(Decoder::Json.decode_by(rules, nested(5).into(), false).is_ok());
    let error = Decoder::Json.decode_by(rules, nested(6).into(), false).unwrap_err();
    assert!(error.is_too_deep());
    assert_eq!(error.to_string(), "invalid character '{' exceeded max depth");
}
