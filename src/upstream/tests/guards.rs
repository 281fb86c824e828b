//! What stands before a call in the simulation: a breaker, hosts that are ejected, a budget of retries; and what must hold
//! of them whatever happens.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::world::{Clock, Dice};
use crate::shared::breaker::{self, Breaker, Entry, State, Verdict};
use crate::shared::hosts::outlier::{self, Ratio};
use crate::shared::hosts::{GroupRules, HostGroup, Member, State as HostState};
use crate::shared::retry_budget::{self, RetryBudget, WINDOW_MS};

/// The unit of the breaker's moments, in milliseconds.
const BREAKER_STEP_MS: u64 = 4;

pub struct Guards {
    clock: Rc<Clock>,
    rules: breaker::Rules,
    breaker: Breaker,
    /// When it opened last; and whether a trial call is under way.
    opened_ms: Cell<Option<u64>>,
    trials: Cell<usize>,
    group: HostGroup,
    ejected_max: usize,
    budget: RetryBudget,
    budget_rules: retry_budget::Rules,
    /// Calls and retries of each window.
    windows: RefCell<BTreeMap<u64, (u64, u64)>>,
    tally: RefCell<Tally>,
}

/// What came to pass in a run, so that a simulation in which nothing happens is noticed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub answered: u64,
    pub refused: u64,
    pub trials: u64,
    pub given_up_trials: u64,
    pub ejections: u64,
    pub retries: u64,
    pub refused_retries: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.answered += other.answered;
        self.refused += other.refused;
        self.trials += other.trials;
        self.given_up_trials += other.given_up_trials;
        self.ejections += other.ejections;
        self.retries += other.retries;
        self.refused_retries += other.refused_retries;
    }
}

/// A call that the breaker has let through. One that is given up tells so by itself, as the feature's does.
pub struct Pass<'g> {
    guards: &'g Guards,
    entry: Option<Entry>,
    is_trial: bool,
}

impl Guards {
    pub fn new(dice: &Dice, clock: Rc<Clock>) -> Guards {
        let hosts = 1 + dice.index(4);
        let rules = breaker::Rules {
            errors_max: dice.roll(8),
            interval_ms: [0, 300][dice.index(2)],
            timeout_ms: 20 + dice.roll(200),
        };
        let outliers = outlier::Rules {
            consecutive: 1 + dice.roll(4),
            ratio: dice.one_in(2).then_some(Ratio { percent: 60, window_ms: 100, requests_min: 4 }),
            ejection_ms: 1 + dice.roll(200),
            ejection_max_ms: 400,
            ejected_percent_max: 1 + dice.roll(100),
            return_ms: dice.roll(200),
            statuses: [].into(),
        };
        let ejected_max = outliers.ejected_max(hosts);
        let budget_rules =
            retry_budget::Rules { percent: dice.roll(101), min_per_s: dice.roll(10) };
        let group = GroupRules { outliers: Some(outliers), ..GroupRules::default() };
        let origins = ["http://a", "http://b", "http://c", "http://d"];
        Guards {
            breaker: Breaker::new(rules, clock.now_ms()),
            rules,
            opened_ms: Cell::default(),
            trials: Cell::default(),
            group: HostGroup::new(group, None, origins.into_iter().take(hosts)),
            ejected_max,
            budget: RetryBudget::new(budget_rules),
            budget_rules,
            windows: RefCell::default(),
            tally: RefCell::default(),
            clock,
        }
    }

    fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// Asks the breaker; `None`: it refuses.
    pub fn enter(&self) -> Option<Pass<'_>> {
        let now_ms = self.now_ms();
        let (result, _) = self.breaker.enter(now_ms);
        let is_trial = self.breaker.state(now_ms) == State::HalfOpen;
        let Ok(entry) = result else {
            self.tally.borrow_mut().refused += 1;
            return None;
        };
        if let Some(opened_ms) = self.opened_ms.get() {
            let open_ms = now_ms - opened_ms;
            assert!(
                open_ms + BREAKER_STEP_MS >= self.rules.timeout_ms,
                "open, and let one through"
            );
        }
        if is_trial {
            self.trials.set(self.trials.get() + 1);
            self.tally.borrow_mut().trials += 1;
        }
        assert!(self.trials.get() <= 1, "two trial calls at once");
        Some(Pass { guards: self, entry: Some(entry), is_trial })
    }

    /// A host for the next attempt: never one that is ejected.
    pub fn pick(&self, dice: &Dice) -> Arc<Member> {
        let now_ms = self.now_ms();
        let picked = self.group.pick(now_ms, || dice.roll(u64::MAX), |_| false);
        let member = picked.expect("somebody is always left").member;
        let ours = |(other, _): &(Arc<Member>, HostState)| Arc::ptr_eq(other, &member);
        let state = self.group.members(now_ms).into_iter().find(ours).expect("one of us").1;
        assert!(!matches!(state, HostState::Ejected(_)), "picked while it is ejected");
        member
    }

    pub fn note(&self, member: &Member, is_failure: bool) {
        self.group.note(member, is_failure, self.now_ms());
    }

    pub fn begin(&self) {
        let now_ms = self.now_ms();
        self.budget.note_call(now_ms);
        self.windows.borrow_mut().entry(now_ms / WINDOW_MS).or_default().0 += 1;
    }

    pub fn may_retry(&self) -> bool {
        let now_ms = self.now_ms();
        let is_allowed = self.budget.take(now_ms);
        let mut windows = self.windows.borrow_mut();
        windows.entry(now_ms / WINDOW_MS).or_default().1 += u64::from(is_allowed);
        let mut tally = self.tally.borrow_mut();
        *(if is_allowed { &mut tally.retries } else { &mut tally.refused_retries }) += 1;
        is_allowed
    }

    /// What came to pass so far.
    pub fn tally(&self) -> Tally {
        let members = self.group.members(self.now_ms());
        let ejections = members.iter().map(|(member, _)| member.ejections()).sum();
        Tally { ejections, ..*self.tally.borrow() }
    }

    /// What holds between any two steps.
    pub fn check(&self) {
        let now_ms = self.now_ms();
        let members = self.group.members(now_ms);
        let ejected = members.iter().filter(|(_, state)| matches!(state, HostState::Ejected(_)));
        assert!(ejected.count() <= self.ejected_max, "too many hosts are ejected");
        let rules = &self.budget_rules;
        for (calls, retries) in self.windows.borrow().values() {
            let most = calls * rules.percent / 100 + rules.min_per_s * WINDOW_MS / 1000;
            assert!(*retries <= most, "{retries} retries of {calls} calls");
        }
    }

    /// What holds when every call has ended, and time has passed: nothing is shut for ever.
    pub fn check_at_end(&self, long_after_ms: u64) {
        assert_eq!(self.trials.get(), 0);
        let (result, _) = self.breaker.enter(long_after_ms);
        let entry = result.expect("a trial call that was given up is still waited for");
        self.breaker.leave(entry, Verdict::Success, long_after_ms);
        assert_eq!(self.breaker.state(long_after_ms), State::Closed);
        let states = self.group.members(long_after_ms);
        assert!(states.iter().all(|(_, state)| *state == HostState::Up), "not all have come back");
    }
}

impl Pass<'_> {
    pub fn tell(&mut self, verdict: Verdict) {
        let Some(entry) = self.entry.take() else { return };
        let guards = self.guards;
        let now_ms = guards.now_ms();
        if self.is_trial {
            guards.trials.set(guards.trials.get() - 1);
            guards.tally.borrow_mut().given_up_trials += u64::from(verdict == Verdict::Neither);
        }
        if let Some(change) = guards.breaker.leave(entry, verdict, now_ms) {
            guards.opened_ms.set((change.to == State::Open).then_some(now_ms));
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.tell(Verdict::Neither);
    }
}
