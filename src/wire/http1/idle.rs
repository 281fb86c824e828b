//! The idle connections of one host on one core, and the lease of a busy one: who has which connection, and how many
//! there are. Neither knows sockets or the clock, so that a simulation can drive them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::net::clock::Tick;

/// How long an unused connection keeps its read, and the buffer in it, in flight.
const READING_MS: u64 = 1000;

/// A connection that can be kept for the next request.
pub trait Kept {
    /// When its last exchange ended.
    fn idle_since(&self) -> Tick;

    /// True while the other side has neither sent anything nor closed.
    fn is_quiet(&mut self) -> bool;

    /// Its exchange has ended, whatever becomes of it now.
    fn rest(&mut self, now: Tick);

    /// Begins to listen for what comes unasked; false when something has come, or when its deadline has passed.
    /// `may_hold_more`: the last read did not empty its socket, so that is looked at first. The read that begins here
    /// comes too late for that: it takes nothing before the core's next turn, and another request may have the
    /// connection by then.
    fn listen(&mut self, may_hold_more: bool) -> bool;

    /// Gives the buffer back. Bytes that arrive in this very moment were not asked for: losing them loses nothing, and
    /// what comes after them is seen by the next look.
    fn stop_listening(&mut self);
}

/// The idle connections of one host on one core; a body that ended cleanly puts its connection here by itself.
pub struct IdleList<C> {
    idle: RefCell<Vec<C>>,
    idle_max: usize,
    /// How long an unused connection is kept; zero is for ever.
    idle_ms: u64,
    /// Connections that exist, idle or busy.
    open: Cell<usize>,
}

impl<C: Kept> IdleList<C> {
    /// A list that keeps `idle_max` connections at most, each for `idle_ms` (zero is for ever).
    pub fn new(idle_max: usize, idle_ms: u64) -> Self {
        Self { idle: RefCell::default(), idle_max, idle_ms, open: Cell::new(0) }
    }

    /// Counts a connection that was just opened. Whoever has it must lease it.
    pub fn opened(&self) {
        self.open.set(self.open.get() + 1);
    }

    /// Connections that exist, idle or busy.
    pub fn open(&self) -> usize {
        self.open.get()
    }

    /// Since when the one is unused that has been unused longest.
    pub fn oldest(&self) -> Option<Tick> {
        self.idle.borrow().first().map(Kept::idle_since)
    }

    /// Closes that one.
    pub fn close_oldest(&self) {
        let mut idle = self.idle.borrow_mut();
        if !idle.is_empty() {
            idle.remove(0);
            self.closed(1);
        }
    }

    /// The connection that was used last, the one least likely to have been closed, and on which nothing has come
    /// meanwhile: bytes that nobody asked for would be taken for the next answer, and a closed connection would fail a
    /// request that cannot be repeated. Whoever has it must lease it.
    pub fn take(&self, now: Tick) -> Option<C> {
        loop {
            let mut connection = self.idle.borrow_mut().pop()?;
            if self.is_fresh(&connection, now) && connection.is_quiet() {
                return Some(connection);
            }
            self.closed(1);
        }
    }

    /// Keeps a connection whose exchange has ended, where there is room for it and nothing speaks against it.
    fn put(&self, mut connection: C, now: Tick, may_hold_more: bool) {
        connection.rest(now);
        let mut idle = self.idle.borrow_mut();
        if idle.len() < self.idle_max && connection.listen(may_hold_more) {
            return idle.push(connection);
        }
        self.closed(1);
    }

    pub fn len(&self) -> usize {
        self.idle.borrow().len()
    }

    pub fn is_empty(&self) -> bool {
        self.idle.borrow().is_empty()
    }

    /// Closes connections that were unused for too long or that the other side has closed.
    pub fn sweep(&self, now: Tick) {
        let mut idle = self.idle.borrow_mut();
        let before = idle.len();
        idle.retain_mut(|connection| {
            let stays = self.is_fresh(connection, now) && connection.is_quiet();
            if now.since_ms(connection.idle_since()) >= READING_MS {
                connection.stop_listening();
            }
            stays
        });
        self.closed(before - idle.len());
    }

    fn is_fresh(&self, connection: &C, now: Tick) -> bool {
        self.idle_ms == 0 || now.since_ms(connection.idle_since()) < self.idle_ms
    }

    fn closed(&self, count: usize) {
        debug_assert!(count <= self.open.get());
        self.open.set(self.open.get().saturating_sub(count));
    }
}

/// A busy connection: counted, and never returned to the list unless the exchange ended cleanly.
pub struct Lease<C: Kept> {
    connection: Option<C>,
    home: Rc<IdleList<C>>,
}

impl<C: Kept> Lease<C> {
    pub fn new(connection: C, home: Rc<IdleList<C>>) -> Self {
        Self { connection: Some(connection), home }
    }

    /// The connection, until it is given back or closed.
    pub fn get(&self) -> Option<&C> {
        self.connection.as_ref()
    }

    /// The exchange has ended cleanly: the next request may have the connection.
    pub fn give_back(&mut self, now: Tick, may_hold_more: bool) {
        if let Some(connection) = self.connection.take() {
            self.home.put(connection, now, may_hold_more);
        }
    }

    pub fn close(&mut self) {
        if self.connection.take().is_some() {
            self.home.closed(1);
        }
    }
}

impl<C: Kept> Drop for Lease<C> {
    fn drop(&mut self) {
        self.close();
    }
}
