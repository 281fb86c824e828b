//! Tests: the rules of spec 2.16, one a test; random edits are in `json/tests/model.rs`.

use super::*;
use crate::json::tests::{decoded, meaning, written};

const BODY: &str = r#"{"id":1,"name":"n","owner":{"id":2,"name":"o","address":{"city":"c","zip":"z"}},"items":[{"id":1}],"nothing":null,"empty":{},"a.b":"dotted"}"#;

fn list(paths: &[&str]) -> Vec<String> {
    paths.iter().map(|path| (*path).to_owned()).collect()
}

#[track_caller]
fn check(spec: &EditSpec, body: &str, wanted: &str) {
    let mut document = decoded(body);
    Edit::compile(spec).apply(&mut document).unwrap();
    assert_eq!(meaning(&written(&document)), meaning(wanted));
    let mut tree = Document::from_map(decoded(body).to_map());
    Edit::compile(spec).apply(&mut tree).unwrap();
    if body != "null" {
        assert_eq!(meaning(&written(&tree)), meaning(wanted), "as a tree");
    }
}

#[track_caller]
fn allow_check(paths: &[&str], wanted: &str) {
    check(&EditSpec { allow: list(paths), ..EditSpec::default() }, BODY, wanted);
}

#[track_caller]
fn deny_check(paths: &[&str], body: &str, wanted: &str) {
    check(&EditSpec { deny: list(paths), ..EditSpec::default() }, body, wanted);
}

#[track_caller]
fn map_check(from: &str, to: &str, wanted: &str) {
    check(
        &EditSpec { mapping: vec![(from.into(), to.into())], ..EditSpec::default() },
        r#"{"id":1,"name":"n"}"#,
        wanted,
    );
}

#[test]
fn allow_keeps_leaves_and_prunes_branches_without_any() {
    allow_check(&["id", "owner.address.city"], r#"{"id":1,"owner":{"address":{"city":"c"}}}"#);
    allow_check(&["owner.ghost", "id"], r#"{"id":1}"#);
    allow_check(&["name.first", "items.id", "empty.x", "nothing.x"], "{}");
    allow_check(&["nothing", "empty"], r#"{"nothing":null,"empty":{}}"#);
    allow_check(&["a.b"], "{}");
    allow_check(&["owner", "owner.name"], r#"{"owner":{"name":"o"}}"#);
    allow_check(
        &["owner.address.zip", "owner.address"],
        r#"{"owner":{"address":{"city":"c","zip":"z"}}}"#,
    );
}

#[test]
fn deny_removes_and_leaves_empty_objects_behind() {
    let body = r#"{"id":1,"owner":{"id":2,"name":"o"},"items":[{"id":1}]}"#;
    deny_check(&["owner.id", "owner.name"], body, r#"{"id":1,"owner":{},"items":[{"id":1}]}"#);
    deny_check(&["items.id", "ghost.x", "id.x"], body, body);
    deny_check(&["owner", "owner.name", "id", "items"], body, "{}");
}

#[test]
fn what_a_filter_does_not_change_is_written_as_it_came() {
    let body = "{ \"a\" : 1 ,\n \"b\":{ } }";
    let mut document = decoded(body);
    Edit::compile(&EditSpec { deny: list(&["ghost", "b.x"]), ..EditSpec::default() })
        .apply(&mut document)
        .unwrap();
    assert_eq!(written(&document), body);
}

#[test]
fn allow_beats_deny() {
    check(
        &EditSpec { allow: list(&["id"]), deny: list(&["id"]), ..EditSpec::default() },
        BODY,
        r#"{"id":1}"#,
    );
}

#[test]
fn keys_are_compared_by_their_text_not_by_their_spelling() {
    let spec = EditSpec { allow: list(&["A", "b.c"]), ..EditSpec::default() };
    check(&spec, r#"{"\u0041":1,"B":2,"b":{"\u0063":3,"d":4}}"#, r#"{"A":1,"b":{"c":3}}"#);
}

#[test]
fn of_repeated_keys_in_a_touched_object_the_last_counts() {
    check(
        &EditSpec { allow: list(&["a.k.x"]), ..EditSpec::default() },
        r#"{"a":{"k":{"x":1},"k":5}}"#,
        "{}",
    );
}

#[test]
fn mapping_renames_top_level_keys_only() {
    map_check("id", "identifier", r#"{"identifier":1,"name":"n"}"#);
    map_check("id", "x.y.z", r#"{"x":1,"name":"n"}"#);
    map_check("name", "id", r#"{"id":"n"}"#);
    map_check("id", "id", r#"{"name":"n"}"#);
    map_check("id", "", r#"{"":1,"name":"n"}"#);
    map_check("id", "quo\"te", r#"{"quo\"te":1,"name":"n"}"#);
    map_check("owner.name", "x", r#"{"id":1,"name":"n"}"#);
}

#[test]
fn several_mappings_are_done_in_the_order_of_the_old_names() {
    let mapping = vec![("b".to_owned(), "c".to_owned()), ("a".to_owned(), "b".to_owned())];
    check(&EditSpec { mapping, ..EditSpec::default() }, r#"{"a":1,"b":2}"#, r#"{"c":1}"#);
}

#[test]
fn target_makes_an_inner_object_the_document() {
    let target = |path: &str, wanted: &str| {
        check(&EditSpec { target: path.into(), ..EditSpec::default() }, BODY, wanted);
    };
    target("owner.address", r#"{"city":"c","zip":"z"}"#);
    for path in ["ghost", "owner.ghost.x", "name", "items", "nothing", "empty", "a.b"] {
        target(path, "{}");
    }
    let mut document = decoded(r#"{"a": { "b" : 1 } }"#);
    Edit::compile(&EditSpec { target: "a".into(), ..EditSpec::default() })
        .apply(&mut document)
        .unwrap();
    assert_eq!(written(&document), r#"{ "b" : 1 }"#);
}

#[test]
fn group_wraps_everything_also_nothing() {
    let group = EditSpec { group: "g".into(), ..EditSpec::default() };
    check(&group, r#"{"a":1}"#, r#"{"g":{"a":1}}"#);
    check(&group, "{}", r#"{"g":{}}"#);
    check(&group, "null", r#"{"g":null}"#);
    check(&EditSpec { group: "a.b".into(), ..EditSpec::default() }, "{}", r#"{"a.b":{}}"#);
    check(&EditSpec { target: "x".into(), ..EditSpec::default() }, "null", "{}");
}

#[test]
fn the_order_is_target_filter_mapping_group() {
    let spec = EditSpec {
        target: "owner".into(),
        deny: list(&["id", "address.zip"]),
        mapping: vec![("name".into(), "n".into()), ("address".into(), "where".into())],
        group: "own".into(),
        ..EditSpec::default()
    };
    check(&spec, BODY, r#"{"own":{"n":"o","where":{"city":"c"}}}"#);
}

#[test]
fn flatmap_replaces_allow_deny_and_mapping_but_not_target_and_group() {
    let delete = |path: &str| vec![FlatmapOp { kind: "del".into(), args: list(&[path]) }];
    let spec = EditSpec {
        allow: list(&["id"]),
        mapping: vec![("id".into(), "x".into())],
        flatmap: delete("owner"),
        ..EditSpec::default()
    };
    check(&spec, r#"{"id":1,"owner":2,"z":3}"#, r#"{"id":1,"z":3}"#);
    let spec = EditSpec {
        target: "owner".into(),
        group: "g".into(),
        flatmap: delete("id"),
        ..EditSpec::default()
    };
    check(&spec, r#"{"owner":{"id":1,"n":2}}"#, r#"{"g":{"n":2}}"#);
    let unknown = EditSpec {
        allow: list(&["id"]),
        flatmap: vec![FlatmapOp { kind: "rename".into(), args: vec![] }],
        ..EditSpec::default()
    };
    check(&unknown, r#"{"id":1,"z":3}"#, r#"{"id":1,"z":3}"#);
}

#[test]
fn an_edit_without_settings_is_known_to_do_nothing() {
    assert!(Edit::compile(&EditSpec::default()).is_noop());
    assert!(!Edit::compile(&EditSpec { group: "g".into(), ..EditSpec::default() }).is_noop());
    assert!(
        !Edit::compile(&EditSpec {
            mapping: vec![("a".into(), "b".into())],
            ..EditSpec::default()
        })
        .is_noop()
    );
}

#[test]
fn no_filter_enters_an_xml_collection() {
    use crate::json::decode::Decoder;
    let edited = |spec: EditSpec| {
        let body = b"<r><k>v</k></r>".to_vec();
        let mut document = Decoder::XmlCollection.decode(body, false).unwrap();
        Edit::compile(&spec).apply(&mut document).unwrap();
        let mut out = Vec::new();
        document.write_json(&mut out);
        String::from_utf8(out).unwrap()
    };
    let whole = r#"{"collection":{"r":{"k":"v"}}}"#;
    let below = || vec!["collection.r".to_owned()];
    assert_eq!(edited(EditSpec::default()), whole);
    assert_eq!(edited(EditSpec { target: "collection".into(), ..EditSpec::default() }), "{}");
    assert_eq!(edited(EditSpec { allow: below(), ..EditSpec::default() }), "{}");
    assert_eq!(edited(EditSpec { deny: below(), ..EditSpec::default() }), whole);
}
