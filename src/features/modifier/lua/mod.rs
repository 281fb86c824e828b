//! Lua for all levels of scripts: an interpreter per core and block, a fresh environment per call, hard limits.
//!
//! A level (a backend, and later an endpoint and its pipe) names what its scripts find, makes a [`Subject`] of what
//! they work on, and puts back what they changed.
//!
//! ```text
//! script.rs      the block and its files           prelude.lua    Lua's own part: libraries, environments
//! interpreter.rs the state, its code, its runs     natives.rs     what Rust gives to the prelude
//! limits.rs      time and memory                   strings.rs     pattern functions, on pattern.rs
//! subject.rs     what a script works on            operators.rs   errors of misused values
//! request.rs     `request`                         tables.rs      `luaTable`, `luaList`, on data.rs
//! response.rs    `response`                        error.rs       from a script's error to a failure
//! ```

mod arguments;
mod data;
mod error;
mod headers;
mod interpreter;
mod limits;
mod natives;
mod operators;
pub mod pattern;
mod position;
pub mod request;
pub mod response;
pub mod script;
mod strings;
pub mod subject;
pub mod tables;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

pub use interpreter::{Offer, Part, Session};

use crate::stage::clock::Tick;
use crate::stage::{Cause, Failure};
use interpreter::{Broken, Interpreter};
use script::Script;
use subject::Subject;

/// A script at work on one core.
pub struct Runner {
    script: Arc<Script>,
    offers: &'static [Offer],
    interpreter: RefCell<Option<Rc<Interpreter>>>,
}

impl Runner {
    pub fn new(script: Arc<Script>, offers: &'static [Offer]) -> Self {
        Self { script, offers, interpreter: RefCell::new(None) }
    }

    pub fn script(&self) -> &Script {
        &self.script
    }

    /// Begins a call.
    ///
    /// # Errors
    /// A failure that names the lack of memory.
    pub fn open(&self, subject: Rc<Subject>) -> Result<Session, Failure> {
        let session =
            self.interpreter().and_then(|interpreter| Session::new(&interpreter, subject));
        session.map_err(|error| {
            self.interpreter.take();
            Failure::new(Cause::Refused(500), format!("lua: {}", error::text_of(&error)))
        })
    }

    /// Runs a part of the script.
    ///
    /// # Errors
    /// What went wrong in it, for the client.
    pub fn run(&self, session: &Session, part: Part, deadline: Tick) -> Result<(), Failure> {
        session.run(part, deadline).map_err(|Broken { failure, is_spoiled }| {
            if is_spoiled {
                // Calls that are under way keep theirs.
                self.interpreter.take();
            }
            failure
        })
    }

    fn interpreter(&self) -> mlua::Result<Rc<Interpreter>> {
        if let Some(interpreter) = &*self.interpreter.borrow() {
            return Ok(interpreter.clone());
        }
        let interpreter = Rc::new(Interpreter::new(&self.script, self.offers)?);
        *self.interpreter.borrow_mut() = Some(interpreter.clone());
        Ok(interpreter)
    }
}

#[cfg(test)]
mod tests;
