//! `Document`: the file as it was read, for those who ask what is written in it and not what it means.

use super::aliases;
use super::problem::Place;
use super::source::{Node, NodeValue};

/// The root object as it was written, or rendered, before the environment replaced anything.
#[derive(Clone, Debug)]
pub struct Document {
    pub(super) root: Node,
    pub(super) place: Place,
}

/// One option that the file sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub place: Place,
    pub key: String,
    /// The block that it stands in, or that it is, under its current name.
    pub namespace: Option<String>,
}

// === impl Document ===

impl Document {
    pub(super) fn new(root: Node, place: Place) -> Document {
        Document { root, place }
    }

    /// Every option, in the order of the file: keys of the root, of endpoints and of backends, namespaces and their
    /// members. What stands deeper belongs to its option.
    pub fn options(&self) -> Vec<Written> {
        let mut options = Vec::new();
        object(&self.root, &self.place, &mut options);
        options
    }
}

/// Objects whose members are options of their own.
const OBJECTS: &[&str] = &["tls", "client_tls"];
/// Lists of such objects.
const LISTS: &[&str] = &["endpoints", "backend"];

fn object(node: &Node, place: &Place, options: &mut Vec<Written>) {
    for (key, value, place) in members(node, place) {
        let lower = key.to_ascii_lowercase();
        match &value.value {
            NodeValue::List(list) if LISTS.contains(&lower.as_str()) => {
                for (index, entry) in list.iter().enumerate() {
                    let place = place.index(index).at(entry.line, entry.column);
                    object(entry, &place, options);
                }
            }
            NodeValue::Map(_) if lower == "extra_config" => {
                for (namespace, block, place) in members(value, &place) {
                    let current = aliases::current_name(namespace).unwrap_or(namespace);
                    blocks(current, namespace, block, &place, options);
                }
            }
            NodeValue::Map(_) if OBJECTS.contains(&lower.as_str()) => {
                for (key, _, place) in members(value, &place) {
                    options.push(Written { place, key: key.to_owned(), namespace: None });
                }
            }
            _ => options.push(Written { place, key: key.to_owned(), namespace: None }),
        }
    }
}

/// A block, and its members; a list of blocks gives the members of all.
fn blocks(namespace: &str, written: &str, node: &Node, place: &Place, options: &mut Vec<Written>) {
    let option = |key: &str, place: Place| Written {
        place,
        key: key.to_owned(),
        namespace: Some(namespace.to_owned()),
    };
    options.push(option(written, place.clone()));
    let entries = match &node.value {
        NodeValue::List(list) => {
            let place_of =
                |(index, entry): (usize, &Node)| place.index(index).at(entry.line, entry.column);
            list.iter().enumerate().map(|one| (one.1, place_of(one))).collect()
        }
        _ => vec![(node, place.clone())],
    };
    for (node, place) in entries {
        options.extend(members(node, &place).map(|(key, _, place)| option(key, place)));
    }
}

/// The members of an object with their places; remarks are left out.
fn members<'a>(
    node: &'a Node,
    place: &'a Place,
) -> impl Iterator<Item = (&'a str, &'a Node, Place)> {
    let entries = match &node.value {
        NodeValue::Map(entries) => entries.as_slice(),
        _ => &[],
    };
    let is_option =
        |key: &str| !key.starts_with(['@', '_', '$', '#']) && !key.eq_ignore_ascii_case("comment");
    entries.iter().filter(move |entry| is_option(&entry.key)).map(|entry| {
        let place = place.key(&entry.key).at(entry.line, entry.column);
        (entry.key.as_str(), &entry.value, place)
    })
}

#[cfg(test)]
mod tests {
    use crate::config::parse;

    #[test]
    fn options_of_all_levels_have_their_places() {
        let text = r#"{"version": 3, "$schema": "x", "tls": {"keys": []},
            "extra_config": {"github_com/luraproject/lura/router/gin": {"auto_options": true}},
            "endpoints": [{"endpoint": "/a", "comment": "x",
                "backend": [{"host": ["http://a.example"], "url_pattern": "/", "mapping": {"a": "b"},
                    "extra_config": {"validation/cel": [{"check_expr": "true"}]}}]}]}"#;
        let loaded = parse("krakend.json", text.as_bytes(), &[]).expect("right");
        let options = loaded.document.options();
        let paths: Vec<&str> = options.iter().map(|option| &*option.place.path).collect();
        let backend = "endpoints[0].backend[0]";
        let expected = [
            "version".to_owned(),
            "tls.keys".to_owned(),
            "extra_config.github_com/luraproject/lura/router/gin".to_owned(),
            "extra_config.github_com/luraproject/lura/router/gin.auto_options".to_owned(),
            "endpoints[0].endpoint".to_owned(),
            format!("{backend}.host"),
            format!("{backend}.url_pattern"),
            format!("{backend}.mapping"),
            format!("{backend}.extra_config.validation/cel"),
            format!("{backend}.extra_config.validation/cel[0].check_expr"),
        ];
        assert_eq!(paths, expected);
        assert_eq!(options[3].namespace.as_deref(), Some("router"));
        assert_eq!((options[1].key.as_str(), options[1].place.line), ("keys", 1));
    }
}
