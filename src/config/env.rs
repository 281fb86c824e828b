//! `KRAKEND_*` variables replace keys of the configuration, as koanf's env provider does (spec 1.10).

use super::source::{Entry, Node, NodeValue, Number};
use super::values::parse_bool;

const PREFIX: &str = "KRAKEND_";

/// Where types are strict: a variable takes the type of what it replaces there, if it can be read as one.
const STRICT: &str = "extra_config.";

/// Puts each variable at its place: `KRAKEND_PORT` is `port`, `KRAKEND_EXTRA_CONFIG.ROUTER.X` reaches deeper.
pub fn apply(root: &mut Node, env: &[(String, String)]) {
    for (name, value) in env {
        let Some(key) = name.strip_prefix(PREFIX) else { continue };
        let key = key.to_lowercase();
        if !key.is_empty() {
            put(root, &key, value);
        }
    }
}

/// Follows the dots of `key`, making objects where there are none.
fn put(root: &mut Node, key: &str, value: &str) {
    let mut steps = key.split('.').peekable();
    let mut node = root;
    while let Some(step) = steps.next() {
        let is_last = steps.peek().is_none();
        let entries = entries_of(node);
        let at = entries.iter().rposition(|entry| entry.key == step).unwrap_or_else(|| {
            entries.push(Entry {
                key: step.to_owned(),
                line: 0,
                column: 0,
                value: from_env(NodeValue::Null),
            });
            entries.len() - 1
        });
        let Some(entry) = entries.get_mut(at) else { return };
        if is_last {
            let before = Some(&entry.value.value).filter(|_| key.starts_with(STRICT));
            entry.value = from_env(typed(value, before));
        }
        node = &mut entry.value;
    }
}

/// A text as a value of the same type as the one before it.
fn typed(text: &str, before: Option<&NodeValue>) -> NodeValue {
    let value = match before {
        Some(NodeValue::Bool(_)) => parse_bool(text).map(NodeValue::Bool),
        Some(NodeValue::Number(_, kind)) => {
            number(text).map(|number| NodeValue::Number(number, kind))
        }
        _ => None,
    };
    value.unwrap_or_else(|| NodeValue::Text(text.to_owned()))
}

fn number(text: &str) -> Option<Number> {
    let float = || text.parse().ok().filter(|float: &f64| float.is_finite()).map(Number::Float);
    text.parse().map(Number::Int).ok().or_else(float)
}

/// The members of an object; whatever else stood there makes room for one.
fn entries_of(node: &mut Node) -> &mut Vec<Entry> {
    if !matches!(node.value, NodeValue::Map(_)) {
        *node = from_env(NodeValue::Map(Vec::new()));
    }
    match &mut node.value {
        NodeValue::Map(entries) => entries,
        _ => unreachable!("the value was made an object above"),
    }
}

/// Line 0 marks what no file holds.
fn from_env(value: NodeValue) -> Node {
    Node { value, line: 0, column: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source;
    use serde_json::json;

    fn with(text: &str, env: &[(&str, &str)]) -> serde_json::Value {
        let mut root = source::read("krakend.json", text.as_bytes()).expect("right");
        let env: Vec<_> =
            env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        apply(&mut root, &env);
        root.to_json()
    }

    #[test]
    fn a_variable_replaces_a_key_at_the_top() {
        let text = r#"{"port": 1, "host": ["a", "b"]}"#;
        let env = [
            ("KRAKEND_PORT", "8081"),
            ("KRAKEND_HOST", "c"),
            ("krakend_name", "x"),
            ("PATH", "/"),
            ("KRAKEND_", "y"),
        ];
        assert_eq!(with(text, &env), json!({"port": "8081", "host": "c"}));
    }

    #[test]
    fn dots_reach_deeper_and_keep_what_stands_beside() {
        let text = r#"{"extra_config": {"router": {"a": 1}, "proxy": 2}}"#;
        let env = [
            ("KRAKEND_EXTRA_CONFIG.ROUTER.RETURN_ERROR_MSG", "true"),
            ("KRAKEND_PLUGIN.FOLDER", "/x"),
        ];
        let expected = json!({"extra_config": {"router": {"a": 1, "return_error_msg": "true"}, "proxy": 2}, "plugin": {"folder": "/x"}});
        assert_eq!(with(text, &env), expected);
    }

    #[test]
    fn in_blocks_a_variable_takes_the_type_of_what_it_replaces() {
        let text = r#"{"extra_config": {"a": {"flag": false, "count": 1, "share": 0.5, "text": "x", "list": []}}}"#;
        for (member, value, expected) in [
            ("FLAG", "true", json!(true)),
            ("FLAG", "yes", json!("yes")),
            ("COUNT", "25", json!(25)),
            ("COUNT", "2.5", json!(2.5)),
            ("COUNT", "many", json!("many")),
            ("COUNT", "inf", json!("inf")),
            ("SHARE", "1e-1", json!(0.1)),
            ("TEXT", "true", json!("true")),
            ("LIST", "1", json!("1")),
            ("NEW", "true", json!("true")),
        ] {
            let name = format!("KRAKEND_EXTRA_CONFIG.A.{member}");
            let found = with(text, &[(&name, value)]);
            let place = format!("/extra_config/a/{}", member.to_lowercase());
            assert_eq!(found.pointer(&place), Some(&expected), "{name}={value}");
        }
    }
}
