//! What systemd is told (`NOTIFY_SOCKET`), and how a running gateway is told to read its configuration again, or to hand over.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use crate::net::process::{self, Wish};
use crate::shared::log::Log;

/// The service manager, if there is one.
pub struct Manager {
    log: Log,
    /// How often it wants to hear that all is well, and when it heard so.
    beats: Option<(Duration, Instant)>,
}

impl Manager {
    pub fn new(log: &Log) -> Manager {
        // Twice as often as it asks, so that one late message harms nothing.
        let beats = sd_notify::watchdog_enabled()
            .filter(|most| !most.is_zero())
            .map(|most| (most / 2, Instant::now()));
        Manager { log: log.clone(), beats }
    }

    pub fn ready(&self) {
        self.tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
    }

    /// The configuration is being read again; [`Manager::ready`] ends that.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(error) => self.log.warning(format_args!("the clock cannot be read: {error}")),
        }
    }

    /// Another process is the service from now on.
    pub fn succeeded_by(&self, pid: u32) {
        self.tell(&[NotifyState::MainPid(pid), NotifyState::Status("a successor serves")]);
    }

    pub fn stopping(&self) {
        self.tell(&[NotifyState::Stopping, NotifyState::Status("requests in flight are finished")]);
    }

    /// How long to wait for a signal before [`Manager::beat`] is due; `None` is for ever.
    pub fn patience(&self) -> Option<Duration> {
        self.beats.map(|(every, last)| every.saturating_sub(last.elapsed()))
    }

    /// Says that all is well, when that is due.
    pub fn beat(&mut self, is_well: bool) {
        let Some((every, last)) = &mut self.beats else { return };
        if is_well && last.elapsed() >= *every {
            *last = Instant::now();
            self.tell(&[NotifyState::Watchdog]);
        }
    }

    fn tell(&self, state: &[NotifyState<'_>]) {
        if let Err(error) = sd_notify::notify(state) {
            self.log.warning(format_args!("the service manager cannot be told: {error}"));
        }
    }
}

/// Has the gateway with this process number read its configuration again.
///
/// # Errors
/// Why nothing was sent. A process that does not wait for the signal would be ended by it, so it gets none.
pub fn tell_to_reload(pid: u32) -> Result<(), String> {
    tell(pid, Wish::Reload)
}

/// Has the gateway with this process number start the program that is installed now, and hand over to it.
///
/// # Errors
/// As for [`tell_to_reload`].
pub fn tell_to_hand_over(pid: u32) -> Result<(), String> {
    tell(pid, Wish::HandOver)
}

fn tell(pid: u32, wish: Wish) -> Result<(), String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))
        .map_err(|_| format!("there is no process {pid}"))?;
    if !catches(&status, wish) {
        return Err(format!("process {pid} does not wait for {wish}, which would end it"));
    }
    process::send(pid, wish).map_err(|error| format!("cannot signal process {pid}: {error}"))
}

/// Whether the kernel's description of a process names the wish's signal among those it catches.
fn catches(status: &str, wish: Wish) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (wish.number() - 1) & 1 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_processes_that_wait_for_the_signal_get_it() {
        let ours = "Name:\tshoal\nSigCgt:\t0000000100004a03\n";
        assert!(catches(ours, Wish::Reload) && catches(ours, Wish::HandOver));
        let old = "Name:\tshoal\nSigCgt:\t0000000000000001\n";
        assert!(catches(old, Wish::Reload) && !catches(old, Wish::HandOver));
        assert!(!catches("Name:\tsleep\nSigCgt:\t0000000000000000\n", Wish::Reload));
        assert!(!catches("", Wish::Reload));
        assert!(tell_to_reload(u32::MAX).is_err_and(|why| why.contains("no process")));
    }
}
