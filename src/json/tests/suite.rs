//! `JSONTestSuite` (github.com/nst/JSONTestSuite), where it is found: `y_` is accepted, `n_` refused.

use std::path::PathBuf;

use super::{meaning, written};
use crate::json::Decoder;

/// Whole documents with something behind them: the first value counts, what follows is not read.
fn is_value_with_tail(name: &str) -> bool {
    [
        "n_array_comma_after_close.json",
        "n_array_extra_close.json",
        "n_multidigit_number_then_00.json",
        "n_object_trailing_comment.json",
        "n_object_trailing_comment_open.json",
        "n_object_trailing_comment_slash_open.json",
        "n_object_trailing_comment_slash_open_incomplete.json",
        "n_object_with_trailing_garbage.json",
        "n_string_with_trailing_garbage.json",
        "n_structure_array_trailing_garbage.json",
        "n_structure_array_with_extra_array_close.json",
        "n_structure_close_unopened_array.json",
        "n_structure_double_array.json",
        "n_structure_number_with_trailing_garbage.json",
        "n_structure_object_followed_by_closing_object.json",
        "n_structure_object_with_trailing_garbage.json",
        "n_structure_trailing_#.json",
    ]
    .contains(&name)
}

fn folder() -> Option<PathBuf> {
    let data = std::env::var_os("SHOAL_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    Some(data.join("JSONTestSuite")).filter(|folder| folder.is_dir())
}

#[test]
fn the_public_test_suite_is_accepted_and_refused_as_it_says() {
    let Some(folder) = folder() else {
        println!("left out: no JSONTestSuite (set SHOAL_DATA)");
        return;
    };
    let mut counts = [0; 3];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Ok(body) = std::fs::read(&path) else { continue };
        let result = Decoder::Safe.decode(body.clone(), false);
        match name.get(..2) {
            Some("y_") => {
                let document = result.unwrap_or_else(|error| panic!("{name}: {error}"));
                let wanted: serde_json::Value = serde_json::from_slice(&body).unwrap();
                let wanted = match wanted {
                    serde_json::Value::Object(_) => wanted,
                    serde_json::Value::Array(_) => serde_json::json!({ "collection": wanted }),
                    _ => serde_json::json!({ "content": wanted }),
                };
                assert_eq!(meaning(&written(&document)), wanted, "{name}");
                counts[0] += 1;
            }
            Some("n_") if is_value_with_tail(&name) => {
                assert!(result.is_ok(), "{name}: {result:?}");
                counts[2] += 1;
            }
            Some("n_") => {
                assert!(result.is_err(), "{name} was accepted");
                counts[1] += 1;
            }
            _ => {}
        }
    }
    println!(
        "{} accepted, {} refused, {} accepted up to their tail",
        counts[0], counts[1], counts[2]
    );
    assert!(counts[0] >= 90 && counts[1] >= 170, "{counts:?}");
}
