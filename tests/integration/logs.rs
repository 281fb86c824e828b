//! The log of the whole process: its looks, syslog, Graylog, and outputs that take nothing.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Gateway, Reply, Upstream, endpoint, eventually};

const SOON: Duration = Duration::from_secs(5);

/// One endpoint that answers, one whose backend fails.
fn config(upstream: &Upstream, extra: &Value) -> Value {
    upstream.on("/ok", Reply::json(json!({"a": 1})));
    upstream.on("/fail", Reply::text("x").status(503));
    let backend = |path: &str| json!({"host": [upstream.url()], "url_pattern": path});
    json!({
        "endpoints": [
            endpoint("/item/{id}", &[backend("/ok")]),
            endpoint("/bad", &[backend("/fail")]),
            endpoint("/both", &[backend("/fail"), backend("/fail")])
        ],
        "extra_config": extra
    })
}

#[test]
fn the_access_log_tells_what_failed() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(config(&upstream, &json!({})));
    assert_eq!(gateway.get("/item/5?x=1").status(), 200);
    assert_eq!(gateway.get("/bad").status(), 500);
    assert_eq!(gateway.get("/both").status(), 500);
    eventually("all lines are there", SOON, || gateway.log().contains("Error #02: "));
    let log = gateway.log();
    let lines: Vec<&str> = log.lines().collect();
    let at = |part: &str| lines.iter().position(|line| line.contains(part)).unwrap();
    let behind = |part: &str, by: usize| lines[at(part) + by];
    assert!(behind("GET      \"/bad\"", 1).starts_with("Error #01: invalid status code 503"));
    assert!(behind("GET      \"/both\"", 2).starts_with("Error #02: invalid status code 503"));
    assert!(!behind("GET      \"/item/5?x=1\"", 1).starts_with("Error"));
    assert!(log.contains("KRAKEND DEBUG: [ENDPOINT: /item/:id]"));
    assert!(log.contains("KRAKEND DEBUG: [BACKEND: /ok]"));
    assert!(log.contains("KRAKEND INFO: Starting"));
}

#[test]
fn graylog_gets_lines_and_the_access_log_over_tcp() {
    let upstream = Upstream::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let gateway = Gateway::start(config(
        &upstream,
        &json!({
            "telemetry/logging": {"level": "ERROR", "prefix": "[G] "},
            "telemetry/gelf": {"address": address, "enable_tcp": true}
        }),
    ));
    gateway.get("/bad");
    // The first connection was the look at the start; it is closed.
    let mut texts = Vec::new();
    listener.set_nonblocking(false).unwrap();
    let wanted = |texts: &[String]| {
        texts.iter().any(|text| text.starts_with("[G] [ENDPOINT: /bad]"))
            && texts.iter().any(|text| text.starts_with("[GIN] ") && text.ends_with("\"/bad\""))
    };
    while !wanted(&texts) {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        for message in BufReader::new(stream).split(0).map_while(Result::ok) {
            let message: Value = serde_json::from_slice(&message).unwrap();
            texts.push(message["short_message"].as_str().unwrap().to_owned());
            if wanted(&texts) {
                break;
            }
        }
    }
    assert!(!gateway.log().contains("[GIN]"), "it goes to one place");
}

#[test]
fn graylog_that_is_down_leaves_the_access_log_where_it_was() {
    let upstream = Upstream::start();
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = Gateway::start(config(
        &upstream,
        &json!({
            "telemetry/logging": {"level": "INFO", "prefix": "[LS]", "stdout": true},
            "telemetry/logstash": {"enabled": true},
            "telemetry/gelf": {"address": closed.to_string(), "enable_tcp": true}
        }),
    ));
    gateway.get("/bad");
    eventually("the access log", SOON, || gateway.log().contains("GET      \"/bad\""));
    let log = gateway.log();
    let documents: Vec<Value> =
        log.lines().filter_map(|it| serde_json::from_str(it).ok()).collect();
    let has = |level: &str, part: &str| {
        documents.iter().any(|document| {
            document["level"] == level
                && document["module"] == "[LS]"
                && document["message"].as_str().is_some_and(|text| text.contains(part))
        })
    };
    assert!(has("ERROR", "[GELF] Unable to create the writer"), "{log}");
    assert!(has("ERROR", "[ENDPOINT: /bad] "), "{log}");
}

/// Needs to make `/dev/log`, and a machine that has none.
#[test]
fn syslog_gets_lines_by_its_socket() {
    let path = Path::new("/dev/log");
    let Some(socket) = (!path.exists()).then(|| UnixDatagram::bind(path).ok()).flatten() else {
        eprintln!("/dev/log is taken or cannot be made: not tested");
        return;
    };
    socket.set_read_timeout(Some(SOON)).unwrap();
    let upstream = Upstream::start();
    let gateway = Gateway::start(config(
        &upstream,
        &json!({"telemetry/logging": {
            "level": "ERROR", "prefix": "mine", "syslog": true, "syslog_facility": "local5"
        }}),
    ));
    gateway.get("/bad");
    let mut bytes = [0; 4096];
    let received = socket.recv(&mut bytes).map(|count| String::from_utf8_lossy(&bytes[..count]));
    std::fs::remove_file(path).unwrap();
    let line = received.expect("a line");
    assert!(line.starts_with("<171>"), "{line}");
    let behind = format!(" mine[{}]: ERROR > [ENDPOINT: /bad] ", gateway.pid());
    assert!(line.contains(&behind), "{line}");
    assert!(
        !gateway.log().contains("ENDPOINT"),
        "nothing but the access log is on standard output"
    );
}

#[test]
fn the_access_log_has_the_look_that_was_asked_for() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(config(
        &upstream,
        &json!({"telemetry/logging": {
            "level": "ERROR", "stdout": true, "prefix": "[P]",
            "access_log": {"custom_format": "%{prefix}|%{method}|%{path}|%{statusCode}|%{proto}|%{header.X-None}"}
        }}),
    ));
    gateway.get("/item/7?a=b");
    eventually("the line", SOON, || gateway.log().contains("[P]|GET|/item/7|200|HTTP/1.1|-\n"));
    assert!(!gateway.log().contains("[GIN]"));
}

#[test]
fn sigusr1_ends_nothing() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(config(&upstream, &json!({})));
    let status = std::process::Command::new("kill")
        .args(["-USR1", &gateway.pid().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
    eventually("it is told", SOON, || gateway.log().contains("outputs are opened again"));
    assert_eq!(gateway.get("/item/1").status(), 200);
}
