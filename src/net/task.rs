//! Spawning, sleeping and racing: the names the rest of the code uses for what the runtime does.

use std::future::Future;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Runs a future on this core, detached from the caller.
pub fn spawn<F>(future: F)
where
    F: Future<Output = ()> + 'static,
{
    drop(monoio::spawn(future));
}

/// A future on the heap that does not say what it is, so that its code stays out of who waits for it.
pub type Boxed<'f, T> = Pin<Box<dyn Future<Output = T> + 'f>>;

/// Puts a future on the heap, where it is made: one of kilobytes would be copied there by `Box::pin`.
#[inline(always)]
pub fn boxed<'f, F: Future + 'f>(make: impl FnOnce() -> F) -> Boxed<'f, F::Output> {
    let place: Box<MaybeUninit<F>> = Box::new_uninit();
    Box::into_pin(Box::write(place, make()) as Box<dyn Future<Output = F::Output> + 'f>)
}

/// The same for what a request rarely needs: the usual code lies together, in fewer lines of the processor's cache.
#[cold]
#[inline(never)]
pub fn rare<'f, F: Future + 'f>(make: impl FnOnce() -> F) -> Boxed<'f, F::Output> {
    boxed(make)
}

/// Begins a future whose end wakes nobody: what it is waited for with says when to look at it again. `None`: it runs.
pub fn begin<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Waits with millisecond precision; for the few waits that are not bound to a socket.
pub async fn sleep_ms(ms: u64) {
    monoio::time::sleep(Duration::from_millis(ms)).await;
}

/// Waits for a future, at most this long. The future must not hold an operation whose buffer matters.
pub async fn within_ms<F: Future>(ms: u64, future: F) -> Option<F::Output> {
    // Boxed because the runtime's timer is large and aligned to two cache lines; so would every future around it be.
    Box::pin(monoio::time::timeout(Duration::from_millis(ms), future)).await.ok()
}

/// Which of two futures ended first.
pub enum First<A, B> {
    Left(A),
    Right(B),
}

/// Polls both until one ends; the other stays where it is and can be awaited on.
pub async fn first_of<A, B>(
    mut left: Pin<&mut A>,
    mut right: Pin<&mut B>,
) -> First<A::Output, B::Output>
where
    A: Future + ?Sized,
    B: Future + ?Sized,
{
    std::future::poll_fn(|context| {
        if let Poll::Ready(output) = left.as_mut().poll(context) {
            return Poll::Ready(First::Left(output));
        }
        right.as_mut().poll(context).map(First::Right)
    })
    .await
}

/// Polls both until both have ended.
pub async fn both<A: Future, B: Future>(left: A, right: B) -> (A::Output, B::Output) {
    let (mut left, mut right) = (pin!(left), pin!(right));
    let (mut left_done, mut right_done) = (None, None);
    std::future::poll_fn(|context| {
        poll_once(left.as_mut(), &mut left_done, context);
        poll_once(right.as_mut(), &mut right_done, context);
        if left_done.is_some() && right_done.is_some() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    match (left_done, right_done) {
        (Some(left), Some(right)) => (left, right),
        _ => unreachable!("both futures have ended"),
    }
}

fn poll_once<F: Future>(
    future: Pin<&mut F>,
    done: &mut Option<F::Output>,
    context: &mut Context<'_>,
) {
    if done.is_none()
        && let Poll::Ready(output) = future.poll(context)
    {
        *done = Some(output);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_future_that_was_begun_goes_on_by_itself() {
        let test = async {
            let mut ready = pin!(std::future::ready(7));
            assert_eq!(begin(ready.as_mut()), Some(7));
            let mut sleeping = pin!(sleep_ms(1));
            assert_eq!(begin(sleeping.as_mut()), None);
            sleep_ms(20).await;
            assert_eq!(begin(sleeping.as_mut()), Some(()));
        };
        super::super::driver::run(test).unwrap();
    }
}
