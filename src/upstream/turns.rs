//! `Turns`: few at a time, the others in the order they came. It knows neither the runtime nor a clock.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// So many turns at the same time, and a bounded queue of those who wait for one.
pub struct Turns {
    taken: Cell<usize>,
    taken_max: usize,
    queue: RefCell<VecDeque<Rc<Place>>>,
    queue_max: usize,
    /// Places in the queue whose owners have stopped waiting.
    left: Cell<usize>,
}

/// The queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFull;

/// One turn; dropping it calls the next one in the queue.
pub struct Turn<'t>(&'t Turns);

/// A place in the queue, which ends with a turn. Who stops waiting drops it.
pub struct Wait<'t> {
    turns: &'t Turns,
    place: Rc<Place>,
}

#[derive(Default)]
struct Place {
    state: Cell<State>,
    waker: RefCell<Option<Waker>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Waiting,
    /// A turn is theirs, and counted.
    Called,
    /// They have taken it up.
    Served,
    Left,
}

impl Turns {
    /// `taken_max` turns at a time (at least one), and `queue_max` who wait.
    pub fn new(taken_max: usize, queue_max: usize) -> Self {
        Self {
            taken: Cell::new(0),
            taken_max: taken_max.max(1),
            queue: RefCell::default(),
            queue_max,
            left: Cell::new(0),
        }
    }

    /// A turn at once, where nobody waits for one.
    #[inline]
    pub fn try_take(&self) -> Option<Turn<'_>> {
        // A turn that is given back goes to the queue first: none is free while anybody waits.
        if self.taken.get() >= self.taken_max {
            return None;
        }
        self.taken.set(self.taken.get() + 1);
        Some(Turn(self))
    }

    /// A place at the end of the queue.
    ///
    /// # Errors
    /// [`QueueFull`] when so many wait already.
    pub fn wait(&self) -> Result<Wait<'_>, QueueFull> {
        let mut queue = self.queue.borrow_mut();
        if queue.len() - self.left.get() >= self.queue_max {
            return Err(QueueFull);
        }
        // Those who left make way before they are half of the queue, so that it is never twice as long as allowed.
        if self.left.get() * 2 > queue.len() {
            queue.retain(|place| place.state.get() == State::Waiting);
            self.left.set(0);
        }
        let place = Rc::new(Place::default());
        queue.push_back(place.clone());
        Ok(Wait { turns: self, place })
    }

    /// Turns that are taken now.
    pub fn taken(&self) -> usize {
        self.taken.get()
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.queue.borrow().len() - self.left.get()
    }

    /// A turn has ended: the first who still waits gets it.
    fn pass_on(&self) {
        let mut queue = self.queue.borrow_mut();
        while let Some(next) = queue.pop_front() {
            if next.state.get() == State::Waiting {
                next.state.set(State::Called);
                if let Some(waker) = next.waker.take() {
                    waker.wake();
                }
                return;
            }
            self.left.set(self.left.get() - 1);
        }
        self.taken.set(self.taken.get() - 1);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.pass_on();
    }
}

impl<'t> Future for Wait<'t> {
    type Output = Turn<'t>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Turn<'t>> {
        match self.place.state.get() {
            State::Called => {
                self.place.state.set(State::Served);
                Poll::Ready(Turn(self.turns))
            }
            _ => {
                self.place.waker.replace(Some(context.waker().clone()));
                Poll::Pending
            }
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        match self.place.state.replace(State::Left) {
            State::Waiting => self.turns.left.set(self.turns.left.get() + 1),
            // Called, and gone before they heard of it: the turn must not be lost.
            State::Called => self.turns.pass_on(),
            State::Served | State::Left => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polled<'t>(wait: &mut Wait<'t>) -> Option<Turn<'t>> {
        match Pin::new(wait).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Some(turn),
            Poll::Pending => None,
        }
    }

    #[test]
    fn turns_go_in_the_order_of_arrival() {
        let turns = Turns::new(1, 2);
        let first = turns.try_take().unwrap();
        let (mut second, mut third) = (turns.wait().unwrap(), turns.wait().unwrap());
        assert!(turns.try_take().is_none());
        assert_eq!(turns.wait().err(), Some(QueueFull));
        drop(first);
        assert!(turns.try_take().is_none(), "nobody overtakes who was called");
        assert!(polled(&mut third).is_none());
        let second = polled(&mut second).unwrap();
        drop(second);
        assert!(polled(&mut third).is_some());
    }

    #[test]
    fn a_turn_of_somebody_who_has_gone_is_passed_on() {
        let turns = Turns::new(1, 9);
        let first = turns.try_take().unwrap();
        let called = turns.wait().unwrap();
        let mut next = turns.wait().unwrap();
        drop(first);
        drop(called); // it was called, and never looked
        drop(polled(&mut next).unwrap());
        assert_eq!((turns.taken(), turns.waiting()), (0, 0));
    }

    #[test]
    fn those_who_left_do_not_fill_the_queue() {
        let turns = Turns::new(1, 2);
        let _taken = turns.try_take().unwrap();
        for _ in 0..100 {
            drop(turns.wait().unwrap());
        }
        assert!(turns.queue.borrow().len() <= 4, "{}", turns.queue.borrow().len());
        let _waits = (turns.wait().unwrap(), turns.wait().unwrap());
        assert_eq!(turns.wait().err(), Some(QueueFull));
    }
}
