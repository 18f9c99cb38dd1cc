//! An allocator that counts what a thread holds: memory of one input, exact and the same on any machine.

#![expect(unsafe_code, reason = "an allocator has no safe interface")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator, counting. A test program makes it its `#[global_allocator]`.
pub struct CountingAllocator;

/// Runs the work, and says how many bytes more than before this thread held at the worst moment. 0 where the program
/// has another allocator.
pub fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    PEAK.set(before);
    let done = work();
    (done, usize::try_from(PEAK.get().saturating_sub(before)).unwrap_or(0))
}

fn count(taken: usize, given: usize) {
    let taken = isize::try_from(taken).unwrap_or(isize::MAX);
    let given = isize::try_from(given).unwrap_or(isize::MAX);
    // A thread that is ending has no counters any more.
    let _ = HELD.try_with(|held| {
        let now = held.get().saturating_add(taken);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now)));
        held.set(now.saturating_sub(given));
    });
}

// SAFETY: every call goes to the system's allocator with the layout it was given; the counters allocate nothing.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // At the worst both blocks are held for a moment.
        count(size, layout.size());
        // SAFETY: the caller's promise, passed on.
        unsafe { System.realloc(memory, layout, size) }
    }
}
