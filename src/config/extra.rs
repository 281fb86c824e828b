//! `extra_config`: the blocks of features, by namespace, not yet decoded.

use super::aliases;
use super::problem::Place;
use super::source::{Entry, Node, NodeValue};

/// Namespace → block, in the order of the file, under the namespaces' current names.
#[derive(Clone, Debug, Default)]
pub struct ExtraConfig {
    blocks: Vec<(String, Block)>,
}

/// What stands below one namespace.
#[derive(Clone, Debug)]
pub struct Block {
    /// Whole numbers of JSON up to 2^53 are integers, all others what a float64 keeps of them.
    pub value: serde_json::Value,
    pub place: Place,
    node: Node,
    has_former_name: bool,
}

// === impl ExtraConfig ===

impl ExtraConfig {
    pub fn get(&self, namespace: &str) -> Option<&Block> {
        self.blocks.iter().find(|(name, _)| name == namespace).map(|(_, block)| block)
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Block)> {
        self.blocks.iter().map(|(name, block)| (name.as_str(), block))
    }

    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Adds a block; one of the same name is replaced, but a former name never replaces the current one (spec 2.2).
    /// Gives the current name when the block was left out for that reason.
    pub(super) fn insert(&mut self, entry: &Entry, place: Place) -> Option<&'static str> {
        let current = aliases::current_name(&entry.key);
        let name = current.unwrap_or(&entry.key);
        let (value, node) = (entry.value.to_json(), entry.value.clone());
        let block = Block { value, place, node, has_former_name: current.is_some() };
        match self.blocks.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) if current.is_some() && !known.has_former_name => return current,
            Some((_, known)) => *known = block,
            None => self.blocks.push((name.to_owned(), block)),
        }
        None
    }
}

// === impl Block ===

impl Block {
    /// The entries of a block that is a list, each as a block of its own; `None` for any other.
    pub fn entries(&self) -> Option<Vec<Block>> {
        let NodeValue::List(nodes) = &self.node.value else { return None };
        let entries = nodes.iter().enumerate().map(|(index, node)| Block {
            value: node.to_json(),
            place: self.place_at(&format!("/{index}")),
            node: node.clone(),
            has_former_name: self.has_former_name,
        });
        Some(entries.collect())
    }

    /// The place of a value inside the block, by JSON pointer (RFC 6901): `/static/data/0`. Where nothing stands,
    /// the place of what would hold it.
    pub fn place_at(&self, pointer: &str) -> Place {
        let (mut node, mut place) = (&self.node, self.place.clone());
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            let Some(child) = node.child(&step) else { return place };
            place = match step.parse() {
                Ok(index) if matches!(node.value, NodeValue::List(_)) => place.index(index),
                _ => place.key(&step),
            };
            place = place.at(child.line, child.column);
            node = child;
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source;

    fn extra(text: &str) -> ExtraConfig {
        let root = source::read("krakend.json", text.as_bytes()).expect("right");
        let NodeValue::Map(entries) = root.value else { panic!("an object") };
        let mut extra = ExtraConfig::default();
        for entry in &entries {
            let place = Place::of_file("krakend.json").key("extra_config").key(&entry.key);
            extra.insert(entry, place.at(entry.value.line, entry.value.column));
        }
        extra
    }

    #[test]
    fn blocks_are_found_by_their_current_names_in_the_order_of_the_file() {
        let extra =
            extra(r#"{"x": 1, "github.com/devopsfaith/krakend/proxy": {"a": 2}, "b": null}"#);
        assert_eq!(extra.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["x", "proxy", "b"]);
        assert_eq!(
            extra.get("proxy").map(|block| block.value.to_string()).as_deref(),
            Some(r#"{"a":2}"#)
        );
    }

    #[test]
    fn the_current_name_wins_over_the_former_wherever_it_stands() {
        for text in [
            r#"{"proxy": 1, "github.com/devopsfaith/krakend/proxy": 2}"#,
            r#"{"github.com/devopsfaith/krakend/proxy": 2, "proxy": 1}"#,
        ] {
            assert_eq!(extra(text).get("proxy").map(|block| block.value.clone()), Some(1.into()));
        }
    }

    #[test]
    fn a_list_is_a_row_of_blocks() {
        let extra = extra("{\"x\": [{\"a\": 1},\n {\"b\": 2}], \"y\": {}}");
        let entries = extra.get("x").and_then(Block::entries).expect("a list");
        assert_eq!(entries[1].value.to_string(), r#"{"b":2}"#);
        assert_eq!(&*entries[1].place_at("/b").path, "extra_config.x[1].b");
        assert_eq!(entries[1].place.line, 2);
        assert!(extra.get("y").and_then(Block::entries).is_none());
    }

    #[test]
    fn a_value_inside_a_block_has_its_own_place() {
        let extra = extra("{\"proxy\": {\n \"static\": {\"data\": [\n  1]}}}");
        let block = extra.get("proxy").expect("proxy");
        let place = block.place_at("/static/data/0");
        assert_eq!(
            (place.line, place.column, &*place.path),
            (3, 3, "extra_config.proxy.static.data[0]")
        );
        assert_eq!(&*block.place_at("/static/none/x").path, "extra_config.proxy.static");
    }
}
