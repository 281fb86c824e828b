//! Honest clients beside hostile ones: whoever behaves gets the right answer, in about the time it takes when all is calm,
//! and what the others leave behind is gone when they are.
//!
//! `SHOAL_HOSTILE_SECONDS` says how long the mixed load takes in all (60 unless told), shared by the drivers.
#![allow(unreachable_pub, reason = "the modules of a test program are private to it")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[allow(dead_code, unused_imports, reason = "each test program uses its own part of the harness")]
mod harness;

mod hostile {
    /// What hostile clients do.
    pub mod attacks;
    /// Honest clients, and how long they wait.
    pub mod honest;
    /// Ten thousand connections on which hardly anything comes.
    mod slow_connections;
    /// The gateway and the upstreams, one of them hostile.
    pub mod stage;
}

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use harness::Driver;
use hostile::attacks::{ATTACKS, Target};
use hostile::honest::Honest;
use hostile::stage::Stage;

/// Memory that may come on top of what it was after the first attack.
const GROWTH_KIB: u64 = 8 * 1024;
/// Calm and hostile phases follow each other so often: an odd number, for its middle.
const ROUNDS: u32 = 5;
/// The part of a round in which nothing hostile happens.
const CALM: f64 = 0.25;
/// What an attack has left behind is gone after this time, and the next phase begins.
const SETTLING: Duration = Duration::from_millis(500);

/// Tells the clients to stop, also where an attack has failed.
struct Ending<'s>(&'s AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Latencies are judged here: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Whether honest clients were served as fast as they must be; everything else is asserted.
fn under_attack(driver: Driver, duration: Duration) -> bool {
    let stage = Stage::start(driver);
    let gateway = &stage.gateway;
    let address = gateway.address();
    let honest = Honest::new(address, ROUNDS as usize * 2);
    let stop = AtomicBool::new(false);
    let counts: Vec<AtomicU64> = ATTACKS.iter().map(|_| AtomicU64::new(0)).collect();
    let round = duration / ROUNDS;
    let mut kib = Vec::new();
    thread::scope(|scope| {
        let clients = honest.start(scope, &stop);
        let _end = Ending(&stop);
        // The time itself is the subject here; a client that found something wrong has ended.
        let wait = |span: Duration| {
            let end = Instant::now() + span;
            while Instant::now() < end && !clients.iter().any(thread::ScopedJoinHandle::is_finished)
            {
                thread::sleep(Duration::from_millis(20));
            }
        };
        for number in 0..ROUNDS as usize {
            wait(SETTLING);
            honest.begin_phase(number * 2);
            wait(round.mul_f64(CALM));
            honest.end_phase();
            let attacks_end = AtomicBool::new(false);
            thread::scope(|attackers| {
                for (attack, count) in ATTACKS.iter().zip(&counts) {
                    let target = Target { address, stop: &attacks_end, count };
                    attackers.spawn(move || (attack.run)(&target));
                }
                honest.begin_phase(number * 2 + 1);
                wait(round.mul_f64(1.0 - CALM));
                honest.end_phase();
                kib.push(gateway.resident_kib());
                attacks_end.store(true, Ordering::Relaxed);
            });
        }
    });
    println!("{driver:?}: {}, {kib:?} KiB", honest.summary());
    for (attack, count) in ATTACKS.iter().zip(&counts) {
        let count = count.load(Ordering::Relaxed);
        println!("  {}: {count}", attack.name);
        assert!(count > 0, "nothing came of the attack {}", attack.name);
    }
    assert!(
        kib[kib.len() - 1] <= kib[0] + kib[0] / 5 + GROWTH_KIB,
        "{kib:?} KiB after each attack"
    );
    stage.expect_nothing_left();
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
    honest.is_fast()
}

#[test]
fn honest_clients_hardly_notice_hostile_ones() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let seconds = std::env::var("SHOAL_HOSTILE_SECONDS").map_or(60, |text| text.parse().unwrap());
    harness::process::allow_descriptors(8_192);
    let drivers = Driver::available();
    let share = Duration::from_secs(seconds) / u32::try_from(drivers.len()).unwrap();
    for driver in drivers {
        // The machine may be shared with others: what is slow must be slow twice.
        let is_fast = under_attack(driver, share) || under_attack(driver, share);
        assert!(is_fast, "honest clients wait too long, see above");
    }
}
