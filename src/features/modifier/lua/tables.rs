//! `luaTable`, `luaList` and `luaNil`: data as scripts read and write it.
//!
//! Follows krakend-lua, decorator/luatable.go, lualist.go, luanil.go and types.go (specification, section 2.26).

use std::cell::Cell;
use std::rc::Rc;

use mlua::{Lua, MultiValue, Table, UserData, UserDataMethods, Value};

use super::arguments::{Arguments, text_of_number};
use super::data::{Arena, Excess, Found, Node, Slice, TableId};
use super::interpreter::Shared;
use super::limits::NO_MEMORY;
use super::position::raise;
use super::subject::Subject;
use crate::json::{Number, Value as Json};

/// The deepest Lua table that becomes data.
const NATIVE_DEPTH_MAX: usize = 100;
const NOT_OURS: &str = "response expected";

/// A luaTable.
pub struct TableObject {
    pub subject: Rc<Subject>,
    pub id: TableId,
}

/// A luaList.
pub struct ListObject {
    pub subject: Rc<Subject>,
    slice: Cell<Slice>,
}

/// What stands for null in data.
pub struct NilObject;

impl ListObject {
    /// A luaList over a run that stands in the subject's arena.
    pub fn over(subject: &Rc<Subject>, slice: Slice) -> Self {
        Self { subject: subject.clone(), slice: Cell::new(slice) }
    }

    /// A new luaList of texts.
    pub fn of_texts<'t>(
        lua: &Lua,
        subject: &Rc<Subject>,
        texts: impl Iterator<Item = &'t [u8]>,
    ) -> mlua::Result<Self> {
        let items = texts.map(text_node).collect();
        let slice = subject
            .arena
            .borrow_mut()
            .new_list(items)
            .map_err(|excess| excess_error(lua, excess))?;
        Ok(Self::over(subject, slice))
    }

    /// Its items as the values of a header.
    pub fn header_values(&self) -> Vec<Vec<u8>> {
        let arena = self.subject.arena.borrow();
        arena
            .items(self.slice.get())
            .iter()
            .map(|item| item.as_header_value().into_bytes())
            .collect()
    }
}

/// The three tables of functions that make objects.
pub fn offer(lua: &Lua, shared: &Rc<Shared>, offered: &Table) -> mlua::Result<()> {
    let own = shared.clone();
    let new_table = lua.create_function(move |lua, ()| {
        let subject = own.subject(lua)?;
        let id =
            subject.arena.borrow_mut().new_table().map_err(|excess| excess_error(lua, excess))?;
        Ok(TableObject { subject, id })
    })?;
    let own = shared.clone();
    let new_list = lua.create_function(move |lua, ()| {
        ListObject::of_texts(lua, &own.subject(lua)?, std::iter::empty())
    })?;
    let new_nil = lua.create_function(|_, ()| Ok(NilObject))?;
    for (name, new) in [("luaTable", new_table), ("luaList", new_list), ("luaNil", new_nil)] {
        offered.set(name, lua.create_table_from([("new", new)])?)?;
    }
    Ok(())
}

impl UserData for NilObject {}

impl UserData for TableObject {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_function("get", |lua, values: MultiValue| {
            let arguments = Arguments::new(lua, "get", &values);
            let table = table_of(&arguments, 2)?;
            let key = arguments.name(2)?;
            let mut arena = table.subject.arena.borrow_mut();
            match arena.member(table.id, &key) {
                Some(Found::Fixed(value)) => {
                    let Some(members) = error_members(&key, value) else {
                        return Err(arguments.error("unknown type"));
                    };
                    drop(arena);
                    new_table(lua, &table.subject, members)
                }
                found => to_lua(lua, &table.subject, found),
            }
        });
        methods.add_function("set", |lua, values: MultiValue| {
            let arguments = Arguments::new(lua, "set", &values);
            let table = table_of(&arguments, 3)?;
            let key = arguments.name(2)?;
            let mut arena = table.subject.arena.borrow_mut();
            let Some(node) = to_node(lua, &mut arena, arguments.value(3))? else { return Ok(()) };
            arena.set_member(table.id, &key, node).map_err(|excess| excess_error(lua, excess))
        });
        methods.add_function("del", |lua, values: MultiValue| {
            let arguments = Arguments::new(lua, "del", &values);
            let table = table_of(&arguments, 2)?;
            table.subject.arena.borrow_mut().remove_member(table.id, &arguments.name(2)?);
            Ok(())
        });
        methods.add_function("len", |lua, values: MultiValue| {
            let table = Arguments::new(lua, "len", &values).object::<Self>(1, NOT_OURS)?;
            Ok(table.subject.arena.borrow().table_len(table.id))
        });
        methods.add_function("keys", |lua, values: MultiValue| {
            let table = Arguments::new(lua, "keys", &values).object::<Self>(1, NOT_OURS)?;
            let keys: Vec<String> =
                table.subject.arena.borrow().keys(table.id).map(ToOwned::to_owned).collect();
            ListObject::of_texts(lua, &table.subject, keys.iter().map(String::as_bytes))
        });
        methods.add_function("keyExists", |lua, values: MultiValue| {
            let arguments = Arguments::new(lua, "keyExists", &values);
            let table = table_of(&arguments, 2)?;
            let key = arguments.name(2)?;
            Ok(table.subject.arena.borrow().has_key(table.id, &key))
        });
    }
}

impl UserData for ListObject {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_function("get", |lua, values: MultiValue| {
            let arguments = Arguments::new(lua, "get", &values);
            let list = list_of(&arguments, 2)?;
            let index = arguments.whole(2)?;
            let mut arena = list.subject.arena.borrow_mut();
            let found = arena.item(list.slice.get(), index);
            to_lua(lua, &list.subject, found.filter(|found| !matches!(found, Found::Fixed(_))))
        });
        methods.add_function("set", |lua, values: MultiValue| {
            let arguments = Arguments::new(lua, "set", &values);
            let list = list_of(&arguments, 3)?;
            let index = arguments.whole(2)?;
            let mut arena = list.subject.arena.borrow_mut();
            let node = to_node(lua, &mut arena, arguments.value(3))?;
            // Even a value that cannot be data makes the list longer.
            let node = match node {
                Some(node) => node,
                None if usize::try_from(index).is_ok_and(|index| index >= list.slice.get().len) => {
                    Node::Null
                }
                None => return Ok(()),
            };
            let slice = arena
                .set_item(list.slice.get(), index, node)
                .map_err(|excess| excess_error(lua, excess))?;
            list.slice.set(slice);
            Ok(())
        });
        methods.add_function("del", |lua, values: MultiValue| {
            let arguments = Arguments::new(lua, "del", &values);
            let list = list_of(&arguments, 2)?;
            let index = arguments.whole(2)?;
            list.slice.set(list.subject.arena.borrow_mut().remove_item(list.slice.get(), index));
            Ok(())
        });
        methods.add_function("len", |lua, values: MultiValue| {
            let list = Arguments::new(lua, "len", &values).object::<Self>(1, NOT_OURS)?;
            Ok(list.slice.get().len)
        });
    }
}

fn table_of(
    arguments: &Arguments<'_>,
    count: usize,
) -> mlua::Result<mlua::UserDataRef<TableObject>> {
    if arguments.count() != count {
        return Err(arguments.miscounted());
    }
    arguments.object(1, NOT_OURS)
}

fn list_of(arguments: &Arguments<'_>, count: usize) -> mlua::Result<mlua::UserDataRef<ListObject>> {
    if arguments.count() != count {
        return Err(arguments.miscounted());
    }
    arguments.object(1, NOT_OURS)
}

/// The error of a script whose data is too large or too deep.
pub fn excess_error(lua: &Lua, excess: Excess) -> mlua::Error {
    raise(lua, excess_message(excess))
}

pub fn excess_message(excess: Excess) -> &'static str {
    match excess {
        Excess::Size => NO_MEMORY,
        Excess::Depth => "the data is nested too deeply",
    }
}

// === data to Lua ===

/// What a read gives. Nothing at all, not even nil, where there is nothing.
fn to_lua(lua: &Lua, subject: &Rc<Subject>, found: Option<Found<'_>>) -> mlua::Result<MultiValue> {
    let Some(found) = found else { return Ok(MultiValue::new()) };
    let value = match found {
        Found::Null | Found::Fixed(_) => Value::UserData(lua.create_userdata(NilObject)?),
        Found::Bool(value) => Value::Boolean(value),
        Found::Number(number) => Value::Number(number),
        Found::Text(text) => Value::String(lua.create_string(text)?),
        Found::Table(id) => {
            Value::UserData(lua.create_userdata(TableObject { subject: subject.clone(), id })?)
        }
        Found::List(slice) => {
            Value::UserData(lua.create_userdata(ListObject::over(subject, slice))?)
        }
    };
    Ok(MultiValue::from_iter([value]))
}

/// A luaTable of these members.
pub fn new_table(
    lua: &Lua,
    subject: &Rc<Subject>,
    members: crate::json::Map,
) -> mlua::Result<MultiValue> {
    let id = subject
        .arena
        .borrow_mut()
        .copied_table(members)
        .map_err(|excess| excess_error(lua, excess))?;
    to_lua(lua, subject, Some(Found::Table(id)))
}

/// The error details of a failed call, which a script gets as a copy with all members.
fn error_members(key: &str, value: &Json) -> Option<crate::json::Map> {
    let name = key.strip_prefix("error_")?;
    let Json::Struct(given) = value else { return None };
    let text = |text: &str| Json::String(text.to_owned());
    let mut members = crate::json::Map::from([
        ("http_status_code".to_owned(), Json::Number(Number::Int(0))),
        ("http_body".to_owned(), text("")),
        ("http_body_encoding".to_owned(), text("")),
        ("name".to_owned(), text(name)),
    ]);
    members.extend(given.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    Some(members)
}

// === Lua to data ===

fn text_node(text: &[u8]) -> Node {
    Node::Text(String::from_utf8_lossy(text).into_owned())
}

/// A value that a script sets, `None` for nil and functions, which change nothing.
fn to_node(lua: &Lua, arena: &mut Arena, value: &Value) -> mlua::Result<Option<Node>> {
    Ok(match value {
        Value::String(text) => Some(text_node(&text.as_bytes())),
        Value::Boolean(value) => Some(Node::Bool(*value)),
        Value::Integer(integer) => Some(Node::Number(Number::Float(*integer as f64))),
        Value::Number(float) => Some(Node::Number(Number::Float(*float))),
        // At the top, a Lua table is an object whatever its keys are.
        Value::Table(table) => Some(Node::Table(native_table(lua, arena, table, 0)?.0)),
        Value::UserData(object) => object_node(arena, object),
        _ => None,
    })
}

fn object_node(arena: &mut Arena, object: &mlua::AnyUserData) -> Option<Node> {
    if let Ok(table) = object.borrow::<TableObject>() {
        return Some(Node::Table(table.id));
    }
    if let Ok(list) = object.borrow::<ListObject>() {
        arena.share(list.slice.get());
        return Some(Node::List(list.slice.get()));
    }
    object.is::<NilObject>().then_some(Node::Null)
}

/// A Lua table as an object; with it the keys, where all of them are whole numbers.
fn native_table(
    lua: &Lua,
    arena: &mut Arena,
    table: &Table,
    depth: usize,
) -> mlua::Result<(TableId, Option<Vec<(i64, String)>>)> {
    if depth >= NATIVE_DEPTH_MAX {
        return Err(excess_error(lua, Excess::Depth));
    }
    let excess = |excess| excess_error(lua, excess);
    let id = arena.new_table().map_err(excess)?;
    let mut whole = Some(Vec::new());
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        let key = key_text(lua, &key)?;
        let Some(node) = native_node(lua, arena, &value, depth)? else { continue };
        match key.parse::<i64>() {
            Ok(number) => {
                if let Some(whole) = &mut whole {
                    whole.push((number, key.clone()));
                }
            }
            Err(_) => whole = None,
        }
        arena.set_member(id, &key, node).map_err(excess)?;
    }
    Ok((id, whole))
}

/// A member of a Lua table: whole numbers become integers, tables with whole keys lists.
fn native_node(
    lua: &Lua,
    arena: &mut Arena,
    value: &Value,
    depth: usize,
) -> mlua::Result<Option<Node>> {
    Ok(match value {
        Value::Integer(integer) => Some(Node::Number(Number::Int(*integer))),
        Value::Table(table) => {
            let (id, whole) = native_table(lua, arena, table, depth + 1)?;
            let Some(mut keys) = whole else { return Ok(Some(Node::Table(id))) };
            // Go's list of nothing is null.
            if keys.is_empty() {
                return Ok(Some(Node::Null));
            }
            keys.sort_unstable();
            let items = keys.iter().filter_map(|(_, key)| arena.take_member(id, key)).collect();
            let slice = arena.new_list(items).map_err(|excess| excess_error(lua, excess))?;
            arena.share(slice);
            Some(Node::List(slice))
        }
        value => to_node(lua, arena, value)?,
    })
}

fn key_text(lua: &Lua, key: &Value) -> mlua::Result<String> {
    Ok(match key {
        Value::String(text) => text.to_string_lossy(),
        Value::Integer(_) | Value::Number(_) => {
            String::from_utf8(text_of_number(lua, key)?).unwrap_or_default()
        }
        Value::Boolean(value) => value.to_string(),
        // No metamethod is asked: a script must not run while its data is being written.
        key => format!("{}: {:p}", key.type_name(), key.to_pointer()),
    })
}
