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
    /// What the original holds in a Go type of its own: filters and paths do not enter it, and without members it is
    /// nil there, which JSON writes as null and YAML as empty.
    Typed(Box<Value>),
}

impl Value {
    /// The value as JSON and XML write it.
    #[must_use]
    pub fn shown(&self) -> &Self {
        match self {
            Self::Typed(held) if held.has_no_members() => &Self::Null,
            other => other.untyped(),
        }
    }

    /// The value without the type that keeps filters out.
    #[must_use]
    pub fn untyped(&self) -> &Self {
        match self {
            Self::Typed(held) => held.untyped(),
            other => other,
        }
    }

    fn has_no_members(&self) -> bool {
        match self {
            Self::Array(list) => list.is_empty(),
            Self::Object(map) => map.is_empty(),
            _ => false,
        }
    }
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
