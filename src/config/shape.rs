//! Objects that are read by a table and kept as JSON, because the features that own them decode them.

use serde_json::{Map, Value};

use super::extra::ExtraConfig;
use super::fields::Fields;
use super::problem::Place;
use super::values::Millis;

/// A key and what it may hold.
pub struct Member(pub &'static str, pub Shape);

pub enum Shape {
    Text,
    Bool,
    Int,
    Float,
    /// Kept as Go prints it: `1m30s`.
    Duration,
    TextList,
    IntList,
    TextMap,
    ExtraConfig,
    Object(&'static [Member]),
    Objects(&'static [Member]),
}

pub const PLUGIN: &[Member] = &[Member("folder", Shape::Text), Member("pattern", Shape::Text)];

pub const TLS: &[Member] = &[
    Member("disabled", Shape::Bool),
    Member("public_key", Shape::Text),
    Member("private_key", Shape::Text),
    Member("ca_certs", Shape::TextList),
    Member("min_version", Shape::Text),
    Member("max_version", Shape::Text),
    Member("curve_preferences", Shape::IntList),
    Member("prefer_server_cipher_suites", Shape::Bool),
    Member("cipher_suites", Shape::IntList),
    Member("enable_mtls", Shape::Bool),
    Member("disable_system_ca_pool", Shape::Bool),
    Member(
        "keys",
        Shape::Objects(&[Member("public_key", Shape::Text), Member("private_key", Shape::Text)]),
    ),
];

pub const CLIENT_TLS: &[Member] = &[
    Member("allow_insecure_connections", Shape::Bool),
    Member("ca_certs", Shape::TextList),
    Member("disable_system_ca_pool", Shape::Bool),
    Member("min_version", Shape::Text),
    Member("max_version", Shape::Text),
    Member("curve_preferences", Shape::IntList),
    Member("cipher_suites", Shape::IntList),
    Member(
        "client_certs",
        Shape::Objects(&[Member("certificate", Shape::Text), Member("private_key", Shape::Text)]),
    ),
];

/// An object of the root that was read by a table, and where its members stand.
#[derive(Clone, Debug)]
pub struct Shaped {
    pub value: Value,
    place: Place,
    places: Vec<(&'static str, Place)>,
}

impl Shaped {
    /// Reads the object by its table.
    pub fn read(fields: Fields<'_>, members: &[Member]) -> Shaped {
        let place = fields.place().clone();
        let places = members.iter().map(|Member(key, _)| (*key, fields.place_of(key))).collect();
        Shaped { value: read(fields, members).into(), place, places }
    }

    /// Where a member stands, or the object that lacks it.
    pub fn place_of(&self, key: &str) -> Place {
        let known = self.places.iter().find(|(name, _)| *name == key);
        known.map_or_else(|| self.place.key(key), |(_, place)| place.clone())
    }

    pub fn text(&self, key: &str) -> &str {
        text(&self.value, key)
    }

    pub fn boolean(&self, key: &str) -> bool {
        self.value.get(key).and_then(Value::as_bool).unwrap_or_default()
    }

    pub fn texts(&self, key: &str) -> Vec<&str> {
        self.list(key).iter().filter_map(Value::as_str).collect()
    }

    pub fn integers(&self, key: &str) -> Vec<i64> {
        self.list(key).iter().filter_map(Value::as_i64).collect()
    }

    /// The two texts of each object of a list; empty where one is missing.
    pub fn pairs(&self, key: &str, first: &str, second: &str) -> Vec<(&str, &str)> {
        let objects = self.list(key).iter();
        objects.map(|object| (text(object, first), text(object, second))).collect()
    }

    fn list(&self, key: &str) -> &[Value] {
        self.value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }
}

fn text<'v>(object: &'v Value, key: &str) -> &'v str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The members that are there, under their exact names and with the types of the table.
pub fn read(mut fields: Fields<'_>, members: &[Member]) -> Map<String, Value> {
    let mut object = Map::new();
    for Member(key, shape) in members {
        // A key that is absent stays absent: features tell `false` from nothing.
        if fields.find(key).is_some() {
            object.insert((*key).to_owned(), value(&mut fields, key, shape));
        }
    }
    fields.finish();
    object
}

fn value(fields: &mut Fields<'_>, key: &'static str, shape: &Shape) -> Value {
    match shape {
        Shape::Text => fields.text(key).into(),
        Shape::Bool => fields.boolean(key).into(),
        Shape::Int => fields.integer(key).into(),
        Shape::Float => fields.float(key).into(),
        Shape::Duration => fields.duration(key).to_string().into(),
        Shape::TextList => fields.texts(key).into(),
        Shape::IntList => fields.integers(key).into(),
        Shape::TextMap => {
            Value::Object(fields.text_map(key).into_iter().map(|(k, v)| (k, v.into())).collect())
        }
        Shape::ExtraConfig => blocks(&fields.extra_config()),
        Shape::Object(members) => {
            fields.object(key).map_or(Value::Null, |inner| read(inner, members).into())
        }
        Shape::Objects(members) => {
            fields.objects(key).into_iter().map(|inner| Value::from(read(inner, members))).collect()
        }
    }
}

fn blocks(extra: &ExtraConfig) -> Value {
    Value::Object(
        extra.iter().map(|(name, block)| (name.to_owned(), block.value.clone())).collect(),
    )
}

/// The duration that [`Shape::Duration`] kept.
pub fn duration(value: Option<&Value>) -> Millis {
    let ns =
        value.and_then(Value::as_str).and_then(|text| super::values::parse_duration(text).ok());
    Millis::from_ns(ns.and_then(|ns| u64::try_from(ns).ok()).unwrap_or(0))
}
