//! Tests: both walks say the same, and what Go's decoder says.

use super::{Kind, Recorder, ScanError, Scanned, exact, scan, scan_into};
use crate::json::document::{Bodies, Content, Member};
use crate::json::tests::Random;

type Noted = Vec<(String, String)>;

/// The result with the texts of all members.
fn noted(
    body: &[u8],
    members: &[Member],
    result: Result<Scanned, ScanError>,
) -> Result<(Kind, usize, usize, Noted), ScanError> {
    let scanned = result?;
    let bodies = Bodies::One(body);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let member = |member: &Member| match &member.content {
        Content::Raw(span) => (text(&member.key.text(bodies)), text(bodies.bytes(*span))),
        other => panic!("{other:?}"),
    };
    Ok((scanned.kind, scanned.start, scanned.end, members.iter().map(member).collect()))
}

fn by(
    walk: fn(&[u8], usize, &mut Recorder<'_>) -> Result<Scanned, ScanError>,
    body: &[u8],
) -> Result<(Kind, usize, usize, Noted), ScanError> {
    let mut members = Vec::new();
    let mut recorder = Recorder { body: 0, members: &mut members, seen: 0, has_repeats: false };
    let result = walk(body, 0, &mut recorder);
    recorder.finish(body);
    noted(body, &members, result)
}

fn message(body: &str) -> String {
    match scan(body.as_bytes(), 0, 0, &mut Vec::new()) {
        Ok((scanned, _)) => format!("{:?} {:?}", scanned.kind, &body[scanned.start..scanned.end]),
        Err(ScanError::Ended) => "ended".to_owned(),
        Err(ScanError::Syntax(error)) => error.to_string(),
    }
}

#[test]
fn both_walks_say_the_same_of_good_and_of_damaged_bodies() {
    for seed in 0..4_000 {
        let mut random = Random(seed);
        let text = if seed % 3 == 0 { random.value() } else { random.object() };
        let body = if seed % 4 == 0 { text.into_bytes() } else { random.damaged(&text) };
        assert_eq!(
            by(scan_into, &body),
            by(exact::scan, &body),
            "seed {seed}: {}",
            String::from_utf8_lossy(&body)
        );
    }
}

#[test]
fn tokens_across_the_border_of_a_block_are_seen_whole() {
    let pieces = [
        r#""a\"b""#,
        r#""\\\\""#,
        r#""\u00e9""#,
        "-12.5e+10",
        "true",
        "null",
        "[{}]",
        r#"{"k":"v"}"#,
        "\"é漢\"",
        r#""\ud83d\ude00""#,
    ];
    for piece in pieces {
        for shift in 0..130 {
            let body = format!(
                "{{\"pad\":\"{}\",\"key\" : {piece} , \"last\":[{piece},{piece}]}} tail",
                "x".repeat(shift)
            );
            let fast = by(scan_into, body.as_bytes());
            assert_eq!(fast, by(exact::scan, body.as_bytes()), "{body}");
            assert_eq!(fast.unwrap().3[1], ("key".to_owned(), piece.to_owned()), "{body}");
        }
    }
}

#[test]
fn a_damaged_byte_is_noticed_wherever_it_stands() {
    let body = format!(
        r#"{{"text":"{}","number":-12.50e3,"list":[1,2,{{"x":null,"y":true}}],"esc":"a\u00e9\n"}}"#,
        "lorem ipsum ".repeat(9)
    );
    assert!(scan(body.as_bytes(), 0, 0, &mut Vec::new()).is_ok());
    for at in 0..body.len() {
        let mut damaged = body.clone().into_bytes();
        damaged[at] = 0x01;
        assert!(scan(&damaged, 0, 0, &mut Vec::new()).is_err(), "a control character at {at}");
        assert!(scan(&body.as_bytes()[..at], 0, 0, &mut Vec::new()).is_err(), "cut at {at}");
    }
}

#[test]
fn errors_have_the_texts_of_gos_decoder() {
    let cases = [
        ("", "ended"),
        (" \n", "ended"),
        ("{", "ended"),
        ("{\"a\":1,", "ended"),
        ("[1.", "ended"),
        ("-", "ended"),
        ("tru", "ended"),
        ("\"a\\", "ended"),
        ("\u{feff}{}", "invalid character 'ï' looking for beginning of value"),
        ("<html>", "invalid character '<' looking for beginning of value"),
        ("[1,]", "invalid character ']' looking for beginning of value"),
        ("[,1]", "invalid character ',' looking for beginning of value"),
        ("[1 2]", "invalid character '2' after array element"),
        ("[01]", "invalid character '1' after array element"),
        ("[1:2]", "invalid character ':' after array element"),
        ("{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
        ("{'a':1}", r"invalid character '\'' looking for beginning of object key string"),
        ("{a:1}", "invalid character 'a' looking for beginning of object key string"),
        ("{\"a\" 1}", "invalid character '1' after object key"),
        ("{\"a\":1 /* c */}", "invalid character '/' after object key:value pair"),
        ("{\"a\":\"b\"x}", "invalid character 'x' after object key:value pair"),
        ("{\"a\":1]", "invalid character ']' after object key:value pair"),
        ("[1}", "invalid character '}' after array element"),
        ("{\"a\":NaN}", "invalid character 'N' looking for beginning of value"),
        ("{\"a\":nan}", "invalid character 'a' in literal null (expecting 'u')"),
        ("{\"a\":nul}", "invalid character '}' in literal null (expecting 'l')"),
        ("[truE]", "invalid character 'E' in literal true (expecting 'e')"),
        ("[tRue]", "invalid character 'R' in literal true (expecting 'r')"),
        ("[fals]", "invalid character ']' in literal false (expecting 'e')"),
        ("[+1]", "invalid character '+' looking for beginning of value"),
        ("[.5]", "invalid character '.' looking for beginning of value"),
        ("[-x]", "invalid character 'x' in numeric literal"),
        ("[1.x]", "invalid character 'x' after decimal point in numeric literal"),
        ("[1e]", "invalid character ']' in exponent of numeric literal"),
        ("[1e+]", "invalid character ']' in exponent of numeric literal"),
        ("[0x10]", "invalid character 'x' after array element"),
        ("[\"a\nb\"]", r"invalid character '\n' in string literal"),
        ("[\"\u{1}\"]", r"invalid character '\x01' in string literal"),
        ("[\"\\x\"]", "invalid character 'x' in string escape code"),
        ("[\"\\u12g4\"]", r"invalid character 'g' in \u hexadecimal character escape"),
        ("[\"\\u12\"]", r#"invalid character '"' in \u hexadecimal character escape"#),
    ];
    for (body, text) in cases {
        assert_eq!(message(body), text, "{body}");
    }
}

#[test]
fn the_first_value_counts_and_what_follows_is_not_read() {
    let cases = [
        (r#"{"a":1} words"#, r#"Object "{\"a\":1}""#),
        ("{}{}", r#"Object "{}""#),
        ("[1]]", r#"Array "[1]""#),
        ("\n\t [1] \"\u{1}", r#"Array "[1]""#),
        ("01", r#"Number "0""#),
        ("truex", r#"Bool "true""#),
        ("null", r#"Null "null""#),
        ("\"s\" \\", r#"String "\"s\"""#),
        ("-1.5e3abc", r#"Number "-1.5e3""#),
    ];
    for (body, found) in cases {
        assert_eq!(message(body), found, "{body}");
    }
}

#[test]
fn nesting_is_allowed_up_to_ten_thousand_levels() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(message(&nested(10_000)).starts_with("Array"));
    assert_eq!(message(&nested(10_001)), "invalid character '[' exceeded max depth");
    assert_eq!(message(&"{\"a\":".repeat(100_000)), "invalid character '{' exceeded max depth");
    for depth in [63, 64, 65, 66] {
        assert!(message(&nested(depth)).starts_with("Array"));
        let body = format!("{{\"k\":{},\"l\":1}}", nested(depth));
        assert_eq!(by(scan_into, body.as_bytes()), by(exact::scan, body.as_bytes()));
    }
}

#[test]
fn of_equal_keys_the_last_wins_however_many_there_are_and_however_they_are_spelled() {
    let members = |body: &str| by(scan_into, body.as_bytes()).unwrap().3;
    assert_eq!(members(r#"{"k":1,"j":0,"k":2,"K":3}"#).len(), 3);
    assert!(members(r#"{"k":1,"j":0,"k":2,"K":3}"#).contains(&("k".to_owned(), "2".to_owned())));
    assert_eq!(members(r#"{"a":1,"\u0061":[2]}"#), [("a".to_owned(), "[2]".to_owned())]);
    let many: Vec<_> = (0..500).map(|i| format!("\"key{}\":{i}", i % 100)).collect();
    let noted = members(&format!("{{{}}}", many.join(",")));
    let wanted: Noted = (400..500).map(|i| (format!("key{}", i % 100), i.to_string())).collect();
    assert_eq!(noted, wanted);
}
