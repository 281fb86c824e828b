//! `KeySet`: the keys of one document, and `KeyCache`: the keys that are known at a time.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::algorithm::Algorithm;
use super::key::{Jwk, Key, KeyError, KeyId};
use super::strict;

/// Keys that a set may have, and that a cache keeps of all sets it has seen.
pub const KEYS_MAX: usize = 1_000;
/// The key is good until it is replaced.
pub const FOREVER: u64 = u64::MAX;

/// Keys by the names that tokens use for them.
#[derive(Debug, Default)]
pub struct KeySet(HashMap<Box<str>, Arc<Key>>);

/// Keys with the moment until which they may be used, in nanoseconds since 1970.
#[derive(Clone, Debug, Default)]
pub struct KeyCache(HashMap<Box<str>, (Arc<Key>, u64)>);

/// Why a document is no key set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetError {
    Json(String),
    /// No `keys`, or none in it.
    Empty,
    TooMany,
    /// A key that cannot be used spoils the set; by its place in the list.
    Key(usize, KeyError),
}

// === impl KeySet ===

impl KeySet {
    /// Reads a set for an algorithm. A name that stands twice is the last key's. Keys of unknown kinds are left out (RFC
    /// 7517 section 5).
    ///
    /// # Errors
    /// [`SetError`]
    pub fn read(text: &[u8], algorithm: Algorithm, strategy: KeyId) -> Result<KeySet, SetError> {
        let set = strict::parse(text).map_err(|error| SetError::Json(error.to_string()))?;
        let list = list_of(&set)?;
        let mut keys = HashMap::new();
        for (place, entry) in list.iter().enumerate() {
            let spoiled = |error| SetError::Key(place, error);
            let members = entry.as_object().ok_or(spoiled(KeyError::Member("kty")))?;
            let jwk = Jwk(members);
            match Key::read(&jwk, algorithm) {
                Ok(key) => {
                    keys.insert(jwk.id(strategy).map_err(spoiled)?, Arc::new(key));
                }
                Err(KeyError::Kind(_)) => {}
                Err(error) => return Err(spoiled(error)),
            }
        }
        Ok(KeySet(keys))
    }

    pub fn find(&self, id: &str) -> Option<&Arc<Key>> {
        self.0.get(id)
    }
}

/// The entries of a set, at least one.
///
/// # Errors
/// [`SetError`]
pub fn list_of(set: &Value) -> Result<&[Value], SetError> {
    match set.get("keys") {
        Some(Value::Array(list)) if list.len() > KEYS_MAX => Err(SetError::TooMany),
        Some(Value::Array(list)) if !list.is_empty() => Ok(list),
        _ => Err(SetError::Empty),
    }
}

// === impl KeyCache ===

impl KeyCache {
    /// The keys of a set, for ever.
    pub fn fixed(set: KeySet) -> KeyCache {
        KeyCache(set.0.into_iter().map(|(id, key)| (id, (key, FOREVER))).collect())
    }

    /// A key that may be used at this moment.
    pub fn find(&self, id: &str, now_ns: u64) -> Option<&Arc<Key>> {
        let (key, until_ns) = self.0.get(id)?;
        (*until_ns > now_ns).then_some(key)
    }

    /// With the keys of a fresh set: they replace their namesakes, the others stay until their own time is over.
    #[must_use]
    pub fn with(&self, set: &KeySet, now_ns: u64, until_ns: u64) -> KeyCache {
        let mut keys = self.0.clone();
        keys.retain(|_, (_, until_ns)| *until_ns > now_ns);
        if keys.len() + set.0.len() > KEYS_MAX {
            keys.clear();
        }
        for (id, key) in &set.0 {
            keys.insert(id.clone(), (key.clone(), until_ns));
        }
        KeyCache(keys)
    }
}

// === impl SetError ===

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(why) => write!(f, "the key set is no JSON: {why}"),
            Self::Empty => f.write_str("the key set has no keys"),
            Self::TooMany => write!(f, "the key set has more than {KEYS_MAX} keys"),
            Self::Key(place, why) => write!(f, "key {place} of the set cannot be used: {why}"),
        }
    }
}

impl std::error::Error for SetError {}
