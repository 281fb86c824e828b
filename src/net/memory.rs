//! Where the process has its memory from.

use std::alloc::{GlobalAlloc, Layout};

use libmimalloc_sys::{mi_malloc, mi_realloc, mi_zalloc};
use mimalloc::MiMalloc;

/// The alignment that memory of so many bytes or more has without being asked for.
const ALIGNMENT: usize = 16;

/// mimalloc, asked for what is needed: the crate's own allocator has even a vector of bytes aligned on purpose, for which
/// mimalloc takes a longer way and a larger block.
#[derive(Debug)]
pub struct Allocator;

fn is_aligned_anyway(align: usize, size: usize) -> bool {
    align <= ALIGNMENT && align <= size
}

// SAFETY: each function gives what mimalloc gives, which fulfils this contract. What is not asked for by its alignment has
// the alignment of every object that fits into it, up to 16 bytes, as `malloc` promises (C17 section 7.22.3).
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_aligned_anyway(layout.align(), layout.size()) {
            // SAFETY: any size may be asked for.
            return unsafe { mi_malloc(layout.size()) }.cast();
        }
        // SAFETY: the caller's promise.
        unsafe { MiMalloc.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_aligned_anyway(layout.align(), layout.size()) {
            // SAFETY: any size may be asked for.
            return unsafe { mi_zalloc(layout.size()) }.cast();
        }
        // SAFETY: the caller's promise.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise; all memory is mimalloc's.
        unsafe { MiMalloc.dealloc(place, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if is_aligned_anyway(layout.align(), size) {
            // SAFETY: the caller's promise; all memory is mimalloc's.
            return unsafe { mi_realloc(place.cast(), size) }.cast();
        }
        // SAFETY: the caller's promise.
        unsafe { MiMalloc.realloc(place, layout, size) }
    }
}

/// Has the processor fetch all of a value that is about to be used in many places: one line after the other would be waited
/// for.
#[inline(always)]
pub fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..size_of::<T>()).step_by(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the place lies within the value; every processor of this kind knows the instruction.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast::<i8>().add(line)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

/// Asks for pages of 4 KiB. With transparent huge pages the allocator's first touch of an arena costs 2 MiB each, which
/// doubles what an idle gateway keeps resident; the buffers of the hot path are small and few. A refusal is harmless.
pub fn prefer_small_pages() {
    // SAFETY: changes a flag of this process; the unused arguments must be zero.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
}

/// Lets go of the program's code and constants that only the start needed: reading and checking a configuration touches
/// megabytes of them that serving never touches again. What is still needed comes back from the page cache by itself.
pub fn forget_start() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let Ok(program) = std::env::current_exe() else { return };
    let program = program.to_string_lossy();
    for (begin, length) in unchanged_ranges(&maps, &program) {
        // SAFETY: the range is a mapping of the program's own file that nobody has written to, so its pages are clean and
        // are read from the file again when they are touched. A refusal is harmless.
        unsafe { libc::madvise(begin as *mut libc::c_void, length, libc::MADV_DONTNEED) };
    }
}

/// The mappings of a file that nobody has written to: where they begin and how long they are. Code is one, and so is what
/// stands at the file's beginning, headers and constants. What may be read only and stands elsewhere has been written to
/// by the dynamic linker, before it was made so.
fn unchanged_ranges<'m>(
    maps: &'m str,
    file: &'m str,
) -> impl Iterator<Item = (usize, usize)> + use<'m> {
    maps.lines().filter_map(move |line| {
        let mut words = line.split_ascii_whitespace();
        let (range, rights, offset) = (words.next()?, words.next()?, words.next()?);
        let is_first = u64::from_str_radix(offset, 16) == Ok(0);
        let is_unchanged = rights == "r-xp" || (rights == "r--p" && is_first);
        if !is_unchanged || words.nth(2)? != file {
            return None;
        }
        let (begin, end) = range.split_once('-')?;
        let (begin, end) =
            (usize::from_str_radix(begin, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
        Some((begin, end.checked_sub(begin)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_aligned_as_asked_for_whatever_its_size() {
        for align in [1, 2, 4, 8, 16, 32, 64, 4096] {
            for size in [1, 3, 8, 15, 16, 17, 24, 40, 600, 1000, 1025, 2688, 70_000] {
                let layout = Layout::from_size_align(size, align).unwrap();
                // SAFETY: the size is not zero, and the memory is given back with the layout it then has.
                unsafe {
                    let place = Allocator.alloc(layout);
                    assert_eq!(place.addr() % align, 0, "{size} by {align}");
                    place.write_bytes(7, size);
                    let place = Allocator.realloc(place, layout, size + 9);
                    assert_eq!((place.addr() % align, *place), (0, 7), "{size} by {align}");
                    Allocator.dealloc(place, Layout::from_size_align(size + 9, align).unwrap());
                    let place = Allocator.alloc_zeroed(layout);
                    assert_eq!((place.addr() % align, *place.add(size - 1)), (0, 0));
                    Allocator.dealloc(place, layout);
                }
            }
        }
    }

    #[test]
    fn only_what_nobody_has_written_to_is_let_go() {
        let maps = "0000-1000 r--p 00000000 08:01 7 /usr/bin/shoal\n\
                    1000-3000 r-xp 00001000 08:01 7 /usr/bin/shoal\n\
                    3000-5000 r--p 00003000 08:01 7 /usr/bin/shoal\n\
                    5000-6000 rw-p 00000000 08:01 7 /usr/bin/shoal\n\
                    7000-9000 r-xp 00000000 08:01 8 /lib/libc.so\n\
                    9000-a000 r--p 00000000 08:01 8 /lib/libc.so\n\
                    a000-b000 rw-p 00000000 00:00 0\n\
                    b000-c000 r--p 00000000 00:00 0\n";
        let ranges: Vec<_> = unchanged_ranges(maps, "/usr/bin/shoal").collect();
        assert_eq!(ranges, [(0, 0x1000), (0x1000, 0x2000)]);
    }
}
