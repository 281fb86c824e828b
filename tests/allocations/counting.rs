//! An allocator that counts what one thread asks for and, when told to, remembers where it was asked.

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

struct Counting;

thread_local! {
    /// Whether this is the thread that counts; false again while a place is being noted.
    static IS_COUNTED: Cell<bool> = const { Cell::new(false) };
}
static COUNT: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
static NOTES_PLACES: AtomicBool = AtomicBool::new(false);
static PLACES: Mutex<Vec<(usize, Backtrace)>> = Mutex::new(Vec::new());

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Counts what the calling thread allocates from now on; one thread of the process may say so.
pub fn count_this_thread() {
    IS_COUNTED.set(true);
}

/// How often the counted thread has asked for memory, new or more of it, and for how many bytes.
pub fn totals() -> (u64, u64) {
    (COUNT.load(Ordering::SeqCst), BYTES.load(Ordering::SeqCst))
}

/// Remembers from now on, or no longer, the place of each request for memory.
pub fn note_places(on: bool) {
    NOTES_PLACES.store(on, Ordering::SeqCst);
}

/// The places noted so far with their sizes in bytes, and forgets them.
pub fn take_places() -> Vec<(usize, Backtrace)> {
    std::mem::take(&mut PLACES.lock().unwrap_or_else(PoisonError::into_inner))
}

fn note(bytes: usize) {
    // A thread that is ending has no such variables any more.
    if !IS_COUNTED.try_with(Cell::get).unwrap_or(false) {
        return;
    }
    COUNT.fetch_add(1, Ordering::SeqCst);
    BYTES.fetch_add(bytes as u64, Ordering::SeqCst);
    if NOTES_PLACES.load(Ordering::SeqCst) {
        // What the noting itself allocates does not count.
        IS_COUNTED.set(false);
        let place = (bytes, Backtrace::force_capture());
        PLACES.lock().unwrap_or_else(PoisonError::into_inner).push(place);
        IS_COUNTED.set(true);
    }
}

// SAFETY: every call goes to the system's allocator unchanged; noting uses no memory of the caller's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: the pointer came from this allocator, which is the system's.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from this allocator, which is the system's.
        unsafe { System.dealloc(pointer, layout) }
    }
}
