//! `modifier/lua-backend`: scripts around the call to one backend.
//!
//! Follows krakend-lua, proxy/proxy.go (specification, section 2.26). `http_response.new` is not built: a script that
//! calls it fails its request.

use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::sync::Arc;

use super::lua::request::{self, Request};
use super::lua::response::{self, Response};
use super::lua::script::{MEMBERS, Script};
use super::lua::subject::Subject;
use super::lua::{Offer, Part, Runner, Session, tables};
use crate::config::extra::Block;
use crate::json::Document;
use crate::plan::feature::{CallSlot, CallStageBuilder, Fallback, Feature, Scope, Site};
use crate::stage::{Answer, Call, CallStage, Failure, Outcome, Step};
use crate::wire::Body;

pub struct LuaBackend;

/// What scripts of this level find.
const OFFERS: &[Offer] = &[tables::offer, request::offer, response::offer];
/// The largest body that a script is shown; of a larger one it sees the beginning.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

impl Feature for LuaBackend {
    fn namespace(&self) -> &'static str {
        "modifier/lua-backend"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Backend]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(MEMBERS)
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let Site::Backend(draft) = site else { return Ok(()) };
        let (script, problem) = Script::read(block)?;
        let script = Arc::new(script);
        let param_keys = draft.param_keys.clone();
        let build: CallStageBuilder = Box::new(move || {
            Box::new(Stage {
                runner: Runner::new(script.clone(), OFFERS),
                param_keys: param_keys.clone(),
            })
        });
        draft.stages.push((CallSlot::Lua, build));
        problem.map_or(Ok(()), |problem| Err(Fallback::Skip(problem)))
    }
}

/// A backend's script on one core.
struct Stage {
    runner: Runner,
    param_keys: Arc<[Box<str>]>,
}

impl Stage {
    fn open(&self, call: &Call<'_>) -> Result<Session, Failure> {
        let subject = Rc::new(Subject::default());
        subject.request.replace(Request::of(call, &self.param_keys));
        self.runner.open(subject)
    }

    fn run_post(&self, call: &mut Call<'_>, answer: &mut Answer) -> Result<(), Failure> {
        let session = match call.notes.take::<Self, Session>(self) {
            Some(session) => *session,
            None => self.open(call)?,
        };
        session.subject.response.replace(Response::take(answer));
        self.runner.run(&session, Part::Post, call.deadline)?;
        Response::put_back(&session.subject, answer)
    }
}

impl CallStage for Stage {
    fn before<'x>(&'x self, call: &'x mut Call<'_>) -> Result<Step<'x, Outcome>, Failure> {
        let script = self.runner.script();
        if !(script.sources.is_empty() && script.pre.is_empty()) {
            let session = self.open(call)?;
            self.runner.run(&session, Part::Sources, call.deadline)?;
            self.runner.run(&session, Part::Pre, call.deadline)?;
            session.subject.request.borrow_mut().apply(call)?;
            call.notes.put(self, session);
        }
        if script.skip_next {
            return Ok(Step::Done(Answer::of_data(Document::empty(), false).into()));
        }
        Ok(Step::Next)
    }

    fn after<'x>(
        &'x self,
        call: &'x mut Call<'_>,
        outcome: &'x mut Outcome,
    ) -> Result<Step<'x, ()>, Failure> {
        let (Some(answer), None) = (&mut outcome.answer, &outcome.failure) else {
            return Ok(Step::Next);
        };
        // The original makes an object of no data whether or not a script runs.
        if answer.data.is_null() {
            answer.data = Document::empty();
        }
        let script = self.runner.script();
        if script.post.is_empty() {
            return Ok(Step::Next);
        }
        let is_streamed = matches!(answer.body, Some(Body::Upstream(_) | Body::Unpacked(_)));
        if is_streamed && script.may_read_body() {
            return Ok(Step::Wait(Box::pin(async move {
                keep_body(answer).await;
                self.run_post(call, answer).map(|()| None)
            })));
        }
        self.run_post(call, answer)?;
        Ok(Step::Next)
    }
}

/// Reads an answer's body into memory. What broke off is kept as far as it came.
async fn keep_body(answer: &mut Answer) {
    let Some(mut body) = answer.body.take() else { return };
    let mut bytes = Vec::new();
    let mut upload = answer.upload.take();
    let mut read = Box::pin(async {
        while bytes.len() < BODY_BYTES_MAX {
            let more = match &mut body {
                Body::Upstream(response) => response.read_into(&mut bytes).await,
                Body::Unpacked(unpacked) => unpacked.read_into(&mut bytes).await,
                Body::Empty | Body::Static(_) | Body::Bytes(_) => break,
            };
            if !matches!(more, Ok(true)) {
                break;
            }
        }
    });
    // The rest of the request's body goes out meanwhile: an upstream may wait for it.
    poll_fn(|context| {
        if let Some(sending) = &mut upload
            && sending.as_mut().poll(context).is_ready()
        {
            upload = None;
        }
        read.as_mut().poll(context)
    })
    .await;
    drop(read);
    answer.body = Some(Body::Bytes(bytes));
    answer.upload = upload;
}

#[cfg(test)]
mod tests;
