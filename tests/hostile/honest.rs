use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
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

/// Clients that check every answer and note how long it took.
pub struct Honest {
    address: SocketAddr,
    is_hostile_part: AtomicBool,
    /// In calm times, and in others.
    waits: [Mutex<Vec<Duration>>; 2],
}

impl Honest {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, is_hostile_part: AtomicBool::new(false), waits: Default::default() }
    }

    pub fn start<'s>(
        &'s self,
        scope: &'s Scope<'s, '_>,
        stop: &'s AtomicBool,
    ) -> Vec<ScopedJoinHandle<'s, ()>> {
        (0..CLIENTS).map(|number| scope.spawn(move || self.run(number, stop))).collect()
    }

    /// What is measured from now on counts as under attack.
    pub fn begin_hostile_part(&self) {
        self.is_hostile_part.store(true, Ordering::Relaxed);
    }

    fn run(&self, client_number: u64, stop: &AtomicBool) {
        let mut client = Client::connect(self.address);
        let mut number = client_number << 32;
        while !stop.load(Ordering::Relaxed) {
            number += 1;
            if number.is_multiple_of(50) {
                client = Client::connect(self.address);
            }
            let part = usize::from(self.is_hostile_part.load(Ordering::Relaxed));
            let begin = Instant::now();
            ask(&mut client, number);
            // An answer that began before the attack and ended in it belongs to neither.
            if part == usize::from(self.is_hostile_part.load(Ordering::Relaxed)) {
                self.waits[part].lock().unwrap().push(begin.elapsed());
            }
            thread::sleep(PAUSE);
        }
    }

    fn p99(&self, part: usize) -> (Duration, usize) {
        let mut waits = self.waits[part].lock().unwrap();
        waits.sort_unstable();
        let at = waits.len() * 99 / 100;
        (waits.get(at).copied().unwrap_or_default(), waits.len())
    }

    pub fn summary(&self) -> String {
        let [(calm, calm_count), (hostile, count)] = [self.p99(0), self.p99(1)];
        format!("p99 {calm:.1?} of {calm_count} when calm, {hostile:.1?} of {count} under attack")
    }

    /// Whether the attack slowed them down no more than it may.
    pub fn is_fast(&self) -> bool {
        let [(calm, calm_count), (hostile, count)] = [self.p99(0), self.p99(1)];
        assert!(calm_count >= ANSWERS_MIN && count >= ANSWERS_MIN, "hardly any answers");
        hostile <= calm.max(CALM_LEAST) * SLOWER_MAX
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
