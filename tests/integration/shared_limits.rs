//! Limits and quotas over several nodes, with a real Redis that answers, hangs, dies and comes back.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::client::try_get;
use crate::harness::process::{self, Signal};
use crate::harness::tls::{Authority, Folder, Use};
use crate::harness::{Client, Gateway, Reply, Upstream, endpoint, eventually, free_port, get};

const PATIENCE: Duration = Duration::from_secs(10);
/// Of `shoal/redis`, as it is by default.
const INTERVAL: Duration = Duration::from_millis(100);

/// A Redis server with a folder and a port of its own; it forgets everything when it ends.
struct Redis {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl Redis {
    /// `None`: it is not installed.
    fn start() -> Option<Redis> {
        let version = Command::new("redis-server").arg("--version").output();
        if !version.is_ok_and(|version| version.status.success()) {
            assert!(
                std::env::var_os("SHOAL_SOAK_TOOLS").is_none_or(|value| value != "required"),
                "redis-server is missing: scripts/install-tools redis-server"
            );
            eprintln!("redis-server is not installed: no limit was shared");
            return None;
        }
        let port = free_port();
        let name = format!("redis-{}-{port}", std::process::id());
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).expect("the build directory can be written");
        let child = Redis::spawn(&folder, port, &[]);
        let redis = Redis { child, folder, port };
        redis.wait();
        Some(redis)
    }

    fn spawn(folder: &Path, port: u16, more: &[&str]) -> Child {
        let log = std::fs::File::create(folder.join("log")).expect("a log");
        Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .args(more)
            .arg("--dir")
            .arg(folder)
            .stdout(log)
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server runs")
    }

    fn wait(&self) {
        eventually("Redis is there", PATIENCE, || self.ask(&["PING"]) == "PONG\n");
    }

    /// What its own client prints.
    fn ask(&self, command: &[&str]) -> String {
        let port = self.port.to_string();
        let told = Command::new("redis-cli").args(["-p", &port]).args(command).output();
        String::from_utf8_lossy(&told.expect("redis-cli runs").stdout).into_owned()
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn restart(&mut self) {
        self.kill();
        self.child = Redis::spawn(&self.folder, self.port, &[]);
        self.wait();
    }

    fn signal(&self, signal: Signal) {
        process::signal(self.child.id(), signal);
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn upstream() -> Upstream {
    let upstream = Upstream::start();
    upstream.on("/x", Reply::json(json!({"ok": 1, "credits": 40})));
    upstream
}

/// A configuration with one endpoint and these blocks.
fn configuration(upstream: &Upstream, port: u16, service: &Value, at_endpoint: &Value) -> Value {
    let mut limited = endpoint("/x", &[json!({"host": [upstream.url()], "url_pattern": "/x"})]);
    limited["input_headers"] = json!(["*"]);
    limited["extra_config"] = at_endpoint.clone();
    let mut extra = json!({"redis": {
        "connection_pools": [{"name": "r", "address": format!("127.0.0.1:{port}")}]
    }});
    for (name, block) in service.as_object().expect("blocks") {
        extra[name] = block.clone();
    }
    json!({"endpoints": [limited], "extra_config": extra})
}

/// So many nodes with the same configuration.
fn nodes(count: usize, config: &Value) -> Vec<Gateway> {
    let nodes: Vec<Gateway> =
        (0..count).map(|_| Gateway::with(config.clone()).workers(1).start()).collect();
    // The first exchanges have been made.
    thread::sleep(INTERVAL * 3);
    nodes
}

/// One answer.
#[derive(Clone, Copy)]
struct Answered {
    at: Instant,
    status: u16,
    took: Duration,
}

/// Asks each node as fast as it answers, at most so many times a second, until told to stop.
fn load(nodes: &[SocketAddr], per_s: u32, stop: &AtomicBool) -> Vec<Answered> {
    let pause = Duration::from_secs(1) / per_s;
    thread::scope(|scope| {
        let clients: Vec<_> = nodes
            .iter()
            .map(|address| {
                scope.spawn(move || {
                    let mut client = Client::connect(*address);
                    let mut answers = Vec::new();
                    let mut next = Instant::now();
                    while !stop.load(Ordering::Relaxed) {
                        thread::sleep(next.saturating_duration_since(Instant::now()));
                        next += pause;
                        let began = Instant::now();
                        let status = client.get("/x").expect("an answer").status();
                        answers.push(Answered { at: began, status, took: began.elapsed() });
                    }
                    answers
                })
            })
            .collect();
        let mut all: Vec<Answered> =
            clients.into_iter().flat_map(|client| client.join().expect("lives")).collect();
        all.sort_by_key(|answered| answered.at);
        all
    })
}

/// [`load`] for some time.
fn load_for(nodes: &[SocketAddr], per_s: u32, time: Duration) -> Vec<Answered> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let answers = scope.spawn(|| load(nodes, per_s, &stop));
        thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
        answers.join().expect("lives")
    })
}

fn passed(answers: &[Answered]) -> usize {
    answers.iter().filter(|answered| answered.status == 200).count()
}

/// The most that passed in any window of this length.
fn most_in(answers: &[Answered], window: Duration) -> usize {
    let times: Vec<Instant> =
        answers.iter().filter(|one| one.status == 200).map(|one| one.at).collect();
    let in_window = |start: &Instant| {
        times.iter().filter(|at| *at >= start && at.duration_since(*start) < window).count()
    };
    times.iter().map(in_window).max().unwrap_or(0)
}

/// What so many of a hundred took at most.
fn percentile(answers: &[Answered], percent: usize) -> Duration {
    let mut times: Vec<Duration> = answers.iter().map(|answered| answered.took).collect();
    times.sort_unstable();
    times.get((times.len() * percent / 100).min(times.len() - 1)).copied().unwrap_or_default()
}

fn addresses(nodes: &[Gateway]) -> Vec<SocketAddr> {
    nodes.iter().map(Gateway::address).collect()
}

/// The bound of docs/clustering.md for a limit of 50 a second with a capacity of 50.
fn bound(nodes: usize, window: Duration) -> usize {
    let flown = usize::try_from(window.as_millis()).expect("short").div_ceil(20);
    // Two intervals in place of one: an exchange takes time, too, on a machine that is busy.
    let unheard = 50 + 2 * 5 + 1;
    50 + flown + 5 + (nodes - 1) * unheard
}

#[test]
fn several_nodes_keep_one_limit() {
    let Some(redis) = Redis::start() else { return };
    let upstream = upstream();
    let block = json!({"qos/ratelimit/router/redis": {"connection_name": "r", "max_rate": 50}});
    for count in [2, 3] {
        redis.ask(&["FLUSHALL"]);
        let nodes = nodes(count, &configuration(&upstream, redis.port, &json!({}), &block));
        let answers = load_for(&addresses(&nodes), 200, Duration::from_secs(6));
        assert!(answers.iter().all(|one| one.status == 200 || one.status == 503));
        for window in [100, 1000, 3000, 6000].map(Duration::from_millis) {
            let (most, bound) = (most_in(&answers, window), bound(count, window));
            println!("{count} nodes: at most {most} in {window:?}, {bound} may");
            assert!(most <= bound, "{count} nodes, {window:?}: {most} passed, {bound} may");
        }
        // When the first burst is paid back, the rate is kept, and used.
        let settled =
            answers.iter().position(|one| one.at > answers[0].at + Duration::from_secs(3));
        let rest = passed(&answers[settled.expect("six seconds")..]);
        println!("{count} nodes: {rest} in the last 3 s, 150 flowed in");
        let slack = 2 * count * 5 + count;
        assert!((150 - slack - 15..=150 + slack).contains(&rest), "{count} nodes: {rest} in 3 s");
    }
}

#[test]
fn clients_are_limited_over_all_nodes_and_named_by_sums() {
    let Some(redis) = Redis::start() else { return };
    let upstream = upstream();
    let block = json!({"qos/ratelimit/router/redis": {
        "connection_name": "r", "client_max_rate": 1, "every": "1h", "client_capacity": 5,
        "strategy": "header", "key": "X-Client",
    }});
    let nodes = nodes(2, &configuration(&upstream, redis.port, &json!({}), &block));
    let ask = |node: usize, client: &str| {
        let mut connection = Client::connect(nodes[node].address());
        connection.send("GET", "/x", &[("X-Client", client)], None).expect("sent");
        connection.read("GET").expect("an answer").status()
    };
    assert_eq!([ask(0, "jane"), ask(0, "jane"), ask(0, "jane")], [200; 3]);
    // The other node hears of it when it tells of its own first request.
    thread::sleep(INTERVAL * 3);
    assert_eq!(ask(1, "jane"), 200);
    thread::sleep(INTERVAL * 3);
    assert_eq!([ask(1, "jane"), ask(1, "jane"), ask(1, "jane")], [200, 429, 429]);
    thread::sleep(INTERVAL * 3);
    ask(0, "jane"); // may pass once before this node has heard of the last
    thread::sleep(INTERVAL * 3);
    assert_eq!(ask(0, "jane"), 429);
    assert_eq!(ask(0, "john"), 200);
    thread::sleep(INTERVAL * 3);
    let keys = redis.ask(&["KEYS", "*"]);
    assert_eq!(keys.matches(":rate:GET /x").count(), 2, "{keys}");
    assert!(!keys.contains("jane") && !keys.contains("john"), "{keys}");
    for key in keys.lines() {
        let ttl: i64 = redis.ask(&["TTL", key]).trim().parse().expect("a number");
        assert!(ttl > 0, "{key} would stay for ever");
    }
}

/// Runs load over two nodes through an outage, and gives what was answered before, in the midst of it, and at its end.
fn outage(
    allows: bool,
    begin: impl FnOnce(&mut Redis),
    end: impl FnOnce(&mut Redis),
) -> Option<[Vec<Answered>; 3]> {
    let mut redis = Redis::start()?;
    let upstream = upstream();
    let block = json!({"qos/ratelimit/router/redis": {
        "connection_name": "r", "max_rate": 50, "on_failure_allow": allows,
    }});
    let service = json!({"shoal/redis": {"grace": "500ms", "timeout": "300ms"}});
    let nodes = nodes(2, &configuration(&upstream, redis.port, &service, &block));
    let addresses = addresses(&nodes);
    let says = |text: &str| nodes.iter().all(|node| node.log().matches(text).count() == 1);
    let stop = AtomicBool::new(false);
    let (answers, times) = thread::scope(|scope| {
        let answers = scope.spawn(|| load(&addresses, 150, &stop));
        thread::sleep(Duration::from_secs(4));
        let away = Instant::now();
        begin(&mut redis);
        eventually("the loss is told", PATIENCE, || says("r does not answer"));
        let told = Instant::now();
        thread::sleep(Duration::from_secs(3));
        let back = Instant::now();
        end(&mut redis);
        eventually("the return is told", PATIENCE, || says("r answers again"));
        thread::sleep(Duration::from_secs(5));
        stop.store(true, Ordering::Relaxed);
        (answers.join().expect("lives"), [away, told, back, Instant::now()])
    });
    let [away, told, back, over] = times;
    let between = |from: Instant, to: Instant| -> Vec<Answered> {
        answers.iter().filter(|one| one.at >= from && one.at < to).copied().collect()
    };
    let settled = over.checked_sub(Duration::from_secs(2)).expect("long ago");
    assert!(answers.iter().all(|one| one.status == 200 || one.status == 503));
    // The first two seconds are the burst of two full buckets.
    let before = between(answers[0].at + Duration::from_secs(2), away);
    Some([before, between(told + Duration::from_millis(500), back), between(settled, over)])
}

/// Nobody waits for Redis: requests take what they took before, and none as long as an attempt to reach it.
fn assert_undisturbed(before: &[Answered], during: &[Answered]) {
    let (usual, now) = (percentile(before, 99), percentile(during, 99));
    let slowest = percentile(during, 100);
    println!("99 of 100 took {usual:?} before, {now:?} without Redis; the slowest {slowest:?}");
    assert!(now < usual * 3 + Duration::from_millis(20), "{usual:?} before, {now:?} without Redis");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

/// So many a second of two nodes.
fn rate(answers: &[Answered], seconds: f64) -> f64 {
    passed(answers) as f64 / seconds
}

fn assert_is_about(what: &str, rate: f64, wanted: f64) {
    println!("{what}: {rate:.1} a second, {wanted} wanted");
    assert!((rate - wanted).abs() <= wanted * 0.3, "{what}: {rate} a second instead of {wanted}");
}

fn seconds(answers: &[Answered]) -> f64 {
    let (first, last) = (answers.first().expect("some"), answers.last().expect("some"));
    last.at.duration_since(first.at).as_secs_f64()
}

#[test]
fn a_dead_redis_lets_each_node_limit_by_itself() {
    let Some([before, during, after]) = outage(true, Redis::kill, Redis::restart) else { return };
    assert_undisturbed(&before, &during);
    assert_is_about("with Redis", rate(&before, seconds(&before)), 50.0);
    assert_is_about("each node alone", rate(&during, seconds(&during)), 100.0);
    assert_is_about("together again", rate(&after, seconds(&after)), 50.0);
}

#[test]
fn a_dead_redis_shuts_what_must_not_go_on() {
    let Some([before, during, after]) = outage(false, Redis::kill, Redis::restart) else { return };
    assert_undisturbed(&before, &during);
    assert_eq!(passed(&during), 0);
    assert_is_about("together again", rate(&after, seconds(&after)), 50.0);
}

#[test]
fn a_redis_that_hangs_holds_nobody_up() {
    let begin = |redis: &mut Redis| redis.signal(Signal::Stop);
    let end = |redis: &mut Redis| redis.signal(Signal::Continue);
    let Some([before, during, after]) = outage(true, begin, end) else { return };
    assert_undisturbed(&before, &during);
    assert_is_about("each node alone", rate(&during, seconds(&during)), 100.0);
    assert_is_about("together again", rate(&after, seconds(&after)), 50.0);
}

#[test]
fn a_redis_that_was_never_there_does_not_hinder_the_start() {
    let upstream = upstream();
    let port = free_port();
    for (allows, wanted) in [(true, 200), (false, 503)] {
        let block = json!({"qos/ratelimit/router/redis": {
            "connection_name": "r", "max_rate": 1000, "on_failure_allow": allows,
        }});
        let config = configuration(&upstream, port, &json!({}), &block);
        let gateway = Gateway::start(config);
        assert_eq!(gateway.get("/x").status(), 200, "the time of grace");
        eventually("it is given up", PATIENCE, || gateway.log().contains("does not answer"));
        assert_eq!(gateway.get("/x").status(), wanted);
        assert_eq!(gateway.get("/__health").status(), 200);
    }
}

/// Two plans: gold by the header, bronze for all others.
fn plans(allows: bool) -> Value {
    json!({
        "governance/processors": {"quotas": [{
            "name": "plans", "connection_name": "r", "on_failure_allow": allows,
            "rules": [
                {"name": "gold", "limits": [{"amount": 6, "unit": "day"}, {"amount": 100, "unit": "year"}]},
                {"name": "bronze", "limits": [{"amount": 2, "unit": "month"}]},
            ],
        }]},
    })
}

fn attachment() -> Value {
    json!({"governance/quota": {
        "quota_name": "plans", "tier_key": "X-Plan",
        "tiers": [
            {"rule_name": "gold", "tier_value": "gold", "key": "X-User"},
            {"rule_name": "bronze", "tier_value_as": "*", "strategy": "ip"},
        ],
    }})
}

fn as_gold(gateway: &Gateway, user: &str) -> crate::harness::Response {
    let mut client = Client::connect(gateway.address());
    client.send("GET", "/x", &[("X-Plan", "gold"), ("X-User", user)], None).expect("sent");
    client.read("GET").expect("an answer")
}

#[test]
fn quotas_count_over_nodes_reloads_and_restarts() {
    let Some(redis) = Redis::start() else { return };
    let upstream = upstream();
    let config = configuration(&upstream, redis.port, &plans(false), &attachment());
    let mut both = nodes(2, &config);
    let first = as_gold(&both[0], "jane");
    assert_eq!((first.status(), first.header("x-quota-limit")), (200, Some("6")));
    assert_eq!(first.header("x-quota-remaining"), Some("5"));
    assert_eq!(as_gold(&both[0], "jane").header("x-quota-remaining"), Some("4"));
    thread::sleep(INTERVAL * 3);
    as_gold(&both[1], "jane");
    thread::sleep(INTERVAL * 3);
    let fourth = as_gold(&both[1], "jane");
    assert_eq!(fourth.header("x-quota-remaining"), Some("2"), "it has heard of the others");
    // A reload keeps what this node knows.
    let mut changed = config.clone();
    changed["endpoints"][0]["timeout"] = json!("3s");
    both[1].rewrite(&changed);
    both[1].hang_up();
    eventually("it is read again", PATIENCE, || both[1].log().contains("[SERVICE: Reload] the"));
    assert_eq!(as_gold(&both[1], "jane").header("x-quota-remaining"), Some("1"));
    // A node that ends tells the rest before.
    assert_eq!(as_gold(&both[1], "jane").header("x-quota-remaining"), Some("0"));
    let gone = both.pop().expect("two");
    process::signal(gone.pid(), Signal::Terminate);
    drop(gone);
    both.push(Gateway::start(config));
    let _ = as_gold(&both[1], "jane");
    thread::sleep(INTERVAL * 3);
    let refused = as_gold(&both[1], "jane");
    assert_eq!((refused.status(), refused.header("x-quota-remaining")), (429, Some("0")));
    let seconds: u64 = refused.header("retry-after").expect("told").parse().expect("a number");
    assert!((1..=86_400).contains(&seconds), "{seconds}");
    assert_eq!(as_gold(&both[1], "john").status(), 200, "somebody else's");
    // Of bronze there are two for an address.
    let bronze: Vec<u16> = (0..3).map(|_| get(both[0].address(), "/x").status()).collect();
    assert_eq!(bronze, [200, 200, 429]);
    let keys = || redis.ask(&["KEYS", "*:quota:plans:*"]);
    eventually("it is told", PATIENCE, || keys().contains(":bronze:127.0.0.1:month:"));
    assert!(keys().contains(":gold:jane:day:"), "{}", keys());
}

#[test]
fn quotas_say_who_is_refused_and_why() {
    let Some(redis) = Redis::start() else { return };
    let upstream = upstream();
    let mut quota = attachment();
    quota["governance/quota"]["tiers"].as_array_mut().expect("a list").pop();
    quota["governance/quota"]["disable_quota_headers"] = json!(true);
    let config = configuration(&upstream, redis.port, &plans(false), &quota);
    let gateway = Gateway::start(config.clone());
    assert_eq!(gateway.get("/x").status(), 400, "no tier");
    let silent = as_gold(&gateway, "jane");
    assert_eq!((silent.status(), silent.header("x-quota-limit")), (200, None));
    let mut open = config.clone();
    open["endpoints"][0]["extra_config"]["governance/quota"]["on_unmatched_tier_allow"] =
        json!(true);
    assert_eq!(Gateway::start(open).get("/x").status(), 200);
    // Weights: each answer is worth 40.
    let mut weighed = plans(false);
    weighed["governance/processors"]["quotas"][0]["rules"][0]["limits"] =
        json!([{"amount": 100, "unit": "hour"}]);
    let mut quota = attachment();
    quota["governance/quota"]["weight_key"] = json!("credits");
    let gateway = Gateway::start(configuration(&upstream, redis.port, &weighed, &quota));
    let left: Vec<_> = (0..3)
        .map(|_| as_gold(&gateway, "weighty").header("x-quota-remaining").map(str::to_owned))
        .collect();
    assert_eq!(left, ["60", "20", "0"].map(|left| Some(left.to_owned())));
    assert_eq!(as_gold(&gateway, "weighty").status(), 429);
    let of_redis = || redis.ask(&["KEYS", "*:gold:weighty:hour:*"]);
    eventually("it is told", PATIENCE, || of_redis().contains("weighty"));
    thread::sleep(INTERVAL * 3);
    assert_eq!(redis.ask(&["GET", of_redis().trim()]), "120\n");
}

/// The same quota at the service, at an endpoint and at a backend counts in one number.
#[test]
fn quotas_may_stand_anywhere() {
    let Some(redis) = Redis::start() else { return };
    let upstream = upstream();
    let mut at_service = plans(false);
    at_service["governance/quota"] = attachment()["governance/quota"].clone();
    let of_service = Gateway::start(configuration(&upstream, redis.port, &at_service, &json!({})));
    assert_eq!(as_gold(&of_service, "jane").header("x-quota-remaining"), Some("5"));
    thread::sleep(INTERVAL * 3);
    let mut config = configuration(&upstream, redis.port, &plans(false), &json!({}));
    config["endpoints"][0]["backend"][0]["extra_config"] = attachment();
    let of_backend = Gateway::start(config);
    let first = as_gold(&of_backend, "jane");
    assert_eq!((first.status(), first.header("x-quota-remaining")), (200, None));
    thread::sleep(INTERVAL * 3);
    let statuses: Vec<u16> = (0..6).map(|_| as_gold(&of_backend, "jane").status()).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 429, 429]);
    assert_eq!(upstream.requests(), 6);
    // In one chain a request counts at each of them.
    let both = Gateway::start(configuration(&upstream, redis.port, &at_service, &attachment()));
    assert_eq!(as_gold(&both, "john").header("x-quota-remaining"), Some("4"));
}

#[test]
fn quotas_without_redis_count_alone_and_tell_later_or_fail() {
    let Some(mut redis) = Redis::start() else { return };
    let upstream = upstream();
    let config = |allows| configuration(&upstream, redis.port, &plans(allows), &attachment());
    let (open, shut) = (Gateway::start(config(true)), Gateway::start(config(false)));
    assert_eq!((as_gold(&open, "jane").status(), as_gold(&shut, "john").status()), (200, 200));
    thread::sleep(INTERVAL * 3);
    redis.signal(Signal::Stop);
    for gateway in [&open, &shut] {
        eventually("it is given up", PATIENCE, || gateway.log().contains("does not answer"));
    }
    assert_eq!(as_gold(&shut, "john").status(), 500);
    let passed = (0..20).filter(|_| as_gold(&open, "jane").status() == 200).count();
    assert_eq!(passed, 5, "one was used before");
    redis.signal(Signal::Continue);
    eventually("it is back", PATIENCE, || open.log().contains("answers again"));
    let key = redis.ask(&["KEYS", "*:gold:jane:day:*"]);
    eventually("it is told, and once", PATIENCE, || redis.ask(&["GET", key.trim()]) == "6\n");
    thread::sleep(INTERVAL * 5);
    assert_eq!(redis.ask(&["GET", key.trim()]), "6\n");
    eventually("the other serves again", PATIENCE, || as_gold(&shut, "john").status() == 200);
    redis.kill();
}

#[test]
fn a_backend_is_called_as_often_as_all_nodes_may() {
    let Some(redis) = Redis::start() else { return };
    let upstream = upstream();
    let mut config = configuration(&upstream, redis.port, &json!({}), &json!({}));
    config["endpoints"][0]["backend"][0]["extra_config"] = json!({"qos/ratelimit/proxy/redis": {
        "connection_name": "r", "max_rate": 1, "every": "1h", "capacity": 4,
    }});
    let nodes = nodes(2, &config);
    assert_eq!([(); 3].map(|()| nodes[0].get("/x").status()), [200; 3]);
    thread::sleep(INTERVAL * 3);
    assert_eq!([(); 3].map(|()| nodes[1].get("/x").status()), [200, 500, 500]);
    assert_eq!(upstream.requests(), 4);
}

#[test]
fn connections_are_encrypted_and_log_in() {
    let Some(mut redis) = Redis::start() else { return };
    redis.kill();
    let (files, authority) = (Folder::new(), Authority::new("of Redis"));
    let server = authority.sign(&["localhost"], Use::Server);
    let client = authority.sign(&["gateway"], Use::Client);
    let ca = files.write("ca.pem", &authority.certificate);
    let (certificate, key) =
        (files.write("redis.pem", &server.certificate), files.write("redis.key", &server.key));
    let encrypted = free_port().to_string();
    let mut more = vec!["--tls-port", &encrypted, "--tls-cert-file", &certificate];
    more.extend(["--tls-key-file", &key, "--tls-ca-cert-file", &ca]);
    more.extend(["--user", "shoal", "on", ">secret", "~*", "&*", "+@all"]);
    redis.child = Redis::spawn(&redis.folder, redis.port, &more);
    redis.wait();
    let upstream = upstream();
    let block = json!({"qos/ratelimit/router/redis": {"connection_name": "r", "max_rate": 100}});
    let mut config = configuration(&upstream, redis.port, &json!({}), &block);
    let pool = |config: &mut Value, member: &str, value: Value| {
        config["extra_config"]["redis"]["connection_pools"][0][member] = value;
    };
    pool(&mut config, "address", json!(format!("localhost:{encrypted}")));
    pool(&mut config, "user_name", json!("shoal"));
    pool(&mut config, "password", json!("secret"));
    pool(&mut config, "client_name", json!("gateway-7"));
    pool(&mut config, "db", json!(3));
    let own = json!([{
        "certificate": files.write("own.pem", &client.certificate),
        "private_key": files.write("own.key", &client.key),
    }]);
    pool(&mut config, "tls", json!({"ca_certs": [ca], "client_certs": own}));
    let gateway = Gateway::start(config.clone());
    assert_eq!(gateway.get("/x").status(), 200);
    eventually("it has told", PATIENCE, || redis.ask(&["-n", "3", "KEYS", "*"]).contains(":rate:"));
    let clients = redis.ask(&["CLIENT", "LIST"]);
    assert!(clients.contains("name=gateway-7") && clients.contains("user=shoal"), "{clients}");
    drop(gateway);
    // An authority that nobody knows, then a wrong password.
    let mut unknown = config.clone();
    pool(&mut unknown, "tls", json!({"client_certs": own}));
    let mut stranger = config;
    pool(&mut stranger, "password", json!("guessed"));
    for (config, why) in [(unknown, "UnknownIssuer"), (stranger, "Password authentication failed")]
    {
        let gateway = Gateway::start(config);
        eventually("it is refused", PATIENCE, || gateway.log().contains(why));
        assert!(!gateway.log().contains("guessed") && !gateway.log().contains("secret"));
    }
}

#[test]
fn metrics_tell_how_the_exchange_goes() {
    let Some(mut redis) = Redis::start() else { return };
    let upstream = upstream();
    let page = free_port();
    let service = json!({
        "qos/ratelimit/service/redis": {"connection_name": "r", "max_rate": 1000},
        "telemetry/opentelemetry": {"exporters": {"prometheus": [{"name": "p", "port": page, "host": "127.0.0.1"}]}},
    });
    let gateway = Gateway::start(configuration(&upstream, redis.port, &service, &json!({})));
    let address = SocketAddr::from(([127, 0, 0, 1], page));
    let value = |name: &str| {
        let text = try_get(address, "/metrics").ok()?.text();
        let line = text.lines().find(|line| line.starts_with(name) && line.contains("\"r\""))?;
        line.rsplit_once(' ')?.1.parse::<f64>().ok()
    };
    eventually("it is connected", PATIENCE, || value("shoal_redis_connected") == Some(1.0));
    eventually("it exchanges", PATIENCE, || {
        value("shoal_redis_exchanges_total").is_some_and(|count| count > 5.0)
    });
    assert!(value("shoal_redis_exchange_age_milliseconds").is_some_and(|age| age < 1000.0));
    redis.kill();
    eventually("it is not", PATIENCE, || value("shoal_redis_connected") == Some(0.0));
    eventually("it fails", PATIENCE, || {
        value("shoal_redis_failures_total").is_some_and(|count| count > 1.0)
    });
    eventually("it grows old", PATIENCE, || {
        value("shoal_redis_exchange_age_milliseconds").is_some_and(|age| age > 1000.0)
    });
    assert_eq!(gateway.get("/x").status(), 503);
}
