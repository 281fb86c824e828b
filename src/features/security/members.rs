//! `Members`: the options of a block, read one by one as the original does, so that a wrong one spoils no other.

use serde_json::{Map, Value};

use crate::config::extra::Block;
use crate::config::problem::Problem;
use crate::plan::feature::Fallback;

/// A block while it is read. What has the wrong type counts as absent; the first of it is told at the end.
pub(super) struct Members<'b> {
    block: &'b Block,
    members: &'b Map<String, Value>,
    problem: Option<Problem>,
}

impl<'b> Members<'b> {
    /// `None`: the block is `null`, which is no block.
    ///
    /// # Errors
    /// It is no object.
    pub fn of(block: &'b Block) -> Result<Option<Members<'b>>, Fallback> {
        match &block.value {
            Value::Null => Ok(None),
            Value::Object(members) => Ok(Some(Members { block, members, problem: None })),
            _ => Err(Fallback::Skip(Problem::lenient(block.place.clone(), "this is no object"))),
        }
    }

    fn get(&self, name: &str) -> Option<&'b Value> {
        self.members.get(name).filter(|value| !value.is_null())
    }

    pub fn flag(&mut self, name: &str) -> bool {
        let Some(value) = self.get(name) else { return false };
        let flag = value.as_bool();
        if flag.is_none() {
            self.wrong(name, format!("{value} is neither true nor false"));
        }
        flag.unwrap_or(false)
    }

    /// Absent is empty.
    pub fn text(&mut self, name: &str) -> &'b str {
        let Some(value) = self.get(name) else { return "" };
        let text = value.as_str();
        if text.is_none() {
            self.wrong(name, format!("{value} is no text"));
        }
        text.unwrap_or("")
    }

    pub fn number(&mut self, name: &str) -> Option<f64> {
        let value = self.get(name)?;
        let number = value.as_f64();
        if number.is_none() {
            self.wrong(name, format!("{value} is no number"));
        }
        number
    }

    /// Absent is empty; what is no text is left out.
    pub fn texts(&mut self, name: &str) -> Vec<&'b str> {
        let Some(value) = self.get(name) else { return Vec::new() };
        let Some(list) = value.as_array() else {
            self.wrong(name, format!("{value} is no list of texts"));
            return Vec::new();
        };
        if let Some(index) = list.iter().position(|entry| !entry.is_string()) {
            self.wrong(&format!("{name}/{index}"), format!("{} is no text", list[index]));
        }
        list.iter().filter_map(Value::as_str).collect()
    }

    /// Names and texts; what is no text is left out.
    pub fn texts_by_name(&mut self, name: &str) -> Vec<(&'b str, &'b str)> {
        let Some(value) = self.get(name) else { return Vec::new() };
        let Some(map) = value.as_object() else {
            self.wrong(name, format!("{value} is no object of texts"));
            return Vec::new();
        };
        if let Some((key, value)) = map.iter().find(|(_, value)| !value.is_string()) {
            let key = key.replace('~', "~0").replace('/', "~1");
            self.wrong(&format!("{name}/{key}"), format!("{value} is no text"));
        }
        map.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect()
    }

    /// Whether the option is there at all.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub fn wrong(&mut self, name: &str, what: String) {
        self.tell(Problem::lenient(self.block.place_at(&format!("/{name}")), what));
    }

    /// Notes a problem with the option. A mistake outranks a warning; else the first stays.
    pub fn tell(&mut self, problem: Problem) {
        let is_worse = |known: &Problem| problem.severity > known.severity;
        if self.problem.as_ref().is_none_or(is_worse) {
            self.problem = Some(problem);
        }
    }

    /// Warns of an option that is understood and will not do what it seems to.
    pub fn warn(&mut self, name: &str, what: String, hint: &str) {
        let problem = Problem::warn(self.block.place_at(&format!("/{name}")), what);
        self.tell(problem.hint(hint));
    }

    /// # Errors
    /// The problem that was noted.
    pub fn end(self) -> Result<(), Fallback> {
        self.problem.map_or(Ok(()), |problem| Err(Fallback::Skip(problem)))
    }
}
