//! Deadlines of sockets: when one passes, the socket is shut down, so the operation in flight ends by itself and
//! hands its buffer back.
//!
//! Every socket has an entry in a table of its core. Arming writes one number; a sweeper task wakes at the earliest
//! moment that matters. An entry that was pushed further out is only looked at again when its old moment comes, so a
//! busy keep-alive connection costs the sweeper one look per time-out, not one per request.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::os::fd::RawFd;
use std::pin::pin;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::clock::{self, Tick};

/// Deadlines are rounded up to this, which bounds how often a core wakes for them.
const GRAIN_MS: u64 = 8;

/// Moments that may belong to sockets that are closed, beside two for each entry of the table.
const STALE_MAX: usize = 1024;

/// One socket's entry in the table; dropping it takes the entry out, so a reused descriptor is never hit.
#[derive(Debug)]
pub struct Watch {
    slot: usize,
}

impl Watch {
    /// Enters an open socket. It must be dropped before the socket is closed.
    pub fn new(socket: RawFd) -> Watch {
        Watch { slot: with_table(|table| table.enter(socket)) }
    }

    /// Shuts the socket down when `at` has passed, unless armed anew or disarmed before.
    pub fn arm(&self, at: Tick) {
        with_table(|table| table.arm(self.slot, at));
    }

    pub fn disarm(&self) {
        with_table(|table| table.entries[self.slot].due = Tick::NEVER);
    }

    /// True once a deadline has passed and the socket was shut down for it.
    pub fn has_expired(&self) -> bool {
        with_table(|table| table.entries[self.slot].expired)
    }

    /// Ends whatever is in flight on the socket now, as if its deadline had passed.
    pub fn expire(&self) {
        with_table(|table| table.expire(self.slot));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = TABLE.try_with(|table| table.borrow_mut().leave(self.slot));
    }
}

#[derive(Debug)]
struct Entry {
    socket: RawFd,
    due: Tick,
    /// The earliest moment at which the sweeper will look at this entry.
    looked_at: Tick,
    expired: bool,
    generation: u32,
}

#[derive(Default)]
struct Table {
    entries: Vec<Entry>,
    free: Vec<usize>,
    moments: BinaryHeap<Reverse<(Tick, usize, u32)>>,
    sweeper: Option<Waker>,
    /// When the sweeper will wake by itself.
    wakes_at: Option<Tick>,
}

thread_local! {
    static TABLE: RefCell<Table> = RefCell::default();
}

fn with_table<R>(run: impl FnOnce(&mut Table) -> R) -> R {
    TABLE.with(|table| run(&mut table.borrow_mut()))
}

impl Table {
    fn enter(&mut self, socket: RawFd) -> usize {
        let fresh = |generation| Entry {
            socket,
            due: Tick::NEVER,
            looked_at: Tick::NEVER,
            expired: false,
            generation,
        };
        if let Some(slot) = self.free.pop() {
            let generation = self.entries[slot].generation.wrapping_add(1);
            self.entries[slot] = fresh(generation);
            return slot;
        }
        self.entries.push(fresh(0));
        self.entries.len() - 1
    }

    fn leave(&mut self, slot: usize) {
        let entry = &mut self.entries[slot];
        entry.socket = -1;
        entry.due = Tick::NEVER;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(slot);
    }

    fn arm(&mut self, slot: usize, at: Tick) {
        let entry = &mut self.entries[slot];
        entry.due = at;
        if at < entry.looked_at {
            self.look_later(slot, at);
        }
    }

    fn look_later(&mut self, slot: usize, at: Tick) {
        let at = Tick::from_ms(at.as_ms().div_ceil(GRAIN_MS).saturating_mul(GRAIN_MS));
        let entry = &mut self.entries[slot];
        if at >= entry.looked_at {
            return;
        }
        entry.looked_at = at;
        self.moments.push(Reverse((at, slot, entry.generation)));
        if self.moments.len() > 2 * self.entries.len() + STALE_MAX {
            self.forget_stale();
        }
        if self.wakes_at.is_none_or(|planned| at < planned)
            && let Some(sweeper) = self.sweeper.take()
        {
            sweeper.wake();
        }
    }

    /// Drops the moments of sockets that are closed, and those that an earlier one has replaced: many short connections
    /// with long deadlines would leave more of them behind than there are sockets.
    #[cold]
    fn forget_stale(&mut self) {
        let entries = &self.entries;
        self.moments.retain(|Reverse((moment, slot, generation))| {
            entries
                .get(*slot)
                .is_some_and(|entry| entry.generation == *generation && entry.looked_at == *moment)
        });
    }

    fn expire(&mut self, slot: usize) {
        let entry = &mut self.entries[slot];
        entry.due = Tick::NEVER;
        entry.expired = true;
        if entry.socket >= 0 {
            // SAFETY: the entry leaves the table before its socket is closed (`Watch` is dropped first), so the
            // descriptor is the one that was entered. A failure means the peer was faster.
            unsafe { libc::shutdown(entry.socket, libc::SHUT_RDWR) };
        }
    }

    /// Looks at every entry whose moment has come; returns the next moment.
    fn sweep(&mut self, now: Tick) -> Option<Tick> {
        while let Some(&Reverse((moment, slot, generation))) = self.moments.peek() {
            if moment > now {
                return Some(moment);
            }
            self.moments.pop();
            let Some(entry) = self.entries.get_mut(slot) else { continue };
            if entry.generation != generation || entry.looked_at != moment {
                continue;
            }
            entry.looked_at = Tick::NEVER;
            if entry.due <= now {
                self.expire(slot);
            } else if entry.due != Tick::NEVER {
                let due = entry.due;
                self.look_later(slot, due);
            }
        }
        None
    }
}

/// Runs for the life of a core: wakes when the next deadline may have passed.
pub async fn sweep_forever() {
    loop {
        let now = clock::now();
        let next = with_table(|table| table.sweep(now));
        with_table(|table| table.wakes_at = next);
        let mut sleep = pin!(
            next.map(|at| monoio::time::sleep(Duration::from_millis(at.since_ms(now).max(1))))
        );
        std::future::poll_fn(|context| {
            if let Some(sleep) = sleep.as_mut().as_pin_mut()
                && sleep.poll(context).is_ready()
            {
                return Poll::Ready(());
            }
            with_table(|table| match table.moments.peek() {
                Some(Reverse((moment, ..))) if next.is_none_or(|planned| *moment < planned) => {
                    Poll::Ready(())
                }
                _ => {
                    table.sweeper = Some(context.waker().clone());
                    Poll::Pending
                }
            })
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    fn at(ms: u64) -> Tick {
        Tick::from_ms(ms)
    }

    #[test]
    fn a_socket_is_shut_down_when_its_deadline_has_passed_and_not_before() {
        let (mut near, _far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let mut table = Table::default();
        let slot = table.enter(near.as_raw_fd());
        table.arm(slot, at(100));
        assert_eq!(table.sweep(at(96)), Some(at(104)));
        assert!(near.read(&mut [0]).is_err(), "still open: a read would block");
        table.sweep(at(104));
        assert!(table.entries[slot].expired);
        assert_eq!(near.read(&mut [0]).unwrap(), 0, "shut down: end of stream");
    }

    #[test]
    fn a_deadline_that_moved_out_is_looked_at_again_not_fired() {
        let mut table = Table::default();
        let slot = table.enter(-1);
        table.arm(slot, at(100));
        table.arm(slot, at(1000));
        assert_eq!(table.sweep(at(200)), Some(at(1000)));
        assert!(!table.entries[slot].expired);
        table.sweep(at(1000));
        assert!(table.entries[slot].expired);
    }

    #[test]
    fn a_deadline_that_moved_in_fires_at_the_earlier_moment() {
        let mut table = Table::default();
        let slot = table.enter(-1);
        table.arm(slot, at(60_000));
        table.arm(slot, at(50));
        table.sweep(at(56));
        assert!(table.entries[slot].expired);
    }

    #[test]
    fn a_slot_that_was_left_never_fires_on_its_next_tenant() {
        let mut table = Table::default();
        let slot = table.enter(-1);
        table.arm(slot, at(100));
        table.leave(slot);
        assert_eq!(table.enter(-1), slot);
        table.sweep(at(500));
        assert!(!table.entries[slot].expired);
    }

    #[test]
    fn short_connections_with_long_deadlines_leave_little_behind() {
        let mut table = Table::default();
        let kept = table.enter(-1);
        table.arm(kept, at(5_000_000));
        for number in 0..100_000 {
            let slot = table.enter(-1);
            table.arm(slot, at(1_000_000 + number));
            table.leave(slot);
        }
        assert!(table.moments.len() <= 2 * table.entries.len() + STALE_MAX);
        assert_eq!(table.sweep(at(2_000_000)), Some(at(5_000_000)), "and nothing is forgotten");
    }

    #[test]
    fn a_deadline_that_is_set_again_within_a_grain_adds_no_moment() {
        let mut table = Table::default();
        let slot = table.enter(-1);
        for _ in 0..10 {
            table.arm(slot, at(101));
            table.arm(slot, at(103));
        }
        assert_eq!(table.moments.len(), 1);
    }

    #[test]
    fn a_disarmed_entry_stays_open() {
        let mut table = Table::default();
        let slot = table.enter(-1);
        table.arm(slot, at(100));
        table.entries[slot].due = Tick::NEVER;
        assert_eq!(table.sweep(at(500)), None);
        assert!(!table.entries[slot].expired);
    }
}
