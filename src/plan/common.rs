//! `Common`: what the features of one plan share with each other, and what they leave for the control thread to do.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::config::extra::Block;
use crate::config::problem::Place;
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
    kept: Mutex<Kept>,
    /// What the plan before this one kept.
    inherited: Kept,
}

/// By type, and by what was written where.
type Kept = HashMap<(TypeId, String), Arc<dyn Any + Send + Sync>>;

// === impl Common ===

impl Common {
    /// The plan's one value of this type; the first who asks makes it.
    pub fn get<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let mut things = self.0.things.lock().unwrap_or_else(PoisonError::into_inner);
        let thing = things.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(T::default()));
        thing.clone().downcast().unwrap_or_default()
    }

    /// That of a plan that takes the place of another one.
    pub fn after(previous: &Common) -> Common {
        let inherited = previous.0.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Common(Arc::new(Parts { inherited, ..Parts::default() }))
    }

    /// State of a block that outlives its plan: as long as the block stands unchanged at the same endpoint, a new plan goes
    /// on with it. `beside` is what else of the configuration it was made from.
    pub fn kept<T: Send + Sync + 'static>(
        &self,
        block: &Block,
        beside: &str,
        make: impl FnOnce() -> T,
    ) -> Arc<T> {
        self.kept_as(format!("{} {} {beside}", Self::name_of(&block.place), block.value), make)
    }

    /// The same for state that no single block makes.
    pub fn kept_as<T: Send + Sync + 'static>(
        &self,
        name: String,
        make: impl FnOnce() -> T,
    ) -> Arc<T> {
        let key = (TypeId::of::<T>(), name);
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.get(&key).or_else(|| self.0.inherited.get(&key)).cloned();
        let state = known.and_then(|known| known.downcast().ok());
        let state = state.unwrap_or_else(|| Arc::new(make()));
        kept.insert(key, state.clone());
        state
    }

    /// Names a place by its endpoint instead of by the endpoint's number, which changes when another one is put in front.
    pub fn name_of(place: &Place) -> String {
        match (&place.endpoint, place.path.split_once('.')) {
            (Some(endpoint), Some((_, rest))) => format!("{endpoint} {rest}"),
            _ => place.path.to_string(),
        }
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

    #[test]
    fn state_lives_on_while_what_made_it_is_unchanged() {
        let first = Common::default();
        *first.kept_as("a".to_owned(), || Mutex::new(1)).lock().expect("free") = 7;
        let next = Common::after(&first);
        assert_eq!(*next.kept_as("a".to_owned(), || Mutex::new(1)).lock().expect("free"), 7);
        assert_eq!(*next.kept_as("b".to_owned(), || Mutex::new(1)).lock().expect("free"), 1);
        let last = Common::after(&Common::after(&next));
        let forgotten = last.kept_as("a".to_owned(), || Mutex::new(1));
        assert_eq!(*forgotten.lock().expect("free"), 1, "the plan between did not have it");
    }

    #[test]
    fn an_endpoint_is_known_by_its_name_not_by_its_number() {
        let place = |index: usize| {
            let endpoint = Some("GET /a".into());
            Place { endpoint, ..Place::default() }.key("endpoints").index(index).key("x")
        };
        assert_eq!(Common::name_of(&place(0)), Common::name_of(&place(7)));
    }
}
