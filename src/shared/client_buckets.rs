//! `ClientBuckets`: a token bucket for each client, over all cores, in memory that has a bound.
//!
//! A client that is known is found and charged without a lock; only a new one takes the lock of its set, for as
//! long as it takes to choose a place. A set holds [`WAYS`] clients. When it is full, the client that was seen
//! longest ago gives its place up and begins anew with a full bucket when it comes back.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::tally::{Rate, Standing};

/// Clients of one set.
const WAYS: usize = 16;
/// When a client was last seen is noted to this many nanoseconds, so that most calls write one number only.
const SEEN_STEP_NS: u64 = 1_000_000_000;
/// What a tag is when its place is free.
const FREE: u64 = 0;

/// Buckets of one rate, one for each client. Clones are the same buckets.
#[derive(Clone, Debug)]
pub struct ClientBuckets(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Made when their first client comes.
    sets: Box<[OnceLock<Box<Set>>]>,
    /// Keyed at random, so that nobody can choose names that meet in one set.
    hasher: RandomState,
    rate: Rate,
    idle_ns: u64,
}

/// The tags lie together: looking for a client reads two cache lines.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Set {
    tags: [AtomicU64; WAYS],
    places: [Bucket; WAYS],
    admission: Mutex<()>,
}

#[derive(Debug, Default)]
struct Bucket {
    state: AtomicU64,
    start_ns: AtomicU64,
    seen_ns: AtomicU64,
}

// === impl ClientBuckets ===

impl ClientBuckets {
    /// Room for `clients_max` clients, a multiple of 16. A client that was not seen for `idle_ns` begins anew.
    pub fn new(rate: Rate, clients_max: usize, idle_ns: u64) -> Self {
        let sets = (0..clients_max.div_ceil(WAYS).max(1)).map(|_| OnceLock::new()).collect();
        Self(Arc::new(Inner { sets, hasher: RandomState::new(), rate, idle_ns }))
    }

    /// The most memory that such buckets can take, in bytes.
    pub fn bytes_max(clients_max: usize) -> usize {
        clients_max.div_ceil(WAYS).max(1) * (size_of::<Set>() + size_of::<OnceLock<Box<Set>>>())
    }

    /// Takes one token of this client; `false` when there is none.
    pub fn take(&self, client: &[u8], now_ns: u64) -> bool {
        let (set, tag) = self.0.place_of(client);
        let bucket = match set.find(tag) {
            Some(bucket) if !bucket.is_idle(now_ns, self.0.idle_ns) => bucket,
            _ => set.admit(tag, &self.0, now_ns),
        };
        bucket.saw(now_ns);
        bucket.take(self.0.rate, now_ns)
    }

    /// What is left for this client; takes nothing.
    pub fn standing(&self, client: &[u8], now_ns: u64) -> Standing {
        let (set, tag) = self.0.place_of(client);
        match set.find(tag) {
            Some(bucket) => self.0.rate.standing(
                bucket.state.load(Ordering::Acquire),
                now_ns.saturating_sub(bucket.start_ns.load(Ordering::Relaxed)),
            ),
            None => self.0.rate.standing(self.0.rate.full(), 0),
        }
    }

    pub fn rate(&self) -> Rate {
        self.0.rate
    }

    /// Memory in use, in bytes.
    pub fn bytes(&self) -> usize {
        let made = self.0.sets.iter().filter(|set| set.get().is_some()).count();
        made * size_of::<Set>() + size_of_val(&*self.0.sets)
    }
}

// === impl Inner ===

impl Inner {
    fn place_of(&self, client: &[u8]) -> (&Set, u64) {
        let hash = self.hasher.hash_one(client);
        // The upper half chooses the set, by multiplication in place of a division.
        let index = ((hash >> 32) * self.sets.len() as u64) >> 32;
        let cell = &self.sets[usize::try_from(index).unwrap_or(0)];
        (cell.get_or_init(Box::default), if hash == FREE { 1 } else { hash })
    }
}

// === impl Set ===

impl Set {
    fn find(&self, tag: u64) -> Option<&Bucket> {
        let way = self.tags.iter().position(|known| known.load(Ordering::Acquire) == tag)?;
        Some(&self.places[way])
    }

    /// A place for a client that has none, or whose bucket has been idle for too long.
    #[cold]
    fn admit(&self, tag: u64, inner: &Inner, now_ns: u64) -> &Bucket {
        let _alone = self.admission.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.tags.iter().position(|known| known.load(Ordering::Relaxed) == tag);
        if let Some(way) = known
            && !self.places[way].is_idle(now_ns, inner.idle_ns)
        {
            return &self.places[way];
        }
        let way = known.unwrap_or_else(|| self.least_wanted());
        let bucket = &self.places[way];
        // Whoever still holds the place for its former client can at worst charge the new one.
        self.tags[way].store(FREE, Ordering::Release);
        bucket.start_ns.store(now_ns, Ordering::Relaxed);
        bucket.seen_ns.store(now_ns, Ordering::Relaxed);
        bucket.state.store(inner.rate.full(), Ordering::Release);
        self.tags[way].store(tag, Ordering::Release);
        bucket
    }

    /// A free place, or that of the client that was seen longest ago.
    fn least_wanted(&self) -> usize {
        let seen = |way: &usize| match self.tags[*way].load(Ordering::Relaxed) {
            FREE => 0,
            _ => self.places[*way].seen_ns.load(Ordering::Relaxed).max(1),
        };
        (0..WAYS).min_by_key(seen).unwrap_or(0)
    }
}

// === impl Bucket ===

impl Bucket {
    fn is_idle(&self, now_ns: u64, idle_ns: u64) -> bool {
        now_ns.saturating_sub(self.seen_ns.load(Ordering::Relaxed)) > idle_ns
    }

    fn saw(&self, now_ns: u64) {
        if now_ns.saturating_sub(self.seen_ns.load(Ordering::Relaxed)) >= SEEN_STEP_NS {
            self.seen_ns.store(now_ns, Ordering::Relaxed);
        }
    }

    fn take(&self, rate: Rate, now_ns: u64) -> bool {
        let age_ns = now_ns.saturating_sub(self.start_ns.load(Ordering::Relaxed));
        let mut state = self.state.load(Ordering::Acquire);
        loop {
            let (next, taken) = rate.step(state, age_ns);
            if next == state {
                return taken;
            }
            let swap =
                self.state.compare_exchange_weak(state, next, Ordering::AcqRel, Ordering::Acquire);
            match swap {
                Ok(_) => return taken,
                Err(current) => state = current,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::tally::TokenBucket;
    use std::collections::HashMap;

    const SECOND: u64 = 1_000_000_000;
    const IDLE: u64 = 600 * SECOND;

    fn buckets(rate: f64, capacity: u64, clients_max: usize) -> ClientBuckets {
        ClientBuckets::new(Rate::new(rate, capacity), clients_max, IDLE)
    }

    /// As in tally.rs: a small generator with a seed that never changes.
    fn random(seed: &mut u64, below: u64) -> u64 {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        *seed % below
    }

    #[test]
    fn every_client_is_treated_as_by_a_bucket_of_its_own() {
        let rate = Rate::new(0.5, 3);
        let shared = ClientBuckets::new(rate, 4096, IDLE);
        let mut own: HashMap<u64, TokenBucket> = HashMap::new();
        let (mut seed, mut now) = (0x5eed_0001_u64, 7 * SECOND);
        for _ in 0..50_000 {
            now += random(&mut seed, 20_000_000);
            let client = random(&mut seed, 400);
            let bucket = own.entry(client).or_insert_with(|| TokenBucket::new(rate, now));
            let expected = (bucket.take(now), bucket.standing(now));
            let key = client.to_string();
            let got = (shared.take(key.as_bytes(), now), shared.standing(key.as_bytes(), now));
            assert_eq!(got, expected, "client {client} at {now}");
        }
    }

    #[test]
    fn a_million_clients_do_not_take_more_than_the_bound() {
        const CLIENTS_MAX: usize = 10_000;
        let shared = buckets(1.0, 1, CLIENTS_MAX);
        let mut seed = 0x5eed_0002_u64;
        for call in 0..1_000_000_u64 {
            let client = random(&mut seed, u64::MAX);
            assert!(
                shared.take(&client.to_le_bytes(), SECOND + call),
                "a new client has its token"
            );
        }
        assert!(shared.bytes() <= ClientBuckets::bytes_max(CLIENTS_MAX));
        assert!(shared.bytes() > ClientBuckets::bytes_max(CLIENTS_MAX) / 2, "it was used");
    }

    #[test]
    fn who_was_seen_longest_ago_gives_its_place_up() {
        let shared = buckets(1e-9, 1, 1);
        let name = |client: u64| client.to_string();
        for client in 0..16 {
            assert!(shared.take(name(client).as_bytes(), (client + 1) * 10 * SECOND));
        }
        // Number 0 comes again, so number 1 is the one that goes.
        assert!(!shared.take(name(0).as_bytes(), 200 * SECOND));
        assert!(shared.take(name(16).as_bytes(), 201 * SECOND));
        assert!(!shared.take(name(0).as_bytes(), 202 * SECOND), "still known");
        assert!(shared.take(name(1).as_bytes(), 203 * SECOND), "forgotten");
        assert!(!shared.take(name(15).as_bytes(), 204 * SECOND), "still known");
    }

    #[test]
    fn a_client_that_was_away_for_long_begins_anew() {
        let shared = buckets(1e-9, 2, 64);
        assert!(shared.take(b"a", SECOND) && shared.take(b"a", SECOND));
        assert!(!shared.take(b"a", SECOND));
        assert!(!shared.take(b"a", SECOND + IDLE), "the refused call was seen, too");
        assert!(shared.take(b"a", 2 * SECOND + 2 * IDLE));
        assert!(shared.take(b"a", 2 * SECOND + 2 * IDLE));
        assert!(!shared.take(b"a", 2 * SECOND + 2 * IDLE));
    }

    #[test]
    fn cores_together_never_give_a_client_more_than_it_has() {
        let shared = buckets(1e-9, 1000, 64);
        let cores: Vec<_> = (0..3)
            .map(|_| {
                let shared = shared.clone();
                std::thread::spawn(move || {
                    (0..30_000_u32).filter(|call| shared.take(&(call % 8).to_le_bytes(), 1)).count()
                })
            })
            .collect();
        let taken: usize = cores.into_iter().map(|core| core.join().expect("lives")).sum();
        assert_eq!(taken, 8 * 1000);
    }
}
