//! One object of the configuration, read key by key with the weak typing of mapstructure.
//!
//! Keys match in any case; text becomes a number, a number text, a single value a list of one (spec 2.2). What
//! does not fit is reported and read as absent, so that one pass finds every mistake.

use std::cell::RefCell;
use std::sync::Arc;

use super::extra::ExtraConfig;
use super::keys;
use super::problem::{Place, Problem};
use super::source::{Entry, Node, NodeValue};
use super::values::{Millis, parse_bool, parse_duration, parse_int};

/// Collects the problems of one reading.
#[derive(Default)]
pub struct Report {
    problems: RefCell<Vec<Problem>>,
}

pub struct Fields<'a> {
    report: &'a Report,
    entries: &'a [Entry],
    place: Place,
    asked: Vec<&'static str>,
}

/// A value and its place.
#[derive(Clone)]
pub struct Found<'a> {
    pub node: &'a Node,
    pub place: Place,
}

// === impl Report ===

impl Report {
    pub fn push(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    pub fn extend(&self, problems: Vec<Problem>) {
        self.problems.borrow_mut().extend(problems);
    }

    pub fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }
}

// === impl Fields ===

impl<'a> Fields<'a> {
    /// `None`, with a problem, when the value is no object.
    pub fn new(report: &'a Report, found: Found<'a>) -> Option<Self> {
        let NodeValue::Map(entries) = &found.node.value else {
            let got = found.node.value.go_kind();
            let problem = found.refuse(&format!("expected a map or struct, got \"{got}\""));
            report.push(problem.hint("write an object: { \"name\": … }"));
            return None;
        };
        Some(Self { report, entries, place: found.place, asked: Vec::new() })
    }

    pub fn place(&self) -> &Place {
        &self.place
    }

    pub fn report(&self, problem: Problem) {
        self.report.push(problem);
    }

    /// From here on, problems below this object name the endpoint.
    pub fn set_endpoint(&mut self, endpoint: &str) {
        self.place.endpoint = Some(endpoint.into());
    }

    /// The value of a key; null counts as absent. The exact spelling wins over another case, the last over the first.
    pub fn find(&mut self, key: &'static str) -> Option<Found<'a>> {
        self.asked.push(key);
        let exact = self.entries.iter().rev().find(|entry| entry.key == key);
        let entry = exact.or_else(|| {
            self.entries.iter().rev().find(|entry| entry.key.eq_ignore_ascii_case(key))
        })?;
        let found = Found { node: &entry.value, place: self.place.key(key) }.located();
        (!entry.value.is_null()).then_some(found)
    }

    /// Where the value of a key stands, or the object that lacks it.
    pub fn place_of(&self, key: &str) -> Place {
        let entry = self.entries.iter().rev().find(|entry| entry.key.eq_ignore_ascii_case(key));
        entry.map_or_else(
            || self.place.key(key),
            |entry| Found { node: &entry.value, place: self.place.key(key) }.located().place,
        )
    }

    pub fn text(&mut self, key: &'static str) -> String {
        self.find(key).and_then(|found| self.checked(found.to_text())).unwrap_or_default()
    }

    /// A text that should be one of these names, in any case. Others count as well, so only a slip is told.
    pub fn choice(&mut self, key: &'static str, known: &[&str]) -> String {
        let text = self.text(key);
        let is_known = text.is_empty() || known.iter().any(|name| name.eq_ignore_ascii_case(&text));
        if let Some(meant) = keys::nearest(&text, known).filter(|_| !is_known) {
            let problem =
                Problem::warn(self.place_of(key), format!("{text:?} is no {key} that is known"));
            self.report(problem.hint(format!("did you mean {meant:?}?")));
        }
        text
    }

    pub fn boolean(&mut self, key: &'static str) -> bool {
        self.find(key).and_then(|found| self.checked(found.to_bool())).unwrap_or_default()
    }

    pub fn integer(&mut self, key: &'static str) -> Option<i64> {
        self.find(key).and_then(|found| self.checked(found.to_int()))
    }

    pub fn float(&mut self, key: &'static str) -> f64 {
        self.find(key).and_then(|found| self.checked(found.to_float())).unwrap_or_default()
    }

    /// A number that counts something: below zero is taken as none.
    pub fn size(&mut self, key: &'static str) -> usize {
        let Some(value) = self.integer(key) else { return 0 };
        usize::try_from(value).unwrap_or_else(|_| {
            self.report.push(Problem::warn(
                self.place_of(key),
                format!("{value} is negative: it counts as 0"),
            ));
            0
        })
    }

    /// A duration as written, in nanoseconds.
    pub fn duration_ns(&mut self, key: &'static str) -> Option<i64> {
        self.find(key).and_then(|found| self.checked(found.to_duration_ns()))
    }

    /// A duration that cannot be negative; the original takes such a one for none.
    pub fn duration(&mut self, key: &'static str) -> Millis {
        self.duration_or(key, Millis::ZERO, "it counts as none")
    }

    /// A deadline; the original lets a negative one end every request at once.
    pub fn deadline(&mut self, key: &'static str) -> Millis {
        self.duration_or(key, Millis::from_ns(1), "every request would time out at once")
    }

    fn duration_or(&mut self, key: &'static str, negative: Millis, consequence: &str) -> Millis {
        let Some(ns) = self.duration_ns(key) else { return Millis::ZERO };
        u64::try_from(ns).map_or_else(
            |_| {
                let what = format!("the duration is negative: {consequence}");
                self.report.push(Problem::lenient(self.place_of(key), what));
                negative
            },
            Millis::from_ns,
        )
    }

    pub fn texts(&mut self, key: &'static str) -> Vec<String> {
        self.placed_texts(key).into_iter().map(|(text, _)| text).collect()
    }

    /// A list of texts, each with its place; null in a list is an empty text.
    pub fn placed_texts(&mut self, key: &'static str) -> Vec<(String, Place)> {
        let items = self.find(key).map(Found::into_list).unwrap_or_default();
        items
            .into_iter()
            .filter_map(|item| self.checked(item.to_text()).map(|text| (text, item.place)))
            .collect()
    }

    pub fn integers(&mut self, key: &'static str) -> Vec<i64> {
        let items = self.find(key).map(Found::into_list).unwrap_or_default();
        items.into_iter().filter_map(|item| self.checked(item.to_int())).collect()
    }

    pub fn object(&mut self, key: &'static str) -> Option<Fields<'a>> {
        self.find(key).and_then(|found| Fields::new(self.report, found))
    }

    /// A list of objects; a single object is a list of one.
    pub fn objects(&mut self, key: &'static str) -> Vec<Fields<'a>> {
        let items = self.find(key).map(Found::into_list).unwrap_or_default();
        items.into_iter().filter_map(|item| Fields::new(self.report, item)).collect()
    }

    /// Whether a list holds nothing at all, not even what could not be read.
    pub fn is_list_empty(&mut self, key: &'static str) -> bool {
        self.find(key).is_none_or(|found| found.into_list().is_empty())
    }

    /// An object of texts, in the order of the file; of equal keys the last counts.
    pub fn text_map(&mut self, key: &'static str) -> Vec<(String, String)> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, found) in self.members(key, "map[string]string") {
            let Some(value) = self.checked(found.to_text()) else { continue };
            match pairs.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = value,
                None => pairs.push((name, value)),
            }
        }
        pairs
    }

    pub fn extra_config(&mut self) -> ExtraConfig {
        let mut extra = ExtraConfig::default();
        for (name, found) in self.members("extra_config", "config.ExtraConfig") {
            let (line, column) = (found.node.line, found.node.column);
            let entry = Entry { key: name, line, column, value: found.node.clone() };
            if let Some(current) = extra.insert(&entry, found.place.clone()) {
                let what = format!(
                    "{:?} has no effect: {current:?}, its current name, is there as well",
                    entry.key
                );
                self.report.push(Problem::warn(found.place, what));
            }
        }
        extra
    }

    /// The members of an object, or of several objects in a list.
    fn members(&mut self, key: &'static str, go_type: &str) -> Vec<(String, Found<'a>)> {
        let Some(found) = self.find(key) else { return Vec::new() };
        let objects = match &found.node.value {
            NodeValue::List(_) => found.into_list(),
            _ => vec![found],
        };
        let mut members = Vec::new();
        for object in objects {
            match &object.node.value {
                NodeValue::Map(entries) => members.extend(entries.iter().map(|entry| {
                    let place = object.place.key(&entry.key);
                    (entry.key.clone(), Found { node: &entry.value, place }.located())
                })),
                NodeValue::Null => {}
                other => self.report.push(object.unfit(go_type, other)),
            }
        }
        members
    }

    /// Warns of the keys that were not asked for. Call it last.
    pub fn finish(self) {
        for entry in self.entries {
            let is_known = self.asked.iter().any(|key| entry.key.eq_ignore_ascii_case(key));
            // A variable such as KRAKEND_LICENSE_PATH is not meant for the configuration.
            if is_known || entry.line == 0 {
                continue;
            }
            let place = self.place.key(&entry.key).at(entry.line, entry.column);
            if let Some(problem) = keys::unknown(&entry.key, &self.asked, place) {
                self.report.push(problem);
            }
        }
    }

    fn checked<T>(&self, read: Result<T, Problem>) -> Option<T> {
        read.map_err(|problem| self.report.push(problem)).ok()
    }
}

// === impl Found ===

impl Found<'_> {
    /// The place, with the position of the value; a value of the environment is in its variable.
    fn located(mut self) -> Self {
        self.place = self.place.at(self.node.line, self.node.column);
        if self.node.line == 0 {
            self.place.file = Arc::from(format!("KRAKEND_{}", self.place.path.to_uppercase()));
        }
        self
    }

    /// A list as it is, an empty object as an empty list, anything else as a list of one.
    fn into_list(self) -> Vec<Self> {
        match &self.node.value {
            NodeValue::List(list) => {
                let item = |(index, node)| Found { node, place: self.place.index(index) }.located();
                list.iter().enumerate().map(item).collect()
            }
            NodeValue::Map(entries) if entries.is_empty() => Vec::new(),
            _ => vec![Self { node: self.node, place: self.place.index(0) }],
        }
    }

    /// mapstructure puts the name of the value before its messages; so does this.
    fn refuse(&self, what: &str) -> Problem {
        Problem::refuse(self.place.clone(), format!("'{}' {what}", self.place.path))
    }

    /// A value of another type than is wanted, with what to write in its place.
    fn unfit(&self, go_type: &str, value: &NodeValue) -> Problem {
        let wanted = match go_type {
            "string" => "one text: \"…\"",
            "bool" => "true or false",
            "int" => "a whole number",
            "float64" => "a number",
            "time.Duration" => "a duration: \"2s\"",
            _ => "an object: { \"name\": … }",
        };
        self.refuse(&unconvertible(go_type, value)).hint(format!("write {wanted}"))
    }

    fn to_text(&self) -> Result<String, Problem> {
        Ok(match &self.node.value {
            NodeValue::Null => String::new(),
            NodeValue::Bool(value) => u8::from(*value).to_string(),
            NodeValue::Number(number, _) => number.to_text(),
            NodeValue::Text(text) => text.clone(),
            other => return Err(self.unfit("string", other)),
        })
    }

    fn to_bool(&self) -> Result<bool, Problem> {
        match &self.node.value {
            NodeValue::Null => Ok(false),
            NodeValue::Bool(value) => Ok(*value),
            NodeValue::Number(number, _) => Ok(number.to_f64() != 0.0),
            NodeValue::Text(text) if text.is_empty() => Ok(false),
            NodeValue::Text(text) => parse_bool(text).ok_or_else(|| {
                let what = format!(
                    "cannot parse value as 'bool': strconv.ParseBool: invalid syntax: {text:?}"
                );
                self.refuse(&what).hint("write true or false")
            }),
            other => Err(self.unfit("bool", other)),
        }
    }

    fn to_int(&self) -> Result<i64, Problem> {
        match &self.node.value {
            NodeValue::Text(text) if text.is_empty() => Ok(0),
            NodeValue::Text(text) => parse_int(text).map_err(|reason| {
                let what = format!("cannot parse value as 'int': strconv.ParseInt: {reason}: {text:?}");
                let problem = self.refuse(&what);
                if text.starts_with("tcp://") {
                    // Kubernetes names a variable like this for a service called `krakend`.
                    return problem.hint("Kubernetes set this variable for a service; enableServiceLinks: false stops it");
                }
                problem.hint("write a whole number")
            }),
            other => self.number(other, "int"),
        }
    }

    fn to_duration_ns(&self) -> Result<i64, Problem> {
        match &self.node.value {
            NodeValue::Text(text) => parse_duration(text).map_err(|reason| {
                self.refuse(&reason).hint("durations have a unit: \"300ms\", \"2s\", \"1h30m\"")
            }),
            other => self.number(other, "time.Duration"),
        }
    }

    fn number(&self, value: &NodeValue, go_type: &str) -> Result<i64, Problem> {
        match value {
            NodeValue::Null => Ok(0),
            NodeValue::Bool(value) => Ok(i64::from(*value)),
            NodeValue::Number(number, _) => Ok(number.to_i64()),
            other => Err(self.unfit(go_type, other)),
        }
    }

    /// A number with a fraction.
    fn to_float(&self) -> Result<f64, Problem> {
        match &self.node.value {
            NodeValue::Null => Ok(0.0),
            NodeValue::Bool(value) => Ok(f64::from(u8::from(*value))),
            NodeValue::Number(number, _) => Ok(number.to_f64()),
            NodeValue::Text(text) if text.is_empty() => Ok(0.0),
            NodeValue::Text(text) => text.parse().map_err(|_| {
                self.refuse(&format!(
                    "cannot parse value as 'float64': strconv.ParseFloat: invalid syntax: {text:?}"
                ))
            }),
            other => Err(self.unfit("float64", other)),
        }
    }
}

fn unconvertible(go_type: &str, value: &NodeValue) -> String {
    format!("expected type '{go_type}', got unconvertible type '{}'", value.go_type())
}
