//! `Arguments`: what a script passed to one of our functions, checked and complained about as gopher-lua does.

use mlua::{Lua, MultiValue, Value};

use super::position::raise;

/// The arguments of one call, counted from 1 as Lua does.
pub struct Arguments<'a> {
    pub lua: &'a Lua,
    values: &'a MultiValue,
    /// As messages name it.
    function: &'static str,
}

impl<'a> Arguments<'a> {
    pub fn new(lua: &'a Lua, function: &'static str, values: &'a MultiValue) -> Self {
        Self { lua, values, function }
    }

    /// How many there are; nil counts where it was written.
    pub fn count(&self) -> usize {
        self.values.len()
    }

    /// An argument, nil where there is none.
    pub fn value(&self, number: usize) -> &'a Value {
        self.values.get(number - 1).unwrap_or(&Value::Nil)
    }

    /// A text; numbers count as texts.
    pub fn text(&self, number: usize) -> mlua::Result<Vec<u8>> {
        match self.value(number) {
            Value::String(text) => Ok(text.as_bytes().to_vec()),
            value @ (Value::Integer(_) | Value::Number(_)) => text_of_number(self.lua, value),
            _ => Err(self.unexpected(number, "string")),
        }
    }

    /// A name: a text that is valid UTF-8 in all sensible cases.
    pub fn name(&self, number: usize) -> mlua::Result<String> {
        let text = self.text(number)?;
        Ok(String::from_utf8(text)
            .unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned()))
    }

    /// A number; texts that read as numbers count.
    pub fn number(&self, number: usize) -> mlua::Result<f64> {
        let value = self.value(number);
        match value {
            Value::Integer(integer) => Ok(*integer as f64),
            Value::Number(float) => Ok(*float),
            Value::String(_) => self
                .lua
                .coerce_number(value.clone())?
                .ok_or_else(|| self.unexpected(number, "number")),
            _ => Err(self.unexpected(number, "number")),
        }
    }

    /// A number without its fraction, as Go's `int(…)` cuts it.
    pub fn whole(&self, number: usize) -> mlua::Result<i64> {
        #[expect(clippy::cast_possible_truncation, reason = "Go truncates as well")]
        self.number(number).map(|float| float as i64)
    }

    pub fn boolean(&self, number: usize) -> mlua::Result<bool> {
        match self.value(number) {
            Value::Boolean(value) => Ok(*value),
            _ => Err(self.unexpected(number, "boolean")),
        }
    }

    /// One of our objects. `otherwise` is the message for an object of another kind.
    pub fn object<T: 'static>(
        &self,
        number: usize,
        otherwise: &str,
    ) -> mlua::Result<mlua::UserDataRef<T>> {
        match self.value(number) {
            Value::UserData(object) => object.borrow().map_err(|_| self.error(otherwise)),
            _ => Err(self.unexpected(number, "userdata")),
        }
    }

    /// An error of this call with this message.
    pub fn error(&self, message: &str) -> mlua::Error {
        raise(self.lua, message)
    }

    /// The complaint about an argument of the wrong type.
    fn unexpected(&self, number: usize, wanted: &str) -> mlua::Error {
        let got = type_name(self.value(number));
        let Self { function, .. } = self;
        self.error(&format!("bad argument #{number} to {function} ({wanted} expected, got {got})"))
    }

    /// The complaint about too few or too many arguments.
    pub fn miscounted(&self) -> mlua::Error {
        self.error("need arguments")
    }
}

/// A type as Lua calls it.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) => "number",
        // An error of ours that a script caught is a text for it.
        Value::Error(_) => "string",
        value => value.type_name(),
    }
}

/// A number as scripts see it in a text.
pub fn text_of_number(lua: &Lua, value: &Value) -> mlua::Result<Vec<u8>> {
    let text = lua.coerce_string(value.clone())?;
    Ok(text.map(|text| text.as_bytes().to_vec()).unwrap_or_default())
}
