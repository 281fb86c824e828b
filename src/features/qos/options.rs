//! Reading a block member by member, as the original does: what has the wrong type counts as not given.

use std::fmt::Display;

use serde_json::Value;

use crate::config::extra::Block;
use crate::config::problem::Problem;
use crate::config::values::parse_duration;
use crate::plan::feature::Fallback;

pub const NS_PER_S: f64 = 1e9;

/// A block, and the first thing that is wrong with it.
pub struct Options<'b> {
    block: &'b Block,
    problem: Option<Problem>,
}

impl<'b> Options<'b> {
    /// # Errors
    /// The block is no object: the original leaves the whole feature out then.
    pub fn of(block: &'b Block) -> Result<Options<'b>, Fallback> {
        if block.value.is_object() {
            return Ok(Options { block, problem: None });
        }
        let problem = Problem::lenient(block.place.clone(), "the block must be an object");
        Err(Fallback::Skip(problem.hint("--lenient serves without it")))
    }

    /// # Errors
    /// What was wrong, so that a start that is not lenient is refused. The feature is installed all the same.
    pub fn finish(self) -> Result<(), Fallback> {
        self.problem.map_or(Ok(()), |problem| Err(Fallback::Skip(problem)))
    }

    /// Nothing was wrong so far.
    pub fn is_right(&self) -> bool {
        self.problem.is_none()
    }

    /// Keeps a mistake of this member; only the first one of a block is told.
    pub fn mistake(&mut self, member: &str, what: impl Display, hint: &str) {
        if self.problem.is_none() {
            let place = self.block.place_at(&format!("/{member}"));
            let problem = Problem::lenient(place, format!("{member} {what}"));
            self.problem = Some(problem.hint(hint.to_owned()));
        }
    }

    /// The same for what has no effect and changes nothing.
    pub fn warn(&mut self, member: &str, what: impl Display) {
        if self.problem.is_none() {
            let place = self.block.place_at(&format!("/{member}"));
            self.problem = Some(Problem::warn(place, format!("{member} {what}")));
        }
    }

    /// A number that must not be negative; 0 where there is none.
    pub fn number(&mut self, member: &str) -> f64 {
        let number = self.any_number(member).unwrap_or(0.0);
        if number < 0.0 {
            self.mistake(member, "is negative", "leave it out where nothing is to be limited");
        }
        number
    }

    /// A whole number, at most `most`; 0 where there is none. The original cuts fractions off and reads what is below zero
    /// as very large.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "floats saturate")]
    pub fn count(&mut self, member: &str, most: u64) -> u64 {
        let Some(number) = self.any_number(member) else { return 0 };
        if number < 0.0 || number.fract() != 0.0 {
            self.mistake(member, "must be a whole number", "0 is the same as leaving it out");
        }
        if number < 0.0 { most } else { (number as u64).min(most) }
    }

    /// Whole seconds, at most `most`; 0 where there are none, and leniently where there are less than none.
    pub fn seconds(&mut self, member: &str, most: u64) -> u64 {
        let seconds = self.count(member, most);
        if self.any_number(member).is_some_and(|number| number < 0.0) { 0 } else { seconds }
    }

    /// Go prints what is no text.
    pub fn text(&mut self, member: &str) -> String {
        match self.block.value.get(member) {
            None => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => {
                self.mistake(member, "must be a text", "write it in quotes");
                other.to_string()
            }
        }
    }

    /// True or false; anything else counts as false.
    pub fn flag(&mut self, member: &str) -> bool {
        match self.block.value.get(member) {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => {
                self.mistake(member, "must be true or false", "without quotes");
                false
            }
        }
    }

    /// Nanoseconds; `None` where nothing is written, `Some(None)` where it is no duration.
    pub fn duration_ns(&mut self, member: &str) -> Option<Option<i64>> {
        let written = self.block.value.get(member)?;
        let parsed = match written {
            Value::String(text) => parse_duration(text).ok(),
            _ => None,
        };
        if parsed.is_none() {
            self.mistake(member, "is no duration", "write it like \"30s\", \"10m\" or \"1h\"");
        }
        Some(parsed)
    }

    fn any_number(&mut self, member: &str) -> Option<f64> {
        let written = self.block.value.get(member)?;
        let number = written.as_f64();
        if number.is_none() {
            self.mistake(member, "must be a number", "write it without quotes");
        }
        number
    }
}
