//! Event-driven agents: checked and completed like endpoints, then kept as JSON for the feature that will run them.

use serde_json::{Map, Value, json};

use super::fields::Fields;
use super::host::Host;
use super::problem::Problem;
use super::shape::{self, Member, Shape};
use super::values::Millis;

const AGENT: &[Member] = &[
    Member("name", Shape::Text),
    Member("encoding", Shape::Text),
    Member("connection", Shape::Object(CONNECTION)),
    Member("consumer", Shape::Object(CONSUMER)),
    Member("backend", Shape::Objects(BACKEND)),
    Member("extra_config", Shape::ExtraConfig),
];

const CONNECTION: &[Member] = &[
    Member("max_retries", Shape::Int),
    Member("backoff_strategy", Shape::Text),
    Member("health_interval", Shape::Duration),
];

const CONSUMER: &[Member] = &[
    Member("timeout", Shape::Duration),
    Member("workers", Shape::Int),
    Member("topic", Shape::Text),
    Member("max_rate", Shape::Float),
];

const BACKEND: &[Member] = &[
    Member("host", Shape::TextList),
    Member("disable_host_sanitize", Shape::Bool),
    Member("url_pattern", Shape::Text),
    Member("method", Shape::Text),
    Member("encoding", Shape::Text),
    Member("is_collection", Shape::Bool),
    Member("target", Shape::Text),
    Member("allow", Shape::TextList),
    Member("deny", Shape::TextList),
    Member("mapping", Shape::TextMap),
    Member("group", Shape::Text),
    Member("sd", Shape::Text),
    Member("sd_scheme", Shape::Text),
    Member("input_headers", Shape::TextList),
    Member("input_query_strings", Shape::TextList),
    Member("extra_config", Shape::ExtraConfig),
];

/// One `async_agent` entry with its defaults (lura's `initAsyncAgents`).
pub fn read(fields: Fields<'_>, timeout: Millis, hosts: &[Host]) -> (Value, Vec<Problem>) {
    let place = fields.place().clone();
    let mut agent = shape::read(fields, AGENT);
    let consumer = object(&mut agent, "consumer");
    if shape::duration(consumer.get("timeout")).is_zero() {
        consumer.insert("timeout".to_owned(), timeout.to_string().into());
    }
    if consumer.get("workers").and_then(Value::as_i64).unwrap_or(0) < 1 {
        consumer.insert("workers".to_owned(), 1.into());
    }
    let connection = object(&mut agent, "connection");
    if shape::duration(connection.get("health_interval")) < Millis::from_s(1) {
        connection.insert("health_interval".to_owned(), "1s".into());
    }
    let mut problems = Vec::new();
    if let Some(Value::Array(backends)) = agent.get_mut("backend") {
        for (index, backend) in backends.iter_mut().enumerate() {
            if let Err(what) = complete_backend(backend, hosts) {
                problems.push(Problem::refuse(place.key("backend").index(index).key("host"), what));
            }
        }
    }
    (agent.into(), problems)
}

fn complete_backend(backend: &mut Value, hosts: &[Host]) -> Result<(), String> {
    let Value::Object(backend) = backend else { return Ok(()) };
    if backend.get("method").and_then(Value::as_str).unwrap_or("").is_empty() {
        backend.insert("method".to_owned(), "GET".into());
    }
    let own: Vec<&str> = match backend.get("host") {
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let is_untouched =
        backend.get("disable_host_sanitize").and_then(Value::as_bool).unwrap_or(false);
    let cleaned = if own.is_empty() {
        hosts.iter().map(|host| host.url.clone()).collect()
    } else if is_untouched {
        return Ok(());
    } else {
        let clean = |text: &str| Host::cleaned(text).ok_or_else(|| Host::invalid(text));
        own.into_iter()
            .map(|text| clean(text).map(|host| host.url))
            .collect::<Result<Vec<_>, _>>()?
    };
    backend.insert("host".to_owned(), json!(cleaned));
    Ok(())
}

/// The member object of that name, made when it is not there.
fn object<'a>(parent: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let value = parent.entry(key).or_insert(Value::Null);
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("the value was made an object above")
}
