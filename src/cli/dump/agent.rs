//! The part of `check -d` that tells of event-driven agents.

use std::fmt::Display;

use serde_json::Value;

use super::{Dump, GoValue, go_pattern};
use crate::cli::terminal::Colour;

// === impl Dump ===

impl Dump<'_> {
    pub(super) fn agent(&self, agent: &Value) {
        let name = self.terminal.paint(Colour::Cyan, text(agent, "/name"));
        self.line(self.indent, format_args!("- {name}"));
        if self.level > 1 {
            self.item("Encoding", text(agent, "/encoding"));
            self.item("Consumer Timeout", text(agent, "/consumer/timeout"));
            self.item("Consumer Workers", text(agent, "/consumer/workers"));
            self.item("Consumer Topic", text(agent, "/consumer/topic"));
            self.item("Consumer Max Rate", text(agent, "/consumer/max_rate"));
            self.item("Connection Max Retries", text(agent, "/connection/max_retries"));
            self.item("Connection Backoff Strategy", text(agent, "/connection/backoff_strategy"));
            self.item("Connection Health Interval", text(agent, "/connection/health_interval"));
        }
        self.json_blocks(self.indent, "agent", agent);
        let backends =
            agent.get("backend").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        self.title(self.indent, format_args!("Connecting to {} backend(s):", backends.len()));
        for backend in backends {
            self.agent_backend(backend, &text(agent, "/consumer/timeout"));
        }
    }

    fn agent_backend(&self, backend: &Value, timeout: &str) {
        let indent = self.indent.repeat(2);
        let item =
            |name: &str, value: &dyn Display| self.line(&indent, format_args!("{name}: {value}"));
        let pattern = go_pattern(&text(backend, "/url_pattern"));
        self.entry(&text(backend, "/method"), &pattern, &format!("{indent}[+] "));
        item("Timeout", &timeout);
        item("Hosts", &text(backend, "/host"));
        if self.level > 1 {
            for key in [
                "target",
                "deny",
                "allow",
                "mapping",
                "group",
                "encoding",
                "is_collection",
                "sd",
                "sd_scheme",
            ] {
                item(key, &text(backend, &format!("/{key}")));
            }
        }
        self.json_blocks(&indent, "backend", backend);
        self.terminal.line("");
    }

    fn json_blocks(&self, indent: &str, owner: &str, object: &Value) {
        let mut blocks: Vec<_> =
            object.get("extra_config").and_then(Value::as_object).into_iter().flatten().collect();
        if self.level > 1 || !blocks.is_empty() {
            self.title(
                indent,
                format_args!("{} {owner} component configuration(s):", blocks.len()),
            );
        }
        blocks.sort_by_key(|(name, _)| name.as_str());
        for (name, value) in blocks {
            self.component(indent, name, value);
        }
    }
}

/// What a JSON pointer leads to; nothing is an empty text.
fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).map(|value| GoValue(value).to_string()).unwrap_or_default()
}
