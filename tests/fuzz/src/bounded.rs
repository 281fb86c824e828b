//! `Bounded`: one input may take so much processor time, and no more.

use std::fs;

/// Far more than any input needs, with the checks of a fuzzed build, and far less than for ever.
const SECONDS_MAX: u64 = 10;
/// `USER_HZ` of Linux.
const TICKS_PER_SECOND: u64 = 100;

/// Panics at its end when the process has used too much of the processor since its beginning.
pub struct Bounded(u64);

impl Bounded {
    pub fn start() -> Bounded {
        Bounded(ticks())
    }
}

impl Drop for Bounded {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let seconds = (ticks() - self.0) / TICKS_PER_SECOND;
            assert!(seconds <= SECONDS_MAX, "it took {seconds} s of processor time");
        }
    }
}

/// What the process has used, in user and kernel (proc_pid_stat(5)).
fn ticks() -> u64 {
    let text = fs::read_to_string("/proc/self/stat").expect("Linux has it");
    let (_, behind_name) = text.rsplit_once(')').expect("a name in brackets");
    let fields = behind_name.split_ascii_whitespace().skip(11).take(2);
    fields.map(|field| field.parse::<u64>().expect("a number")).sum()
}
