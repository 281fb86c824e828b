//! The control thread: everything that is not on the way of a request runs here, on tokio.
//!
//! It reaches the cores only through the doors of `shared`. One thread is enough: the work is waiting for
//! name servers, key servers and collectors.

pub mod dns;
pub mod files;
pub mod http_client;
pub mod resolver;
pub mod signals;
pub mod srv;
pub mod task;
pub mod tcp;

#[cfg(test)]
mod dns_server;

use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::runtime;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

pub use task::{BoxFuture, RunningTask, Task, TaskEnv, TaskError};

use crate::shared::log::Log;
use task::supervise;

/// tokio needs little; tasks are state machines on the heap.
const STACK_BYTES: usize = 512 * 1024;

/// The control thread. Dropped without [`Control::stop`], it cancels everything and ends by itself.
pub struct Control {
    runtime: runtime::Handle,
    /// Given to each task, and kept to know that all have let go.
    env: TaskEnv,
    order_stop: oneshot::Sender<Duration>,
    stopped: mpsc::Receiver<bool>,
}

// === impl Control ===

impl Control {
    pub fn start(log: Log) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stopping, is_stopping) = watch::channel(false);
        let (order_stop, order) = oneshot::channel();
        let (report, stopped) = mpsc::channel();
        thread::Builder::new().name("control".into()).stack_size(STACK_BYTES).spawn(move || {
            let all_ended = runtime.block_on(run(order, stopping));
            // Does not wait for blocking work, which nobody needs any more.
            runtime.shutdown_background();
            let _ = report.send(all_ended);
        })?;
        Ok(Self { runtime: handle, env: TaskEnv::new(log, is_stopping), order_stop, stopped })
    }

    /// Runs `task` until it is done, the handle is dropped or the process stops.
    pub fn spawn(&self, task: Box<dyn Task>) -> RunningTask {
        let running = self.runtime.spawn(supervise(task, self.env.clone()));
        RunningTask::new(running.abort_handle())
    }

    /// Asks all tasks to end, and cancels those that have not after `at_most`. Tells whether all had.
    pub fn stop(self, at_most: Duration) -> bool {
        let Self { runtime: _, env, order_stop, stopped } = self;
        drop(env);
        // A thread that is gone has stopped, and reports nothing.
        let _ = order_stop.send(at_most);
        stopped.recv_timeout(at_most + Duration::from_secs(1)).unwrap_or(false)
    }
}

/// Lets the tasks run until the order to stop, then gives them time to end.
async fn run(order: oneshot::Receiver<Duration>, stopping: watch::Sender<bool>) -> bool {
    let Ok(at_most) = order.await else { return false };
    stopping.send_replace(true);
    // Closed when the last task has dropped its receiver.
    timeout(at_most, stopping.closed()).await.is_ok()
}

#[cfg(test)]
mod tests;
