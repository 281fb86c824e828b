//! `modifier/martian`: changes requests to a backend and its answers, as a tree of modifiers says.
//!
//! Follows krakend-martian and google/martian 2.1 (specification, section 2.25). The tree is read once. Answers are changed
//! as they came from the upstream, before their status is judged and their body decoded.

mod catalog;
mod cookie;
mod definition;
mod fields;
mod file_tree;
mod outgoing;
mod ranges;
mod returned;
mod rule;
mod run;

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::extra::Block;
use crate::control::file_reader::{FileError, FileReader};
use crate::json::Document;
use crate::plan::feature::{CallSlot, CallStageBuilder, Fallback, Feature, Scope, Site};
use crate::shared::question::{Question, question};
use crate::stage::{Answer, Call, CallStage, Cause, Failure, Outcome, Step, clock, within_ms};
use crate::wire::Body;
use outgoing::Outgoing;
use returned::Returned;
use rule::Program;
use run::{Found, Orders};

pub struct Martian;

/// Calls of one backend that may wait for files.
const WAITING_MAX: usize = 1024;

type Ask = Question<PathBuf, Result<Vec<u8>, FileError>>;

impl Feature for Martian {
    fn namespace(&self) -> &'static str {
        "modifier/martian"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Backend]
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let Site::Backend(draft) = site else { return Ok(()) };
        let (program, doubt) = Program::read(block).map_err(Fallback::Skip)?;
        let ask = program.trees.first().map(|tree| {
            let (ask, questions) = question(WAITING_MAX);
            let name = format!("files {}", tree.root().display());
            draft.common.leave_task(Box::new(FileReader::new(name, questions)));
            ask
        });
        let program = Arc::new(program);
        let build: CallStageBuilder =
            Box::new(move || Box::new(Stage { program: program.clone(), ask: ask.clone() }));
        draft.stages.push((CallSlot::Martian, build));
        doubt.map_or(Ok(()), |problem| Err(Fallback::Skip(problem)))
    }
}

/// A backend's modifiers on one core.
struct Stage {
    program: Arc<Program>,
    /// Where files are read, if the modifiers serve any.
    ask: Option<Ask>,
}

impl Stage {
    fn change(
        &self,
        call: &Call<'_>,
        answer: &mut Answer,
        mut files: Vec<Option<Found>>,
    ) -> Result<(), Failure> {
        let mut returned = Returned::new(answer);
        run::on_response(&self.program.root, call, &mut returned, &mut files)?;
        returned.finish();
        Ok(())
    }

    /// The files that the modifiers may serve for this URL.
    async fn files(&self, ask: &Ask, call: &Call<'_>) -> Result<Vec<Option<Found>>, Failure> {
        let (raw_path, _) = outgoing::split(&call.url.target);
        let mut decoded = Vec::new();
        let path = crate::message::path::decode(raw_path, &mut decoded).unwrap_or(raw_path);
        let mut files = Vec::with_capacity(self.program.trees.len());
        for tree in &self.program.trees {
            let file = tree.file(path);
            let content_type = file_tree::content_type(&file);
            let failed = |why: String| Failure::new(Cause::Overloaded, why);
            let answer = ask.ask(file).map_err(|why| failed(why.to_string()))?;
            match within_ms(call.deadline.since_ms(clock::now()), answer).await {
                None => return Err(Failure::new(Cause::Deadline, "context deadline exceeded")),
                Some(Err(why)) => return Err(failed(why.to_string())),
                Some(Ok(content)) => files.push(Some((content, content_type))),
            }
        }
        Ok(files)
    }
}

impl CallStage for Stage {
    fn before<'x>(&'x self, call: &'x mut Call<'_>) -> Result<Step<'x, Outcome>, Failure> {
        let mut orders = Orders::default();
        let mut request = Outgoing::new(call);
        run::on_request(&self.program.root, &mut request, &mut orders)?;
        request.finish()?;
        Ok(if orders.skips_upstream { Step::Done(nothing().into()) } else { Step::Next })
    }

    fn after<'x>(
        &'x self,
        call: &'x mut Call<'_>,
        outcome: &'x mut Outcome,
    ) -> Result<Step<'x, ()>, Failure> {
        let (Some(answer), None) = (&mut outcome.answer, &outcome.failure) else {
            return Ok(Step::Next);
        };
        if !self.program.root.on_response {
            return Ok(Step::Next);
        }
        match &self.ask {
            None => {
                self.change(call, answer, Vec::new())?;
                Ok(Step::Next)
            }
            Some(ask) => Ok(Step::Wait(Box::pin(async move {
                let files = self.files(ask, call).await?;
                self.change(call, answer, files)?;
                Ok(None)
            }))),
        }
    }
}

/// The answer of an upstream that is not called.
fn nothing() -> Box<Answer> {
    let mut answer = Answer::of_data(Document::empty(), true);
    answer.body = Some(Body::Bytes(Vec::new()));
    answer
}

#[cfg(test)]
mod tests;
