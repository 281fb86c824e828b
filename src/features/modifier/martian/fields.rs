//! `Fields`: the members of one modifier, read the way Go reads JSON into a struct.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::config::extra::Block;
use crate::config::problem::{Place, Problem};

/// One modifier's object, and where it stands in its block.
pub struct Fields<'b> {
    pub block: &'b Block,
    pub pointer: String,
    members: Option<&'b Map<String, Value>>,
}

// === impl Fields ===

impl<'b> Fields<'b> {
    /// # Errors
    /// What is no object; null is one without members.
    pub fn new(block: &'b Block, pointer: String, value: &'b Value) -> Result<Self, Problem> {
        let members = match value {
            Value::Object(members) => Some(members),
            Value::Null => None,
            _ => {
                let place = block.place_at(&pointer);
                return Err(Problem::lenient(place, "a modifier must be an object"));
            }
        };
        Ok(Fields { block, pointer, members })
    }

    /// Its place, or that of one of its members.
    pub fn place(&self, member: &str) -> Place {
        match self.find(member) {
            Some((written, _)) => self.block.place_at(&self.pointer_to(written)),
            None => self.block.place_at(&self.pointer),
        }
    }

    pub fn pointer_to(&self, member: &str) -> String {
        format!("{}/{}", self.pointer, member.replace('~', "~0").replace('/', "~1"))
    }

    pub fn problem(&self, member: &str, what: impl Into<String>) -> Problem {
        Problem::lenient(self.place(member), what)
    }

    /// Members are found in any case, as Go finds them: the name as it is, else the last one that looks like it.
    pub fn find(&self, name: &str) -> Option<(&'b str, &'b Value)> {
        let members = self.members?;
        if let Some((written, value)) = members.get_key_value(name) {
            return Some((written, value));
        }
        let alike = |(written, _): &(&'b String, &'b Value)| written.eq_ignore_ascii_case(name);
        members.iter().rfind(alike).map(|(written, value)| (written.as_str(), value))
    }

    /// What stands there; null is nothing.
    fn given(&self, name: &str) -> Option<&'b Value> {
        self.find(name).map(|(_, value)| value).filter(|value| !value.is_null())
    }

    pub fn text(&self, name: &str) -> Result<&'b str, Problem> {
        match self.given(name) {
            None => Ok(""),
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(self.problem(name, format!("{name} must be a text"))),
        }
    }

    pub fn number(&self, name: &str) -> Result<i64, Problem> {
        match self.given(name) {
            None => Ok(0),
            Some(value) => whole(value)
                .ok_or_else(|| self.problem(name, format!("{name} must be a whole number"))),
        }
    }

    pub fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.given(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.problem(name, format!("{name} must be true or false"))),
        }
    }

    /// `None`: it is not there, which is not the same as an empty list.
    pub fn list(&self, name: &str) -> Result<Option<&'b [Value]>, Problem> {
        match self.given(name) {
            None => Ok(None),
            Some(Value::Array(entries)) => Ok(Some(entries)),
            Some(_) => Err(self.problem(name, format!("{name} must be a list"))),
        }
    }

    pub fn texts(&self, name: &str) -> Result<Option<Vec<&'b str>>, Problem> {
        let Some(entries) = self.list(name)? else { return Ok(None) };
        let text = |entry: &'b Value| match entry {
            Value::Null => Some(""),
            entry => entry.as_str(),
        };
        let texts: Option<Vec<&str>> = entries.iter().map(text).collect();
        let texts = texts.ok_or_else(|| self.problem(name, format!("{name} must hold texts")))?;
        Ok(Some(texts))
    }

    pub fn map_of_texts(&self, name: &str) -> Result<HashMap<String, String>, Problem> {
        let wrong = || self.problem(name, format!("{name} must be an object of texts"));
        let members = match self.given(name) {
            None => return Ok(HashMap::new()),
            Some(value) => value.as_object().ok_or_else(wrong)?,
        };
        let pair =
            |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
        members.iter().map(pair).collect::<Option<_>>().ok_or_else(wrong)
    }

    /// The first member that is none of these.
    pub fn unknown(&self, known: &[&str]) -> Option<&'b str> {
        let is_known = |written: &&str| known.iter().any(|name| name.eq_ignore_ascii_case(written));
        self.members?.keys().map(String::as_str).find(|written| !is_known(written))
    }
}

/// A number without a fraction, however it is written.
fn whole(value: &Value) -> Option<i64> {
    if let Some(number) = value.as_i64() {
        return Some(number);
    }
    let number = value.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 9.0e15)?;
    #[expect(clippy::cast_possible_truncation, reason = "whole, and small enough")]
    Some(number as i64)
}
