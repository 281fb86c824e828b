//! `Exchange`: all that is known of one client request while it is being answered.

use super::call::CallBody;
use crate::message::forwarded::ClientIp;
use crate::message::head::RequestHead;
use crate::message::route_params::RouteParams;
use crate::net::clock::Tick;
use crate::shared::log::Log;
use crate::wire::Peer;

/// A request, as every stage sees it.
pub struct Exchange<'r> {
    pub head: &'r RequestHead,
    pub peer: &'r Peer,
    /// The decoded path that was matched.
    pub path: &'r [u8],
    /// Values of the endpoint's parameters, as ranges of `path`.
    pub params: &'r RouteParams,
    pub body: CallBody,
    /// Who the client is, as upstreams are told.
    pub client: ClientIp<'r>,
    /// When the pipe must have answered.
    pub deadline: Tick,
    pub log: &'r Log,
}

impl<'r> Exchange<'r> {
    /// The value of the endpoint's parameter in this place.
    pub fn param(&self, slot: usize) -> Option<&'r [u8]> {
        self.params.get(self.path, slot)
    }

    /// The client's address as text.
    pub fn client_text(&self) -> &'r str {
        match self.client {
            ClientIp::Header(text) => text,
            ClientIp::Peer(_) => &self.peer.ip_text,
        }
    }
}
