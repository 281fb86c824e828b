//! `Breaker`: a circuit breaker over all cores, as one number and without a lock.
//!
//! Follows gobreaker v2 with one trial call at a time (specification, section 2.22): closed until more than so many
//! calls in a row have failed, open for a while, then half open until the trial call has ended.

use super::tally::Tally;

/// Calls in a row that can fail before the breaker opens; with more it never does.
pub const ERRORS_MAX: u64 = COUNT_MASK - 1;

const STATE_BITS: u32 = 2;
const GENERATION_BITS: u32 = 8;
const COUNT_BITS: u32 = 18;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const GENERATION_MASK: u64 = (1 << GENERATION_BITS) - 1;
const UNTIL_BITS: u32 = u64::BITS - STATE_BITS - GENERATION_BITS - COUNT_BITS;
const UNTIL_MASK: u64 = (1 << UNTIL_BITS) - 1;
/// The unit of moments in the state; 36 bits of it are eight years.
const STEP_MS: u64 = 4;
/// No moment: the state does not end by itself.
const NEVER: u64 = 0;

/// A breaker. Clones are the same breaker.
#[derive(Clone, Debug)]
pub struct Breaker {
    tally: Tally,
    start_ms: u64,
    rules: Rules,
}

/// When a breaker opens and closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// It opens when more calls in a row fail; above [`ERRORS_MAX`] never.
    pub errors_max: u64,
    /// How often failures are forgotten while it is closed; 0 is never.
    pub interval_ms: u64,
    /// How long it is open.
    pub timeout_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Closed,
    HalfOpen,
    Open,
}

/// Why a call is not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    Open,
    /// Half open, and the trial call is under way.
    TooMany,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Success,
    Failure,
    /// Given up: it tells nothing about the upstream.
    Neither,
}

/// From one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    pub from: State,
    pub to: State,
}

/// A call that was let through; what it tells counts only in the generation it began in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    generation: u64,
}

/// The state as its parts.
#[derive(Clone, Copy)]
struct Parts {
    state: State,
    generation: u64,
    /// Failures in a row; half open, trial calls under way.
    count: u64,
    /// In steps since the breaker was made.
    until: u64,
}

// === impl State ===

impl State {
    /// As the log shows it.
    pub fn name(self) -> &'static str {
        match self {
            State::Closed => "closed",
            State::HalfOpen => "half-open",
            State::Open => "open",
        }
    }
}

// === impl Breaker ===

impl Breaker {
    /// A closed one.
    pub fn new(rules: Rules, now_ms: u64) -> Breaker {
        let parts =
            Parts { state: State::Closed, generation: 0, count: 0, until: rules.closed_until(0) };
        Breaker { tally: Tally::new(parts.pack()), start_ms: now_ms, rules }
    }

    /// Asks to let a call through. Every [`Entry`] must come back with [`Breaker::leave`].
    pub fn enter(&self, now_ms: u64) -> (Result<Entry, Refusal>, Option<Change>) {
        let now = self.steps(now_ms);
        self.tally.update(|word| {
            let before = Parts::unpack(word);
            let mut parts = before.rolled(self.rules, now);
            let result = match parts.state {
                State::Open => Err(Refusal::Open),
                State::HalfOpen if parts.count > 0 => Err(Refusal::TooMany),
                State::HalfOpen => {
                    parts.count = 1;
                    Ok(Entry { generation: parts.generation })
                }
                State::Closed => Ok(Entry { generation: parts.generation }),
            };
            (parts.pack(), (result, before.change_to(parts)))
        })
    }

    /// Tells how a call ended.
    pub fn leave(&self, entry: Entry, verdict: Verdict, now_ms: u64) -> Option<Change> {
        let now = self.steps(now_ms);
        self.tally.update(|word| {
            let before = Parts::unpack(word);
            let rolled = before.rolled(self.rules, now);
            let parts = if rolled.generation == entry.generation {
                rolled.told(verdict, self.rules, now)
            } else {
                rolled
            };
            (parts.pack(), before.change_to(parts))
        })
    }

    /// As it would be for a call that comes now.
    pub fn state(&self, now_ms: u64) -> State {
        Parts::unpack(self.tally.get()).rolled(self.rules, self.steps(now_ms)).state
    }

    fn steps(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.start_ms) / STEP_MS
    }
}

// === impl Rules ===

impl Rules {
    fn closed_until(self, now: u64) -> u64 {
        if self.interval_ms == 0 { NEVER } else { later(now, self.interval_ms) }
    }
}

fn later(now: u64, ms: u64) -> u64 {
    now.saturating_add(ms.div_ceil(STEP_MS).max(1)).min(UNTIL_MASK)
}

// === impl Parts ===

impl Parts {
    fn unpack(word: u64) -> Parts {
        let state = match word >> (u64::BITS - STATE_BITS) {
            0 => State::Closed,
            1 => State::HalfOpen,
            _ => State::Open,
        };
        Parts {
            state,
            generation: (word >> (COUNT_BITS + UNTIL_BITS)) & GENERATION_MASK,
            count: (word >> UNTIL_BITS) & COUNT_MASK,
            until: word & UNTIL_MASK,
        }
    }

    fn pack(self) -> u64 {
        let state = match self.state {
            State::Closed => 0,
            State::HalfOpen => 1,
            State::Open => 2,
        };
        state << (u64::BITS - STATE_BITS)
            | self.generation << (COUNT_BITS + UNTIL_BITS)
            | self.count << UNTIL_BITS
            | self.until
    }

    fn to(self, state: State, until: u64) -> Parts {
        let generation = (self.generation + 1) & GENERATION_MASK;
        Parts { state, generation, count: 0, until }
    }

    fn change_to(self, after: Parts) -> Option<Change> {
        (self.state != after.state).then_some(Change { from: self.state, to: after.state })
    }

    /// What the passing of time makes of it.
    fn rolled(self, rules: Rules, now: u64) -> Parts {
        match self.state {
            State::Closed if self.until != NEVER && self.until < now => {
                self.to(State::Closed, rules.closed_until(now))
            }
            State::Open if self.until < now => self.to(State::HalfOpen, NEVER),
            _ => self,
        }
    }

    /// What the end of a call of this generation makes of it.
    fn told(self, verdict: Verdict, rules: Rules, now: u64) -> Parts {
        match (self.state, verdict) {
            (State::Closed, Verdict::Success) => Parts { count: 0, ..self },
            (State::Closed, Verdict::Failure) => {
                let count = (self.count + 1).min(COUNT_MASK);
                if count > rules.errors_max && rules.errors_max <= ERRORS_MAX {
                    return self.to(State::Open, later(now, rules.timeout_ms));
                }
                Parts { count, ..self }
            }
            (State::HalfOpen, Verdict::Success) => self.to(State::Closed, rules.closed_until(now)),
            (State::HalfOpen, Verdict::Failure) => {
                self.to(State::Open, later(now, rules.timeout_ms))
            }
            (State::HalfOpen, Verdict::Neither) => Parts { count: 0, ..self },
            (State::Closed, Verdict::Neither) | (State::Open, _) => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RULES: Rules = Rules { errors_max: 1, interval_ms: 0, timeout_ms: 1000 };

    /// Runs a call to its end and says whether it was let through.
    fn call(breaker: &Breaker, verdict: Verdict, now_ms: u64) -> Result<(), Refusal> {
        let entry = breaker.enter(now_ms).0?;
        breaker.leave(entry, verdict, now_ms);
        Ok(())
    }

    #[test]
    fn it_opens_when_more_than_so_many_fail_in_a_row() {
        let breaker = Breaker::new(RULES, 500);
        for verdict in [Verdict::Failure, Verdict::Success, Verdict::Failure, Verdict::Neither] {
            assert_eq!(call(&breaker, verdict, 600), Ok(()));
        }
        let entry = breaker.enter(600).0.unwrap();
        let opened = Some(Change { from: State::Closed, to: State::Open });
        assert_eq!(breaker.leave(entry, Verdict::Failure, 600), opened);
        assert_eq!(breaker.enter(601), (Err(Refusal::Open), None));
    }

    #[test]
    fn one_trial_call_decides() {
        let breaker = Breaker::new(RULES, 0);
        call(&breaker, Verdict::Failure, 0).unwrap();
        call(&breaker, Verdict::Failure, 0).unwrap();
        assert_eq!(breaker.enter(1000).0, Err(Refusal::Open));
        let (trial, change) = breaker.enter(1010);
        assert_eq!(change, Some(Change { from: State::Open, to: State::HalfOpen }));
        assert_eq!(breaker.enter(1010).0, Err(Refusal::TooMany));
        let reopened = Some(Change { from: State::HalfOpen, to: State::Open });
        assert_eq!(breaker.leave(trial.unwrap(), Verdict::Failure, 1010), reopened);
        assert_eq!(breaker.enter(2000).0, Err(Refusal::Open));
        let trial = breaker.enter(2020).0.unwrap();
        let closed = Some(Change { from: State::HalfOpen, to: State::Closed });
        assert_eq!(breaker.leave(trial, Verdict::Success, 2020), closed);
        assert_eq!(call(&breaker, Verdict::Failure, 2020), Ok(()));
        assert_eq!(call(&breaker, Verdict::Success, 2020), Ok(()));
    }

    #[test]
    fn a_trial_call_that_is_given_up_leaves_room_for_another() {
        let breaker = Breaker::new(RULES, 0);
        call(&breaker, Verdict::Failure, 0).unwrap();
        call(&breaker, Verdict::Failure, 0).unwrap();
        let trial = breaker.enter(1010).0.unwrap();
        assert_eq!(breaker.leave(trial, Verdict::Neither, 1010), None);
        assert!(breaker.enter(1010).0.is_ok());
    }

    #[test]
    fn the_interval_forgets_failures_and_what_began_before_it() {
        let breaker = Breaker::new(Rules { interval_ms: 1000, ..RULES }, 0);
        call(&breaker, Verdict::Failure, 0).unwrap();
        let old = breaker.enter(900).0.unwrap();
        call(&breaker, Verdict::Failure, 1100).unwrap();
        assert_eq!(breaker.leave(old, Verdict::Failure, 1200), None, "of another generation");
        let entry = breaker.enter(1300).0.unwrap();
        assert!(breaker.leave(entry, Verdict::Failure, 1300).is_some(), "the second in a row");
    }

    #[test]
    fn with_too_large_a_bound_it_never_opens() {
        let breaker = Breaker::new(Rules { errors_max: u64::MAX, ..RULES }, 0);
        for _ in 0..COUNT_MASK + 10 {
            call(&breaker, Verdict::Failure, 5).unwrap();
        }
        assert!(breaker.enter(5).0.is_ok());
    }

    /// The same rules with everything in fields of its own, and no bound on any of them.
    struct Model {
        rules: Rules,
        state: State,
        generation: u64,
        failures: u64,
        trials: u64,
        until: Option<u64>,
    }

    impl Model {
        fn set(&mut self, state: State, now: u64) {
            let in_steps = |ms: u64| now + ms.div_ceil(STEP_MS);
            self.state = state;
            self.generation += 1;
            (self.failures, self.trials) = (0, 0);
            self.until = match state {
                State::Closed => {
                    (self.rules.interval_ms > 0).then(|| in_steps(self.rules.interval_ms))
                }
                State::Open => Some(in_steps(self.rules.timeout_ms)),
                State::HalfOpen => None,
            };
        }

        fn roll(&mut self, now: u64) {
            if self.until.is_some_and(|until| until < now) {
                let next = if self.state == State::Open { State::HalfOpen } else { self.state };
                self.set(next, now);
            }
        }

        fn enter(&mut self, now: u64) -> Result<u64, Refusal> {
            self.roll(now);
            match self.state {
                State::Open => Err(Refusal::Open),
                State::HalfOpen if self.trials > 0 => Err(Refusal::TooMany),
                _ => {
                    self.trials += 1;
                    Ok(self.generation)
                }
            }
        }

        fn leave(&mut self, generation: u64, verdict: Verdict, now: u64) {
            self.roll(now);
            if generation != self.generation {
                return;
            }
            match (self.state, verdict) {
                (State::Closed, Verdict::Success) => self.failures = 0,
                (State::Closed, Verdict::Failure) => {
                    self.failures += 1;
                    if self.failures > self.rules.errors_max {
                        self.set(State::Open, now);
                    }
                }
                (State::HalfOpen, Verdict::Success) => self.set(State::Closed, now),
                (State::HalfOpen, Verdict::Failure) => self.set(State::Open, now),
                (State::HalfOpen, Verdict::Neither) => self.trials = 0,
                _ => {}
            }
        }
    }

    proptest! {
        #[test]
        fn any_sequence_of_calls_is_decided_as_by_the_model(
            errors_max in 0_u64..4,
            interval_ms in prop_oneof![Just(0_u64), 1_u64..3000],
            timeout_ms in 1_u64..3000,
            steps in prop::collection::vec((0_u64..800, 0_usize..6, 0_u8..3), 1..120),
        ) {
            let rules = Rules { errors_max, interval_ms, timeout_ms };
            let mut now_ms = 12_345;
            let breaker = Breaker::new(rules, now_ms);
            let mut model = Model {
                rules, state: State::Closed, generation: 0, failures: 0, trials: 0, until: None,
            };
            model.set(State::Closed, 0);
            let mut under_way: Vec<(Entry, u64)> = Vec::new();
            for (pause_ms, which, verdict) in steps {
                now_ms += pause_ms;
                let now = (now_ms - 12_345) / STEP_MS;
                if which < under_way.len() {
                    let verdict = [Verdict::Success, Verdict::Failure, Verdict::Neither][usize::from(verdict)];
                    let (entry, generation) = under_way.swap_remove(which);
                    breaker.leave(entry, verdict, now_ms);
                    model.leave(generation, verdict, now);
                } else {
                    let (result, _) = breaker.enter(now_ms);
                    let expected = model.enter(now);
                    prop_assert_eq!(result.map(|_| ()), expected.map(|_| ()));
                    if let (Ok(entry), Ok(generation)) = (result, expected) {
                        under_way.push((entry, generation));
                    }
                }
                prop_assert_eq!(Parts::unpack(breaker.tally.get()).state, model.state);
            }
        }
    }
}
