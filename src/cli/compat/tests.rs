//! The states of options, from configurations that have them.

use serde_json::{Value, json};

use super::*;

fn report(config: &Value) -> Report {
    let lenient = [("SHOAL_LENIENT".to_owned(), "1".to_owned())];
    let loaded = config::parse("krakend.json", config.to_string().as_bytes(), &lenient);
    Report::of("krakend.json", judge::verdicts(&loaded.expect("a configuration that is read")))
}

fn state(report: &Report, option: &str) -> State {
    let found = report.options.iter().find(|verdict| verdict.option == option);
    found.unwrap_or_else(|| panic!("no {option} in {:?}", report.options)).state
}

fn endpoint(extra: &Value) -> Value {
    json!({"endpoint": "/a", "extra_config": extra,
        "backend": [{"host": ["http://a.example"], "url_pattern": "/a"}]})
}

#[test]
fn what_works_is_honoured_and_counted_once() {
    let report = report(&json!({"version": 3, "timeout": "1s",
        "endpoints": [endpoint(&json!({})), {"endpoint": "/b", "backend": [
            {"host": ["http://a.example"], "url_pattern": "/b"}]}]}));
    assert!(report.is_good());
    assert_eq!((report.total, report.honoured), (5, 5), "{:?}", report.options);
    let url = report.options.iter().find(|verdict| verdict.option.ends_with("url_pattern"));
    assert_eq!(url.map(|verdict| verdict.count), Some(2));
}

#[test]
fn what_is_not_there_is_missing() {
    let unbuilt = crate::features::ALL.iter().find(|feature| !feature.is_built());
    let report = report(&json!({"version": 3, "plugin": {"pattern": ".so"}, "endpoints": [
        endpoint(&json!({"websocket": {}, "proxy": {"max_payload": 5, "sequential": true},
            "ai/mcp": {"server_name": "x"}}))],
        "extra_config": unbuilt.map_or(json!({}), |feature| json!({feature.namespace(): {"a": 1}}))}));
    assert!(!report.is_good());
    let extra = "endpoints[].extra_config";
    assert_eq!(state(&report, "plugin"), State::Missing);
    assert_eq!(state(&report, &format!("{extra}.websocket")), State::Missing);
    assert_eq!(state(&report, &format!("{extra}.ai/mcp.server_name")), State::Missing);
    assert_eq!(state(&report, &format!("{extra}.proxy.max_payload")), State::Missing);
    assert_eq!(state(&report, &format!("{extra}.proxy.sequential")), State::Honoured);
    if let Some(feature) = unbuilt {
        let option = format!("extra_config.{}", feature.namespace());
        assert_eq!(state(&report, &option), State::Missing);
        assert_eq!(state(&report, &format!("{option}.a")), State::Missing);
    }
}

#[test]
fn what_differs_says_how() {
    let report = report(&json!({"version": 3, "max_idle_connections": 5, "endpoints": [
        endpoint(&json!({"qos/ratelimit/router": {"max_rate": 1, "num_shards": 4}}))]}));
    assert!(report.is_good());
    assert_eq!(state(&report, "max_idle_connections"), State::Differs);
    let limit = "endpoints[].extra_config.qos/ratelimit/router";
    assert_eq!(state(&report, &format!("{limit}.num_shards")), State::Differs);
    assert_eq!(state(&report, &format!("{limit}.max_rate")), State::Honoured);
    let told = report.options.iter().filter(|verdict| verdict.state == State::Differs);
    assert!(told.clone().count() == 2 && told.clone().all(|verdict| !verdict.why.is_empty()));
}

#[test]
fn what_nobody_reads_has_no_effect() {
    let report = report(&json!({"version": 3, "extra_config": {"mine/own": {"x": 1}},
        "endpoints": [], "owner": "me"}));
    assert!(report.is_good());
    for option in ["owner", "extra_config.mine/own", "extra_config.mine/own.x"] {
        assert_eq!(state(&report, option), State::Ignored);
    }
}

#[test]
fn what_stops_the_start_is_refused() {
    let report = report(&json!({"version": 3, "endpoints": [
        endpoint(&json!({"qos/ratelimit/router": "ten a second"}))]}));
    assert!(!report.is_good());
    assert_eq!(state(&report, "endpoints[].extra_config.qos/ratelimit/router"), State::Refused);
}
