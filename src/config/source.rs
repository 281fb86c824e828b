//! Reads JSON, YAML or TOML into one tree that remembers where each key and value stood.
//!
//! The format is told by the exact ending of the file's name, as koanf's caller does: `.yml`, `.yaml`, `.toml`,
//! and JSON for everything else, upper-case endings included.

mod json;
pub mod lines;
mod node;
mod toml;
mod yaml;

use std::path::Path;

pub use node::{Entry, Node, NodeValue, Number};

/// A text that cannot be read, and where the reader gave up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    pub line: u32,
    pub column: u32,
    pub what: String,
    pub hint: Option<String>,
}

/// Objects and lists may be nested so deep. Go's reader stops at 10,000; no configuration comes near either.
const DEPTH_MAX: usize = 512;

/// The root object of a configuration file; an empty YAML file and `null` are an empty object.
pub fn read(file: &str, bytes: &[u8]) -> Result<Node, SyntaxError> {
    let ending = Path::new(file).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let root = match ending {
        "yml" | "yaml" => yaml::read(bytes)?,
        "toml" => toml::read(bytes)?,
        _ => json::read(bytes)?,
    };
    match root.value {
        NodeValue::Map(_) => Ok(root),
        NodeValue::Null => Ok(Node { value: NodeValue::Map(Vec::new()), ..root }),
        other => Err(SyntaxError {
            line: root.line,
            column: root.column,
            what: not_an_object(&other, ending),
            hint: Some(
                "a configuration is one object with \"version\" and \"endpoints\"".to_owned(),
            ),
        }),
    }
}

/// What Go's readers say of another root than an object.
fn not_an_object(root: &NodeValue, ending: &str) -> String {
    const WANTED: &str = "map[string]interface {}";
    if !matches!(ending, "yml" | "yaml") {
        return format!(
            "json: cannot unmarshal {} into Go value of type {WANTED}",
            root.json_name()
        );
    }
    let got = match root {
        NodeValue::List(_) => "!!seq".to_owned(),
        NodeValue::Text(text) => format!("!!str `{text}`"),
        other => format!("a {}", other.json_name()),
    };
    format!("yaml: unmarshal errors: cannot unmarshal {got} into {WANTED}")
}

// === impl SyntaxError ===

impl SyntaxError {
    fn new((line, column): (u32, u32), what: impl Into<String>) -> Self {
        Self { line, column, what: what.into(), hint: None }
    }
}
