//! Bodies: every way a reply's bytes can come, and the request's body as its consumer sees it.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use super::http1::body::{BodyReader, ReadError};
use super::http1::client::Response;
use crate::message::head::{Framing, RequestHead};
use crate::net::splice::Cut;
use crate::net::{Stream, splice};

/// Where a reply's bytes come from. The writer of each protocol matches on it; nothing else does.
pub enum Body {
    Empty,
    Static(&'static [u8]),
    /// One run of bytes, such as an encoded document.
    Bytes(Vec<u8>),
    /// An upstream's body, read on demand; it owns its connection.
    Upstream(Box<Response>),
    /// An upstream's packed body, unpacked on the way.
    Unpacked(Box<super::gzip::Unpacked>),
}

/// The body of a client's request. One consumer at a time reads it.
pub struct Incoming {
    stream: Rc<Stream>,
    state: RefCell<State>,
    /// The client waits for `100 Continue` before it sends the body.
    wants_continue: Cell<bool>,
    framing: Framing,
    /// The longest body that is read.
    bytes_max: u64,
}

struct State {
    reader: BodyReader,
    raw: Vec<u8>,
    /// Bytes of a chunked body that have been read.
    count: u64,
    failed: bool,
}

/// What a client waits for after `Expect: 100-continue` (RFC 9110 section 10.1.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

impl Incoming {
    /// `None` when the request has no body. One that announces its length has been compared with `bytes_max` before; one in
    /// chunks is as it comes.
    pub fn of(stream: &Rc<Stream>, head: &RequestHead, bytes_max: u64) -> Option<Rc<Incoming>> {
        let reader = BodyReader::new(head.framing, 0);
        if reader.is_done() {
            return None;
        }
        let raw = head.bytes[head.head_len..].to_vec();
        let wants_continue = Cell::new(head.expect_continue && raw.is_empty());
        let state = RefCell::new(State { reader, raw, count: 0, failed: false });
        Some(Rc::new(Incoming {
            stream: stream.clone(),
            state,
            wants_continue,
            framing: head.framing,
            bytes_max,
        }))
    }

    /// How the client framed the body; it does not change while the body is read.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// True when nothing is left to read.
    pub fn is_done(&self) -> bool {
        self.state.borrow().reader.is_done()
    }

    /// True when what remains of the body, if anything, cannot be read any more.
    pub fn has_failed(&self) -> bool {
        self.state.borrow().failed
    }

    /// True when the client was never told to go on, so its body never left it.
    pub fn was_not_asked_for(&self) -> bool {
        self.wants_continue.get()
    }

    /// Appends the next piece to `out`. False: the body has ended.
    ///
    /// # Errors
    /// See [`ReadError`]: the client's connection must be closed then.
    #[allow(
        clippy::await_holding_refcell_ref,
        reason = "one consumer at a time; a second one gets an error"
    )]
    pub async fn read_into(&self, out: &mut Vec<u8>) -> Result<bool, ReadError> {
        if self.wants_continue.replace(false) {
            let (sent, _) = self.stream.write_all(CONTINUE.to_vec(), 0).await;
            sent?;
        }
        let Ok(mut state) = self.state.try_borrow_mut() else {
            return Err(ReadError::Truncated);
        };
        // A read that is dropped half-way leaves the mark, so nobody mistakes the connection for a clean one.
        state.failed = true;
        let State { reader, raw, .. } = &mut *state;
        let before = out.len();
        let result = reader.read_into(&self.stream, raw, out).await;
        if self.framing == Framing::Chunked {
            state.count += (out.len() - before) as u64;
            if state.count > self.bytes_max {
                out.truncate(before);
                return Err(ReadError::TooLarge);
            }
        }
        state.failed = result.is_err();
        if state.reader.is_done() {
            self.stream.watch().disarm_reading();
        }
        result.map_err(|error| match self.stream.watch().has_reading_expired() {
            true => ReadError::TimedOut,
            false => error,
        })
    }

    /// Appends what of a body of known length can be had without waiting, until `out` is about `full` bytes long. Whatever is
    /// wrong with the connection shows in the next read.
    pub fn take_ready(&self, out: &mut Vec<u8>, full: usize) {
        let Ok(mut state) = self.state.try_borrow_mut() else { return };
        if self.wants_continue.get() {
            return;
        }
        let State { reader, raw, .. } = &mut *state;
        let room = full.saturating_sub(out.len());
        // A broken chunk cannot be: the length is known.
        if reader.take_buffered(raw, out, room).is_ok() {
            reader.read_ready(&self.stream, out, full);
        }
        if reader.is_done() {
            self.stream.watch().disarm_reading();
        }
    }

    /// Moves the rest of the body to another socket by a pipe. `None`, and nothing was done: its length is not known, a part
    /// of it is here already, or less than `bytes_min` is left.
    pub async fn move_to(&self, sink: &Stream, bytes_min: u64) -> Option<Result<(), Cut>> {
        let left = {
            let state = self.state.try_borrow().ok()?;
            let is_here = state.reader.has_buffered(&state.raw);
            state.reader.length_left().filter(|left| *left >= bytes_min && !is_here)?
        };
        if self.wants_continue.get() || self.stream.is_tls() || sink.is_tls() {
            return None;
        }
        // A transfer that is dropped half-way leaves the mark.
        self.state.borrow_mut().failed = true;
        let moved = splice::transfer(&self.stream, sink, left, || {}).await;
        let mut state = self.state.borrow_mut();
        state.reader.moved_elsewhere();
        state.failed = moved.is_err();
        let watch = self.stream.watch();
        watch.disarm_reading();
        Some(moved.map_err(|cut| match cut {
            Cut::Source(_) if watch.has_reading_expired() => {
                Cut::Source(io::ErrorKind::TimedOut.into())
            }
            cut => cut,
        }))
    }

    /// The whole body, at most `bytes_max`.
    ///
    /// # Errors
    /// [`CollectError::TooLarge`], or what reading gave.
    pub async fn collect(&self, bytes_max: usize) -> Result<Vec<u8>, CollectError> {
        let announced = match self.framing {
            Framing::Length(length) => usize::try_from(length).unwrap_or(usize::MAX),
            _ => 0,
        };
        if announced > bytes_max {
            return Err(CollectError::TooLarge);
        }
        // Memory follows the bytes that came, not the number that was announced.
        let mut body = Vec::with_capacity(announced.min(64 * 1024));
        while self.read_into(&mut body).await.map_err(CollectError::Read)? {
            if body.len() > bytes_max {
                return Err(CollectError::TooLarge);
            }
        }
        Ok(body)
    }

    /// The bytes that came behind the body: the beginning of the next request. Only once the body is done.
    pub fn rest(&self) -> Vec<u8> {
        let state = self.state.borrow();
        state.raw.get(state.reader.rest_at()..).unwrap_or_default().to_vec()
    }
}

/// Why a body could not be kept in memory.
#[derive(Debug)]
pub enum CollectError {
    TooLarge,
    Read(ReadError),
}
