//! What the log costs the core that writes to it: a line, a line below the level, and the record of one request.
#![allow(unsafe_code, reason = "an allocator that counts cannot be written without")]

#[allow(dead_code, reason = "each benchmark uses its own part")]
mod counting;

use std::hint::black_box;
use std::io;
use std::time::{Duration, SystemTime};

use shoal::shared::log::{AccessRecord, Gin, Level, Log, LogSettings, Output, Plain, Plainly};

/// Few enough to fit into the queue; the writer empties it between two rounds.
const CALLS: u32 = 64;

fn main() {
    counting::title();
    for (name, outputs) in [("off", 0), ("on, one output", 1), ("on, two outputs", 2)] {
        let outputs = (0..outputs).map(|_| Output {
            name: "sink",
            lines: Some(Box::new(Plain { prefix: "KRAKEND" })),
            access: Some(Box::new(Gin)),
            device: Box::new(Plainly(io::sink())),
        });
        let settings = LogSettings {
            level: Level::Info,
            outputs: outputs.collect(),
            access_fields: Vec::new(),
        };
        let (log, writer) = Log::start(settings).expect("threads");
        each(&format!("a request's record, {name}"), &mut || {
            if log.has_access() {
                log.access(record());
            }
        });
        each(&format!("a line that is shown, {name}"), &mut || {
            log.error(format_args!("[ENDPOINT: /bad] invalid status code {}", black_box(503)));
        });
        each(&format!("a line below the level, {name}"), &mut || {
            log.debug(format_args!("[ENDPOINT: /bad] {}", black_box(503)));
        });
        let lost: u64 = log.lost_lines().map(|(_, lost)| lost).sum();
        println!("{:<44} {lost:>10}", "lines that the queue had no room for");
        assert!(writer.stop(Duration::from_secs(5)));
    }
}

fn record() -> AccessRecord {
    AccessRecord {
        at: SystemTime::now(),
        latency: Duration::from_micros(250),
        status: 200,
        client: b"203.0.113.44".as_slice().into(),
        method: b"GET".as_slice().into(),
        path: black_box(b"/item/5?x=1".as_slice()).into(),
        errors: Box::default(),
        fields: Box::default(),
    }
}

fn each(name: &str, call: &mut dyn FnMut()) {
    counting::measure(name, CALLS, f64::INFINITY, &mut || (0..CALLS).for_each(|_| call()));
}
