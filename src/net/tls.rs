//! `Tls`: one encrypted connection, rustls between the caller's buffers and what goes over the socket.
//!
//! Every read and write of the socket owns its buffer and runs to its end; the session is never borrowed meanwhile. One
//! read and one write may be in flight together, as on a plain stream.

mod handshake;

use std::cell::{Cell, RefCell};
use std::io::{self, BufRead, Write};
use std::os::fd::RawFd;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

use super::Stream;
use super::buffer::{BUFFER_BYTES, Buffer, Bytes};

pub use handshake::HandshakeError;

/// Plain bytes that are encrypted and sent in one go: four records.
const WRITE_BYTES: usize = 64 * 1024;
/// What encryption adds to [`WRITE_BYTES`]: at most 22 bytes a record, and what the session itself has to say.
const WRITE_SLACK_BYTES: usize = 1024;

/// One side of an encrypted connection.
pub struct Tls {
    session: RefCell<Connection>,
    received: RefCell<Received>,
    /// The last read took all it had room for, so the next one gets more.
    filled: Cell<bool>,
    // Still set when a future was dropped half-way: what it held is lost, and the connection with it.
    is_reading: Cell<bool>,
    is_writing: Cell<bool>,
    /// Nothing is to be said any more: the end was announced, or must not be.
    is_silent: Cell<bool>,
    /// What was received made no sense; nothing behind it is looked at.
    failure: RefCell<Option<rustls::Error>>,
}

/// What came over the socket and was not looked at yet.
#[derive(Default)]
struct Received {
    bytes: Vec<u8>,
    at: usize,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

// === impl Tls ===

impl Tls {
    /// The side that shows a certificate.
    ///
    /// # Errors
    /// When the configuration and the library do not fit.
    pub fn server(config: Arc<ServerConfig>) -> Result<Tls, rustls::Error> {
        Ok(Tls::new(ServerConnection::new(config)?.into()))
    }

    /// The side that asks for the certificate of `name`.
    ///
    /// # Errors
    /// When the configuration and the library do not fit.
    pub fn client(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Tls, rustls::Error> {
        Ok(Tls::new(ClientConnection::new(config, name)?.into()))
    }

    fn new(session: Connection) -> Tls {
        Tls {
            session: RefCell::new(session),
            received: RefCell::default(),
            filled: Cell::new(false),
            is_reading: Cell::new(false),
            is_writing: Cell::new(false),
            is_silent: Cell::new(false),
            failure: RefCell::default(),
        }
    }

    fn is_client(&self) -> bool {
        matches!(*self.session.borrow(), Connection::Client(_))
    }

    /// Appends what arrives to the buffer's spare room. `Ok(0)` is the end that the other side has announced; an end that
    /// it has not is `UnexpectedEof`.
    pub(super) async fn read<B: Bytes>(
        &self,
        stream: &Stream,
        mut buffer: B,
        count_max: usize,
    ) -> (io::Result<usize>, B) {
        if self.is_reading.replace(true) {
            return (Err(gave_up()), buffer);
        }
        let result = loop {
            match self.take(stream.socket(), buffer.vec_mut(), count_max) {
                Ok(Some(count)) => break Ok(count),
                Ok(None) => {}
                Err(error) => break Err(error),
            }
            if let Err(error) = self.receive(stream).await {
                break Err(error);
            }
        };
        self.is_reading.set(false);
        (result, buffer)
    }

    /// What can be had without waiting, as [`Stream::read_ready`].
    pub(super) fn read_ready(
        &self,
        stream: &Stream,
        buffer: &mut Vec<u8>,
        count_max: usize,
    ) -> usize {
        let room = buffer.capacity() - buffer.len();
        if self.is_reading.get() || room == 0 || count_max == 0 {
            return 0;
        }
        loop {
            match self.take(stream.socket(), buffer, count_max) {
                Ok(Some(count)) => return count,
                Ok(None) if self.receive_ready(stream).is_ok_and(|got| got > 0) => {}
                Ok(None) | Err(_) => return 0,
            }
        }
    }

    /// Encrypts and sends the whole buffer from `from` on.
    pub(super) async fn write_all<B: Bytes>(
        &self,
        stream: &Stream,
        bytes: B,
        from: usize,
    ) -> (io::Result<()>, B) {
        if self.is_writing.replace(true) {
            return (Err(gave_up()), bytes);
        }
        let mut at = from;
        let plain_bytes = (bytes.vec().len() - from).min(WRITE_BYTES);
        let mut out = Buffer::with_capacity(plain_bytes + WRITE_SLACK_BYTES);
        while at < bytes.vec().len() {
            let plain = &bytes.vec()[at..bytes.vec().len().min(at + WRITE_BYTES)];
            match self.encrypt(plain, &mut out) {
                Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), bytes),
                Ok(taken) => at += taken,
                Err(error) => return (Err(error), bytes),
            }
            let (sent, returned) = stream.send(out).await;
            if let Err(error) = sent {
                return (Err(error), bytes);
            }
            out = returned;
            out.clear();
        }
        self.is_writing.set(false);
        (Ok(()), bytes)
    }

    /// Whether nothing has come that nobody asked for, and the other side is still there. What a server says between two
    /// answers, tickets above all, is taken in.
    pub(super) fn is_quiet_and_open(&self, stream: &Stream) -> bool {
        // A server side may have a read in flight, which must not be robbed: a look has to do.
        let may_take = self.is_client() && !self.is_reading.get();
        loop {
            let is_waiting = matches!(
                self.session.borrow_mut().reader().fill_buf(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock
            );
            if !is_waiting {
                return false;
            }
            if !may_take {
                return self.received.borrow().is_empty() && stream.is_socket_quiet();
            }
            if self.received.borrow().is_empty() {
                match self.receive_ready(stream) {
                    Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
                    Ok(0) => return false,
                    Ok(_) => {}
                }
            }
            if self.feed(stream.socket()).is_err() {
                return false;
            }
        }
    }

    /// Announces the end of what this side says, if that has not been done and nothing is in flight. Whoever does not take
    /// it at once goes without.
    pub(super) fn take_leave(&self, socket: RawFd) {
        if self.is_silent.replace(true) || self.is_writing.get() {
            return;
        }
        let mut session = self.session.borrow_mut();
        if !session.is_handshaking() {
            session.send_close_notify();
            drop(session);
            self.flush_now(socket);
        }
    }

    /// What was sent last is not the whole message: the end must not look announced.
    pub(super) fn break_off(&self) {
        self.is_silent.set(true);
    }

    /// Moves decrypted bytes to `out`. `None`: more must be received first.
    fn take(
        &self,
        socket: RawFd,
        out: &mut Vec<u8>,
        count_max: usize,
    ) -> io::Result<Option<usize>> {
        let room = (out.capacity() - out.len()).min(count_max);
        debug_assert!(room > 0, "a read needs room");
        let mut count = 0;
        loop {
            let mut session = self.session.borrow_mut();
            let mut reader = session.reader();
            match reader.fill_buf() {
                Ok([]) => return Ok(Some(count)),
                Ok(plain) => {
                    let taken = plain.len().min(room - count);
                    out.extend_from_slice(&plain[..taken]);
                    reader.consume(taken);
                    count += taken;
                    if count == room {
                        return Ok(Some(count));
                    }
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            drop(session);
            // The bytes before a broken record are good; the next read tells of it.
            let is_at_end = self.received.borrow().is_empty();
            match self.failure() {
                failed if count > 0 && (is_at_end || failed.is_some()) => return Ok(Some(count)),
                Some(error) => return Err(error),
                None if is_at_end => return Ok(None),
                None => {}
            }
            let fed = self.feed(socket);
            debug_assert!(fed.is_ok() || self.failure.borrow().is_some(), "the next look tells");
        }
    }

    /// Hands a part of what was received to the session.
    fn feed(&self, socket: RawFd) -> io::Result<()> {
        let mut session = self.session.borrow_mut();
        let mut received = self.received.borrow_mut();
        let mut rest = &received.bytes[received.at..];
        let before = rest.len();
        let read = session.read_tls(&mut rest);
        let taken = before - rest.len();
        received.at += taken;
        if received.is_empty() {
            *received = Received::default();
        }
        drop(received);
        // Whatever follows the announced end is nobody's.
        if !matches!(read, Ok(1..)) {
            self.received.replace(Received::default());
        }
        if let Err(error) = read {
            self.failure.replace(Some(rustls::Error::General(error.to_string())));
        }
        if let Err(error) = session.process_new_packets() {
            drop(session);
            self.flush_now(socket);
            self.is_silent.set(true);
            self.failure.replace(Some(error));
        }
        self.failure().map_or(Ok(()), Err)
    }

    fn failure(&self) -> Option<io::Error> {
        let failure = self.failure.borrow();
        Some(io::Error::new(io::ErrorKind::InvalidData, failure.as_ref()?.clone()))
    }

    /// Encrypts what fits, behind what the session itself has to say.
    fn encrypt(&self, plain: &[u8], out: &mut Vec<u8>) -> io::Result<usize> {
        let mut session = self.session.borrow_mut();
        let taken = session.writer().write(plain)?;
        while session.wants_write() {
            session.write_tls(out)?;
        }
        Ok(taken)
    }

    /// Reads once from the socket; nothing may be left to look at.
    async fn receive(&self, stream: &Stream) -> io::Result<()> {
        let (result, bytes) = stream.receive(self.room()).await;
        self.received(bytes);
        match result? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// The same without waiting: `WouldBlock` when nothing is there, `Ok(0)` at the end.
    fn receive_ready(&self, stream: &Stream) -> io::Result<usize> {
        let mut bytes = self.room();
        let got = stream.receive_ready(&mut bytes, usize::MAX);
        self.received(bytes);
        got
    }

    /// A buffer to receive into. A client that is idle costs a small one.
    fn room(&self) -> Vec<u8> {
        let is_large = self.filled.get() || self.is_client();
        let buffer = if is_large { Buffer::take() } else { Buffer::small() };
        buffer.into_vec()
    }

    fn received(&self, bytes: Vec<u8>) {
        debug_assert!(self.received.borrow().is_empty(), "all of it was looked at");
        self.filled.set(bytes.len() == bytes.capacity() || bytes.len() >= BUFFER_BYTES / 2);
        self.received.replace(Received { bytes, at: 0 });
    }

    /// Sends what the session has to say without waiting; for last words.
    fn flush_now(&self, socket: RawFd) {
        if self.is_writing.get() {
            return;
        }
        let mut last = Vec::new();
        let mut session = self.session.borrow_mut();
        while session.wants_write() && session.write_tls(&mut last).is_ok() {}
        super::stream::send_now(socket, &last);
    }
}

// === impl Received ===

impl Received {
    fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        super::buffer::give_back(std::mem::take(&mut self.bytes));
    }
}

fn gave_up() -> io::Error {
    io::Error::other("an earlier operation on this connection was given up")
}
