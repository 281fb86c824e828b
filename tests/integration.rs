//! The whole binary against scripted upstreams: one test program, a module a subject.
#![allow(unreachable_pub, reason = "the modules of a test program are private to it")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[allow(dead_code, unused_imports, reason = "each test program uses its own part of the harness")]
mod harness;

mod integration {
    /// Several backends, one answer.
    mod aggregation;
    /// Slow readers on either side stop the sender, and cost no memory.
    mod back_pressure;
    /// Bounds of heads, bodies, documents and queues, and what is counted there.
    mod bounds;
    /// The other commands, and the service manager.
    mod commands;
    /// The same walk on io_uring and on epoll.
    mod drivers;
    /// Upstreams that break off, lie or talk rubbish.
    mod faults;
    /// Where backends are: names, dead hosts, IPv6.
    mod hosts;
    /// Answers of upstreams that are kept.
    mod http_cache;
    /// JSONTestSuite through endpoints that decode.
    mod json_suite;
    /// Several requests on one connection.
    mod keep_alive;
    /// Bounds of connections, requests, dials and descriptors.
    mod limits;
    /// Configurations compared with schemas.
    mod lint;
    /// Where log lines go and how they look.
    mod logs;
    /// What the gateway weighs.
    mod memory;
    /// Bodies of every size and framing pass untouched.
    mod passthrough;
    /// Connections to upstreams are used again, and stale ones harm nobody.
    mod pool;
    /// Limits of rates, over all cores.
    mod rate_limits;
    /// A changed configuration is taken up, and nobody notices.
    mod reload;
    /// Hosts that fail: retries, ejections, health checks.
    mod resilience;
    /// CORS, hosts and bots around everything.
    mod security;
    /// Limits and quotas that several nodes keep together.
    mod shared_limits;
    /// The end: drain, bounds, a second signal.
    mod shutdown;
    /// One request in is one request out.
    mod smuggling;
    /// The start: the demo, and configurations that are refused.
    mod startup;
    /// Statistics, and the collectors that get them.
    mod statistics;
    /// What a node shows of itself.
    mod status_page;
    /// A new program takes over from a running one.
    mod takeover;
    /// Traces and metrics as collectors and Prometheus see them.
    mod telemetry_otel;
    /// Deadlines of endpoints and of idle or slow clients.
    mod timeouts;
    /// Encrypted connections, to clients and to upstreams.
    mod tls;
    /// Tokens, and the servers that keys and tokens come from.
    mod tokens;
    /// Bodies of requests: streamed, answered early, announced by Expect.
    mod uploads;
    /// Project Wycheproof's vectors for signed tokens and their keys.
    mod wycheproof;
}
