//! `Value`: a JSON document as a tree, for the paths that need to look inside or build something new.

use std::collections::BTreeMap;

/// Members sorted by key bytes, the order in which Go's encoders write a map.
pub type Map = BTreeMap<String, Value>;

/// One JSON value. Text is always valid UTF-8 (bad bytes became U+FFFD on the way in).
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    Array(Vec<Value>),
    Object(Map),
    /// Members in a fixed order that every encoder keeps: what the original holds as a struct
    /// (error details, feed items).
    Struct(Vec<(&'static str, Value)>),
}

/// A number, by what the original would hold: this decides how YAML and parameters print it.
#[derive(Clone, Debug, PartialEq)]
pub enum Number {
    /// The text as it stood in a body (`json.Number`): written back unchanged.
    Text(Box<str>),
    /// A number of the configuration or of a script (`float64`).
    Float(f64),
    /// A number that the gateway itself made, such as a status (`int`).
    Int(i64),
}
