//! The start: the demo, and configurations that are refused.

use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::client::try_get;
use crate::harness::gateway::{binary, run};
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

#[test]
fn a_thousand_endpoints_are_ready_within_a_tenth_of_a_second() {
    let endpoints: Vec<_> = (0..1000)
        .map(|number| {
            json!({
                "endpoint": format!("/service{number}/items/{{id}}"),
                "backend": [
                    {"url_pattern": "/items/{id}", "allow": ["a", "b.c"]},
                    {"url_pattern": "/prices/{id}", "group": "price"},
                ],
                "extra_config": {"qos/ratelimit/router": {"max_rate": 100}},
            })
        })
        .collect();
    let config = json!({"host": ["http://127.0.0.1:9000"], "endpoints": endpoints});
    // What is not optimised is slower by itself; and of several starts one is not disturbed by other work.
    let is_optimised = std::env::var_os("SHOAL_BINARY").is_some();
    let bound = Duration::from_millis(if is_optimised { 100 } else { 1500 });
    let times = (0..7).map(|_| {
        let gateway = Gateway::start(config.clone());
        gateway.ready_after()
    });
    let fastest = times.min().expect("several");
    assert!(fastest <= bound, "ready after {fastest:?}");
}

#[test]
fn without_enough_descriptors_it_serves_or_says_why_it_does_not() {
    let folder = std::env::temp_dir().join(format!("shoal-few-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("krakend.json");
    let (mut served, mut refused) = (0, 0);
    for limit in (8..80).step_by(4) {
        let port = free_port();
        std::fs::write(&file, json!({"version": 3, "port": port, "endpoints": []}).to_string())
            .unwrap();
        let script = format!("ulimit -n {limit}; exec \"$0\" run -c \"$1\"");
        let mut child = Command::new("sh")
            .args(["-c", &script])
            .arg(binary())
            .arg(&file)
            .env("SHOAL_WORKERS", "2")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let end = Instant::now() + Duration::from_secs(10);
        let ended = loop {
            let ended = child.try_wait().unwrap();
            let is_ready = || try_get(address, "/__ready").is_ok_and(|page| page.status() == 200);
            if ended.is_some() || is_ready() {
                break ended;
            }
            if Instant::now() > end {
                child.kill().unwrap();
                panic!("with {limit} it neither serves nor ends");
            }
        };
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        match ended {
            None => served += 1,
            Some(status) => {
                assert!(!status.success(), "{limit}");
                assert!(!output.stderr.is_empty(), "it says why: {limit}");
                refused += 1;
            }
        }
    }
    assert!(served > 0 && refused > 0, "{served} served, {refused} refused");
    std::fs::remove_dir_all(&folder).unwrap();
}
