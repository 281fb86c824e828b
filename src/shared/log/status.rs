//! What became of an output's lines, for its own thread, the other outputs and the metrics.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

pub(super) struct Status {
    name: Box<str>,
    /// Lines that were not written, since the start.
    lost: AtomicU64,
    /// Its last failure; `None`: it is only slow.
    failure: Mutex<Option<Box<str>>>,
}

/// Lines that an output has lost, as the log shows it.
pub(super) struct Losses<'s>(pub u64, pub &'s Status);

// === impl Status ===

impl Status {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.into(), lost: AtomicU64::new(0), failure: Mutex::default() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(super) fn count_lost(&self, lines: usize) {
        self.lost.fetch_add(lines as u64, Ordering::Relaxed);
    }

    pub(super) fn set_failure(&self, failure: Option<String>) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure.map(Into::into);
    }
}

impl fmt::Display for Losses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Losses(count, status) = self;
        let failure = status.failure.lock().unwrap_or_else(PoisonError::into_inner);
        match &*failure {
            None => write!(f, "{count} lines dropped, the output is too slow: {}", status.name),
            Some(why) => {
                write!(f, "{count} lines dropped, the output fails: {}: {why}", status.name)
            }
        }
    }
}
