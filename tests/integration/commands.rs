//! The other commands, the examples of config/, and what the service manager hears and lends.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::gateway::{binary, run};
use crate::harness::{Gateway, Upstream, eventually, no_op};

const SOON: Duration = Duration::from_secs(5);

fn examples() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let examples: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .map(|path| (name(&path), fs::read_to_string(&path).unwrap()))
        .collect();
    assert!(examples.len() >= 2, "the examples are gone");
    examples
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// A folder for one test.
fn folder(of: &str) -> PathBuf {
    let name = format!("commands-{of}-{}", std::process::id());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn every_example_is_right_and_nothing_in_it_is_missing() {
    // Files that they name are named from the repository's root.
    let check = |mode: &str, file: &str| {
        let root = env!("CARGO_MANIFEST_DIR");
        let mut command = Command::new(binary());
        command.env_clear().current_dir(root).args(["check", mode, "-c", file]);
        let answer = command.output().unwrap();
        let said = [answer.stdout, answer.stderr].concat();
        (answer.status, String::from_utf8_lossy(&said).into_owned())
    };
    for (name, _) in examples() {
        let file = format!("config/{name}");
        for mode in ["-t", "--lint"] {
            let (status, output) = check(mode, &file);
            assert!(status.success(), "{name} {mode}: {output}");
            assert!(!output.to_lowercase().contains("warning"), "{name} {mode}: {output}");
        }
        let (status, output) = check("--compat", &file);
        assert!(status.success(), "{name}: {output}");
    }
}

#[test]
fn the_production_example_has_nothing_grave() {
    let (name, text) = examples().into_iter().find(|(name, _)| name == "production.json").unwrap();
    let arguments = ["audit", "-c", &name, "-s", "CRITICAL,HIGH"];
    let (status, output) = run(&[(&name, &text)], &arguments);
    assert!(status.success() && output.is_empty(), "{output}");
}

#[test]
fn audit_writes_a_line_for_each_finding() {
    let config = json!({"version": 3, "endpoints": []}).to_string();
    let files = [("krakend.json", config.as_str())];
    let (status, output) = run(&files, &["audit", "-c", "krakend.json", "-s", "HIGH"]);
    assert_eq!(status.code(), Some(1));
    assert!(output.lines().any(|line| line.starts_with("1.2.1\t[HIGH]   \t")), "{output}");
    let arguments = ["audit", "-c", "krakend.json", "-f", "{{ marshal . }}"];
    let (_, output) = run(&files, &arguments);
    let findings: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(findings["recommendations"][0]["rule"], "1.2.1");
}

#[test]
fn the_way_of_a_request_is_explained() {
    let (_, demo) = examples().into_iter().find(|(name, _)| name == "demo.json").unwrap();
    let files = [("krakend.json", demo.as_str())];
    let explain =
        |words: &[&str]| run(&files, &[&["explain"], words, &["-c", "krakend.json"]].concat());
    let (status, output) = explain(&["GET", "/user/7"]);
    assert!(status.success(), "{output}");
    for word in ["/user/{id}", "id = \"7\"", "http://127.0.0.1:9080/users/7", "deny internal"] {
        assert!(output.contains(word), "no {word:?} in:\n{output}");
    }
    let (status, output) = explain(&["GET", "/nobody", "--format", "json"]);
    assert_eq!(status.code(), Some(1));
    let way: Value = serde_json::from_str(&output).unwrap();
    assert_eq!((&way["outcome"], &way["status"]), (&json!("not_found"), &json!(404)));
}

#[test]
fn what_is_missing_fails_the_comparison() {
    let config = json!({"version": 3, "endpoints": [], "plugin": {"pattern": ".so"}}).to_string();
    let files = [("krakend.json", config.as_str())];
    let (status, output) = run(&files, &["check", "--compat", "-c", "krakend.json"]);
    assert_eq!(status.code(), Some(1));
    assert!(output.contains("missing   plugin"), "{output}");
    let json = ["check", "--compat", "--format", "json", "-c", "krakend.json"];
    let (status, output) = run(&files, &json);
    assert_eq!(status.code(), Some(1));
    let report: Value = serde_json::from_str(&output).unwrap();
    assert_eq!((&report["missing"], &report["honoured"]), (&json!(1), &json!(1)), "{output}");
}

#[test]
fn completions_and_manual_pages_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (status, output) = run(&[], &["completion", shell]);
        assert!(status.success() && output.contains("explain"), "{shell}: {output}");
    }
    let (status, output) = run(&[], &["man"]);
    assert!(status.success() && output.contains(".TH shoal 1"), "{output}");
    let pages = folder("man");
    let (status, output) = run(&[], &["man", "--out", &pages.to_string_lossy()]);
    assert!(status.success(), "{output}");
    for page in ["shoal.1", "shoal-check.1", "shoal-explain.1", "shoal-audit.1"] {
        assert!(pages.join(page).exists(), "no {page}");
    }
    fs::remove_dir_all(pages).unwrap();
}

#[test]
fn a_running_gateway_is_told_to_reload_and_others_are_spared() {
    let upstream = Upstream::start();
    let mut gateway = Gateway::start(json!({"endpoints": [no_op("GET", "/a", &upstream.url())]}));
    let pid = gateway.pid().to_string();
    let (status, output) = run(&[], &["reload", "--pid", &pid]);
    assert!(status.success(), "{output}");
    eventually("the gateway notices", SOON, || gateway.log().contains("[SERVICE: Reload]"));
    assert!(!gateway.has_ended());
    let (status, output) = run(&[("pid", &pid)], &["reload", "--pid-file", "pid"]);
    assert!(status.success(), "{output}");
    // It does not wait for the signal, and would be ended by it.
    let mut other = Command::new("sleep").arg("60").spawn().unwrap();
    let (status, output) = run(&[], &["reload", "--pid", &other.id().to_string()]);
    assert!(status.code() == Some(1) && output.contains("SIGHUP"), "{output}");
    assert!(other.try_wait().unwrap().is_none());
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn the_service_manager_hears_of_start_life_and_end() {
    let folder = folder("notify");
    let path = folder.join("socket");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(SOON)).unwrap();
    let hear = || {
        let mut message = [0; 256];
        let count = manager.recv(&mut message).expect("a message in time");
        String::from_utf8_lossy(&message[..count]).into_owned()
    };
    let mut gateway = Gateway::with(json!({"endpoints": []}))
        .env("NOTIFY_SOCKET", &path.to_string_lossy())
        .env("WATCHDOG_USEC", "200000")
        .start();
    assert!(hear().starts_with("READY=1\n"));
    for _ in 0..3 {
        assert_eq!(hear(), "WATCHDOG=1\n");
    }
    gateway.terminate();
    let last = std::iter::repeat_with(hear).find(|message| message != "WATCHDOG=1\n");
    assert!(last.is_some_and(|message| message.starts_with("STOPPING=1\n")));
    assert!(gateway.wait(SOON).success());
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_lent_socket_is_served_and_outlives_the_gateway() {
    let folder = folder("lent");
    fs::write(folder.join("krakend.json"), "{\"version\": 3, \"endpoints\": []}").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let lent: OwnedFd = listener.try_clone().unwrap().into();
    // The shell moves the socket to where the manager's first one stands.
    let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" run -c krakend.json";
    let mut gateway = Command::new("sh")
        .args(["-c", script])
        .arg(binary())
        .current_dir(&folder)
        .stdin(Stdio::from(lent))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(SOON)).unwrap();
    client.write_all(b"GET /__health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let told = Command::new("kill").arg(gateway.id().to_string()).status().unwrap();
    assert!(told.success());
    assert!(gateway.wait().unwrap().success());
    TcpStream::connect(address).expect("the port stays open");
    fs::remove_dir_all(folder).unwrap();
}
