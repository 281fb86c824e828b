//! Bytes to messages and back: the protocols, and the seam where they meet the gateway.
//!
//! A protocol reads a request, calls [`Handle::handle`], and writes the [`Reply`] it gets. It knows nothing of
//! endpoints; the gateway knows nothing of sockets.

pub mod body;
pub mod gzip;
pub mod http1;
pub mod reply;

use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;

pub use body::{Body, Incoming};
pub use reply::{HeaderBlock, Reply, Witness};

use crate::message::head::RequestHead;

/// Answers requests; the protocols call it, the gateway implements it.
pub trait Handle: 'static {
    fn handle<'r>(&'r self, request: Request<'r>) -> impl Future<Output = Reply>;

    /// The answer to a message that never became a request: status and a short text for the log.
    fn refused(&self, peer: &Peer, status: u16, why: &str);
}

/// One request, as long as it is being answered.
pub struct Request<'r> {
    pub head: &'r RequestHead,
    /// `None`: there is none.
    pub body: Option<&'r Rc<Incoming>>,
    pub peer: &'r Peer,
}

/// Who is at the other end of a client connection.
#[derive(Clone, Debug)]
pub struct Peer {
    pub address: SocketAddr,
    /// The address without the port, as upstreams and logs are told.
    pub ip_text: Box<str>,
    /// True when the connection is encrypted.
    pub is_tls: bool,
}

impl Peer {
    pub fn new(address: SocketAddr, is_tls: bool) -> Peer {
        Peer { address, ip_text: address.ip().to_canonical().to_string().into(), is_tls }
    }
}
