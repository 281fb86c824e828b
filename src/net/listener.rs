//! The listening socket of one core: all cores bind the same port with `SO_REUSEPORT`, the kernel spreads connections.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;

use monoio::io::{CancelHandle, Canceller};
use monoio::net::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted; the kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Opens a listening socket. With no address it takes both families where the host has IPv6.
///
/// # Errors
/// What the kernel says: the port is taken, the address is not this host's, a port below 1024 without the right.
pub fn bind(address: Option<IpAddr>, port: u16) -> io::Result<std::net::TcpListener> {
    match address {
        Some(address) => bind_to(SocketAddr::new(address, port), false),
        None => {
            bind_to(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port), true).or_else(|error| {
                match error.kind() {
                    io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
                    _ => bind_to(
                        SocketAddr::new(std::net::Ipv4Addr::UNSPECIFIED.into(), port),
                        false,
                    ),
                }
            })
        }
    }
}

fn bind_to(address: SocketAddr, both_families: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!both_families)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
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

/// Accepts connections on this core.
pub struct Listener {
    tcp: TcpListener,
}

impl Listener {
    /// Takes over an open socket; must be called on the core that will accept.
    ///
    /// # Errors
    /// When the runtime cannot register the descriptor.
    pub fn new(socket: std::net::TcpListener) -> io::Result<Listener> {
        // The ring waits by itself; the epoll driver wants a socket that never blocks.
        socket.set_nonblocking(super::driver::is_epoll())?;
        Ok(Listener { tcp: TcpListener::from_std(socket)? })
    }

    pub fn tcp(&self) -> &TcpListener {
        &self.tcp
    }

    /// The next connection, or `None` once `stop` was called. An accept in flight is cancelled, never dropped: a
    /// connection that it has taken already would be lost with it.
    ///
    /// # Errors
    /// What the kernel says.
    pub async fn accept(&self, stop: &Stop) -> io::Result<Option<(TcpStream, SocketAddr)>> {
        let Some(handle) = stop.handle() else { return Ok(None) };
        match self.tcp.cancelable_accept(handle).await {
            Ok(accepted) => Ok(Some(accepted)),
            Err(_) if stop.is_stopped() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Ends the accepting of a core.
#[derive(Default)]
pub struct Stop(RefCell<Option<Canceller>>, Cell<bool>);

impl Stop {
    pub fn new() -> Stop {
        Stop(RefCell::new(Some(Canceller::new())), Cell::new(false))
    }

    pub fn stop(&self) {
        self.1.set(true);
        if let Some(canceller) = self.0.take() {
            canceller.cancel();
        }
    }

    pub fn is_stopped(&self) -> bool {
        self.1.get()
    }

    fn handle(&self) -> Option<CancelHandle> {
        self.0.borrow().as_ref().map(Canceller::handle)
    }
}

/// Takes a connection that already waits, without waiting for one.
pub fn accept_waiting(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    let flags =
        libc::SOCK_CLOEXEC | if super::driver::is_epoll() { libc::SOCK_NONBLOCK } else { 0 };
    // SAFETY: sets a flag of a descriptor that is open while `listener` lives.
    unsafe { libc::fcntl(listener.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    // SAFETY: the same descriptor; null pointers ask for no address.
    let socket = unsafe {
        libc::accept4(listener.as_raw_fd(), std::ptr::null_mut(), std::ptr::null_mut(), flags)
    };
    if socket < 0 {
        return None;
    }
    // SAFETY: `accept4` returned a descriptor that nobody else owns.
    let accepted: std::net::TcpStream = unsafe { std::os::fd::FromRawFd::from_raw_fd(socket) };
    let peer = accepted.peer_addr().ok()?;
    Some((TcpStream::from_std(accepted).ok()?, peer))
}
