//! Reads YAML as go-yaml v3 resolves it: the first document, `yes` and `no` as text, anchors and `<<` merges.

mod scalar;

use std::collections::HashMap;

use granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Tag};

use super::lines::small;
use super::node::{Entry, Node, NodeValue};
use super::{DEPTH_MAX, SyntaxError};

/// Nodes that aliases may copy in all; go-yaml refuses documents that are mostly aliases, too.
const COPIED_NODES_MAX: usize = 100_000;

pub fn read(bytes: &[u8]) -> Result<Node, SyntaxError> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(SyntaxError::new((1, 1), "yaml: invalid UTF-8"));
    };
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| syntax_error(&error))?;
        if let Some(root) = builder.event(event, position(&span.start))? {
            return Ok(root);
        }
    }
    Ok(Node::new((1, 1), NodeValue::Null))
}

fn position(mark: &Marker) -> (u32, u32) {
    (small(mark.line()), small(mark.col() + 1))
}

fn syntax_error(error: &ScanError) -> SyntaxError {
    let position = position(error.marker());
    SyntaxError::new(position, format!("yaml: line {}: {}", position.0, error.info()))
}

/// Builds the tree from events, without recursion.
#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    copied_nodes: usize,
}

/// A list or mapping that is not complete yet.
struct Open {
    position: (u32, u32),
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    /// The entries, those of `<<` keys, and the key that waits for its value.
    Map {
        entries: Vec<Entry>,
        merged: Vec<Entry>,
        key: Option<Key>,
    },
}

struct Key {
    name: String,
    position: (u32, u32),
    is_merge: bool,
}

// === impl Builder ===

impl Builder {
    /// Takes one event; gives the root when the document is complete.
    fn event(
        &mut self,
        event: Event<'_>,
        position: (u32, u32),
    ) -> Result<Option<Node>, SyntaxError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(&text, style, anchor, tag.as_deref(), position)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.start(anchor, position, Content::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, _) => {
                let content = Content::Map { entries: Vec::new(), merged: Vec::new(), key: None };
                self.start(anchor, position, content)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(id) => {
                let node = self.alias(id, position)?;
                self.add(node, 0, false)
            }
            Event::DocumentEnd => Ok(Some(Node::new(position, NodeValue::Null))),
            _ => Ok(None),
        }
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        position: (u32, u32),
    ) -> Result<Option<Node>, SyntaxError> {
        let is_plain = style == ScalarStyle::Plain;
        let value = match tag {
            None if is_plain => scalar::resolve(text),
            Some(tag) if tag.is_yaml_core_schema() && !tag.is_yaml_core_schema_tag("str") => {
                scalar::resolve(text)
            }
            _ => NodeValue::Text(text.to_owned()),
        };
        self.add(Node::new(position, value), anchor, is_plain && tag.is_none() && text == "<<")
    }

    fn start(
        &mut self,
        anchor: usize,
        position: (u32, u32),
        content: Content,
    ) -> Result<Option<Node>, SyntaxError> {
        if self.open.len() == DEPTH_MAX {
            return Err(SyntaxError::new(position, "yaml: exceeded max depth"));
        }
        self.open.push(Open { position, anchor, content });
        Ok(None)
    }

    fn end(&mut self) -> Result<Option<Node>, SyntaxError> {
        let Some(Open { position, anchor, content }) = self.open.pop() else { return Ok(None) };
        let value = match content {
            Content::List(list) => NodeValue::List(list),
            Content::Map { mut entries, merged, .. } => {
                // What stands in the mapping itself counts more than what `<<` brings, and earlier merges more than later.
                for entry in merged {
                    if !entries.iter().any(|known| known.key == entry.key) {
                        entries.push(entry);
                    }
                }
                NodeValue::Map(entries)
            }
        };
        self.add(Node::new(position, value), anchor, false)
    }

    fn alias(&mut self, id: usize, position: (u32, u32)) -> Result<Node, SyntaxError> {
        let Some(node) = self.anchors.get(&id) else {
            return Err(SyntaxError::new(position, "yaml: anchor value contains itself"));
        };
        self.copied_nodes += count(node);
        if self.copied_nodes > COPIED_NODES_MAX {
            return Err(SyntaxError::new(position, "yaml: document contains excessive aliasing"));
        }
        Ok(node.clone())
    }

    /// Puts a complete node where it belongs; the root is given back.
    fn add(
        &mut self,
        node: Node,
        anchor: usize,
        is_merge: bool,
    ) -> Result<Option<Node>, SyntaxError> {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(parent) = self.open.last_mut() else { return Ok(Some(node)) };
        match &mut parent.content {
            Content::List(list) => list.push(node),
            Content::Map { entries, merged, key } => match key.take() {
                None => *key = Some(new_key(entries, &node, is_merge)?),
                Some(key) if key.is_merge => merge(merged, node)?,
                Some(Key { name, position: (line, column), .. }) => {
                    entries.push(Entry { key: name, line, column, value: node });
                }
            },
        }
        Ok(None)
    }
}

fn new_key(entries: &[Entry], node: &Node, is_merge: bool) -> Result<Key, SyntaxError> {
    let position = (node.line, node.column);
    let name = match &node.value {
        NodeValue::Null => "<nil>".to_owned(),
        NodeValue::Bool(value) => value.to_string(),
        NodeValue::Number(number, _) => number.to_text(),
        NodeValue::Text(text) => text.clone(),
        NodeValue::List(_) | NodeValue::Map(_) => {
            return Err(SyntaxError::new(
                position,
                format!("yaml: line {}: invalid map key", position.0),
            ));
        }
    };
    if let Some(first) = entries.iter().find(|entry| entry.key == name && !is_merge) {
        let what = format!(
            "yaml: unmarshal errors:\n      line {}: mapping key {name:?} already defined at line {}",
            position.0, first.line
        );
        return Err(SyntaxError::new(position, what));
    }
    Ok(Key { name, position, is_merge })
}

fn merge(merged: &mut Vec<Entry>, node: Node) -> Result<(), SyntaxError> {
    let position = (node.line, node.column);
    match node.value {
        NodeValue::Map(entries) => merged.extend(entries),
        NodeValue::List(list)
            if list.iter().all(|node| matches!(node.value, NodeValue::Map(_))) =>
        {
            for node in list {
                merge(merged, node)?;
            }
        }
        _ => {
            return Err(SyntaxError::new(
                position,
                "yaml: map merge requires map or sequence of maps as the value",
            ));
        }
    }
    Ok(())
}

fn count(node: &Node) -> usize {
    1 + match &node.value {
        NodeValue::List(list) => list.iter().map(count).sum(),
        NodeValue::Map(entries) => entries.iter().map(|entry| count(&entry.value)).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn value(text: &str) -> serde_json::Value {
        read(text.as_bytes()).expect("the text is right").to_json()
    }

    fn fails(text: &str) -> String {
        let error = read(text.as_bytes()).expect_err("the text is wrong");
        format!("{}:{} {}", error.line, error.column, error.what)
    }

    #[test]
    fn scalars_are_what_go_yaml_makes_of_them() {
        let text = "[1, 0x10, 017, 0o17, 1_000, 2.5, 1e3, .5, yes, no, on, true, True, ~, null, '1', \"2\", !!str 3, 08, +1, 2020-01-02]";
        let expected = json!([
            1,
            16,
            15,
            15,
            1000,
            2.5,
            1000.0,
            0.5,
            "yes",
            "no",
            "on",
            true,
            true,
            null,
            null,
            "1",
            "2",
            "3",
            8.0,
            1,
            "2020-01-02T00:00:00Z"
        ]);
        assert_eq!(value(text), expected);
        assert_eq!(value("12345678901234567890").to_string(), "12345678901234567890");
    }

    #[test]
    fn anchors_are_copied_and_merges_yield_to_own_keys() {
        let text = "a: &a {x: 1, y: 2}\nb: *a\nc:\n  y: 3\n  <<: *a\nd:\n  <<: [{x: 9}, *a]\n";
        let expected = json!({"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 2}, "c": {"y": 3, "x": 1}, "d": {"x": 9, "y": 2}});
        assert_eq!(value(text), expected);
    }

    #[test]
    fn keys_become_text() {
        assert_eq!(
            value("1: a\ntrue: b\n~: c\nd: e"),
            json!({"1": "a", "true": "b", "<nil>": "c", "d": "e"})
        );
    }

    #[test]
    fn an_empty_file_is_null_and_only_the_first_document_is_read() {
        assert_eq!(value(""), json!(null));
        assert_eq!(value("# nothing\n"), json!(null));
        assert_eq!(value("a: 1\n---\na: 2\n"), json!({"a": 1}));
    }

    #[test]
    fn mistakes_have_a_line() {
        assert!(
            fails("a: 1\na: 2\n").contains("line 2: mapping key \"a\" already defined at line 1")
        );
        assert_eq!(fails("version: [3\n"), "1:10 yaml: line 1: unclosed bracket '['");
        assert!(fails("a:\n\t- b\n").contains("yaml: line 2"));
        assert!(fails("a:\n  - b: c\n d: []\n").contains("yaml: line 3"));
        assert!(fails("a: &x [*x]\n").contains("contains itself"));
    }

    #[test]
    fn aliases_cannot_blow_up() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let before = format!("*a{}, ", level - 1).repeat(10);
            text.extend([format!("a{level}: &a{level} [{before}]\n")]);
        }
        assert!(fails(&text).contains("excessive aliasing"));
    }

    #[test]
    fn positions_are_those_of_the_values() {
        let root = read(b"a:\n  - b: 1\n    c: two\n").expect("right");
        let c = root
            .child("a")
            .and_then(|a| a.child("0"))
            .and_then(|entry| entry.child("c"))
            .expect("c");
        assert_eq!((c.line, c.column), (3, 8));
    }
}
