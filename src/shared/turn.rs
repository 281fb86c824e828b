//! `Turn`: of several tasks that could do the same, the one that came last does it.

use std::sync::atomic::{AtomicU64, Ordering};

/// One for each thing that is to be done, kept from plan to plan.
#[derive(Debug, Default)]
pub struct Turn(AtomicU64);

impl Turn {
    /// A number that is higher than all before it; who has the highest has the turn.
    pub fn take(&self) -> u64 {
        self.0.fetch_add(1, Ordering::AcqRel) + 1
    }

    pub fn is(&self, number: u64) -> bool {
        self.0.load(Ordering::Acquire) == number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_came_last_has_the_turn() {
        let turn = Turn::default();
        let (first, second) = (turn.take(), turn.take());
        assert!(!turn.is(first) && turn.is(second));
    }
}
