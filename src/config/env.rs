//! `KRAKEND_*` variables replace keys of the configuration, as koanf's env provider does (spec 1.10).

use super::source::{Entry, Node, NodeValue};

const PREFIX: &str = "KRAKEND_";

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
            entry.value = from_env(NodeValue::Text(value.to_owned()));
        }
        node = &mut entry.value;
    }
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
}
