//! `Link`: whether a store that several nodes share can be reached, as the cores are told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Begins as reachable. Clones are the same link.
#[derive(Clone, Debug, Default)]
pub struct Link(Arc<AtomicBool>);

impl Link {
    /// The store has not answered for longer than is borne.
    #[inline]
    pub fn is_lost(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Gives what it was before.
    pub fn set_lost(&self, is_lost: bool) -> bool {
        self.0.swap(is_lost, Ordering::Relaxed)
    }
}
