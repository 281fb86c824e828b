//! The seam to the crate: parsing, functions of our own, and one evaluation.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use cel::common::ast::IdedExpr;
use cel::common::types::{CelBool, CelString, DYN_TYPE, STRING_TYPE};
use cel::common::value::CowVal;
use cel::{Context, Env, ExecutionError, Value};
use regex::Regex;

use super::budget;
use super::expression::Expression;
use crate::config::go_regex::go_regex;

/// Patterns that a core keeps compiled; a pattern may come from a request.
const PATTERNS_MAX: usize = 64;
/// What of an error goes to the log: it may hold a whole answer.
const REASON_CHARS_MAX: usize = 200;

thread_local! {
    static ENV: Arc<Env> = Arc::new(environment());
    static PATTERNS: RefCell<HashMap<String, Regex>> = RefCell::default();
}

/// Reads an expression, macros done.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn parse(text: &str) -> Result<IdedExpr, String> {
    let env = ENV.with(Arc::clone);
    env.parser().parse(text).map_err(|errors| {
        let text = errors.to_string();
        let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("no reason given");
        first.trim_start_matches("ERROR: ").trim_start_matches("<input>:").trim().to_owned()
    })
}

/// A core's place for the values of one list of checks.
pub fn new_context<'v>() -> Context<'v, 'v> {
    budget::refill();
    Context::with_env(ENV.with(Arc::clone))
}

/// Makes a check.
///
/// # Errors
/// What came out in place of "true".
pub fn hold(expression: &Expression, context: &Context<'_, '_>) -> Result<(), String> {
    let value = Value::resolve_val(&expression.tree, context);
    if budget::is_spent() {
        return Err("failed: it takes too long".to_owned());
    }
    match value {
        Ok(value) => match value.downcast_ref::<CelBool>() {
            Some(yes) if *yes.inner() => Ok(()),
            Some(_) => Err("result: false".to_owned()),
            None => Err(format!("result: {}", value.get_type().name())),
        },
        Err(error) => {
            let reason: String = error.to_string().chars().take(REASON_CHARS_MAX).collect();
            Err(format!("failed: {reason}"))
        }
    }
}

fn environment() -> Env {
    let mut env = Env::stdlib().with_optional_support(false);
    let texts = || vec![STRING_TYPE, STRING_TYPE];
    let added = env
        .add_overload(budget::FUNCTION, "pay", vec![DYN_TYPE], budget::pay)
        .and_then(|()| env.add_overload("matches", "matches", texts(), matches))
        .and_then(|()| {
            let argument = vec![STRING_TYPE];
            env.add_member_overload("matches", "matches_string", STRING_TYPE, argument, matches)
        });
    debug_assert!(added.is_ok(), "the crate has none of these names: {added:?}");
    env
}

/// `matches(text, pattern)` in Go's syntax of patterns, with the patterns kept.
fn matches<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let text = |at: usize| {
        let argument = arguments.get(at).and_then(|argument| argument.downcast_ref::<CelString>());
        argument.map(CelString::inner).ok_or_else(ExecutionError::missing_argument_or_target)
    };
    let (text, pattern) = (text(0)?, text(1)?);
    let is_match = PATTERNS.with_borrow_mut(|known| {
        if let Some(known) = known.get(pattern) {
            return Ok(known.is_match(text));
        }
        let compiled = go_regex(pattern)
            .map_err(|error| ExecutionError::function_error("matches", error.to_string()))?;
        if known.len() >= PATTERNS_MAX {
            known.clear();
        }
        let is_match = compiled.is_match(text);
        known.insert(pattern.to_owned(), compiled);
        Ok(is_match)
    })?;
    Ok(CowVal::owned(CelBool::from(is_match)))
}
