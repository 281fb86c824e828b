//! `Stream`: one connection, read and written with owned buffers, with a deadline on whatever is in flight.

use std::cell::{Cell, UnsafeCell};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::pin::pin;
use std::time::Duration;

use monoio::io::{AsyncReadRent, AsyncWriteRent};
use monoio::net::TcpStream;
use socket2::SockRef;

use super::buffer::{Bytes, Spare, Unsent};
use super::clock::Tick;
use super::deadline::Watch;
use super::listener::probe;
use super::task;
use super::tls::{HandshakeError, Tls};

/// A connected socket of this core, encrypted or not.
#[derive(Debug)]
pub struct Stream {
    // Dropped before the socket, as `Watch` demands.
    watch: Watch,
    tcp: UnsafeCell<TcpStream>,
    socket: RawFd,
    /// Transfers by a pipe that this is an end of: at most one in each direction.
    transfers: Cell<u8>,
    tls: Option<Box<Tls>>,
}

impl Stream {
    pub fn new(tcp: TcpStream) -> Stream {
        let socket = tcp.as_raw_fd();
        // Without it a head and a late body chunk wait for each other's acknowledgement. A failure costs only speed.
        let _ = tcp.set_nodelay(true);
        Stream {
            watch: Watch::new(socket),
            tcp: UnsafeCell::new(tcp),
            socket,
            transfers: Cell::new(0),
            tls: None,
        }
    }

    /// The same connection, encrypted from its next byte on; [`Stream::handshake`] comes first.
    #[must_use]
    pub fn secured(mut self, tls: Tls) -> Stream {
        self.tls = Some(Box::new(tls));
        self
    }

    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Agrees with the other side on keys; at once on a plain stream. The stream's deadline bounds it.
    ///
    /// # Errors
    /// See [`HandshakeError`].
    pub async fn handshake(&self) -> Result<(), HandshakeError> {
        match &self.tls {
            Some(tls) => tls.handshake(self).await,
            None => Ok(()),
        }
    }

    /// Connects to an address. `deadline` bounds the whole attempt.
    ///
    /// # Errors
    /// What the kernel says; `TimedOut` when the deadline passed.
    pub async fn connect(address: SocketAddr, deadline: Tick) -> io::Result<Stream> {
        let now = super::clock::now();
        if deadline <= now {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let attempt = TcpStream::connect_addr(address);
        if deadline == Tick::NEVER {
            return Ok(Stream::new(attempt.await?));
        }
        // A connect that is given up holds no buffer; dropping it cancels the operation and closes the socket.
        match task::within_ms(deadline.since_ms(now), attempt).await {
            Some(connected) => Ok(Stream::new(connected?)),
            None => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Has the kernel ask whether the other side is still there once the connection has been silent for so long.
    pub fn probe_after_ms(&self, after_ms: u64) {
        // SAFETY: the socket is open as long as `self` lives.
        let socket = unsafe { BorrowedFd::borrow_raw(self.socket) };
        // Without it a connection whose other side has vanished is only found later.
        let _ = probe(&SockRef::from(&socket), Duration::from_millis(after_ms));
    }

    pub fn socket(&self) -> RawFd {
        self.socket
    }

    pub(super) fn transfers(&self) -> &Cell<u8> {
        &self.transfers
    }

    /// The deadline of this connection's current step.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Appends what arrives to the buffer's spare room, which must not be empty. `Ok(0)` is the end of the stream.
    pub fn read<B: Bytes>(&self, buffer: B) -> impl Future<Output = (io::Result<usize>, B)> {
        self.read_at_most(buffer, usize::MAX)
    }

    /// The same, but leaves what lies beyond `count` bytes in the socket.
    pub async fn read_at_most<B: Bytes>(&self, buffer: B, count: usize) -> (io::Result<usize>, B) {
        debug_assert!(
            buffer.vec().capacity() > buffer.vec().len() && count > 0,
            "a read needs room"
        );
        if let Some(tls) = &self.tls {
            return task::boxed(|| tls.read(self, buffer, count)).await;
        }
        // Pinned where it is made. Awaiting it in one expression would copy it twice, and a copy of what has just been written
        // waits for the writes before it, which are those to the ring, to reach the cache.
        let reading = pin!(self.tcp_mut().read(Spare { bytes: buffer, count_max: count }));
        let (result, spare) = reading.await;
        match self.told(result) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                task::rare(|| self.read_when_readable(spare)).await
            }
            result => (result, spare.bytes),
        }
    }

    /// The ring does not wait on a socket that is being spliced meanwhile (see `splice`).
    async fn read_when_readable<B: Bytes>(&self, mut spare: Spare<B>) -> (io::Result<usize>, B) {
        loop {
            if let Err(error) = self.readable().await {
                return (Err(error), spare.bytes);
            }
            let (result, returned) = self.tcp_mut().read(spare).await;
            spare = returned;
            match self.told(result) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return (result, spare.bytes),
            }
        }
    }

    /// Appends what has arrived, at most `count_max` bytes and the buffer's spare room, without waiting. Zero is nothing:
    /// an end or an error is left for the next read to tell.
    pub fn read_ready(&self, buffer: &mut Vec<u8>, count_max: usize) -> usize {
        match &self.tls {
            Some(tls) => tls.read_ready(self, buffer, count_max),
            None => self.receive_ready(buffer, count_max).unwrap_or(0),
        }
    }

    /// Reads from the socket itself, past encryption.
    pub(super) async fn receive<B: Bytes>(&self, buffer: B) -> (io::Result<usize>, B) {
        let spare = Spare { bytes: buffer, count_max: usize::MAX };
        let (result, spare) = self.tcp_mut().read(spare).await;
        (self.told(result), spare.bytes)
    }

    /// The same without waiting: `WouldBlock` when nothing is there, `Ok(0)` at the end.
    pub(super) fn receive_ready(
        &self,
        buffer: &mut Vec<u8>,
        count_max: usize,
    ) -> io::Result<usize> {
        let spare = buffer.spare_capacity_mut();
        let count = spare.len().min(count_max);
        // SAFETY: the pointer and the count describe the vector's spare capacity; the socket is open as long as `self` lives.
        let got = unsafe {
            libc::recv(self.socket, spare.as_mut_ptr().cast(), count, libc::MSG_DONTWAIT)
        };
        let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
        // SAFETY: the kernel initialised `got` bytes behind the content, at most as many as there was room for.
        unsafe { buffer.set_len(buffer.len() + got) };
        Ok(got)
    }

    /// Sends the whole buffer from `from` on.
    pub async fn write_all<B: Bytes>(&self, bytes: B, from: usize) -> (io::Result<()>, B) {
        if let Some(tls) = &self.tls {
            return task::boxed(|| tls.write_all(self, bytes, from)).await;
        }
        let mut unsent = Unsent { bytes, from };
        while unsent.from < unsent.bytes.vec().len() {
            let writing = pin!(self.tcp_mut().write(unsent));
            let (result, returned) = writing.await;
            unsent = returned;
            match self.told(result) {
                Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), unsent.bytes),
                Ok(sent) => unsent.from += sent,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if let Err(error) = task::rare(|| self.writable()).await {
                        return (Err(error), unsent.bytes);
                    }
                }
                Err(error) => return (Err(error), unsent.bytes),
            }
        }
        (Ok(()), unsent.bytes)
    }

    /// Writes to the socket itself, past encryption.
    pub(super) async fn send<B: Bytes>(&self, bytes: B) -> (io::Result<()>, B) {
        let mut unsent = Unsent { bytes, from: 0 };
        while unsent.from < unsent.bytes.vec().len() {
            let (result, returned) = self.tcp_mut().write(unsent).await;
            unsent = returned;
            match self.told(result) {
                Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), unsent.bytes),
                Ok(sent) => unsent.from += sent,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (Err(error), unsent.bytes),
            }
        }
        (Ok(()), unsent.bytes)
    }

    /// Waits until a read would not block; holds no buffer meanwhile.
    ///
    /// # Errors
    /// What the kernel says; `TimedOut` when the deadline passed.
    pub async fn readable(&self) -> io::Result<()> {
        let result = self.tcp_mut().readable(false).await;
        self.told(result)
    }

    /// Waits until a write would not block.
    ///
    /// # Errors
    /// What the kernel says; `TimedOut` when the deadline passed.
    pub async fn writable(&self) -> io::Result<()> {
        let result = self.tcp_mut().writable(false).await;
        self.told(result)
    }

    /// Tells the peer that nothing more will come.
    pub fn finish(&self) {
        if let Some(tls) = &self.tls {
            tls.take_leave(self.socket);
        }
        // SAFETY: the socket is open as long as `self` lives. A failure means the peer was faster.
        unsafe { libc::shutdown(self.socket, libc::SHUT_WR) };
    }

    /// The message that was being written stays unfinished: its end must not look like one that was meant.
    pub fn break_off(&self) {
        if let Some(tls) = &self.tls {
            tls.break_off();
        }
    }

    /// Ends a waiting read as if the peer had finished. A read that has already got bytes keeps them, and answers can still
    /// be written.
    pub fn stop_reading(&self) {
        // SAFETY: the socket is open as long as `self` lives. A failure means the peer was faster.
        unsafe { libc::shutdown(self.socket, libc::SHUT_RD) };
    }

    /// What an idle connection has to say, without waiting: used before a kept connection is used again.
    pub fn is_quiet_and_open(&self) -> bool {
        match &self.tls {
            Some(tls) => tls.is_quiet_and_open(self),
            None => self.is_socket_quiet(),
        }
    }

    pub(super) fn is_socket_quiet(&self) -> bool {
        let mut byte = 0u8;
        // SAFETY: the socket is open as long as `self` lives; the pointer is to one writable byte.
        let got = unsafe {
            libc::recv(self.socket, (&raw mut byte).cast(), 1, libc::MSG_PEEK | libc::MSG_DONTWAIT)
        };
        got < 0 && io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock
    }

    /// True when the peer has closed its side, without waiting and without taking what it sent before.
    pub fn is_hung_up(&self) -> bool {
        let mut poll = libc::pollfd { fd: self.socket, events: libc::POLLRDHUP, revents: 0 };
        // SAFETY: one valid pollfd, and a time-out of zero.
        let ready = unsafe { libc::poll(&raw mut poll, 1, 0) };
        ready > 0 && poll.revents & (libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) != 0
    }

    /// An operation that ended because the deadline shut the socket down is a time-out, whatever it returned.
    fn told<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if self.watch.has_expired() { Err(io::ErrorKind::TimedOut.into()) } else { result }
    }

    #[allow(clippy::mut_from_ref, reason = "see the proof below")]
    fn tcp_mut(&self) -> &mut TcpStream {
        // SAFETY: the runtime's `read`, `write`, `readable` and `writable` take `&mut self` but only clone the shared
        // descriptor while they build the operation; the future keeps that clone and does not touch the stream again.
        // One read and one write may therefore be in flight together (the runtime's own split halves do the same).
        // `Stream` is neither `Send` nor `Sync`, so nothing else runs while the operation is built.
        unsafe { &mut *self.tcp.get() }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(tls) = &self.tls {
            tls.take_leave(self.socket);
        }
    }
}

/// Sends what the socket takes without waiting. `socket` is open, its stream is borrowed or being dropped.
pub(super) fn send_now(socket: RawFd, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the pointer and the length describe the slice. A failure means the peer was faster, or reads nothing.
    unsafe { libc::send(socket, bytes.as_ptr().cast(), bytes.len(), flags) };
}
