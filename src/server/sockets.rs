//! `Sockets`: where the cores listen: bound by us, lent by the service manager, or handed over by the process before us.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use super::StartError;
use crate::net::handover::{Inheritance, Predecessor};
use crate::net::listener;
use crate::plan::Plan;

/// A predecessor that was killed may hold the port for some milliseconds more.
const PORT_WAIT: Duration = Duration::from_millis(500);
const PORT_LOOK: Duration = Duration::from_millis(2);

/// The listening sockets, one for each core.
pub(super) struct Sockets {
    pub all: Vec<TcpListener>,
    /// All are one, which the service manager opened.
    pub are_lent: bool,
    /// Waits for our word that we serve.
    pub predecessor: Option<Predecessor>,
}

impl Sockets {
    /// So many sockets, all before the first core runs: a port that is taken must stop the start.
    ///
    /// # Errors
    /// The port is taken or not allowed, or what was handed over is not what the configuration asks for.
    pub fn open(
        plan: &Plan,
        workers: usize,
        inheritance: Option<Inheritance>,
    ) -> Result<Sockets, StartError> {
        if let Some(Inheritance { sockets: all, are_lent, predecessor }) = inheritance {
            if !are_lent {
                is_as_configured(plan, &all)?;
            }
            return Ok(Sockets { all, are_lent, predecessor: Some(predecessor) });
        }
        let lent = || -> io::Result<Option<Vec<_>>> {
            let Some(socket) = listener::inherited()? else { return Ok(None) };
            (0..workers).map(|_| socket.try_clone()).collect::<io::Result<_>>().map(Some)
        };
        let lent =
            lent().map_err(|error| StartError::Listen("the socket of LISTEN_FDS".into(), error))?;
        let (are_lent, predecessor) = (lent.is_some(), None);
        let all = lent.map_or_else(|| bind(plan, workers), Ok)?;
        Ok(Sockets { all, are_lent, predecessor })
    }

    /// Where they listen, which is not the configuration's port when they are lent.
    pub fn port(&self) -> Option<u16> {
        self.all.first()?.local_addr().ok().map(|address| address.port())
    }
}

fn is_as_configured(plan: &Plan, sockets: &[TcpListener]) -> Result<(), StartError> {
    let (ip, port) = (plan.listen.address, plan.listen.port);
    let is_right = |bound: SocketAddr| {
        let is_there = ip.map_or(bound.ip().is_unspecified(), |ip| ip == bound.ip());
        is_there && bound.port() == port
    };
    match sockets
        .iter()
        .map(TcpListener::local_addr)
        .find(|bound| !bound.as_ref().is_ok_and(|bound| is_right(*bound)))
    {
        None => Ok(()),
        Some(Err(error)) => Err(StartError::Takeover(error.to_string())),
        Some(Ok(bound)) => Err(StartError::Takeover(format!(
            "it listens on {bound}, and the configuration asks for {}: that needs a restart",
            name(plan)
        ))),
    }
}

fn name(plan: &Plan) -> String {
    match plan.listen.address {
        Some(address) => SocketAddr::new(address, plan.listen.port).to_string(),
        None => format!("port {}", plan.listen.port),
    }
}

fn bind(plan: &Plan, workers: usize) -> Result<Vec<TcpListener>, StartError> {
    let (address, port) = (plan.listen.address, plan.listen.port);
    let end = Instant::now() + PORT_WAIT;
    while listener::is_taken(address, port) {
        if Instant::now() < end {
            thread::sleep(PORT_LOOK);
            continue;
        }
        return Err(StartError::Listen(name(plan), io::Error::from_raw_os_error(libc::EADDRINUSE)));
    }
    let sockets: io::Result<Vec<_>> =
        (0..workers).map(|_| listener::bind(address, port, plan.limits.backlog())).collect();
    sockets.map_err(|error| StartError::Listen(name(plan), error))
}
