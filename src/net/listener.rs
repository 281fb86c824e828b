//! The listening socket of one core: all cores bind the same port with `SO_REUSEPORT`, the kernel spreads connections.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use monoio::net::TcpStream;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use super::task::{self, First, first_of};

/// Opens a listening socket with an accept queue of that length, which the kernel cuts to `net.core.somaxconn`. With no
/// address it takes both families where the host has IPv6.
///
/// # Errors
/// What the kernel says: the port is taken, the address is not this host's, a port below 1024 without the right.
pub fn bind(address: Option<IpAddr>, port: u16, backlog: i32) -> io::Result<std::net::TcpListener> {
    match address {
        Some(address) => bind_to(SocketAddr::new(address, port), false, backlog),
        None => bind_to(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port), true, backlog)
            .or_else(|error| match error.kind() {
                io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
                _ => bind_to(
                    SocketAddr::new(std::net::Ipv4Addr::UNSPECIFIED.into(), port),
                    false,
                    backlog,
                ),
            }),
    }
}

fn bind_to(
    address: SocketAddr,
    both_families: bool,
    backlog: i32,
) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!both_families)?;
    }
    socket.bind(&address.into())?;
    // Accepted sockets inherit it, so no connection costs a call.
    probe(&socket, PROBE_AFTER)?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// The listening socket that the service manager has opened for this process (`LISTEN_FDS`), if there is one.
///
/// # Errors
/// Several sockets, or one that does not listen.
pub fn inherited() -> io::Result<Option<std::net::TcpListener>> {
    let sockets: Vec<RawFd> = sd_notify::listen_fds()?.collect();
    let socket = match sockets.as_slice() {
        [] => return Ok(None),
        [socket] => *socket,
        _ => {
            return Err(io::Error::other("one socket is taken over, and several were handed over"));
        }
    };
    // SAFETY: the manager handed the descriptor over to this process, which asks for it once, before anything else is
    // opened under its number.
    let socket = unsafe { Socket::from_raw_fd(socket) };
    if !socket.is_listener()? {
        return Err(io::Error::other("the socket that was handed over does not listen"));
    }
    probe(&socket, PROBE_AFTER)?;
    Ok(Some(socket.into()))
}

/// When the kernel first asks whether a silent client is still there, how often it asks again, and after how many
/// questions without an answer the connection ends: the values of Go's server.
const PROBE_AFTER: Duration = Duration::from_secs(15);
const PROBE_EVERY: Duration = Duration::from_secs(15);
const PROBES_MAX: u32 = 9;

/// Has the kernel look after silent connections (RFC 1122 section 4.2.3.6).
pub(super) fn probe(socket: &Socket, after: Duration) -> io::Result<()> {
    let settings = TcpKeepalive::new()
        .with_time(after.max(Duration::from_secs(1)))
        .with_interval(PROBE_EVERY)
        .with_retries(PROBES_MAX);
    socket.set_tcp_keepalive(&settings)
}

/// True when another process already listens on this port: `SO_REUSEPORT` alone would let us share it unnoticed.
pub fn is_taken(address: Option<IpAddr>, port: u16) -> bool {
    let address = address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    let address = SocketAddr::new(address, port);
    let Ok(socket) = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))
    else {
        return false;
    };
    let _ = socket.set_reuse_address(true);
    if address.is_ipv6() {
        let _ = socket.set_only_v6(false);
    }
    socket.bind(&address.into()).is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}

/// How often a listener that has lost its spare descriptor looks for another one.
const SPARE_PAUSE_MS: u64 = 20;

/// Connections that are taken in one go; then the core looks at its other work.
const BURST: u32 = 64;

/// Listeners of this process that have no spare descriptor at the moment. Any core that takes a connection meanwhile gives
/// its descriptor back: it may have been that spare, and the clients of a listener without one would wait for nothing.
static WITHOUT_SPARE: AtomicUsize = AtomicUsize::new(0);

/// Accepts connections on this core.
///
/// What waits is an epoll instance that watches the socket, never the socket itself: an operation in flight on the ring
/// would keep the port taken for a while after the process was killed, and clients would be sent to nobody.
pub struct Listener {
    socket: std::net::TcpListener,
    /// The epoll instance, in the only type of the runtime that can wait for a descriptor to become readable.
    gate: TcpStream,
    taken: Cell<u32>,
    /// Holds a descriptor, so that connections can be closed when no other one is left.
    spare: Cell<Option<std::net::TcpListener>>,
    /// It is counted among those without a spare.
    lacks_spare: Cell<bool>,
}

/// What came of a connection that waited.
pub enum Arrival {
    Taken(Accepted),
    /// Closed, as no descriptor is left for it: a balancer goes elsewhere with what it sends on it, since nothing was
    /// answered.
    TurnedAway,
}

impl Listener {
    /// Takes over an open socket; must be called on the core that will accept.
    ///
    /// # Errors
    /// When no descriptor is left, or the runtime cannot register one.
    pub fn new(socket: std::net::TcpListener) -> io::Result<Listener> {
        socket.set_nonblocking(true)?;
        // SAFETY: plain system call; the result is checked.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if epoll < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `epoll_create1` returned a descriptor that nobody else owns. Nothing is read, written or asked of it
        // as a stream: it is only polled and closed.
        let gate: std::net::TcpStream = unsafe { FromRawFd::from_raw_fd(epoll) };
        let mut interest = libc::epoll_event { events: libc::EPOLLIN.unsigned_abs(), u64: 0 };
        // SAFETY: both descriptors are open, and the kernel copies the event.
        let added = unsafe {
            libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, socket.as_raw_fd(), &raw mut interest)
        };
        if added < 0 {
            return Err(io::Error::last_os_error());
        }
        let spare = Cell::new(Some(socket.try_clone()?));
        let (gate, lacks_spare) = (TcpStream::from_std(gate)?, Cell::new(false));
        Ok(Listener { socket, gate, taken: Cell::new(0), spare, lacks_spare })
    }

    /// What came of the next connection, or `None` once `stop` was called.
    ///
    /// # Errors
    /// What the kernel says.
    pub async fn accept(&self, stop: &Stop) -> io::Result<Option<Arrival>> {
        loop {
            if stop.is_stopped() {
                return Ok(None);
            }
            if self.lacks_spare.get() {
                self.renew_spare();
            }
            if self.taken.get() < BURST {
                self.taken.set(self.taken.get() + 1);
                match self.accept_waiting() {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) if is_out_of_descriptors(&error) => {
                        return if self.close_next() {
                            Ok(Some(Arrival::TurnedAway))
                        } else {
                            Err(error)
                        };
                    }
                    Err(error) => return Err(error),
                    Ok(accepted) if WITHOUT_SPARE.load(Ordering::SeqCst) == 0 => {
                        return Ok(Some(Arrival::Taken(accepted)));
                    }
                    Ok(accepted) => {
                        drop(accepted);
                        return Ok(Some(Arrival::TurnedAway));
                    }
                }
            }
            self.taken.set(0);
            let readable = pin!(self.gate.readable(false));
            let stopped = pin!(stop.wait());
            let first = first_of(readable, stopped);
            let first = match self.lacks_spare.get() {
                true => task::within_ms(SPARE_PAUSE_MS, first).await,
                false => Some(first.await),
            };
            if let Some(First::Left(readable)) = first {
                readable?;
            }
        }
    }

    /// Takes a connection that already waits, without waiting for one.
    ///
    /// # Errors
    /// What the kernel says; `WouldBlock` when none waits.
    pub fn accept_waiting(&self) -> io::Result<Accepted> {
        let (stream, address) = self.socket.accept()?;
        Ok(Accepted { stream, address })
    }

    /// Closes the connection that waits longest. False: it still waits, because not even this descriptor was to be had.
    fn close_next(&self) -> bool {
        // Said before the descriptor is free: whoever takes it knows whose it is.
        if !self.lacks_spare.replace(true) {
            WITHOUT_SPARE.fetch_add(1, Ordering::SeqCst);
        }
        drop(self.spare.take());
        let is_closed = self.accept_waiting().is_ok();
        self.renew_spare();
        is_closed
    }

    fn renew_spare(&self) {
        if let Ok(spare) = self.socket.try_clone() {
            self.spare.set(Some(spare));
            self.lacks_spare.set(false);
            WITHOUT_SPARE.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if self.lacks_spare.get() {
            WITHOUT_SPARE.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Whether the process, or the machine, may not open one more descriptor.
#[must_use]
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// A connection that is neither served nor refused yet.
pub struct Accepted {
    stream: std::net::TcpStream,
    pub address: SocketAddr,
}

impl Accepted {
    /// Hands it to the runtime.
    ///
    /// # Errors
    /// When the runtime cannot register it.
    pub fn into_stream(self) -> io::Result<TcpStream> {
        if super::driver::is_epoll() {
            self.stream.set_nonblocking(true)?;
        }
        TcpStream::from_std(self.stream)
    }

    /// Closes it after an answer that it did not ask for yet; who does not take it at once goes without.
    pub fn refuse(self, answer: &[u8]) {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let _ = socket2::SockRef::from(&self.stream).send_with_flags(answer, flags);
    }
}

/// Ends the accepting of a core.
#[derive(Default)]
pub struct Stop {
    stopped: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Stop {
    pub fn stop(&self) {
        self.stopped.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped.get()
    }

    async fn wait(&self) {
        std::future::poll_fn(|context| {
            if self.stopped.get() {
                return Poll::Ready(());
            }
            self.waker.replace(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}
