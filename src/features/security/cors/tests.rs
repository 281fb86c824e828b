use serde_json::{Value, json};

use super::super::testing::{ask, inner, lines, problem, stage};
use super::*;

const PREFLIGHT: &str = "Access-Control-Request-Method";
const WANTED: &str = "Access-Control-Request-Headers";

/// The lines that CORS adds to a preflight.
#[track_caller]
fn preflight(block: &Value, headers: &[(&str, &str)]) -> (u16, Vec<String>) {
    let stage = stage(&Cors, block);
    let reply = ask(&*stage, "OPTIONS /", headers, inner(405));
    (reply.status, lines(&reply.headers))
}

fn is_allowed(block: &Value, headers: &[(&str, &str)]) -> bool {
    let (status, lines) = preflight(block, headers);
    assert_eq!(status, 204);
    assert!(lines[0].starts_with("Vary: Origin, Access-Control-Request-Method"));
    lines.iter().any(|line| line.starts_with("Access-Control-Allow-Origin: "))
}

#[test]
fn origins_are_compared_without_case_and_may_hold_one_star() {
    let block = json!({"allow_origins": ["https://App.test", "http://localhost:3000", "null",
        "https://*.wild.test", "chrome-extension://*"]});
    for (origin, expected) in [
        ("https://app.test", true),
        ("HTTPS://APP.TEST", true),
        ("https://app.test:443", false),
        ("https://app.test/", false),
        ("http://app.test", false),
        ("http://localhost:3000", true),
        ("http://localhost:30000", false),
        ("null", true),
        ("https://a.wild.test", true),
        ("https://a.b.wild.test", true),
        ("https://a/b.wild.test", true),
        ("https://.WILD.test", true),
        ("https://wild.test", false),
        ("https://a.wild.test.evil", false),
        ("xhttps://a.wild.test", false),
        ("chrome-extension://", true),
        ("chrome-extension://abc", true),
        ("", false),
    ] {
        let headers = [("Origin", origin), (PREFLIGHT, "GET")];
        assert_eq!(is_allowed(&block, &headers), expected, "{origin}");
    }
    assert!(!is_allowed(&block, &[(PREFLIGHT, "GET")]), "no origin");
}

#[test]
fn the_text_before_and_behind_a_star_do_not_overlap() {
    let block = json!({"allow_origins": ["https://aba*aba"]});
    assert!(!is_allowed(&block, &[("Origin", "https://aba"), (PREFLIGHT, "GET")]));
    assert!(is_allowed(&block, &[("Origin", "https://abaaba"), (PREFLIGHT, "GET")]));
}

#[test]
fn a_star_among_others_turns_all_on_and_the_answer_says_so() {
    let block = json!({"allow_origins": ["https://a.test", "*"]});
    let (_, lines) = preflight(&block, &[("Origin", "https://b.test"), (PREFLIGHT, "GET")]);
    assert!(lines.contains(&"Access-Control-Allow-Origin: *".to_owned()));
}

#[test]
fn methods_are_compared_with_case_and_options_is_always_allowed() {
    for (methods, asked, expected) in [
        (json!([]), "GET", true),
        (json!([]), "HEAD", true),
        (json!([]), "PUT", false),
        (json!([]), "get", false),
        (json!(["PUT"]), "PUT", true),
        (json!(["PUT"]), "GET", false),
        (json!(["put"]), "PUT", false),
        (json!(["PUT"]), "OPTIONS", true),
    ] {
        let block = json!({"allow_methods": methods});
        let headers = [("Origin", "https://a.test"), (PREFLIGHT, asked)];
        assert_eq!(is_allowed(&block, &headers), expected, "{methods} {asked}");
    }
}

#[test]
fn wanted_headers_must_be_listed_in_lower_case_and_in_order() {
    let block = json!({"allow_headers": ["X-Token", "Content-Type", "accept"]});
    let many_empty = ",".repeat(16);
    for (wanted, expected) in [
        (&["content-type"][..], true),
        (&["content-type,x-token"], true),
        (&["content-type , x-token"], true),
        (&["content-type,\tx-token"], true),
        (&["content-type,  x-token"], false),
        (&["x-token,content-type"], false),
        (&["x-token,x-token"], false),
        (&["X-Token"], false),
        (&["x-other"], false),
        (&["accept", "content-type", "x-token"], true),
        (&["x-token", "accept"], false),
        (&[""], true),
        (&["accept,,x-token"], true),
        (&["accept,  ,x-token"], true),
        (&["accept,   ,x-token"], false),
        (&[&many_empty[..15]], true),
        (&[&many_empty], false),
    ] {
        let mut headers = vec![("Origin", "https://a.test"), (PREFLIGHT, "GET")];
        headers.extend(wanted.iter().map(|list| (WANTED, *list)));
        assert_eq!(is_allowed(&block, &headers), expected, "{wanted:?}");
    }
    for all in [json!({}), json!({"allow_headers": ["x-a", "*"]})] {
        let headers = [("Origin", "https://a.test"), (PREFLIGHT, "GET"), (WANTED, "Z, a,a")];
        assert!(is_allowed(&all, &headers), "{all}");
    }
}

#[test]
fn a_preflight_is_answered_with_what_was_asked() {
    let block = json!({"allow_origins": ["https://a.test"], "allow_methods": ["PUT"], "max_age": "12h",
        "allow_credentials": true, "allow_private_network": true, "options_success_status": 200,
        "expose_headers": ["x-not-here"]});
    let headers = [
        ("Origin", "https://A.test"),
        (PREFLIGHT, "PUT"),
        (WANTED, "x-a,x-b"),
        (WANTED, "x-c"),
        ("Access-Control-Request-Private-Network", "true"),
    ];
    let (status, lines) = preflight(&block, &headers);
    assert_eq!(status, 200);
    assert_eq!(
        lines,
        [
            "Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers, \
             Access-Control-Request-Private-Network",
            "Access-Control-Allow-Origin: https://A.test",
            "Access-Control-Allow-Methods: PUT",
            "Access-Control-Allow-Headers: x-a,x-b",
            "Access-Control-Allow-Headers: x-c",
            "Access-Control-Allow-Credentials: true",
            "Access-Control-Allow-Private-Network: true",
            "Access-Control-Max-Age: 43200",
        ]
    );
}

#[test]
fn max_age_is_in_whole_seconds() {
    for (written, expected) in [
        ("0s", None),
        ("1500ms", Some("1")),
        ("999ms", None),
        ("-1s", Some("0")),
        ("-10ms", None),
        ("1h0m1s", Some("3601")),
    ] {
        let block = json!({"max_age": written});
        let (_, lines) = preflight(&block, &[("Origin", "https://a.test"), (PREFLIGHT, "GET")]);
        let said = lines.iter().find_map(|line| line.strip_prefix("Access-Control-Max-Age: "));
        assert_eq!(said, expected, "{written}");
    }
}

#[test]
fn every_other_answer_has_vary_and_allowed_ones_the_rest_before_all_that_is_there() {
    let block = json!({"allow_origins": ["https://a.test"], "allow_credentials": true,
        "expose_headers": ["x-total", "ETag", "not a name"]});
    let stage = stage(&Cors, &block);
    let all = [
        "Vary: Origin",
        "Access-Control-Allow-Origin: https://a.test",
        "Access-Control-Expose-Headers: X-Total, Etag, not a name",
        "Access-Control-Allow-Credentials: true",
        "X-Inner: 1",
    ];
    let bare = ["Vary: Origin", "X-Inner: 1"];
    for (line, origin, expected) in [
        ("GET /", "https://a.test", &all[..]),
        ("OPTIONS /", "https://a.test", &all),
        ("DELETE /", "https://a.test", &bare),
        ("GET /", "https://b.test", &bare),
        ("GET /", "", &bare),
    ] {
        let reply = ask(&*stage, line, &[("Origin", origin)], inner(404));
        assert_eq!(reply.status, 404);
        assert_eq!(lines(&reply.headers), expected, "{line} {origin}");
    }
}

#[test]
fn preflights_pass_on_where_the_block_says_so() {
    let block = json!({"options_passthrough": true});
    let (status, lines) = preflight(&block, &[("Origin", "https://a.test"), (PREFLIGHT, "GET")]);
    assert_eq!((status, lines.last().map(String::as_str)), (405, Some("X-Inner: 1")));
    assert!(lines.contains(&"Access-Control-Allow-Methods: GET".to_owned()));
}

#[test]
fn what_is_wrong_has_its_place_and_spoils_nothing_else() {
    for (block, path, what) in [
        (json!({"allow_origins": "https://a.test"}), "allow_origins", "no list"),
        (json!({"allow_methods": ["GET", 1]}), "allow_methods[1]", "no text"),
        (json!({"allow_credentials": "yes"}), "allow_credentials", "neither true nor false"),
        (json!({"max_age": "soon"}), "max_age", "invalid duration"),
        (json!({"options_success_status": 99}), "options_success_status", "no status"),
        (json!({"options_success_status": "200"}), "options_success_status", "no number"),
    ] {
        let problem = problem(&Cors, &block);
        assert!(problem.is_fatal(false) && !problem.is_fatal(true), "{problem}");
        assert!(problem.place.path.ends_with(path), "{problem}");
        assert!(problem.what.contains(what), "{problem}");
        assert!(super::super::testing::compile(&Cors, &block).0.is_some(), "{block}");
    }
    let number = problem(&Cors, &json!({"max_age": 3600}));
    assert!(number.is_fatal(true), "the original panics");
    assert!(problem(&Cors, &json!([])).what.contains("no object"));
}

#[test]
fn what_can_never_work_is_a_warning() {
    for (block, what) in [
        (json!({"allow_origins": ["a.test"]}), "no browser sends"),
        (json!({"allow_origins": ["https://a.test/"]}), "no browser sends"),
        (json!({"allow_origins": ["https://*.*.test"]}), "no browser sends"),
        (json!({"allow_credentials": true}), "refuse credentials"),
    ] {
        let problem = problem(&Cors, &block);
        assert!(!problem.is_fatal(false) && problem.what.contains(what), "{problem}");
    }
}
