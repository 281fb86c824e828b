//! Minutes of mixed traffic through an upstream that misbehaves in turn: every answer is checked, nothing may pile up.
//!
//! `SHOAL_SOAK_SECONDS` says how long in all (20 unless told), shared by the drivers. wrk and oha add plain load where
//! `scripts/install-tools wrk oha` has put them; with `SHOAL_SOAK_TOOLS=required` their absence is a failure.
#![allow(unreachable_pub, reason = "the modules of a test program are private to it")]

#[allow(dead_code, unused_imports, reason = "each test program uses its own part of the harness")]
mod harness;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use harness::upstream::Seen;
use harness::{Client, ClientError, Driver, Gateway, Reply, Response, Upstream, eventually};
use serde_json::{Value, json};

/// Clients that check every answer.
const CHECKERS: u64 = 12;
/// Of an endpoint; the upstream's longest silence is beyond it.
const TIMEOUT: &str = "3s";
const SILENCE: Duration = Duration::from_secs(8);
/// Memory that may come on top of what it was after the first quarter.
const GROWTH_KIB: u64 = 8 * 1024;

/// What the upstream does when it is asked for `/NAME/n`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Manner {
    Plain,
    Chunked,
    Slow,
    Drip,
    /// Closes right after its answer, unannounced.
    Closing,
    /// Closes a few milliseconds later.
    Stale,
    /// Something follows the answer.
    Surplus,
    Busy,
    Truncated,
    Reset,
    Nothing,
    Garbage,
    Silent,
}

/// How often each manner comes up among the checked requests.
const MANNERS: [(Manner, &str, u64); 13] = [
    (Manner::Plain, "plain", 300),
    (Manner::Chunked, "chunked", 100),
    (Manner::Slow, "slow", 40),
    (Manner::Drip, "drip", 20),
    (Manner::Closing, "closing", 60),
    (Manner::Stale, "stale", 60),
    (Manner::Surplus, "surplus", 30),
    (Manner::Busy, "busy", 60),
    (Manner::Truncated, "truncated", 40),
    (Manner::Reset, "reset", 40),
    (Manner::Nothing, "nothing", 40),
    (Manner::Garbage, "garbage", 40),
    (Manner::Silent, "silent", 2),
];

impl Manner {
    /// Whether the answer is whole and right in the end.
    fn is_sound(self) -> bool {
        use Manner::{Chunked, Closing, Drip, Plain, Slow, Stale, Surplus};
        matches!(self, Plain | Chunked | Slow | Drip | Closing | Stale | Surplus)
    }

    fn reply(self, number: u64) -> Reply {
        let document = document(number);
        let reply = Reply::json(document.clone());
        match self {
            Self::Plain => reply,
            Self::Chunked => reply.chunked(97),
            Self::Slow => reply.delay(Duration::from_millis(20 + number % 100)),
            Self::Drip => reply.drip(700, Duration::from_millis(2)),
            Self::Closing => reply.close(),
            Self::Stale => reply.close_after(Duration::from_millis(number % 8)),
            Self::Surplus => {
                let body = document.to_string();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                Reply::raw(
                    format!("{head}{body}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
                        .as_bytes(),
                )
            }
            Self::Busy => Reply::text(&format!("busy {number}")).status(503),
            Self::Truncated => reply.cut_after(100),
            Self::Reset => reply.cut_after(100).reset(),
            Self::Nothing => Reply::nothing(),
            Self::Garbage => {
                Reply::raw(b"\x15\x03\x01\x00\x02\x02\x46 this is not HTTP\r\n\r\n").close()
            }
            Self::Silent => reply.delay(SILENCE),
        }
    }
}

/// The upstream's answer about `number`: a few hundred bytes to some kilobytes.
fn document(number: u64) -> Value {
    let length = usize::try_from(200 + number % 37 * 200).expect("small");
    json!({"number": number, "filler": format!("{number:x}").repeat(length / 4 + 1)})
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % sides
    }

    fn manner(&mut self) -> (Manner, &'static str) {
        let mut left = self.roll(MANNERS.iter().map(|(_, _, weight)| weight).sum());
        for (manner, name, weight) in MANNERS {
            if left < weight {
                return (manner, name);
            }
            left -= weight;
        }
        (Manner::Plain, "plain")
    }
}

fn start_upstream(answered_posts: &Arc<Mutex<HashSet<u64>>>) -> Upstream {
    let upstream = Upstream::start();
    upstream.forget_requests();
    let posts = Arc::clone(answered_posts);
    upstream.on_each("*", move |seen: &Seen, _| {
        let mut parts = seen.path().trim_start_matches('/').split('/');
        let (name, number) = (
            parts.next().unwrap_or(""),
            parts.next().and_then(|number| number.parse().ok()).unwrap_or(0),
        );
        if name == "up" {
            posts.lock().unwrap_or_else(PoisonError::into_inner).insert(number);
            return Reply::text(&format!(
                "{number} {} {:?}",
                seen.check.len, seen.check.differs_at
            ));
        }
        let manner = MANNERS.iter().find(|(_, known, _)| *known == name);
        manner.map_or_else(Reply::nothing, |(manner, _, _)| manner.reply(number))
    });
    upstream
}

fn start_gateway(upstream: &Upstream, driver: Driver) -> Gateway {
    let backend = |path: &str| json!({"url_pattern": path});
    let grouped = |path: &str, group: &str| json!({"url_pattern": path, "group": group});
    let raw = |endpoint: &str, path: &str, method: &str| {
        json!({"endpoint": endpoint, "method": method, "output_encoding": "no-op", "input_headers": ["*"],
               "backend": [{"url_pattern": path, "encoding": "no-op"}]})
    };
    let config = json!({
        "host": [upstream.url()], "timeout": TIMEOUT, "idle_connection_timeout": "1s",
        "extra_config": {"router": {"disable_access_log": true}},
        "endpoints": [
            raw("/raw/{manner}/{n}", "/{manner}/{n}", "GET"),
            raw("/up/{n}", "/up/{n}", "POST"),
            {"endpoint": "/decoded/{manner}/{n}", "backend": [backend("/{manner}/{n}")]},
            {"endpoint": "/merged/{manner}/{n}",
             "backend": [grouped("/plain/{n}", "sure"), grouped("/{manner}/{n}", "other")]},
        ]
    });
    Gateway::with(config).driver(driver).start()
}

/// Sends one request after the other and judges each answer, until told to stop.
struct Checker<'a> {
    address: SocketAddr,
    client: Option<Client>,
    dice: Dice,
    answered_posts: &'a Mutex<HashSet<u64>>,
}

impl Checker<'_> {
    fn run(mut self, seed: u64, stop: &AtomicBool, checked: &AtomicU64) {
        let mut number = seed << 32;
        while !stop.load(Ordering::Relaxed) {
            number += 1;
            let outcome = match self.dice.roll(10) {
                0 => self.check_upload(number),
                1..=4 => self.check("raw", number),
                5..=7 => self.check("decoded", number),
                _ => self.check("merged", number),
            };
            outcome.unwrap_or_else(|wrong| panic!("client {seed}: {wrong}"));
            checked.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn check(&mut self, kind: &str, number: u64) -> Result<(), String> {
        let (manner, name) = self.dice.manner();
        let path = format!("/{kind}/{name}/{number}");
        let answer = self.exchange(|client| client.get(&path));
        let verdict = match kind {
            "raw" => judge_raw(manner, number, &answer),
            "decoded" => judge_decoded(manner, number, &answer),
            _ => judge_merged(manner, number, &answer),
        };
        if verdict { Ok(()) } else { Err(format!("GET {path} got {}", shown(&answer))) }
    }

    fn check_upload(&mut self, number: u64) -> Result<(), String> {
        let len = usize::try_from(self.dice.roll(40_000)).expect("small");
        let body = harness::pattern::bytes(len);
        let path = format!("/up/{number}");
        let answer = self.exchange(|client| {
            client.send("POST", &path, &[], Some(&body))?;
            client.read("POST")
        });
        let is_answered =
            || self.answered_posts.lock().unwrap_or_else(PoisonError::into_inner).contains(&number);
        match &answer {
            Ok(response)
                if response.status() == 200
                    && response.text() == format!("{number} {len} None") =>
            {
                Ok(())
            }
            // It met the end of an idle connection. Nobody may send a POST twice, so the client is told.
            Ok(response) if response.status() == 500 && !is_answered() => Ok(()),
            _ => Err(format!("POST {path} of {len} bytes got {}", shown(&answer))),
        }
    }

    /// On the connection at hand, or on a new one when the last answer broke it.
    fn exchange(
        &mut self,
        act: impl FnOnce(&mut Client) -> Result<Response, ClientError>,
    ) -> Result<Response, ClientError> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => Client::open(self.address)?,
        };
        let answer = act(&mut client);
        if answer.as_ref().is_ok_and(|response| !response.head.closes()) {
            self.client = Some(client);
        }
        answer
    }
}

type Answer = Result<Response, ClientError>;

fn shown(answer: &Answer) -> String {
    match answer {
        Ok(response) => {
            let text = response.text();
            format!("{}: {}", response.status(), &text[..text.len().min(200)])
        }
        Err(error) => error.to_string(),
    }
}

fn judge_raw(manner: Manner, number: u64, answer: &Answer) -> bool {
    match (manner, answer) {
        (Manner::Busy, Ok(response)) => {
            response.status() == 503 && response.text() == format!("busy {number}")
        }
        (Manner::Truncated | Manner::Reset, Err(error)) => {
            matches!(error, ClientError::Truncated { .. })
        }
        (_, Ok(response)) if manner.is_sound() => {
            response.status() == 200 && response.body == document(number).to_string().as_bytes()
        }
        (_, Ok(response)) => response.status() == 500,
        (_, Err(_)) => false,
    }
}

fn judge_decoded(manner: Manner, number: u64, answer: &Answer) -> bool {
    match answer {
        Ok(response) if manner.is_sound() => {
            response.status() == 200
                && response.is_completed()
                && response.json() == document(number)
        }
        Ok(response) => response.status() == 500,
        Err(_) => false,
    }
}

fn judge_merged(manner: Manner, number: u64, answer: &Answer) -> bool {
    let Ok(response) = answer else { return false };
    let sure = json!({"sure": document(number)});
    let both = json!({"sure": document(number), "other": document(number)});
    let want = if manner.is_sound() { &both } else { &sure };
    response.status() == 200
        && response.is_completed() == manner.is_sound()
        && response.json() == *want
}

/// A load generator beside the checking clients.
struct Load {
    name: &'static str,
    child: Option<Child>,
}

impl Load {
    fn start(name: &'static str, arguments: &[&str]) -> Option<Self> {
        let home = std::env::var("CARGO_HOME")
            .or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")));
        let installed = format!("{}/bin/{name}", home.unwrap_or_default());
        let spawn =
            |program: &str| Command::new(program).args(arguments).stdout(Stdio::piped()).spawn();
        match spawn(name).or_else(|_| spawn(&installed)) {
            Ok(child) => Some(Self { name, child: Some(child) }),
            Err(error) => {
                assert!(std::env::var_os("SHOAL_SOAK_TOOLS").is_none(), "{name}: {error}");
                println!("{name} is not installed ({error}): its load is left out");
                None
            }
        }
    }

    fn output(mut self) -> String {
        let child = self.child.take().expect("it is asked once");
        let output = child.wait_with_output().expect("a child can be waited for");
        assert!(output.status.success(), "{} ended with {}", self.name, output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn start_loads(address: SocketAddr, duration: Duration) -> Vec<Load> {
    let span = format!("{}s", duration.as_secs());
    let (raw, decoded) =
        (format!("http://{address}/raw/plain/7"), format!("http://{address}/merged/plain/8"));
    let wrk = ["-t1", "-c16", "-d", &span, "--timeout", "5s", &raw];
    let oha =
        ["--no-tui", "--output-format", "json", "-q", "1000", "-c", "16", "-z", &span, &decoded];
    [("wrk", wrk.as_slice()), ("oha", oha.as_slice())]
        .into_iter()
        .filter_map(|(name, a)| Load::start(name, a))
        .collect()
}

/// No answer of a load generator may be a failure.
fn judge_load(name: &str, output: &str) {
    if name == "wrk" {
        println!(
            "{}",
            output.lines().filter(|line| line.contains("requests in")).collect::<String>().trim()
        );
        assert!(
            !output.contains("Non-2xx") && !output.contains("Socket errors"),
            "wrk saw failures:\n{output}"
        );
        return;
    }
    let report: Value =
        serde_json::from_str(output).unwrap_or_else(|error| panic!("oha: {error}: {output}"));
    println!("  oha: {}", report["statusCodeDistribution"]);
    let statuses = report["statusCodeDistribution"].as_object().expect("oha reports statuses");
    assert!(
        statuses.keys().all(|status| status == "200") && !statuses.is_empty(),
        "oha: {statuses:?}"
    );
    let errors = report["errorDistribution"].as_object().expect("oha reports errors");
    // What was under way when its time was over.
    assert!(errors.keys().all(|error| error.contains("deadline")), "oha: {errors:?}");
}

fn soak(driver: Driver, duration: Duration) {
    let answered_posts = Arc::new(Mutex::new(HashSet::new()));
    let upstream = start_upstream(&answered_posts);
    let gateway = start_gateway(&upstream, driver);
    let address = gateway.address();
    gateway.wait_until_ready();
    let descriptors_at_start = gateway.descriptors();
    let (stop, checked) = (AtomicBool::new(false), AtomicU64::new(0));
    let loads = start_loads(address, duration);
    let begin = Instant::now();
    let warm_kib = thread::scope(|scope| {
        let checkers: Vec<_> = (1..=CHECKERS)
            .map(|seed| {
                let dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                let checker =
                    Checker { address, client: None, dice, answered_posts: &answered_posts };
                let (stop, checked) = (&stop, &checked);
                scope.spawn(move || checker.run(seed, stop, checked))
            })
            .collect();
        let is_failed = || checkers.iter().any(thread::ScopedJoinHandle::is_finished);
        let wait_until = |share: f64| {
            while begin.elapsed() < duration.mul_f64(share) && !is_failed() {
                thread::sleep(Duration::from_millis(20)); // the time itself is the subject here
            }
        };
        wait_until(0.25);
        let warm_kib = gateway.resident_kib();
        wait_until(1.0);
        stop.store(true, Ordering::Relaxed);
        warm_kib
    });
    for load in loads {
        let name = load.name;
        judge_load(name, &load.output());
    }
    let end_kib = gateway.resident_kib();
    println!(
        "  {driver:?}: {} answers checked in {:.0?}, {} requests at the upstream on {} connections, {warm_kib} KiB then {end_kib} KiB",
        checked.load(Ordering::Relaxed),
        begin.elapsed(),
        upstream.requests(),
        upstream.connections(),
    );
    assert!(
        checked.load(Ordering::Relaxed) > duration.as_secs() * CHECKERS,
        "hardly anything was checked"
    );
    assert!(
        end_kib <= warm_kib + warm_kib / 5 + GROWTH_KIB,
        "{warm_kib} KiB after a quarter, {end_kib} KiB at the end"
    );
    eventually("its descriptors are as few as at the start", Duration::from_secs(15), || {
        gateway.descriptors() <= descriptors_at_start
    });
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
}

#[test]
fn nothing_is_wrong_lost_or_left_behind() {
    let seconds =
        std::env::var("SHOAL_SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    harness::process::allow_descriptors(4_096);
    let drivers = Driver::available();
    let share = Duration::from_secs(seconds) / u32::try_from(drivers.len()).expect("two at most");
    for driver in drivers {
        soak(driver, share);
    }
}
