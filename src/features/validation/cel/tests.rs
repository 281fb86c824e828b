//! Expressions from the block in the configuration to what becomes of a request.

use std::fmt::Write;

use super::expression::{BYTES_MAX, Expression, Fault};
use super::*;
use crate::config::{self, Problem, Severity};
use crate::json::{Decoder, JsonRules};

/// Reads a block at an endpoint.
fn read(block: &str) -> (Definition, Vec<Problem>) {
    let file = format!(
        r#"{{"version": 3, "endpoints": [{{"endpoint": "/item/{{id}}", "extra_config": {{"validation/cel": {block}}},
        "backend": [{{"host": ["http://up"], "url_pattern": "/v1/{{id}}"}}]}}]}}"#
    );
    let loaded = config::parse("krakend.json", file.as_bytes(), &[]).expect("a configuration");
    let extra = &loaded.service.endpoints[0].extra_config;
    Definition::read(extra.get("validation/cel").expect("a block"), "[ENDPOINT: /item/:id][CEL]")
}

fn block_of(expressions: &[&str]) -> String {
    let entries = expressions.iter().map(|text| serde_json::json!({"check_expr": text}));
    serde_json::Value::Array(entries.collect()).to_string()
}

/// Makes checks of an answer with this body.
fn judged(expressions: &[&str], body: &str) -> Result<(), usize> {
    let (definition, problems) = read(&block_of(expressions));
    assert_eq!(problems, []);
    let decoder = Decoder::named("json", false);
    let data = decoder.decode_by(JsonRules::default(), body.as_bytes().to_vec(), false);
    let answer = Answer::of_data(data.expect("JSON"), true);
    definition.after.make(None, |values| give_answer(values, &answer))
}

fn admitted(expression: &str, claims: &serde_json::Value) -> bool {
    let (definition, problems) = read(&block_of(&[expression]));
    assert_eq!(problems, []);
    let claims = Claims::new(claims.as_object().cloned().expect("an object"));
    OfClaims(Arc::new(definition)).admits(&claims, None)
}

#[test]
fn data_is_judged_with_the_types_of_the_original() {
    let body = r#"{"age": 30, "big": 9007199254740993, "name": "x", "ok": true, "none": null, "price": 1.50,
        "items": [{"id": 1, "tags": ["a"]}, {"id": 2, "tags": []}], "map": {"k": "v"}}"#;
    for (expression, expected) in [
        ("resp_data.age == '30'", true),
        ("resp_data.age == 30", false),
        ("type(resp_data.age) == string", true),
        ("resp_data.age >= 18", false),
        ("int(resp_data.age) >= 18", true),
        ("int(resp_data.big) == 9007199254740993", true),
        ("double(resp_data.price) == 1.5", true),
        ("int(resp_data.price) == 1", false),
        ("resp_data.none == null", true),
        ("resp_data.ok", true),
        ("resp_data.name", false),
        ("has(resp_data.missing)", false),
        ("!has(resp_data.missing)", true),
        ("resp_data.missing == 1", false),
        ("resp_data.missing == 1 || resp_data.ok", true),
        ("resp_data.ok || resp_data.missing == 1", true),
        ("!(resp_data.missing == 1 && !resp_data.ok)", true),
        ("resp_data.items.exists(i, i.id == '2')", true),
        ("resp_data.items.exists_one(i, 'a' in i.tags)", true),
        ("resp_data.items.map(i, int(i.id)) == [1, 2]", true),
        ("resp_data.items.filter(i, size(i.tags) > 0).size() == 1", true),
        ("resp_data.items.all(i, int(i.id) > 1)", false),
        ("'k' in resp_data.map && resp_data.map['k'].matches('^v$')", true),
        ("resp_data.name.matches('(')", false),
        ("int(resp_data.age) / 0 == 1", false),
        ("9223372036854775807 + int(resp_data.age) > 0", false),
        ("resp_completed && resp_metadata_status == 0", true),
        ("size(resp_metadata_headers) == 0", true),
        ("timestamp(now) > timestamp('2020-01-01T00:00:00Z') && resp_completed", true),
        ("resp_completed ? resp_data.name == 'x' : false", true),
        ("bool('true') == resp_completed", true),
        ("duration('1h') > duration('59m') && resp_completed", true),
        (
            "timestamp('2024-02-29T12:30:00Z').getMonth('America/New_York') == 1 && resp_completed",
            true,
        ),
    ] {
        assert_eq!(judged(&[expression], body).is_ok(), expected, "{expression}");
    }
}

#[test]
fn the_first_check_that_does_not_hold_is_named_by_its_place_in_its_list() {
    let checks = ["resp_completed", "resp_data.a == 'x'", "resp_data.b == 'x'"];
    assert_eq!(judged(&checks, r#"{"a": "x", "b": "x"}"#), Ok(()));
    assert_eq!(judged(&checks, r#"{"a": "x"}"#), Err(2));
    assert_eq!(judged(&checks, "{}"), Err(1));
}

#[test]
fn numbers_of_claims_are_doubles() {
    let claims =
        serde_json::json!({"level": 4, "roles": ["a"], "dept": {"name": "ops"}, "until": 1000});
    for (expression, expected) in [
        ("JWT.level >= 3.0", true),
        ("JWT.level == 4", true),
        ("JWT.level >= 5", false),
        ("type(JWT.level) == double", true),
        ("'a' in JWT.roles && JWT.dept.name == 'ops'", true),
        ("'b' in JWT.roles", false),
        ("JWT.missing == 'a'", false),
        ("timestamp(now) < timestamp(int(JWT.until))", false),
    ] {
        assert_eq!(admitted(expression, &claims), expected, "{expression}");
    }
}

#[test]
fn types_that_cannot_go_together_are_found_at_the_start() {
    for expression in [
        "req_method == 3",
        "req_method",
        "req_metod == 'GET'",
        "req_params.Id > 5",
        "req_headers['X'] == 'a'",
        "req_params.Id.name == 'a'",
        "req_method.upper() == 'GET'",
        "1 in req_params",
        "req_method + 1 == 'GET1'",
        "req_method.all(c, c == 'G')",
        "resp_metadata_status == '200'",
        "resp_metadata_status > 200.0",
        "size(resp_metadata_status) == 1",
        "!req_method",
        "['a'].map(x, x + req_method)[0] == 1",
        "req_params.Id == null",
        "request{a: 1}",
    ] {
        let compiled = Expression::compile(expression);
        let is_found = match &compiled {
            Ok(expression) => !expression.may_hold(),
            Err(fault) => matches!(fault, Fault::Types(_)),
        };
        assert!(is_found, "{expression}: {compiled:?}");
    }
    let wrong = Expression::compile("req_method == 3").expect_err("types");
    let told = "found no matching overload for '_==_' applied to '(string, int)'";
    assert_eq!(wrong.to_string(), told);
    for expression in [
        "resp_data.a == 3",
        "resp_data.a[0].b.c > 1 && JWT.x",
        "req_headers['X'][0] == 'a'",
        "req_querystring.all(k, k in ['a', 'b'])",
        "type(resp_data.t) == google.protobuf.Timestamp",
        "[] == [1] || req_params == {}",
        "dyn(req_method) == 3",
        "timestamp(now) - timestamp(now) < duration('1s')",
    ] {
        let compiled = Expression::compile(expression);
        assert!(compiled.as_ref().is_ok_and(Expression::may_hold), "{expression}: {compiled:?}");
    }
}

/// How many checks each list has, and what is told of the block.
fn outcome(block: &str) -> ([bool; 3], Vec<String>) {
    let (definition, problems) = read(block);
    let lists = [&definition.before, &definition.after, &definition.claims];
    assert!(problems.iter().all(|problem| problem.severity != Severity::Refuse));
    (
        lists.map(|list| !list.is_empty()),
        problems.iter().map(|problem| format!("{} {}", problem.place.path, problem.what)).collect(),
    )
}

#[test]
fn a_word_in_the_text_chooses_the_list() {
    let lists = |expressions: &[&str]| outcome(&block_of(expressions)).0;
    assert_eq!(lists(&["'required' == 'other'"]), [true, false, false]);
    assert_eq!(lists(&["resp_completed"]), [false, true, false]);
    assert_eq!(lists(&["JWT.sub == 'a'"]), [false, false, true]);
    assert_eq!(lists(&["JWT.sub == req_method"]), [true, false, true]);
    assert_eq!(lists(&["now == 'x'", "false"]), [false; 3]);
}

#[test]
fn what_cannot_be_used_is_told_and_falls_out_as_in_the_original() {
    let (lists, told) = outcome(&block_of(&["req_method == 'A' &&", "resp_completed", "JWT.a"]));
    assert_eq!(lists, [false, false, true]);
    assert!(told[0].contains("[0].check_expr the expression cannot be used: it does not parse"));
    let (lists, told) = outcome(&block_of(&["JWT.a ==", "req_method == 'A'"]));
    assert_eq!((lists, told.len()), ([true, false, false], 1));
    let (lists, told) = outcome(&block_of(&["req_method == 3", "req_method == 'A'"]));
    assert_eq!((lists, told.len()), ([true, false, false], 1));
    for block in [r#"{"check_expr": "req_method == 'A'"}"#, "5", r#"["req_method"]"#] {
        let (lists, told) = outcome(block);
        assert_eq!((lists, told.len()), ([false; 3], 1), "{block}");
    }
    let (lists, told) = outcome(r#"[{"check_expr": 3}, {"check_expr": "req_method == 'A'"}]"#);
    assert_eq!((lists, told.len()), ([false; 3], 1));
    let (lists, told) =
        outcome(r#"[{"Check_Expr": "req_method == 'A'", "mod_expr": "x", "chek": 1}]"#);
    assert_eq!((lists, told.len()), ([true, false, false], 2));
}

#[test]
fn checks_that_no_request_can_satisfy_are_told() {
    let told = |expression: &str| outcome(&block_of(&[expression])).1;
    assert!(told("size(req_method)")[0].contains("gives int"));
    assert!(told("JWT.sub == req_params.Id")[0].contains("req_params is not there each time"));
    assert!(told("timestamp(now).getHours() < 18")[0].contains("names none of"));
    assert!(told("1 == 2")[0].contains("names none of"));
    assert_eq!(told("true"), [""; 0]);
    assert_eq!(told("req_method == 'A'"), [""; 0]);
}

#[test]
fn loops_end_when_they_have_cost_enough() {
    let body = |count: usize| {
        let mut body = "{\"l\": [".to_owned();
        for number in 0..count {
            let _ = write!(body, "{}\"{number}\"", if number > 0 { "," } else { "" });
        }
        body + "]}"
    };
    let nested = ["resp_data.l.all(i, resp_data.l.all(j, j != 'x' || i != 'x'))"];
    assert_eq!(judged(&nested, &body(200)), Ok(()));
    assert_eq!(judged(&["resp_data.l.all(i, i != 'x')"], &body(100_000)), Ok(()));
    let began = std::time::Instant::now();
    for expression in [
        nested[0],
        "size(resp_data.l.map(i, resp_data.l)) > 0",
        "resp_data.l.all(i, 'x' in resp_data.l || true)",
        "resp_data.l.all(i, resp_data == resp_data)",
        "size(resp_data.l.map(i, [resp_data.l, {'a': resp_data}])) > 0",
    ] {
        assert_eq!(judged(&[expression], &body(50_000)), Err(0), "{expression}");
    }
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}

#[test]
fn no_text_of_a_request_can_do_harm() {
    let texts = [
        "",
        " ",
        "-",
        "+1",
        "1e999",
        "-1e999",
        "NaN",
        "Infinity",
        "9223372036854775808",
        "-9223372036854775808",
        "1h1h",
        "-9223372036854775808ns",
        "99999999999999999999h",
        "1.7976931348623157e308h",
        ".5s",
        "1",
        "s",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999999Z",
        "2024-02-30T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "2024-01-01T00:00:60Z",
        "2024-01-01T00:00:00+99:99",
        "America/New_York",
        "+25:00",
        "(",
        "[[:alpha:]",
        "é\u{0}",
        "a{1000}{1000}",
    ];
    for text in texts {
        let body = serde_json::json!({"t": text}).to_string();
        for expression in [
            "int(resp_data.t) == 1",
            "-int(resp_data.t) == 1",
            "uint(resp_data.t) == 1u",
            "double(resp_data.t) == 1.0",
            "int(double(resp_data.t)) == 1",
            "bool(resp_data.t)",
            "duration(resp_data.t) + duration(resp_data.t) > duration('1s')",
            "timestamp(0) + duration(resp_data.t) > timestamp(1)",
            "timestamp(resp_data.t) - duration('2540400h') > timestamp(0)",
            "timestamp(resp_data.t) - timestamp('0001-01-01T00:00:00Z') > duration('1s')",
            "timestamp(int(resp_data.t)) > timestamp(0)",
            "timestamp(0).getHours(resp_data.t) == 0",
            "'abc'.matches(resp_data.t)",
            "resp_data.t[0] == 'a'",
            "string(bytes(resp_data.t)) == resp_data.t",
            "[1, 2][int(resp_data.t)] == 1",
            "int(resp_data.t) % -1 == 0",
            "int(resp_data.t) / -1 == 0",
        ] {
            let _ = judged(&[expression], &body);
        }
    }
}

#[test]
fn expressions_are_as_long_and_deep_as_a_stack_bears() {
    let repeated = |text: &str, end: &str| {
        format!("{}{end}", text.repeat((BYTES_MAX - end.len()) / text.len()))
    };
    for text in [
        repeated("!", "resp_completed"),
        repeated("-", "1"),
        repeated("1+", "1 == size(resp_data)"),
        repeated("(", "resp"),
        repeated("[", "resp"),
        repeated("true?", "resp"),
        repeated("resp_completed?true:", "true"),
        format!("resp_data{}", ".a".repeat(2000)),
        format!("resp_data{}", ".map(a,a)".repeat(400)),
        format!("resp_data{}", "[0]".repeat(1000)),
    ] {
        let _ = Expression::compile(&text);
    }
    assert_eq!(Expression::compile(&" ".repeat(BYTES_MAX + 1)).err(), Some(Fault::TooLarge));
    let deep = format!("{}1 == 96 && resp_completed", "1+".repeat(95));
    assert_eq!(judged(&[&deep], "{}"), Ok(()));
    let deep = format!("size(resp_data{}) == 1", ".map(a, a)".repeat(45));
    assert_eq!(judged(&[&deep], "{\"a\": 1}"), Ok(()));
    let deep = format!("{}resp_completed{}", "[".repeat(40), "][0]".repeat(40));
    assert_eq!(judged(&[&deep], "{}"), Ok(()));
}
