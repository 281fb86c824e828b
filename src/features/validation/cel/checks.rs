//! `Checks`: the expressions of one list, in their order, and what happens when one of them does not hold.

use cel::Context;

use super::expression::Expression;
use super::interpreter;
use super::values::{self, Boxed};
use crate::shared::log::{Level, Log};

/// The expressions that are made at one moment.
#[derive(Debug, Default)]
pub struct Checks {
    /// How its lines begin in the log.
    prefix: String,
    /// What one of them is called there.
    noun: &'static str,
    expressions: Vec<Expression>,
    names_now: bool,
}

/// The values that a list is given.
pub struct Values<'c> {
    checks: &'c Checks,
    context: Context<'static, 'static>,
}

// === impl Checks ===

impl Checks {
    pub fn new(prefix: String, noun: &'static str, expressions: Vec<Expression>) -> Checks {
        let mut checks = Checks { prefix, noun, expressions, names_now: false };
        checks.names_now = checks.names("now");
        checks
    }

    pub fn is_empty(&self) -> bool {
        self.expressions.is_empty()
    }

    fn names(&self, variable: &str) -> bool {
        self.expressions.iter().any(|expression| expression.names(variable))
    }

    /// Makes the checks until one does not hold.
    ///
    /// # Errors
    /// The number of that one in the list.
    pub fn make(&self, log: Option<&Log>, give: impl FnOnce(&mut Values<'_>)) -> Result<(), usize> {
        let mut values = Values { checks: self, context: interpreter::new_context() };
        if self.names_now {
            values.context.add_variable_as_val("now", values::now());
        }
        give(&mut values);
        let log = log.filter(|log| log.is_enabled(Level::Info));
        for (number, expression) in self.expressions.iter().enumerate() {
            let made = interpreter::hold(expression, &values.context);
            let Some(log) = log else {
                made.map_err(|_| number)?;
                continue;
            };
            let (prefix, noun) = (&self.prefix, self.noun);
            match made {
                Ok(()) => log.debug(format_args!("{prefix} {noun} #{number} result: true")),
                Err(why) => {
                    log.info(format_args!("{prefix} {noun} #{number} {why}"));
                    return Err(number);
                }
            }
        }
        Ok(())
    }
}

// === impl Values ===

impl Values<'_> {
    /// Gives the variable its value, if any of the expressions names it.
    pub fn set(&mut self, variable: &'static str, value: impl FnOnce() -> Boxed) {
        if self.checks.names(variable) {
            self.context.add_variable_as_val(variable, value());
        }
    }
}
