//! What a rendering has done so far: where it is, how much it may still do, and which maps it has changed.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::dicts::Dicts;
use super::source_map::{Mark, Origin};

/// What a rendering may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Actions that it may execute.
    pub steps_max: u64,
    pub time_max: Duration,
    /// The rendered configuration.
    pub result_bytes_max: usize,
}

pub struct State {
    limits: Limits,
    steps: AtomicU64,
    here: AtomicU64,
    written: AtomicUsize,
    marks: Mutex<Vec<Mark>>,
    dicts: Mutex<Dicts>,
    started: Instant,
}

/// Collects what a rendering writes, within a bound.
pub struct Output {
    pub text: String,
    state: Arc<State>,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            steps_max: 2_000_000,
            time_max: Duration::from_secs(30),
            result_bytes_max: 64 * 1024 * 1024,
        }
    }
}

// === impl State ===

impl State {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            steps: AtomicU64::new(0),
            here: AtomicU64::new(0),
            written: AtomicUsize::new(0),
            marks: Mutex::default(),
            dicts: Mutex::default(),
            started: Instant::now(),
        }
    }

    /// Notes that the next action is executed; refuses when there were too many.
    pub fn step(&self, position: u64) -> Result<(), String> {
        self.here.store(position, Relaxed);
        let steps = self.steps.fetch_add(1, Relaxed);
        let Limits { steps_max, time_max, .. } = self.limits;
        if steps >= steps_max {
            return Err(format!("more than {steps_max} actions: does a template call itself?"));
        }
        if self.started.elapsed() > time_max {
            return Err(format!("the template takes longer than {} s", time_max.as_secs()));
        }
        let mark = Mark { written: self.written.load(Relaxed), origin: Origin::unpacked(position) };
        let mut marks = lock(&self.marks);
        match marks.last_mut() {
            Some(last) if last.written == mark.written => *last = mark,
            _ => marks.push(mark),
        }
        Ok(())
    }

    fn here(&self) -> Origin {
        Origin::unpacked(self.here.load(Relaxed))
    }

    pub fn dicts(&self) -> MutexGuard<'_, Dicts> {
        lock(&self.dicts)
    }

    pub fn take_marks(&self) -> Vec<Mark> {
        std::mem::take(&mut *lock(&self.marks))
    }
}

/// A rendering has one thread; nothing is left half-way by a function that failed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Output ===

impl Output {
    pub fn new(state: Arc<State>) -> Self {
        Self { text: String::new(), state }
    }

    /// Where the rendering was when it failed.
    pub fn here(&self) -> Origin {
        self.state.here()
    }

    pub fn too_large(&self) -> String {
        format!("the result is larger than {} bytes", self.state.limits.result_bytes_max)
    }
}

impl fmt::Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.text.len() + text.len() > self.state.limits.result_bytes_max {
            return Err(fmt::Error);
        }
        self.text.push_str(text);
        self.state.written.store(self.text.len(), Relaxed);
        Ok(())
    }
}
