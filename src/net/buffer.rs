//! `Buffer`: a read or write buffer that goes back to its core's pool when it is dropped.

use std::cell::{Cell, RefCell};
use std::ops::{Deref, DerefMut};
use std::thread::LocalKey;

use monoio::buf::{IoBuf, IoBufMut};

/// Room for a response head and a small body; most answers fit.
pub const BUFFER_BYTES: usize = 16 * 1024;
/// Room for a head and a short body: what is written in one go and forgotten takes no more of the processor's cache than
/// it needs.
pub const SMALL_BYTES: usize = 1024;
/// What [`behind_room`] leaves free.
pub const ROOM_BYTES: usize = 384;
/// A buffer that grew beyond twice its size is not kept.
const SMALL_BYTES_MAX: usize = 2 * SMALL_BYTES;
const BUFFER_BYTES_MAX: usize = 2 * BUFFER_BYTES;
thread_local! {
    /// Buffers of each size kept for reuse on this core.
    static POOLED_MAX: Cell<usize> = const { Cell::new(256) };
    static POOL: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static SMALL: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// How many buffers of each size this core may keep; called before it has any.
pub fn set_pooled_max(count: usize) {
    POOLED_MAX.set(count);
}

/// Buffers that this core keeps, of both sizes.
pub fn pooled() -> usize {
    POOL.with_borrow(Vec::len) + SMALL.with_borrow(Vec::len)
}

/// An owned, growable byte buffer; those of [`BUFFER_BYTES`] and of [`SMALL_BYTES`] are pooled per core.
#[derive(Clone, Debug, Default)]
pub struct Buffer(Vec<u8>);

impl Buffer {
    /// An empty buffer from the pool.
    pub fn take() -> Buffer {
        let mut bytes = taken(&POOL, BUFFER_BYTES);
        bytes.clear();
        Buffer(bytes)
    }

    /// An empty buffer of [`SMALL_BYTES`] from its pool.
    pub fn small() -> Buffer {
        let mut bytes = taken(&SMALL, SMALL_BYTES);
        bytes.clear();
        Buffer(bytes)
    }

    /// A buffer with so much room: the pools' where one is large enough.
    pub fn with_capacity(bytes: usize) -> Buffer {
        if bytes <= SMALL_BYTES {
            Buffer::small()
        } else if bytes <= BUFFER_BYTES {
            Buffer::take()
        } else {
            Buffer(Vec::with_capacity(bytes))
        }
    }

    /// The bytes as a plain vector, which the pool then never sees again.
    pub fn into_vec(mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Buffer {
        Buffer(bytes)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        give_back(std::mem::take(&mut self.0));
    }
}

/// A buffer whose first [`ROOM_BYTES`] are left for what is put in front of its content later. They are what they
/// were: zeros would be written to lines that the cache does not hold, and most of them are never used.
pub fn behind_room() -> Vec<u8> {
    let mut bytes = taken(&POOL, BUFFER_BYTES);
    bytes.resize(ROOM_BYTES, 0);
    bytes
}

fn taken(pool: &'static LocalKey<RefCell<Vec<Vec<u8>>>>, bytes: usize) -> Vec<u8> {
    let pooled = pool.try_with(|pool| pool.borrow_mut().pop()).ok().flatten();
    pooled.unwrap_or_else(|| Vec::with_capacity(bytes))
}

/// Returns a vector of a pool's size to its pool; any other is freed.
pub fn give_back(mut bytes: Vec<u8>) {
    let pool = match bytes.capacity() {
        SMALL_BYTES..=SMALL_BYTES_MAX => &SMALL,
        BUFFER_BYTES..=BUFFER_BYTES_MAX => &POOL,
        _ => return,
    };
    // Not emptied: see `behind_room`.
    bytes.truncate(ROOM_BYTES);
    let pooled_max = POOLED_MAX.get();
    // The pool is gone while a thread ends: the buffer is then simply freed.
    let _ = pool.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        if pool.len() < pooled_max {
            pool.push(bytes);
        }
    });
}

impl Deref for Buffer {
    type Target = Vec<u8>;
    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

/// What the kernel may read into or write from: a vector, pooled or not.
pub trait Bytes: Unpin + 'static {
    fn vec(&self) -> &Vec<u8>;
    fn vec_mut(&mut self) -> &mut Vec<u8>;
}

impl Bytes for Vec<u8> {
    fn vec(&self) -> &Vec<u8> {
        self
    }
    fn vec_mut(&mut self) -> &mut Vec<u8> {
        self
    }
}

impl Bytes for Buffer {
    fn vec(&self) -> &Vec<u8> {
        &self.0
    }
    fn vec_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

/// The spare room behind a buffer's content, or the first `count_max` bytes of it: a read appends there.
pub(super) struct Spare<B> {
    pub bytes: B,
    pub count_max: usize,
}

// SAFETY: the pointer and the length describe the vector's spare capacity, which is owned by this value and does
// not move while the kernel fills it (the vector is neither grown nor shrunk until the operation hands it back);
// `set_init(n)` is called with the count the kernel wrote, which is at most `bytes_total`.
unsafe impl<B: Bytes> IoBufMut for Spare<B> {
    fn write_ptr(&mut self) -> *mut u8 {
        self.bytes.vec_mut().spare_capacity_mut().as_mut_ptr().cast()
    }

    fn bytes_total(&mut self) -> usize {
        let bytes = self.bytes.vec();
        (bytes.capacity() - bytes.len()).min(self.count_max)
    }

    unsafe fn set_init(&mut self, count: usize) {
        let bytes = self.bytes.vec_mut();
        let length = bytes.len() + count;
        debug_assert!(length <= bytes.capacity());
        // SAFETY: the kernel initialised `count` bytes behind the content.
        unsafe { bytes.set_len(length) };
    }
}

/// The part of a buffer that has yet to be sent.
pub(super) struct Unsent<B> {
    pub bytes: B,
    pub from: usize,
}

// SAFETY: the pointer and the length describe initialised bytes of a vector that this value owns and nothing
// changes while the kernel reads them.
unsafe impl<B: Bytes> IoBuf for Unsent<B> {
    fn read_ptr(&self) -> *const u8 {
        self.bytes.vec()[self.from..].as_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.bytes.vec().len() - self.from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_is_the_next_one_taken() {
        let mut first = Buffer::take();
        first.extend_from_slice(b"left over");
        let address = first.as_ptr();
        drop(first);
        let second = Buffer::take();
        assert!(second.is_empty());
        assert_eq!(second.as_ptr(), address);
    }

    #[test]
    fn room_in_front_is_what_it_was_and_nobody_else_sees_it() {
        let mut first = Buffer::take();
        first.resize(ROOM_BYTES + 1, b'x');
        let address = first.as_ptr();
        drop(first);
        let room = behind_room();
        assert_eq!((room.as_ptr(), &room[..]), (address, &[b'x'; ROOM_BYTES][..]));
        give_back(room);
        assert!(Buffer::take().is_empty());
        give_back(Vec::with_capacity(BUFFER_BYTES));
        assert_eq!(behind_room(), [0; ROOM_BYTES]);
    }

    #[test]
    fn small_buffers_have_a_pool_of_their_own() {
        let first = Buffer::small();
        let address = first.as_ptr();
        drop(first);
        assert_ne!(Buffer::take().as_ptr(), address);
        assert_eq!(Buffer::small().as_ptr(), address);
    }

    #[test]
    fn buffers_that_grew_far_beyond_the_pools_size_are_freed() {
        let mut big = Buffer::take();
        big.reserve(64 * BUFFER_BYTES);
        drop(big);
        assert!(Buffer::take().capacity() <= 2 * BUFFER_BYTES);
    }

    #[test]
    fn so_many_buffers_are_kept_and_no_more() {
        set_pooled_max(3);
        let taken: Vec<Buffer> = (0..4).flat_map(|_| [Buffer::take(), Buffer::small()]).collect();
        drop(taken);
        assert_eq!(pooled(), 6, "three of each size");
        let _one = Buffer::take();
        assert_eq!(pooled(), 5);
    }

    #[test]
    fn a_read_appends_behind_the_content() {
        let mut spare = Spare { bytes: Vec::with_capacity(8), count_max: 3 };
        spare.bytes.extend_from_slice(b"ab");
        assert_eq!(spare.bytes_total(), 3);
        // SAFETY: two bytes are written to the spare room right before.
        unsafe {
            std::ptr::copy_nonoverlapping(b"cd".as_ptr(), spare.write_ptr(), 2);
            spare.set_init(2);
        }
        assert_eq!(spare.bytes, b"abcd");
    }
}
