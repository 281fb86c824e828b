//! `RedisSettings` and `Timing`: which server, and how often and how long it is asked.

use std::time::Duration;

use crate::control::http_client::TlsTrust;

/// A server, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSettings {
    /// What limits call it.
    pub name: String,
    pub host: String,
    pub port: u16,
    pub database: i64,
    pub username: Option<String>,
    pub password: Option<String>,
    /// What the server's list of clients shows.
    pub client_name: Option<String>,
    pub dial_timeout: Duration,
    /// Pauses before a server that failed is tried again: the first, doubled each time up to the last.
    pub backoff_first: Duration,
    pub backoff_last: Duration,
    /// `None`: plain TCP.
    pub tls: Option<TlsTrust>,
}

/// How the common counts are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between the beginnings of two exchanges.
    pub interval: Duration,
    /// Of one exchange.
    pub timeout: Duration,
    /// How long after the last exchange what is known counts as true.
    pub grace: Duration,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            interval: Duration::from_millis(100),
            timeout: Duration::from_millis(500),
            grace: Duration::from_secs(1),
        }
    }
}
