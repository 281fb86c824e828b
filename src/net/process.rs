//! Other processes of this machine: telling a gateway what is wished of it.

use std::fmt;
use std::io;

/// What a running gateway can be told by a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Read the configuration again.
    Reload,
    /// Start the program that is installed now, and hand over to it.
    HandOver,
}

impl Wish {
    /// The signal's number.
    #[must_use]
    pub fn number(self) -> i32 {
        match self {
            Wish::Reload => libc::SIGHUP,
            Wish::HandOver => libc::SIGUSR2,
        }
    }
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Wish::Reload => "SIGHUP",
            Wish::HandOver => "SIGUSR2",
        })
    }
}

/// Sends the wish's signal.
///
/// # Errors
/// What the kernel says: no such process, or not one of this user's.
pub fn send(pid: u32, wish: Wish) -> io::Result<()> {
    // Zero and negative numbers mean groups of processes.
    let pid = libc::pid_t::try_from(pid).ok().filter(|pid| *pid > 0);
    let pid = pid.ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))?;
    // SAFETY: plain system call without pointers; the result is checked.
    match unsafe { libc::kill(pid, wish.number()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Allows this process as many descriptors as it may allow itself, as Go's programs do; gives that number.
///
/// # Errors
/// What the kernel says.
pub fn raise_descriptors_max() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel fills the structure, which outlives the call; the result is checked.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
    // SAFETY: the kernel reads the structure, which outlives the call.
    let is_raised = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } == 0;
    Ok(if is_raised { limit.rlim_max } else { limit.rlim_cur })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_never_meant() {
        for pid in [0, u32::MAX] {
            let refused = send(pid, Wish::Reload).unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(libc::ESRCH));
        }
    }
}
