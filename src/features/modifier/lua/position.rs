//! Where in a script something happened: errors of our functions name the line that called them.

use mlua::{Error, Lua};

/// What our own Lua code (prelude.lua) is called; its lines mean nothing to the author of a script.
pub const PRELUDE: &str = "[G]";

/// How far up the stack a line of the script is looked for.
const LEVELS_MAX: usize = 8;

/// An error with the position of the innermost function that is written in Lua, as `error` puts it.
pub fn raise(lua: &Lua, message: &str) -> Error {
    Error::RuntimeError(format!("{}{message}", position(lua)))
}

/// `<string>:3: `, or nothing where no Lua function is running.
fn position(lua: &Lua) -> String {
    (1..=LEVELS_MAX)
        .find_map(|level| lua.inspect_stack(level, position_of).flatten())
        .unwrap_or_default()
}

fn position_of(debug: &mlua::debug::Debug<'_>) -> Option<String> {
    let line = debug.current_line()?;
    let source = debug.source().short_src.filter(|source| source != PRELUDE)?;
    Some(format!("{source}:{line}: "))
}
