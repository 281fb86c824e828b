//! What the rules of the audit ask of a configuration: which components count as used, and how they are set.
//!
//! The original first reduces a configuration to bits; what that step does not see, its rules do not see either. These
//! functions see the same.

use serde_json::Value;

use crate::config::{Backend, Endpoint, ExtraConfig, Service};

/// Namespaces that count only as an object.
const OBJECTS: &[&str] = &[
    "auth/revoker",
    "plugin/http-client",
    "plugin/http-server",
    "plugin/req-resp-modifier",
    "proxy",
    "qos/ratelimit/router",
    "router",
    "security/bot-detector",
];

/// Whether a component counts as used.
pub fn uses(extra: &ExtraConfig, namespace: &str) -> bool {
    let Some(block) = extra.get(namespace) else { return false };
    match namespace {
        // Without exporters it measures nothing.
        "telemetry/opencensus" => block.value.get("exporters").is_some_and(Value::is_object),
        _ if OBJECTS.contains(&namespace) => block.value.is_object(),
        _ => true,
    }
}

pub fn any_uses(extra: &ExtraConfig, namespaces: &[&str]) -> bool {
    namespaces.iter().any(|namespace| uses(extra, namespace))
}

/// A member of a block that is an object.
pub fn member<'a>(extra: &'a ExtraConfig, namespace: &str, key: &str) -> Option<&'a Value> {
    extra.get(namespace)?.value.get(key)
}

/// Whether a member of a block is the truth value true.
pub fn is_on(extra: &ExtraConfig, namespace: &str, key: &str) -> bool {
    member(extra, namespace, key) == Some(&Value::Bool(true))
}

pub fn any_endpoint(service: &Service, what: impl Fn(&Endpoint) -> bool) -> bool {
    service.endpoints.iter().any(what)
}

pub fn any_backend(service: &Service, what: impl Fn(&Backend) -> bool) -> bool {
    service.endpoints.iter().flat_map(|endpoint| &endpoint.backend).any(what)
}

/// A member of `tls`.
pub fn tls<'a>(service: &'a Service, key: &str) -> Option<&'a Value> {
    service.tls.as_ref()?.value.get(key)
}

/// Whether a member of `tls` is a text that says something.
pub fn names_file(service: &Service, key: &str) -> bool {
    tls(service, key).and_then(Value::as_str).is_some_and(|file| !file.is_empty())
}

pub fn allows_insecure(service: &Service) -> bool {
    let of_block = service.client_tls.as_ref().and_then(|tls| tls.value.get(INSECURE));
    service.client.allow_insecure_connections || of_block == Some(&Value::Bool(true))
}

pub fn allows_insecure_backend(backend: &Backend) -> bool {
    let tls = member(&backend.extra_config, "backend/http/client", "client_tls");
    tls.and_then(|tls| tls.get(INSECURE)) == Some(&Value::Bool(true))
}

const INSECURE: &str = "allow_insecure_connections";

/// Whether a Go plugin of the server is named: `name` is a text or a list.
pub fn has_server_plugin(service: &Service, plugin: &str) -> bool {
    match member(&service.extra_config, "plugin/http-server", "name") {
        Some(Value::String(name)) => name == plugin,
        Some(Value::Array(names)) => names.iter().any(|name| name == plugin),
        _ => false,
    }
}

/// Whether an endpoint names a Go plugin that replaces the client. Backends, where such plugins work, are not looked at.
pub fn has_client_plugin(service: &Service, plugin: &str) -> bool {
    any_endpoint(service, |endpoint| {
        let name = member(&endpoint.extra_config, "plugin/http-client", "name");
        name.is_some_and(|name| name == plugin)
    })
}

/// Whether an endpoint or a backend lists a Go plugin that changes requests or answers.
pub fn has_modifier_plugin(service: &Service, plugin: &str) -> bool {
    let lists = |extra: &ExtraConfig| {
        let names = member(extra, "plugin/req-resp-modifier", "name").and_then(Value::as_array);
        names.is_some_and(|names| names.iter().any(|name| name == plugin))
    };
    any_endpoint(service, |endpoint| lists(&endpoint.extra_config))
        || any_backend(service, |backend| lists(&backend.extra_config))
}

/// Exporters of OpenTelemetry of one kind (`otlp`, `prometheus`) that the given switch does not turn off.
pub fn exporters(service: &Service, kind: &str, switch: &str) -> usize {
    let exporters = member(&service.extra_config, "telemetry/opentelemetry", "exporters");
    let listed = exporters.and_then(|exporters| exporters.get(kind)).and_then(Value::as_array);
    let is_at_work = |exporter: &&Value| {
        exporter.is_object() && exporter.get(switch) != Some(&Value::Bool(true))
    };
    listed.map_or(0, |list| list.iter().filter(is_at_work).count())
}

/// Components that measure. OpenTelemetry is not among them.
pub const METRICS: &[&str] = &[
    "telemetry/opencensus",
    "telemetry/metrics",
    "telemetry/newrelic",
    "telemetry/ganalytics",
    "telemetry/instana",
];

pub fn measuring_components(service: &Service) -> usize {
    METRICS.iter().filter(|namespace| uses(&service.extra_config, namespace)).count()
}

/// Calls of an endpoint that may change something.
pub fn writing_backends(endpoint: &Endpoint) -> usize {
    let is_safe = |backend: &&Backend| {
        matches!(backend.method.as_str(), "GET" | "HEAD")
            && backend.extra_config.get("backend/grpc").is_none()
    };
    endpoint.backend.len() - endpoint.backend.iter().filter(is_safe).count()
}

/// Whether a cache of answers lacks one of its two bounds.
pub fn has_boundless_cache(backend: &Backend) -> bool {
    let Some(block) = backend.extra_config.get("qos/http-cache") else { return false };
    let is_bound =
        |key| block.value.get(key).and_then(Value::as_f64).is_some_and(|most| most > 0.0);
    !(is_bound("max_items") && is_bound("max_size"))
}

/// Whether the gateway serves gRPC without a single service.
pub fn has_empty_grpc_server(service: &Service) -> bool {
    let server =
        member(&service.extra_config, "grpc", "server").filter(|server| server.is_object());
    server.is_some_and(|server| {
        server.get("services").and_then(Value::as_array).is_none_or(Vec::is_empty)
    })
}

/// Whether an endpoint waits longer than that, in whole milliseconds.
pub fn waits_longer(service: &Service, most_ms: u64) -> bool {
    any_endpoint(service, |endpoint| endpoint.timeout.as_ms() > most_ms)
}

pub fn lists_all(names: &[String]) -> bool {
    names.iter().any(|name| name == "*")
}
