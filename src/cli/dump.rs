//! `check -d`: how the configuration was understood, in more detail for each `d`.

mod agent;
mod go_value;

use std::fmt::Display;

use serde_json::Value;

use crate::config::{Backend, Endpoint, ExtraConfig, Host, Service};

use super::terminal::{Colour, Terminal};
use go_value::GoValue;

pub struct Dump<'a> {
    terminal: &'a Terminal,
    indent: &'a str,
    level: u8,
}

// === impl Dump ===

impl<'a> Dump<'a> {
    pub fn new(terminal: &'a Terminal, indent: &'a str, level: u8) -> Self {
        Self { terminal, indent, level }
    }

    pub fn service(&self, service: &Service) {
        self.title("", "Global settings");
        self.item("Name", &service.name);
        self.item("Version", 3);
        self.item("Address", service.listen_ip.map(|ip| ip.to_string()).unwrap_or_default());
        self.item("Port", service.port);
        if self.level > 1 {
            self.item("Default cache TTL", service.cache_ttl);
            self.item("Default timeout", service.timeout);
        }
        if self.level > 1 || !service.host.is_empty() {
            self.item("Default backend hosts", urls(&service.host));
        }
        if self.level > 2 {
            self.transport(service);
        }
        self.block("TLS", service.tls.as_ref().map(|tls| &tls.value));
        self.block("Client TLS", service.client_tls.as_ref().map(|tls| &tls.value));
        self.block("Plugin", service.plugin.as_ref());
        if self.level > 1 || !service.extra_config.is_empty() {
            self.title(
                "",
                format_args!(
                    "{} global component configuration(s):",
                    service.extra_config.iter().len()
                ),
            );
            self.extra("", &service.extra_config);
        }
        self.title("", format_args!("{} API endpoint(s):", service.endpoints.len()));
        for endpoint in &service.endpoints {
            self.endpoint(endpoint);
        }
        self.title("", format_args!("{} async agent(s):", service.async_agents.len()));
        for agent in &service.async_agents {
            self.agent(agent);
        }
    }

    fn transport(&self, service: &Service) {
        let (server, client) = (&service.server, &service.client);
        self.item("Read timeout", server.read_timeout);
        self.item("Write timeout", server.write_timeout);
        self.item("Idle timeout", server.idle_timeout);
        self.item("Read header timeout", server.read_header_timeout);
        self.item("Idle connection timeout", client.idle_connection_timeout);
        self.item("Response header timeout", client.response_header_timeout);
        self.item("Expect continue timeout", client.expect_continue_timeout);
        self.item("Dialer timeout", client.dialer_timeout);
        self.item("Dialer fallback delay", client.dialer_fallback_delay);
        self.item("Dialer keep alive", client.dialer_keep_alive);
        self.item("Disable keep alives", client.disable_keep_alives);
        self.item("Disable compression", client.disable_compression);
        self.item("Max idle connections", client.max_idle_connections);
        self.item("Max idle connections per host", client.max_idle_connections_per_host);
        self.item("Sequential start", service.sequential_start);
        self.item("Max header bytes", server.max_header_bytes);
        self.item("Echo endpoint enabled", service.echo_endpoint);
        self.item("Default encoding strategy", &service.output_encoding);
        self.item("Disable strict REST", service.disable_rest);
        self.item("Debug endpoint enabled", service.debug_endpoint);
        self.item("Allow insecure connections", client.allow_insecure_connections);
        self.item("Use h2c", server.use_h2c);
    }

    /// An undecoded block of the root, one line a member.
    fn block(&self, name: &str, block: Option<&Value>) {
        match block {
            Some(Value::Object(members)) => {
                for (key, value) in members {
                    self.item(&format!("{name} {key}"), GoValue(value));
                }
            }
            _ if self.level > 1 => {
                let told =
                    self.terminal.paint(Colour::Red, format_args!("No {name} section defined"));
                self.line(self.indent, told);
            }
            _ => {}
        }
    }

    fn endpoint(&self, endpoint: &Endpoint) {
        self.entry(&endpoint.method, &endpoint.route, &format!("{}- ", self.indent));
        self.item("Timeout", endpoint.timeout);
        if self.level > 1 || !endpoint.input_query_strings.is_empty() {
            self.item("Query strings", list(&endpoint.input_query_strings));
        }
        if self.level > 1 {
            self.item("Cache TTL", endpoint.cache_ttl);
            self.item("Headers to pass", list(&endpoint.input_headers));
            self.item("Output encoding", &endpoint.output_encoding);
        }
        if self.level > 1 || endpoint.concurrent_calls > 1 {
            self.item("Concurrent calls", endpoint.concurrent_calls);
        }
        let count = endpoint.extra_config.iter().len();
        if self.level > 1 || count > 0 {
            self.title(self.indent, format_args!("{count} endpoint component configuration(s):"));
            self.extra(self.indent, &endpoint.extra_config);
        }
        self.title(
            self.indent,
            format_args!("Connecting to {} backend(s):", endpoint.backend.len()),
        );
        for backend in &endpoint.backend {
            self.backend(backend, endpoint);
        }
    }

    fn backend(&self, backend: &Backend, endpoint: &Endpoint) {
        let indent = self.indent.repeat(2);
        let item =
            |name: &str, value: &dyn Display| self.line(&indent, format_args!("{name}: {value}"));
        self.entry(&backend.method, &go_pattern(&backend.url_pattern), &format!("{indent}[+] "));
        item("Timeout", &endpoint.timeout);
        item("Hosts", &urls(&backend.host));
        if self.level > 1 {
            item("Concurrent calls", &endpoint.concurrent_calls);
            item("Host sanitization disabled", &backend.disable_host_sanitize);
            item("Target", &backend.target);
            item("Deny", &format_args!("{}, Allow: {}", list(&backend.deny), list(&backend.allow)));
            item("Mapping", &mapping(&backend.mapping));
            item("Group", &backend.group);
            item("Encoding", &backend.encoding);
            item("Is collection", &backend.is_collection);
            item("SD", &backend.sd);
            item("SD scheme", &backend.sd_scheme);
            item("Headers to pass", &list(&backend.input_headers));
            item("Query strings to pass", &list(&backend.input_query_strings));
        }
        let count = backend.extra_config.iter().len();
        if self.level > 1 || count > 0 {
            self.title(&indent, format_args!("{count} backend component configuration(s):"));
            self.extra(&indent, &backend.extra_config);
        }
        self.terminal.line("");
    }

    fn extra(&self, indent: &str, extra: &ExtraConfig) {
        let mut blocks: Vec<_> = extra.iter().map(|(name, block)| (name, &block.value)).collect();
        blocks.sort_by_key(|(name, _)| *name);
        for (name, value) in blocks {
            self.component(indent, name, value);
        }
    }

    fn component(&self, indent: &str, name: &str, value: &Value) {
        self.line(indent, format_args!("- {}", self.terminal.paint(Colour::Yellow, name)));
        match value {
            _ if self.level < 2 => {}
            Value::Object(members) => {
                for (key, value) in members {
                    self.line("\t", format_args!("{indent}{key}: {}", GoValue(value)));
                }
            }
            other => self.line("\t", format_args!("{indent}: {}", GoValue(other))),
        }
    }

    fn entry(&self, method: &str, path: &str, prefix: &str) {
        let method = self.terminal.paint(Colour::of_method(method), method);
        self.line(prefix, format_args!("{method} {}", self.terminal.paint(Colour::Cyan, path)));
    }

    fn title(&self, indent: &str, text: impl Display) {
        self.line(indent, self.terminal.paint(Colour::Green, text));
    }

    fn item(&self, name: &str, value: impl Display) {
        self.line(self.indent, format_args!("{name}: {value}"));
    }

    fn line(&self, indent: &str, text: impl Display) {
        self.terminal.line(format_args!("{indent}{text}"));
    }
}

fn urls(hosts: &[Host]) -> String {
    let urls: Vec<_> = hosts.iter().map(|host| host.url.as_str()).collect();
    format!("[{}]", urls.join(" "))
}

fn list(texts: &[String]) -> String {
    format!("[{}]", texts.join(" "))
}

fn mapping(pairs: &[(String, String)]) -> String {
    let mut pairs: Vec<_> = pairs.iter().map(|(from, to)| format!("{from}:{to}")).collect();
    pairs.sort();
    format!("map[{}]", pairs.join(" "))
}

/// `/v1/{id}` as the original keeps it: `/v1/{{.Id}}`.
fn go_pattern(url_pattern: &str) -> String {
    let mut pattern = String::new();
    let mut rest = url_pattern;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, next)) = after.split_once('}') else { break };
        let mut letters = name.chars();
        let first = letters
            .next()
            .map(|letter| letter.to_ascii_uppercase())
            .map(String::from)
            .unwrap_or_default();
        pattern.extend([before, "{{.", &first, letters.as_str(), "}}"]);
        rest = next;
    }
    pattern + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_shown_with_capital_names() {
        assert_eq!(go_pattern("/v1/{id}/{user_id}?a={x}"), "/v1/{{.Id}}/{{.User_id}}?a={{.X}}");
        assert_eq!(go_pattern("/v1/{id"), "/v1/{id");
    }
}
