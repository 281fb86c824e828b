//! `qos/circuit-breaker`: stop calling a backend that fails.
//!
//! Follows krakend-circuitbreaker, gobreaker/gobreaker.go (specification, section 2.22).

use std::sync::Arc;

use super::options::Options;
use crate::config::extra::Block;
use crate::plan::feature::{CallSlot, Fallback, Feature, Scope, Site};
use crate::shared::board::Board;
use crate::shared::breaker::{Breaker, Change, ERRORS_MAX, Entry, Refusal, Rules, Verdict};
use crate::stage::{Call, CallStage, Cause, Failure, Outcome, Step, clock};

pub struct CircuitBreaker;

const TIMEOUT_DEFAULT_S: u64 = 60;
/// A year: longer than that is for ever.
const PERIOD_MAX_S: u64 = 366 * 24 * 3600;

impl Feature for CircuitBreaker {
    fn namespace(&self) -> &'static str {
        "qos/circuit-breaker"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Backend]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(&["interval", "log_status_change", "max_errors", "name", "timeout"])
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let Site::Backend(draft) = site else { return Ok(()) };
        let mut options = Options::of(block)?;
        let interval_s = options.seconds("interval", PERIOD_MAX_S);
        let timeout_s = options.seconds("timeout", PERIOD_MAX_S);
        let errors_max = options.count("max_errors", ERRORS_MAX + 1);
        let name = options.text("name");
        let logs = options.flag("log_status_change");
        if errors_max > ERRORS_MAX {
            options.mistake("max_errors", "is too large", "the breaker would never open");
        }
        if (interval_s, timeout_s, errors_max, name.as_str(), logs) == (0, 0, 0, "", false) {
            options.warn("max_errors", "is not given, so the block has no effect");
            return options.finish();
        }
        let rules = Rules {
            errors_max,
            interval_ms: interval_s * 1000,
            timeout_ms: 1000 * if timeout_s == 0 { TIMEOUT_DEFAULT_S } else { timeout_s },
        };
        let make = || Breaker::new(rules, clock::now().as_ms());
        let breaker = Breaker::clone(&draft.common.kept(block, "", make));
        let name: Arc<str> = name.into();
        let shown = match (&*name, &block.place.endpoint) {
            ("", Some(endpoint)) => format!("{endpoint} {}", backend_of(&block.place.path)),
            _ => name.to_string(),
        };
        draft.common.get::<Board>().add(shown, breaker.clone());
        let build = Box::new(move || {
            let stage = Stage { breaker: breaker.clone(), name: name.clone(), logs };
            Box::new(stage) as Box<dyn CallStage>
        });
        draft.stages.push((CallSlot::CircuitBreaker, build));
        options.finish()
    }
}

/// `backend[1]` of `endpoints[0].backend[1].extra_config.qos/circuit-breaker`.
fn backend_of(path: &str) -> &str {
    path.split('.').find(|step| step.starts_with("backend[")).unwrap_or("backend")
}

/// The breaker at work on one core.
struct Stage {
    breaker: Breaker,
    name: Arc<str>,
    logs: bool,
}

/// A call that was let through. One that is given up half-way tells so by itself.
struct Pass {
    breaker: Breaker,
    entry: Option<Entry>,
}

impl Pass {
    fn tell(&mut self, verdict: Verdict) -> Option<Change> {
        let entry = self.entry.take()?;
        self.breaker.leave(entry, verdict, clock::now().as_ms())
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.tell(Verdict::Neither);
    }
}

impl Stage {
    fn log(&self, call: &Call<'_>, change: Option<Change>) {
        if let Some(Change { from, to }) = change.filter(|_| self.logs) {
            call.exchange.log.warning(format_args!(
                "[CB] Circuit breaker named '{}' went from '{}' to '{}'",
                self.name,
                from.name(),
                to.name()
            ));
        }
    }
}

impl CallStage for Stage {
    fn before<'x>(&'x self, call: &'x mut Call<'_>) -> Result<Step<'x, Outcome>, Failure> {
        let (result, change) = self.breaker.enter(clock::now().as_ms());
        self.log(call, change);
        let why = match result {
            Ok(entry) => {
                let pass = Pass { breaker: self.breaker.clone(), entry: Some(entry) };
                call.notes.put(self, pass);
                return Ok(Step::Next);
            }
            Err(Refusal::Open) => "circuit breaker is open",
            Err(Refusal::TooMany) => "too many requests",
        };
        Err(Failure::new(Cause::CircuitOpen, why))
    }

    fn after<'x>(
        &'x self,
        call: &'x mut Call<'_>,
        outcome: &'x mut Outcome,
    ) -> Result<Step<'x, ()>, Failure> {
        // There is none where the breaker itself refused.
        let Some(mut pass) = call.notes.take::<Self, Pass>(self) else { return Ok(Step::Next) };
        let verdict = match &outcome.failure {
            None => Verdict::Success,
            Some(failure) if failure.cause == Cause::ClientGone => Verdict::Neither,
            Some(_) => Verdict::Failure,
        };
        if outcome.failure.is_some() {
            outcome.answer = None;
        }
        self.log(call, pass.tell(verdict));
        Ok(Step::Next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Problem};
    use crate::plan::feature::BackendDraft;

    fn compiled(block: &str) -> (bool, Option<Problem>) {
        let file = format!(
            r#"{{"version": 3, "endpoints": [{{"endpoint": "/x", "backend": [{{"host": ["http://up"],
            "url_pattern": "/", "extra_config": {{"qos/circuit-breaker": {block}}}}}]}}]}}"#
        );
        let loaded = config::parse("krakend.json", file.as_bytes(), &[]).expect("a configuration");
        let extra = &loaded.service.endpoints[0].backend[0].extra_config;
        let mut draft = BackendDraft::default();
        let block = extra.get("qos/circuit-breaker").expect("a block");
        let problem = match CircuitBreaker.compile(block, &mut Site::Backend(&mut draft)) {
            Err(Fallback::Skip(problem)) => Some(problem),
            Ok(()) => None,
            other => panic!("{other:?}"),
        };
        (!draft.stages.is_empty(), problem)
    }

    #[test]
    fn a_block_without_settings_has_no_effect() {
        for (block, is_on) in [
            (r#"{"interval": 60, "timeout": 10, "max_errors": 1}"#, true),
            (r#"{"name": "only"}"#, true),
            (r#"{"max_errors": 0}"#, false),
            ("{}", false),
        ] {
            let (built, problem) = compiled(block);
            assert_eq!(built, is_on, "{block}");
            assert!(problem.is_none_or(|problem| !problem.is_fatal(false)), "{block}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (block, place) in [
            ("[]", "circuit-breaker"),
            (r#"{"max_errors": "1"}"#, "max_errors"),
            (r#"{"max_errors": 1e9}"#, "max_errors"),
            (r#"{"timeout": -1, "max_errors": 1}"#, "timeout"),
            (r#"{"interval": "1m", "max_errors": 1}"#, "interval"),
            (r#"{"name": 1, "max_errors": 1}"#, "name"),
            (r#"{"log_status_change": 1, "max_errors": 1}"#, "log_status_change"),
        ] {
            let problem = compiled(block).1.unwrap_or_else(|| panic!("{block}: no problem"));
            assert!(problem.is_fatal(false) && !problem.is_fatal(true), "{block}");
            assert!(problem.place.path.ends_with(place), "{block}: {}", problem.place.path);
        }
    }
}
