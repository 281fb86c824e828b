//! `Secure`: encrypts connections to upstreams, with sessions that this core can take up again.

use std::cell::RefCell;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::{DnsName, ServerName};

use super::error::UpstreamError;
use super::target::HostName;
use crate::net::clock::{self, Tick};
use crate::net::tls::HandshakeError;
use crate::net::{Stream, Tls, task};
use crate::shared::published::{Published, Reader};

/// How long a handshake may take, as in Go's transport.
const HANDSHAKE_MS: u64 = 10_000;
/// Hosts of which this core keeps sessions.
const SESSIONS_MAX: usize = 1024;

/// How often a core looks whether the authorities have been read.
const LOOK_MS: u64 = 2;

/// What encrypted connections may use.
#[derive(Clone)]
pub enum ClientTls {
    /// Nobody has needed it yet.
    Unread,
    /// The configured versions leave nothing to agree on.
    Impossible,
    Ready(Arc<ClientConfig>),
}

/// Has them read and published, if nobody else does already; does not wait.
pub type Wanted = Arc<dyn Fn() + Send + Sync>;

/// One core's way to encrypted connections.
pub struct Secure {
    source: RefCell<Reader<ClientTls>>,
    /// The latest with sessions of this core's own, so that cores do not wait for each other.
    own: RefCell<ClientTls>,
    wanted: Wanted,
}

impl Secure {
    pub fn new(published: &Published<ClientTls>, wanted: Wanted) -> Secure {
        let mut source = published.reader();
        let own = with_own_sessions(source.get());
        Secure { source: RefCell::new(source), own: RefCell::new(own), wanted }
    }

    fn latest(&self) -> ClientTls {
        let mut source = self.source.borrow_mut();
        if source.refresh() {
            self.own.replace(with_own_sessions(source.get()));
        }
        self.own.borrow().clone()
    }

    async fn config(&self, deadline: Tick) -> Result<Arc<ClientConfig>, UpstreamError> {
        loop {
            match self.latest() {
                ClientTls::Ready(config) => return Ok(config),
                ClientTls::Impossible => {
                    let why = "no supported versions satisfy MinVersion and MaxVersion";
                    return Err(failed(rustls::Error::General(why.into())));
                }
                ClientTls::Unread if clock::now() >= deadline => {
                    return Err(UpstreamError::TimedOut);
                }
                ClientTls::Unread => {
                    (self.wanted)();
                    task::sleep_ms(LOOK_MS).await;
                }
            }
        }
    }

    /// Agrees on keys with the host of that name.
    ///
    /// # Errors
    /// [`UpstreamError::Handshake`], or `TimedOut`.
    pub async fn secure(
        &self,
        stream: Stream,
        name: &HostName,
        deadline: Tick,
    ) -> Result<Stream, UpstreamError> {
        let deadline = deadline.min(clock::now().plus_ms(HANDSHAKE_MS));
        let config = self.config(deadline).await?;
        let tls = Tls::client(config, server_name(name)?).map_err(failed)?;
        let stream = stream.secured(tls);
        stream.watch().arm(deadline);
        match stream.handshake().await {
            Ok(()) => Ok(stream),
            Err(HandshakeError::TimedOut) => Err(UpstreamError::TimedOut),
            Err(error) => Err(UpstreamError::Handshake(error)),
        }
    }
}

fn failed(error: rustls::Error) -> UpstreamError {
    UpstreamError::Handshake(HandshakeError::Tls(error))
}

fn with_own_sessions(shared: &ClientTls) -> ClientTls {
    let ClientTls::Ready(shared) = shared else { return shared.clone() };
    let mut config = ClientConfig::clone(shared);
    config.resumption = Resumption::in_memory_sessions(SESSIONS_MAX);
    ClientTls::Ready(Arc::new(config))
}

fn server_name(name: &HostName) -> Result<ServerName<'static>, UpstreamError> {
    match name {
        HostName::Address(address) => Ok(ServerName::IpAddress((*address).into())),
        HostName::Name(name) => DnsName::try_from(name.trim_end_matches('.').to_owned())
            .map(ServerName::DnsName)
            .map_err(|_| UpstreamError::Resolve(name.clone())),
    }
}
