//! `Current`: the gateway that a core runs at the moment; a new plan puts another in its place.

use std::cell::RefCell;
use std::rc::Rc;

use super::Gateway;
use crate::wire::{Handle, Peer, Reply, Request};

/// Answers each request with the gateway of its moment. A request that has begun ends on the one it began with.
pub struct Current(RefCell<Rc<Gateway>>);

impl Current {
    pub fn new(gateway: Rc<Gateway>) -> Current {
        Current(RefCell::new(gateway))
    }

    pub fn gateway(&self) -> Rc<Gateway> {
        self.0.borrow().clone()
    }

    pub fn replace(&self, gateway: Rc<Gateway>) {
        self.0.replace(gateway);
    }
}

impl Handle for Current {
    fn handle<'r>(&'r self, request: Request<'r>) -> impl Future<Output = Reply> {
        self.gateway().answer(request)
    }

    fn refused(&self, peer: &Peer, status: u16, why: &str) {
        self.gateway().note_refused(peer, status, why);
    }
}
