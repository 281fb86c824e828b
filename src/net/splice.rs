//! Moves a body from socket to socket through a pipe, so that its bytes never enter this process.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::Stream;

/// A body with less left than this is copied: a pipe would cost more than it saves.
pub const BYTES_MIN: u64 = 8 * 1024;
/// What a pipe is asked to hold; without the right to so much the kernel's default serves.
const PIPE_BYTES: usize = 1024 * 1024;
/// The same as the system call wants it.
const PIPE_BYTES_ASKED: libc::c_int = 1024 * 1024;
/// Empty pipes kept for reuse on each core.
const POOLED_MAX: usize = 64;

struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

thread_local! {
    static POOL: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
    /// How few pipes the pool held since the last sweep: so many were not needed.
    static UNUSED: Cell<usize> = const { Cell::new(0) };
}

/// Closes the pooled pipes that nobody has needed since the last call; called about once a second.
pub fn sweep() {
    POOL.with(|pool| {
        let mut pool = pool.borrow_mut();
        let unused = UNUSED.replace(0).min(pool.len());
        pool.drain(..unused);
        UNUSED.set(pool.len());
    });
}

impl Pipe {
    fn take() -> io::Result<Pipe> {
        let pooled = POOL.with(|pool| {
            let mut pool = pool.borrow_mut();
            let pipe = pool.pop();
            UNUSED.set(UNUSED.get().min(pool.len()));
            pipe
        });
        if let Some(pipe) = pooled {
            return Ok(pipe);
        }
        let mut ends = [0; 2];
        // SAFETY: `ends` has room for the two descriptors.
        if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `pipe2` made both descriptors and nobody else owns them.
        let (read, write) =
            unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) };
        // SAFETY: plain integers; a refusal leaves the pipe at its default size.
        unsafe { libc::fcntl(write.as_raw_fd(), libc::F_SETPIPE_SZ, PIPE_BYTES_ASKED) };
        Ok(Pipe { read, write })
    }

    /// Only an empty pipe may serve another body.
    fn give_back(self) {
        POOL.with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < POOLED_MAX {
                pool.push(self);
            }
        });
    }
}

/// How a transfer ended early.
#[derive(Debug)]
pub enum Cut {
    /// The source ended or failed; so many bytes were still to come.
    Source(io::Error),
    /// The destination failed.
    Sink(io::Error),
}

/// While a socket is spliced it must not block the core; the ring wants the opposite, so the flag is put back when the last
/// transfer ends: one may go on in each direction.
struct NonBlocking<'s>(&'s Stream);

impl NonBlocking<'_> {
    fn set(stream: &Stream) -> NonBlocking<'_> {
        if stream.transfers().replace(stream.transfers().get() + 1) == 0 {
            set_flags(stream.socket(), libc::O_NONBLOCK);
        }
        NonBlocking(stream)
    }
}

impl Drop for NonBlocking<'_> {
    fn drop(&mut self) {
        let left = self.0.transfers().get() - 1;
        self.0.transfers().set(left);
        if left == 0 {
            set_flags(self.0.socket(), 0);
        }
    }
}

fn set_flags(socket: RawFd, flags: libc::c_int) {
    if !super::driver::is_epoll() {
        // SAFETY: changes a flag of a descriptor that its owner, whom the callers borrow, keeps open meanwhile.
        unsafe { libc::fcntl(socket, libc::F_SETFL, flags) };
    }
}

/// Moves exactly `left` bytes. `progress` is called after each step that moved something.
///
/// # Errors
/// [`Cut`] says which side failed; then neither connection can be used for another message.
pub async fn transfer(
    from: &Stream,
    to: &Stream,
    mut left: u64,
    progress: impl Fn(),
) -> Result<(), Cut> {
    let pipe = Pipe::take().map_err(Cut::Source)?;
    let _flags = (NonBlocking::set(from), NonBlocking::set(to));
    let mut in_pipe = 0usize;
    while left > 0 || in_pipe > 0 {
        let mut moved = false;
        if left > 0 && in_pipe < PIPE_BYTES {
            let room = usize::try_from(left).unwrap_or(usize::MAX).min(PIPE_BYTES - in_pipe);
            match splice(from.socket(), pipe.write.as_raw_fd(), room) {
                Ok(0) => return Err(Cut::Source(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => {
                    left -= count as u64;
                    in_pipe += count;
                    moved = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if in_pipe == 0 {
                        from.readable().await.map_err(Cut::Source)?;
                        continue;
                    }
                }
                Err(error) => return Err(Cut::Source(error)),
            }
        }
        match splice(pipe.read.as_raw_fd(), to.socket(), in_pipe) {
            Ok(count) => {
                in_pipe -= count.min(in_pipe);
                moved |= count > 0;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                to.writable().await.map_err(Cut::Sink)?;
            }
            Err(error) => return Err(Cut::Sink(error)),
        }
        if moved {
            progress();
        }
    }
    pipe.give_back();
    Ok(())
}

fn splice(from: RawFd, to: RawFd, count: usize) -> io::Result<usize> {
    let flags = libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK;
    loop {
        // SAFETY: no offsets, so null pointers; both descriptors are open while their owners are borrowed.
        let moved = unsafe {
            libc::splice(from, std::ptr::null_mut(), to, std::ptr::null_mut(), count, flags)
        };
        if let Ok(moved) = usize::try_from(moved) {
            return Ok(moved);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pooled() -> usize {
        POOL.with(|pool| pool.borrow().len())
    }

    #[test]
    fn pipes_that_nobody_needs_are_closed_at_the_second_sweep() {
        let (first, second) = (Pipe::take().unwrap(), Pipe::take().unwrap());
        first.give_back();
        second.give_back();
        sweep();
        assert_eq!(pooled(), 2, "they were just used");
        Pipe::take().unwrap().give_back();
        sweep();
        assert_eq!(pooled(), 1, "one of them was used again");
        sweep();
        assert_eq!(pooled(), 0);
    }
}
