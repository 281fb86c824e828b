//! The findings as text: one line each, or what a template of the user makes of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use gotmpl::{MissingKey, Template, Value};

use super::rules::Rule;
use crate::cli::terminal::{Terminal, wants_no_colour};

const LINES: &str =
    "{{ range .Recommendations }}{{.Rule}}\t[{{.Severity}}]   \t{{.Message}}\n{{ end }}";
const COLOURED_LINES: &str =
    "{{ range .Recommendations }}{{.Rule}}\t[{{colored .Severity}}]   \t{{.Message}}\n{{ end }}";
/// The members of the objects that templates see, in the order in which JSON shows them.
const MEMBERS: &[(&str, &str)] = &[
    ("Recommendations", "recommendations"),
    ("Stats", "stats"),
    ("Rule", "rule"),
    ("Severity", "severity"),
    ("Message", "message"),
];

/// The text, and why it ends early if it does.
pub fn render(
    format: Option<&str>,
    found: &[&Rule],
    terminal: &Terminal,
) -> (String, Result<(), String>) {
    let format = format.unwrap_or(if terminal.is_coloured() { COLOURED_LINES } else { LINES });
    let paints = !wants_no_colour();
    let template = Template::new("audit")
        .missing_key(MissingKey::Error)
        .func("marshal", |args| Ok(text(marshal(args.first().unwrap_or(&Value::Nil)))))
        .func("colored", move |args| {
            let severity = args.first().map(ToString::to_string).unwrap_or_default();
            Ok(text(if paints { coloured(&severity) } else { severity }))
        })
        .parse(format);
    let template = match template {
        Ok(template) => template,
        Err(error) => {
            return (String::new(), Err(format!("ERROR the format does not parse: {error}")));
        }
    };
    let mut out = String::new();
    let result = template.execute_fmt(&mut out, &data(found));
    (out, result.map_err(|error| format!("ERROR the format cannot be filled: {error}")))
}

fn data(found: &[&Rule]) -> Value {
    let finding = |rule: &&Rule| {
        object([
            ("Rule", text(rule.id)),
            ("Severity", text(rule.severity)),
            ("Message", text(rule.message)),
        ])
    };
    let findings: Vec<Value> = found.iter().map(finding).collect();
    object([("Recommendations", Value::List(findings.into())), ("Stats", object([]))])
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    let members: BTreeMap<Arc<str>, Value> =
        members.into_iter().map(|(name, value)| (name.into(), value)).collect();
    Value::Map(Arc::new(members))
}

fn text(text: impl AsRef<str>) -> Value {
    Value::String(text.as_ref().into())
}

fn coloured(severity: &str) -> String {
    let code = match severity {
        "LOW" => 32,
        "MEDIUM" => 33,
        "HIGH" => 31,
        "CRITICAL" => 41,
        _ => return severity.to_owned(),
    };
    format!("\x1b[{code};1m{severity}\x1b[0m")
}

/// JSON as Go writes it: what HTML would trip over is escaped.
fn marshal(value: &Value) -> String {
    let json = json(value).to_string();
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => (*value).into(),
        Value::Uint(value) => (*value).into(),
        Value::Float(value) => (*value).into(),
        Value::String(value) => serde_json::Value::from(&**value),
        Value::List(list) => list.iter().map(json).collect(),
        Value::Map(members) => {
            let place = |key: &str| MEMBERS.iter().position(|(name, _)| *name == key);
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| place(key).unwrap_or(MEMBERS.len()));
            let named = |key: &str| place(key).map_or(key, |place| MEMBERS[place].1).to_owned();
            members.into_iter().map(|(key, value)| (named(key), json(value))).collect()
        }
        Value::Nil | Value::Function(_) => serde_json::Value::Null,
    }
}
