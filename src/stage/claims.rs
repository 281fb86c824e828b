//! `Claims`: what a verified token says about who sends a request, for every feature behind the validator.

use std::fmt::Write;
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

use crate::json::{self, Number, shortest};
use crate::shared::log::Log;

/// The payload of a token whose signature was found right.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims(Map<String, Value>);

/// A feature's say on whether a verified token lets its holder in. It must not wait.
pub trait ClaimRule: Send + Sync {
    fn admits(&self, claims: &Claims, log: Option<&Log>) -> bool;
}

/// Where an endpoint's validator finds the rule of another feature, whichever of the two is read first.
#[derive(Clone, Default)]
pub struct ClaimRules(Arc<OnceLock<Box<dyn ClaimRule>>>);

// === impl ClaimRules ===

impl ClaimRules {
    /// The first one stays.
    pub fn install(&self, rule: Box<dyn ClaimRule>) {
        // An endpoint has one block of each name.
        let _ = self.0.set(rule);
    }

    pub fn is_empty(&self) -> bool {
        self.0.get().is_none()
    }

    pub fn admit(&self, claims: &Claims, log: Option<&Log>) -> bool {
        self.0.get().is_none_or(|rule| rule.admits(claims, log))
    }
}

// === impl Claims ===

impl Claims {
    pub fn new(members: Map<String, Value>) -> Claims {
        Claims(members)
    }

    pub fn members(&self) -> &Map<String, Value> {
        &self.0
    }

    /// A claim by its exact name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A claim inside of others: `realm.access.roles`. Every step but the last must be an object.
    pub fn at(&self, path: &str) -> Option<&Value> {
        let (steps, last) = match path.rsplit_once('.') {
            Some((steps, last)) => (Some(steps), last),
            None => (None, path),
        };
        let mut members = &self.0;
        for step in steps.into_iter().flat_map(|steps| steps.split('.')) {
            members = members.get(step)?.as_object()?;
        }
        members.get(last)
    }
}

/// A claim as text, as the original writes it into headers and paths (krakend-jose, claims.go): whole numbers without a
/// fraction, others with six digits of it, lists with commas, everything else as JSON.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number_text(number.as_f64().unwrap_or_default()),
        Value::Array(list) => texts(list).collect::<Vec<_>>().join(","),
        other => {
            let mut bytes = Vec::new();
            json::write_value(&tree(other), &mut bytes);
            json::html_escaped(&String::from_utf8(bytes).unwrap_or_default())
        }
    }
}

/// The entries of a list, each as Go's `%v` prints it.
pub fn texts(list: &[Value]) -> impl Iterator<Item = String> {
    list.iter().map(|entry| {
        let mut out = String::new();
        print(entry, &mut out);
        out
    })
}

fn number_text(number: f64) -> String {
    const INTEGERS_END: f64 = 9_223_372_036_854_775_808.0;
    if number.fract() == 0.0 && (-INTEGERS_END..INTEGERS_END).contains(&number) {
        // Minus zero is zero.
        format!("{:.0}", number + 0.0)
    } else {
        format!("{number:.6}")
    }
}

fn print(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("<nil>"),
        Value::Bool(yes) => out.push_str(if *yes { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&shortest(number.as_f64().unwrap_or_default())),
        Value::String(text) => out.push_str(text),
        Value::Array(list) => {
            out.push('[');
            for (index, entry) in list.iter().enumerate() {
                out.push_str(if index > 0 { " " } else { "" });
                print(entry, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
            sorted.sort_by_key(|(key, _)| *key);
            out.push_str("map[");
            for (index, (key, entry)) in sorted.into_iter().enumerate() {
                let blank = if index > 0 { " " } else { "" };
                // Writing to a text cannot fail.
                let _ = write!(out, "{blank}{key}:");
                print(entry, out);
            }
            out.push(']');
        }
    }
}

/// The same value for the encoders, numbers being what Go's `float64` keeps of them.
fn tree(value: &Value) -> json::Value {
    match value {
        Value::Null => json::Value::Null,
        Value::Bool(yes) => json::Value::Bool(*yes),
        Value::Number(number) => {
            json::Value::Number(Number::Float(number.as_f64().unwrap_or_default()))
        }
        Value::String(text) => json::Value::String(text.clone()),
        Value::Array(list) => json::Value::Array(list.iter().map(tree).collect()),
        Value::Object(members) => json::Value::Object(
            members.iter().map(|(key, member)| (key.clone(), tree(member))).collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn claims_become_text_as_go_prints_them() {
        for (value, expected) in [
            (json!("a b"), "a b"),
            (json!(42), "42"),
            (json!(-3), "-3"),
            (json!(-0.0), "0"),
            (json!(1.5), "1.500000"),
            (json!(12_345_678_901_u64), "12345678901"),
            (json!(1e30), "1000000000000000019884624838656.000000"),
            (json!(true), "true"),
            (json!(null), "null"),
            (json!([]), ""),
            (json!(["a", 2, true, null]), "a,2,true,<nil>"),
            (json!([1_234_567]), "1.234567e+06"),
            (json!([["a", "b"], {"k": "v", "b": 1}]), "[a b],map[b:1 k:v]"),
            (json!({"k": "<v>", "a": 1}), r#"{"a":1,"k":"\u003cv\u003e"}"#),
        ] {
            assert_eq!(text(&value), expected, "{value}");
        }
    }

    #[test]
    fn nested_claims_are_reached_through_objects_only() {
        let Value::Object(members) = json!({"a": {"b": {"c": 1}}, "a.b": 2, "s": "x"}) else {
            unreachable!("an object")
        };
        let claims = Claims::new(members);
        assert_eq!(claims.at("a.b.c"), Some(&json!(1)));
        assert_eq!(claims.at("s"), Some(&json!("x")));
        assert_eq!(claims.at("s.x"), None);
        assert_eq!(claims.at("a.x.c"), None);
        assert_eq!(claims.get("a.b"), Some(&json!(2)));
    }
}
