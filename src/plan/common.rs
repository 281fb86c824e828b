//! `Common`: what the features of one plan share with each other, and what they leave for the control thread to do.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::control::Task;
use crate::shared::log::Log;

/// One for each plan; every draft has a handle. Cheap to clone.
#[derive(Clone, Default)]
pub struct Common(Arc<Parts>);

#[derive(Default)]
struct Parts {
    /// By type: features that belong together meet in a type of one of the lower folders.
    things: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
    tasks: Mutex<Vec<Box<dyn Task>>>,
    log: OnceLock<Log>,
}

// === impl Common ===

impl Common {
    /// The plan's one value of this type; the first who asks makes it.
    pub fn get<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let mut things = self.0.things.lock().unwrap_or_else(PoisonError::into_inner);
        let thing = things.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(T::default()));
        thing.clone().downcast().unwrap_or_default()
    }

    /// Leaves work for the control thread; it begins when the plan is served.
    pub fn leave_task(&self, task: Box<dyn Task>) {
        self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }

    /// What was left, once.
    pub fn take_tasks(&self) -> Vec<Box<dyn Task>> {
        std::mem::take(&mut self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives the stages their log, before the first of them runs.
    pub fn set_log(&self, log: Log) {
        // A plan is served once; a second log would be the same one.
        let _ = self.0.log.set(log);
    }

    /// The log; `None` as long as the plan is not served.
    pub fn log(&self) -> Option<&Log> {
        self.0.log.get()
    }
}

impl fmt::Debug for Common {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Common").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_of_one_plan_find_the_same_value() {
        let common = Common::default();
        let first = common.get::<Mutex<u32>>();
        *first.lock().expect("free") = 7;
        assert_eq!(*common.clone().get::<Mutex<u32>>().lock().expect("free"), 7);
        assert_eq!(*Common::default().get::<Mutex<u32>>().lock().expect("free"), 0);
    }
}
