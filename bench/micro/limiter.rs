//! Cost of one look at a rate limit and at a circuit breaker, and the memory that a flood of clients takes.
#![allow(unsafe_code, reason = "an allocator that counts cannot be written without")]

#[allow(dead_code, reason = "each benchmark uses its own part")]
mod counting;

use std::hint::black_box;
use std::time::Instant;

use shoal::net::clock;
use shoal::shared::breaker::{Breaker, Rules, Verdict};
use shoal::shared::client_buckets::ClientBuckets;
use shoal::shared::tally::{Rate, TokenBucket};

const CALLS: u32 = 100;
const CLIENTS_MAX: usize = 131_072;
const IDLE_NS: u64 = 600_000_000_000;
const FLOOD: u64 = 1_000_000;

fn main() {
    counting::title();
    let bucket = TokenBucket::new(Rate::new(1e9, 1_000_000), clock::monotonic_ns());
    each("one bucket, let through", &mut || assert!(bucket.take(clock::monotonic_ns())));
    let empty = TokenBucket::new(Rate::new(1e-9, 1), 0);
    empty.take(0);
    each("one bucket, refused", &mut || assert!(!empty.take(black_box(5))));
    let breaker = Breaker::new(Rules { errors_max: 3, interval_ms: 0, timeout_ms: 1000 }, 0);
    each("a breaker, closed", &mut || {
        let entry = breaker.enter(clock::now().as_ms()).0.expect("it is closed");
        breaker.leave(entry, Verdict::Success, clock::now().as_ms());
    });

    let clients = ClientBuckets::new(Rate::new(1e9, 1_000_000), CLIENTS_MAX, IDLE_NS);
    each("one client, known", &mut || {
        assert!(clients.take(black_box(b"203.0.113.44"), clock::monotonic_ns()));
    });
    flood();
}

fn each(name: &str, call: &mut dyn FnMut()) {
    counting::measure(name, CALLS, 0.0, &mut || (0..CALLS).for_each(|_| call()));
}

/// A million clients, each of them new.
fn flood() {
    let clients = ClientBuckets::new(Rate::new(1.0, 1), CLIENTS_MAX, IDLE_NS);
    let before = resident_bytes();
    let begin = Instant::now();
    for client in 0..FLOOD {
        assert!(clients.take(&client.to_le_bytes(), clock::monotonic_ns()));
    }
    let ns = begin.elapsed().as_secs_f64() * 1e9 / FLOOD as f64;
    println!("{:<44} {ns:>10.1}", "one client of a million, new");
    let (bytes, bound) = (clients.bytes(), ClientBuckets::bytes_max(CLIENTS_MAX));
    let grown = resident_bytes().saturating_sub(before);
    println!("memory: {bytes} bytes of at most {bound}; the process grew by {grown}");
    assert!(bytes <= bound, "the table keeps its bound");
    assert!(grown <= bound * 2, "and so does what the allocator makes of it");
}

fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux tells");
    let pages = text.split_whitespace().nth(1).expect("a second number");
    pages.parse::<usize>().expect("a number") * 4096
}
