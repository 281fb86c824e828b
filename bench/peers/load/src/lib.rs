//! What the load generator and the upstream share: an io_uring with operations that know their connection.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use io_uring::squeue::{Entry, Flags};
use io_uring::{IoUring, cqueue, opcode, types};

const ENTRIES: u32 = 4096;
/// Completions that may wait; every connection has at most two operations in flight.
const COMPLETIONS: u32 = 64 << 10;
/// The lowest bits of an operation's number say what it is, the others whose.
const KIND_BITS: u32 = 2;

/// What an operation was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Accept,
    Receive,
    Send,
}

/// A completed operation: what, on which connection, and what the kernel says.
pub struct Done {
    pub kind: Kind,
    pub place: usize,
    /// Bytes, a descriptor, or the negative error.
    pub result: i32,
    /// More events of this operation will come.
    pub goes_on: bool,
}

/// The ring of one thread.
pub struct Ring {
    ring: IoUring,
}

impl Ring {
    /// # Errors
    /// Where the kernel does not let us have one.
    pub fn new() -> io::Result<Ring> {
        let mut builder = IoUring::builder();
        builder.setup_cqsize(COMPLETIONS).setup_single_issuer().setup_coop_taskrun();
        Ok(Ring { ring: builder.build(ENTRIES)? })
    }

    /// Accepts until an event says that it does not go on.
    pub fn accept(&mut self, listener: RawFd) {
        self.push(opcode::AcceptMulti::new(types::Fd(listener)).build(), Kind::Accept, 0);
    }

    /// # Safety
    /// The buffer stays where it is until the operation is done.
    pub unsafe fn receive(&mut self, place: usize, socket: RawFd, buffer: *mut u8, length: usize) {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        self.push(
            opcode::Recv::new(types::Fd(socket), buffer, length).build(),
            Kind::Receive,
            place,
        );
    }

    /// Sends all of it. `is_told`: its end is an event; otherwise only a failure is.
    ///
    /// # Safety
    /// The bytes stay where they are until the operation is done.
    pub unsafe fn send(&mut self, place: usize, socket: RawFd, bytes: &[u8], is_told: bool) {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let send = opcode::Send::new(types::Fd(socket), bytes.as_ptr(), length);
        let send = send.flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL).build();
        let flags = if is_told { Flags::empty() } else { Flags::SKIP_SUCCESS };
        self.push(send.flags(flags), Kind::Send, place);
    }

    fn push(&mut self, entry: Entry, kind: Kind, place: usize) {
        let entry = entry.user_data((place as u64) << KIND_BITS | kind as u64);
        loop {
            // SAFETY: the callers promise that the memory outlives the operation.
            if unsafe { self.ring.submission().push(&entry) }.is_ok() {
                return;
            }
            if let Err(error) = self.ring.submit() {
                eprintln!("io_uring: {error}");
                std::process::exit(1);
            }
        }
    }

    /// Waits for events, but not longer than that, and moves them to `done`.
    ///
    /// # Errors
    /// What the kernel says; an interruption and the end of the time are none.
    pub fn wait(&mut self, time: Duration, done: &mut Vec<Done>) -> io::Result<()> {
        let time = types::Timespec::from(time);
        let arguments = types::SubmitArgs::new().timespec(&time);
        match self.ring.submitter().submit_with_args(1, &arguments) {
            Ok(_) => {}
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::ETIME | libc::EINTR | libc::EBUSY)
                ) => {}
            Err(error) => return Err(error),
        }
        done.extend(self.ring.completion().map(|event| {
            let kind = match event.user_data() & ((1 << KIND_BITS) - 1) {
                0 => Kind::Accept,
                1 => Kind::Receive,
                _ => Kind::Send,
            };
            Done {
                kind,
                place: (event.user_data() >> KIND_BITS) as usize,
                result: event.result(),
                goes_on: cqueue::more(event.flags()),
            }
        }));
        Ok(())
    }
}
