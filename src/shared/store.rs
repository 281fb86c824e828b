//! `Store`: values by name, over all cores, bounded by their number and their size.
//!
//! What was used longest ago goes first. A lock is held for one look-up, never while a value is made or read.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;

/// A bounded map. Values are shared: cloning one must be cheap.
pub struct Store<V> {
    shards: Box<[Mutex<Shard<V>>]>,
    hasher: RandomState,
}

struct Shard<V> {
    entries: LruCache<Box<[u8]>, Weighed<V>>,
    bytes: usize,
    items_max: usize,
    bytes_max: usize,
}

struct Weighed<V> {
    value: V,
    bytes: usize,
}

// === impl Store ===

impl<V: Clone> Store<V> {
    /// At most so many values of so many bytes in all. With one shard the order of use is exact; with more, each has its
    /// equal part of both bounds, and fewer cores meet at a lock.
    pub fn new(items_max: usize, bytes_max: usize, shards: usize) -> Store<V> {
        let shards = shards.max(1);
        let (items_max, bytes_max) = (items_max.div_ceil(shards), bytes_max / shards);
        let shard = || {
            let entries = LruCache::unbounded();
            Mutex::new(Shard { entries, bytes: 0, items_max, bytes_max })
        };
        Store { shards: (0..shards).map(|_| shard()).collect(), hasher: RandomState::new() }
    }

    pub fn get(&self, name: &[u8]) -> Option<V> {
        self.shard(name).entries.get(name).map(|weighed| weighed.value.clone())
    }

    /// Keeps a value of so many bytes in place of what was there; false when it is too large to be kept at all.
    pub fn put(&self, name: &[u8], value: V, bytes: usize) -> bool {
        let mut shard = self.shard(name);
        if bytes >= shard.bytes_max {
            shard.remove(name);
            return false;
        }
        if let Some((_, old)) = shard.entries.push(name.into(), Weighed { value, bytes }) {
            shard.bytes -= old.bytes;
        }
        shard.bytes += bytes;
        while shard.bytes > shard.bytes_max || shard.entries.len() > shard.items_max {
            let Some((_, old)) = shard.entries.pop_lru() else { break };
            shard.bytes -= old.bytes;
        }
        true
    }

    pub fn remove(&self, name: &[u8]) {
        self.shard(name).remove(name);
    }

    /// Bytes of all values, and their number.
    pub fn size(&self) -> (usize, usize) {
        let each = self.shards.iter().map(|shard| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            (shard.bytes, shard.entries.len())
        });
        each.fold((0, 0), |(bytes, items), (more, count)| (bytes + more, items + count))
    }

    fn shard(&self, name: &[u8]) -> MutexGuard<'_, Shard<V>> {
        let hash = match self.shards.len() {
            1 => 0,
            count => self.hasher.hash_one(name) % count as u64,
        };
        let shard = &self.shards[usize::try_from(hash).unwrap_or(0)];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Shard<V> {
    fn remove(&mut self, name: &[u8]) {
        if let Some(old) = self.entries.pop(name) {
            self.bytes -= old.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let store = Store::new(2, 1000, 1);
        for name in [&b"a"[..], b"b"] {
            assert!(store.put(name, name.to_vec(), 10));
        }
        assert!(store.get(b"a").is_some());
        store.put(b"c", b"c".to_vec(), 10);
        assert_eq!(store.get(b"b"), None);
        assert!(store.get(b"a").is_some() && store.get(b"c").is_some());
        store.remove(b"a");
        assert_eq!(store.size(), (10, 1));
    }

    #[test]
    fn bytes_are_bounded_also_where_values_are_replaced() {
        let store = Store::new(100, 1000, 1);
        assert!(!store.put(b"large", 0, 1000));
        for round in 0..50_u8 {
            assert!(store.put(&[round % 7], round, 300));
            assert!(store.put(&[round % 7], round, 310));
        }
        assert_eq!(store.size(), (930, 3));
        assert!(!store.put(&[0], 1, 5000), "too large, and its forerunner is gone");
        assert_eq!(store.get(&[0]), None);
    }

    #[test]
    fn shards_share_the_bounds() {
        let store = Store::new(1600, 16_000, 16);
        for number in 0..10_000_u32 {
            store.put(&number.to_le_bytes(), number, 9);
        }
        let (bytes, items) = store.size();
        assert!(items <= 1600 && bytes <= 16_000, "{items} values of {bytes} bytes");
        assert!(items > 1200, "the bound is used: {items}");
    }
}
