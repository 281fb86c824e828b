//! The background work of a feature, and what keeps it running.

use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::shared::log::Log;

/// Pauses before a failed task is run again: the first, doubled each time up to the last.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_LAST: Duration = Duration::from_mins(1);

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Work on the control thread, such as refreshing keys or exporting metrics. It must not block.
pub trait Task: Send {
    /// Appears in the log: `jwks https://…`.
    fn name(&self) -> &str;

    /// Works until it is done. After an error or a panic it is called again, later, on the same value.
    fn run(&mut self, env: TaskEnv) -> BoxFuture<'_, Result<(), TaskError>>;
}

/// What a task may use.
#[derive(Clone)]
pub struct TaskEnv {
    pub log: Log,
    stopping: watch::Receiver<bool>,
}

/// Why a task could not go on, in one line.
#[derive(Debug)]
pub struct TaskError(String);

/// Keeps a task running: dropped, the task is cancelled where it waits.
#[derive(Debug)]
#[must_use = "the task ends when this is dropped"]
pub struct RunningTask(AbortHandle);

// === impl TaskEnv ===

impl TaskEnv {
    pub(super) fn new(log: Log, stopping: watch::Receiver<bool>) -> Self {
        Self { log, stopping }
    }

    /// Waits until the process begins to stop. A task that has something to bring home (a last export)
    /// does it then and returns; all others are cancelled at the end.
    pub async fn stopping(&mut self) {
        // An error means that there is nobody left who could say so.
        let _ = self.stopping.wait_for(|is_stopping| *is_stopping).await;
    }
}

// === impl RunningTask ===

impl RunningTask {
    pub(super) fn new(handle: AbortHandle) -> Self {
        Self(handle)
    }
}

impl Drop for RunningTask {
    fn drop(&mut self) {
        self.0.abort();
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
        let Err(error) = outcome(task.run(env.clone())).await else { return };
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
