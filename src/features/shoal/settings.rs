//! Reading a block of our own member by member: what is wrong is told with its place, its bounds and a hint.

use std::fmt::Display;
use std::ops::RangeInclusive;

use serde_json::Value;

use crate::config::extra::Block;
use crate::config::parse_duration;
use crate::config::problem::Problem;
use crate::plan::feature::Fallback;
use crate::plan::resilience::Said;

const NS_PER_MS: i64 = 1_000_000;

/// A block, and the first thing that is wrong with it.
pub struct Settings<'b> {
    block: &'b Block,
    problem: Option<Problem>,
}

/// What a block that can be switched off by its member `enabled` says.
///
/// # Errors
/// What is wrong with it, also where it is switched off.
pub fn said<T>(
    block: &Block,
    rules: impl FnOnce(&mut Settings<'_>) -> T,
) -> Result<Said<T>, Fallback> {
    let mut settings = Settings::of(block)?;
    let is_enabled = settings.flag("enabled", true);
    let rules = rules(&mut settings);
    settings.finish()?;
    Ok(Said::of(is_enabled, rules))
}

impl<'b> Settings<'b> {
    /// # Errors
    /// The block is no object.
    fn of(block: &'b Block) -> Result<Settings<'b>, Fallback> {
        if block.value.is_object() {
            return Ok(Settings { block, problem: None });
        }
        let problem = Problem::lenient(block.place.clone(), "the block must be an object");
        Err(Fallback::Skip(problem.hint("--lenient serves without it")))
    }

    /// # Errors
    /// What was wrong: the block must not be installed then.
    fn finish(self) -> Result<(), Fallback> {
        self.problem.map_or(Ok(()), |problem| Err(Fallback::Skip(problem)))
    }

    /// Keeps a mistake of this member; only the first one of a block is told.
    pub fn mistake(&mut self, member: &str, what: impl Display, hint: impl Display) {
        if self.problem.is_none() {
            let place = self.block.place_at(&format!("/{member}"));
            let problem = Problem::lenient(place, format!("{member} {what}"));
            self.problem = Some(problem.hint(hint.to_string()));
        }
    }

    pub fn is_given(&self, member: &str) -> bool {
        self.block.value.get(member).is_some()
    }

    /// A whole number.
    pub fn whole(&mut self, member: &str, range: RangeInclusive<u64>, default: u64) -> u64 {
        let Some(written) = self.block.value.get(member) else { return default };
        match written.as_u64().filter(|number| range.contains(number)) {
            Some(number) => number,
            None => {
                let hint = format!("a whole number from {} to {}", range.start(), range.end());
                self.mistake(member, format!("cannot be {written}"), hint);
                default
            }
        }
    }

    /// A duration as text, in milliseconds.
    pub fn ms(&mut self, member: &str, range: RangeInclusive<u64>, default_ms: u64) -> u64 {
        let Some(written) = self.block.value.get(member) else { return default_ms };
        let ns = written.as_str().and_then(|text| parse_duration(text).ok());
        let ms = ns.and_then(|ns| u64::try_from(ns / NS_PER_MS).ok());
        match ms.filter(|ms| range.contains(ms)) {
            Some(ms) => ms,
            None => {
                let (least, most) = (duration(*range.start()), duration(*range.end()));
                let hint = format!("a duration from \"{least}\" to \"{most}\", in quotes");
                self.mistake(member, format!("cannot be {written}"), hint);
                default_ms
            }
        }
    }

    /// A list of statuses, ascending.
    pub fn statuses(
        &mut self,
        member: &str,
        default: &[u16],
        range: RangeInclusive<u16>,
    ) -> Vec<u16> {
        let Some(written) = self.block.value.get(member) else { return default.to_vec() };
        let status = |value: &Value| {
            let status = value.as_u64().and_then(|status| u16::try_from(status).ok());
            status.filter(|status| range.contains(status))
        };
        let listed = written.as_array().map(|all| all.iter().map(status).collect::<Option<_>>());
        let Some(Some(mut statuses)): Option<Option<Vec<u16>>> = listed else {
            let hint = format!("a list of statuses from {} to {}", range.start(), range.end());
            self.mistake(member, format!("cannot be {written}"), hint);
            return default.to_vec();
        };
        statuses.sort_unstable();
        statuses.dedup();
        statuses
    }

    /// A text without control characters.
    pub fn text(&mut self, member: &str, default: &str) -> String {
        match self.block.value.get(member) {
            None => default.to_owned(),
            Some(Value::String(text)) if !text.contains(char::is_control) => text.clone(),
            Some(other) => {
                self.mistake(member, format!("cannot be {other}"), "a text in quotes, on one line");
                default.to_owned()
            }
        }
    }

    /// Some of these words; `default` where nothing is written.
    pub fn words(&mut self, member: &str, known: &[&str], default: &[&str]) -> Vec<String> {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let Some(written) = self.block.value.get(member) else { return owned(default) };
        let word =
            |value: &Value| value.as_str().filter(|word| known.contains(word)).map(str::to_owned);
        let listed = written.as_array().map(|all| all.iter().map(word).collect::<Option<_>>());
        listed.flatten().unwrap_or_else(|| {
            let hint = format!("a list of some of {}", known.join(", "));
            self.mistake(member, format!("cannot be {written}"), hint);
            owned(default)
        })
    }

    /// True or false.
    pub fn flag(&mut self, member: &str, default: bool) -> bool {
        match self.block.value.get(member) {
            None => default,
            Some(Value::Bool(flag)) => *flag,
            Some(other) => {
                self.mistake(member, format!("cannot be {other}"), "true or false, without quotes");
                default
            }
        }
    }
}

/// Milliseconds as they are written.
fn duration(ms: u64) -> String {
    match ms {
        0 => "0s".to_owned(),
        _ if ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        _ if ms.is_multiple_of(60_000) => format!("{}m", ms / 60_000),
        _ if ms.is_multiple_of(1000) => format!("{}s", ms / 1000),
        _ => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_as_they_are_written() {
        let texts = [0, 1, 1000, 1500, 90_000, 120_000, 7_200_000].map(duration);
        assert_eq!(texts, ["0s", "1ms", "1s", "1500ms", "90s", "2m", "2h"]);
    }
}
