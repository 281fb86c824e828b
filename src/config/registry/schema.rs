//! The JSON Schema of a configuration, for editors and for `check --lint`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Entry, of_object, sections};
use crate::config::aliases;

/// Durations of Go: `300ms`, `1h30m`.
const DURATION: &str = r"^(0|[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h))*)$";
/// Keys that are remarks.
const REMARK: &str = "^[@$_#]";
/// Where blocks may stand.
const SCOPES: &[&str] = &["service", "endpoint", "backend", "agent"];

/// The schema, in the dialect of 2020-12.
pub fn schema() -> Value {
    let objects: BTreeSet<&str> = sections()
        .iter()
        .map(|section| section.object.as_str())
        .filter(|object| !object.is_empty())
        .collect();
    let mut defs = Map::new();
    for object in objects.iter().copied().filter(|object| *object != "root") {
        defs.insert(object.to_owned(), object_schema(object));
    }
    for scope in SCOPES {
        defs.insert(format!("blocks@{scope}"), blocks(scope, &objects));
    }
    let mut root = object_schema("root");
    if let Value::Object(root) = &mut root {
        let plugin = json!({"$ref": reference("plugin")});
        let agents = json!({"type": "array", "items": {"$ref": reference("async_agent")}});
        if let Some(Value::Object(properties)) = root.get_mut("properties") {
            properties.insert("plugin".to_owned(), plugin);
            properties.insert("async_agent".to_owned(), agents);
        }
        root.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
        root.insert("title".to_owned(), "A configuration of Shoal, or of KrakenD 2.13".into());
        root.insert("$defs".to_owned(), defs.into());
    }
    root
}

fn reference(object: &str) -> String {
    format!("#/$defs/{}", object.replace('~', "~0").replace('/', "~1"))
}

/// The blocks of a level by namespace, under their former names as well.
fn blocks(scope: &str, objects: &BTreeSet<&str>) -> Value {
    let mut properties = Map::new();
    for object in objects {
        let Some((namespace, _)) = object.rsplit_once('@').filter(|(_, at)| *at == scope) else {
            continue;
        };
        let block = json!({"$ref": reference(object)});
        for former in aliases::former_names(namespace) {
            let hint = format!("The former name of {namespace}.");
            properties.insert(
                former.to_owned(),
                json!({"$ref": reference(object), "deprecated": true, "description": hint}),
            );
        }
        properties.insert(namespace.to_owned(), block);
    }
    closed(properties)
}

/// An object with these members and remarks.
fn closed(properties: Map<String, Value>) -> Value {
    json!({
        "type": "object",
        "properties": properties,
        "patternProperties": {REMARK: true},
        "additionalProperties": false
    })
}

fn object_schema(object: &str) -> Value {
    let sections = of_object(object);
    let section = sections.first();
    if let Some(section) = section.filter(|section| !section.same_as.is_empty()) {
        return json!({"$ref": reference(&section.same_as)});
    }
    let is_free = section.is_some_and(|section| section.is_free);
    let entries: Vec<&Entry> = sections.iter().flat_map(|section| &section.options).collect();
    if is_free && entries.is_empty() {
        return json!({});
    }
    let mut schema = closed(Map::new());
    for entry in entries {
        for key in &entry.keys {
            insert(&mut schema, key, described(entry, key), entry.required);
        }
    }
    if is_free && let Value::Object(members) = &mut schema {
        members.remove("additionalProperties");
    }
    if section.is_some_and(|section| section.is_list) {
        return json!({"type": "array", "items": schema});
    }
    schema
}

/// Puts a member at its place; objects on the way become closed ones.
fn insert(schema: &mut Value, path: &str, member: Value, is_required: bool) {
    if schema.get("properties").is_none() {
        *schema = merged(schema.take(), closed(Map::new()));
    }
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let (name, is_list) = name.strip_suffix("[]").map_or((name, false), |name| (name, true));
    let child = &mut schema["properties"][name];
    match rest {
        Some(rest) => {
            let inner = if is_list { &mut child["items"] } else { child };
            insert(inner, rest, member, is_required);
        }
        None => {
            *child = merged(child.take(), member);
            if is_required {
                match &mut schema["required"] {
                    Value::Array(names) => names.push(name.into()),
                    other => *other = json!([name]),
                }
            }
        }
    }
}

/// The members of both; the second's where both have one.
fn merged(first: Value, second: Value) -> Value {
    let (Value::Object(mut members), Value::Object(others)) = (first, second.clone()) else {
        return second;
    };
    members.extend(others);
    members.into()
}

fn described(entry: &Entry, key: &str) -> Value {
    let mut schema = if entry.shape == "same" {
        let found = of_object(&entry.same_as).into_iter().flat_map(|section| &section.options);
        let same = found.into_iter().find(|other| other.keys.iter().any(|other| other == key));
        return same.map_or_else(|| json!({}), |same| described(same, key));
    } else {
        shape(&entry.shape)
    };
    let mut text = entry.meaning.clone();
    if !entry.default.is_empty() && !entry.required {
        text.push_str(&format!(" (default: {})", entry.default));
    }
    let text = text.trim();
    if !text.is_empty()
        && let Value::Object(members) = &mut schema
    {
        members.insert("description".to_owned(), text.into());
    }
    schema
}

/// The words of shapes: `bool`, `text`, `texts` (an object of texts), `duration`, `object`, `any`, `int` and `number` with
/// a range (`int 1..65535`), `list …`, `one of a|b`, `ref object`, `… or …`.
fn shape(words: &str) -> Value {
    if let Some((first, second)) = words.split_once(" or ") {
        return json!({"anyOf": [shape(first), shape(second)]});
    }
    let (word, rest) = words.split_once(' ').unwrap_or((words, ""));
    match word {
        "bool" => json!({"type": "boolean"}),
        "text" => json!({"type": "string"}),
        "texts" => json!({"type": "object", "additionalProperties": {"type": "string"}}),
        "duration" => json!({"type": "string", "pattern": DURATION}),
        "object" => json!({"type": "object"}),
        "any" => json!({}),
        "int" => ranged("integer", rest),
        "number" => ranged("number", rest),
        "list" if rest.is_empty() => json!({"type": "array"}),
        "list" => json!({"type": "array", "items": shape(rest)}),
        "ref" => json!({"$ref": reference(rest)}),
        "one" => {
            let choice = |text: &str| {
                text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number))
            };
            let choices: Vec<Value> =
                rest.trim_start_matches("of ").split('|').map(choice).collect();
            json!({"enum": choices})
        }
        other => panic!("the registry has a shape {other:?} that nobody knows"),
    }
}

fn ranged(kind: &str, range: &str) -> Value {
    let mut schema = json!({"type": kind});
    if let Some((min, max)) = range.split_once("..") {
        for (name, bound) in [("minimum", min), ("maximum", max)] {
            if let Ok(bound) = bound.parse::<i64>() {
                schema[name] = json!(bound);
            }
        }
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(config: &Value) -> Result<(), String> {
        let validator = jsonschema::validator_for(&schema()).expect("a schema");
        validator
            .validate(config)
            .map_err(|error| format!("{} at {}", error, error.instance_path()))
    }

    #[test]
    fn the_schema_is_one_and_takes_a_configuration() {
        assert!(jsonschema::meta::is_valid(&schema()));
        let config = json!({
            "$schema": "x", "version": 3, "port": 8080, "timeout": "1h30m", "tls": {"keys": [{"public_key": "a", "private_key": "b"}]},
            "extra_config": {"router": {"error_body": {"404": 1}}, "github_com/devopsfaith/krakend-cors": {"max_age": "1h"},
                "telemetry/logging": {"level": "INFO"}},
            "endpoints": [{"endpoint": "/a", "@comment": "x", "method": "POST",
                "extra_config": {"validation/cel": [{"check_expr": "true"}], "proxy": {"static": {"data": {}, "strategy": "always"}},
                    "validation/json-schema": {"type": "object"}},
                "backend": [{"url_pattern": "/", "extra_config": {"modifier/martian": {"fifo.Group": {}}}}]}],
            "async_agent": [{"name": "a", "consumer": {"topic": "x"}, "backend": [{"url_pattern": "/"}],
                "extra_config": {"async/amqp": {"name": "q", "host": "amqp://x", "exchange": "e"}}}]
        });
        assert_eq!(accepts(&config), Ok(()));
    }

    #[test]
    fn the_schema_refuses_what_is_wrong_at_every_level() {
        for (pointer, wrong) in [
            ("/version", json!(2)),
            ("/timeout", json!("10")),
            ("/tls/keys/0/publik_key", json!("x")),
            ("/extra_config/router", json!({"auto_options": "yes"})),
            ("/extra_config/proxy", json!({})),
            ("/endpoints/0/method", json!("FETCH")),
            (
                "/endpoints/0/extra_config/proxy",
                json!({"static": {"data": {}, "strategy": "never"}}),
            ),
        ] {
            let mut config = json!({"version": 3, "tls": {"keys": [{}]}, "extra_config": {},
                "endpoints": [{"endpoint": "/a", "backend": [], "extra_config": {}}]});
            let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
            config.pointer_mut(parent).expect("the parent")[key] = wrong;
            assert!(accepts(&config).is_err(), "{pointer}");
        }
    }
}
