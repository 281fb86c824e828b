//! One core's bookkeeping under random traffic in virtual time: admission, a rate limit, a breaker, ejected hosts, a budget
//! of retries, deadlines, turns to dial, and connections that are lent, kept and closed. All of it is the code that runs in the gateway; only sockets, peers and
//! time are made up.
//!
//! Every seed is another sequence of clients, upstreams that close or talk unasked, requests that are given up, and
//! orders in which tasks run. After each step the counts must fit what the model knows. `SHOAL_SIM_SEEDS=100000` runs
//! more of them, `SHOAL_SIM_SEED=17` repeats one.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::guards::{Guards, Tally};
use super::world::{Clock, Dice, Tasks};
use crate::net::clock::Tick;
use crate::net::deadline::{GRAIN_MS, Table};
use crate::shared::admission::{Admission, Refusal, Ticket};
use crate::shared::breaker::Verdict;
use crate::shared::tally::{Rate, TokenBucket};
use crate::upstream::turns::{QueueFull, Turns};
use crate::wire::http1::idle::{IdleList, Kept, Lease};

const SEEDS: u64 = 400;
const STEPS: usize = 400;
/// Everything has a deadline: what has not ended by then never will.
const END_MS: u64 = 60_000;

/// What a run is about, drawn from its seed.
struct Bounds {
    dials_max: usize,
    waiting_max: usize,
    idle_max: usize,
    idle_ms: u64,
    open_max: u32,
    per_address_max: u32,
    capacity: u64,
    /// Requests a second.
    rate: u32,
}

/// A socket as the kernel would see it. Numbers are given out anew, the lowest free one first.
#[derive(Default)]
struct Socket {
    due_ms: Option<u64>,
    is_shut: bool,
    waits: Option<Waker>,
    peer_closed: bool,
    surplus: bool,
}

struct Core {
    bounds: Bounds,
    dice: Dice,
    clock: Rc<Clock>,
    /// Counts the steps of the driver: what a peer did in an earlier one has arrived.
    turn: Cell<u64>,
    table: RefCell<Table>,
    sockets: RefCell<BTreeMap<RawFd, Socket>>,
    admission: Admission,
    clients: RefCell<BTreeMap<IpAddr, u32>>,
    bucket: TokenBucket,
    taken: Cell<u64>,
    guards: Guards,
    dials: Turns,
    dialing: Cell<usize>,
    waiting: RefCell<BTreeSet<u64>>,
    arrivals: Cell<u64>,
    idle: Rc<IdleList<Wire>>,
    /// Connections to the upstream that exist, and those that a request has.
    wires: Cell<usize>,
    lent: RefCell<BTreeSet<RawFd>>,
    answered: Cell<u64>,
}

/// A socket with its entry in the table.
struct Watched {
    core: Rc<Core>,
    socket: RawFd,
    slot: usize,
}

impl Watched {
    fn open(core: &Rc<Core>) -> Self {
        let mut sockets = core.sockets.borrow_mut();
        let socket = (0..RawFd::MAX).find(|number| !sockets.contains_key(number)).unwrap();
        sockets.insert(socket, Socket::default());
        Self { core: core.clone(), socket, slot: core.table.borrow_mut().enter(socket) }
    }

    fn with<R>(&self, run: impl FnOnce(&mut Socket) -> R) -> R {
        run(self.core.sockets.borrow_mut().get_mut(&self.socket).unwrap())
    }

    fn arm(&self, at_ms: u64) {
        self.core.table.borrow_mut().arm(self.slot, Tick::from_ms(at_ms));
        self.with(|socket| socket.due_ms = (!socket.is_shut).then_some(at_ms));
    }

    fn disarm(&self) {
        self.core.table.borrow_mut().disarm(self.slot);
        self.with(|socket| socket.due_ms = None);
    }

    /// Something that takes time on this socket; false when its deadline was faster.
    async fn io(&self, ms: u64) -> bool {
        let mut sleep = pin!(self.core.clock.sleep_until(self.core.now_ms() + ms));
        poll_fn(|context| {
            if self.core.table.borrow().has_expired(self.slot) {
                assert!(self.with(|socket| socket.is_shut), "expired, but its socket is open");
                return Poll::Ready(false);
            }
            if sleep.as_mut().poll(context).is_ready() {
                return Poll::Ready(true);
            }
            self.with(|socket| socket.waits = Some(context.waker().clone()));
            Poll::Pending
        })
        .await
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.core.table.borrow_mut().leave(self.slot);
        self.core.sockets.borrow_mut().remove(&self.socket);
    }
}

/// A connection to the upstream.
struct Wire {
    watched: Watched,
    idle_since: Tick,
    is_reused: bool,
    /// The turn in which the read for the next answer began: it takes nothing before the next one.
    reading_since: Option<u64>,
}

impl Wire {
    fn looks_quiet(&self) -> bool {
        self.watched.with(|socket| !socket.peer_closed && !socket.surplus && !socket.is_shut)
    }
}

impl Kept for Wire {
    fn idle_since(&self) -> Tick {
        self.idle_since
    }

    fn is_quiet(&mut self) -> bool {
        self.reading_since == Some(self.watched.core.turn.get()) || self.looks_quiet()
    }

    fn rest(&mut self, now: Tick) {
        self.watched.disarm();
        self.idle_since = now;
        self.is_reused = true;
    }

    fn listen(&mut self, may_hold_more: bool) -> bool {
        let core = &self.watched.core;
        if core.table.borrow().has_expired(self.watched.slot)
            || (may_hold_more && !self.looks_quiet())
        {
            return false;
        }
        self.reading_since = Some(core.turn.get());
        self.is_quiet()
    }

    fn stop_listening(&mut self) {
        self.reading_since = None;
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let wires = &self.watched.core.wires;
        wires.set(wires.get() - 1);
    }
}

/// Undoes what the model noted when it goes, however that comes about.
struct Noted<F: FnMut()>(F);

impl<F: FnMut()> Drop for Noted<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

impl Core {
    fn new(seed: u64) -> Rc<Self> {
        let dice = Dice::new(seed);
        let below = |sides| usize::try_from(dice.roll(sides)).unwrap();
        let narrow = |sides| u32::try_from(1 + dice.roll(sides)).unwrap();
        let bounds = Bounds {
            dials_max: 1 + below(4),
            waiting_max: 1 + below(12),
            idle_max: below(6),
            idle_ms: [0, 40, 700][below(3)],
            open_max: narrow(40),
            per_address_max: narrow(15),
            capacity: 1 + dice.roll(40),
            rate: [30, 1000][below(2)],
        };
        let clock: Rc<Clock> = Rc::default();
        let admission = Admission::new(Some(bounds.open_max), Some(bounds.per_address_max));
        Rc::new(Self {
            guards: Guards::new(&dice, clock.clone()),
            clock,
            turn: Cell::new(0),
            table: RefCell::default(),
            sockets: RefCell::default(),
            admission: admission.unwrap(),
            clients: RefCell::default(),
            bucket: TokenBucket::new(Rate::new(f64::from(bounds.rate), bounds.capacity), 0),
            taken: Cell::new(0),
            dials: Turns::new(bounds.dials_max, bounds.waiting_max),
            dialing: Cell::new(0),
            waiting: RefCell::default(),
            arrivals: Cell::new(0),
            idle: Rc::new(IdleList::new(bounds.idle_max, bounds.idle_ms)),
            wires: Cell::new(0),
            lent: RefCell::default(),
            answered: Cell::new(0),
            bounds,
            dice,
        })
    }

    fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    fn now(&self) -> Tick {
        Tick::from_ms(self.now_ms())
    }

    /// The table shuts a socket down: it must be open, and its own deadline must have passed.
    fn shut(&self, number: RawFd) {
        let mut sockets = self.sockets.borrow_mut();
        let socket = sockets.get_mut(&number).expect("a deadline hit a socket that is closed");
        let due_ms = socket.due_ms.take().expect("a deadline hit a socket that has none");
        assert!(due_ms <= self.now_ms(), "due at {due_ms}, shut at {}", self.now_ms());
        socket.is_shut = true;
        if let Some(waker) = socket.waits.take() {
            waker.wake();
        }
    }

    fn may_pass(&self) -> bool {
        // Cores read clocks that lag behind each other.
        let lag_ms = self.dice.roll(3) * self.dice.roll(5);
        let passes = self.bucket.take(self.now_ms().saturating_sub(lag_ms) * 1_000_000);
        self.taken.set(self.taken.get() + u64::from(passes));
        passes
    }

    fn enter(self: &Rc<Self>, address: IpAddr) -> Option<(Ticket, impl Drop + use<>)> {
        let of_address = self.clients.borrow().get(&address).copied().unwrap_or(0);
        let all: u32 = self.clients.borrow().values().sum();
        match self.admission.enter(address) {
            Err(Refusal::Full) => assert_eq!(all, self.bounds.open_max, "refused with room left"),
            Err(Refusal::AddressFull) => assert_eq!(of_address, self.bounds.per_address_max),
            Ok(ticket) => {
                *self.clients.borrow_mut().entry(address).or_default() += 1;
                let core = self.clone();
                let leave = move || *core.clients.borrow_mut().get_mut(&address).unwrap() -= 1;
                return Some((ticket, Noted(leave)));
            }
        }
        None
    }

    /// As `Pool::open` does it.
    async fn open(self: &Rc<Self>, deadline_ms: u64) -> Result<Wire, ()> {
        let turn = match self.dials.try_take() {
            Some(turn) => {
                assert_eq!(self.dials.waiting(), 0, "somebody was overtaken");
                turn
            }
            None => self.wait(deadline_ms).await?,
        };
        self.dialing.set(self.dialing.get() + 1);
        let _dialing = Noted(|| self.dialing.set(self.dialing.get() - 1));
        let _turn = turn;
        if let Some(wire) = self.idle.take(self.now()) {
            return Ok(wire);
        }
        let ms = self.dice.roll(60);
        self.clock.sleep_until((self.now_ms() + ms).min(deadline_ms)).await;
        if self.now_ms() >= deadline_ms || self.dice.one_in(8) {
            return Err(());
        }
        self.wires.set(self.wires.get() + 1);
        self.idle.opened();
        let watched = Watched::open(self);
        Ok(Wire { watched, idle_since: self.now(), is_reused: false, reading_since: None })
    }

    async fn wait(&self, deadline_ms: u64) -> Result<crate::upstream::turns::Turn<'_>, ()> {
        let wait = match self.dials.wait() {
            Ok(wait) => wait,
            Err(QueueFull) => {
                assert_eq!(self.dials.waiting(), self.bounds.waiting_max);
                return Err(());
            }
        };
        let number = self.arrivals.get() + 1;
        self.arrivals.set(number);
        self.waiting.borrow_mut().insert(number);
        let _waiting = Noted(|| assert!(self.waiting.borrow_mut().remove(&number)));
        let (mut wait, mut sleep) = (pin!(wait), pin!(self.clock.sleep_until(deadline_ms)));
        let turn = poll_fn(|context| match wait.as_mut().poll(context) {
            Poll::Ready(turn) => Poll::Ready(Ok(turn)),
            Poll::Pending => sleep.as_mut().poll(context).map(Err),
        });
        let turn = turn.await?;
        // Who was called earlier may only not have run yet.
        let earlier = self.waiting.borrow().range(..number).count();
        assert!(earlier < self.bounds.dials_max, "{earlier} came earlier and still wait");
        Ok(turn)
    }

    /// As `Pool::exchange` does it.
    async fn exchange(self: &Rc<Self>, deadline_ms: u64) -> Result<(), ()> {
        let mut kept_allowed = true;
        loop {
            let kept = if kept_allowed { self.idle.take(self.now()) } else { None };
            let wire = match kept {
                Some(wire) => wire,
                None => self.open(deadline_ms).await?,
            };
            let socket = wire.watched.socket;
            assert!(wire.looks_quiet(), "lent although its peer had closed it or sent something");
            assert!(self.lent.borrow_mut().insert(socket), "lent twice");
            let _lent = Noted(|| assert!(self.lent.borrow_mut().remove(&socket)));
            let is_reused = wire.is_reused;
            let mut lease = Lease::new(wire, self.idle.clone());
            let watched = &lease.get().unwrap().watched;
            watched.arm(deadline_ms);
            let ms = self.dice.roll(8) * self.dice.roll(60);
            if !watched.io(ms).await {
                assert!(self.now_ms() >= deadline_ms);
                return Err(());
            }
            match self.dice.roll(10) {
                // Closed before the answer; a request on a kept connection is sent once more.
                0 if is_reused => kept_allowed = false,
                0 | 1 => return Err(()),
                what => {
                    // Something follows the answer, and the last read may have left it in the socket.
                    let is_surplus = what == 2;
                    watched.with(|socket| socket.surplus |= is_surplus);
                    lease.give_back(self.now(), is_surplus || what == 3);
                    return Ok(());
                }
            }
        }
    }

    /// As a call of a backend goes: past the breaker, to a host that is not ejected, and again where the budget allows it.
    async fn call(self: &Rc<Self>, deadline_ms: u64) -> bool {
        let guards = &self.guards;
        let Some(mut pass) = guards.enter() else { return false };
        guards.begin();
        loop {
            let host = guards.pick(&self.dice);
            let is_failure = self.exchange(deadline_ms).await.is_err();
            guards.note(&host, is_failure);
            let pause_ms = self.dice.roll(30);
            let has_time = self.now_ms() + pause_ms < deadline_ms;
            if !is_failure || !has_time || !guards.may_retry() {
                pass.tell(if is_failure { Verdict::Failure } else { Verdict::Success });
                return !is_failure;
            }
            self.clock.sleep_until(self.now_ms() + pause_ms).await;
        }
    }

    async fn client(self: Rc<Self>, address: IpAddr) {
        let Some(_place) = self.enter(address) else { return };
        let watched = Watched::open(&self);
        for _ in 0..=self.dice.roll(4) {
            watched.arm(self.now_ms() + 100 + self.dice.roll(300));
            if !watched.io(self.dice.roll(20) * self.dice.roll(20)).await {
                return; // no request came in time
            }
            watched.disarm();
            if self.may_pass() {
                let deadline_ms = self.now_ms() + 20 + self.dice.roll(400);
                let is_answered = self.call(deadline_ms).await;
                self.answered.set(self.answered.get() + u64::from(is_answered));
            }
        }
    }

    /// As `deadline::sweep_forever` does it.
    async fn sweep_forever(self: Rc<Self>) {
        loop {
            let next = self.table.borrow_mut().sweep(self.now(), |socket, _| self.shut(socket));
            self.table.borrow_mut().plan(next);
            let mut sleep = next.map(|at| Box::pin(self.clock.sleep_until(at.as_ms())));
            poll_fn(|context| {
                if let Some(sleep) = &mut sleep
                    && sleep.as_mut().poll(context).is_ready()
                {
                    return Poll::Ready(());
                }
                if self.table.borrow_mut().sleep_until(next, context.waker()) {
                    return Poll::Pending;
                }
                Poll::Ready(())
            })
            .await;
        }
    }

    /// An upstream closes a kept connection, or sends what nobody asked for.
    fn disturb_one(&self) {
        let lent = self.lent.borrow();
        let mut sockets = self.sockets.borrow_mut();
        // Clients' sockets are among them, where this means nothing.
        let free: Vec<RawFd> =
            sockets.keys().copied().filter(|number| !lent.contains(number)).collect();
        if let Some(number) = free.get(self.dice.index(free.len())) {
            let socket = sockets.get_mut(number).unwrap();
            if self.dice.one_in(2) {
                socket.peer_closed = true;
            } else {
                socket.surplus = true;
            }
        }
    }

    /// What holds between any two steps.
    fn check(&self) {
        let (dials, bounds) = (&self.dials, &self.bounds);
        assert!(dials.taken() <= bounds.dials_max && self.dialing.get() <= dials.taken());
        assert!(dials.waiting() <= bounds.waiting_max);
        assert!(
            dials.waiting() == 0 || dials.taken() == bounds.dials_max,
            "{} wait for a turn although one is free",
            dials.waiting()
        );
        assert_eq!(self.idle.open(), self.wires.get(), "open connections are miscounted");
        assert_eq!(self.idle.len() + self.lent.borrow().len(), self.wires.get());
        assert!(self.idle.len() <= bounds.idle_max);
        let clients = self.clients.borrow();
        assert_eq!(self.admission.open(), clients.values().sum::<u32>());
        assert!(self.admission.open() <= bounds.open_max);
        assert!(clients.values().all(|count| *count <= bounds.per_address_max));
        let intervals = self.now_ms() * u64::from(bounds.rate) / 1000;
        assert!(self.taken.get() <= bounds.capacity + intervals, "the rate was exceeded");
        self.guards.check();
        let (entries, moments) = self.table.borrow().sizes();
        assert_eq!(entries, self.sockets.borrow().len());
        assert!(moments <= self.table.borrow().moments_max());
    }

    /// What holds when everybody waits: no deadline has been missed.
    fn check_at_rest(&self) {
        let now_ms = self.now_ms();
        for (number, socket) in self.sockets.borrow().iter() {
            let late = socket.due_ms.filter(|due_ms| due_ms.next_multiple_of(GRAIN_MS) <= now_ms);
            assert_eq!(late, None, "socket {number} is past its deadline at {now_ms}");
        }
    }
}

/// Runs tasks until all of them wait.
fn settle(core: &Core, tasks: &mut Tasks) {
    while tasks.run_one(&core.dice) {
        core.check();
    }
    core.check_at_rest();
}

fn simulate(seed: u64) -> Tally {
    let core = Core::new(seed);
    let mut tasks = Tasks::default();
    tasks.spawn(core.clone().sweep_forever());
    for _ in 0..STEPS {
        core.turn.set(core.turn.get() + 1);
        match core.dice.roll(16) {
            0..=5 => {
                let last = u8::try_from(1 + core.dice.roll(4)).unwrap();
                tasks.spawn(core.clone().client(IpAddr::from([10, 0, 0, last])));
            }
            6 => tasks.cancel_one(&core.dice),
            7 => core.disturb_one(),
            8 => core.idle.sweep(core.now()),
            // Some run, and the next event finds the others still waiting for their turn.
            9 | 10 => drop(tasks.run_one(&core.dice)),
            11 => core.clock.advance_to(core.now_ms() + core.dice.roll(30)),
            _ => {
                settle(&core, &mut tasks);
                if let Some(at_ms) = core.clock.next_ms() {
                    core.clock.advance_to(at_ms);
                }
            }
        }
        core.check();
    }
    settle(&core, &mut tasks);
    while tasks.len() > 1 {
        core.turn.set(core.turn.get() + 1);
        let next_ms = core.clock.next_ms().expect("somebody waits for something that never comes");
        assert!(next_ms < END_MS, "{} tasks do not end", tasks.len() - 1);
        core.clock.advance_to(next_ms);
        settle(&core, &mut tasks);
    }
    assert_eq!((core.dials.taken(), core.dials.waiting(), core.lent.borrow().len()), (0, 0, 0));
    assert_eq!(core.admission.open(), 0);
    core.guards.check_at_end(core.now_ms() + END_MS);
    if core.bounds.idle_ms > 0 {
        core.idle.sweep(core.now().plus_ms(core.bounds.idle_ms));
        assert_eq!((core.idle.open(), core.table.borrow().sizes().0), (0, 0));
    }
    // Upstreams close what is still kept.
    core.turn.set(core.turn.get() + 1);
    core.sockets.borrow_mut().values_mut().for_each(|socket| socket.peer_closed = true);
    core.idle.sweep(core.now());
    assert_eq!((core.idle.open(), core.table.borrow().sizes().0), (0, 0));
    Tally { answered: core.answered.get(), ..core.guards.tally() }
}

/// Says how to repeat a run that failed.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("SHOAL_SIM_SEED={} cargo test --lib simulation repeats this", self.0);
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number of seeds, or a seed"))
}

#[test]
fn no_order_of_events_breaks_the_books() {
    let seeds = number("SHOAL_SIM_SEED")
        .map_or(0..number("SHOAL_SIM_SEEDS").unwrap_or(SEEDS), |seed| seed..seed + 1);
    let count = seeds.end - seeds.start;
    let mut all = Tally::default();
    for seed in seeds {
        let _named = Named(seed);
        all += simulate(seed);
    }
    println!("{count} runs: {all:?}");
    assert!(all.answered > count * 5, "hardly anything was answered: {all:?} in {count} runs");
    let rare = [all.refused, all.ejections, all.retries, all.refused_retries, all.trials];
    assert!(
        count < SEEDS || rare.iter().all(|times| *times > count / 4),
        "{all:?} in {count} runs"
    );
    assert!(count < SEEDS || all.given_up_trials > 0, "no trial call was given up: {all:?}");
}
