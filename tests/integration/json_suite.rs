//! JSONTestSuite through endpoints that decode: what is valid passes unchanged in meaning, what is not fails its call.
//!
//! The suite is other people's work and not part of this repository: it is read from `../shared/data/JSONTestSuite`, or
//! from below `SHOAL_TEST_DATA`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::{Driver, Gateway, Reply, Response, Upstream, endpoint};

/// Valid or not at a parser's choice, and refused: what does not begin as JSON in UTF-8. The other `i_` files are accepted,
/// as the original does: numbers of any size stay as they are written, bytes that are not UTF-8 and halves of surrogate
/// pairs become U+FFFD.
const REFUSED_AT_CHOICE: &[&str] = &[
    "i_string_UTF-16LE_with_BOM",
    "i_string_utf16BE_no_BOM",
    "i_string_utf16LE_no_BOM",
    "i_structure_UTF-8_BOM_empty_object",
];
/// Whole documents followed by rubbish: the original's decoder reads one value and looks no further, and so does ours.
const FOLLOWED_BY_RUBBISH: &[&str] = &[
    "n_array_comma_after_close",
    "n_array_extra_close",
    "n_object_trailing_comment",
    "n_object_trailing_comment_open",
    "n_object_trailing_comment_slash_open",
    "n_object_trailing_comment_slash_open_incomplete",
    "n_object_with_trailing_garbage",
    "n_structure_array_trailing_garbage",
    "n_structure_array_with_extra_array_close",
    "n_structure_double_array",
    "n_structure_object_followed_by_closing_object",
    "n_structure_object_with_trailing_garbage",
    "n_structure_trailing_#",
];

struct Case {
    name: String,
    body: Vec<u8>,
}

impl Case {
    /// The first value of the body, for bodies that begin with a whole one.
    fn first_value(&self) -> Option<Value> {
        serde_json::Deserializer::from_slice(&self.body).into_iter().next()?.ok()
    }

    /// Lists and objects can stand alone, each with its kind of endpoint.
    fn is_list(&self) -> bool {
        self.body.trim_ascii_start().starts_with(b"[")
    }

    fn stands_alone(&self) -> bool {
        self.is_list() || self.body.trim_ascii_start().starts_with(b"{")
    }
}

fn folder() -> PathBuf {
    let data = std::env::var_os("SHOAL_TEST_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    data.join("JSONTestSuite")
}

/// `None`, and a line that says so, where the suite is not there.
fn suite() -> Option<Vec<Case>> {
    let folder = folder();
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("{} is not there: JSONTestSuite was LEFT OUT", folder.display());
        return None;
    };
    let mut cases: Vec<Case> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| Case {
            name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
            body: std::fs::read(&path).unwrap(),
        })
        .collect();
    cases.sort_by(|left, right| left.name.cmp(&right.name));
    assert!(cases.len() > 300, "the suite has {} files only", cases.len());
    Some(cases)
}

/// `/one` for objects, `/list` for lists, and the same beside a second backend: `/two` and `/lists`.
fn gateway(upstream: &Upstream, driver: Driver) -> Gateway {
    let url = upstream.url();
    let doc = |is_list: bool| json!({"host": [url], "url_pattern": "/doc/{id}", "is_collection": is_list, "group": "doc"});
    let other = json!({"host": [url], "url_pattern": "/other"});
    Gateway::with(json!({"endpoints": [
        endpoint("/one/{id}", &[doc(false)]),
        endpoint("/list/{id}", &[doc(true)]),
        endpoint("/two/{id}", &[doc(false), other.clone()]),
        endpoint("/lists/{id}", &[doc(true), other]),
    ]}))
    .workers(1)
    .driver(driver)
    .start()
}

/// What an endpoint with one backend, and one with two, answer; `None` when the call failed, as it must in both.
fn answers(gateway: &Gateway, id: usize, is_list: bool) -> Option<[Response; 2]> {
    let (one, two) = if is_list { ("list", "lists") } else { ("one", "two") };
    let alone = gateway.get(&format!("/{one}/{id}"));
    let beside = gateway.get(&format!("/{two}/{id}"));
    assert_eq!(beside.status(), 200, "the other backend's answer is there");
    assert!(beside.text().contains("\"ok\":true"));
    if alone.status() != 200 {
        assert_eq!(alone.status(), 500);
        assert!(!beside.is_completed(), "a call failed");
        assert!(beside.json().get("doc").is_none(), "nothing of a failed call is shown");
        return None;
    }
    assert!(alone.is_completed() && beside.is_completed());
    Some([alone, beside])
}

/// The document in the answers.
fn document(answers: &[Response; 2], is_list: bool) -> Value {
    let [alone, beside] = answers.each_ref().map(|answer| {
        let doc = answer.json()["doc"].clone();
        if is_list { doc["collection"].clone() } else { doc }
    });
    assert_eq!(alone, beside);
    alone
}

#[test]
fn the_suite_passes_through_aggregation() {
    let Some(cases) = suite() else { return };
    let upstream = Upstream::start();
    upstream.on("/other", Reply::json(json!({"ok": true})));
    for (id, case) in cases.iter().enumerate() {
        upstream.on(&format!("/doc/{id}"), Reply::bytes(&case.body));
        let member = [b"{\"v\":", case.body.as_slice(), b"}"].concat();
        upstream.on(&format!("/doc/{}", id + 1000), Reply::bytes(&member));
    }
    for driver in Driver::available() {
        let gateway = gateway(&upstream, driver);
        let mut followed_by_rubbish = Vec::new();
        let mut refused_at_choice = Vec::new();
        for (id, case) in cases.iter().enumerate() {
            let name = &case.name;
            let is_list = case.is_list();
            let alone = case.stands_alone().then(|| answers(&gateway, id, is_list));
            let inside = answers(&gateway, id + 1000, false);
            match name.as_bytes()[0] {
                b'y' => {
                    let value: Value = serde_json::from_slice(&case.body).unwrap();
                    let inside = inside.unwrap_or_else(|| panic!("{name} refused"));
                    assert_eq!(document(&inside, false)["v"], value);
                    if let Some(alone) = alone {
                        let alone = alone.unwrap_or_else(|| panic!("{name} refused"));
                        assert_eq!(document(&alone, is_list), value);
                    }
                }
                b'n' => {
                    // `{}}` as a member closes the outer object and leaves one brace behind.
                    if name != "n_structure_object_followed_by_closing_object" {
                        assert!(inside.is_none(), "{name} accepted as a member");
                    }
                    if let Some(Some(alone)) = alone {
                        assert_eq!(Some(document(&alone, is_list)), case.first_value(), "{name}");
                        followed_by_rubbish.push(name.as_str());
                    }
                }
                _ if inside.is_none() => refused_at_choice.push(name.as_str()),
                _ => {}
            }
        }
        assert_eq!(followed_by_rubbish, FOLLOWED_BY_RUBBISH);
        assert_eq!(refused_at_choice, REFUSED_AT_CHOICE);
    }
}

#[test]
fn rubbish_behind_a_document_is_refused_where_that_is_asked_for() {
    let Some(cases) = suite() else { return };
    let upstream = Upstream::start();
    for (id, case) in cases.iter().enumerate() {
        upstream.on(&format!("/doc/{id}"), Reply::bytes(&case.body));
    }
    let backend = |is_list: bool| json!({"host": [upstream.url()], "url_pattern": "/doc/{id}", "is_collection": is_list});
    let gateway = Gateway::start(json!({
        "endpoints": [
            endpoint("/one/{id}", &[backend(false)]), endpoint("/list/{id}", &[backend(true)])
        ],
        "extra_config": {"shoal/json": {"refuse_trailing": true}}
    }));
    for (id, case) in cases.iter().enumerate().filter(|(_, case)| case.stands_alone()) {
        let path = if case.is_list() { "list" } else { "one" };
        let status = gateway.get(&format!("/{path}/{id}")).status();
        match case.name.as_bytes()[0] {
            b'y' => assert_eq!(status, 200, "{}", case.name),
            b'n' => assert_eq!(status, 500, "{}", case.name),
            _ => {}
        }
    }
}

#[test]
fn a_hundred_thousand_levels_harm_nobody() {
    let upstream = Upstream::start();
    upstream.on("/other", Reply::json(json!({"ok": true})));
    let deep = |open: &str, middle: &str, close: &str, levels: usize| {
        [&open.repeat(levels), middle, &close.repeat(levels)].concat().into_bytes()
    };
    let bodies = [
        deep("[", "", "]", 100_000),
        deep("[", "", "", 100_000),
        deep("{\"a\":", "1", "}", 100_000),
        deep("[{\"a\":", "1", "}]", 100_000),
        deep("{\"a\":[", "1", "]}", 5_001),
    ];
    for (id, body) in bodies.iter().enumerate() {
        upstream.on(&format!("/doc/{id}"), Reply::bytes(body));
    }
    upstream.on("/doc/10", Reply::bytes(&deep("{\"a\":", "1", "}", 9_990)));
    for driver in Driver::available() {
        let gateway = gateway(&upstream, driver);
        for (id, body) in bodies.iter().enumerate() {
            assert!(answers(&gateway, id, body.starts_with(b"[")).is_none());
        }
        // Below the limit a document passes; it is too deep for a comparison by values.
        let below = gateway.get("/one/10");
        assert_eq!(below.status(), 200);
        assert!(below.text().contains(&"}".repeat(9_990)));
    }
}
