//! `Readiness`: whether balancers may send this node new requests.

use std::sync::atomic::{AtomicBool, Ordering};

/// One for the process, whatever plan it runs. Red until the cores serve, and from the order to stop on.
#[derive(Debug, Default)]
pub struct Readiness(AtomicBool);

impl Readiness {
    pub fn set(&self, is_ready: bool) {
        self.0.store(is_ready, Ordering::Release);
    }

    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
