//! Questions to the name servers: `/etc/hosts` first, then DNS with the search domains of
//! `/etc/resolv.conf`. Nothing is kept here; the resolver and the service lookups decide how long an
//! answer is good.
//!
//! `SHOAL_DNS_SERVER=10.0.0.2:5353` in the environment replaces the name servers of `/etc/resolv.conf`
//! (and its search domains) by one server, for tests and unusual networks.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig,
    ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::parse_resolv_conf;
use hickory_resolver::{Hosts, TokioResolver};

use crate::shared::names::LookupError;

/// The environment variable that names another server.
pub const SERVER_VARIABLE: &str = "SHOAL_DNS_SERVER";

/// The files may change while the gateway runs; Go's resolver looks as often.
const FILES_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// How long an answer of `/etc/hosts` is good: until its file would be looked at again.
const HOSTS_TTL: Duration = FILES_CHECK_INTERVAL;

/// Whom to ask.
#[derive(Clone, Debug)]
pub struct DnsSettings {
    /// Asked instead of the servers of `resolv_conf`, if any.
    pub server: Option<SocketAddr>,
    pub resolv_conf: PathBuf,
    pub hosts: PathBuf,
    /// Overrides the time that `resolv_conf` gives a server, and how often it is asked again.
    pub timeout: Option<Duration>,
    pub attempts: Option<usize>,
}

/// A client of the name servers.
pub struct Dns {
    settings: DnsSettings,
    current: Mutex<Current>,
}

/// The addresses of a host, in the name server's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub ips: Vec<IpAddr>,
    pub ttl: Duration,
}

/// One server of a service (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    pub priority: u16,
    pub weight: u16,
    pub port: u16,
    /// With the dot at the end that makes it absolute.
    pub target: String,
}

/// What was made of the files, and when they were looked at.
struct Current {
    sources: Arc<Sources>,
    changed: [Option<SystemTime>; 2],
    checked_at: Instant,
}

struct Sources {
    resolver: TokioResolver,
    hosts: Hosts,
}

// === impl DnsSettings ===

impl DnsSettings {
    /// The system's name servers, or the one named in the environment.
    pub fn from_env() -> Result<Self, io::Error> {
        let server = match std::env::var(SERVER_VARIABLE) {
            Ok(text) => Some(text.parse().map_err(|_| bad_server(&text))?),
            Err(_) => None,
        };
        Ok(Self { server, ..Self::default() })
    }
}

impl Default for DnsSettings {
    fn default() -> Self {
        Self {
            server: None,
            resolv_conf: "/etc/resolv.conf".into(),
            hosts: "/etc/hosts".into(),
            timeout: None,
            attempts: None,
        }
    }
}

fn bad_server(text: &str) -> io::Error {
    let message = format!(
        "{SERVER_VARIABLE} is {text:?}, but must be an address and a port like 10.0.0.2:53"
    );
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

// === impl Dns ===

impl Dns {
    pub fn new(settings: DnsSettings) -> io::Result<Self> {
        let changed = [changed_at(&settings.resolv_conf), changed_at(&settings.hosts)];
        let sources = Arc::new(Sources::read(&settings).map_err(io::Error::other)?);
        let current = Current { sources, changed, checked_at: Instant::now() };
        Ok(Self { settings, current: Mutex::new(current) })
    }

    /// The addresses of `host`, at least one. A host with a dot at the end is not searched for in the
    /// search domains.
    pub async fn addresses(&self, host: &str) -> Result<Found, LookupError> {
        let name = parse_name(host)?;
        let sources = self.sources();
        if let Some(found) = sources.in_hosts(&name) {
            return Ok(found);
        }
        let lookup =
            sources.resolver.lookup_ip(name).await.map_err(|error| to_lookup_error(&error))?;
        let ips: Vec<IpAddr> = lookup.iter().collect();
        if ips.is_empty() {
            return Err(LookupError::NoSuchHost);
        }
        Ok(Found { ips, ttl: lookup.valid_until().saturating_duration_since(Instant::now()) })
    }

    /// The servers of a service such as `_http._tcp.example.com`, in the name server's order.
    pub async fn services(&self, service: &str) -> Result<Vec<Srv>, LookupError> {
        let name = parse_name(service)?;
        let resolver = &self.sources().resolver;
        let lookup = resolver
            .lookup(name, RecordType::SRV)
            .await
            .map_err(|error| to_lookup_error(&error))?;
        let records = lookup.answers().iter().filter_map(|record| match &record.data {
            RData::SRV(srv) => Some(Srv {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                target: srv.target.to_ascii(),
            }),
            _ => None,
        });
        Ok(records.collect())
    }

    /// What the files say now. A file that has become unreadable or wrong leaves everything as it was.
    fn sources(&self) -> Arc<Sources> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.checked_at.elapsed() >= FILES_CHECK_INTERVAL {
            current.checked_at = Instant::now();
            let changed =
                [changed_at(&self.settings.resolv_conf), changed_at(&self.settings.hosts)];
            if changed != current.changed
                && let Ok(sources) = Sources::read(&self.settings)
            {
                current.changed = changed;
                current.sources = Arc::new(sources);
            }
        }
        Arc::clone(&current.sources)
    }
}

/// Relaxed: compose files and Active Directory have underscores in host names.
fn parse_name(host: &str) -> Result<Name, LookupError> {
    Name::from_str_relaxed(host).map_err(|_| LookupError::NoSuchHost)
}

fn changed_at(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
}

fn to_lookup_error(error: &NetError) -> LookupError {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(_)) => LookupError::NoSuchHost,
        NetError::Timeout => LookupError::Timeout,
        _ => LookupError::Failed,
    }
}

// === impl Sources ===

impl Sources {
    fn read(settings: &DnsSettings) -> Result<Self, NetError> {
        let (config, mut options) = match settings.server {
            Some(server) => {
                (ResolverConfig::from_name_servers(vec![at(server)]), ResolverOpts::default())
            }
            None => fs::read(&settings.resolv_conf)
                .map_err(NetError::from)
                .and_then(parse_resolv_conf)
                .unwrap_or_else(|_| without_resolv_conf()),
        };
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        // Both are done here: one entry in the hosts file is the whole answer, as in Go's resolver, and
        // answers are kept by those who know for how long.
        options.use_hosts_file = ResolveHosts::Never;
        options.cache_size = 0;
        options.timeout = settings.timeout.unwrap_or(options.timeout);
        options.attempts = settings.attempts.unwrap_or(options.attempts);
        let provider = TokioRuntimeProvider::default();
        let resolver =
            TokioResolver::builder_with_config(config, provider).with_options(options).build()?;

        let mut hosts = Hosts::default();
        if let Ok(file) = fs::File::open(&settings.hosts) {
            hosts.read_hosts_conf(file)?;
        }
        Ok(Self { resolver, hosts })
    }

    fn in_hosts(&self, name: &Name) -> Option<Found> {
        let of_type = |kind| self.hosts.lookup_static_host(&Query::query(name.clone(), kind));
        let both = [of_type(RecordType::A), of_type(RecordType::AAAA)];
        let records = both.iter().flatten().flat_map(Lookup::answers);
        let ips: Vec<IpAddr> = records.filter_map(|record| record.data.ip_addr()).collect();
        (!ips.is_empty()).then_some(Found { ips, ttl: HOSTS_TTL })
    }
}

fn at(server: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = server.port();
        connection
    });
    NameServerConfig::new(server.ip(), true, connections.into())
}

/// Without a usable `resolv.conf` the name server is taken to run on this machine (resolv.conf(5)).
fn without_resolv_conf() -> (ResolverConfig, ResolverOpts) {
    let local = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let servers = local.into_iter().map(NameServerConfig::udp_and_tcp);
    (ResolverConfig::from_name_servers(servers.collect()), ResolverOpts::default())
}

#[cfg(test)]
mod tests;
