//! The table of the audit's rules: identifiers and severities are the original's, in its order.

use super::facts::{
    METRICS, allows_insecure, allows_insecure_backend, any_backend, any_endpoint, any_uses,
    exporters, has_boundless_cache, has_client_plugin, has_empty_grpc_server, has_modifier_plugin,
    has_server_plugin, is_on, lists_all, measuring_components, names_file, tls, uses, waits_longer,
    writing_backends,
};
use crate::config::{ExtraConfig, Service};

/// One rule: what it says when it fires.
pub struct Rule {
    pub id: &'static str,
    pub severity: &'static str,
    pub message: &'static str,
    pub fires: fn(&Service) -> bool,
}

const CRITICAL: &str = "CRITICAL";
const HIGH: &str = "HIGH";
const MEDIUM: &str = "MEDIUM";
const LOW: &str = "LOW";
/// Agents that may start one after another.
const SEQUENTIAL_AGENTS_MAX: usize = 9;

const fn rule(
    id: &'static str,
    severity: &'static str,
    message: &'static str,
    fires: fn(&Service) -> bool,
) -> Rule {
    Rule { id, severity, message, fires }
}

pub static RULES: &[Rule] = &[
    // Who may call.
    rule(
        "1.1.1",
        HIGH,
        "Basic authentication protects little; use tokens or another stronger method.",
        |service| has_server_plugin(service, "basic-auth"),
    ),
    rule(
        "1.1.2",
        MEDIUM,
        "API keys must be looked up; prefer stateless authorization such as JWT.",
        |service| uses(&service.extra_config, "auth/api-keys"),
    ),
    rule(
        "1.2.1",
        HIGH,
        "No endpoint asks for a token: authorize with JWT (auth/validator).",
        |service| !any_endpoint(service, |endpoint| uses(&endpoint.extra_config, "auth/validator")),
    ),
    // The service as a whole.
    rule(
        "2.1.1",
        HIGH,
        "Certificates of upstreams are not verified; remove allow_insecure_connections.",
        allows_insecure,
    ),
    rule(
        "2.1.2",
        HIGH,
        "TLS is not enabled; enable it, or end TLS in front of the gateway.",
        |service| service.tls.is_none(),
    ),
    rule(
        "2.1.3",
        CRITICAL,
        "TLS is configured and switched off: its disabled flag is set.",
        |service| tls(service, "disabled").is_some_and(|value| value == true),
    ),
    rule(
        "2.1.7",
        HIGH,
        "Headers that protect browsers are not set; enable security/http.",
        |service| !uses(&service.extra_config, "security/http"),
    ),
    rule("2.1.8", HIGH, "HTTP/2 in clear text (h2c) is on; avoid it.", |service| {
        service.server.use_h2c || is_on(&service.extra_config, "router", "use_h2c")
    }),
    rule(
        "2.1.9",
        LOW,
        "A backend's certificate is not verified; secure internal connections, too.",
        |service| any_backend(service, allows_insecure_backend),
    ),
    rule(
        "2.2.1",
        MEDIUM,
        "Answers show the gateway's version; set hide_version_header.",
        |service| !is_on(&service.extra_config, "router", "hide_version_header"),
    ),
    rule("2.2.2", HIGH, "CORS is not configured; enable security/cors.", |service| {
        !uses(&service.extra_config, "security/cors")
    }),
    rule(
        "2.2.3",
        HIGH,
        "An endpoint passes all headers to its backends; list those that are needed.",
        |service| any_endpoint(service, |endpoint| lists_all(&endpoint.input_headers)),
    ),
    rule(
        "2.2.4",
        HIGH,
        "An endpoint passes all query strings to its backends; list those that are needed.",
        |service| any_endpoint(service, |endpoint| lists_all(&endpoint.input_query_strings)),
    ),
    rule(
        "2.2.5",
        LOW,
        "The gRPC server declares no services; declare some, or remove it.",
        has_empty_grpc_server,
    ),
    rule(
        "2.3.1",
        MEDIUM,
        "A cache of answers has no bounds; set max_items and max_size.",
        |service| any_backend(service, has_boundless_cache),
    ),
    // Traffic.
    rule("3.1.1", LOW, "No bot detector is enabled (security/bot-detector).", |service| {
        !uses(&service.extra_config, "security/bot-detector")
    }),
    rule(
        "3.1.2",
        HIGH,
        "Nothing limits how much clients may ask; set rate limits.",
        has_no_rate_limit,
    ),
    rule(
        "3.1.3",
        HIGH,
        "No circuit breaker protects a backend; set qos/circuit-breaker.",
        |service| {
            let breaks = |extra: &ExtraConfig| uses(extra, "qos/circuit-breaker");
            !any_endpoint(service, |endpoint| breaks(&endpoint.extra_config))
                && !any_backend(service, |backend| breaks(&backend.extra_config))
        },
    ),
    rule(
        "3.3.1",
        LOW,
        "A timeout is above 3 seconds; shorter ones serve clients better.",
        |service| waits_longer(service, 3_000),
    ),
    rule(
        "3.3.2",
        MEDIUM,
        "A timeout is above 5 seconds; shorter ones serve clients better.",
        |service| waits_longer(service, 5_000),
    ),
    rule(
        "3.3.3",
        HIGH,
        "A timeout is above 30 seconds; shorter ones serve clients better.",
        |service| waits_longer(service, 30_000),
    ),
    rule(
        "3.3.4",
        CRITICAL,
        "A timeout is above 1 minute; shorter ones serve clients better.",
        |service| waits_longer(service, 60_000),
    ),
    // Telemetry.
    rule(
        "4.1.1",
        MEDIUM,
        "No metrics are collected; enable telemetry to watch the gateway and to find faults.",
        |service| !any_uses(&service.extra_config, METRICS),
    ),
    // The original lists this rule and never lets it fire.
    rule("4.1.2", MEDIUM, "The configuration has no name; metrics are told apart by it.", |_| {
        false
    }),
    rule(
        "4.1.3",
        HIGH,
        "Several components measure the same; keep one, as each costs.",
        |service| {
            let otel = exporters(service, "otlp", "disable_metrics")
                + exporters(service, "prometheus", "disable_metrics");
            measuring_components(service) + otel > 1
        },
    ),
    rule(
        "4.2.1",
        MEDIUM,
        "No traces are collected; enable telemetry for tracing to find faults.",
        |service| {
            let tracing = ["telemetry/opencensus", "telemetry/newrelic", "telemetry/instana"];
            !any_uses(&service.extra_config, &tracing)
                && exporters(service, "otlp", "disable_traces") == 0
        },
    ),
    rule("4.3.1", MEDIUM, "The plain log is hard to parse; enable telemetry/logging.", |service| {
        let logging = ["telemetry/logging", "telemetry/gelf", "telemetry/logstash"];
        !any_uses(&service.extra_config, &logging)
    }),
    // Endpoints.
    rule(
        "5.1.1",
        LOW,
        "Strict REST paths are switched off (disable_rest); they are easier to read and to keep.",
        |service| service.disable_rest,
    ),
    rule(
        "5.1.2",
        LOW,
        "The /__debug/ endpoint is on; switch it off where it is not needed.",
        |service| service.debug_endpoint,
    ),
    rule(
        "5.1.3",
        LOW,
        "The /__echo/ endpoint is on; switch it off where it is not needed.",
        |service| service.echo_endpoint,
    ),
    rule("5.1.4", LOW, "An endpoint is a wildcard; declare explicit endpoints.", |service| {
        any_endpoint(service, |endpoint| endpoint.endpoint.ends_with('*'))
    }),
    rule(
        "5.1.5",
        MEDIUM,
        "An endpoint catches all (/__catchall); declare explicit endpoints.",
        |service| any_endpoint(service, |endpoint| endpoint.endpoint == "/__catchall"),
    ),
    rule(
        "5.1.6",
        MEDIUM,
        "An endpoint makes several writing calls, which cannot be undone together.",
        |service| any_endpoint(service, |endpoint| writing_backends(endpoint) > 1),
    ),
    rule(
        "5.1.7",
        MEDIUM,
        "An endpoint calls its backends one after another (sequential), which adds their delays.",
        |service| {
            any_endpoint(service, |endpoint| is_on(&endpoint.extra_config, "proxy", "sequential"))
        },
    ),
    rule("5.2.1", CRITICAL, "An endpoint has no backend and can answer nothing.", |service| {
        any_endpoint(service, |endpoint| endpoint.backend.is_empty())
    }),
    rule(
        "5.2.2",
        LOW,
        "Every endpoint calls one backend; aggregation would save clients some requests.",
        |service| !any_endpoint(service, |endpoint| endpoint.backend.len() > 1),
    ),
    rule(
        "5.2.3",
        LOW,
        "Every endpoint is no-op, which couples clients to the backends.",
        |service| !any_endpoint(service, |endpoint| endpoint.output_encoding != "no-op"),
    ),
    // Agents.
    rule(
        "6.1.1",
        LOW,
        "Ten agents or more start one after another; switch sequential_start off.",
        |service| service.sequential_start && service.async_agents.len() > SEQUENTIAL_AGENTS_MAX,
    ),
    // What is deprecated: Go plugins, components, keys.
    rule(
        "7.1.1",
        HIGH,
        "The plugin virtualhost is deprecated; use the component server/virtualhost.",
        |service| has_server_plugin(service, "virtualhost"),
    ),
    rule(
        "7.1.2",
        HIGH,
        "The plugin static-filesystem is deprecated; use the component server/static-filesystem.",
        |service| has_server_plugin(service, "static-filesystem"),
    ),
    rule(
        "7.1.3",
        HIGH,
        "The plugin basic-auth is deprecated; use the component auth/basic.",
        |service| has_server_plugin(service, "basic-auth"),
    ),
    rule(
        "7.1.4",
        HIGH,
        "The plugin wildcard is deprecated; write the wildcard in the endpoint's path.",
        |service| has_server_plugin(service, "wildcard"),
    ),
    rule(
        "7.1.5",
        HIGH,
        "The plugin http-proxy is deprecated; use proxy_address of backend/http/client.",
        |service| has_client_plugin(service, "http-proxy"),
    ),
    rule(
        "7.1.6",
        HIGH,
        "The plugin static-filesystem is deprecated; use the component backend/static-filesystem.",
        |service| has_client_plugin(service, "static-filesystem"),
    ),
    rule(
        "7.1.7",
        HIGH,
        "The plugin no-redirect is deprecated; use no_redirect of backend/http/client.",
        |service| has_client_plugin(service, "no-redirect"),
    ),
    rule(
        "7.1.8",
        HIGH,
        "The plugin content-replacer is deprecated; use the component modifier/response-body.",
        |service| has_modifier_plugin(service, "content-replacer"),
    ),
    rule(
        "7.1.9",
        HIGH,
        "The plugin response-schema-validator is deprecated; use the component validation/response-json-schema.",
        |service| has_modifier_plugin(service, "response-schema-validator"),
    ),
    rule(
        "7.2.1",
        HIGH,
        "The component telemetry/ganalytics is deprecated; use telemetry/opentelemetry.",
        |service| uses(&service.extra_config, "telemetry/ganalytics"),
    ),
    rule(
        "7.2.2",
        HIGH,
        "The component telemetry/instana is deprecated; use telemetry/opentelemetry.",
        |service| uses(&service.extra_config, "telemetry/instana"),
    ),
    rule(
        "7.2.3",
        HIGH,
        "The component telemetry/opencensus is deprecated; use telemetry/opentelemetry.",
        |service| uses(&service.extra_config, "telemetry/opencensus"),
    ),
    rule(
        "7.2.4",
        HIGH,
        "The component telemetry/influx is deprecated; use telemetry/opentelemetry.",
        |service| uses(&service.extra_config, "telemetry/influx"),
    ),
    rule(
        "7.3.1",
        MEDIUM,
        "public_key and private_key of tls are deprecated; list pairs in keys.",
        |service| names_file(service, "public_key") || names_file(service, "private_key"),
    ),
];

/// Whether no component limits rates, wherever it may stand.
fn has_no_rate_limit(service: &Service) -> bool {
    let of_endpoint = ["qos/ratelimit/router", "qos/ratelimit/router/redis", "qos/ratelimit/proxy"];
    let of_service =
        ["qos/ratelimit/router", "qos/ratelimit/service", "qos/ratelimit/service/redis"];
    let of_backend = ["qos/ratelimit/proxy", "qos/ratelimit/proxy/redis"];
    !any_uses(&service.extra_config, &of_service)
        && !any_endpoint(service, |endpoint| any_uses(&endpoint.extra_config, &of_endpoint))
        && !any_backend(service, |backend| any_uses(&backend.extra_config, &of_backend))
        && !has_server_plugin(service, "redis-ratelimit")
}
