use super::*;

fn fails(text: &str) -> String {
    let error = read(text.as_bytes()).expect_err("the text is wrong");
    format!("{}:{} {}", error.line, error.column, error.what)
}

fn value(text: &str) -> serde_json::Value {
    read(text.as_bytes()).expect("the text is right").to_json()
}

#[test]
fn errors_have_gos_text_and_a_position() {
    for (text, expected) in [
        ("", "1:1 unexpected end of JSON input"),
        ("{\"a\": [", "1:8 unexpected end of JSON input"),
        ("{\n  \"a\": 3\n  \"b\": []\n}", "3:3 invalid character '\"' after object key:value pair"),
        ("{\"a\": 1,}", "1:9 invalid character '}' looking for beginning of object key string"),
        ("{'a': 1}", "1:2 invalid character '\\'' looking for beginning of object key string"),
        ("{\n// x\n}", "2:1 invalid character '/' looking for beginning of object key string"),
        ("[1 2]", "1:4 invalid character '2' after array element"),
        ("[1,]", "1:4 invalid character ']' looking for beginning of value"),
        ("{} x", "1:4 invalid character 'x' after top-level value"),
        ("{\"a\" 1}", "1:6 invalid character '1' after object key"),
        ("[trux]", "1:5 invalid character 'x' in literal true (expecting 'e')"),
        ("[01]", "1:3 invalid character '1' after array element"),
        ("[-a]", "1:3 invalid character 'a' in numeric literal"),
        ("[1.a]", "1:4 invalid character 'a' after decimal point in numeric literal"),
        ("[1e]", "1:4 invalid character ']' in exponent of numeric literal"),
        ("[\"a\nb\"]", "1:4 invalid character '\\n' in string literal"),
        ("[\"\\x\"]", "1:4 invalid character 'x' in string escape code"),
        ("[\"\\u00g0\"]", "1:7 invalid character 'g' in \\u hexadecimal character escape"),
        ("[1e999]", "1:2 json: cannot unmarshal number 1e999 into Go value of type float64"),
        ("version: 3", "1:1 invalid character 'v' looking for beginning of value"),
    ] {
        assert_eq!(fails(text), expected, "{text}");
    }
}

#[test]
fn an_unclosed_brace_is_shown_where_it_was_opened() {
    let error = read(b"{\n \"a\": {").expect_err("unclosed");
    assert_eq!(error.hint.as_deref(), Some("the { of line 2, column 7 is never closed"));
}

#[test]
fn numbers_are_what_a_float64_keeps() {
    assert_eq!(value("12345678901234567890"), serde_json::json!(1.234_567_890_123_456_7e19));
    assert_eq!(value("9007199254740993").to_string(), "9007199254740992.0");
    assert_eq!(value("3").to_string(), "3");
    assert_eq!(value("-0").to_string(), "-0.0");
    assert_eq!(value("2.50").to_string(), "2.5");
}

#[test]
fn strings_are_decoded_and_made_valid() {
    assert_eq!(value(r#""\u00e9\ud83d\ude00\ud800x\n\/""#), "é😀\u{FFFD}x\n/");
    assert_eq!(read(b"\"a\xff\xfeb\"").expect("lossy").to_json(), "a\u{FFFD}\u{FFFD}b");
}

#[test]
fn of_duplicated_keys_the_last_counts() {
    assert_eq!(value(r#"{"a": {"x": 1}, "a": {"y": 2}}"#), serde_json::json!({"a": {"y": 2}}));
}

#[test]
fn nesting_is_bounded() {
    let text = "[".repeat(100_000);
    assert_eq!(fails(&text), "1:513 exceeded max depth");
}

#[test]
fn keys_and_values_know_their_positions() {
    let root = read(b"{\n  \"a\": [10,\n    20]}").expect("right");
    let NodeValue::Map(entries) = &root.value else { panic!("an object") };
    assert_eq!((entries[0].line, entries[0].column), (2, 3));
    assert_eq!((entries[0].value.line, entries[0].value.column), (2, 8));
    let twenty = entries[0].value.child("1").expect("second entry");
    assert_eq!((twenty.line, twenty.column), (3, 5));
}
