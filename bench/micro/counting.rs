//! An allocator that counts, and the clock of the measurements beside it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The best of so many rounds counts: the others were disturbed.
const ROUNDS: u32 = 15;
const ROUND: Duration = Duration::from_millis(20);

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system allocator unchanged; only a counter is added.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's obligations are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's obligations are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

pub fn title() {
    println!("{:<44} {:>10} {:>8}", "step", "ns", "allocs");
}

/// Prints nanoseconds and allocations of one of the `items` that a call of `step` does. Gives the nanoseconds.
pub fn measure(name: &str, items: u32, allocations_max: f64, step: &mut dyn FnMut()) -> f64 {
    step();
    let mut best_ns = f64::INFINITY;
    let mut calls_total = 0u32;
    let allocated = ALLOCATIONS.load(Ordering::Relaxed);
    for _ in 0..ROUNDS {
        let (mut calls, begin) = (0u32, Instant::now());
        while begin.elapsed() < ROUND {
            step();
            calls += 1;
        }
        best_ns =
            best_ns.min(begin.elapsed().as_secs_f64() * 1e9 / f64::from(calls) / f64::from(items));
        calls_total += calls;
    }
    let allocated =
        u32::try_from(ALLOCATIONS.load(Ordering::Relaxed) - allocated).unwrap_or(u32::MAX);
    let per_item = f64::from(allocated) / f64::from(calls_total) / f64::from(items);
    println!("{name:<44} {best_ns:>10.1} {per_item:>8.2}");
    assert!(per_item <= allocations_max, "{name} may allocate {allocations_max} times at most");
    best_ns
}
