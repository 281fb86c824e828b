//! `Limits`: how long a script may run and how much it may hold, whatever it does.

use std::cell::Cell;

use crate::stage::clock::{self, Tick};

/// What all scripts of one interpreter may hold at a time.
pub const MEMORY_BYTES_MAX: usize = 128 * 1024 * 1024;
/// What the luaTables and luaLists of one call may hold.
pub const DATA_BYTES_MAX: usize = 256 * 1024 * 1024;
/// A part of a script may take so long, even where the call has longer: meanwhile its core does nothing else.
pub const RUN_MS_MAX: u64 = 2_000;
/// So many instructions are run between two looks at the clock: well below a millisecond.
pub const INSTRUCTIONS_PER_LOOK: u32 = 10_000;

pub const NO_MEMORY: &str = "not enough memory";
pub const OUT_OF_TIME: &str = "the script ran out of time";

/// The limits of the run at hand.
pub struct Limits {
    deadline: Cell<Tick>,
    has_ended: Cell<bool>,
}

impl Limits {
    pub fn new() -> Self {
        Self { deadline: Cell::new(Tick::NEVER), has_ended: Cell::new(false) }
    }

    /// A run begins that must be over by then.
    pub fn begin(&self, deadline: Tick) {
        self.deadline.set(deadline.min(clock::now().plus_ms(RUN_MS_MAX)));
        self.has_ended.set(false);
    }

    /// Whether the run must end; once it has to, it stays so.
    pub fn look(&self) -> bool {
        if clock::now() >= self.deadline.get() {
            self.has_ended.set(true);
        }
        self.has_ended.get()
    }

    pub fn has_ended(&self) -> bool {
        self.has_ended.get()
    }
}
