//! `Pooled`: a future in memory that its core uses again for the next one, while it is still in the processor's cache.

use std::cell::RefCell;
use std::future::Future;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::ptr::NonNull;

/// Room for the future of a request; a larger one is boxed. An allocator would give each new one the memory that was used
/// longest ago.
const BLOCK_BYTES: usize = 3072;
/// Blocks that a core keeps.
const KEPT_MAX: usize = 256;

#[repr(align(64))]
struct Block(#[expect(dead_code, reason = "memory for futures")] MaybeUninit<[u8; BLOCK_BYTES]>);

thread_local! {
    #[expect(clippy::vec_box, reason = "a block must not move")]
    static FREE: RefCell<Vec<Box<Block>>> = const { RefCell::new(Vec::new()) };
}

/// A future that stays where it was made, in a block of this core.
#[derive(Debug)]
pub struct Pooled<F> {
    /// Points to the beginning of memory that this value owns, and that holds a future: a block where one has room for it,
    /// else a box.
    place: NonNull<F>,
}

impl<F> Pooled<F> {
    const FITS: bool = size_of::<F>() <= BLOCK_BYTES && align_of::<F>() <= align_of::<Block>();
}

impl<F: Future> Pooled<F> {
    /// Makes a future in its place.
    #[inline(always)]
    pub fn new(make: impl FnOnce() -> F) -> Pooled<F> {
        let place = if Self::FITS {
            let block = FREE.try_with(|free| free.borrow_mut().pop()).ok().flatten();
            let block = block.unwrap_or_else(|| Box::new(Block(MaybeUninit::uninit())));
            NonNull::from(Box::leak(block)).cast::<F>()
        } else {
            NonNull::from(Box::leak(Box::<F>::new_uninit())).cast::<F>()
        };
        // SAFETY: the memory is ours alone; a box is made for a future, a block is large and aligned enough.
        unsafe { place.write(make()) };
        Pooled { place }
    }

    pub fn as_mut(&mut self) -> Pin<&mut F> {
        // SAFETY: the place holds a future until `self` is dropped, nothing else points to it, and it does not move before
        // it has been dropped there.
        unsafe { Pin::new_unchecked(self.place.as_mut()) }
    }
}

impl<F> Drop for Pooled<F> {
    fn drop(&mut self) {
        // SAFETY: the place holds a future, which nobody uses from here on.
        unsafe { self.place.drop_in_place() };
        if !Self::FITS {
            // SAFETY: the pointer is the one that `new` got from a box of this type, whose content has been dropped.
            return drop(unsafe { Box::from_raw(self.place.cast::<MaybeUninit<F>>().as_ptr()) });
        }
        // SAFETY: the pointer is the one that `new` got from a box of this type.
        let block = unsafe { Box::from_raw(self.place.cast::<Block>().as_ptr()) };
        // The list is gone while a thread ends: the block is then simply freed.
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            if free.len() < KEPT_MAX {
                free.push(block);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn the_next_future_has_the_place_of_the_one_before() {
        let first = Pooled::new(|| async { 1 });
        let place = first.place.cast::<u8>();
        drop(first);
        let second = Pooled::new(|| async { "two" });
        assert_eq!(second.place.cast::<u8>(), place);
        let third = Pooled::new(|| async { 3 });
        assert_ne!(third.place.cast::<u8>(), place);
    }

    #[test]
    fn a_future_without_room_in_a_block_has_a_box() {
        let held = Rc::new([7u8; BLOCK_BYTES]);
        let (large, inside) = (*held, held.clone());
        let mut future = Pooled::new(|| async move {
            std::future::ready(()).await;
            large[BLOCK_BYTES - 1] + inside[0]
        });
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(future.as_mut().poll(&mut context), Poll::Ready(14));
        drop(future);
        assert_eq!(Rc::strong_count(&held), 1);
        FREE.with_borrow(|free| assert!(free.is_empty()));
    }

    #[test]
    fn a_future_is_polled_and_what_it_holds_is_dropped_once() {
        let held = Rc::new(7);
        let inside = held.clone();
        let mut future = Pooled::new(|| async move {
            std::future::ready(()).await;
            *inside
        });
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(future.as_mut().poll(&mut context), Poll::Ready(7));
        drop(future);
        let unpolled = held.clone();
        drop(Pooled::new(|| async move { drop(unpolled) }));
        assert_eq!(Rc::strong_count(&held), 1);
    }
}
