//! `Arena`: the tables and lists of one call, shared between a script and the answer as Go shares maps and slices.
//!
//! Scripts hold numbers of places here, never the data: what refers to itself is no leak, and all of it goes at once.

use std::collections::BTreeMap;

use super::limits::DATA_BYTES_MAX;
use crate::json::{Map, Number, Value};

/// The deepest data that is written back into an answer.
const DEPTH_MAX: usize = 200;

/// About what a table takes once it has a member: the first node of its tree.
const TABLE_BYTES: usize = 640;

/// The number of a table.
pub type TableId = usize;

/// A run of an array, from its start. Go's slices: two may share an array and differ in length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    array: usize,
    pub len: usize,
}

#[derive(Debug)]
pub enum Node {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    Table(TableId),
    List(Slice),
    /// An object or a list that no script has looked into yet.
    Unread(Box<Value>),
    /// What the original holds as a struct; scripts can see some of them, and change none.
    Fixed(Box<Value>),
}

/// What a script gets when it reads a member.
#[derive(Debug, PartialEq)]
pub enum Found<'a> {
    Null,
    Bool(bool),
    Number(f64),
    Text(&'a str),
    Table(TableId),
    List(Slice),
    /// The members of a struct.
    Fixed(&'a Value),
}

/// The data of a call is larger or deeper than is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    Size,
    Depth,
}

#[derive(Default)]
struct Array {
    items: Vec<Node>,
    /// Data refers to it, too: it must not grow under that.
    is_shared: bool,
}

#[derive(Default)]
pub struct Arena {
    tables: Vec<BTreeMap<String, Node>>,
    arrays: Vec<Array>,
    held_bytes: usize,
    is_changed: bool,
}

impl Arena {
    /// Whether anything was written since this was last asked.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }

    // === tables ===

    pub fn new_table(&mut self) -> Result<TableId, Excess> {
        self.charge(TABLE_BYTES)?;
        self.tables.push(BTreeMap::new());
        Ok(self.tables.len() - 1)
    }

    /// A table with the members of an object that was not there before.
    pub fn copied_table(&mut self, members: Map) -> Result<TableId, Excess> {
        self.charge(TABLE_BYTES + members.values().map(weight).sum::<usize>())?;
        Ok(self.table_of(members))
    }

    /// A table with the members of an object, which moves from where it was already.
    pub fn table_of(&mut self, members: Map) -> TableId {
        self.tables.push(members.into_iter().map(|(key, value)| (key, Node::of(value))).collect());
        self.tables.len() - 1
    }

    pub fn table_len(&self, id: TableId) -> usize {
        self.tables.get(id).map_or(0, BTreeMap::len)
    }

    pub fn keys(&self, id: TableId) -> impl Iterator<Item = &str> {
        self.tables.get(id).into_iter().flatten().map(|(key, _)| key.as_str())
    }

    pub fn has_key(&self, id: TableId, key: &str) -> bool {
        self.tables.get(id).is_some_and(|table| table.contains_key(key))
    }

    pub fn member(&mut self, id: TableId, key: &str) -> Option<Found<'_>> {
        let node = self.tables.get_mut(id)?.get_mut(key)?;
        if let Some(value) = node.take_unread() {
            let opened = self.open(value);
            self.put(id, key, opened);
        }
        self.tables[id].get(key).map(Node::found)
    }

    pub fn set_member(&mut self, id: TableId, key: &str, node: Node) -> Result<(), Excess> {
        self.charge(key.len() + node.bytes())?;
        self.is_changed = true;
        self.put(id, key, node);
        Ok(())
    }

    pub fn remove_member(&mut self, id: TableId, key: &str) {
        if let Some(table) = self.tables.get_mut(id) {
            self.is_changed |= table.remove(key).is_some();
        }
    }

    /// Moves a member out.
    pub fn take_member(&mut self, id: TableId, key: &str) -> Option<Node> {
        self.tables.get_mut(id)?.remove(key)
    }

    fn put(&mut self, id: TableId, key: &str, node: Node) {
        if let Some(table) = self.tables.get_mut(id) {
            table.insert(key.to_owned(), node);
        }
    }

    // === lists ===

    /// A list that nothing else refers to.
    pub fn new_list(&mut self, items: Vec<Node>) -> Result<Slice, Excess> {
        self.charge(items.iter().map(Node::bytes).sum::<usize>() + size_of::<Array>())?;
        Ok(self.push_array(items, false))
    }

    /// Data will refer to this list from now on.
    pub fn share(&mut self, slice: Slice) {
        if let Some(array) = self.arrays.get_mut(slice.array) {
            array.is_shared = true;
        }
    }

    fn push_array(&mut self, items: Vec<Node>, is_shared: bool) -> Slice {
        let slice = Slice { array: self.arrays.len(), len: items.len() };
        self.arrays.push(Array { items, is_shared });
        slice
    }

    pub fn item(&mut self, slice: Slice, index: i64) -> Option<Found<'_>> {
        let index = usize::try_from(index).ok().filter(|index| *index < slice.len)?;
        let node = self.arrays.get_mut(slice.array)?.items.get_mut(index)?;
        if let Some(value) = node.take_unread() {
            let opened = self.open(value);
            self.arrays[slice.array].items[index] = opened;
        }
        Some(self.arrays[slice.array].items[index].found())
    }

    /// Writes an item. Beyond the end the list is filled up with null; where data refers to it, it moves to an array of
    /// its own first: whoever holds the old one does not see it grow.
    pub fn set_item(&mut self, slice: Slice, index: i64, node: Node) -> Result<Slice, Excess> {
        let Ok(index) = usize::try_from(index) else { return Ok(slice) };
        let gap = (index + 1).saturating_sub(slice.len);
        self.charge(gap.saturating_mul(size_of::<Node>()).saturating_add(node.bytes()))?;
        self.is_changed = true;
        let Some(array) = self.arrays.get(slice.array) else { return Ok(slice) };
        let mut slice = slice;
        if gap > 0 && array.is_shared {
            let items: Vec<Node> = self.items(slice).iter().map(Node::share).collect();
            slice = self.new_list(items)?;
        }
        let items = &mut self.arrays[slice.array].items;
        if gap > 0 {
            items.truncate(slice.len);
            items.resize_with(index + 1, || Node::Null);
            slice.len = items.len();
        }
        if let Some(place) = items.get_mut(index) {
            *place = node;
        }
        Ok(slice)
    }

    /// Takes an item out. The array keeps its length: whoever holds it whole sees a null at the end.
    pub fn remove_item(&mut self, slice: Slice, index: i64) -> Slice {
        let Some(index) = usize::try_from(index).ok().filter(|index| *index < slice.len) else {
            return slice;
        };
        let Some(run) =
            self.arrays.get_mut(slice.array).and_then(|array| array.items.get_mut(..slice.len))
        else {
            return slice;
        };
        self.is_changed = true;
        run[index..].rotate_left(1);
        run[slice.len - 1] = Node::Null;
        Slice { len: slice.len - 1, ..slice }
    }

    pub fn items(&self, slice: Slice) -> &[Node] {
        self.arrays
            .get(slice.array)
            .and_then(|array| array.items.get(..slice.len))
            .unwrap_or_default()
    }

    // === in and out ===

    /// One level of an object or a list becomes a table or a list.
    fn open(&mut self, value: Value) -> Node {
        match value {
            Value::Object(members) => Node::Table(self.table_of(members)),
            Value::Array(items) => {
                Node::List(self.push_array(items.into_iter().map(Node::of).collect(), true))
            }
            other => Node::of(other),
        }
    }

    /// The members of a table, as an answer has them.
    pub fn to_map(&self, id: TableId) -> Result<Map, Excess> {
        let mut walk = Walk {
            seen_tables: vec![false; self.tables.len()],
            seen_arrays: vec![false; self.arrays.len()],
            room_bytes: DATA_BYTES_MAX,
        };
        self.members(id, 0, &mut walk)
    }

    fn members(&self, id: TableId, depth: usize, walk: &mut Walk) -> Result<Map, Excess> {
        let is_repeated = mark(&mut walk.seen_tables, id);
        walk.charge(if is_repeated { TABLE_BYTES } else { 0 })?;
        let members = self.tables.get(id).into_iter().flatten();
        members
            .map(|(key, node)| Ok((key.clone(), self.value(node, depth, is_repeated, walk)?)))
            .collect()
    }

    fn value(
        &self,
        node: &Node,
        depth: usize,
        is_repeated: bool,
        walk: &mut Walk,
    ) -> Result<Value, Excess> {
        if depth >= DEPTH_MAX {
            return Err(Excess::Depth);
        }
        walk.charge(if is_repeated { node.bytes() } else { 0 })?;
        Ok(match node {
            Node::Null => Value::Null,
            Node::Bool(value) => Value::Bool(*value),
            Node::Number(number) => Value::Number(number.clone()),
            Node::Text(text) => Value::String(text.clone()),
            Node::Table(id) => Value::Object(self.members(*id, depth + 1, walk)?),
            Node::List(slice) => {
                let is_repeated = mark(&mut walk.seen_arrays, slice.array);
                let items = self.items(*slice).iter();
                let values = items.map(|item| self.value(item, depth + 1, is_repeated, walk));
                Value::Array(values.collect::<Result<_, _>>()?)
            }
            Node::Unread(value) | Node::Fixed(value) => (**value).clone(),
        })
    }

    fn charge(&mut self, bytes: usize) -> Result<(), Excess> {
        self.held_bytes = self.held_bytes.saturating_add(bytes);
        if self.held_bytes > DATA_BYTES_MAX { Err(Excess::Size) } else { Ok(()) }
    }
}

/// The way through the data of an answer. What stands in several places is written several times: only the first is
/// bounded by what there is.
struct Walk {
    seen_tables: Vec<bool>,
    seen_arrays: Vec<bool>,
    room_bytes: usize,
}

impl Walk {
    fn charge(&mut self, bytes: usize) -> Result<(), Excess> {
        self.room_bytes = self.room_bytes.checked_sub(bytes).ok_or(Excess::Size)?;
        Ok(())
    }
}

/// Marks a place, and says whether it was marked before.
fn mark(seen: &mut [bool], place: usize) -> bool {
    seen.get_mut(place).is_none_or(|seen| std::mem::replace(seen, true))
}

impl Node {
    pub fn of(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(value),
            Value::Number(number) => Self::Number(number),
            Value::String(text) => Self::Text(text),
            Value::Array(_) | Value::Object(_) => Self::Unread(Box::new(value)),
            Value::Struct(_) | Value::Typed(_) => Self::Fixed(Box::new(value)),
        }
    }

    fn take_unread(&mut self) -> Option<Value> {
        if !matches!(self, Self::Unread(_)) {
            return None;
        }
        match std::mem::replace(self, Self::Null) {
            Self::Unread(value) => Some(*value),
            _ => None,
        }
    }

    fn found(&self) -> Found<'_> {
        match self {
            Self::Null => Found::Null,
            Self::Bool(value) => Found::Bool(*value),
            Self::Number(number) => Found::Number(to_f64(number)),
            Self::Text(text) => Found::Text(text),
            Self::Table(id) => Found::Table(*id),
            Self::List(slice) => Found::List(*slice),
            Self::Unread(value) | Self::Fixed(value) => Found::Fixed(value),
        }
    }

    /// The same value in another place; tables and lists stay shared.
    fn share(&self) -> Self {
        match self {
            Self::Null => Self::Null,
            Self::Bool(value) => Self::Bool(*value),
            Self::Number(number) => Self::Number(number.clone()),
            Self::Text(text) => Self::Text(text.clone()),
            Self::Table(id) => Self::Table(*id),
            Self::List(slice) => Self::List(*slice),
            Self::Unread(value) => Self::Unread(value.clone()),
            Self::Fixed(value) => Self::Fixed(value.clone()),
        }
    }

    /// About what it takes.
    fn bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Text(text) => text.len(),
                Self::Unread(value) | Self::Fixed(value) => weight(value),
                _ => 0,
            }
    }

    /// The text that `%s` of Go makes of it, for the values of a header.
    pub fn as_header_value(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(Number::Text(text)) => text.to_string(),
            Self::Number(Number::Float(float)) => format!("%!s(float64={float})"),
            Self::Number(Number::Int(int)) => format!("%!s(int={int})"),
            Self::Bool(value) => format!("%!s(bool={value})"),
            Self::Null => "%!s(<nil>)".to_owned(),
            Self::Table(_) | Self::List(_) | Self::Unread(_) | Self::Fixed(_) => String::new(),
        }
    }
}

/// About how many bytes a value takes, however deep it is.
fn weight(value: &Value) -> usize {
    let mut waiting = vec![value];
    let mut bytes = 0;
    while let Some(value) = waiting.pop() {
        bytes += size_of::<Value>();
        match value {
            Value::String(text) => bytes += text.len(),
            Value::Array(items) => waiting.extend(items),
            Value::Object(members) => {
                bytes += TABLE_BYTES + members.keys().map(String::len).sum::<usize>();
                waiting.extend(members.values());
            }
            Value::Struct(members) => waiting.extend(members.iter().map(|(_, value)| value)),
            Value::Typed(held) => waiting.push(held),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    bytes
}

fn to_f64(number: &Number) -> f64 {
    match number {
        Number::Text(text) => text.parse().unwrap_or(0.0),
        Number::Float(float) => *float,
        Number::Int(int) => *int as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arena(json: &[(&str, Value)]) -> (Arena, TableId) {
        let mut arena = Arena::default();
        let members = json.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let root = arena.table_of(members);
        (arena, root)
    }

    fn text(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    fn list(arena: &mut Arena, root: TableId, key: &str) -> Slice {
        match arena.member(root, key) {
            Some(Found::List(slice)) => slice,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_written_into_a_nested_table_is_seen_from_its_root() {
        let (mut arena, root) =
            arena(&[("a", Value::Object(Map::from([("b".into(), text("old"))])))]);
        let Some(Found::Table(inner)) = arena.member(root, "a") else { panic!("a table") };
        arena.set_member(inner, "b", Node::Text("new".into())).unwrap();
        assert!(arena.take_changed());
        let map = arena.to_map(root).unwrap();
        assert_eq!(map["a"], Value::Object(Map::from([("b".into(), text("new"))])));
    }

    #[test]
    fn reading_is_no_change() {
        let (mut arena, root) = arena(&[("a", Value::Array(vec![text("x")]))]);
        let slice = list(&mut arena, root, "a");
        assert_eq!(arena.item(slice, 0), Some(Found::Text("x")));
        assert_eq!(arena.item(slice, 1), None);
        assert_eq!(arena.item(slice, -1), None);
        assert!(!arena.take_changed());
    }

    #[test]
    fn an_item_that_is_taken_out_leaves_a_null_at_the_end_for_the_old_list() {
        let (mut arena, root) =
            arena(&[("l", Value::Array(vec![text("a"), text("b"), text("c")]))]);
        let slice = list(&mut arena, root, "l");
        let shorter = arena.remove_item(slice, 1);
        assert_eq!((shorter.len, arena.items(shorter).len()), (2, 2));
        assert_eq!(
            arena.to_map(root).unwrap()["l"],
            Value::Array(vec![text("a"), text("c"), Value::Null])
        );
        arena.set_member(root, "l", Node::List(shorter)).unwrap();
        assert_eq!(arena.to_map(root).unwrap()["l"], Value::Array(vec![text("a"), text("c")]));
    }

    #[test]
    fn a_list_that_grows_leaves_the_old_one_as_it_was() {
        let (mut arena, root) = arena(&[("l", Value::Array(vec![text("a")]))]);
        let slice = list(&mut arena, root, "l");
        let grown = arena.set_item(slice, 2, Node::Text("c".into())).unwrap();
        assert_eq!(grown.len, 3);
        assert_eq!(arena.item(grown, 1), Some(Found::Null));
        assert_eq!(arena.to_map(root).unwrap()["l"], Value::Array(vec![text("a")]));
        assert_eq!(arena.set_item(grown, -1, Node::Null), Ok(grown));
    }

    #[test]
    fn a_list_of_the_scripts_own_grows_in_place() {
        let mut arena = Arena::default();
        let mut slice = arena.new_list(Vec::new()).unwrap();
        for index in 0..100_000 {
            slice = arena.set_item(slice, index, Node::Bool(true)).unwrap();
        }
        assert_eq!((slice.len, arena.arrays.len()), (100_000, 1));
        arena.share(slice);
        let grown = arena.set_item(slice, 100_000, Node::Null).unwrap();
        assert_eq!((arena.items(slice).len(), arena.items(grown).len()), (100_000, 100_001));
        let shorter = arena.remove_item(grown, 0);
        let again = arena.set_item(shorter, 100_000, Node::Null).unwrap();
        assert_eq!((again.len, arena.arrays.len()), (100_001, 2));
    }

    #[test]
    fn numbers_of_a_body_keep_their_text() {
        let number = Value::Number(Number::Text("1.50".into()));
        let (mut arena, root) = arena(&[("n", number.clone())]);
        assert_eq!(arena.member(root, "n"), Some(Found::Number(1.5)));
        assert_eq!(arena.to_map(root).unwrap()["n"], number);
    }

    #[test]
    fn data_without_end_is_refused() {
        let mut arena = Arena::default();
        let empty = arena.new_list(Vec::new()).unwrap();
        assert_eq!(arena.set_item(empty, i64::MAX, Node::Null), Err(Excess::Size));
        let mut arena = Arena::default();
        let root = arena.new_table().unwrap();
        arena.set_member(root, "self", Node::Table(root)).unwrap();
        assert_eq!(arena.to_map(root), Err(Excess::Depth));
    }

    #[test]
    fn copies_without_end_are_refused() {
        let mut arena = Arena::default();
        let members = Map::from([("k".to_owned(), text(&"x".repeat(1 << 20)))]);
        let copies = (0..1_000).take_while(|_| arena.copied_table(members.clone()).is_ok()).count();
        assert!((200..260).contains(&copies), "{copies}");
    }

    #[test]
    fn data_that_stands_in_many_places_is_counted_in_each() {
        let mut arena = Arena::default();
        let mut table = arena.new_table().unwrap();
        for _ in 0..40 {
            let outer = arena.new_table().unwrap();
            for key in ["a", "b"] {
                arena.set_member(outer, key, Node::Table(table)).unwrap();
            }
            table = outer;
        }
        assert_eq!(arena.to_map(table), Err(Excess::Size));
    }

    #[test]
    fn places_that_are_gone_are_empty() {
        let (mut arena, root) = arena(&[]);
        let slice = arena.new_list(vec![Node::Null]).unwrap();
        arena = Arena::default();
        assert_eq!(arena.member(root, "a"), None);
        assert_eq!(arena.item(slice, 0), None);
        assert_eq!(arena.remove_item(slice, 0), slice);
        assert_eq!((arena.table_len(root), arena.keys(root).count()), (0, 0));
        assert_eq!(arena.to_map(root), Ok(Map::new()));
    }
}
