//! Functions that ask what a value is, or make it another kind of value.

use gotmpl::Value;

use super::super::value::{self, from_json, string, strings, to_json};
use super::{Answer, Args, Function, function};

pub const TABLE: &[Function] = &[
    function("atoi", 1, 1, |args| Ok(Value::Int(atoi(args.text(0)?)))),
    function("deepCopy", 1, 1, |args| Ok(args.get(0).clone())),
    function("deepEqual", 2, 2, |args| Ok(Value::Bool(args.get(0) == args.get(1)))),
    function("float64", 1, 1, |args| Ok(Value::Float(value::to_f64(args.get(0))))),
    function("fromJson", 1, 1, |args| Ok(parsed(args.text(0)?).unwrap_or(Value::Nil))),
    function("int", 1, 1, |args| Ok(Value::Int(value::to_i64(args.get(0))))),
    function("int64", 1, 1, |args| Ok(Value::Int(value::to_i64(args.get(0))))),
    function("kindIs", 2, 2, |args| {
        Ok(Value::Bool(args.text(0)? == value::kind_name(args.get(1))))
    }),
    function("kindOf", 1, 1, |args| Ok(string(value::kind_name(args.get(0))))),
    function("marshal", 1, 1, json),
    function("mustDeepCopy", 1, 1, |args| Ok(args.get(0).clone())),
    function("mustFromJson", 1, 1, |args| parsed(args.text(0)?)),
    function("mustToJson", 1, 1, json),
    function("mustToPrettyJson", 1, 1, pretty_json),
    function("mustToRawJson", 1, 1, raw_json),
    function("toDecimal", 1, 1, |args| {
        let digits = value::text(args.get(0));
        Ok(Value::Int(i64::from_str_radix(&digits, 8).unwrap_or(0)))
    }),
    function("toJson", 1, 1, json),
    function("toPrettyJson", 1, 1, pretty_json),
    function("toRawJson", 1, 1, raw_json),
    function("toString", 1, 1, |args| Ok(string(value::text(args.get(0))))),
    function("toStrings", 1, 1, |args| Ok(strings(texts(args.get(0))))),
    function("typeIs", 2, 2, |args| {
        Ok(Value::Bool(args.text(0)? == value::type_name(args.get(1))))
    }),
    function("typeIsLike", 2, 2, |args| {
        let wanted = args.text(0)?.trim_start_matches('*');
        Ok(Value::Bool(wanted == value::type_name(args.get(1))))
    }),
    function("typeOf", 1, 1, |args| Ok(string(value::type_name(args.get(0))))),
];

fn json(args: &Args<'_>) -> Answer {
    Ok(string(to_json(args.get(0), None, false)))
}

fn pretty_json(args: &Args<'_>) -> Answer {
    Ok(string(to_json(args.get(0), Some("  "), false)))
}

fn raw_json(args: &Args<'_>) -> Answer {
    Ok(string(to_json(args.get(0), None, true)))
}

fn parsed(text: &str) -> Answer {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    Ok(from_json(&value))
}

/// Digits with a sign, and nothing else.
fn atoi(text: &str) -> i64 {
    text.parse().unwrap_or(0)
}

/// The texts of a list without what is nothing; anything else is a list of one.
pub fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::List(values) => {
            let values = values.iter().filter(|value| !matches!(value, Value::Nil));
            values.map(value::text).collect()
        }
        Value::Nil => Vec::new(),
        other => vec![value::text(other)],
    }
}
