//! How the process asks the kernel for memory.

/// Asks for pages of 4 KiB. With transparent huge pages the allocator's first touch of an arena costs 2 MiB each, which
/// doubles what an idle gateway keeps resident; the buffers of the hot path are small and few. A refusal is harmless.
pub fn prefer_small_pages() {
    // SAFETY: changes a flag of this process; the unused arguments must be zero.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
}
