//! What happens where a script uses a value as what it is not: the messages of gopher-lua, by way of metatables for the
//! types that have none of their own.

use mlua::{Function, Lua, LuaString, MultiValue, Table, Thread, Value};

use super::arguments::{text_of_number, type_name};
use super::position::raise;

const ARITHMETIC: [(&str, &str); 6] = [
    ("__add", "add"),
    ("__sub", "sub"),
    ("__mul", "mul"),
    ("__div", "div"),
    ("__mod", "mod"),
    ("__pow", "pow"),
];

/// Gives texts, numbers, booleans, functions and coroutines their messages. Nil cannot have any: see `error.rs`.
pub fn install(lua: &Lua) -> mlua::Result<Table> {
    let handlers = handlers(lua)?;
    lua.set_type_metatable::<LuaString>(Some(handlers.clone()));
    lua.set_type_metatable::<f64>(Some(handlers.clone()));
    lua.set_type_metatable::<bool>(Some(handlers.clone()));
    lua.set_type_metatable::<Function>(Some(handlers.clone()));
    lua.set_type_metatable::<Thread>(Some(handlers.clone()));
    Ok(handlers)
}

fn handlers(lua: &Lua) -> mlua::Result<Table> {
    let handlers = lua.create_table()?;
    for event in ["__index", "__newindex"] {
        let complain =
            |lua: &Lua, (value, key, _): (Value, Value, MultiValue)| -> mlua::Result<()> {
                Err(raise(lua, &not_a_table(type_name(&value), &key_text(lua, &key)?)))
            };
        handlers.set(event, lua.create_function(complain)?)?;
    }
    for (event, operation) in ARITHMETIC.into_iter().chain([("__concat", "concat")]) {
        let handle =
            move |lua: &Lua, operands: (Value, Value)| binary(lua, event, operation, operands);
        handlers.set(event, lua.create_function(handle)?)?;
    }
    let negate =
        |lua: &Lua, _: MultiValue| -> mlua::Result<()> { Err(raise(lua, "__unm undefined")) };
    handlers.set("__unm", lua.create_function(negate)?)?;
    Ok(handlers)
}

/// The left operand comes first for Lua, and it has only us: a metamethod of the right one is still to be asked.
fn binary(
    lua: &Lua,
    event: &'static str,
    operation: &'static str,
    (left, right): (Value, Value),
) -> mlua::Result<MultiValue> {
    if let Value::Table(table) = &right
        && let Some(metatable) = table.metatable()
        && let Value::Function(own) = metatable.raw_get::<Value>(event)?
    {
        return own.call((left, right));
    }
    let (left, right) = (type_name(&left), type_name(&right));
    Err(raise(lua, &format!("cannot perform {operation} operation between {left} and {right}")))
}

pub fn not_a_table(kind: &str, key: &str) -> String {
    format!("attempt to index a non-table object({kind}) with key '{key}'")
}

fn key_text(lua: &Lua, key: &Value) -> mlua::Result<String> {
    Ok(match key {
        Value::String(text) => text.to_string_lossy(),
        Value::Integer(_) | Value::Number(_) => {
            String::from_utf8_lossy(&text_of_number(lua, key)?).into_owned()
        }
        key => type_name(key).to_owned(),
    })
}
