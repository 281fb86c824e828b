//! `StaticPlan`: data that an endpoint adds to its answers, and when (specification, section 2.19).

use crate::json::{Map, Number, Value};

/// `proxy.static` of an endpoint.
pub struct StaticPlan {
    pub data: Map,
    pub when: When,
}

/// A value of the configuration as the original holds it: all numbers are doubles.
pub fn value_of(configured: &serde_json::Value) -> Value {
    match configured {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(is) => Value::Bool(*is),
        serde_json::Value::Number(number) => {
            Value::Number(Number::Float(number.as_f64().unwrap_or(0.0)))
        }
        serde_json::Value::String(text) => Value::String(text.clone()),
        serde_json::Value::Array(items) => Value::Array(items.iter().map(value_of).collect()),
        serde_json::Value::Object(members) => {
            let members = members.iter().map(|(name, value)| (name.clone(), value_of(value)));
            Value::Object(members.collect::<Map>())
        }
    }
}

/// The condition; anything unknown means always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Always,
    /// There was no error.
    Success,
    Errored,
    /// No error, and the answer is complete.
    Complete,
    /// There is no answer, or it is not complete.
    Incomplete,
}

impl When {
    pub fn named(strategy: &str) -> When {
        match strategy {
            "success" => When::Success,
            "errored" => When::Errored,
            "complete" => When::Complete,
            "incomplete" => When::Incomplete,
            _ => When::Always,
        }
    }

    /// `complete` is `None` when there is no answer at all.
    pub fn holds(self, failed: bool, complete: Option<bool>) -> bool {
        match self {
            When::Always => true,
            When::Success => !failed,
            When::Errored => failed,
            When::Complete => !failed && complete == Some(true),
            When::Incomplete => complete != Some(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_look_at_the_error_and_at_completeness() {
        assert!(When::named("made-up").holds(true, None));
        assert!(When::named("success").holds(false, Some(false)));
        assert!(!When::named("success").holds(true, Some(false)));
        assert!(When::named("errored").holds(true, None));
        assert!(When::named("complete").holds(false, Some(true)));
        assert!(!When::named("complete").holds(true, Some(true)));
        assert!(When::named("incomplete").holds(true, None));
        assert!(!When::named("incomplete").holds(true, Some(true)));
    }
}
