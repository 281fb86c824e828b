//! Lua patterns: what fits, fits in the same place in the C library's matcher.

use std::cell::Cell;

use mlua::{Function, Lua, Table, Value, Variadic};
use shoal::features::modifier::lua::pattern::{Capture, Match, Matcher};

use crate::{Bounded, Input};

/// Longer texts may take the C library, which cannot be stopped, for ever.
const TEXT_BYTES_MAX: usize = 64;
/// Asked after every ten thousand steps.
const LOOKS_MAX: u32 = 20;

thread_local! {
    static LUA: Lua = Lua::new();
}

/// `pattern LF text`
pub fn lua_pattern(input: &[u8]) {
    let _bounded = Bounded::start();
    let mut input = Input(input);
    let (pattern, text) = (input.until(b'\n'), input.0);
    let looks = Cell::new(0);
    let must_stop = || {
        looks.set(looks.get() + 1);
        looks.get() > LOOKS_MAX
    };
    let mut from = 0;
    let mut first = None;
    // As gmatch and gsub go through a text.
    while let Ok(Some(found)) = Matcher::new(text, pattern, &must_stop).find(from) {
        assert!(from <= found.range.start && found.range.end <= text.len(), "{found:?}");
        from = found.range.end.max(found.range.start + 1);
        first.get_or_insert(found);
    }
    // Zeros end a pattern of the C library's; what a position caught is nothing there and an empty text in the original.
    // A range that ends with an escape means one thing there, another in the original, and nothing in the manual.
    let has = |pattern: &[u8], odd: &[u8; 2]| pattern.windows(2).any(|pair| pair == odd);
    let sets = pattern.iter().position(|&byte| byte == b'[').map_or(&[][..], |at| &pattern[at..]);
    let is_odd = pattern.contains(&0) || has(pattern, b"()") || has(sets, b"-%");
    let is_comparable = text.len() <= TEXT_BYTES_MAX && looks.get() == 0 && !is_odd;
    if let Some(found) = first.filter(|_| is_comparable) {
        compare(pattern, text, &found);
    }
}

fn compare(pattern: &[u8], text: &[u8], found: &Match) {
    let values = LUA.with(|lua| {
        let string = |bytes: &[u8]| lua.create_string(bytes).expect("memory");
        let library: Table = lua.globals().get("string").expect("the library");
        let find: Function = library.get("find").expect("it is there");
        find.call::<Variadic<Value>>((string(text), string(pattern)))
    });
    let Ok(values) = values else { return };
    let shown: Vec<String> = values.iter().map(shown).collect();
    let mut expected = vec![(found.range.start + 1).to_string(), found.range.end.to_string()];
    expected.extend(found.captures.iter().map(|capture| match *capture {
        Capture::Text { start, end } => text[start..end].escape_ascii().to_string(),
        Capture::Position(at) => at.to_string(),
    }));
    assert_eq!(expected, shown, "{} in {}", pattern.escape_ascii(), text.escape_ascii());
}

fn shown(value: &Value) -> String {
    match value {
        Value::Integer(number) => number.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.as_bytes().escape_ascii().to_string(),
        other => format!("{other:?}"),
    }
}
