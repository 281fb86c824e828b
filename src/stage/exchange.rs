//! `Exchange`: all that is known of one client request while it is being answered.

use std::rc::Rc;

use super::added::AddedHeaders;
use super::call::CallBody;
use super::claims::Claims;
use super::watch::Watch;
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
    /// What the token says, where a validator has found it good.
    pub claims: Option<Rc<Claims>>,
    /// Header lines over the client's: look them up with [`Exchange::header`].
    pub added: AddedHeaders,
    /// `None`: nobody watches.
    pub watch: Option<&'r Watch>,
}

impl<'r> Exchange<'r> {
    /// The first line of a header, as stages have set it, else as the client sent it.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        match self.added.lines(name.as_bytes()) {
            Some(lines) => lines.first().map(String::as_bytes),
            None => self.head.header(name),
        }
    }

    /// All lines of a header, as stages have set them, else as the client sent them.
    pub fn headers_named<'e>(&'e self, name: &'e str) -> impl Iterator<Item = &'e [u8]> {
        let added = self.added.lines(name.as_bytes());
        let own = added.is_none().then(|| self.head.headers_named(name));
        let added = added.unwrap_or_default().iter().map(String::as_bytes);
        added.chain(own.into_iter().flatten())
    }

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
