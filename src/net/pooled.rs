//! `Pooled`: a future in memory that its core uses again for the next one, while it is still in the processor's cache.

use std::alloc::{Layout, dealloc};
use std::cell::RefCell;
use std::future::Future;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::pin::Pin;
use std::ptr::NonNull;
use std::thread::LocalKey;

/// Room for the future of a request; a larger one is boxed. An allocator would give each new one the memory that was used
/// longest ago.
const BLOCK_BYTES: usize = 3072;
/// Room for that of one operation.
const SMALL_BYTES: usize = 512;
/// Blocks of a size that a core keeps.
const KEPT_MAX: usize = 256;

#[repr(align(64))]
struct Block<const BYTES: usize>(MaybeUninit<[u8; BYTES]>);

type Free<const BYTES: usize> = RefCell<Vec<Box<Block<BYTES>>>>;

thread_local! {
    static LARGE: Free<BLOCK_BYTES> = const { RefCell::new(Vec::new()) };
    static SMALL: Free<SMALL_BYTES> = const { RefCell::new(Vec::new()) };
}

/// Where a future has its memory from.
enum Home {
    Small,
    Large,
    Allocator,
}

/// A future that stays where it was made, in a block of this core.
#[derive(Debug)]
pub struct Pooled<F: ?Sized> {
    /// Points to the beginning of memory that this value owns, and that holds a future: a block where one has room for it,
    /// else a box.
    place: NonNull<F>,
}

impl Home {
    #[inline(always)]
    fn of(layout: Layout) -> Home {
        if layout.size() > BLOCK_BYTES || layout.align() > align_of::<Block<0>>() {
            Home::Allocator
        } else if layout.size() > SMALL_BYTES {
            Home::Large
        } else {
            Home::Small
        }
    }
}

impl<F: Future> Pooled<F> {
    /// Makes a future in its place.
    #[inline(always)]
    pub fn new(make: impl FnOnce() -> F) -> Pooled<F> {
        let place = match Home::of(Layout::new::<F>()) {
            Home::Small => taken(&SMALL).cast::<F>(),
            Home::Large => taken(&LARGE).cast::<F>(),
            Home::Allocator => NonNull::from(Box::leak(Box::<F>::new_uninit())).cast::<F>(),
        };
        // SAFETY: the memory is ours alone; a box is made for a future, a block is large and aligned enough.
        unsafe { place.write(make()) };
        Pooled { place }
    }
}

impl<'f, T> Pooled<dyn Future<Output = T> + 'f> {
    /// The same for a future that does not say what it is.
    #[inline(always)]
    pub fn unnamed<F: Future<Output = T> + 'f>(make: impl FnOnce() -> F) -> Self {
        let named = ManuallyDrop::new(Pooled::new(make));
        Pooled { place: named.place }
    }
}

impl<F: ?Sized> Pooled<F> {
    pub fn as_mut(&mut self) -> Pin<&mut F> {
        // SAFETY: the place holds a future until `self` is dropped, nothing else points to it, and it does not move before
        // it has been dropped there.
        unsafe { Pin::new_unchecked(self.place.as_mut()) }
    }
}

impl<F: ?Sized> Drop for Pooled<F> {
    fn drop(&mut self) {
        // SAFETY: the place holds a future.
        let layout = Layout::for_value(unsafe { self.place.as_ref() });
        // SAFETY: from here on nobody uses it.
        unsafe { self.place.drop_in_place() };
        match Home::of(layout) {
            // SAFETY: a future of this layout lies in a block that `new` took from this list.
            Home::Small => give_back(&SMALL, unsafe { Box::from_raw(self.place.cast().as_ptr()) }),
            // SAFETY: likewise.
            Home::Large => give_back(&LARGE, unsafe { Box::from_raw(self.place.cast().as_ptr()) }),
            // SAFETY: likewise in a box, whose memory has its layout.
            Home::Allocator => unsafe { dealloc(self.place.cast().as_ptr(), layout) },
        }
    }
}

#[inline(always)]
fn taken<const BYTES: usize>(free: &'static LocalKey<Free<BYTES>>) -> NonNull<Block<BYTES>> {
    let block = free.try_with(|free| free.borrow_mut().pop()).ok().flatten();
    NonNull::from(Box::leak(block.unwrap_or_else(|| Box::new(Block(MaybeUninit::uninit())))))
}

fn give_back<const BYTES: usize>(free: &'static LocalKey<Free<BYTES>>, block: Box<Block<BYTES>>) {
    // The list is gone while a thread ends: the block is then simply freed.
    let _ = free.try_with(|free| {
        let mut free = free.borrow_mut();
        if free.len() < KEPT_MAX {
            free.push(block);
        }
    });
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
        LARGE.with_borrow(|free| assert!(free.is_empty()));
    }

    /// A future of more than `BYTES`.
    fn unnamed<const BYTES: usize>(held: &Rc<usize>) -> Pooled<dyn Future<Output = usize>> {
        let (held, ballast) = (held.clone(), [1u8; BYTES]);
        Pooled::unnamed(|| async move { *held + ballast.len() })
    }

    #[test]
    fn one_that_does_not_say_what_it_is_goes_back_where_it_came_from() {
        let held = Rc::new(7);
        let all =
            [unnamed::<16>(&held), unnamed::<SMALL_BYTES>(&held), unnamed::<BLOCK_BYTES>(&held)];
        let place = all[0].place.cast::<u8>();
        let mut context = Context::from_waker(Waker::noop());
        // How many blocks of each size are there once each of the futures is gone.
        let steps = [(16, (1, 0)), (SMALL_BYTES, (1, 1)), (BLOCK_BYTES, (1, 1))];
        for (mut future, (bytes, kept)) in all.into_iter().zip(steps) {
            assert_eq!(future.as_mut().poll(&mut context), Poll::Ready(7 + bytes));
            drop(future);
            assert_eq!((SMALL.with_borrow(Vec::len), LARGE.with_borrow(Vec::len)), kept);
        }
        assert_eq!(Rc::strong_count(&held), 1);
        assert_eq!(Pooled::new(|| async { 1 }).place.cast::<u8>(), place);
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
