//! The control thread: everything that is not on the way of a request runs here, on tokio.
//!
//! It reaches the cores only through the doors of `shared`. One thread is enough: the work is waiting for
//! name servers, key servers and collectors.

pub mod dns;
pub mod fetch;
pub mod file_reader;
pub mod files;
pub mod health_check;
pub mod host_watch;
pub mod http_client;
pub mod influx;
mod listen;
pub mod otlp;
pub mod page_server;
pub mod process;
pub mod redis;
pub mod resolver;
pub mod signals;
pub mod srv;
pub mod task;
pub mod tcp;
pub mod vitals;

#[cfg(test)]
mod dns_server;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

pub use task::{BoxFuture, RunningTask, Task, TaskEnv, TaskError};

use crate::shared::log::Log;
use crate::shared::meter::Meter;
use task::{Opening, supervise};

/// tokio needs little; tasks are state machines on the heap.
const STACK_BYTES: usize = 512 * 1024;

/// The control thread. Dropped without [`Control::stop`], it cancels everything and ends by itself.
pub struct Control {
    runtime: runtime::Handle,
    /// Given to each task, and kept to know that all have let go.
    env: TaskEnv,
    /// Tasks that have not opened their port yet.
    opening: Arc<AtomicUsize>,
    order_stop: oneshot::Sender<Duration>,
    stopped: mpsc::Receiver<bool>,
}

// === impl Control ===

impl Control {
    pub fn start(log: Log, meter: Meter) -> io::Result<Self> {
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
        Ok(Self {
            runtime: handle,
            env: TaskEnv::new(log, meter, is_stopping),
            opening: Arc::default(),
            order_stop,
            stopped,
        })
    }

    /// Runs `task` until it is done, the handle is dropped or the process stops.
    pub fn spawn(&self, task: Box<dyn Task>) -> RunningTask {
        let (dismiss, dismissed) = watch::channel(false);
        let mut env = self.env.clone().dismissed_by(dismissed);
        if task.is_exclusive() {
            env = env.opening(Opening::begin(&self.opening));
        }
        let running = self.runtime.spawn(supervise(task, env));
        RunningTask::new(running.abort_handle(), dismiss)
    }

    /// Waits until the tasks have opened their ports, or could not, or for `at_most`.
    pub fn wait_opened(&self, at_most: Duration) {
        let until = Instant::now() + at_most;
        while self.opening.load(Ordering::Relaxed) > 0 && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Asks all tasks to end, and cancels those that have not after `at_most`. Tells whether all had.
    pub fn stop(self, at_most: Duration) -> bool {
        let Self { runtime: _, env, opening: _, order_stop, stopped } = self;
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
