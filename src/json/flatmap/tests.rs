//! Tests: each operation, with the odd results that were recorded.

use super::*;
use crate::json::tests::{decoded, meaning, written};

const BODY: &str = r#"{"a":{"b":{"c":1,"d":2},"e":"x"},"list":[{"id":1,"sub":{"k":"p"}},{"id":2,"sub":{"k":"q"}}],"more":[{"id":3}],"s":"str","none":null,"empty":{}}"#;

fn operation(kind: &str, args: &[&str]) -> FlatmapOp {
    FlatmapOp { kind: kind.to_owned(), args: args.iter().map(|arg| (*arg).to_owned()).collect() }
}

/// The whole body after one operation, as the differences from `BODY`.
#[track_caller]
fn check(kind: &str, args: &[&str], changes: &str) {
    let mut document = decoded(BODY);
    Flatmap::compile(&[operation(kind, args)]).unwrap().apply(&mut document).unwrap();
    let (mut wanted, changes) = (meaning(BODY), meaning(changes));
    for (key, value) in changes.as_object().unwrap() {
        if value == "gone" {
            _ = wanted.as_object_mut().unwrap().remove(key);
        } else {
            wanted[key] = value.clone();
        }
    }
    assert_eq!(meaning(&written(&document)), wanted);
}

#[test]
fn a_move_between_equal_depths_only_changes_the_last_label() {
    check("move", &["s", "t"], r#"{"s":"gone","t":"str"}"#);
    check("move", &["a.b", "x.z"], r#"{"a":{"z":{"c":1,"d":2},"e":"x"}}"#);
    check(
        "move",
        &["list.*.id", "list.*.ident"],
        r#"{"list":[{"ident":1,"sub":{"k":"p"}},{"ident":2,"sub":{"k":"q"}}]}"#,
    );
    check(
        "move",
        &["list.0.id", "list.0.ident"],
        r#"{"list":[{"ident":1,"sub":{"k":"p"}},{"id":2,"sub":{"k":"q"}}]}"#,
    );
}

#[test]
fn a_move_down_makes_the_nodes_it_needs() {
    check("move", &["s", "deep.er.s"], r#"{"s":"gone","deep":{"er":{"s":"str"}}}"#);
    check(
        "move",
        &["list.*.id", "list.*.in.id"],
        r#"{"list":[{"in":{"id":1},"sub":{"k":"p"}},{"in":{"id":2},"sub":{"k":"q"}}]}"#,
    );
}

#[test]
fn a_move_up_lands_at_the_deepest_node_there_is() {
    check("move", &["a.b.c", "c"], r#"{"a":{"b":{"d":2},"e":"x"},"c":1}"#);
    check("move", &["a.b.c", "ghost.c"], r#"{"a":{"b":{"d":2},"e":"x"},"c":1}"#);
    check(
        "move",
        &["list.*.sub.k", "list.*.k"],
        r#"{"list":[{"id":1,"sub":null,"k":"p"},{"id":2,"sub":null,"k":"q"}]}"#,
    );
}

#[test]
fn a_star_at_the_end_of_a_move_is_a_name_and_what_is_missing_is_not_moved() {
    check("move", &["list.*", "x"], "{}");
    check("move", &["ghost", "x"], "{}");
}

#[test]
fn deleting_the_last_child_leaves_null() {
    check("del", &["a.b.c", "a.b.d"], r#"{"a":{"b":null,"e":"x"}}"#);
    let mut document = decoded(r#"{"a":{"b":1},"l":[1]}"#);
    let operations = [operation("del", &["a.b", "l.*"])];
    Flatmap::compile(&operations).unwrap().apply(&mut document).unwrap();
    assert_eq!(written(&document), r#"{"a":null,"l":null}"#);
    Flatmap::compile(&[operation("del", &["a", "l"])]).unwrap().apply(&mut document).unwrap();
    assert!(document.is_null());
}

#[test]
fn deleting_takes_stars_and_indexes_and_leaves_nulls_and_empty_objects_alone() {
    check("del", &["list.*.sub"], r#"{"list":[{"id":1},{"id":2}]}"#);
    check("del", &["list.0"], r#"{"list":[{"id":2,"sub":{"k":"q"}}]}"#);
    check("del", &["ghost.x", "s.t"], "{}");
}

#[test]
fn labels_of_list_elements_are_not_renumbered_by_a_deletion() {
    let mut document = decoded(r#"{"l":["a","b","c"]}"#);
    let operations = [operation("del", &["l.0"]), operation("del", &["l.1"])];
    Flatmap::compile(&operations).unwrap().apply(&mut document).unwrap();
    assert_eq!(written(&document), r#"{"l":["c"]}"#);
}

#[test]
fn append_needs_two_lists() {
    let mut document = decoded(r#"{"l":[1],"m":[2.0],"s":"x"}"#);
    let append = |args: &[&str], document: &mut Document| {
        Flatmap::compile(&[operation("append", args)]).unwrap().apply(document).unwrap();
    };
    append(&["s", "l"], &mut document);
    append(&["ghost", "l"], &mut document);
    append(&["m", "l"], &mut document);
    assert_eq!(written(&document), r#"{"l":[1,2.0],"s":"x"}"#);
}

#[test]
fn unknown_kinds_are_ignored_and_missing_arguments_fail_when_run() {
    check("rename", &["s", "t"], "{}");
    for kind in ["move", "append"] {
        let flatmap = Flatmap::compile(&[operation(kind, &["s"])]).unwrap();
        assert_eq!(
            flatmap.apply(&mut decoded(BODY)),
            Err(EditError::TooFewArguments {
                operation: if kind == "move" { "move" } else { "append" }
            })
        );
    }
    assert!(Flatmap::compile(&[]).is_none());
}

#[test]
fn null_and_empty_documents_stay_what_they_are() {
    for body in ["null", "{}"] {
        let mut document = decoded(body);
        Flatmap::compile(&[operation("del", &["a"])]).unwrap().apply(&mut document).unwrap();
        assert_eq!(written(&document), body);
    }
}
