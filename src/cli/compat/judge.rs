//! Judges the options of a configuration by what loading and compiling it tell, and by the list of differences.

use crate::config::written::Written;
use crate::config::{Loaded, Problem, Severity};
use crate::features;
use crate::plan;
use crate::plan::feature::Feature;

use super::differences::{self, Difference};
use super::enterprise;
use super::verdict::{State, Verdict};

const ENTERPRISE: &str =
    "part of KrakenD's Enterprise edition; the Community edition leaves it alone";

/// The verdicts on all options, those of the same option and the same fate as one. Judged is a strict start: a lenient one
/// would leave out what is ours.
pub fn verdicts(loaded: &Loaded) -> Vec<Verdict> {
    let mut problems = loaded.warnings.clone();
    match plan::compile(&loaded.service, features::ALL, false) {
        Ok(compiled) => problems.extend(compiled.warnings),
        Err(found) => problems.extend(found),
    }
    let differences = differences::all();
    let options = loaded.document.options();
    let mut of_option: Vec<Vec<&Problem>> = vec![Vec::new(); options.len()];
    let mut elsewhere = Vec::new();
    for problem in &problems {
        match option_of(problem, &options) {
            Some(index) => of_option[index].push(problem),
            None => elsewhere.push(problem),
        }
    }
    let mut verdicts = Vec::new();
    for (option, problems) in options.iter().zip(of_option) {
        let (state, why) = judge(option, &problems, &differences);
        add(&mut verdicts, verdict(&option.place.path, option, state, why));
    }
    for problem in elsewhere.into_iter().filter(|problem| is_worth_telling(problem)) {
        let state = state_of(problem);
        add(
            &mut verdicts,
            Verdict {
                state,
                option: without_indexes(&problem.place.path),
                count: 1,
                first: position(problem.place.line, problem.place.column),
                why: vec![problem.what.clone()],
            },
        );
    }
    verdicts
}

/// The option that a problem is about: the closest one above its place.
fn option_of(problem: &Problem, options: &[Written]) -> Option<usize> {
    let path = &*problem.place.path;
    let holds = |option: &Written| {
        let rest = path.strip_prefix(&*option.place.path);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let holding = options.iter().enumerate().filter(|(_, option)| holds(option));
    holding.max_by_key(|(_, option)| option.place.path.len()).map(|(index, _)| index)
}

fn judge(
    option: &Written,
    problems: &[&Problem],
    differences: &[Difference],
) -> (State, Vec<String>) {
    let feature = option.namespace.as_deref().and_then(feature);
    let is_block = is_block(option);
    if let Some(feature) = feature.filter(|feature| !feature.is_built()) {
        let why = is_block.then(|| format!("{} is not built yet", feature.namespace()));
        return (State::Missing, why.into_iter().collect());
    }
    let of_enterprise = match (&option.namespace, feature) {
        (Some(namespace), None) => enterprise::has(namespace, None),
        (Some(namespace), Some(_)) if !is_block => enterprise::has(namespace, Some(&option.key)),
        _ => false,
    };
    if of_enterprise && (feature.is_none() || !problems.is_empty()) {
        let why = is_block || feature.is_some();
        return (State::Missing, why.then(|| ENTERPRISE.to_owned()).into_iter().collect());
    }
    if option.namespace.is_some() && feature.is_none() {
        let why = is_block.then(|| "nobody knows this namespace".to_owned());
        return (State::Ignored, why.into_iter().collect());
    }
    let mut state = State::Honoured;
    let mut why = Vec::new();
    for problem in problems.iter().filter(|problem| is_worth_telling(problem)) {
        state = state.max(state_of(problem));
        why.push(problem.what.clone());
    }
    let name = if is_block { option.namespace.as_deref() } else { None };
    let name = name.unwrap_or(&option.key);
    for difference in differences.iter().filter(|difference| difference.is_about(name)) {
        state = state.max(State::Differs);
        why.push(difference.to_string());
    }
    (state, why)
}

fn feature(namespace: &str) -> Option<&'static dyn Feature> {
    features::ALL.iter().find(|feature| feature.namespace() == namespace).copied()
}

/// Whether the option is a block as a whole, and not a member of one.
fn is_block(option: &Written) -> bool {
    option.namespace.is_some()
        && option
            .place
            .path
            .strip_suffix(&option.key)
            .is_some_and(|path| path.ends_with("extra_config."))
}

/// Of a key that is written twice the last one counts for the original, too.
fn is_worth_telling(problem: &Problem) -> bool {
    !problem.what.contains("is written twice")
}

fn state_of(problem: &Problem) -> State {
    match problem.severity {
        Severity::Warn if has_no_effect(&problem.what) => State::Ignored,
        Severity::Warn => State::Differs,
        Severity::Lenient | Severity::Refuse if is_missing(&problem.what) => State::Missing,
        Severity::Lenient | Severity::Refuse => State::Refused,
    }
}

fn has_no_effect(what: &str) -> bool {
    what.starts_with("unknown key") || what.contains("has no effect")
}

fn is_missing(what: &str) -> bool {
    ["not built", "cannot be loaded"].iter().any(|words| what.contains(words))
}

fn verdict(path: &str, option: &Written, state: State, why: Vec<String>) -> Verdict {
    Verdict {
        state,
        option: without_indexes(path),
        count: 1,
        first: position(option.place.line, option.place.column),
        why,
    }
}

/// Counts an option that has been met before.
fn add(verdicts: &mut Vec<Verdict>, new: Verdict) {
    let known = verdicts.iter_mut().find(|known| {
        known.option == new.option && known.state == new.state && known.why == new.why
    });
    match known {
        Some(known) => known.count += 1,
        None => verdicts.push(new),
    }
}

/// Line and column; an override from the environment has none.
fn position(line: u32, column: u32) -> String {
    if line == 0 { "environment".to_owned() } else { format!("{line}:{column}") }
}

/// `endpoints[3].backend[0].host` is `endpoints[].backend[].host`.
fn without_indexes(path: &str) -> String {
    let mut out = String::new();
    let mut is_inside = false;
    for letter in path.chars() {
        match letter {
            '[' => is_inside = true,
            ']' => is_inside = false,
            _ if is_inside && letter.is_ascii_digit() => continue,
            _ => {}
        }
        out.push(letter);
    }
    out
}
