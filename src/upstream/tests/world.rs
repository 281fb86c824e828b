//! Virtual time, and tasks that live in it: which of those that are ready runs next is a matter of dice.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Numbers that look random and are the same for the same seed.
pub struct Dice(Cell<u64>);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    /// A number below `sides`.
    pub fn roll(&self, sides: u64) -> u64 {
        // splitmix64: neighbouring seeds have nothing in common.
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides.max(1)
    }

    pub fn index(&self, length: usize) -> usize {
        usize::try_from(self.roll(length as u64)).unwrap()
    }

    pub fn one_in(&self, sides: u64) -> bool {
        self.roll(sides) == 0
    }
}

/// The time, in milliseconds, and who sleeps until when.
#[derive(Default)]
pub struct Clock {
    now_ms: Cell<u64>,
    sleepers: RefCell<BTreeMap<(u64, u64), Waker>>,
    next: Cell<u64>,
}

impl Clock {
    pub fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    pub fn sleep_until(self: &Rc<Self>, at_ms: u64) -> Sleep {
        self.next.set(self.next.get() + 1);
        Sleep { clock: self.clone(), key: (at_ms, self.next.get()) }
    }

    /// When the next sleeper wakes.
    pub fn next_ms(&self) -> Option<u64> {
        self.sleepers.borrow().first_key_value().map(|((at_ms, _), _)| *at_ms)
    }

    /// Lets time pass, and wakes whose time has come.
    pub fn advance_to(&self, to_ms: u64) {
        assert!(to_ms >= self.now_ms());
        self.now_ms.set(to_ms);
        let later = self.sleepers.borrow_mut().split_off(&(to_ms + 1, 0));
        let due = self.sleepers.replace(later);
        due.into_values().for_each(Waker::wake);
    }
}

pub struct Sleep {
    clock: Rc<Clock>,
    key: (u64, u64),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.clock.now_ms() >= self.key.0 {
            return Poll::Ready(());
        }
        self.clock.sleepers.borrow_mut().insert(self.key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.clock.sleepers.borrow_mut().remove(&self.key);
    }
}

/// Whether a task was woken.
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    flag: Arc<Flag>,
}

/// The tasks of one simulated core.
#[derive(Default)]
pub struct Tasks(Vec<Task>);

impl Tasks {
    pub fn spawn(&mut self, future: impl Future<Output = ()> + 'static) {
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        self.0.push(Task { future: Box::pin(future), flag });
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Polls one of the tasks that are ready; false when there is none.
    pub fn run_one(&mut self, dice: &Dice) -> bool {
        let is_ready = |task: &Task| task.flag.0.load(Ordering::Relaxed);
        let ready: Vec<usize> = (0..self.0.len()).filter(|&at| is_ready(&self.0[at])).collect();
        if ready.is_empty() {
            return false;
        }
        let at = ready[dice.index(ready.len())];
        let task = &mut self.0[at];
        task.flag.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(task.flag.clone());
        if task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            drop(self.0.swap_remove(at));
        }
        true
    }

    /// Drops a task wherever it is; the first one stays.
    pub fn cancel_one(&mut self, dice: &Dice) {
        if self.0.len() > 1 {
            let at = 1 + dice.index(self.0.len() - 1);
            drop(self.0.swap_remove(at));
        }
    }
}
