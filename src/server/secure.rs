//! `Door`: one core's way from an accepted connection to an encrypted one.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use rustls::ServerConfig;

use crate::net::tls::HandshakeError;
use crate::net::{Stream, Tls};
use crate::shared::log::Log;
use crate::shared::published::{Published, Reader};
use crate::wire::http1::server::{ClientConnection, Settings};

/// How long a client may take for its handshake, where `read_header_timeout` does not say less.
const HANDSHAKE_MS: u64 = 10_000;

pub struct Door {
    config: RefCell<Reader<Arc<ServerConfig>>>,
    /// Handshakes that failed since the last report, and why the last of them did.
    failed: Cell<u64>,
    last: RefCell<String>,
}

impl Door {
    pub fn new(published: &Published<Arc<ServerConfig>>) -> Door {
        Door {
            config: RefCell::new(published.reader()),
            failed: Cell::new(0),
            last: RefCell::default(),
        }
    }

    /// A connection that will be encrypted with the certificates of this moment.
    pub fn secured(&self, stream: Stream) -> Option<Stream> {
        let config = self.config.borrow_mut().get().clone();
        match Tls::server(config) {
            Ok(tls) => Some(stream.secured(tls)),
            Err(error) => {
                self.count(&HandshakeError::Tls(error));
                None
            }
        }
    }

    /// Agrees on keys with the client; false when there is nothing more to do with it.
    pub async fn open(&self, connection: &ClientConnection, settings: &Settings) -> bool {
        let within_ms = match settings.head_ms {
            0 => HANDSHAKE_MS,
            head_ms => head_ms.min(HANDSHAKE_MS),
        };
        match connection.handshake(within_ms).await {
            Ok(()) => true,
            // Who only looks whether somebody listens has done nothing wrong.
            Err(HandshakeError::Closed) => false,
            Err(error) => {
                self.count(&error);
                false
            }
        }
    }

    fn count(&self, error: &HandshakeError) {
        self.failed.set(self.failed.get() + 1);
        self.last.replace(error.to_string());
    }

    /// Tells how many handshakes failed since the last call: one line, whatever clients do.
    pub fn report(&self, log: &Log) {
        if let count @ 1.. = self.failed.take() {
            let last = self.last.take();
            log.warning(format_args!("http: {count} TLS handshakes failed, the last one: {last}"));
        }
    }
}
