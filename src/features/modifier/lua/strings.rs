//! The functions of the string library that know patterns, on top of our own matcher.
//!
//! Follows the Lua 5.1 manual, section 5.4; only here can a script's deadline be kept while a pattern is at work.

use std::rc::Rc;

use mlua::{Lua, MultiValue, Table, Value};

use super::arguments::{Arguments, text_of_number};
use super::interpreter::Shared;
use super::limits::{MEMORY_BYTES_MAX, NO_MEMORY};
use super::pattern::{Capture, Match, Matcher, PatternError};

/// The bytes that mean something in a pattern.
const SPECIALS: &[u8] = b"^$*+?.([%-";

/// `find`, `match` and `gsub`, and `find_in`, on which `gmatch` is built.
pub fn patterns(lua: &Lua, shared: &Rc<Shared>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let functions: [(&'static str, Part); 4] =
        [("find", find), ("match", captures), ("gsub", gsub), ("find_in", find_in)];
    for (name, part) in functions {
        let shared = shared.clone();
        let function = lua.create_function(move |lua, values: MultiValue| {
            part(&Arguments::new(lua, name, &values), &shared)
        })?;
        table.set(name, function)?;
    }
    Ok(table)
}

type Part = fn(&Arguments<'_>, &Shared) -> mlua::Result<MultiValue>;

/// A text, a pattern and the place to begin, from the first three arguments.
struct Search {
    text: Vec<u8>,
    pattern: Vec<u8>,
    from: usize,
}

impl Search {
    fn of(arguments: &Arguments<'_>) -> mlua::Result<Self> {
        let (text, pattern) = (arguments.text(1)?, arguments.text(2)?);
        let init = if arguments.value(3).is_nil() { 1 } else { arguments.whole(3)? };
        let length = text.len();
        let from = match usize::try_from(init) {
            Ok(place) => place.saturating_sub(1).min(length),
            Err(_) => {
                length.saturating_sub(usize::try_from(init.unsigned_abs()).unwrap_or(usize::MAX))
            }
        };
        Ok(Self { text, pattern, from })
    }

    fn run(&self, arguments: &Arguments<'_>, shared: &Shared) -> mlua::Result<Option<Match>> {
        let must_stop = || shared.limits.look();
        let mut matcher = Matcher::new(&self.text, &self.pattern, &must_stop);
        matcher.find(self.from).map_err(|error| pattern_error(arguments, error))
    }
}

fn pattern_error(arguments: &Arguments<'_>, error: PatternError) -> mlua::Error {
    arguments.error(&error.to_string())
}

fn find(arguments: &Arguments<'_>, shared: &Shared) -> mlua::Result<MultiValue> {
    let search = Search::of(arguments)?;
    let is_plain = !matches!(arguments.value(4), Value::Nil | Value::Boolean(false))
        || !search.pattern.iter().any(|byte| SPECIALS.contains(byte));
    if is_plain {
        let found = memchr::memmem::find(&search.text[search.from..], &search.pattern);
        let Some(offset) = found else { return Ok(nothing()) };
        let start = search.from + offset;
        return Ok(places(start, start + search.pattern.len()));
    }
    find_in(arguments, shared)
}

/// The first and the last place of a match, and what it captured.
fn find_in(arguments: &Arguments<'_>, shared: &Shared) -> mlua::Result<MultiValue> {
    let search = Search::of(arguments)?;
    let Some(found) = search.run(arguments, shared)? else { return Ok(nothing()) };
    let mut values = places(found.range.start, found.range.end);
    for capture in &found.captures {
        values.push_back(capture_value(arguments.lua, &search.text, *capture)?);
    }
    Ok(values)
}

fn captures(arguments: &Arguments<'_>, shared: &Shared) -> mlua::Result<MultiValue> {
    let search = Search::of(arguments)?;
    let Some(found) = search.run(arguments, shared)? else { return Ok(nothing()) };
    caught(arguments.lua, &search.text, &found)
}

/// Everything that was captured; the whole match where the pattern has no captures.
fn caught(lua: &Lua, text: &[u8], found: &Match) -> mlua::Result<MultiValue> {
    if found.captures.is_empty() {
        return Ok(MultiValue::from_iter([Value::String(
            lua.create_string(&text[found.range.clone()])?,
        )]));
    }
    found.captures.iter().map(|capture| capture_value(lua, text, *capture)).collect()
}

fn capture_value(lua: &Lua, text: &[u8], capture: Capture) -> mlua::Result<Value> {
    Ok(match capture {
        Capture::Text { start, end } => Value::String(lua.create_string(&text[start..end])?),
        Capture::Position(place) => place_value(place),
    })
}

fn nothing() -> MultiValue {
    MultiValue::from_iter([Value::Nil])
}

fn places(start: usize, end: usize) -> MultiValue {
    MultiValue::from_iter([place_value(start + 1), place_value(end)])
}

fn place_value(place: usize) -> Value {
    Value::Integer(i64::try_from(place).unwrap_or(i64::MAX))
}

fn gsub(arguments: &Arguments<'_>, shared: &Shared) -> mlua::Result<MultiValue> {
    let (text, pattern) = (arguments.text(1)?, arguments.text(2)?);
    let replacement = Replacement::of(arguments)?;
    let count_max = if arguments.value(4).is_nil() { i64::MAX } else { arguments.whole(4)? };
    let is_anchored = pattern.first() == Some(&b'^');
    let must_stop = || shared.limits.look();
    let mut out = Vec::with_capacity(text.len());
    let (mut copied, mut from, mut count) = (0, 0, 0);
    while count < count_max {
        let mut matcher = Matcher::new(&text, &pattern, &must_stop);
        let Some(found) = matcher.find(from).map_err(|error| pattern_error(arguments, error))?
        else {
            break;
        };
        count += 1;
        out.extend_from_slice(&text[copied..found.range.start]);
        replacement.write(arguments, &text, &found, &mut out)?;
        if out.len() > MEMORY_BYTES_MAX {
            return Err(arguments.error(NO_MEMORY));
        }
        copied = found.range.end;
        // An empty match leaves the next byte to be copied.
        from = if found.range.is_empty() { found.range.end + 1 } else { found.range.end };
        if is_anchored || from > text.len() {
            break;
        }
    }
    out.extend_from_slice(&text[copied..]);
    Ok(MultiValue::from_iter([
        Value::String(arguments.lua.create_string(&out)?),
        Value::Integer(count),
    ]))
}

/// What `gsub` puts in place of a match.
enum Replacement<'a> {
    Text(Vec<u8>),
    Table(&'a Table),
    Function(&'a mlua::Function),
}

impl<'a> Replacement<'a> {
    fn of(arguments: &Arguments<'a>) -> mlua::Result<Self> {
        Ok(match arguments.value(3) {
            Value::Table(table) => Self::Table(table),
            Value::Function(function) => Self::Function(function),
            Value::String(_) | Value::Integer(_) | Value::Number(_) => {
                Self::Text(arguments.text(3)?)
            }
            _ => {
                return Err(
                    arguments.error("bad argument #3 to gsub (string/function/table expected)")
                );
            }
        })
    }

    fn write(
        &self,
        arguments: &Arguments<'_>,
        text: &[u8],
        found: &Match,
        out: &mut Vec<u8>,
    ) -> mlua::Result<()> {
        let lua = arguments.lua;
        let value = match self {
            Self::Text(replacement) => return expand(arguments, replacement, text, found, out),
            Self::Table(table) => {
                let key = caught(lua, text, found)?.pop_front().unwrap_or(Value::Nil);
                table.get::<Value>(key)?
            }
            Self::Function(function) => function.call::<Value>(caught(lua, text, found)?)?,
        };
        match &value {
            Value::Nil | Value::Boolean(false) => out.extend_from_slice(&text[found.range.clone()]),
            Value::String(text) => out.extend_from_slice(&text.as_bytes()),
            Value::Integer(_) | Value::Number(_) => {
                out.extend_from_slice(&text_of_number(lua, &value)?);
            }
            value => {
                return Err(arguments
                    .error(&format!("invalid replacement value (a {})", value.type_name())));
            }
        }
        Ok(())
    }
}

/// Writes a replacement: `%0` is the whole match, `%1` the first capture.
fn expand(
    arguments: &Arguments<'_>,
    replacement: &[u8],
    text: &[u8],
    found: &Match,
    out: &mut Vec<u8>,
) -> mlua::Result<()> {
    let mut bytes = replacement.iter();
    while let Some(&byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let Some(&escaped) = bytes.next() else { break };
        match (escaped, found.captures.get(usize::from(escaped.wrapping_sub(b'1')))) {
            (b'0', _) => out.extend_from_slice(&text[found.range.clone()]),
            (b'1'..=b'9', Some(&Capture::Text { start, end })) => {
                out.extend_from_slice(&text[start..end]);
            }
            (b'1'..=b'9', Some(Capture::Position(place))) => {
                out.extend_from_slice(place.to_string().as_bytes());
            }
            (b'1', None) if found.captures.is_empty() => {
                out.extend_from_slice(&text[found.range.clone()]);
            }
            (b'1'..=b'9', None) => return Err(arguments.error("invalid capture index")),
            (other, _) => out.push(other),
        }
    }
    Ok(())
}
