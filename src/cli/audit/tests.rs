//! The rules: what lets each of them fire, and what keeps it silent.

use serde_json::{Value, json};

use super::*;

fn service(config: &Value) -> Service {
    let lenient = [("SHOAL_LENIENT".to_owned(), "1".to_owned())];
    let loaded = config::parse("krakend.json", config.to_string().as_bytes(), &lenient);
    loaded.expect("a configuration that is read").service
}

fn fired(config: &Value) -> Vec<&'static str> {
    let all = list("CRITICAL,HIGH,MEDIUM,LOW");
    findings(&service(config), &[], &all).iter().map(|rule| rule.id).collect()
}

/// A configuration with one endpoint of one backend, and more members for each of the three.
fn config(root: &Value, endpoint: &Value, backend: &Value) -> Value {
    let mut config = json!({"version": 3, "host": ["http://a.example"], "endpoints": [
        {"endpoint": "/a", "backend": [{"url_pattern": "/a"}]}]});
    let merge = |into: &mut Value, from: &Value| {
        let into = into.as_object_mut().unwrap();
        into.extend(from.as_object().unwrap().clone());
    };
    merge(&mut config["endpoints"][0]["backend"][0], backend);
    merge(&mut config["endpoints"][0], endpoint);
    merge(&mut config, root);
    config
}

fn root(members: &Value) -> Vec<&'static str> {
    fired(&config(members, &json!({}), &json!({})))
}

fn endpoint(members: &Value) -> Vec<&'static str> {
    fired(&config(&json!({}), members, &json!({})))
}

fn backend(members: &Value) -> Vec<&'static str> {
    fired(&config(&json!({}), &json!({}), members))
}

fn block(namespace: &str, block: &Value) -> Value {
    json!({"extra_config": {namespace: block}})
}

const BARE: [&str; 12] = [
    "1.2.1", "2.1.2", "2.1.7", "2.2.1", "2.2.2", "3.1.1", "3.1.2", "3.1.3", "4.1.1", "4.2.1",
    "4.3.1", "5.2.2",
];

#[track_caller]
fn fires(found: &[&str], id: &str) {
    assert!(found.contains(&id), "{id} is silent: {found:?}");
}

#[track_caller]
fn silent(found: &[&str], id: &str) {
    assert!(!found.contains(&id), "{id} fires: {found:?}");
}

#[test]
fn there_are_52_rules_each_once_and_in_order() {
    assert_eq!(RULES.len(), 52);
    let mut ids: Vec<Vec<u32>> = RULES
        .iter()
        .map(|rule| rule.id.split('.').map(|part| part.parse().unwrap()).collect())
        .collect();
    let written = ids.clone();
    ids.sort();
    ids.dedup();
    assert_eq!(ids, written);
}

#[test]
fn a_bare_configuration_lets_twelve_rules_fire() {
    assert_eq!(root(&json!({})), BARE);
}

#[test]
fn switches_of_the_root_are_seen() {
    for (members, id) in [
        (json!({"allow_insecure_connections": true}), "2.1.1"),
        (json!({"client_tls": {"allow_insecure_connections": true}}), "2.1.1"),
        (json!({"tls": {"disabled": true, "keys": []}}), "2.1.3"),
        (json!({"use_h2c": true}), "2.1.8"),
        (block("router", &json!({"use_h2c": true})), "2.1.8"),
        (json!({"disable_rest": true}), "5.1.1"),
        (json!({"debug_endpoint": true}), "5.1.2"),
        (json!({"echo_endpoint": true}), "5.1.3"),
        (json!({"tls": {"public_key": "a.pem"}}), "7.3.1"),
        (block("auth/api-keys", &json!({})), "1.1.2"),
        (block("grpc", &json!({"server": {}})), "2.2.5"),
        (block("grpc", &json!({"server": {"services": []}})), "2.2.5"),
        (block("plugin/http-server", &json!({"name": "virtualhost"})), "7.1.1"),
        (block("plugin/http-server", &json!({"name": ["x", "static-filesystem"]})), "7.1.2"),
        (block("plugin/http-server", &json!({"name": ["basic-auth"]})), "7.1.3"),
        (block("plugin/http-server", &json!({"name": ["basic-auth"]})), "1.1.1"),
        (block("plugin/http-server", &json!({"name": "wildcard"})), "7.1.4"),
        (block("telemetry/ganalytics", &json!({})), "7.2.1"),
        (block("telemetry/instana", &json!({})), "7.2.2"),
        (block("telemetry/opencensus", &json!({"exporters": {}})), "7.2.3"),
        (block("telemetry/influx", &json!({})), "7.2.4"),
    ] {
        fires(&root(&members), id);
        silent(&BARE, id);
    }
}

#[test]
fn what_the_root_has_silences_rules() {
    let cases = [
        (json!({"tls": {"keys": [{"public_key": "a", "private_key": "b"}]}}), "2.1.2"),
        (block("security/http", &json!({})), "2.1.7"),
        (block("router", &json!({"hide_version_header": true})), "2.2.1"),
        (block("security/cors", &json!(null)), "2.2.2"),
        (block("security/bot-detector", &json!({})), "3.1.1"),
        (block("qos/ratelimit/router", &json!({})), "3.1.2"),
        (block("qos/ratelimit/service", &json!(1)), "3.1.2"),
        (block("plugin/http-server", &json!({"name": "redis-ratelimit"})), "3.1.2"),
        (block("telemetry/metrics", &json!({})), "4.1.1"),
        (block("telemetry/newrelic", &json!({})), "4.2.1"),
        (block("telemetry/gelf", &json!({})), "4.3.1"),
    ];
    for (members, id) in cases {
        silent(&root(&members), id);
    }
    // Not an object, or not what was asked: as if it were not there.
    fires(&root(&block("security/bot-detector", &json!([]))), "3.1.1");
    fires(&root(&block("router", &json!({"hide_version_header": "true"}))), "2.2.1");
    fires(&root(&block("telemetry/opencensus", &json!({"sample_rate": 1}))), "4.2.1");
    silent(&root(&block("telemetry/opencensus", &json!({"sample_rate": 1}))), "7.2.3");
    fires(&root(&block("auth/validator", &json!({}))), "1.2.1");
    silent(&root(&block("grpc", &json!({"server": {"services": [{}]}}))), "2.2.5");
    silent(&root(&block("grpc", &json!({"catalog": []}))), "2.2.5");
    silent(&root(&block("auth/basic", &json!({}))), "1.1.1");
}

#[test]
fn opentelemetry_traces_and_does_not_count_as_metrics() {
    let otel = |exporters: &Value| {
        root(&block("telemetry/opentelemetry", &json!({"exporters": exporters})))
    };
    let found = otel(&json!({"otlp": [{"name": "x", "host": "h"}], "prometheus": [{}]}));
    fires(&found, "4.1.1");
    silent(&found, "4.2.1");
    fires(&found, "4.1.3");
    let found = otel(&json!({"otlp": [{"disable_traces": true}]}));
    fires(&found, "4.2.1");
    silent(&found, "4.1.3");
    let two = json!({"extra_config": {"telemetry/metrics": {}, "telemetry/newrelic": {}}});
    fires(&root(&two), "4.1.3");
}

#[test]
fn endpoints_are_looked_at() {
    for (members, id) in [
        (json!({"input_headers": ["*"]}), "2.2.3"),
        (json!({"input_query_strings": ["a", "*"]}), "2.2.4"),
        (json!({"endpoint": "/__catchall"}), "5.1.5"),
        (json!({"endpoint": "/w/*"}), "5.1.4"),
        (block("proxy", &json!({"sequential": true})), "5.1.7"),
        (json!({"output_encoding": "no-op"}), "5.2.3"),
        (block("plugin/http-client", &json!({"name": "http-proxy"})), "7.1.5"),
        (block("plugin/http-client", &json!({"name": "static-filesystem"})), "7.1.6"),
        (block("plugin/http-client", &json!({"name": "no-redirect"})), "7.1.7"),
        (block("plugin/req-resp-modifier", &json!({"name": ["content-replacer"]})), "7.1.8"),
    ] {
        fires(&endpoint(&members), id);
    }
    let two = json!({"method": "POST", "backend": [{"url_pattern": "/a"}, {"url_pattern": "/b"}]});
    fires(&endpoint(&two), "5.1.6");
    silent(&endpoint(&two), "5.2.2");
    let one = json!({"method": "POST", "backend": [{"url_pattern": "/a"},
        {"url_pattern": "/b", "method": "GET"}]});
    silent(&endpoint(&one), "5.1.6");
    silent(&endpoint(&block("auth/validator", &json!(null))), "1.2.1");
    silent(&endpoint(&block("qos/circuit-breaker", &json!({}))), "3.1.3");
    silent(&endpoint(&block("qos/ratelimit/router", &json!({}))), "3.1.2");
    fires(&endpoint(&block("qos/ratelimit/router", &json!(7))), "3.1.2");
}

#[test]
fn an_endpoint_without_backends_is_grave() {
    let mut service = service(&config(&json!({}), &json!({}), &json!({})));
    // No file can say so: it is refused before.
    service.endpoints[0].backend.clear();
    let found = findings(&service, &[], &list("CRITICAL"));
    assert_eq!(found.iter().map(|rule| rule.id).collect::<Vec<_>>(), ["5.2.1"]);
}

#[test]
fn backends_are_looked_at() {
    let client = json!({"client_tls": {"allow_insecure_connections": true}});
    fires(&backend(&block("backend/http/client", &client)), "2.1.9");
    fires(&backend(&block("qos/http-cache", &json!({"max_items": 5}))), "2.3.1");
    silent(&backend(&block("qos/http-cache", &json!({"max_items": 5, "max_size": 9}))), "2.3.1");
    silent(&backend(&block("qos/ratelimit/proxy", &json!({}))), "3.1.2");
    silent(&backend(&block("qos/circuit-breaker", &json!({}))), "3.1.3");
    // Where such plugins work, they are not found.
    silent(&backend(&block("plugin/http-client", &json!({"name": "http-proxy"}))), "7.1.5");
    let plugin = json!({"name": ["response-schema-validator"]});
    fires(&backend(&block("plugin/req-resp-modifier", &plugin)), "7.1.9");
    // One text is no list.
    let plugin = json!({"name": "response-schema-validator"});
    silent(&backend(&block("plugin/req-resp-modifier", &plugin)), "7.1.9");
}

#[test]
fn timeouts_fire_above_each_mark() {
    let of = |timeout: &str| -> Vec<&str> {
        let found = root(&json!({"timeout": timeout}));
        found.into_iter().filter(|id| id.starts_with("3.3")).collect()
    };
    assert!(of("3s").is_empty());
    assert!(of("3000900us").is_empty(), "whole milliseconds count");
    assert_eq!(of("3001ms"), ["3.3.1"]);
    assert_eq!(of("6s"), ["3.3.1", "3.3.2"]);
    assert_eq!(of("61s"), ["3.3.1", "3.3.2", "3.3.3", "3.3.4"]);
}

#[test]
fn ten_agents_may_not_start_one_after_another() {
    let agents = |count: usize| {
        let agent = json!({"name": "a", "consumer": {"topic": "t"},
            "backend": [{"url_pattern": "/a"}]});
        root(&json!({"sequential_start": true, "async_agent": vec![agent; count]}))
    };
    silent(&agents(9), "6.1.1");
    fires(&agents(10), "6.1.1");
}

#[test]
fn rules_and_severities_are_chosen_letter_by_letter() {
    let service = service(&config(&json!({}), &json!({}), &json!({})));
    let ids = |ignored: &str, severities: &str| -> Vec<&str> {
        let found = findings(&service, &list(ignored), &list(severities));
        found.iter().map(|rule| rule.id).collect()
    };
    assert_eq!(ids("", "LOW"), ["3.1.1", "5.2.2"]);
    assert_eq!(ids("3.1.1 , 9.9.9", " LOW"), ["5.2.2"]);
    assert!(ids("", "low,SCARY").is_empty());
}

#[test]
fn templates_see_rule_severity_and_message() {
    let service = service(&config(&json!({}), &json!({}), &json!({})));
    let found = findings(&service, &list(""), &list("LOW"));
    let terminal = Terminal::stderr();
    let render = |format| report::render(Some(format), &found, &terminal);
    let (text, result) = render("{{ range .Recommendations }}{{.Rule}}={{.Severity}};{{ end }}");
    assert_eq!((text.as_str(), result), ("3.1.1=LOW;5.2.2=LOW;", Ok(())));
    let (text, _) = render("{{ marshal . }}");
    let read: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(read["recommendations"][0]["rule"], "3.1.1");
    assert_eq!(read["stats"], json!({}));
    assert!(text.contains(r#"[{"rule":"3.1.1","severity":"LOW","message":"#), "{text}");
    let (text, result) = render("a{{ .Nothing }}");
    assert!(text == "a" && result.is_err());
    assert!(render("{{ range").1.is_err());
}
