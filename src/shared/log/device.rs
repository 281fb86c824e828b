//! `Device`: where an output's lines go. Each has a thread of its own, so it may hold that up.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

/// Called by its output's thread only.
pub trait Device: Send {
    /// Opens it; costs nothing when it is open.
    fn open(&mut self) -> io::Result<()>;

    /// Writes some of `bytes` and tells how many. Their first record has `record_len` bytes; a device that sends
    /// records one by one writes just that. `WouldBlock` and `TimedOut` mean: not now.
    fn write(&mut self, bytes: &[u8], record_len: usize) -> io::Result<usize>;

    /// What to do after a failure that is not one of these two.
    fn remedy(&self, error: &io::Error) -> Remedy;

    /// Closes it, to be opened again.
    fn close(&mut self);
}

/// What helps after a write that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The record is lost, the next one may go out.
    SkipRecord,
    /// All that waits to be written is lost.
    SkipAll,
    /// Nothing is lost that the new connection takes.
    Reconnect,
}

/// A descriptor that others have opened, such as standard output.
pub struct Descriptor(Option<File>);

/// Anything that can be written to and is always open.
pub struct Plainly<W>(pub W);

// === impl Descriptor ===

impl Descriptor {
    /// Standard output, past the buffer of the standard library. Without one, everything is lost.
    pub fn stdout() -> Self {
        Self(io::stdout().as_fd().try_clone_to_owned().ok().map(File::from))
    }

    pub fn file(&self) -> Option<&File> {
        self.0.as_ref()
    }
}

impl From<File> for Descriptor {
    fn from(file: File) -> Self {
        Self(Some(file))
    }
}

impl Device for Descriptor {
    fn open(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn write(&mut self, bytes: &[u8], _record_len: usize) -> io::Result<usize> {
        let file = self.0.as_mut();
        file.map_or(Err(io::ErrorKind::NotConnected.into()), |file| file.write(bytes))
    }

    /// A closed pipe stays closed, and a full disk may have room later: what cannot be written now is lost.
    fn remedy(&self, _error: &io::Error) -> Remedy {
        Remedy::SkipAll
    }

    fn close(&mut self) {}
}

// === impl Plainly ===

impl<W: Write + Send> Device for Plainly<W> {
    fn open(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn write(&mut self, bytes: &[u8], _record_len: usize) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn remedy(&self, _error: &io::Error) -> Remedy {
        Remedy::SkipAll
    }

    fn close(&mut self) {}
}
