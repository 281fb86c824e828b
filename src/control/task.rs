//! The background work of a feature, and what keeps it running.

use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::shared::log::Log;
use crate::shared::meter::Meter;

/// Pauses before a failed task is run again: the first, doubled each time up to the last.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_LAST: Duration = Duration::from_mins(1);

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Work on the control thread, such as refreshing keys or exporting metrics. It must not block.
pub trait Task: Send {
    /// Appears in the log: `jwks https://…`.
    fn name(&self) -> &str;

    /// Holds a port, which only one can hold: its successor begins when it has ended, and the start waits a moment until
    /// the port is open (`listen::open`).
    fn is_exclusive(&self) -> bool {
        false
    }

    /// Has something to do when it is told to end, such as a last export; it looks at [`TaskEnv::stopping`] then.
    fn has_last_words(&self) -> bool {
        false
    }

    /// Works until it is done. After an error or a panic it is called again, later, on the same value.
    fn run(&mut self, env: TaskEnv) -> BoxFuture<'_, Result<(), TaskError>>;
}

/// What a task may use.
#[derive(Clone)]
pub struct TaskEnv {
    pub log: Log,
    /// What the cores count.
    pub meter: Meter,
    /// Of the process.
    stopping: watch::Receiver<bool>,
    /// Of this task alone.
    dismissed: watch::Receiver<bool>,
    /// Of a task that has a port to open.
    opening: Option<Arc<Opening>>,
}

/// Counts a task among those that have not opened their port yet, until it has, or could not.
pub(super) struct Opening {
    all: Arc<AtomicUsize>,
    is_counted: AtomicBool,
}

/// Why a task could not go on, in one line.
#[derive(Debug)]
pub struct TaskError(String);

/// Keeps a task running: dropped, the task is cancelled where it waits.
#[derive(Debug)]
#[must_use = "the task ends when this is dropped"]
pub struct RunningTask {
    handle: AbortHandle,
    dismiss: watch::Sender<bool>,
}

// === impl TaskEnv ===

impl TaskEnv {
    pub(super) fn new(log: Log, meter: Meter, stopping: watch::Receiver<bool>) -> Self {
        let dismissed = stopping.clone();
        Self { log, meter, stopping, dismissed, opening: None }
    }

    pub(super) fn dismissed_by(self, dismissed: watch::Receiver<bool>) -> Self {
        Self { dismissed, ..self }
    }

    pub(super) fn opening(self, opening: Opening) -> Self {
        Self { opening: Some(Arc::new(opening)), ..self }
    }

    /// The task's port is open, or cannot be had now: the start waits for it no longer.
    pub(super) fn opened(&self) {
        if let Some(opening) = &self.opening {
            opening.end();
        }
    }

    /// Waits until the process begins to stop, or the task is dismissed. A task that has last words says them then and
    /// returns; all others are cancelled.
    pub async fn stopping(&mut self) {
        // An error means that there is nobody left who could say so.
        tokio::select! {
            _ = self.stopping.wait_for(|is_stopping| *is_stopping) => {}
            _ = self.dismissed.wait_for(|is_dismissed| *is_dismissed) => {}
        }
    }
}

// === impl Opening ===

impl Opening {
    pub fn begin(all: &Arc<AtomicUsize>) -> Opening {
        all.fetch_add(1, Ordering::Relaxed);
        Opening { all: all.clone(), is_counted: AtomicBool::new(true) }
    }

    fn end(&self) {
        if self.is_counted.swap(false, Ordering::Relaxed) {
            self.all.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.end();
    }
}

// === impl RunningTask ===

impl RunningTask {
    pub(super) fn new(handle: AbortHandle, dismiss: watch::Sender<bool>) -> Self {
        Self { handle, dismiss }
    }

    /// Tells the task that it is not needed any more; it may say its last words.
    pub fn dismiss(&self) {
        self.dismiss.send_replace(true);
    }

    /// Cancels the task, and waits until it has let go of what it held, or for `at_most`.
    pub fn end(self, at_most: Duration) {
        self.handle.abort();
        let until = std::time::Instant::now() + at_most;
        while !self.handle.is_finished() && std::time::Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for RunningTask {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

// === impl TaskError ===

impl TaskError {
    pub fn new(why: impl fmt::Display) -> Self {
        Self(why.to_string())
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TaskError {}

/// What `future` gives, or `None` when it takes longer.
pub async fn within<F: Future>(time: Duration, future: F) -> Option<F::Output> {
    timeout(time, future).await.ok()
}

/// Runs `task` to its end, again after each failure.
pub(super) async fn supervise(mut task: Box<dyn Task>, mut env: TaskEnv) {
    let mut pause = BACKOFF_FIRST;
    loop {
        let started = Instant::now();
        let has_last_words = task.has_last_words();
        let mut told = env.clone();
        let ended = tokio::select! {
            ended = outcome(task.run(env.clone())) => ended,
            () = told.stopping(), if !has_last_words => return,
        };
        let Err(error) = ended else { return };
        if started.elapsed() > BACKOFF_LAST {
            pause = BACKOFF_FIRST;
        }
        let name = task.name();
        env.log.warning(format_args!("[SERVICE: {name}] {error}, next attempt in {pause:?}"));
        tokio::select! {
            () = sleep(pause) => {}
            () = env.stopping() => return,
        }
        pause = (pause * 2).min(BACKOFF_LAST);
    }
}

/// What `future` gave, a panic being one more way to fail.
async fn outcome(future: BoxFuture<'_, Result<(), TaskError>>) -> Result<(), TaskError> {
    let mut future = pin!(future);
    let caught = poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        match polled {
            Ok(poll) => poll.map(Ok),
            Err(panic) => std::task::Poll::Ready(Err(panic)),
        }
    });
    caught.await.unwrap_or_else(|panic| Err(TaskError(format!("panicked: {}", text(&*panic)))))
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}
