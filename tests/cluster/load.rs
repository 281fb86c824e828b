//! Clients with and without kept connections, at a steady pace, who remember every answer that was not the right one.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::lab::{BODY, balancer};
use crate::harness::Client;

/// Clients at a time. Half of them keep their connections.
pub const CLIENTS: usize = 16;
/// Of all clients together.
const REQUESTS_PER_SECOND: u64 = 2_400;
/// After a failure a client waits, as clients do.
const BACKOFF: Duration = Duration::from_millis(200);
/// No request may take longer, or it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
pub struct Load {
    is_over: AtomicBool,
    pub made: AtomicU64,
    pub longest_ms: AtomicU64,
    failures: Mutex<Vec<String>>,
}

impl Load {
    /// Sends requests while `work` runs, and until there were `at_least` of them.
    pub fn during(at_least: u64, work: impl FnOnce(&Load)) -> Load {
        let load = Load::default();
        thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS as u64)
                .map(|number| {
                    scope.spawn({
                        let load = &load;
                        move || load.client(number)
                    })
                })
                .collect();
            work(&load);
            while load.made.load(Ordering::Relaxed) < at_least {
                thread::sleep(Duration::from_millis(20));
            }
            load.is_over.store(true, Ordering::Relaxed);
            for client in clients {
                client.join().expect("a client counts, it does not panic");
            }
        });
        load
    }

    fn client(&self, number: u64) {
        let keeps = number.is_multiple_of(2);
        let pace = Duration::from_micros(1_000_000 * CLIENTS as u64 / REQUESTS_PER_SECOND);
        let mut due = Instant::now() + pace.mul_f64(number as f64 / CLIENTS as f64);
        let mut kept: Option<Client> = None;
        while !self.is_over.load(Ordering::Relaxed) {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            due = (due + pace).max(Instant::now().checked_sub(pace * 20).unwrap());
            let began = Instant::now();
            if let Err(why) = ask(&mut kept) {
                kept = None;
                thread::sleep(BACKOFF);
                self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(why);
            }
            if !keeps {
                kept = None;
            }
            let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.longest_ms.fetch_max(took, Ordering::Relaxed);
            self.made.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn failures(&self) -> Vec<String> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One request, on the kept connection where there is one.
fn ask(kept: &mut Option<Client>) -> Result<(), String> {
    let mut client = match kept.take() {
        Some(client) => client,
        None => Client::open(balancer()).map_err(|error| format!("connecting: {error:?}"))?,
    };
    client.set_patience(PATIENCE);
    let answer = client.get("/answer").map_err(|error| format!("{error:?}"))?;
    if answer.status() != 200 || answer.body != BODY.as_bytes() {
        return Err(format!("status {}: {}", answer.status(), answer.text()));
    }
    *kept = (!answer.head.closes()).then_some(client);
    Ok(())
}
