//! Compares a configuration with a JSON Schema: every finding with its place, its value and a way out.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::paths::LocationSegment;
use jsonschema::{Retrieve, ValidationError};
use serde_json::Value;

use super::keys;
use super::problem::{Place, Problem};
use super::source::{Node, NodeValue};
use super::{Document, registry};

/// Findings beyond this many are counted and not told.
const FINDINGS_MAX: usize = 500;
/// A value that is longer is cut.
const SHOWN_CHARACTERS_MAX: usize = 60;

/// Against the schema that is made of the registry.
///
/// # Errors
/// What is wrong with the schema itself.
pub fn with_own_schema(document: &Document) -> Result<Vec<Problem>, String> {
    findings(document, &registry::schema(), None)
}

/// Against another schema; `base` is its address and `retriever` gets the schemas that it refers to.
///
/// # Errors
/// What is wrong with the schema.
pub fn with_schema(
    document: &Document,
    schema: &Value,
    base: &str,
    retriever: impl Retrieve + 'static,
) -> Result<Vec<Problem>, String> {
    let options = jsonschema::options().with_retriever(retriever).with_base_uri(base.to_owned());
    findings(document, schema, Some(options))
}

fn findings(
    document: &Document,
    schema: &Value,
    options: Option<jsonschema::ValidationOptions>,
) -> Result<Vec<Problem>, String> {
    let options = options.unwrap_or_else(jsonschema::options);
    let validator = options.build(schema).map_err(|error| error.to_string())?;
    let value = document.root.to_json();
    let mut problems = Vec::new();
    for error in validator.iter_errors(&value) {
        add(document, schema, &error, &mut problems);
        if problems.len() >= FINDINGS_MAX {
            problems.push(Problem::refuse(
                document.place.clone(),
                "and more: these are the first ones",
            ));
            break;
        }
    }
    problems.sort_by_key(|problem| (problem.place.line, problem.place.column));
    Ok(problems)
}

/// The findings of one error: a line for each key that is too much.
fn add(
    document: &Document,
    schema: &Value,
    error: &ValidationError<'_>,
    problems: &mut Vec<Problem>,
) {
    let (node, place) = located(document, error);
    let refuse = |what: String| Problem::refuse(place.clone(), what);
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let known = known_keys(schema, error);
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            for key in unexpected {
                let at = entry_place(node, &place, key);
                let what = format!("unknown key {key:?} (additional properties are not allowed)");
                let problem = Problem::refuse(at.clone(), what);
                let hint = keys::unknown(key, &known, at).and_then(|problem| problem.hint);
                problems.push(Problem { hint, ..problem });
            }
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            let whys: Vec<String> = context.iter().flatten().map(why).collect();
            problems.push(refuse(format!(
                "{} fits none of the possible forms: {}",
                shown(error.instance()),
                whys.join("; ")
            )));
        }
        ValidationErrorKind::Enum { options } => {
            let choices: Vec<&str> =
                options.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let meant = error.instance().as_str().and_then(|text| keys::nearest(text, &choices));
            let problem = refuse(why(error));
            problems.push(match meant {
                Some(meant) => problem.hint(format!("did you mean {meant:?}?")),
                None => problem,
            });
        }
        ValidationErrorKind::Pattern { pattern } if pattern.contains("(ns|us|µs|ms|s|m|h)") => {
            let what = format!("{} is no duration", shown(error.instance()));
            problems.push(refuse(what).hint("durations have a unit: \"300ms\", \"2s\", \"1h30m\""));
        }
        ValidationErrorKind::Type { kind: TypeKind::Single(wanted) } => {
            problems.push(match type_hint(&wanted.to_string(), error.instance()) {
                Some(hint) => refuse(why(error)).hint(hint),
                None => refuse(why(error)),
            });
        }
        _ => problems.push(refuse(why(error))),
    }
}

/// One error in a sentence.
fn why(error: &ValidationError<'_>) -> String {
    let value = || shown(error.instance());
    match error.kind() {
        ValidationErrorKind::Required { property } => format!("{property} is missing"),
        ValidationErrorKind::Enum { options } => {
            let options: Vec<String> =
                options.as_array().into_iter().flatten().map(Value::to_string).collect();
            format!("{} is none of {}", value(), options.join(", "))
        }
        ValidationErrorKind::Constant { expected_value } => {
            format!("{} is not {expected_value}", value())
        }
        ValidationErrorKind::Minimum { limit } => format!("{} is below {limit}", value()),
        ValidationErrorKind::Maximum { limit } => format!("{} is above {limit}", value()),
        ValidationErrorKind::MinItems { limit } => {
            format!("the list has less than {limit} entries")
        }
        ValidationErrorKind::Type { kind: TypeKind::Single(wanted) } => {
            format!("expected {wanted}, got {} {}", type_name(error.instance()), value())
        }
        _ => error.to_string(),
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// What mostly was meant by a value of another type.
fn type_hint(wanted: &str, value: &Value) -> Option<String> {
    match (wanted, value) {
        ("integer" | "number" | "boolean", Value::String(text))
            if text.parse::<f64>().is_ok() || matches!(&**text, "true" | "false") =>
        {
            Some(format!("write it without quotes: {text}"))
        }
        ("string", Value::Number(number)) => Some(format!("write it with quotes: \"{number}\"")),
        ("array", value) if !value.is_object() => Some(format!("write a list: [{value}]")),
        _ => None,
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= SHOWN_CHARACTERS_MAX {
        return text;
    }
    text.chars().take(SHOWN_CHARACTERS_MAX).chain(std::iter::once('…')).collect()
}

/// The value that an error is about, and where it stands.
fn located<'d>(document: &'d Document, error: &ValidationError<'_>) -> (&'d Node, Place) {
    let (mut node, mut place) = (&document.root, document.place.clone());
    for segment in error.instance_path() {
        let (child, next) = match &segment {
            LocationSegment::Property(name) => (node.child(name), place.key(name)),
            LocationSegment::Index(index) => (node.child(&index.to_string()), place.index(*index)),
        };
        let Some(child) = child else { break };
        if place.path.starts_with("endpoints[") && !place.path.contains('.') {
            place.endpoint = endpoint_name(node).map(Into::into);
        }
        place = Place { endpoint: place.endpoint, ..next.at(child.line, child.column) };
        node = child;
    }
    if place.path.starts_with("endpoints[") && !place.path.contains('.') {
        place.endpoint = endpoint_name(node).map(Into::into);
    }
    (node, place)
}

fn endpoint_name(endpoint: &Node) -> Option<String> {
    let text = |key| match &endpoint.child(key)?.value {
        NodeValue::Text(text) => Some(text.as_str()),
        _ => None,
    };
    Some(format!("{} {}", text("method").unwrap_or("GET"), text("endpoint")?))
}

fn entry_place(node: &Node, place: &Place, key: &str) -> Place {
    let NodeValue::Map(entries) = &node.value else { return place.key(key) };
    let entry = entries.iter().rev().find(|entry| entry.key == key);
    entry.map_or_else(|| place.key(key), |entry| place.key(key).at(entry.line, entry.column))
}

/// The keys that the schema allows where an error happened; none when it leads into another schema.
fn known_keys(schema: &Value, error: &ValidationError<'_>) -> Vec<String> {
    let mut at = schema;
    let mut steps: Vec<String> = Vec::new();
    for segment in error.schema_path() {
        steps.push(match segment {
            LocationSegment::Property(name) => name.into_owned(),
            LocationSegment::Index(index) => index.to_string(),
        });
    }
    steps.pop();
    for step in steps {
        let next = match at.get("$ref").and_then(Value::as_str).filter(|_| step == "$ref") {
            Some(target) => target.strip_prefix('#').and_then(|pointer| schema.pointer(pointer)),
            None => {
                at.get(&step).or_else(|| step.parse::<usize>().ok().and_then(|index| at.get(index)))
            }
        };
        let Some(next) = next else { return Vec::new() };
        at = next;
    }
    let properties = at.get("properties").and_then(Value::as_object);
    properties.map(|properties| properties.keys().cloned().collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linted(text: &str) -> Vec<String> {
        let loaded = crate::config::parse("k.json", text.as_bytes(), &[]).expect("a configuration");
        let problems = with_own_schema(&loaded.document).expect("a schema");
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_right_file_has_no_findings() {
        let text = r##"{"version": 3, "$schema": "x", "#note": 1, "endpoints": [{"endpoint": "/a", "backend": [{"url_pattern": "/", "host": ["http://a"]}]}]}"##;
        assert_eq!(linted(text), Vec::<String>::new());
    }

    #[test]
    fn findings_have_place_value_and_way_out() {
        let text = "{\"version\": 3, \"port\": \"8080\", \"timeuot\": \"2s\",\n \"endpoints\": [{\"endpoint\": \"/a\", \"method\": \"POTS\",\n  \
                    \"extra_config\": {\"router\": {}, \"proxy\": {\"sequental\": true}},\n  \
                    \"backend\": [{\"url_pattern\": \"/\", \"host\": [\"http://a\"]}]}]}";
        assert_eq!(
            linted(text),
            [
                "k.json:1:24  port\n    expected integer, got string \"8080\"\n    hint: write it without quotes: 8080",
                "k.json:1:32  timeuot\n    unknown key \"timeuot\" (additional properties are not allowed)\n    hint: did you mean \"timeout\"?",
                "k.json:2:45  endpoints[0] POTS /a → method\n    \"POTS\" is none of \"GET\", \"POST\", \"PUT\", \"PATCH\", \"DELETE\"\n    hint: did you mean \"POST\"?",
                "k.json:3:20  endpoints[0] POTS /a → extra_config.router\n    unknown key \"router\" (additional properties are not allowed)",
                "k.json:3:44  endpoints[0] POTS /a → extra_config.proxy.sequental\n    unknown key \"sequental\" (additional properties are not allowed)\n    hint: did you mean \"sequential\"?",
            ]
        );
    }
}
