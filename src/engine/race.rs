//! `Race`: several futures of one request at once, handed out in the order in which they end.

use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

/// Futures that run side by side on this core; dropping it gives up the ones that have not ended.
pub struct Race<F: ?Sized> {
    running: Vec<(usize, Pin<Box<F>>)>,
}

impl<F: Future + ?Sized> Race<F> {
    pub fn new(futures: Vec<Pin<Box<F>>>) -> Race<F> {
        Race { running: futures.into_iter().enumerate().collect() }
    }

    /// The next one that ends, with its place in the list; `None` when all have ended.
    pub async fn next(&mut self) -> Option<(usize, F::Output)> {
        if self.running.is_empty() {
            return None;
        }
        std::future::poll_fn(|context| {
            for slot in 0..self.running.len() {
                if let Poll::Ready(output) = self.running[slot].1.as_mut().poll(context) {
                    let (place, _) = self.running.remove(slot);
                    return Poll::Ready(Some((place, output)));
                }
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Waker};

    #[test]
    fn ends_come_in_their_own_order_with_their_places() {
        let slow = |polls: u32| {
            let mut left = polls;
            Box::pin(std::future::poll_fn(move |_| {
                left -= 1;
                if left == 0 { Poll::Ready(polls) } else { Poll::Pending }
            }))
        };
        let mut race = Race::new(vec![slow(4), slow(1), slow(2)]);
        let mut seen = Vec::new();
        let mut context = Context::from_waker(Waker::noop());
        while !race.running.is_empty() {
            let mut next = std::pin::pin!(race.next());
            if let Poll::Ready(Some(end)) = next.as_mut().poll(&mut context) {
                seen.push(end);
            }
        }
        assert_eq!(seen, [(1, 1), (2, 2), (0, 4)]);
    }
}
