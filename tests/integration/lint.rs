//! `check` with schemas, built in and from a server, and `schema`.

use serde_json::{Value, json};

use crate::harness::gateway::run;
use crate::harness::{Reply, Upstream};

const RIGHT: &str = r#"{"version": 3, "name": "x", "endpoints": []}"#;

fn check(config: &str, flags: &[&str]) -> (Option<i32>, String) {
    let arguments = [&["check", "-c", "krakend.json"], flags].concat();
    let (status, output) = run(&[("krakend.json", config)], &arguments);
    (status.code(), output)
}

#[test]
fn the_built_in_schema_needs_no_network() {
    for flag in ["-l", "-n", "--lint"] {
        assert_eq!(check(RIGHT, &[flag]).0, Some(0), "{flag}");
        let (status, output) = check("{\"version\": 3,\n \"nmae\": \"x\"}", &[flag]);
        assert_eq!(status, Some(1), "{output}");
        assert!(
            output.contains("krakend.json:2:2  nmae") && output.contains("\"name\""),
            "{output}"
        );
    }
}

#[test]
fn a_schema_comes_from_a_server_with_what_it_refers_to() {
    let server = Upstream::start();
    let root = json!({"properties": {"name": {"$ref": "parts/name.json"}}});
    server.on("GET /root.json", Reply::json(root));
    server.on("GET /parts/name.json", Reply::json(json!({"maxLength": 3})));
    let address = format!("{}/root.json", server.url());
    assert_eq!(check(RIGHT, &["-s", &address]).0, Some(0));
    let (status, output) = check(r#"{"version": 3, "name": "gateway"}"#, &["-s", &address]);
    assert!(status == Some(1) && output.contains("krakend.json:1:24  name"), "{output}");
    let (status, output) = check(RIGHT, &["-s", &format!("{}/none.json", server.url())]);
    assert!(status == Some(1) && output.contains("404"), "{output}");
}

#[test]
fn the_printed_schema_is_json() {
    let (status, output) = run(&[], &["schema"]);
    assert!(status.success(), "{output}");
    let schema: Value = serde_json::from_str(&output).expect("JSON");
    assert_eq!(schema.pointer("/properties/port/maximum"), Some(&json!(65535)));
}
