//! `flatmap_filter`: moves, deletes and appends on a tree with labelled edges (spec 2.16).
//!
//! The odd results of the original are kept where they do not depend on chance: an emptied object or list becomes null,
//! a move between equal depths only changes the last label, labels of list elements are never renumbered.

use std::collections::HashMap;

use crate::json::document::Document;
use crate::json::error::EditError;
use crate::json::value::{Map, Value};

const ANY: &str = "*";

/// One operation as configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlatmapOp {
    pub kind: String,
    pub args: Vec<String>,
}

/// A list of operations, ready to be applied.
#[derive(Clone, Debug, Default)]
pub struct Flatmap {
    operations: Vec<Operation>,
}

type Path = Vec<String>;

#[derive(Clone, Debug)]
enum Operation {
    Move {
        from: Path,
        to: Path,
    },
    Append {
        from: Path,
        to: Path,
    },
    Delete(Vec<Path>),
    /// Too few arguments: fails when it is run.
    Broken(&'static str),
}

/// All nodes of a tree; they refer to each other by number. Number 0 is the root.
#[derive(Default)]
struct Nodes {
    nodes: Vec<Node>,
}

#[derive(Default)]
struct Node {
    /// Counts only while there are no edges; null once the edges of an object or list have gone.
    leaf: Option<Value>,
    is_list: bool,
    edges: Vec<Edge>,
}

struct Edge {
    label: String,
    node: usize,
}

/// A node together with the labels that led to it.
struct Place {
    node: usize,
    labels: Vec<String>,
}

// === impl Flatmap ===

impl Flatmap {
    /// `None` if there is nothing configured; a list of unknown kinds is something (it replaces allow and deny).
    #[must_use]
    pub fn compile(operations: &[FlatmapOp]) -> Option<Self> {
        if operations.is_empty() {
            return None;
        }
        Some(Self { operations: operations.iter().filter_map(Operation::compile).collect() })
    }

    /// # Errors
    /// An operation with too few arguments.
    pub fn apply(&self, document: &mut Document) -> Result<(), EditError> {
        if let Some(operation) = self.operations.iter().find_map(Operation::broken) {
            return Err(EditError::TooFewArguments { operation });
        }
        if self.operations.is_empty() || document.is_empty() {
            return Ok(());
        }
        let mut nodes = Nodes::of(document.to_map());
        for operation in &self.operations {
            nodes.run(operation);
        }
        *document = match nodes.expand(0) {
            Value::Object(map) => Document::from_map(map),
            _ => Document::null(),
        };
        Ok(())
    }
}

// === impl Operation ===

impl Operation {
    fn compile(operation: &FlatmapOp) -> Option<Self> {
        let mut paths =
            operation.args.iter().map(|path| path.split('.').map(str::to_owned).collect::<Path>());
        Some(match operation.kind.as_str() {
            "del" => Self::Delete(paths.collect()),
            "move" => match (paths.next(), paths.next()) {
                (Some(from), Some(to)) => Self::Move { from, to },
                _ => Self::Broken("move"),
            },
            "append" => match (paths.next(), paths.next()) {
                (Some(from), Some(to)) => Self::Append { from, to },
                _ => Self::Broken("append"),
            },
            _ => return None,
        })
    }

    fn broken(&self) -> Option<&'static str> {
        match self {
            Self::Broken(kind) => Some(kind),
            _ => None,
        }
    }
}

// === impl Nodes ===

impl Nodes {
    fn of(map: Map) -> Self {
        let mut nodes = Self::default();
        let root = nodes.grow();
        nodes.fill(root, Value::Object(map));
        nodes
    }

    fn grow(&mut self) -> usize {
        self.nodes.push(Node::default());
        self.nodes.len() - 1
    }

    fn run(&mut self, operation: &Operation) {
        match operation {
            Operation::Move { from, to } => self.relocate(from, to),
            Operation::Append { from, to } => self.append(from, to),
            Operation::Delete(paths) => paths.iter().for_each(|path| self.delete(path)),
            Operation::Broken(_) => {}
        }
    }

    /// Puts a value at a node. What it has already is kept: equal labels are filled in turn.
    fn fill(&mut self, node: usize, value: Value) {
        self.nodes[node].is_list = matches!(value, Value::Array(_));
        match value {
            Value::Object(map) if !map.is_empty() => self.fill_edges(node, map),
            Value::Array(list) if !list.is_empty() => {
                self.fill_edges(
                    node,
                    list.into_iter().enumerate().map(|(i, value)| (i.to_string(), value)),
                );
            }
            leaf => self.nodes[node].leaf = Some(leaf),
        }
    }

    fn fill_edges(&mut self, node: usize, values: impl IntoIterator<Item = (String, Value)>) {
        let mut known: HashMap<String, usize> = HashMap::new();
        for edge in &self.nodes[node].edges {
            known.entry(edge.label.clone()).or_insert(edge.node);
        }
        for (label, value) in values {
            let child = match known.get(&label) {
                Some(child) => *child,
                None => self.attach_new(node, label),
            };
            self.fill(child, value);
        }
    }

    fn attach_new(&mut self, node: usize, label: String) -> usize {
        let child = self.grow();
        self.nodes[node].edges.push(Edge { label, node: child });
        child
    }

    fn child(&self, node: usize, label: &str) -> Option<usize> {
        self.nodes[node].edges.iter().find(|edge| edge.label == label).map(|edge| edge.node)
    }

    /// The nodes that a path leads to, `*` standing for every child.
    fn places(&self, path: &[String]) -> Vec<Place> {
        let mut places = vec![Place { node: 0, labels: Vec::new() }];
        for step in path {
            let mut next = Vec::new();
            for place in &places {
                let edges = &self.nodes[place.node].edges;
                let matching = edges.iter().filter(|edge| step == ANY || edge.label == *step);
                // A label that occurs twice leads to the first node only.
                for edge in matching.take(if step == ANY { edges.len() } else { 1 }) {
                    let labels = place.labels.iter().chain([&edge.label]).cloned().collect();
                    next.push(Place { node: edge.node, labels });
                }
            }
            places = next;
        }
        places
    }

    fn delete(&mut self, path: &[String]) {
        let Some((last, parents)) = path.split_last() else { return };
        for place in self.places(parents) {
            let edges = &mut self.nodes[place.node].edges;
            if last == ANY {
                edges.clear();
            } else if let Some(at) = edges.iter().position(|edge| edge.label == *last) {
                edges.remove(at);
            }
        }
    }

    fn relocate(&mut self, from: &[String], to: &[String]) {
        let (Some((last, parents)), Some((new, _))) = (from.split_last(), to.split_last()) else {
            return;
        };
        for place in self.places(parents) {
            // As the last step `*` is a label like any other.
            let Some(at) = self.nodes[place.node].edges.iter().position(|edge| edge.label == *last)
            else {
                continue;
            };
            if from.len() == to.len() {
                self.nodes[place.node].edges[at].label.clone_from(new);
                continue;
            }
            let mut edge = self.nodes[place.node].edges.remove(at);
            edge.label.clone_from(new);
            let parent = if to.len() < from.len() {
                self.above(&place, to)
            } else {
                self.below(&place, &to[parents.len()..])
            };
            self.nodes[parent].edges.push(edge);
        }
    }

    /// Where something moved up goes: as deep as there are nodes on the way from the root. `*` takes the label that
    /// the way down had at that level.
    fn above(&self, place: &Place, to: &[String]) -> usize {
        let mut node = 0;
        for (i, step) in to.iter().take(to.len() - 1).enumerate() {
            let label = if step == ANY { place.labels.get(i).unwrap_or(step) } else { step };
            let Some(child) = self.child(node, label) else { break };
            node = child;
        }
        node
    }

    /// Where something moved down goes: below the parent it had, through nodes made as needed.
    fn below(&mut self, place: &Place, to: &[String]) -> usize {
        let mut node = place.node;
        for step in to.iter().take(to.len() - 1) {
            node = match self.child(node, step) {
                Some(child) => child,
                None => self.attach_new(node, step.clone()),
            };
        }
        node
    }

    fn append(&mut self, from: &[String], to: &[String]) {
        let (Value::Array(more), Value::Array(mut list)) = (self.get(0, from), self.get(0, to))
        else {
            return;
        };
        list.extend(more);
        let mut node = 0;
        for step in to {
            node = match self.child(node, step) {
                Some(child) => child,
                None => self.attach_new(node, step.clone()),
            };
        }
        self.fill(node, Value::Array(list));
        self.delete(from);
    }

    /// The value at a path; with `*` the list of values. Null if there is none.
    fn get(&self, node: usize, path: &[String]) -> Value {
        let Some((first, rest)) = path.split_first() else { return self.expand(node) };
        let edges = &self.nodes[node].edges;
        if first == ANY && !edges.is_empty() {
            return Value::Array(edges.iter().map(|edge| self.get(edge.node, rest)).collect());
        }
        self.child(node, first).map_or(Value::Null, |child| self.get(child, rest))
    }

    /// The value of a node; of equal labels the later wins. As deep as the tree was, plus the configured paths.
    fn expand(&self, node: usize) -> Value {
        let Node { leaf, is_list, edges } = &self.nodes[node];
        if edges.is_empty() {
            return leaf.clone().unwrap_or(Value::Null);
        }
        if *is_list {
            return Value::Array(edges.iter().map(|edge| self.expand(edge.node)).collect());
        }
        Value::Object(
            edges.iter().map(|edge| (edge.label.clone(), self.expand(edge.node))).collect(),
        )
    }
}

#[cfg(test)]
mod tests;
