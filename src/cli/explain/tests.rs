//! Ways through a configuration: routes, redirects, stages, URLs.

use serde_json::{Value, json};

use super::*;

fn way(config: &Value, method: &str, target: &str) -> Value {
    let loaded = config::parse("krakend.json", config.to_string().as_bytes(), &[]);
    let service = loaded.expect("right").service;
    let compiled = plan::compile(&service, features::ALL, false);
    let compiled = compiled.unwrap_or_else(|problems| panic!("{problems:?}"));
    serde_json::to_value(find::way(&service, &compiled.plan, false, (method, target)))
        .expect("JSON")
}

fn config() -> Value {
    json!({
        "version": 3,
        "timeout": "1s",
        "host": ["http://a.example:8080", "https://b.example"],
        "extra_config": {
            "security/cors": {"allow_origins": ["*"]},
            "qos/ratelimit/service": {"max_rate": 100},
            "router": {"auto_options": true}
        },
        "endpoints": [
            {
                "endpoint": "/users/{id}",
                "input_query_strings": ["lang"],
                "extra_config": {
                    "qos/ratelimit/router": {"max_rate": 10},
                    "security/bot-detector": {"deny": ["x"]},
                    "proxy": {"sequential": true}
                },
                "backend": [
                    {
                        "url_pattern": "/v1/{id}?fixed=1", "target": "data", "deny": ["secret"],
                        "mapping": {"a": "b"}, "group": "user", "is_collection": true,
                        "extra_config": {
                            "qos/circuit-breaker": {"interval": 1, "timeout": 1, "max_errors": 1},
                            "backend/http": {"return_error_code": true}
                        }
                    },
                    {"url_pattern": "/next/{resp0_next}", "method": "POST"}
                ]
            },
            {"endpoint": "/srv", "backend": [
                {"url_pattern": "/x", "host": ["web.service"], "sd": "dns",
                "disable_host_sanitize": true}]}
        ]
    })
}

#[test]
fn an_endpoint_is_shown_with_its_stages_and_calls() {
    let way = way(&config(), "GET", "/users/caf%C3%A9%20x?lang=de&other=1");
    assert_eq!(way["outcome"], "endpoint");
    assert_eq!(way["service_stages"][0]["namespace"], "security/cors");
    assert_eq!(way["endpoint"], "/users/{id}");
    assert_eq!(way["parameters"], json!([{"name": "id", "value": "café x"}]));
    let names = |stages: &Value| -> Vec<String> {
        let stages = stages.as_array().expect("a list").iter();
        stages.map(|stage| stage["namespace"].as_str().unwrap_or("").to_owned()).collect()
    };
    let stages = ["qos/ratelimit/service", "security/bot-detector", "qos/ratelimit/router"];
    assert_eq!(names(&way["stages"]), stages);
    assert_eq!(way["options"], json!(["proxy"]));
    assert_eq!((&way["pipe"], &way["calls_timeout_ms"]), (&json!("sequential"), &json!(850)));
    let first = &way["backends"][0];
    let urls = ["http://a.example:8080", "https://b.example"]
        .map(|host| format!("{host}/v1/caf%C3%A9%20x?fixed=1&lang=de"));
    assert_eq!(first["urls"], json!(urls));
    assert_eq!(names(&first["stages"]), ["qos/circuit-breaker"]);
    assert_eq!(first["options"], json!(["backend/http"]));
    let edits = ["target data", "deny secret", "mapping a to b", "group user"];
    assert_eq!(
        first["edits"].as_array().map(|edits| edits[1..].to_vec()),
        Some(edits.map(Value::from).to_vec())
    );
    let second = &way["backends"][1];
    assert_eq!(second["method"], "POST");
    assert_eq!(second["urls"][0], "http://a.example:8080/next/{Resp0_next}?lang=de");
}

#[test]
fn discovered_hosts_are_named_by_what_is_looked_up() {
    let way = way(&config(), "GET", "/srv");
    assert_eq!(way["backends"][0]["hosts_by"], "dns");
    assert_eq!(way["backends"][0]["urls"], json!(["http://{web.service}/x"]));
}

#[test]
fn what_no_endpoint_answers_is_told() {
    let config = config();
    let found = way(&config, "GET", "/users/7/");
    assert_eq!((&found["outcome"], &found["status"]), (&json!("redirect"), &json!(301)));
    assert_eq!(found["location"], "/users/7");
    let found = way(&config, "POST", "/users/7");
    assert_eq!((&found["outcome"], &found["status"]), (&json!("method_not_allowed"), &json!(405)));
    assert_eq!(found["allow"], "GET, OPTIONS");
    let found = way(&config, "GET", "/nothing");
    assert_eq!((&found["outcome"], &found["status"]), (&json!("not_found"), &json!(404)));
    let found = way(&config, "GET", "/users/a%252Fb");
    assert_eq!((&found["outcome"], &found["status"]), (&json!("refused"), &json!(400)));
    let found = way(&config, "GET", "nonsense");
    assert_eq!(found["outcome"], "refused");
}

#[test]
fn what_the_gateway_answers_itself_is_named() {
    let config = config();
    assert_eq!(way(&config, "GET", "/__health")["name"], "health");
    let options = way(&config, "OPTIONS", "/users/7");
    assert_eq!((&options["name"], &options["allow"]), (&json!("options"), &json!("GET")));
}
