//! `Published<T>`: the latest value of something that rarely changes, read by every core without waiting.
//!
//! The control side publishes, each core holds a [`Reader`]. A read costs one atomic load; the value's
//! reference count is touched only when there is something new.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

/// A door from the control side to all cores that holds one value, the latest.
pub struct Published<T> {
    shared: Arc<Latest<T>>,
}

/// One core's view of a [`Published`] value. Not shared between threads; each core makes its own.
///
/// It keeps the value that it saw last, so an old value lives until every core has looked again.
pub struct Reader<T> {
    shared: Arc<Latest<T>>,
    generation: u64,
    value: Arc<T>,
}

struct Latest<T> {
    /// Raised after each store, so whoever sees a generation finds its value, or a newer one.
    generation: AtomicU64,
    value: ArcSwap<T>,
}

// === impl Published ===

impl<T> Published<T> {
    pub fn new(value: T) -> Self {
        let latest = Latest { generation: AtomicU64::new(0), value: ArcSwap::from_pointee(value) };
        Self { shared: Arc::new(latest) }
    }

    /// Replaces the value for everyone. The old one is freed by whoever lets go of it last.
    pub fn publish(&self, value: T) {
        self.shared.value.store(Arc::new(value));
        self.shared.generation.fetch_add(1, Ordering::Release);
    }

    /// The value of this moment, for the control side and for what happens rarely.
    pub fn latest(&self) -> Arc<T> {
        self.shared.value.load_full()
    }

    /// A view for one core.
    pub fn reader(&self) -> Reader<T> {
        let generation = self.shared.generation.load(Ordering::Acquire);
        Reader { shared: Arc::clone(&self.shared), generation, value: self.latest() }
    }
}

impl<T> Clone for Published<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T: Default> Default for Published<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> fmt::Debug for Published<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let generation = self.shared.generation.load(Ordering::Relaxed);
        f.debug_struct("Published").field("generation", &generation).finish_non_exhaustive()
    }
}

// === impl Reader ===

impl<T> Reader<T> {
    /// The latest value.
    #[inline]
    pub fn get(&mut self) -> &T {
        self.refresh();
        &self.value
    }

    /// The latest value, for one who keeps it beyond the next look.
    #[inline]
    pub fn share(&mut self) -> Arc<T> {
        self.refresh();
        Arc::clone(&self.value)
    }

    /// Whether something was published that this view has not taken up yet.
    #[inline]
    pub fn has_changed(&self) -> bool {
        self.shared.generation.load(Ordering::Acquire) != self.generation
    }

    /// Takes up what is new; tells whether there was anything.
    #[inline]
    pub fn refresh(&mut self) -> bool {
        let generation = self.shared.generation.load(Ordering::Acquire);
        if generation == self.generation {
            return false;
        }
        self.generation = generation;
        self.value = self.shared.value.load_full();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_sees_the_value_that_was_published_last() {
        let published = Published::new(1);
        let mut reader = published.reader();
        assert_eq!(*reader.get(), 1);
        published.publish(2);
        published.publish(3);
        assert_eq!(*reader.get(), 3);
    }

    #[test]
    fn a_change_is_noticed_once() {
        let published = Published::new("a");
        let mut reader = published.reader();
        assert!(!reader.has_changed());
        published.clone().publish("b");
        assert!(reader.has_changed());
        assert!(reader.refresh());
        assert!(!reader.has_changed());
        assert!(!reader.refresh());
    }

    #[test]
    fn an_old_value_is_freed_once_the_last_reader_has_moved_on() {
        let published = Published::new(1);
        let mut reader = published.reader();
        let old = Arc::downgrade(&reader.share());
        published.publish(2);
        assert!(old.upgrade().is_some(), "the reader still shows it");
        reader.refresh();
        assert!(old.upgrade().is_none());
    }

    #[test]
    fn readers_on_other_threads_see_values_in_order_and_the_last_one_for_certain() {
        const LAST: u64 = 20_000;
        let published = Published::new(0);
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let mut reader = published.reader();
                std::thread::spawn(move || {
                    let mut seen = 0;
                    while seen != LAST {
                        let now = *reader.get();
                        assert!(now >= seen, "went back from {seen} to {now}");
                        seen = now;
                        std::thread::yield_now();
                    }
                })
            })
            .collect();
        for value in 1..=LAST {
            published.publish(value);
        }
        for reader in readers {
            reader.join().expect("a reader saw values out of order");
        }
    }
}
