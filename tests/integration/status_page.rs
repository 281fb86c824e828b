//! The status page: its facts as a program sees them, and its looks in a browser, light and dark, narrow and wide.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::client::try_get;
use crate::harness::{Gateway, Reply, Upstream, endpoint, eventually, free_port};

fn gateway(upstream: &Upstream, admin: u16) -> Gateway {
    let guarded = json!({
        "url_pattern": "/guarded/{id}",
        "extra_config": {"qos/circuit-breaker": {"interval": 60, "timeout": 60, "max_errors": 1}},
    });
    Gateway::start(json!({
        "host": [upstream.url()],
        "endpoints": [
            endpoint("/plain", &[json!({"url_pattern": "/plain"})]),
            endpoint("/guarded/{id}", &[guarded]),
        ],
        "extra_config": {
            "shoal/admin": {"address": format!("127.0.0.1:{admin}")},
            "shoal/limits": {"connections_max": 500},
        },
    }))
}

fn upstream() -> Upstream {
    let upstream = Upstream::start();
    upstream.on("/plain", Reply::json(json!({"a": 1})));
    upstream.on("/guarded/1", Reply::text("no").status(500));
    upstream
}

fn facts(admin: u16) -> Option<Value> {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], admin));
    let answer = try_get(address, "/__admin.json").ok()?;
    serde_json::from_slice(&answer.body).ok()
}

#[test]
fn the_facts_follow_what_happens() {
    let (upstream, admin) = (upstream(), free_port());
    let gateway = gateway(&upstream, admin);
    eventually("the page is there", Duration::from_secs(5), || facts(admin).is_some());
    assert_eq!(gateway.get("/plain").status(), 200);
    eventually("the pool is shown", Duration::from_secs(5), || {
        facts(admin).is_some_and(|facts| facts["upstreams"][0]["idle"].as_i64() >= Some(1))
    });
    let facts_then = facts(admin).unwrap();
    assert_eq!(facts_then["endpoints"][1]["path"], "/guarded/:id");
    assert_eq!(facts_then["breakers"][0]["state"], "closed");
    assert!(facts_then["memory"]["resident_bytes"].as_u64() > Some(1_000_000));
    let mut limits = facts_then["limits"].as_array().unwrap().iter();
    let limit = limits.find(|limit| limit["name"] == "connections_max").unwrap();
    assert_eq!(limit["value"], 500);
    for _ in 0..3 {
        assert_eq!(gateway.get("/guarded/1").status(), 500);
    }
    assert_eq!(facts(admin).unwrap()["breakers"][0]["state"], "open");
}

/// Debian's name, then others'.
fn browser() -> Option<&'static str> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    names.into_iter().find(|name| {
        let asked = Command::new(name).arg("--version").output();
        asked.is_ok_and(|answer| answer.status.success())
    })
}

struct Browser {
    program: &'static str,
    profile: PathBuf,
}

impl Browser {
    fn run(&self, url: &str, arguments: &[String]) -> Vec<u8> {
        let answer = Command::new("timeout")
            .args(["60", self.program, "--headless", "--no-sandbox", "--disable-gpu"])
            .args(["--hide-scrollbars", "--no-first-run", "--disable-background-networking"])
            .arg(format!("--user-data-dir={}", self.profile.display()))
            .args(arguments)
            .arg(url)
            .output()
            .expect("the browser runs");
        assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
        answer.stdout
    }

    fn picture(&self, url: &str, file: &Path, width: u32, is_dark: bool) -> Vec<u8> {
        let scheme = i32::from(!is_dark);
        self.run(
            url,
            &[
                format!("--screenshot={}", file.display()),
                format!("--window-size={width},900"),
                format!("--blink-settings=preferredColorScheme={scheme}"),
            ],
        );
        fs::read(file).expect("a picture")
    }
}

#[test]
fn a_browser_shows_it_light_and_dark_narrow_and_wide() {
    let Some(program) = browser() else {
        assert!(
            std::env::var_os("SHOAL_SOAK_TOOLS").is_none_or(|value| value != "required"),
            "chromium is missing: scripts/install-tools chromium"
        );
        eprintln!("no browser is installed: the page was not looked at");
        return;
    };
    let (upstream, admin) = (upstream(), free_port());
    let _gateway = gateway(&upstream, admin);
    eventually("the page is there", Duration::from_secs(5), || facts(admin).is_some());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("status_page");
    fs::create_dir_all(&folder).expect("a folder");
    let browser = Browser { program, profile: folder.join("profile") };
    let url = format!("http://127.0.0.1:{admin}/__admin");
    let text = String::from_utf8(browser.run(&url, &["--dump-dom".to_owned()])).expect("text");
    for part in ["/guarded/:id", "closed", "connections_max", "No problem was found", "io_uring"] {
        assert!(text.contains(part) || part == "io_uring" && text.contains("epoll"), "{part}");
    }
    let mut pictures = Vec::new();
    for (name, width, is_dark) in [
        ("light", 1280, false),
        ("dark", 1280, true),
        ("light-narrow", 390, false),
        ("dark-narrow", 390, true),
    ] {
        let file = folder.join(format!("{name}.png"));
        let picture = browser.picture(&url, &file, width, is_dark);
        assert!(picture.starts_with(b"\x89PNG"), "{name} is a picture");
        pictures.push((name, brightness(&picture)));
    }
    let light_of = |wanted: &str| pictures.iter().find(|(name, _)| *name == wanted).unwrap().1;
    assert!(light_of("light") > 180 && light_of("light-narrow") > 180, "{pictures:?}");
    assert!(light_of("dark") < 80 && light_of("dark-narrow") < 80, "{pictures:?}");
}

/// The mean of all samples of a picture, from 0 to 255.
fn brightness(picture: &[u8]) -> u64 {
    let mut reader = png::Decoder::new(Cursor::new(picture)).read_info().expect("a picture");
    let mut samples = vec![0; reader.output_buffer_size().expect("it fits")];
    let frame = reader.next_frame(&mut samples).expect("pixels");
    let samples = &samples[..frame.buffer_size()];
    samples.iter().map(|sample| u64::from(*sample)).sum::<u64>() / samples.len() as u64
}
