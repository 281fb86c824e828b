//! `Board`: the breakers of a plan, by name, for whoever shows their states.

use std::sync::{Mutex, PoisonError};

use super::breaker::{Breaker, State};

/// One for each plan. Written while the plan is compiled, read by the control side.
#[derive(Default)]
pub struct Board(Mutex<Vec<(String, Breaker)>>);

impl Board {
    pub fn add(&self, name: String, breaker: Breaker) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((name, breaker));
    }

    /// All of them as they stand, in the order in which they were added.
    pub fn states(&self, now_ms: u64) -> Vec<(String, State)> {
        let breakers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        breakers.iter().map(|(name, breaker)| (name.clone(), breaker.state(now_ms))).collect()
    }
}
