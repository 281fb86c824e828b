//! `Service`: the configuration file as the user wrote it, typed and normalised (specification, sections 1.1 to 1.5).

use super::extra::ExtraConfig;
use super::host::Host;
use super::problem::Place;
use super::shape::Shaped;
use super::values::Millis;

/// The root object. Everything that is inherited (host, timeout, `cache_ttl`, encodings, methods) has been filled in.
#[derive(Clone, Debug)]
pub struct Service {
    pub place: Place,
    pub name: String,
    pub port: u16,
    /// Empty: every address, IPv4 and IPv6.
    pub listen_ip: Option<std::net::IpAddr>,
    pub timeout: Millis,
    pub cache_ttl: Millis,
    pub output_encoding: String,
    pub host: Vec<Host>,
    pub endpoints: Vec<Endpoint>,
    /// Event-driven agents, undecoded: a feature that is not built yet.
    pub async_agents: Vec<serde_json::Value>,
    pub extra_config: ExtraConfig,
    pub disable_rest: bool,
    pub debug_endpoint: bool,
    pub echo_endpoint: bool,
    pub sequential_start: bool,
    /// Refresh period of SRV answers; `None` keeps the default of 30 s (values below 1 s are ignored).
    pub dns_cache_ttl: Option<Millis>,
    /// Bound on draining; zero is unbounded in the original.
    pub max_shutdown_wait_time: Millis,
    pub server: ServerOptions,
    pub client: ClientOptions,
    pub tls: Option<Shaped>,
    pub client_tls: Option<Shaped>,
    /// Undecoded: a feature that is not built.
    pub plugin: Option<serde_json::Value>,
}

/// Listener timeouts and limits; zero means none.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    pub read_timeout: Millis,
    pub write_timeout: Millis,
    pub idle_timeout: Millis,
    pub read_header_timeout: Millis,
    /// 0: 1 MiB.
    pub max_header_bytes: usize,
    pub use_h2c: bool,
}

/// The transport towards backends; zero means none or unlimited.
#[derive(Clone, Debug, Default)]
pub struct ClientOptions {
    pub dialer_timeout: Millis,
    pub dialer_keep_alive: Millis,
    pub dialer_fallback_delay: Millis,
    pub disable_keep_alives: bool,
    pub disable_compression: bool,
    pub max_idle_connections: usize,
    /// 0 in the file means 250.
    pub max_idle_connections_per_host: usize,
    pub idle_connection_timeout: Millis,
    pub response_header_timeout: Millis,
    pub expect_continue_timeout: Millis,
    pub allow_insecure_connections: bool,
}

#[derive(Clone, Debug)]
pub struct Endpoint {
    pub place: Place,
    /// As written, with the leading slash forced: `/users/{id}`.
    pub endpoint: String,
    /// The router's form: `/users/:id`.
    pub route: String,
    /// Names of the path parameters, in order, as written (`id`).
    pub params: Vec<String>,
    /// Upper case; `GET` unless told.
    pub method: String,
    pub timeout: Millis,
    pub cache_ttl: Millis,
    pub output_encoding: String,
    pub concurrent_calls: u32,
    pub input_headers: Vec<String>,
    pub input_query_strings: Vec<String>,
    pub backend: Vec<Backend>,
    pub extra_config: ExtraConfig,
}

#[derive(Clone, Debug)]
pub struct Backend {
    pub place: Place,
    /// Inherited from the service when the backend names none; cleaned unless `disable_host_sanitize`.
    pub host: Vec<Host>,
    pub disable_host_sanitize: bool,
    /// As written, with the leading slash forced: `/v1/{id}?static=1`.
    pub url_pattern: String,
    pub method: String,
    pub encoding: String,
    pub is_collection: bool,
    pub target: String,
    pub allow: Vec<String>,
    pub deny: Vec<String>,
    /// In the order of the file.
    pub mapping: Vec<(String, String)>,
    pub group: String,
    /// `static` (default), `dns`, or anything else (treated as static).
    pub sd: String,
    pub sd_scheme: String,
    pub input_headers: Vec<String>,
    pub input_query_strings: Vec<String>,
    pub extra_config: ExtraConfig,
}
