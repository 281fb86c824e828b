//! Reaching backends: this core's connections to every host, and one exchange over them.

pub mod cache;
pub mod connect;
pub mod error;
pub mod pool;
pub mod target;
pub mod turns;
pub mod url;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

pub use cache::HttpCache;
pub use connect::Secure;
pub use error::{Overload, UpstreamError};
pub use pool::{Limits, Lookup, Pool};
pub use target::Target;
pub use url::Url;

/// Pools that only redirects and changing host lists need are dropped when they have been unused; beyond this many a
/// new one is refused.
const POOLS_MAX: usize = 16 * 1024;

/// All pools of one core, by what they connect to.
pub struct Upstreams {
    pools: RefCell<HashMap<Target, Rc<Pool>>>,
    limits: Limits,
    lookup: Lookup,
    secure: Rc<Secure>,
}

impl Upstreams {
    pub fn new(limits: Limits, lookup: Lookup, secure: Secure) -> Upstreams {
        Upstreams { pools: RefCell::default(), limits, lookup, secure: Rc::new(secure) }
    }

    /// The pool of a target. Callers keep it: finding it again costs a look-up by name.
    ///
    /// # Errors
    /// [`UpstreamError::Overloaded`] when redirects have made too many.
    pub fn pool(&self, target: &Target) -> Result<Rc<Pool>, UpstreamError> {
        let mut pools = self.pools.borrow_mut();
        if let Some(pool) = pools.get(target) {
            return Ok(pool.clone());
        }
        if pools.len() >= POOLS_MAX {
            pools.retain(|_, pool| Rc::strong_count(pool) > 1 || !pool.is_unused());
            if pools.len() >= POOLS_MAX {
                return Err(UpstreamError::Overloaded(Overload::Hosts));
            }
        }
        let (limits, lookup) = (self.limits.clone(), self.lookup.clone());
        let pool = Rc::new(Pool::new(target.clone(), limits, lookup, self.secure.clone()));
        pools.insert(target.clone(), pool.clone());
        Ok(pool)
    }

    /// Closes idle connections that are too old, that their other side has closed, or that are more than may be kept: those
    /// first that have been unused longest.
    pub fn sweep(&self) {
        let pools = self.pools.borrow();
        for pool in pools.values() {
            pool.sweep();
        }
        let idle: usize = pools.values().map(|pool| pool.idle()).sum();
        for _ in self.limits.idle_max_of_all..idle {
            if let Some(pool) = pools.values().min_by_key(|pool| pool.idle_since()) {
                pool.close_oldest();
            }
        }
    }

    /// Calls of this core that wait to open a connection.
    pub fn waiting(&self) -> usize {
        self.pools.borrow().values().map(|pool| pool.waiting()).sum()
    }

    /// Idle connections of this core.
    pub fn idle(&self) -> usize {
        self.pools.borrow().values().map(|pool| pool.idle()).sum()
    }
}

#[cfg(test)]
mod tests;
