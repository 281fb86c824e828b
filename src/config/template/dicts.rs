//! Maps that templates change in place: the engine's values cannot change, so the changes are kept beside them.

use std::collections::HashMap;
use std::sync::Arc;

use gotmpl::{ToValue as _, Value};

use super::value::Members;

/// Which maps have been changed, known by their address, and what they are now.
#[derive(Default)]
pub struct Dicts {
    ids: HashMap<usize, usize>,
    current: Vec<Arc<Members>>,
    /// Former versions that someone may still hold: as long as they live, nothing else has their address.
    kept: Vec<Arc<Members>>,
    kept_entries: usize,
}

/// Entries of former versions, all together.
const KEPT_ENTRIES_MAX: usize = 2_000_000;

fn address(members: &Arc<Members>) -> usize {
    Arc::as_ptr(members).addr()
}

/// What a value may take, with all that is within it, in bytes; what stands in several places counts as often.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// What each value takes, at least.
const VALUE_BYTES: usize = 32;
/// Values inside each other: functions that look into them, and dropping them, take stack for each.
const DEPTH_MAX: usize = 500;

/// Whether a value can be looked through. Maps inside of it are taken as they were when they were put there.
///
/// # Errors
/// It is too much.
pub fn check(value: &Value) -> Result<(), String> {
    weigh(value, &Value::clone)
}

fn weigh(value: &Value, live: &dyn Fn(&Value) -> Value) -> Result<(), String> {
    let mut left = BYTES_MAX;
    let fits = fits(value, live, DEPTH_MAX, &mut left);
    fits.ok_or_else(|| "the value is too large, or nested too deeply".to_owned())
}

fn fits(
    value: &Value,
    live: &dyn Fn(&Value) -> Value,
    depth: usize,
    left: &mut usize,
) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    *left = left.checked_sub(VALUE_BYTES)?;
    match live(value) {
        Value::String(text) => *left = left.checked_sub(text.len())?,
        Value::Map(members) => {
            for (key, value) in members.iter() {
                *left = left.checked_sub(key.len())?;
                fits(value, live, depth, left)?;
            }
        }
        Value::List(values) => {
            for value in values.iter() {
                fits(value, live, depth, left)?;
            }
        }
        _ => {}
    }
    Some(())
}

// === impl Dicts ===

impl Dicts {
    /// The value as it is now; maps within it are looked up when they are reached.
    pub fn live(&self, value: &Value) -> Value {
        match value {
            Value::Map(members) => match self.ids.get(&address(members)) {
                Some(id) => Value::Map(Arc::clone(&self.current[*id])),
                None => value.clone(),
            },
            other => other.clone(),
        }
    }

    /// The value as it is now, with all that is within it.
    ///
    /// # Errors
    /// It is too much, or a map contains itself.
    pub fn deeply_live(&self, value: &Value) -> Result<Value, String> {
        weigh(value, &|value| self.live(value))?;
        Ok(if self.ids.is_empty() { value.clone() } else { self.expanded(value) })
    }

    /// Of a value that was weighed.
    fn expanded(&self, value: &Value) -> Value {
        match self.live(value) {
            Value::Map(members) => {
                let member =
                    |(key, value): (&Arc<str>, &Value)| (Arc::clone(key), self.expanded(value));
                Value::Map(Arc::new(members.iter().map(member).collect()))
            }
            Value::List(values) => {
                values.iter().map(|value| self.expanded(value)).collect::<Vec<_>>().to_value()
            }
            other => other,
        }
    }

    /// Changes a map for everyone who holds it.
    pub fn change(
        &mut self,
        members: &Arc<Members>,
        change: impl FnOnce(&mut Members),
    ) -> Result<(), String> {
        let id = match self.ids.get(&address(members)) {
            Some(id) => *id,
            None => self.adopt(members)?,
        };
        if Arc::get_mut(&mut self.current[id]).is_none() {
            let former = Arc::clone(&self.current[id]);
            let copy = Arc::new(Members::clone(&former));
            self.ids.insert(address(&copy), id);
            self.current[id] = copy;
            self.keep(former)?;
        }
        if let Some(members) = Arc::get_mut(&mut self.current[id]) {
            change(members);
        }
        Ok(())
    }

    fn adopt(&mut self, members: &Arc<Members>) -> Result<usize, String> {
        let id = self.current.len();
        let copy = Arc::new(Members::clone(members));
        self.ids.insert(address(members), id);
        self.ids.insert(address(&copy), id);
        self.current.push(copy);
        self.keep(Arc::clone(members))?;
        Ok(id)
    }

    fn keep(&mut self, members: Arc<Members>) -> Result<(), String> {
        self.kept_entries += members.len() + 1;
        self.kept.push(members);
        if self.kept_entries > KEPT_ENTRIES_MAX {
            return Err("maps are changed too often".to_owned());
        }
        Ok(())
    }
}
