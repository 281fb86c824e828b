//! The signals that steer the process, one after the other, for the thread that waits for them.
//!
//! `SIGPIPE` needs nothing here: Rust programs start with it ignored, and a write to a closed socket or
//! pipe is an error like any other.

use std::fmt;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::{flag, low_level};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `SIGTERM`: finish what is running, then end.
    Terminate,
    /// `SIGINT`, Ctrl-C: the same.
    Interrupt,
    /// `SIGHUP`: read the configuration again.
    Hangup,
    /// `SIGUSR1`: open the log's outputs again.
    User1,
    /// `SIGUSR2`: hand over to the program that is installed now.
    User2,
}

/// Catches the signals from its creation on. One for the process.
pub struct Signals {
    /// Gets a byte after a flag was raised, so that [`Signals::wait`] need not look again and again.
    bell: UnixStream,
    raised: [(Signal, Arc<AtomicBool>); 5],
}

/// Does what `SIGHUP` from outside does.
pub fn hang_up() {
    // It cannot fail: the signal is caught, and the process may send itself one.
    let _ = low_level::raise(SIGHUP);
}

// === impl Signals ===

impl Signals {
    pub fn catch() -> io::Result<Self> {
        let (bell, rope) = UnixStream::pair()?;
        let signals = Self { bell, raised: Signal::ALL.map(|signal| (signal, Arc::default())) };
        for (signal, raised) in &signals.raised {
            // In this order, so that the flag is up when the bell rings.
            flag::register(signal.number(), Arc::clone(raised))?;
            low_level::pipe::register(signal.number(), rope.try_clone()?)?;
        }
        Ok(signals)
    }

    /// Waits for the next signal, or for `at_most` (for ever when `None`). Equal signals that come before
    /// anyone waits are one.
    pub fn wait(&mut self, at_most: Option<Duration>) -> io::Result<Option<Signal>> {
        // The socket takes zero for "for ever".
        let at_most = at_most.map(|time| time.max(Duration::from_millis(1)));
        self.bell.set_read_timeout(at_most)?;
        loop {
            let raised = self.raised.iter().find(|(_, flag)| flag.swap(false, Ordering::AcqRel));
            if let Some((signal, _)) = raised {
                return Ok(Some(*signal));
            }
            match self.bell.read(&mut [0; 64]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                // The handler runs on this thread, too, and then interrupts the read.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}

// === impl Signal ===

impl Signal {
    const ALL: [Self; 5] =
        [Self::Terminate, Self::Interrupt, Self::Hangup, Self::User1, Self::User2];

    fn number(self) -> i32 {
        match self {
            Self::Terminate => SIGTERM,
            Self::Interrupt => SIGINT,
            Self::Hangup => SIGHUP,
            Self::User1 => SIGUSR1,
            Self::User2 => SIGUSR2,
        }
    }
}

impl fmt::Display for Signal {
    /// The names Go prints, as in `Signal intercepted: terminated`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminate => "terminated",
            Self::Interrupt => "interrupt",
            Self::Hangup => "hangup",
            Self::User1 => "user defined signal 1",
            Self::User2 => "user defined signal 2",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test for all, because signals belong to the whole process.
    #[test]
    fn signals_arrive_one_by_one_and_a_wait_without_one_ends_in_time() {
        let mut signals = Signals::catch().expect("signals can be caught");
        let short = Some(Duration::from_millis(20));
        assert_eq!(signals.wait(short).expect("waits"), None);

        let sender = std::thread::spawn(|| {
            std::thread::sleep(Duration::from_millis(20));
            low_level::raise(SIGHUP).expect("a signal");
        });
        assert_eq!(signals.wait(None).expect("waits"), Some(Signal::Hangup));
        sender.join().expect("no panic");

        for number in [SIGINT, SIGTERM, SIGTERM] {
            low_level::raise(number).expect("a signal");
        }
        let both = [signals.wait(short).expect("waits"), signals.wait(short).expect("waits")];
        assert_eq!(both, [Some(Signal::Terminate), Some(Signal::Interrupt)]);
        assert_eq!(signals.wait(Some(Duration::ZERO)).expect("waits"), None);
    }

    #[test]
    fn sigpipe_is_ignored_from_the_start() {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a mask");
        let mask = u64::from_str_radix(mask.trim(), 16).expect("a number");
        assert_ne!(mask & 1 << (13 - 1), 0, "SIGPIPE is number 13");
    }
}
