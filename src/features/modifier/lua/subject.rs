//! `Subject`: what a script works on during one call; all of its objects share it.

use std::cell::RefCell;

use super::data::Arena;
use super::request::Request;
use super::response::Response;

#[derive(Default)]
pub struct Subject {
    pub arena: RefCell<Arena>,
    pub request: RefCell<Request>,
    pub response: RefCell<Response>,
}

impl Subject {
    /// Lets go of everything at once. Lua's collector comes by later, and thinks that our objects are small.
    pub fn clear(&self) {
        self.arena.take();
        self.request.take();
        self.response.take();
    }
}
