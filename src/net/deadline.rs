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
use std::net::Shutdown;
use std::os::fd::RawFd;
use std::pin::pin;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::clock::{self, Tick};

/// Deadlines are rounded up to this, which bounds how often a core wakes for them.
pub(crate) const GRAIN_MS: u64 = 8;

/// Moments that the table may hold beside two for each entry, before those that mean nothing any more are taken out.
const MOMENTS_SPARE: usize = 64;

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

    /// The same, but only the way from the peer is shut down: what is in flight there ends as if the peer had ended it, and
    /// the peer can still be told why.
    pub fn arm_reading(&self, at: Tick) {
        with_table(|table| table.arm_reading(self.slot, at));
    }

    /// No deadline may be later than this, until it is lifted with [`Tick::NEVER`].
    pub fn cap(&self, at: Tick) {
        with_table(|table| table.entries[self.slot].cap = at);
    }

    pub fn disarm(&self) {
        with_table(|table| table.disarm(self.slot));
    }

    /// Disarms what [`Watch::arm_reading`] armed, unless something else has been armed since.
    pub fn disarm_reading(&self) {
        with_table(|table| {
            let entry = &mut table.entries[self.slot];
            if entry.is_of_reading {
                entry.due = Tick::NEVER;
            }
        });
    }

    /// True once a deadline of [`Watch::arm_reading`] has passed.
    pub fn has_reading_expired(&self) -> bool {
        with_table(|table| table.entries[self.slot].reading_expired)
    }

    /// True once a deadline has passed and the socket was shut down for it. Asked after every read and write, so its code
    /// stands once.
    #[inline(never)]
    pub fn has_expired(&self) -> bool {
        with_table(|table| table.has_expired(self.slot))
    }

    /// Ends whatever is in flight on the socket now, as if its deadline had passed.
    pub fn expire(&self) {
        with_table(|table| table.expire(self.slot, &mut shut_down));
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
    /// The latest moment that `due` may be.
    cap: Tick,
    /// What is due is the end of reading alone.
    is_of_reading: bool,
    reading_expired: bool,
    /// The earliest moment at which the sweeper will look at this entry.
    looked_at: Tick,
    expired: bool,
    generation: u32,
}

/// The entries of one core. It touches no socket itself: who sweeps it says how one is shut down.
#[derive(Default)]
pub(crate) struct Table {
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

/// Ends whatever is in flight on a socket of the table. A failure means that the peer was faster.
fn shut_down(socket: RawFd, how: Shutdown) {
    let how = match how {
        Shutdown::Read => libc::SHUT_RD,
        Shutdown::Write => libc::SHUT_WR,
        Shutdown::Both => libc::SHUT_RDWR,
    };
    // SAFETY: the entry leaves the table before its socket is closed (`Watch` is dropped first), so the descriptor is
    // the one that was entered.
    unsafe { libc::shutdown(socket, how) };
}

impl Table {
    pub(crate) fn enter(&mut self, socket: RawFd) -> usize {
        let fresh = |generation| Entry {
            socket,
            due: Tick::NEVER,
            cap: Tick::NEVER,
            is_of_reading: false,
            reading_expired: false,
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

    pub(crate) fn leave(&mut self, slot: usize) {
        let entry = &mut self.entries[slot];
        entry.socket = -1;
        entry.due = Tick::NEVER;
        entry.looked_at = Tick::NEVER;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(slot);
    }

    pub(crate) fn arm(&mut self, slot: usize, at: Tick) {
        let entry = &mut self.entries[slot];
        let at = at.min(entry.cap);
        entry.due = at;
        entry.is_of_reading = false;
        if at < entry.looked_at {
            self.look_later(slot, at);
        }
    }

    pub(crate) fn disarm(&mut self, slot: usize) {
        self.entries[slot].due = Tick::NEVER;
    }

    pub(crate) fn has_expired(&self, slot: usize) -> bool {
        self.entries[slot].expired
    }

    fn arm_reading(&mut self, slot: usize, at: Tick) {
        self.arm(slot, at);
        self.entries[slot].is_of_reading = true;
    }

    fn look_later(&mut self, slot: usize, at: Tick) {
        let at = Tick::from_ms(at.as_ms().div_ceil(GRAIN_MS).saturating_mul(GRAIN_MS));
        let entry = &mut self.entries[slot];
        if at >= entry.looked_at {
            return;
        }
        entry.looked_at = at;
        self.moments.push(Reverse((at, slot, entry.generation)));
        if self.moments.len() > 2 * self.entries.len() + MOMENTS_SPARE {
            self.forget_stale_moments();
        }
        if self.wakes_at.is_none_or(|planned| at < planned)
            && let Some(sweeper) = self.sweeper.take()
        {
            sweeper.wake();
        }
    }

    /// Sockets that came and went, or were armed anew, leave their moments behind: with long time-outs and short
    /// connections those would be nearly all. An entry has one moment that counts, so half of them go at least.
    #[cold]
    fn forget_stale_moments(&mut self) {
        self.moments.clear();
        for (slot, entry) in self.entries.iter().enumerate() {
            if entry.looked_at != Tick::NEVER {
                self.moments.push(Reverse((entry.looked_at, slot, entry.generation)));
            }
        }
    }

    fn end_reading(&mut self, slot: usize, shut: &mut impl FnMut(RawFd, Shutdown)) {
        let entry = &mut self.entries[slot];
        entry.due = Tick::NEVER;
        entry.reading_expired = true;
        if entry.socket >= 0 {
            shut(entry.socket, Shutdown::Read);
        }
    }

    fn expire(&mut self, slot: usize, shut: &mut impl FnMut(RawFd, Shutdown)) {
        let entry = &mut self.entries[slot];
        entry.due = Tick::NEVER;
        entry.expired = true;
        if entry.socket >= 0 {
            shut(entry.socket, Shutdown::Both);
        }
    }

    /// Looks at every entry whose moment has come, calls `shut` with the sockets whose deadline has passed, and returns
    /// the next moment.
    pub(crate) fn sweep(
        &mut self,
        now: Tick,
        mut shut: impl FnMut(RawFd, Shutdown),
    ) -> Option<Tick> {
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
                if entry.is_of_reading {
                    self.end_reading(slot, &mut shut);
                } else {
                    self.expire(slot, &mut shut);
                }
            } else if entry.due != Tick::NEVER {
                let due = entry.due;
                self.look_later(slot, due);
            }
        }
        None
    }

    /// The sweeper has swept and sleeps until `next`, unless an earlier moment has come up meanwhile: then it must sweep
    /// again, and this is false.
    pub(crate) fn sleep_until(&mut self, next: Option<Tick>, sweeper: &Waker) -> bool {
        match self.moments.peek() {
            Some(Reverse((moment, ..))) if next.is_none_or(|planned| *moment < planned) => false,
            _ => {
                self.sweeper = Some(sweeper.clone());
                true
            }
        }
    }

    /// Notes when the sweeper will wake by itself.
    pub(crate) fn plan(&mut self, next: Option<Tick>) {
        self.wakes_at = next;
    }
}

#[cfg(test)]
impl Table {
    /// Entries in use, and moments that are kept.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.entries.len() - self.free.len(), self.moments.len())
    }

    /// The most moments that may be kept.
    pub(crate) fn moments_max(&self) -> usize {
        2 * self.entries.len() + MOMENTS_SPARE
    }
}

/// Runs for the life of a core: wakes when the next deadline may have passed.
pub async fn sweep_forever() {
    loop {
        let now = clock::now();
        let next = with_table(|table| table.sweep(now, shut_down));
        with_table(|table| table.plan(next));
        let mut sleep = pin!(
            next.map(|at| monoio::time::sleep(Duration::from_millis(at.since_ms(now).max(1))))
        );
        std::future::poll_fn(|context| {
            if let Some(sleep) = sleep.as_mut().as_pin_mut()
                && sleep.poll(context).is_ready()
            {
                return Poll::Ready(());
            }
            if with_table(|table| table.sleep_until(next, context.waker())) {
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
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
        assert_eq!(table.sweep(at(96), shut_down), Some(at(104)));
        assert!(near.read(&mut [0]).is_err(), "still open: a read would block");
        table.sweep(at(104), shut_down);
        assert!(table.has_expired(slot));
        assert_eq!(near.read(&mut [0]).unwrap(), 0, "shut down: end of stream");
    }

    #[test]
    fn a_deadline_of_reading_lets_the_peer_be_told_why() {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        let mut table = Table::default();
        let slot = table.enter(near.as_raw_fd());
        table.arm_reading(slot, at(100));
        table.sweep(at(104), shut_down);
        assert!(table.entries[slot].reading_expired && !table.entries[slot].expired);
        assert_eq!(near.read(&mut [0]).unwrap(), 0, "end of stream");
        near.write_all(b"x").unwrap();
        assert_eq!(far.read(&mut [0]).unwrap(), 1);
        table.arm(slot, at(200));
        table.sweep(at(200), shut_down);
        assert!(table.entries[slot].expired, "what is armed later is of both ways again");
    }

    #[test]
    fn no_deadline_goes_beyond_the_cap() {
        let mut table = Table::default();
        let slot = table.enter(-1);
        table.entries[slot].cap = at(100);
        table.arm(slot, at(1000));
        table.sweep(at(104), shut_down);
        assert!(table.entries[slot].expired);
    }

    #[test]
    fn a_deadline_that_moved_out_is_looked_at_again_not_fired() {
        let mut table = Table::default();
        let slot = table.enter(-1);
        table.arm(slot, at(100));
        table.arm(slot, at(1000));
        assert_eq!(table.sweep(at(200), shut_down), Some(at(1000)));
        assert!(!table.has_expired(slot));
        table.sweep(at(1000), shut_down);
        assert!(table.has_expired(slot));
    }

    #[test]
    fn a_deadline_that_moved_in_fires_at_the_earlier_moment() {
        let mut table = Table::default();
        let slot = table.enter(-1);
        table.arm(slot, at(60_000));
        table.arm(slot, at(50));
        table.sweep(at(56), shut_down);
        assert!(table.has_expired(slot));
    }

    #[test]
    fn a_slot_that_was_left_never_fires_on_its_next_tenant() {
        let mut table = Table::default();
        let slot = table.enter(-1);
        table.arm(slot, at(100));
        table.leave(slot);
        assert_eq!(table.enter(-1), slot);
        table.sweep(at(500), shut_down);
        assert!(!table.has_expired(slot));
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
        assert!(table.moments.len() <= 2 * table.entries.len() + MOMENTS_SPARE);
        assert_eq!(
            table.sweep(at(2_000_000), shut_down),
            Some(at(5_000_000)),
            "and nothing is forgotten"
        );
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
        table.disarm(slot);
        assert_eq!(table.sweep(at(500), shut_down), None);
        assert!(!table.has_expired(slot));
    }

    #[test]
    fn connections_that_came_and_went_leave_no_moments_behind() {
        let mut table = Table::default();
        for _ in 0..10_000 {
            let slot = table.enter(-1);
            table.arm(slot, at(3_600_000));
            table.leave(slot);
        }
        assert!(table.sizes().1 <= table.moments_max(), "{:?}", table.sizes());
        let slot = table.enter(-1);
        table.arm(slot, at(50));
        table.sweep(at(56), shut_down);
        assert!(table.has_expired(slot), "the ones that count are kept");
    }
}
