//! The contract that features implement: what a stage sees of a request, and what it may answer.
//!
//! A stage answers at once wherever it can; only the rare case (a key to fetch, a script that calls out) returns one
//! boxed future. `on_reply` and `after` run in reverse order, and only for stages whose first half ran: the onion of the
//! original's middlewares without the nesting.

pub mod added;
pub mod call;
pub mod claims;
pub mod exchange;
pub mod failure;
pub mod ids;
pub mod notes;
pub mod revocation;
pub mod watch;

use std::future::Future;
use std::pin::Pin;

pub use added::AddedHeaders;
pub use call::{Answer, Call, CallBody, Header, Headers, Outcome, PipeCall};
pub use claims::Claims;
pub use exchange::Exchange;
pub use failure::{Cause, Failure};
pub use notes::Notes;
pub use watch::{Watch, Watcher, Watchers};

/// The clock that deadlines are read against.
pub use crate::net::clock;
/// Waiting with an end.
pub use crate::net::task::within_ms;
pub use crate::upstream::Url;

use crate::wire::Reply;

/// A future of this core that borrows what the stage was given.
pub type Wait<'x, T> = Pin<Box<dyn Future<Output = T> + 'x>>;

/// What a stage says.
pub enum Step<'x, T> {
    Next,
    /// Answered here: inner stages and the backend are not reached.
    Done(T),
    /// The stage must wait first. `Ok(None)` means: go on.
    Wait(Wait<'x, Result<Option<T>, Failure>>),
}

/// A feature at work around one endpoint, or around all of them.
pub trait EndpointStage {
    /// # Errors
    /// A [`Failure`] is the client's answer.
    fn on_request<'x>(
        &'x self,
        _exchange: &'x mut Exchange<'_>,
    ) -> Result<Step<'x, Reply>, Failure> {
        Ok(Step::Next)
    }

    /// Makes the client's answer of what came back, in place of the usual encoding; the innermost stage is asked first.
    /// `None` leaves it to the others.
    fn answer(&self, _exchange: &Exchange<'_>, _outcome: &mut Outcome) -> Option<Reply> {
        None
    }

    fn on_reply(&self, _exchange: &Exchange<'_>, _reply: &mut Reply) {}
}

/// A feature at work around an endpoint's whole pipe: its shadows, its backends and its static data.
pub trait PipeStage {
    /// # Errors
    /// A [`Failure`] is the pipe's result.
    fn before(&self, call: &PipeCall<'_>) -> Result<(), Failure>;

    /// # Errors
    /// A [`Failure`] takes the place of what came back.
    fn after(&self, call: &PipeCall<'_>, outcome: &mut Outcome) -> Result<(), Failure>;
}

/// A feature at work around one call to a backend.
pub trait CallStage {
    /// # Errors
    /// A [`Failure`] is this call's result.
    fn before<'x>(&'x self, _call: &'x mut Call<'_>) -> Result<Step<'x, Outcome>, Failure> {
        Ok(Step::Next)
    }

    fn after<'x>(
        &'x self,
        _call: &'x mut Call<'_>,
        _outcome: &'x mut Outcome,
    ) -> Result<Step<'x, ()>, Failure> {
        Ok(Step::Next)
    }
}
