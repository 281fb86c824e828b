//! How often a core asks for memory while it answers one request, held to the ceilings of `kinds.rs`, which only go down.
//!
//! The numbers are those of the test profile, which this program is built with; a release build allocates as often or
//! less. `ALLOCATION_PLACES=1 cargo test --test allocations` prints for each row where the memory was asked for.
#![allow(unsafe_code, reason = "an allocator that counts cannot be written without")]
#![allow(unreachable_pub, reason = "the modules of a test program are private to it")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod allocations {
    pub mod core;
    pub mod counting;
    pub mod kinds;
    pub mod peers;
    pub mod places;
}

use std::net::SocketAddr;
use std::process::{Command, ExitCode};

use allocations::kinds::{self, Row};
use allocations::peers::{Client, start_upstream};
use allocations::{core, counting, places};
use shoal::net::driver::{self, Choice};

/// Until pools, buffers and the runtime's tables have their size.
const WARM_UP: u32 = 200;
/// The smallest of so many batches counts: the others met a timer, or a table that grew.
const BATCHES: u32 = 20;
const BATCH: u32 = 50;

/// Allocations for one request and their bytes: those of the best batch, rounded.
fn measured(row: &Row, address: SocketAddr) -> (u64, u64) {
    let request = row.bytes();
    let mut client = Client::connect(address);
    let mut ask = || {
        let (status, body) = client.ask(&request);
        let text = String::from_utf8_lossy(&body);
        let is_right =
            status == row.status && text.contains(row.body.0) && text.len() >= row.body.1;
        assert!(is_right, "{}: {status} {text}", row.name);
    };
    (0..WARM_UP).for_each(|_| ask());
    let batch = |_| {
        let (count, bytes) = counting::totals();
        (0..BATCH).for_each(|_| ask());
        let (count_after, bytes_after) = counting::totals();
        (count_after - count, bytes_after - bytes)
    };
    let (count, bytes) = (0..BATCHES).map(batch).min().expect("there are batches");
    let each = |total: u64| (total + u64::from(BATCH) / 2) / u64::from(BATCH);
    (each(count), each(bytes))
}

/// Prints where the requests of a row allocate.
fn print_places(row: &Row, address: SocketAddr) {
    let mut client = Client::connect(address);
    let request = row.bytes();
    (0..WARM_UP).for_each(|_| _ = client.ask(&request));
    counting::take_places();
    counting::note_places(true);
    (0..BATCH).for_each(|_| _ = client.ask(&request));
    counting::note_places(false);
    println!("\n### {}", row.name);
    places::print(counting::take_places(), BATCH);
}

/// Measures all rows on the driver that is settled; what differs from the table.
fn measure(driver: &str) -> Vec<String> {
    let rows = kinds::rows();
    let upstream = start_upstream(&kinds::upstream_bodies());
    let mut wrong = Vec::new();
    core::while_serving(&kinds::configuration(upstream), |address| {
        println!("\nallocations of one request, {driver}");
        println!("{:<30} {:>8} {:>8} {:>8}", "", "count", "ceiling", "bytes");
        for row in &rows {
            let (name, ceiling) = (row.name, row.ceiling);
            let (count, bytes) = measured(row, address);
            println!("{name:<30} {count:>8} {ceiling:>8} {bytes:>8}");
            if count > ceiling {
                wrong.push(format!("{name}: {count} allocations, {ceiling} are allowed"));
            } else if count + 1 < ceiling {
                wrong
                    .push(format!("{name}: only {count} allocations: lower the ceiling {ceiling}"));
            }
        }
        if std::env::var_os("ALLOCATION_PLACES").is_some() {
            for row in &rows {
                print_places(row, address);
            }
        }
    });
    wrong
}

/// A process has one driver, so each driver has a process: this program again, told which one.
fn main() -> ExitCode {
    const ROLE: &str = "ALLOCATIONS_ON";
    let drivers = [("io_uring", Choice::Uring), ("epoll", Choice::Epoll)];
    if let Ok(name) = std::env::var(ROLE) {
        let (_, choice) =
            drivers.into_iter().find(|(driver, _)| *driver == name).expect("a driver");
        if let Err(error) = driver::settle(choice) {
            println!("\nallocations, {name}: not measured, it is not available here ({error})");
            return ExitCode::SUCCESS;
        }
        let wrong = measure(&name);
        for line in &wrong {
            println!("{name}: {line}");
        }
        return if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let program = std::env::current_exe().unwrap();
    let run = |name: &str| Command::new(&program).env(ROLE, name).status().unwrap().success();
    let results = drivers.map(|(name, _)| run(name));
    if results.iter().all(|is_right| *is_right) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
