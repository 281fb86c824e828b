//! What Rust offers to the prelude (prelude.lua): compiling, files, patterns, chance.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::rc::Rc;

use mlua::chunk::ChunkMode;
use mlua::{Function, Lua, LuaString, MultiValue, Table, Value};

use super::arguments::Arguments;
use super::error::{SEPARATOR, text_of};
use super::interpreter::{Offer, Shared};
use super::operators;
use super::position::raise;
use super::script::{Script, read_source};
use super::strings;

/// The argument of the prelude.
pub fn table(
    lua: &Lua,
    shared: &Rc<Shared>,
    script: &Script,
    offers: &[Offer],
) -> mlua::Result<Table> {
    let natives = lua.create_table()?;
    natives.set("open_libs", script.open_libs)?;
    natives.set("string_handlers", operators::install(lua)?)?;
    natives.set("patterns", strings::patterns(lua, shared)?)?;
    natives.set("offered", offered(lua, shared, offers)?)?;
    let own = shared.clone();
    natives.set("has_ended", lua.create_function(move |_, ()| Ok(own.limits.has_ended()))?)?;
    natives.set("plain", lua.create_function(plain)?)?;
    natives.set("print", lua.create_function(print)?)?;
    natives.set("compile", lua.create_function(compile)?)?;
    natives.set("random", random(lua)?)?;
    natives.set("traceback", lua.create_function(traceback)?)?;
    natives.set("getinfo", lua.create_function(info)?)?;
    add_files(lua, &natives, script.is_live)?;
    Ok(natives)
}

/// The global names that a script finds beside Lua's own.
fn offered(lua: &Lua, shared: &Rc<Shared>, offers: &[Offer]) -> mlua::Result<Table> {
    let offered = lua.create_table()?;
    for offer in offers {
        offer(lua, shared, &offered)?;
    }
    offered.set("custom_error", lua.create_function(custom_error)?)?;
    // Calls to others need a stage that waits in the middle of a script.
    let unbuilt = |lua: &Lua, _: MultiValue| -> mlua::Result<()> {
        Err(raise(lua, "http_response.new is not built yet"))
    };
    offered
        .set("http_response", lua.create_table_from([("new", lua.create_function(unbuilt)?)])?)?;
    Ok(offered)
}

/// Ends the script; `error.rs` takes the parts apart again.
fn custom_error(lua: &Lua, values: MultiValue) -> mlua::Result<()> {
    let arguments = Arguments::new(lua, "custom_error", &values);
    let text = |number: usize| arguments.name(number);
    let message = match arguments.count() {
        0 => return Err(arguments.miscounted()),
        1 => format!("{}{SEPARATOR}-1", text(1)?),
        2 => format!("{}{SEPARATOR}{}", text(1)?, arguments.whole(2)?),
        _ => format!("{}{SEPARATOR}{}{SEPARATOR}{}", text(1)?, arguments.whole(2)?, text(3)?),
    };
    Err(arguments.error(&message))
}

/// An error that a script catches is a text for it.
fn plain(lua: &Lua, value: Value) -> mlua::Result<Value> {
    match value {
        Value::Error(error) => Ok(Value::String(lua.create_string(text_of(&error))?)),
        value => Ok(value),
    }
}

fn print(_: &Lua, text: LuaString) -> mlua::Result<()> {
    let mut line = text.as_bytes().to_vec();
    line.push(b'\n');
    // Whether anybody reads what a script prints is no concern of the request.
    let _ = std::io::stdout().lock().write_all(&line);
    Ok(())
}

/// Code that a script brings in, never as bytecode: the C library does not check it.
fn compile(
    lua: &Lua,
    (text, name, environment): (Value, String, Table),
) -> mlua::Result<MultiValue> {
    let Value::String(text) = &text else {
        let got = text.type_name();
        return Err(raise(
            lua,
            &format!("bad argument #1 to loadstring (string expected, got {got})"),
        ));
    };
    let text = text.as_bytes();
    let name = if name.starts_with(['=', '@']) { name } else { format!("={name}") };
    let chunk =
        lua.load(&*text).set_name(name).set_mode(ChunkMode::Text).set_environment(environment);
    match chunk.into_function() {
        Ok(function) => Ok(MultiValue::from_iter([Value::Function(function)])),
        Err(error) => {
            let message = lua.create_string(text_of(&error))?;
            Ok(MultiValue::from_iter([Value::Nil, Value::String(message)]))
        }
    }
}

/// Numbers that nobody can foretell from the start of the process; xorshift64*.
fn random(lua: &Lua) -> mlua::Result<Function> {
    let state = Cell::new(RandomState::new().hash_one(0) | 1);
    lua.create_function(move |_, ()| {
        let mut next = state.get();
        next ^= next >> 12;
        next ^= next << 25;
        next ^= next >> 27;
        state.set(next);
        // The upper 53 bits are a double in [0, 1).
        Ok((next.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64)
    })
}

fn traceback(lua: &Lua, message: Value) -> mlua::Result<Value> {
    let text = match &message {
        Value::Nil => None,
        Value::String(text) => Some(text.to_string_lossy()),
        _ => return Ok(message),
    };
    lua.traceback(text.as_deref(), 1).map(Value::String)
}

/// What scripts mostly ask of `debug.getinfo`: where a level of the stack stands.
fn info(lua: &Lua, level: Value) -> mlua::Result<Option<Table>> {
    let Value::Integer(level) = level else { return Ok(None) };
    let Ok(level) = usize::try_from(level) else { return Ok(None) };
    let found = lua.inspect_stack(level, |debug| {
        let source = debug.source();
        let text = |text: Option<std::borrow::Cow<'_, str>>| text.map(std::borrow::Cow::into_owned);
        (debug.current_line(), text(source.source), text(source.short_src), source.what.to_owned())
    });
    let Some((line, source, short_source, what)) = found else { return Ok(None) };
    let table = lua.create_table()?;
    table.set("currentline", line.map_or(-1, |line| i64::try_from(line).unwrap_or(-1)))?;
    table.set("source", source)?;
    table.set("short_src", short_source)?;
    table.set("what", what)?;
    Ok(Some(table))
}

/// `read` for one file, `find` for a module. Files are read once, unless the script is live.
fn add_files(lua: &Lua, natives: &Table, is_live: bool) -> mlua::Result<()> {
    let kept = Rc::new(RefCell::new(HashMap::<String, Rc<Vec<u8>>>::new()));
    let read = move |path: &str| -> Option<Rc<Vec<u8>>> {
        if let Some(text) = kept.borrow().get(path).filter(|_| !is_live) {
            return Some(text.clone());
        }
        let text = Rc::new(read_source(path).ok()?);
        kept.borrow_mut().insert(path.to_owned(), text.clone());
        Some(text)
    };
    let read = Rc::new(read);
    let own = read.clone();
    natives.set(
        "read",
        lua.create_function(move |lua, path: String| {
            own(&path).map(|text| lua.create_string(&*text)).transpose()
        })?,
    )?;
    let find = move |lua: &Lua, (name, templates): (String, Value)| {
        let Value::String(templates) = templates else {
            return Err(raise(lua, "package.path must be a string"));
        };
        let file = name.replace('.', "/");
        let mut tried = String::new();
        for template in
            templates.to_string_lossy().split(';').filter(|template| !template.is_empty())
        {
            let path = template.replace('?', &file);
            if let Some(text) = read(&path) {
                return Ok((Some(lua.create_string(&*text)?), path));
            }
            tried.push_str(if tried.is_empty() { "no file '" } else { "\n\tno file '" });
            tried.push_str(&path);
            tried.push('\'');
        }
        Ok((None, tried))
    };
    natives.set("find", lua.create_function(find)?)
}
