use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Driver, Gateway, Reply, Upstream, process};

/// The gateway, an upstream that does as it should, and one that does not.
pub struct Stage {
    pub gateway: Gateway,
    descriptors_at_start: usize,
    sockets_at_start: usize,
    _good: Upstream,
    _bad: Upstream,
}

/// See `net/splice.rs`.
const PIPES_KEPT_PER_CORE: usize = 64;

/// What the bad upstream does; every one of them is asked for by hostile clients.
pub const MISDEEDS: [&str; 9] = [
    "truncated",
    "cut-chunks",
    "reset",
    "garbage",
    "nothing",
    "endless-head",
    "chunk-flood",
    "silent",
    "surplus",
];

/// The good upstream's answer about `number`.
pub fn document(number: u64) -> Value {
    let length = usize::try_from(100 + number % 29 * 150).unwrap();
    json!({"number": number, "filler": format!("{number:x}").repeat(length / 4 + 1)})
}

impl Stage {
    pub fn start(driver: Driver) -> Self {
        Self::start_with(
            driver,
            json!({
                "read_header_timeout": "2s", "read_timeout": "4s", "write_timeout": "4s", "idle_timeout": "3s",
            }),
        )
    }

    /// With further settings of the service.
    pub fn start_with(driver: Driver, settings: Value) -> Self {
        let (good, bad) = (good_upstream(), bad_upstream());
        let raw = |method: &str, endpoint: &str, host: &Upstream, path: &str| {
            json!({"endpoint": endpoint, "method": method, "output_encoding": "no-op", "input_headers": ["*"],
                   "backend": [{"host": [host.url()], "url_pattern": path, "encoding": "no-op"}]})
        };
        let part = |host: &Upstream, path: &str, group: &str| json!({"host": [host.url()], "url_pattern": path, "group": group});
        let mut config = json!({
            "timeout": "3s", "idle_connection_timeout": "1s",
            "extra_config": {"router": {"disable_access_log": true}},
            "endpoints": [
                raw("GET", "/raw/{n}", &good, "/plain/{n}"),
                raw("POST", "/up/{n}", &good, "/up/{n}"),
                raw("GET", "/large", &good, "/large"),
                raw("POST", "/bad-up", &bad, "/silent"),
                raw("GET", "/bad/{how}", &bad, "/{how}"),
                {"endpoint": "/decoded/{n}", "backend": [{"host": [good.url()], "url_pattern": "/plain/{n}"}]},
                {"endpoint": "/merged/{n}",
                 "backend": [part(&good, "/plain/{n}", "one"), part(&good, "/plain/{n}", "two")]},
                {"endpoint": "/bad-decoded/{how}",
                 "backend": [part(&good, "/plain/1", "sure"), part(&bad, "/{how}", "other")]},
            ]
        });
        config.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let gateway = Gateway::with(config).driver(driver).start();
        gateway.wait_until_ready();
        let (descriptors_at_start, sockets_at_start) = (gateway.descriptors(), gateway.sockets());
        Self { gateway, descriptors_at_start, sockets_at_start, _good: good, _bad: bad }
    }

    /// Waits until nothing is left of what was opened, but a bounded number of pipes that are kept for later.
    pub fn expect_nothing_left(&self) {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let pipes = cores * PIPES_KEPT_PER_CORE * 2;
        let left = || {
            (
                self.gateway.sockets().saturating_sub(self.sockets_at_start),
                self.gateway.descriptors().saturating_sub(self.descriptors_at_start),
            )
        };
        let end = Instant::now() + Duration::from_secs(20);
        while left().0 > 0 || left().1 > pipes {
            assert!(
                Instant::now() < end,
                "{:?} sockets and descriptors are left open: {:#?}",
                left(),
                process::tcp_sockets(self.gateway.pid())
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn good_upstream() -> Upstream {
    let upstream = Upstream::start();
    upstream.forget_requests();
    upstream.on_each("*", |seen, _| {
        let number = seen.path().rsplit('/').next().and_then(|number| number.parse().ok());
        if seen.path().starts_with("/up/") {
            return Reply::text(&format!("{} {:?}", seen.check.len, seen.check.differs_at));
        }
        number.map_or_else(Reply::nothing, |number| {
            let reply = Reply::json(document(number));
            if number.is_multiple_of(4) { reply.chunked(97) } else { reply }
        })
    });
    upstream.on("/large", Reply::pattern(4 << 20));
    upstream
}

fn bad_upstream() -> Upstream {
    let upstream = Upstream::start();
    upstream.forget_requests();
    let sound = || Reply::json(document(7));
    upstream.on("/truncated", sound().cut_after(100));
    upstream.on("/cut-chunks", sound().chunked(50).cut_after(100));
    upstream.on("/reset", sound().cut_after(100).reset());
    upstream.on(
        "/garbage",
        Reply::raw(b"\x15\x03\x01\x00\x02\x02\x46 this is not HTTP\r\n\r\n").close(),
    );
    upstream.on("/nothing", Reply::nothing());
    let endless = ["HTTP/1.1 200 OK\r\n", &"X-More: and more of it\r\n".repeat(60_000)].concat();
    upstream.on("/endless-head", Reply::raw(endless.as_bytes()));
    upstream.on("/chunk-flood", Reply::pattern(60_000).chunked(1).cut_after(60_000));
    upstream.on("/silent", sound().delay(Duration::from_secs(5)));
    upstream.on(
        "/surplus",
        Reply::raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"),
    );
    upstream
}
