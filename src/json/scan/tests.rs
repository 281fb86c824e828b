//! Tests: both walks say the same, and what Go's decoder says.

#[cfg(target_arch = "x86_64")]
use super::x86::{self, Level};
use super::{DEPTH_MAX, Kind, Recorder, ScanError, Scanned, exact, scan, scan_into};
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
    let mut recorder = Recorder {
        body: 0,
        members: &mut members,
        seen: 0,
        has_repeats: false,
        depth_max: DEPTH_MAX,
    };
    let result = walk(body, 0, &mut recorder);
    recorder.finish(body);
    noted(body, &members, result)
}

/// What each way to walk says that this processor has.
#[cfg(target_arch = "x86_64")]
fn by_each_level(body: &[u8]) -> Vec<(Level, Option<(Kind, usize, usize, Noted)>)> {
    let highest = x86::look();
    let levels = [Level::Sse2, Level::Avx2, Level::Avx512].into_iter();
    levels
        .filter(|&level| level as u8 <= highest as u8)
        .map(|level| {
            let mut members = Vec::new();
            let mut recorder = Recorder {
                body: 0,
                members: &mut members,
                seen: 0,
                has_repeats: false,
                depth_max: DEPTH_MAX,
            };
            // SAFETY: the processor has the highest level, and those below.
            let scanned = unsafe { x86::scan_at(level, body, 0, &mut recorder) };
            recorder.finish(body);
            let found = scanned.map(|scanned| noted(body, &members, Ok(scanned)).unwrap());
            (level, found)
        })
        .collect()
}

/// Holds every level to the walk that goes byte by byte. A level may be in doubt of good bodies only if they are nested
/// deeply or no container at all.
#[cfg(target_arch = "x86_64")]
fn assert_levels_agree(body: &[u8], what: &str) {
    let wanted = by(exact::scan, body).ok();
    let wanted = wanted.filter(|(kind, ..)| matches!(kind, Kind::Object | Kind::Array));
    for (level, found) in by_each_level(body) {
        assert_eq!(found, wanted, "{level:?}, {what}: {}", String::from_utf8_lossy(body));
    }
}

fn message(body: &str) -> String {
    match scan(body.as_bytes(), 0, 0, DEPTH_MAX, &mut Vec::new()) {
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
#[cfg(target_arch = "x86_64")]
fn every_level_says_the_same_of_good_and_of_damaged_bodies_wherever_they_begin() {
    for seed in 0..3_000 {
        let mut random = Random(seed ^ 0x5ca1_ab1e);
        let text = if seed % 3 == 0 { random.value() } else { random.object() };
        let mut body = " ".repeat(random.below(130)).into_bytes();
        if seed % 4 == 0 {
            body.extend_from_slice(text.as_bytes());
        } else {
            body.extend_from_slice(&random.damaged(&text));
        }
        assert_levels_agree(&body, &format!("seed {seed}"));
    }
}

/// Every string of a few tokens, at every offset from the border of a block.
#[test]
#[cfg(target_arch = "x86_64")]
fn every_level_knows_the_grammar() {
    let tokens = [
        "{", "}", "[", "]", ",", ":", "\"k\"", "1", "-", "0", ".5", "e1", "true", "false", "nul",
        "\\", " ", "\u{e9}",
    ];
    for seed in 0..15_000 {
        let mut random = Random(seed);
        let mut body = match seed % 3 {
            0 => "[".to_owned(),
            1 => "{\"a\":".to_owned(),
            _ => "[{\"a\":[".to_owned(),
        };
        if seed % 2 == 0 {
            body.insert_str(1, &" ".repeat(random.below(70)));
        }
        for _ in 0..random.below(7) {
            body.push_str(random.pick(&tokens));
        }
        body.push_str(["]", "}", "]}]", "", "]}] x"][random.below(5)]);
        assert_levels_agree(body.as_bytes(), &format!("seed {seed}"));
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn every_level_knows_numbers_words_and_escapes_at_every_offset() {
    let pieces = [
        "0",
        "-0",
        "01",
        "-01",
        "00",
        "1.5",
        "1.50.5",
        "1.",
        ".5",
        "-",
        "--1",
        "1-1",
        "1e5",
        "1E+05",
        "1e",
        "1e+",
        "1e5.5",
        "1e5e5",
        "12345678901234567890.12345678901234567890e-1234567890",
        "1+1",
        "+1",
        "1x",
        "x1",
        "true",
        "truex",
        "tru",
        "true1",
        "falsee",
        "false",
        "fals",
        "null",
        "nulll",
        "nul",
        "truefalse",
        "t",
        "-true",
        r#""\\""#,
        r#""\\\""#,
        r#""\x""#,
        r#""\u12e4""#,
        r#""\u12g4""#,
        r#""\u123""#,
        r#""\\u12g4""#,
        "\"\t\"",
        "\"\u{e9}\"",
        "\u{e9}",
    ];
    for piece in pieces {
        for offset in (0..70).chain(440..530) {
            let pad = "x".repeat(offset);
            assert_levels_agree(
                format!("[\"{pad}\",{piece},{piece}]").as_bytes(),
                "between commas",
            );
            if offset % 4 == 0 {
                assert_levels_agree(format!("{{\"{pad}\":{piece} }}").as_bytes(), "before a blank");
                assert_levels_agree(format!("[\"{pad}\",[{piece}").as_bytes(), "at the end");
            }
        }
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn every_level_is_right_about_every_length_and_cut() {
    let mut body = String::from("[");
    let mut random = Random(7);
    while body.len() < 700 {
        body.push_str(&random.value());
        body.push(',');
    }
    body.push_str("null]");
    for at in 0..=body.len() {
        assert_levels_agree(&body.as_bytes()[..at], "cut");
        if body.is_char_boundary(at) {
            let shorter = format!("[\"{}\"]", &"x".repeat(at));
            assert_levels_agree(shorter.as_bytes(), "length");
        }
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
    assert!(scan(body.as_bytes(), 0, 0, DEPTH_MAX, &mut Vec::new()).is_ok());
    for at in 0..body.len() {
        let mut damaged = body.clone().into_bytes();
        damaged[at] = 0x01;
        assert!(
            scan(&damaged, 0, 0, DEPTH_MAX, &mut Vec::new()).is_err(),
            "a control character at {at}"
        );
        assert!(
            scan(&body.as_bytes()[..at], 0, 0, DEPTH_MAX, &mut Vec::new()).is_err(),
            "cut at {at}"
        );
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

#[test]
fn a_lower_depth_is_kept_to_the_level_and_leaves_the_usual_bodies_to_the_fast_walk() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let wide = |depth: usize| format!("{{\"k\":[{}1],\"l\":{}}}", "{},".repeat(40), nested(depth));
    for depth_max in [1, 2, 15, 16, 17, 32, 48, 61, 62, 63, 64, 100, DEPTH_MAX] {
        let is_read = |body: &str| scan(body.as_bytes(), 0, 0, depth_max, &mut Vec::new());
        assert!(is_read(&nested(depth_max)).is_ok(), "{depth_max}");
        assert!(is_read(&nested(depth_max + 1)).is_err(), "{depth_max}");
        // One level is the object's, and two are taken beside the list.
        let deepest = depth_max.saturating_sub(1).max(2);
        assert_eq!(is_read(&wide(deepest)).is_ok(), depth_max >= 3, "{depth_max}");
        assert!(is_read(&wide(depth_max)).is_err(), "{depth_max}");
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_lower_depth_costs_shallow_bodies_nothing() {
    let body = format!("{{\"k\":[{}1]}}", "{\"a\":[1]},".repeat(400));
    let mut members = Vec::new();
    let mut recorder =
        Recorder { body: 0, members: &mut members, seen: 0, has_repeats: false, depth_max: 32 };
    assert!(x86::scan(body.as_bytes(), 0, &mut recorder).is_some());
}
