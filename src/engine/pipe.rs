//! How the calls of an endpoint work together: one, all at once, or one after another (specification, 2.17 and 2.18).

use super::Gateway;
use super::fetch::Context;
use super::race::Race;
use crate::json::{self, Document, Flatmap};
use crate::net::task;
use crate::plan::backend::BackendPlan;
use crate::plan::endpoint::{Pipe, Propagated};
use crate::plan::template::StepValue;
use crate::stage::{Answer, Cause, Failure, Outcome};
use crate::wire::Body;

/// Answers merged so far.
#[derive(Default)]
struct Merger {
    /// The first one, which the others went into.
    base: Option<Box<Answer>>,
    is_complete: bool,
    failures: Vec<Failure>,
    merged: usize,
}

impl Merger {
    fn add(&mut self, outcome: Outcome) {
        if let Some(failure) = outcome.failure {
            self.failures.push(failure);
        }
        let Some(answer) = outcome.answer else { return };
        // Nothing to merge counts as missing, as it does in the original.
        let whole = answer.is_complete && !answer.data.is_null();
        self.is_complete = whole && (self.merged == 0 || self.is_complete);
        self.merged += 1;
        match &mut self.base {
            None => self.base = Some(answer.data_alone()),
            Some(base) => base.data.merge(answer.data),
        }
    }

    fn finish(self) -> Outcome {
        match self.base {
            None => Outcome::from(Failure::merged(self.failures)),
            Some(mut base) => {
                base.is_complete = self.is_complete && self.failures.is_empty();
                let failure = (!self.failures.is_empty()).then(|| Failure::merged(self.failures));
                Outcome { answer: Some(base), failure }
            }
        }
    }
}

impl Gateway {
    /// Runs a pipe to its end, or to its deadline.
    pub(super) async fn run_pipe(&self, pipe: &Pipe, context: &Context<'_>) -> Outcome {
        match pipe {
            Pipe::Single(backend) => self.call(backend, context).await,
            Pipe::Parallel { backends, budget_ms, flatmap } => {
                let context = context.within(*budget_ms);
                let merged = self.run_parallel(backends, &context).await;
                flat_mapped(merged, flatmap.as_ref())
            }
            Pipe::Sequential { calls, budget_ms, propagated, flatmap } => {
                let context = context.within(*budget_ms);
                let merged = self.run_sequential(calls, propagated, &context).await;
                flat_mapped(merged, flatmap.as_ref())
            }
            Pipe::Unbuilt(why) => Failure::new(Cause::Unbuilt, &**why).into(),
        }
    }

    /// The first answer is the base, later ones overwrite its members.
    async fn run_parallel(&self, backends: &[BackendPlan], context: &Context<'_>) -> Outcome {
        let calls =
            backends.iter().map(|backend| task::boxed(|| self.call(backend, context))).collect();
        let mut running = Race::new(calls);
        let mut merger = Merger::default();
        while let Some((_, outcome)) = running.next().await {
            merger.add(outcome);
        }
        merger.finish()
    }

    /// Stops at the first error or incomplete answer.
    async fn run_sequential(
        &self,
        calls: &[BackendPlan],
        propagated: &[Propagated],
        context: &Context<'_>,
    ) -> Outcome {
        let mut merger = Merger::default();
        let mut params: Vec<(String, String)> = Vec::new();
        let mut answers: Vec<StepAnswer> = Vec::with_capacity(calls.len());
        for (step, backend) in calls.iter().enumerate() {
            learn(
                &mut params,
                &backend.template.step_values(),
                propagated,
                &answers,
                merger.base.as_ref().map(|base| &base.data),
            );
            let context = Context { extra_params: &params, ..*context };
            let mut outcome = self.call(backend, &context).await;
            if step == 0 && outcome.answer.is_none() {
                return outcome;
            }
            let Some(answer) = &mut outcome.answer else {
                merger.add(outcome);
                break;
            };
            let is_complete = answer.is_complete;
            let text = if backend.is_raw {
                whole_text(answer, self.limiter.decoded_body_bytes_max).await
            } else {
                None
            };
            // Merging writes into the first answer, so later steps see the merged data as step 0.
            let data = if step == 0 { Document::null() } else { answer.data.clone() };
            answers.push(StepAnswer { data, text, is_complete });
            merger.add(outcome);
            if !is_complete {
                break;
            }
        }
        merger.is_complete &= answers.len() == calls.len();
        merger.finish()
    }
}

/// What a later step may ask of an earlier one.
struct StepAnswer {
    data: Document,
    /// The whole body, of a step that passes it through.
    text: Option<String>,
    is_complete: bool,
}

/// Looks up the values that the next call wants. What was found once is remembered.
fn learn(
    params: &mut Vec<(String, String)>,
    used: &[StepValue],
    propagated: &[Propagated],
    answers: &[StepAnswer],
    merged: Option<&Document>,
) {
    let wanted = used.iter().map(|value| (value.step, value.path.as_str(), value.key.as_str()));
    let wanted =
        wanted.chain(propagated.iter().map(|value| (value.step, &*value.path, &*value.key)));
    for (step, path, key) in wanted {
        let Some(answer) = answers.get(step).filter(|answer| answer.is_complete) else { continue };
        let found = if path.is_empty() {
            answer.text.clone()
        } else {
            let data = if step == 0 { merged.unwrap_or(&answer.data) } else { &answer.data };
            let steps: Vec<&str> = path.split('.').collect();
            json::parameter(data, &steps)
        };
        let Some(value) = found else { continue };
        match params.iter_mut().find(|(known, _)| known == key) {
            Some((_, known)) => *known = value,
            None => params.push((key.to_owned(), value)),
        }
    }
}

/// The body of an answer that passes through, as a parameter's value.
async fn whole_text(answer: &mut Answer, bytes_max: usize) -> Option<String> {
    let mut bytes = Vec::new();
    let ended = match answer.body.take()? {
        Body::Upstream(mut response) => {
            while bytes.len() <= bytes_max && response.read_into(&mut bytes).await.ok()? {}
            response.is_done()
        }
        Body::Unpacked(mut unpacked) => {
            while bytes.len() <= bytes_max && unpacked.read_into(&mut bytes).await.ok()? {}
            true
        }
        // A stage has read it, or made it.
        Body::Bytes(kept) => {
            bytes = kept;
            true
        }
        Body::Empty | Body::Static(_) => return None,
    };
    ended.then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// Applied only where nothing failed: the original leaves partial answers as they are.
fn flat_mapped(mut outcome: Outcome, flatmap: Option<&Flatmap>) -> Outcome {
    let (Some(flatmap), Some(answer), None) = (flatmap, &mut outcome.answer, &outcome.failure)
    else {
        return outcome;
    };
    if let Err(error) = flatmap.apply(&mut answer.data) {
        return Failure::new(Cause::Manipulation, error.to_string()).into();
    }
    outcome
}
