//! Waiting for a condition instead of for a time.

use std::time::{Duration, Instant};

/// How long between two looks at the condition.
const PAUSE: Duration = Duration::from_millis(2);

/// Waits until `condition` holds; fails the test with `what` after `limit`.
#[track_caller]
pub fn eventually(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    eventually_some(what, limit, || condition().then_some(()));
}

/// Waits until `look` finds something; fails the test with `what` after `limit`.
#[track_caller]
pub fn eventually_some<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "not within {limit:?}: {what}");
        std::thread::sleep(PAUSE);
    }
}

/// Waits until `number` has not changed for `quiet`, and returns it: a transfer has come to a halt.
pub fn settled(quiet: Duration, mut number: impl FnMut() -> u64) -> u64 {
    let (mut last, mut since) = (number(), Instant::now());
    while since.elapsed() < quiet {
        std::thread::sleep(PAUSE);
        let now = number();
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    last
}
