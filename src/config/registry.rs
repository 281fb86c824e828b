//! Every option that a configuration may have, as data: the reference, the schema and the lint are made of it.
//!
//! The files of `registry/` hold sections. A section is about an object of the configuration: `root`, `endpoint`, `backend`,
//! or a block such as `proxy@endpoint`; its options say how their values look, what they mean and what is wrong with others.

mod reference;
mod schema;

use std::sync::LazyLock;

use serde::Deserialize;

pub use reference::reference;
pub use schema::schema;

/// In the order of the reference.
const FILES: &[(&str, &str)] = &[
    ("root.toml", include_str!("registry/root.toml")),
    ("levels.toml", include_str!("registry/levels.toml")),
    ("service.toml", include_str!("registry/service.toml")),
    ("security.toml", include_str!("registry/security.toml")),
    ("pipes.toml", include_str!("registry/pipes.toml")),
    ("auth.toml", include_str!("registry/auth.toml")),
    ("traffic.toml", include_str!("registry/traffic.toml")),
    ("cluster.toml", include_str!("registry/cluster.toml")),
    ("resilience.toml", include_str!("registry/resilience.toml")),
    ("telemetry.toml", include_str!("registry/telemetry.toml")),
    ("running.toml", include_str!("registry/running.toml")),
    ("unbuilt.toml", include_str!("registry/unbuilt.toml")),
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// Of the reference; a section that is not shown has none.
    #[serde(default)]
    pub heading: String,
    /// What the options belong to; empty for prose alone.
    #[serde(default)]
    pub object: String,
    /// Text before and behind the table.
    #[serde(default)]
    pub before: String,
    #[serde(default)]
    pub after: String,
    /// Title of the last column, where it is not `a wrong value`.
    #[serde(default)]
    pub last_column: String,
    /// Whether the gateway does anything with it.
    #[serde(default = "yes")]
    pub built: bool,
    /// Other keys are fine, too.
    #[serde(default)]
    pub is_free: bool,
    /// A list of such objects.
    #[serde(default)]
    pub is_list: bool,
    /// The object that this one looks like.
    #[serde(default)]
    pub same_as: String,
    #[serde(default, rename = "option")]
    pub options: Vec<Entry>,
}

/// One row: a key, or several that are alike.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Dots lead into objects, `[]` into the entries of a list.
    pub keys: Vec<String>,
    /// See `schema.rs` for the words.
    pub shape: String,
    /// The object whose options of these names look the same, where the shape is `same`.
    #[serde(default)]
    pub same_as: String,
    #[serde(default)]
    pub required: bool,
    /// Not in the table, because a sentence tells of it.
    #[serde(default)]
    pub hidden: bool,
    /// The cells of the reference.
    #[serde(default, rename = "type")]
    pub type_text: String,
    #[serde(default)]
    pub default: String,
    #[serde(default)]
    pub meaning: String,
    #[serde(default)]
    pub wrong: String,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct File {
    #[serde(default, rename = "section")]
    sections: Vec<Section>,
}

static SECTIONS: LazyLock<Vec<Section>> = LazyLock::new(|| {
    let read = |(name, text): &(&str, &str)| -> Vec<Section> {
        let file: Result<File, _> = toml::from_str(text);
        file.unwrap_or_else(|error| panic!("src/config/registry/{name}: {error}")).sections
    };
    FILES.iter().flat_map(read).collect()
});

/// All sections, in the order of the reference.
pub fn sections() -> &'static [Section] {
    &SECTIONS
}

/// The sections about an object; one that is built hides what was known of it before.
pub fn of_object(object: &str) -> Vec<&'static Section> {
    let mut found: Vec<_> = sections().iter().filter(|section| section.object == object).collect();
    if found.iter().any(|section| section.built) {
        found.retain(|section| section.built);
    }
    found
}

/// The keys of an object itself, without those of objects within it.
pub fn keys_of(object: &str) -> Vec<&'static str> {
    let mut keys = Vec::new();
    for section in of_object(object) {
        if !section.same_as.is_empty() {
            keys.extend(keys_of(&section.same_as));
        }
        let own = section.options.iter().flat_map(|entry| &entry.keys).map(String::as_str);
        keys.extend(own.filter(|key| !key.contains(['.', '['])));
    }
    keys
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_option_stands_once_and_has_a_meaning() {
        let mut seen = BTreeSet::new();
        for section in sections() {
            for entry in &section.options {
                assert!(!entry.keys.is_empty() && !section.object.is_empty(), "{entry:?}");
                let is_explained = !entry.meaning.is_empty()
                    || !entry.type_text.is_empty()
                    || !entry.same_as.is_empty();
                assert!(
                    is_explained || entry.keys[0].contains('.'),
                    "{} {entry:?}",
                    section.object
                );
                for key in &entry.keys {
                    assert!(
                        seen.insert((&section.object, key)),
                        "{} {key} stands twice",
                        section.object
                    );
                }
            }
        }
        assert!(seen.len() > 400, "{}", seen.len());
    }

    #[test]
    fn what_is_built_is_not_listed_as_unbuilt() {
        for section in sections().iter().filter(|section| !section.built) {
            let is_built =
                sections().iter().any(|other| other.built && other.object == section.object);
            assert!(!is_built, "{} is built: take it out of registry/unbuilt.toml", section.object);
        }
    }
}
