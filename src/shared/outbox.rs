//! `Outbox<T>`: what cores hand to the control side without ever waiting; when it is full, things are
//! dropped and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

/// The sending end. Every core has a clone.
pub struct Outbox<T> {
    queue: mpsc::Sender<T>,
    dropped: Arc<AtomicU64>,
}

/// The receiving end: one task or one thread.
pub struct Inbox<T> {
    queue: mpsc::Receiver<T>,
    dropped: Arc<AtomicU64>,
}

/// An outbox for at most `len_max` waiting things. Memory is used only for what is waiting.
pub fn outbox<T>(len_max: usize) -> (Outbox<T>, Inbox<T>) {
    let (sender, receiver) = mpsc::channel(len_max.max(1));
    let dropped = Arc::new(AtomicU64::new(0));
    let outbox = Outbox { queue: sender, dropped: Arc::clone(&dropped) };
    (outbox, Inbox { queue: receiver, dropped })
}

// === impl Outbox ===

impl<T> Outbox<T> {
    /// Hands `item` over, or drops and counts it when nobody has emptied the box for too long.
    /// Tells whether it went in.
    pub fn send(&self, item: T) -> bool {
        let sent = self.offer(item);
        if !sent {
            self.count_dropped();
        }
        sent
    }

    /// Whether something would go in, for one who would have to make it first.
    pub fn has_room(&self) -> bool {
        self.queue.capacity() > 0
    }

    /// Counts a thing as dropped that was never made.
    pub fn count_dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Hands `item` over if there is room, for one who will offer it again.
    pub fn offer(&self, item: T) -> bool {
        self.queue.try_send(item).is_ok()
    }

    /// How many things have room beside those that wait.
    pub fn room(&self) -> usize {
        self.queue.capacity()
    }
}

impl<T> Clone for Outbox<T> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), dropped: Arc::clone(&self.dropped) }
    }
}

// === impl Inbox ===

impl<T> Inbox<T> {
    /// The next thing; `None` once all senders are gone and the box is empty.
    pub async fn next(&mut self) -> Option<T> {
        self.queue.recv().await
    }

    /// The next thing, for a thread of its own, which sleeps until there is one.
    pub fn next_blocking(&mut self) -> Option<T> {
        self.queue.blocking_recv()
    }

    /// The next thing, if it is there already.
    pub fn try_next(&mut self) -> Option<T> {
        self.queue.try_recv().ok()
    }

    /// How many things were dropped since this was asked last.
    pub fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_arrive_in_the_order_in_which_a_core_sent_them() {
        let (outbox, mut inbox) = outbox(8);
        assert!(outbox.send(1));
        assert!(outbox.clone().send(2));
        assert_eq!(
            (inbox.try_next(), inbox.try_next(), inbox.try_next()),
            (Some(1), Some(2), None)
        );
    }

    #[test]
    fn a_full_outbox_drops_the_new_thing_and_counts_it() {
        let (outbox, mut inbox) = outbox(2);
        let sent: Vec<bool> = (0..5).map(|item| outbox.send(item)).collect();
        assert_eq!(sent, [true, true, false, false, false]);
        assert_eq!(inbox.take_dropped(), 3);
        assert_eq!(inbox.take_dropped(), 0, "counted once");
        assert_eq!(inbox.try_next(), Some(0));
        assert!(outbox.send(9), "there is room again");
    }

    #[test]
    fn nothing_is_lost_between_threads_unless_it_is_counted() {
        let (outbox, mut inbox) = outbox::<u32>(64);
        let cores: Vec<_> = (0..2)
            .map(|_| {
                let outbox = outbox.clone();
                std::thread::spawn(move || (0..10_000).filter(|item| outbox.send(*item)).count())
            })
            .collect();
        drop(outbox);
        let mut received = 0;
        while inbox.next_blocking().is_some() {
            received += 1;
        }
        let sent: usize = cores.into_iter().map(|core| core.join().expect("no panic")).sum();
        assert_eq!(received, sent);
        assert_eq!(sent as u64 + inbox.take_dropped(), 20_000);
    }
}
