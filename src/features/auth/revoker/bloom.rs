//! A Bloom filter of three generations: what was added is found for two generations and is forgotten after three.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

/// The largest filter: 1 GiB, and there are three.
const BITS_MAX: f64 = 8.0 * 1024.0 * 1024.0 * 1024.0;

/// How large a filter is, and how many bits an element sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    bits: u64,
    hashes: u32,
}

/// Why there is no such filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeError {
    Elements,
    Probability,
    TooLarge,
}

/// The generations. Adding and asking never wait for each other.
pub struct Rotation {
    size: Size,
    /// Keyed at random: nobody can choose elements that collide.
    hashers: [RandomState; 2],
    sets: ArcSwap<Sets>,
}

struct Sets {
    previous: Arc<[AtomicU64]>,
    current: Arc<[AtomicU64]>,
    next: Arc<[AtomicU64]>,
}

// === impl Size ===

impl Size {
    /// For so many elements and this probability that another one seems to be among them.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded just before"
    )]
    pub fn of(elements: u64, probability: f64) -> Result<Size, SizeError> {
        if elements == 0 {
            return Err(SizeError::Elements);
        }
        if !(probability > 0.0 && probability < 1.0) {
            return Err(SizeError::Probability);
        }
        let ln2 = std::f64::consts::LN_2;
        let bits = (-(elements as f64) * probability.ln() / (ln2 * ln2)).ceil().max(64.0);
        if bits > BITS_MAX {
            return Err(SizeError::TooLarge);
        }
        let hashes = (-probability.ln() / ln2).ceil().clamp(1.0, 64.0);
        Ok(Size { bits: bits as u64, hashes: hashes as u32 })
    }
}

// === impl Rotation ===

impl Rotation {
    pub fn new(size: Size) -> Rotation {
        let sets = Sets { previous: empty(size), current: empty(size), next: empty(size) };
        let hashers = [RandomState::new(), RandomState::new()];
        Rotation { size, hashers, sets: ArcSwap::from_pointee(sets) }
    }

    pub fn add(&self, element: &[u8]) {
        let sets = self.sets.load();
        for bit in self.bits(element) {
            for set in [&sets.current, &sets.next] {
                if let Some(word) = set.get(word_of(bit)) {
                    word.fetch_or(1 << (bit % 64), Ordering::Relaxed);
                }
            }
        }
    }

    pub fn has(&self, element: &[u8]) -> bool {
        let sets = self.sets.load();
        let is_in = |set: &[AtomicU64]| {
            self.bits(element).all(|bit| {
                set.get(word_of(bit))
                    .is_some_and(|word| word.load(Ordering::Relaxed) >> (bit % 64) & 1 == 1)
            })
        };
        is_in(&sets.current) || is_in(&sets.previous)
    }

    /// Begins a new generation and forgets the oldest.
    pub fn turn(&self) {
        let sets = self.sets.load();
        self.sets.store(Arc::new(Sets {
            previous: sets.current.clone(),
            current: sets.next.clone(),
            next: empty(self.size),
        }));
    }

    /// Two hashes make all of an element's places (Kirsch and Mitzenmacher).
    fn bits(&self, element: &[u8]) -> impl Iterator<Item = u64> + use<> {
        let Size { bits, hashes } = self.size;
        let [first, step] = [0, 1].map(|which: usize| self.hashers[which].hash_one(element));
        (0..u64::from(hashes))
            .map(move |index| first.wrapping_add(index.wrapping_mul(step | 1)) % bits)
    }
}

fn empty(size: Size) -> Arc<[AtomicU64]> {
    (0..size.bits.div_ceil(64)).map(|_| AtomicU64::new(0)).collect()
}

fn word_of(bit: u64) -> usize {
    usize::try_from(bit / 64).unwrap_or(usize::MAX)
}

// === impl SizeError ===

impl SizeError {
    /// The option that is to blame.
    pub fn member(self) -> &'static str {
        match self {
            SizeError::Elements | SizeError::TooLarge => "N",
            SizeError::Probability => "P",
        }
    }
}

impl fmt::Display for SizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Elements => "N is a number of elements above zero",
            Self::Probability => "P is a probability between 0 and 1",
            Self::TooLarge => "N and P need more than 1 GiB",
        })
    }
}

impl std::error::Error for SizeError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn rotation() -> Rotation {
        Rotation::new(Size::of(1_000, 1e-6).expect("a size"))
    }

    #[test]
    fn what_was_added_is_found_and_little_else() {
        let revoked = rotation();
        let element = |number: u32| format!("jti-{number}").into_bytes();
        (0..1_000).for_each(|number| revoked.add(&element(number)));
        assert!((0..1_000).all(|number| revoked.has(&element(number))));
        let found = (1_000..21_000).filter(|&number| revoked.has(&element(number))).count();
        assert!(found < 5, "{found} of 20,000 with a probability of a millionth");
    }

    #[test]
    fn elements_are_found_for_two_turns_and_forgotten_at_the_third() {
        let revoked = rotation();
        revoked.add(b"jti-1");
        for _ in 0..2 {
            revoked.turn();
            assert!(revoked.has(b"jti-1"));
        }
        revoked.turn();
        assert!(!revoked.has(b"jti-1"));
    }

    #[test]
    fn impossible_sizes_are_refused() {
        assert_eq!(Size::of(0, 0.1), Err(SizeError::Elements));
        for probability in [0.0, 1.0, -1.0, 2.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Size::of(10, probability), Err(SizeError::Probability));
        }
        assert_eq!(Size::of(u64::MAX, 0.001), Err(SizeError::TooLarge));
    }
}
