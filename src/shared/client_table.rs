//! `ClientTable`: an entry for each client in which all cores count, and which the control thread goes through.
//!
//! Memory has a bound: a set holds [`WAYS`] clients, and when it is full, the client that was seen longest ago gives its
//! place up. A client that is known is found without a lock. Names and notes of a set are behind one, for the control
//! thread and for new clients; a core tries a few times and then does without, so that it waits for nobody.

use std::hash::{BuildHasher, RandomState};
use std::hint;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, TryLockError};

/// Clients of one set.
const WAYS: usize = 16;
/// When a client was last seen is noted to this many nanoseconds, so that most calls do not write it.
const SEEN_STEP_NS: u64 = 1_000_000_000;
/// What a tag is when its place is free.
const FREE: u64 = 0;
/// How often a core tries to let a new client in while somebody else is at the set.
const ATTEMPTS: usize = 64;
/// Sets whose marks share a word.
const MARKS: usize = 64;

/// What is counted for one client.
pub trait Entry: Default + Send + Sync + 'static {
    /// What all entries of a table have in common.
    type Rules: Send + Sync;
    /// What the control thread remembers of a client.
    type Notes: Default + Send;

    /// The place has a new client.
    fn begin(&self, rules: &Self::Rules, now_ns: u64);
}

/// Clones are the same table.
pub struct ClientTable<E: Entry>(Arc<Inner<E>>);

/// Where a client was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    set: usize,
    way: usize,
    tag: u64,
}

/// What a visitor says of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visited {
    /// It is visited again when a core has counted there.
    Done,
    /// It is visited again the next time.
    Again,
    /// Nothing was done: the round ends here, and the next one begins with this set.
    Full,
}

struct Inner<E: Entry> {
    /// Made when their first client comes.
    sets: Box<[OnceLock<Box<Set<E>>>]>,
    /// A bit for each set: something was counted there.
    marks: Box<[AtomicU64]>,
    /// Where the next round begins.
    next: AtomicUsize,
    /// Keyed at random, so that nobody can choose names that meet in one set.
    hasher: RandomState,
    rules: E::Rules,
}

#[repr(align(64))]
struct Set<E: Entry> {
    tags: [AtomicU64; WAYS],
    slots: [Slot<E>; WAYS],
    books: Mutex<[Book<E>; WAYS]>,
}

#[repr(align(64))]
struct Slot<E> {
    seen_ns: AtomicU64,
    entry: E,
}

struct Book<E: Entry> {
    name: Box<[u8]>,
    notes: E::Notes,
}

// === impl ClientTable ===

impl<E: Entry> ClientTable<E> {
    /// Room for `clients_max` clients, a multiple of 16.
    pub fn new(rules: E::Rules, clients_max: usize) -> Self {
        let count = clients_max.div_ceil(WAYS).max(1);
        Self(Arc::new(Inner {
            sets: (0..count).map(|_| OnceLock::new()).collect(),
            marks: (0..count.div_ceil(MARKS)).map(|_| AtomicU64::new(0)).collect(),
            next: AtomicUsize::new(0),
            hasher: RandomState::new(),
            rules,
        }))
    }

    pub fn rules(&self) -> &E::Rules {
        &self.0.rules
    }

    /// Counts for this client. `None`: it is new, and its set is being visited just now.
    pub fn count<R>(&self, client: &[u8], now_ns: u64, count: impl FnOnce(&E) -> R) -> Option<R> {
        let (index, tag) = self.0.place_of(client);
        let set = self.0.sets.get(index)?.get_or_init(Box::default);
        let slot = set.find(tag).or_else(|| set.admit(tag, client, &self.0.rules, now_ns))?;
        slot.saw(now_ns);
        let result = count(&slot.entry);
        self.0.mark(index);
        Some(result)
    }

    /// Looks at a client's entry, where it has one.
    pub fn look<R>(&self, client: &[u8], look: impl FnOnce(&E) -> R) -> Option<R> {
        let (index, tag) = self.0.place_of(client);
        Some(look(&self.0.sets.get(index)?.get()?.find(tag)?.entry))
    }

    /// Goes through the sets in which something was counted since they were done: `visit` sees every client of such a set,
    /// and says what is to become of the set; the last word that is not `Done` counts. Before that it is asked whether
    /// there is room for a whole set.
    pub fn visit(
        &self,
        mut has_room: impl FnMut(usize) -> bool,
        mut visit: impl FnMut(Place, &[u8], &E, &mut E::Notes) -> Visited,
    ) {
        let inner = &*self.0;
        let words = inner.marks.len();
        let start = inner.next.load(Ordering::Relaxed) % words;
        for step in 0..words {
            let word = (start + step) % words;
            let mut bits = inner.marks[word].swap(0, Ordering::SeqCst);
            // What was counted before a mark that is taken here is seen below.
            fence(Ordering::SeqCst);
            while bits != 0 {
                let bit = bits.trailing_zeros() as usize;
                let index = word * MARKS + bit;
                let said = match has_room(WAYS) {
                    true => inner.visit_set(index, &mut visit),
                    false => Visited::Full,
                };
                if said == Visited::Full {
                    inner.marks[word].fetch_or(bits, Ordering::SeqCst);
                    inner.next.store(word, Ordering::Relaxed);
                    return;
                }
                if said == Visited::Again {
                    inner.marks[word].fetch_or(1 << bit, Ordering::SeqCst);
                }
                bits &= bits - 1;
            }
        }
        inner.next.store(0, Ordering::Relaxed);
    }

    /// The client that was met there, unless it is gone.
    pub fn at<R>(&self, place: Place, act: impl FnOnce(&E, &mut E::Notes) -> R) -> Option<R> {
        let set = self.0.sets.get(place.set)?.get()?;
        let mut books = set.books.lock().unwrap_or_else(PoisonError::into_inner);
        let is_there = set.tags.get(place.way)?.load(Ordering::Acquire) == place.tag;
        let book = books.get_mut(place.way).filter(|_| is_there)?;
        Some(act(&set.slots.get(place.way)?.entry, &mut book.notes))
    }

    /// Has this client visited the next time.
    pub fn remind(&self, place: Place) {
        self.0.mark(place.set);
    }
}

impl<E: Entry> Clone for ClientTable<E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

// === impl Inner ===

impl<E: Entry> Inner<E> {
    fn place_of(&self, client: &[u8]) -> (usize, u64) {
        let hash = self.hasher.hash_one(client);
        // The upper half chooses the set, by multiplication in place of a division.
        let index = ((hash >> 32) * self.sets.len() as u64) >> 32;
        (usize::try_from(index).unwrap_or(0), if hash == FREE { 1 } else { hash })
    }

    fn mark(&self, index: usize) {
        let (word, bit) = (&self.marks[index / MARKS], 1 << (index % MARKS));
        // Either the visitor, who takes the mark first, sees what was counted, or this sees that the mark is gone.
        fence(Ordering::SeqCst);
        if word.load(Ordering::SeqCst) & bit == 0 {
            word.fetch_or(bit, Ordering::SeqCst);
        }
    }

    fn visit_set(
        &self,
        index: usize,
        visit: &mut impl FnMut(Place, &[u8], &E, &mut E::Notes) -> Visited,
    ) -> Visited {
        let Some(set) = self.sets.get(index).and_then(OnceLock::get) else { return Visited::Done };
        let mut books = set.books.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = Visited::Done;
        for (way, (book, slot)) in books.iter_mut().zip(&set.slots).enumerate() {
            let tag = set.tags[way].load(Ordering::Acquire);
            if tag == FREE {
                continue;
            }
            let place = Place { set: index, way, tag };
            let said = visit(place, &book.name, &slot.entry, &mut book.notes);
            if said != Visited::Done {
                all = said;
            }
        }
        all
    }
}

// === impl Set ===

impl<E: Entry> Set<E> {
    fn find(&self, tag: u64) -> Option<&Slot<E>> {
        let way = self.tags.iter().position(|known| known.load(Ordering::Acquire) == tag)?;
        Some(&self.slots[way])
    }

    /// A place for a client that has none.
    #[cold]
    fn admit(&self, tag: u64, name: &[u8], rules: &E::Rules, now_ns: u64) -> Option<&Slot<E>> {
        for _ in 0..ATTEMPTS {
            let mut books = match self.books.try_lock() {
                Ok(books) => books,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {
                    hint::spin_loop();
                    continue;
                }
            };
            // Another core may have let it in.
            if let Some(slot) = self.find(tag) {
                return Some(slot);
            }
            let way = self.least_wanted();
            let slot = &self.slots[way];
            // Whoever still holds the place for its former client can at worst charge the new one.
            self.tags[way].store(FREE, Ordering::Release);
            books[way] = Book { name: name.into(), notes: E::Notes::default() };
            slot.seen_ns.store(now_ns, Ordering::Relaxed);
            slot.entry.begin(rules, now_ns);
            self.tags[way].store(tag, Ordering::Release);
            return Some(slot);
        }
        self.find(tag)
    }

    /// A free place, or that of the client that was seen longest ago.
    fn least_wanted(&self) -> usize {
        let seen = |way: &usize| match self.tags[*way].load(Ordering::Relaxed) {
            FREE => 0,
            _ => self.slots[*way].seen_ns.load(Ordering::Relaxed).max(1),
        };
        (0..WAYS).min_by_key(seen).unwrap_or(0)
    }
}

impl<E: Entry> Default for Set<E> {
    fn default() -> Self {
        Self {
            tags: std::array::from_fn(|_| AtomicU64::new(FREE)),
            slots: std::array::from_fn(|_| Slot::default()),
            books: Mutex::new(std::array::from_fn(|_| Book {
                name: Box::default(),
                notes: E::Notes::default(),
            })),
        }
    }
}

// === impl Slot ===

impl<E> Slot<E> {
    fn saw(&self, now_ns: u64) {
        if now_ns.saturating_sub(self.seen_ns.load(Ordering::Relaxed)) >= SEEN_STEP_NS {
            self.seen_ns.store(now_ns, Ordering::Relaxed);
        }
    }
}

impl<E: Default> Default for Slot<E> {
    fn default() -> Self {
        Self { seen_ns: AtomicU64::new(0), entry: E::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Sum(AtomicU64);

    impl Entry for Sum {
        type Rules = ();
        type Notes = u64;

        fn begin(&self, (): &(), _now_ns: u64) {
            self.0.store(0, Ordering::Relaxed);
        }
    }

    fn add(table: &ClientTable<Sum>, client: &str, now_ns: u64) {
        table.count(client.as_bytes(), now_ns, |sum| sum.0.fetch_add(1, Ordering::SeqCst));
    }

    /// What was counted since the last round, in all.
    fn news(table: &ClientTable<Sum>) -> u64 {
        let mut all = 0;
        let mut visited = 0;
        table.visit(
            |_| true,
            |_, _, sum, told| {
                visited += 1;
                let now = sum.0.load(Ordering::SeqCst);
                all += now - std::mem::replace(told, now);
                Visited::Done
            },
        );
        assert!(all > 0 || visited == 0, "only what was counted in is visited");
        all
    }

    #[test]
    fn every_count_is_found_once() {
        let table = ClientTable::<Sum>::new((), 10_000);
        for client in 0..1000 {
            add(&table, &client.to_string(), 0);
        }
        assert_eq!(news(&table), 1000);
        assert_eq!(news(&table), 0);
        add(&table, "7", 1);
        assert_eq!(news(&table), 1);
        assert_eq!(table.look(b"7", |sum| sum.0.load(Ordering::Relaxed)), Some(2));
        assert_eq!(table.look(b"nobody", |_| ()), None);
    }

    #[test]
    fn no_count_is_lost_between_cores_and_the_visitor() {
        let table = ClientTable::<Sum>::new((), 64);
        let cores: Vec<_> = (0..3)
            .map(|_| {
                let table = table.clone();
                std::thread::spawn(move || {
                    (0..50_000)
                        .filter(|turn: &u64| {
                            // No more than one set has room for: names meet in sets at random, and nobody shall give way.
                            let client = (turn % WAYS as u64).to_string();
                            let add = |sum: &Sum| sum.0.fetch_add(1, Ordering::SeqCst);
                            table.count(client.as_bytes(), 0, add).is_some()
                        })
                        .count() as u64
                })
            })
            .collect();
        let mut found = 0;
        while !cores.iter().all(std::thread::JoinHandle::is_finished) {
            found += news_of_all(&table);
        }
        let counted: u64 = cores.into_iter().map(|core| core.join().expect("lives")).sum();
        found += news_of_all(&table);
        assert_eq!(found, counted);
        assert!(counted > 100_000, "{counted}");
    }

    /// [`news`] while others count: a set may have been counted in by the time it is visited.
    fn news_of_all(table: &ClientTable<Sum>) -> u64 {
        let mut all = 0;
        table.visit(
            |_| true,
            |_, _, sum, told| {
                let now = sum.0.load(Ordering::SeqCst);
                all += now - std::mem::replace(told, now);
                Visited::Done
            },
        );
        all
    }

    #[test]
    fn who_was_seen_longest_ago_makes_room_and_its_place_is_known_to_be_gone() {
        let table = ClientTable::<Sum>::new((), 1);
        for client in 0..16_u64 {
            add(&table, &client.to_string(), client * 2 * SEEN_STEP_NS);
        }
        let mut first = None;
        table.visit(
            |_| true,
            |place, name, _, _| {
                if name == b"0" {
                    first = Some(place);
                }
                Visited::Done
            },
        );
        let first = first.expect("it is there");
        assert_eq!(table.at(first, |_, _| ()), Some(()));
        add(&table, "another", 99 * SEEN_STEP_NS);
        assert_eq!(table.look(b"0", |_| ()), None);
        assert_eq!(table.look(b"1", |_| ()), Some(()));
        assert_eq!(table.at(first, |_, _| ()), None);
    }

    #[test]
    fn a_round_that_is_full_goes_on_where_it_ended() {
        let table = ClientTable::<Sum>::new((), 100_000);
        for client in 0..500 {
            add(&table, &client.to_string(), 0);
        }
        let (mut all, mut rounds) = (0, 0);
        loop {
            let mut room = 10;
            let before = all;
            table.visit(
                |_| {
                    room -= 1;
                    room >= 0
                },
                |_, _, sum, told| {
                    let now = sum.0.load(Ordering::SeqCst);
                    all += now - std::mem::replace(told, now);
                    Visited::Done
                },
            );
            if all == before {
                break;
            }
            rounds += 1;
        }
        assert_eq!(all, 500);
        assert!(rounds >= 10, "{rounds}");
    }

    #[test]
    fn what_is_wanted_again_is_visited_again() {
        let table = ClientTable::<Sum>::new((), 16);
        add(&table, "a", 0);
        let visits = |said: Visited| {
            let mut count = 0;
            table.visit(
                |_| true,
                |_, _, _, _| {
                    count += 1;
                    said
                },
            );
            count
        };
        assert_eq!(
            [visits(Visited::Again), visits(Visited::Done), visits(Visited::Done)],
            [1, 1, 0]
        );
    }
}
