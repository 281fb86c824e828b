use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;

use super::stage::document;
use crate::harness::{Client, ClientError, Response, pattern};

const CLIENTS: u64 = 4;
/// Between two requests of one client: they measure how long an answer takes, not how many there can be.
const PAUSE: Duration = Duration::from_millis(4);
/// Slower than in calm times, at most.
const SLOWER_MAX: u32 = 3;
/// What calm times are never better than, for the comparison: below this, the machine's scheduler is what is measured.
const CALM_LEAST: Duration = Duration::from_millis(2);
const ANSWERS_MIN: usize = 200;

/// What an answer belongs to that is waited for between two phases.
const NO_PHASE: usize = usize::MAX;

/// Clients that check every answer and note how long it took, by phases: calm ones are even, those under attack odd.
pub struct Honest {
    address: SocketAddr,
    phase: AtomicUsize,
    waits: Vec<Mutex<Vec<Duration>>>,
}

impl Honest {
    pub fn new(address: SocketAddr, phases: usize) -> Self {
        let waits = (0..phases).map(|_| Mutex::default()).collect();
        Self { address, phase: AtomicUsize::new(NO_PHASE), waits }
    }

    pub fn start<'s>(
        &'s self,
        scope: &'s Scope<'s, '_>,
        stop: &'s AtomicBool,
    ) -> Vec<ScopedJoinHandle<'s, ()>> {
        (0..CLIENTS).map(|number| scope.spawn(move || self.run(number, stop))).collect()
    }

    /// What is measured from now on belongs to this phase.
    pub fn begin_phase(&self, phase: usize) {
        self.phase.store(phase, Ordering::Relaxed);
    }

    pub fn end_phase(&self) {
        self.phase.store(NO_PHASE, Ordering::Relaxed);
    }

    fn run(&self, client_number: u64, stop: &AtomicBool) {
        let mut client = Client::connect(self.address);
        let mut number = client_number << 32;
        while !stop.load(Ordering::Relaxed) {
            number += 1;
            if number.is_multiple_of(50) {
                client = Client::connect(self.address);
            }
            let phase = self.phase.load(Ordering::Relaxed);
            let begin = Instant::now();
            ask(&mut client, number);
            // An answer that began in one phase and ended in another belongs to neither.
            if let Some(waits) = self.waits.get(phase)
                && phase == self.phase.load(Ordering::Relaxed)
            {
                waits.lock().unwrap().push(begin.elapsed());
            }
            thread::sleep(PAUSE);
        }
    }

    /// The 99th percentile of each phase of a kind, the smallest first.
    fn p99s(&self, kind: usize) -> Vec<Duration> {
        let of_kind = self.waits.iter().skip(kind).step_by(2);
        let mut p99s: Vec<Duration> = of_kind
            .map(|waits| {
                let mut waits = waits.lock().unwrap();
                assert!(waits.len() >= ANSWERS_MIN, "{} answers in a phase", waits.len());
                waits.sort_unstable();
                waits[waits.len() * 99 / 100]
            })
            .collect();
        p99s.sort_unstable();
        p99s
    }

    pub fn summary(&self) -> String {
        let [calm, hostile] = [self.p99s(0), self.p99s(1)];
        let count: usize = self.waits.iter().map(|waits| waits.lock().unwrap().len()).sum();
        format!(
            "{count} answers, p99 of each phase {calm:.1?} when calm, {hostile:.1?} under attack"
        )
    }

    /// Whether the attacks slowed them down no more than they may: the medians of the phases are compared, so that what
    /// else the machine does in one of them does not count.
    pub fn is_fast(&self) -> bool {
        let [calm, hostile] = [self.p99s(0), self.p99s(1)];
        hostile[hostile.len() / 2] <= calm[calm.len() / 2].max(CALM_LEAST) * SLOWER_MAX
    }
}

/// One request, and its whole answer to the letter.
fn ask(client: &mut Client, number: u64) {
    let answer = match number % 8 {
        0 => {
            let body = pattern::bytes(usize::try_from(number % 50_000).unwrap());
            let sent = client.send("POST", &format!("/up/{number}"), &[], Some(&body));
            let response = whole(sent.and_then(|()| client.read("POST")), number);
            assert_eq!(response.text(), format!("{} None", body.len()), "upload {number}");
            response
        }
        1..=3 => {
            let response = whole(client.get(&format!("/raw/{number}")), number);
            assert_eq!(response.json(), document(number));
            response
        }
        4 | 5 => {
            let response = whole(client.get(&format!("/decoded/{number}")), number);
            assert_eq!(response.json(), document(number));
            assert!(response.is_completed());
            response
        }
        _ => {
            let response = whole(client.get(&format!("/merged/{number}")), number);
            assert_eq!(response.json(), json!({"one": document(number), "two": document(number)}));
            response
        }
    };
    assert_eq!(answer.status(), 200);
}

fn whole(answer: Result<Response, ClientError>, number: u64) -> Response {
    answer.unwrap_or_else(|error| panic!("request {number} was not answered: {error}"))
}
