//! `Running`: the cores at work, steered by signals until they have ended.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Beside;
use super::manager::Manager;
use super::reload::Reloader;
use super::successor::Successor;
use crate::control::signals::{Signal, Signals};
use crate::net::bell::{Order, Rope};
use crate::plan::Plan;
use crate::shared::log::Log;

/// How often old plans are looked at, whether requests still run on them.
const OLD_PLANS_LOOK: Duration = Duration::from_secs(1);
/// After a takeover clients have at least so long to use connections that they kept, and to learn that these end.
const FAREWELL_MS_MIN: u64 = 5_000;
/// How often the cores are looked at meanwhile.
const FAREWELL_LOOK: Duration = Duration::from_millis(50);
/// How often the cores are looked at, whether they have ended.
const CORES_LOOK: Duration = Duration::from_millis(10);

pub(super) struct Running {
    pub signals: Signals,
    pub ropes: Vec<Rope>,
    pub cores: Vec<JoinHandle<()>>,
    pub manager: Manager,
    pub successor: Successor,
}

/// How the serving came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A signal asked for it.
    Asked,
    /// Another process serves on our sockets.
    Succeeded,
    /// Signals cannot be waited for any more.
    Lost,
}

impl Running {
    /// Serves until a signal says to stop, or a successor has taken over.
    pub fn serve_until_told(&mut self, beside: &mut Beside, mut reloader: Reloader) -> End {
        loop {
            self.manager.beat(!self.cores.iter().any(JoinHandle::is_finished));
            let look = reloader.has_retired().then_some(OLD_PLANS_LOOK);
            let looks = [look, self.manager.patience(), self.successor.patience()];
            let at_most = looks.into_iter().flatten().min();
            match self.signals.wait(at_most) {
                Ok(Some(Signal::Terminate | Signal::Interrupt)) => return End::Asked,
                Err(_) => return End::Lost,
                Ok(Some(Signal::Hangup)) => {
                    self.manager.reloading();
                    if reloader.reload(beside) {
                        self.ring(Order::Renew);
                    }
                    self.manager.ready();
                }
                Ok(Some(Signal::User1)) => {
                    beside.log.reopen();
                    beside.log.info(format_args!("SIGUSR1: the log's outputs are opened again"));
                }
                Ok(Some(Signal::User2)) => self.successor.start(&beside.log),
                Ok(None) => {}
            }
            if let Some(pid) = self.successor.look(&beside.log) {
                self.manager.succeeded_by(pid);
                beside.let_go();
                return End::Succeeded;
            }
            reloader.sweep();
        }
    }

    /// Gives balancers time to look elsewhere, while everything is served as before; false when another signal cut it short.
    pub fn linger(&mut self, plan: &Plan, log: &Log) -> bool {
        let lame_duck_ms = plan.listen.lame_duck_ms;
        if lame_duck_ms == 0 {
            return true;
        }
        log.info(format_args!("stopping: not ready any more; serving on for {lame_duck_ms} ms"));
        self.ring(Order::Leave);
        let end = Instant::now() + Duration::from_millis(lame_duck_ms);
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.manager.beat(true);
            let left = self.manager.patience().map_or(left, |patience| patience.min(left));
            match self.signals.wait(Some(left)) {
                Ok(Some(Signal::Terminate | Signal::Interrupt)) | Err(_) => return false,
                Ok(Some(Signal::Hangup | Signal::User1 | Signal::User2) | None) => {}
            }
        }
        true
    }

    /// Lets the successor accept, and waits until clients have left by themselves, for a while. A signal hurries it.
    pub fn bid_farewell(&mut self, plan: &Plan) {
        self.ring(Order::HandOver);
        let wait_ms = plan.listen.lame_duck_ms.max(FAREWELL_MS_MIN);
        let end = Instant::now() + Duration::from_millis(wait_ms);
        while Instant::now() < end && self.cores.iter().any(|core| !core.is_finished()) {
            match self.signals.wait(Some(FAREWELL_LOOK)) {
                Ok(Some(Signal::Terminate | Signal::Interrupt)) | Err(_) => return,
                Ok(Some(Signal::Hangup | Signal::User1 | Signal::User2) | None) => {}
            }
        }
    }

    /// Waits for the requests in flight. Another signal ends at once.
    pub fn await_all(mut self, plan: &Plan, log: &Log, is_orderly: bool) {
        log.info(format_args!("stopping: no new connections, requests in flight are finished"));
        // The kernel must close each socket with its core.
        self.successor.forget_sockets();
        self.ring(Order::Drain);
        let bound = (plan.listen.drain_ms > 0)
            .then(|| Instant::now() + Duration::from_millis(plan.listen.drain_ms));
        while self.cores.iter().any(|core| !core.is_finished()) {
            self.manager.beat(true);
            let hurried = !is_orderly
                || matches!(
                    self.signals.wait(Some(CORES_LOOK)),
                    Ok(Some(Signal::Terminate | Signal::Interrupt))
                );
            if hurried || bound.is_some_and(|bound| Instant::now() >= bound) {
                log.warning(format_args!("stopping at once: requests in flight are cut off"));
                self.ring(Order::Cut);
                break;
            }
        }
        for core in self.cores {
            // A core that panicked has said so on standard error.
            let _ = core.join();
        }
    }

    fn ring(&mut self, order: Order) {
        for rope in &mut self.ropes {
            rope.ring(order);
        }
    }
}
