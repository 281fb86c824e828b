//! Reads the root object: checks its version, fills in the defaults, hands them down (lura's `Init`).

use super::agent;
use super::backend::cleaned_hosts;
use super::endpoint::{self, OUTPUT_ENCODINGS};
use super::extra::ExtraConfig;
use super::fields::Fields;
use super::problem::Problem;
use super::service::{ClientOptions, ServerOptions, Service};
use super::shape::{self, Shaped};
use super::values::Millis;

const VERSION: i64 = 3;
const PORT: i64 = 8080;
const TIMEOUT: Millis = Millis::from_s(2);
const MAX_IDLE_CONNECTIONS_PER_HOST: i64 = 250;
/// Shorter refresh periods of SRV answers are ignored by the original.
const DNS_CACHE_TTL_MIN: Millis = Millis::from_s(1);

pub fn read(mut fields: Fields<'_>) -> Service {
    check_version(&mut fields);
    let hosts = fields.placed_texts("host");
    let mut service = Service {
        place: fields.place().clone(),
        name: fields.text("name"),
        port: port(&mut fields),
        listen_ip: listen_ip(&mut fields),
        timeout: Some(fields.deadline("timeout"))
            .filter(|timeout| !timeout.is_zero())
            .unwrap_or(TIMEOUT),
        cache_ttl: fields.duration("cache_ttl"),
        output_encoding: fields.choice("output_encoding", OUTPUT_ENCODINGS),
        host: cleaned_hosts(&fields, hosts),
        endpoints: Vec::new(),
        async_agents: Vec::new(),
        extra_config: ExtraConfig::default(),
        disable_rest: fields.boolean("disable_rest"),
        debug_endpoint: fields.boolean("debug_endpoint"),
        echo_endpoint: fields.boolean("echo_endpoint"),
        sequential_start: fields.boolean("sequential_start"),
        dns_cache_ttl: dns_cache_ttl(&mut fields),
        max_shutdown_wait_time: fields.duration("max_shutdown_wait_time"),
        server: server(&mut fields),
        client: client(&mut fields),
        tls: fields.object("tls").map(|tls| Shaped::read(tls, shape::TLS)),
        client_tls: fields.object("client_tls").map(|tls| Shaped::read(tls, shape::CLIENT_TLS)),
        plugin: fields.object("plugin").map(|plugin| shape::read(plugin, shape::PLUGIN).into()),
    };
    service.extra_config = fields.extra_config();
    for agent in fields.objects("async_agent") {
        let (value, problems) = agent::read(agent, service.timeout, &service.host);
        service.async_agents.push(value);
        for problem in problems {
            fields.report(problem);
        }
    }
    service.endpoints =
        fields.objects("endpoints").into_iter().map(|one| endpoint::read(one, &service)).collect();
    fields.finish();
    service
}

fn check_version(fields: &mut Fields<'_>) {
    let is_there = fields.find("version").is_some();
    let version = fields.integer("version");
    if version == Some(VERSION) || is_there && version.is_none() {
        return; // a version that could not be read has been told of
    }
    let what = format!("unsupported version: {} (want: {VERSION})", version.unwrap_or(0));
    let hint = if is_there {
        "the format of this file is of another generation"
    } else {
        "write \"version\": 3 at the root"
    };
    fields.report(Problem::refuse(fields.place_of("version"), what).hint(hint));
}

/// The original starts with any number and fails to listen; 0 stands for such a number.
fn port(fields: &mut Fields<'_>) -> u16 {
    let written = fields.integer("port").filter(|port| *port != 0).unwrap_or(PORT);
    u16::try_from(written).unwrap_or_else(|_| {
        let what = format!("listen tcp: address {written}: invalid port");
        fields.report(
            Problem::lenient(fields.place_of("port"), what)
                .hint("ports are numbers from 1 to 65535"),
        );
        0
    })
}

fn listen_ip(fields: &mut Fields<'_>) -> Option<std::net::IpAddr> {
    let text = fields.text("listen_ip");
    if text.is_empty() {
        return None;
    }
    let address = text.parse::<std::net::IpAddr>().ok();
    if address.is_none() {
        let problem =
            Problem::refuse(fields.place_of("listen_ip"), format!("invalid ip address {text}"));
        fields.report(
            problem.hint("names, ports and zones are not read here: \"127.0.0.1\", \"::1\""),
        );
    }
    address.map(|address| address.to_canonical())
}

fn dns_cache_ttl(fields: &mut Fields<'_>) -> Option<Millis> {
    let ttl = fields.duration("dns_cache_ttl");
    if !ttl.is_zero() && ttl < DNS_CACHE_TTL_MIN {
        let what = format!("{ttl} is below {DNS_CACHE_TTL_MIN}: the default of 30s counts");
        fields.report(Problem::warn(fields.place_of("dns_cache_ttl"), what));
    }
    Some(ttl).filter(|ttl| *ttl >= DNS_CACHE_TTL_MIN)
}

fn server(fields: &mut Fields<'_>) -> ServerOptions {
    ServerOptions {
        read_timeout: fields.duration("read_timeout"),
        write_timeout: fields.duration("write_timeout"),
        idle_timeout: fields.duration("idle_timeout"),
        read_header_timeout: fields.duration("read_header_timeout"),
        max_header_bytes: fields.size("max_header_bytes"),
        use_h2c: fields.boolean("use_h2c"),
    }
}

fn client(fields: &mut Fields<'_>) -> ClientOptions {
    let per_host = fields.integer("max_idle_connections_per_host").filter(|number| *number != 0);
    ClientOptions {
        dialer_timeout: fields.duration("dialer_timeout"),
        dialer_keep_alive: fields.duration("dialer_keep_alive"),
        dialer_fallback_delay: fields.duration("dialer_fallback_delay"),
        disable_keep_alives: fields.boolean("disable_keep_alives"),
        disable_compression: fields.boolean("disable_compression"),
        max_idle_connections: fields.size("max_idle_connections"),
        // Below zero the original keeps none.
        max_idle_connections_per_host: usize::try_from(
            per_host.unwrap_or(MAX_IDLE_CONNECTIONS_PER_HOST),
        )
        .unwrap_or(0),
        idle_connection_timeout: fields.duration("idle_connection_timeout"),
        response_header_timeout: fields.duration("response_header_timeout"),
        expect_continue_timeout: fields.duration("expect_continue_timeout"),
        allow_insecure_connections: fields.boolean("allow_insecure_connections"),
    }
}
