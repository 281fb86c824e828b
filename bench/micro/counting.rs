//! The gateway's allocator, counting, and the clock of the measurements beside it.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::time::{Duration, Instant};

use mimalloc::MiMalloc;

/// The best of so many rounds counts: the others were disturbed.
const ROUNDS: u32 = 41;
const ROUND: Duration = Duration::from_millis(4);

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a call costs.
#[derive(Clone, Copy)]
pub struct Figure {
    pub ns: f64,
    pub allocations: f64,
}

/// The best time of a call, and its allocations once it is warm: memory that is new, or more of it.
pub fn measured(call: &mut dyn FnMut()) -> Figure {
    let (mut calls, begin) = (0u32, Instant::now());
    while begin.elapsed() < ROUND || calls < 2 {
        call();
        calls += 1;
    }
    let before = ALLOCATIONS.get();
    let mut best_ns = f64::INFINITY;
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        for _ in 0..calls {
            call();
        }
        best_ns = best_ns.min(begin.elapsed().as_secs_f64() * 1e9 / f64::from(calls));
    }
    let allocations = (ALLOCATIONS.get() - before) as f64 / (f64::from(calls) * f64::from(ROUNDS));
    Figure { ns: best_ns, allocations }
}

pub fn title() {
    println!("{:<44} {:>10} {:>8}", "step", "ns", "allocs");
}

/// Prints nanoseconds and allocations of one of the `items` that a call of `step` does. Gives the nanoseconds.
pub fn measure(name: &str, items: u32, allocations_max: f64, step: &mut dyn FnMut()) -> f64 {
    let figure = measured(step);
    let (ns, allocations) = (figure.ns / f64::from(items), figure.allocations / f64::from(items));
    println!("{name:<44} {ns:>10.1} {allocations:>8.2}");
    assert!(allocations <= allocations_max, "{name} may allocate {allocations_max} times at most");
    ns
}

fn count() {
    // A thread that is ending has no such variable any more, and nothing is measured then.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call goes to the gateway's allocator unchanged; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the pointer came from this allocator, which is the gateway's.
        unsafe { MiMalloc.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from this allocator, which is the gateway's.
        unsafe { MiMalloc.dealloc(pointer, layout) }
    }
}
