//! The start: the demo, and configurations that are refused.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::json;

use crate::harness::gateway::run;
use crate::harness::{Gateway, Upstream, eventually, free_port};

#[track_caller]
fn refused(config: &str, exit: Option<i32>, output_has: &[&str]) {
    let (status, output) = run(&[("krakend.json", config)], &["run", "-c", "krakend.json"]);
    match exit {
        Some(code) => assert_eq!(status.code(), Some(code), "{output}"),
        None => assert!(status.code().is_some_and(|code| code != 0), "{status}: {output}"),
    }
    for word in output_has {
        assert!(output.to_lowercase().contains(&word.to_lowercase()), "no {word:?} in: {output}");
    }
}

#[test]
fn text_that_is_no_json_is_refused_with_its_place() {
    refused("{\n  \"version\": 3,\n  \"port\" 8080\n}", Some(255), &["krakend.json", "3"]);
    refused("{\"version\": 3,", Some(255), &["krakend.json"]);
    refused("", Some(255), &["krakend.json"]);
}

#[test]
fn a_wrong_version_is_refused() {
    refused("{\"version\": 2, \"endpoints\": []}", Some(255), &["unsupported version", "2"]);
}

#[test]
fn a_file_that_is_not_there_is_refused() {
    let (status, output) = run(&[], &["run", "-c", "nowhere.json"]);
    assert!(!status.success() && output.contains("nowhere.json"), "{status}: {output}");
}

#[test]
fn a_block_that_cannot_be_understood_is_refused_by_name() {
    let upstream = Upstream::start();
    let config = json!({"version": 3, "port": free_port(), "endpoints": [{
        "endpoint": "/limited", "backend": [{"host": [upstream.url()], "url_pattern": "/x"}],
        "extra_config": {"qos/ratelimit/router": "ten a second"}
    }]});
    refused(&config.to_string(), None, &["qos/ratelimit/router", "/limited"]);
}

#[test]
fn a_port_that_is_taken_is_told_with_its_number() {
    let taken = TcpListener::bind(("127.0.0.1", free_port())).unwrap();
    let port = taken.local_addr().unwrap().port();
    let config = json!({"version": 3, "port": port, "listen_ip": "127.0.0.1", "endpoints": []});
    refused(&config.to_string(), None, &["in use", &port.to_string()]);
}

#[test]
fn check_tells_right_from_wrong() {
    let good = "{\"version\": 3, \"endpoints\": []}";
    let (status, output) = run(&[("krakend.json", good)], &["check", "-c", "krakend.json"]);
    assert!(status.success() && output.contains("Syntax OK"), "{status}: {output}");
    let (status, output) =
        run(&[("krakend.json", "{\"version\": 1}")], &["check", "-c", "krakend.json"]);
    assert!(status.code() == Some(1) && output.contains("version"), "{status}: {output}");
}

#[test]
fn every_address_that_the_demo_names_answers() {
    let demo = Gateway::demo();
    let base = format!("http://{}", demo.address());
    let addresses = || {
        let log = demo.log();
        let words =
            log.split_whitespace().filter_map(|word| word.strip_prefix(&base)).map(str::to_owned);
        words.filter(|path| path.starts_with('/')).collect::<Vec<_>>()
    };
    eventually("the demo names some addresses", Duration::from_secs(5), || addresses().len() >= 3);
    for path in addresses() {
        let response = demo.get(&path);
        assert_eq!(response.status(), 200, "{path}");
        assert!(!response.body.is_empty(), "{path}");
    }
}
