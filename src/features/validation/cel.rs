//! `validation/cel`: expressions that must be true of requests, of answers, and of what tokens say.
//!
//! Follows krakend-cel (specification, section 2.35). Expressions are written for the types that the original has: numbers
//! of a JSON answer are text, those of a token are doubles, parameters begin with a capital.

mod budget;
mod checker;
mod checks;
mod definition;
mod expression;
mod interpreter;
mod overloads;
mod types;
mod values;

use std::borrow::Cow;
use std::sync::Arc;

use crate::config::extra::Block;
use crate::config::problem::Problem;
use crate::message::path;
use crate::message::query::{self, Allowed};
use crate::plan::feature::{
    BackendDraft, CallSlot, CallStageBuilder, EndpointDraft, Fallback, Feature, PipeSlot,
    PipeStageBuilder, Scope, Site,
};
use crate::plan::template::param_key;
use crate::shared::log::Log;
use crate::stage::claims::ClaimRule;
use crate::stage::{
    Answer, Call, CallStage, Cause, Claims, Failure, Outcome, PipeCall, PipeStage, Step,
};
use checks::{Checks, Values};
use definition::Definition;

pub struct Cel;

impl Feature for Cel {
    fn namespace(&self) -> &'static str {
        "validation/cel"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Endpoint, Scope::Backend]
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        match site {
            Site::Service(_) => {}
            Site::Endpoint(draft) => at_endpoint(block, draft),
            Site::Backend(draft) => at_backend(block, draft),
        }
        Ok(())
    }
}

fn at_endpoint(block: &Block, draft: &mut EndpointDraft) {
    let (definition, problems) =
        Definition::read(block, &format!("[ENDPOINT: {}][CEL]", draft.route));
    draft.problems.extend(problems);
    let definition = Arc::new(definition);
    if let Some(place) = &definition.claims_at {
        draft.claim_rules.install(Box::new(OfClaims(definition.clone())));
        draft.claim_rules_at = Some(place.clone());
    }
    if definition.before.is_empty() && definition.after.is_empty() {
        return;
    }
    let param_keys: Arc<[Box<str>]> =
        draft.param_names.iter().map(|name| param_key(name).into()).collect();
    let build: PipeStageBuilder = Box::new(move || {
        Box::new(Stage { definition: definition.clone(), param_keys: param_keys.clone() })
    });
    draft.pipe_stages.push((PipeSlot::Cel, build));
}

fn at_backend(block: &Block, draft: &mut BackendDraft) {
    let (definition, problems) =
        Definition::read(block, &format!("[BACKEND: {}][CEL]", draft.pattern));
    draft.problems.extend(problems);
    if let Some(place) = &definition.claims_at {
        let what = "checks of a token's claims are made at endpoints only";
        let problem = Problem::lenient(place.clone(), what);
        draft.problems.push(problem.hint("--lenient never makes the check"));
    }
    if definition.before.is_empty() && definition.after.is_empty() {
        return;
    }
    let definition = Arc::new(definition);
    let param_keys = draft.param_keys.clone();
    let build: CallStageBuilder = Box::new(move || {
        Box::new(Stage { definition: definition.clone(), param_keys: param_keys.clone() })
    });
    draft.stages.push((CallSlot::Cel, build));
}

/// A block's checks on one core, around an endpoint's pipe or around a call.
struct Stage {
    definition: Arc<Definition>,
    /// The internal names of the endpoint's parameters, in the order of their slots.
    param_keys: Arc<[Box<str>]>,
}

/// The checks that a validator makes.
struct OfClaims(Arc<Definition>);

// === impl Stage ===

impl Stage {
    fn params<'x>(
        &'x self,
        value: impl Fn(usize) -> Option<&'x [u8]>,
    ) -> impl Iterator<Item = (&'x str, &'x [u8])> {
        let keys = self.param_keys.iter().enumerate();
        keys.filter_map(move |(slot, key)| Some((&**key, value(slot)?)))
    }

    /// Judges what came back. What failed, even in part, is not judged.
    fn judge(&self, log: &Log, outcome: &Outcome) -> Result<(), Failure> {
        let checks = &self.definition.after;
        let (Some(answer), None) = (&outcome.answer, &outcome.failure) else { return Ok(()) };
        if checks.is_empty() {
            return Ok(());
        }
        made(checks, log, |values| give_answer(values, answer))
    }
}

impl PipeStage for Stage {
    fn before(&self, call: &PipeCall<'_>) -> Result<(), Failure> {
        let checks = &self.definition.before;
        if checks.is_empty() {
            return Ok(());
        }
        let exchange = call.exchange;
        made(checks, exchange.log, |values| {
            values.set("req_method", || values::of_text(exchange.head.method_name()));
            values.set("req_path", || values::of_text(exchange.path));
            values.set("req_params", || values::of_texts(self.params(|slot| exchange.param(slot))));
            values.set("req_headers", || values::of_headers(lines(call.headers)));
            values.set("req_querystring", || of_query(exchange.head.query(), call.query));
        })
    }

    fn after(&self, call: &PipeCall<'_>, outcome: &mut Outcome) -> Result<(), Failure> {
        self.judge(call.exchange.log, outcome)
    }
}

impl CallStage for Stage {
    fn before<'x>(&'x self, call: &'x mut Call<'_>) -> Result<Step<'x, Outcome>, Failure> {
        let checks = &self.definition.before;
        if checks.is_empty() {
            return Ok(Step::Next);
        }
        made(checks, call.exchange.log, |values| {
            values.set("req_method", || values::of_text(call.method.as_bytes()));
            values.set("req_path", || {
                let mut decoded = Vec::new();
                let pattern = call.pattern();
                values::of_text(path::decode(pattern, &mut decoded).unwrap_or(pattern))
            });
            values.set("req_params", || {
                let of_steps =
                    call.extra_params.iter().map(|(key, value)| (key.as_str(), value.as_bytes()));
                let of_path = self.params(|slot| call.exchange.param(slot));
                values::of_texts(of_path.chain(of_steps))
            });
            values.set("req_headers", || values::of_headers(lines(&call.headers)));
            values.set("req_querystring", || of_query(call.client_query(), &Allowed::All));
        })?;
        Ok(Step::Next)
    }

    fn after<'x>(
        &'x self,
        call: &'x mut Call<'_>,
        outcome: &'x mut Outcome,
    ) -> Result<Step<'x, ()>, Failure> {
        self.judge(call.exchange.log, outcome)?;
        Ok(Step::Next)
    }
}

// === impl OfClaims ===

impl ClaimRule for OfClaims {
    fn admits(&self, claims: &Claims, log: Option<&Log>) -> bool {
        let give = |values: &mut Values<'_>| {
            values.set("JWT", || values::of_claims(claims.members()));
        };
        self.0.claims.make(log, give).is_ok()
    }
}

/// Makes the checks; the first that does not hold is the failure.
fn made(checks: &Checks, log: &Log, give: impl FnOnce(&mut Values<'_>)) -> Result<(), Failure> {
    checks.make(Some(log), give).map_err(|number| {
        Failure::new(Cause::Refused(500), format!("request aborted by evaluator #{number}"))
    })
}

fn give_answer(values: &mut Values<'_>, answer: &Answer) {
    values.set("resp_completed", || values::of_bool(answer.is_complete));
    values.set("resp_metadata_status", || {
        // Where the answer was decoded, the original does not keep the status of a success.
        let is_kept = answer.body.is_some() || answer.status != 200;
        values::of_int(if is_kept { i64::from(answer.status) } else { 0 })
    });
    values.set("resp_metadata_headers", || values::of_headers(answer.headers.iter()));
    values.set("resp_data", || values::of_map(&answer.data.to_map()));
}

fn lines<'h>(
    headers: &'h [crate::stage::Header<'_>],
) -> impl Iterator<Item = (&'h [u8], &'h [u8])> {
    headers.iter().map(|header| (&*header.name, &*header.value))
}

/// The pairs of a query that pass on.
fn of_query(raw: &[u8], allowed: &Allowed) -> values::Boxed {
    let pairs = query::pairs(raw).filter(|(name, _)| allowed.admits(name));
    values::of_lists(pairs.map(|(name, value): (Cow<'_, [u8]>, _)| (name, value)))
}

#[cfg(test)]
mod tests;
