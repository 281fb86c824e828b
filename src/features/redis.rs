//! `redis`: the servers in which limits and quotas of several nodes are kept together.
//!
//! The original's free edition ignores this block; its options are those of the Enterprise edition.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::config::extra::Block;
use crate::config::problem::Problem;
use crate::config::values::parse_duration;
use crate::control::http_client::{TlsTrust, client_config};
use crate::control::redis::{Exchange, RedisSettings, Store, Stores};
use crate::plan::feature::{Fallback, Feature, Scope, ServiceDraft, Site};
use crate::shared::link::Link;
use crate::stage::clock;

pub struct Redis;

const PORT_DEFAULT: u16 = 6379;
/// The longest time that makes sense for a connection.
const TIME_MAX: Duration = Duration::from_mins(1);

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Pool {
    name: String,
    address: String,
    user_name: String,
    password: String,
    db: i64,
    client_name: String,
    dial_timeout: String,
    min_retry_backoff: String,
    max_retry_backoff: String,
    tls: Option<Tls>,
}

/// The part of the original's client TLS that is read here.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Tls {
    allow_insecure_connections: bool,
    ca_certs: Vec<String>,
    client_certs: Vec<ClientCertificate>,
}

#[derive(Debug, Deserialize)]
struct ClientCertificate {
    certificate: String,
    private_key: String,
}

/// What the original's pool of connections has and one connection for all does not need: only looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pooling {
    conn_max_idle_time: String,
    conn_max_life_time: String,
    max_active_conns: i64,
    max_idle_conns: i64,
    max_retries: i64,
    min_idle_conns: i64,
    opentelemetry: Value,
    pool_size: i64,
    pool_timeout: String,
}

const WITHOUT_EFFECT: &[&str] = &[
    "conn_max_idle_time",
    "conn_max_life_time",
    "max_active_conns",
    "max_idle_conns",
    "max_retries",
    "min_idle_conns",
    "opentelemetry",
    "pool_size",
    "pool_timeout",
];

const MEMBERS: &[&str] = &[
    "address",
    "client_name",
    "db",
    "dial_timeout",
    "max_retry_backoff",
    "min_retry_backoff",
    "name",
    "password",
    "tls",
    "user_name",
];

impl Default for Pool {
    fn default() -> Pool {
        Pool {
            name: String::new(),
            address: String::new(),
            user_name: String::new(),
            password: String::new(),
            db: 0,
            client_name: String::new(),
            dial_timeout: "5s".to_owned(),
            min_retry_backoff: "8ms".to_owned(),
            max_retry_backoff: "512ms".to_owned(),
            tls: None,
        }
    }
}

impl Feature for Redis {
    fn namespace(&self) -> &'static str {
        "redis"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Service]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(&["clusters", "connection_pools"])
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let Site::Service(draft) = site else { return Ok(()) };
        if draft.is_lenient {
            draft.common.get::<Stores>().switch_off();
            let what = "redis: no limit is shared in a lenient start, as in the original";
            return Err(Fallback::Skip(Problem::warn(block.place.clone(), what)));
        }
        if !block.value.get("clusters").is_none_or(|clusters| clusters == &Value::Array(vec![])) {
            return Err(wrong(block, "/clusters", "clusters are not built yet")
                .with("name one server in connection_pools"));
        }
        let pools = match block.value.get("connection_pools") {
            Some(Value::Array(pools)) => pools.as_slice(),
            None if block.value.is_object() => &[],
            _ => {
                return Err(wrong(block, "/connection_pools", "connection_pools must be a list")
                    .with("of objects with a name and an address"));
            }
        };
        let mut warning = None;
        for (index, pool) in pools.iter().enumerate() {
            let at = format!("/connection_pools/{index}");
            let settings = settings(block, &at, pool)?;
            warning = warning.or_else(|| odd_member(block, &at, pool));
            add(draft, block, &at, settings)?;
        }
        warning.map_or(Ok(()), |problem| Err(Fallback::Skip(problem)))
    }
}

/// A problem that waits for its hint.
struct Wrong(Problem);

fn wrong(block: &Block, at: &str, what: impl Into<String>) -> Wrong {
    Wrong(Problem::lenient(block.place_at(at), what))
}

impl Wrong {
    fn with(self, hint: impl Into<String>) -> Fallback {
        Fallback::Skip(self.0.hint(hint))
    }
}

fn settings(block: &Block, at: &str, written: &Value) -> Result<RedisSettings, Fallback> {
    let unread = |error: serde_json::Error| {
        wrong(block, at, error.to_string()).with("see docs/configuration.md")
    };
    let pool: Pool = serde_json::from_value(written.clone()).map_err(unread)?;
    serde_json::from_value::<Pooling>(written.clone()).map_err(unread)?;
    if pool.name.is_empty() {
        return Err(wrong(block, at, "a connection needs a name").with("limits refer to it"));
    }
    let Some((host, port)) = host_and_port(&pool.address) else {
        let what = format!("{:?} is no address of a Redis server", pool.address);
        return Err(wrong(block, &format!("{at}/address"), what)
            .with("write it like \"redis.internal:6379\""));
    };
    let time = |member: &str, text: &str| {
        let ns = parse_duration(text).ok().and_then(|ns| u64::try_from(ns).ok());
        let time = ns.map(Duration::from_nanos).filter(|time| !time.is_zero() && *time <= TIME_MAX);
        time.ok_or_else(|| {
            let what = format!("{text:?} is no time above zero and up to a minute");
            wrong(block, &format!("{at}/{member}"), what).with("write it like \"500ms\" or \"5s\"")
        })
    };
    let given = |text: String| (!text.is_empty()).then_some(text);
    let backoff_first = time("min_retry_backoff", &pool.min_retry_backoff)?;
    Ok(RedisSettings {
        host,
        port,
        database: pool.db,
        dial_timeout: time("dial_timeout", &pool.dial_timeout)?,
        backoff_first,
        backoff_last: time("max_retry_backoff", &pool.max_retry_backoff)?.max(backoff_first),
        tls: pool.tls.map(|tls| trust(block, at, &tls)).transpose()?,
        name: pool.name,
        username: given(pool.user_name),
        password: given(pool.password),
        client_name: given(pool.client_name),
    })
}

/// Reads the files, so that what cannot be used is told at the start.
fn trust(block: &Block, at: &str, tls: &Tls) -> Result<TlsTrust, Fallback> {
    let read = |at: String, file: &String| {
        std::fs::read(file).map_err(|error| {
            wrong(block, &at, format!("{file}: {error}")).with("name a file in PEM")
        })
    };
    let mut authorities = Vec::new();
    for (index, file) in tls.ca_certs.iter().enumerate() {
        authorities.extend(read(format!("{at}/tls/ca_certs/{index}"), file)?);
        authorities.push(b'\n');
    }
    let identity_pem = match tls.client_certs.as_slice() {
        [] => None,
        [own] => {
            let at = |member: &str| format!("{at}/tls/client_certs/0/{member}");
            let certificate = read(at("certificate"), &own.certificate)?;
            Some((certificate, read(at("private_key"), &own.private_key)?))
        }
        _ => {
            let at = format!("{at}/tls/client_certs");
            return Err(wrong(block, &at, "there are several certificates").with("name one"));
        }
    };
    let trust = TlsTrust {
        any_certificate: tls.allow_insecure_connections,
        authorities_pem: (!authorities.is_empty()).then_some(authorities),
        identity_pem,
        ..TlsTrust::default()
    };
    match client_config(&trust) {
        Ok(_) => Ok(trust),
        Err(error) => Err(wrong(block, &format!("{at}/tls"), error.to_string())
            .with("the files must hold certificates, and a key that fits")),
    }
}

/// A member that does nothing, or that nobody knows.
fn odd_member(block: &Block, at: &str, pool: &Value) -> Option<Problem> {
    let odd = pool.as_object()?.keys().find(|key| !MEMBERS.contains(&key.as_str()))?;
    let what = match WITHOUT_EFFECT.contains(&odd.as_str()) {
        true => return None,
        false if odd.starts_with(['@', '$', '_', '#']) => return None,
        false => format!("{odd} is no option of a connection"),
    };
    Some(Problem::warn(block.place_at(&format!("{at}/{odd}")), what))
}

fn add(
    draft: &mut ServiceDraft,
    block: &Block,
    at: &str,
    settings: RedisSettings,
) -> Result<(), Fallback> {
    let stores = draft.common.get::<Stores>();
    // Over reloads: a server that was away is away.
    let make = Link::default;
    let link = draft.common.kept_as(format!("redis link {}", settings.name), make);
    let store = Arc::new(Store::new(&draft.name, stores.timing(), Link::clone(&link)));
    if !stores.add(&settings.name, store.clone()) {
        let what = format!("there are two connections with the name {:?}", settings.name);
        return Err(wrong(block, &format!("{at}/name"), what).with("give each a name of its own"));
    }
    draft.common.leave_task(Box::new(Exchange::new(settings, store, clock::monotonic_ns)));
    Ok(())
}

/// `host:port`, `[::1]:port`, or a host alone.
fn host_and_port(address: &str) -> Option<(String, u16)> {
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.starts_with('[') => {
            (host, port.parse().ok().filter(|port| *port > 0)?)
        }
        _ => (address, PORT_DEFAULT),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_fine = |letter: char| letter.is_ascii_alphanumeric() || ".-_:".contains(letter);
    (!host.is_empty() && host.chars().all(is_fine)).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::features;
    use crate::plan;

    fn compiled(block: &str, is_lenient: bool) -> Result<plan::Plan, String> {
        let text = format!(r#"{{"version": 3, "extra_config": {{"redis": {block}}}}}"#);
        let loaded = config::parse("krakend.json", text.as_bytes(), &[]).expect("right");
        match plan::compile(&loaded.service, features::ALL, is_lenient) {
            Ok(compiled) => Ok(compiled.plan),
            Err(problems) => Err(problems[0].to_string()),
        }
    }

    #[test]
    fn addresses_have_a_port_or_that_of_redis() {
        let found = |text: &str| host_and_port(text);
        assert_eq!(found("redis.internal:6380"), Some(("redis.internal".to_owned(), 6380)));
        assert_eq!(found("10.0.0.1"), Some(("10.0.0.1".to_owned(), 6379)));
        assert_eq!(found("[::1]:7"), Some(("::1".to_owned(), 7)));
        for none in ["", ":6379", "redis:", "redis:x", "redis:70000", "redis://a:1", "a b:1"] {
            assert_eq!(found(none), None, "{none}");
        }
    }

    #[test]
    fn every_connection_is_a_task_of_its_own() {
        let block = r#"{"connection_pools": [
            {"name": "a", "address": "h:1", "pool_size": 10, "db": 2, "user_name": "u", "password": "p",
             "tls": {"allow_insecure_connections": true}},
            {"name": "b", "address": "h"}]}"#;
        let plan = compiled(block, false).expect("right");
        let tasks = plan.common.take_tasks();
        let names: Vec<_> = tasks.iter().map(|task| task.name().to_owned()).collect();
        assert_eq!(names, ["redis a", "redis b"]);
        let stores = plan.common.get::<Stores>();
        assert!(stores.find("a").is_ok() && stores.find("c").is_err());
        let lenient = compiled(block, true).expect("right");
        assert!(lenient.common.take_tasks().is_empty(), "as in the original");
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (block, place) in [
            (r#"{"connection_pools": {}}"#, "connection_pools"),
            (r#"{"connection_pools": [7]}"#, "connection_pools[0]"),
            (r#"{"connection_pools": [{"address": "h:1"}]}"#, "connection_pools[0]"),
            (r#"{"connection_pools": [{"name": "a"}]}"#, "connection_pools[0]"),
            (
                r#"{"connection_pools": [{"name": "a", "address": "h", "pool_size": "ten"}]}"#,
                "connection_pools[0]",
            ),
            (r#"{"connection_pools": [{"name": "a", "address": "h:x"}]}"#, "[0].address"),
            (
                r#"{"connection_pools": [{"name": "a", "address": "h", "dial_timeout": "5"}]}"#,
                "[0].dial_timeout",
            ),
            (
                r#"{"connection_pools": [{"name": "a", "address": "h", "tls": {"ca_certs": ["/none"]}}]}"#,
                "ca_certs[0]",
            ),
            (
                r#"{"connection_pools": [{"name": "a", "address": "h"}, {"name": "a", "address": "h"}]}"#,
                "[1].name",
            ),
            (r#"{"clusters": [{"name": "a", "addresses": ["h:1"]}]}"#, "clusters"),
        ] {
            let told = compiled(block, false).err().unwrap_or_else(|| panic!("{block} is right"));
            assert!(told.contains(place) && told.contains("hint"), "{block}: {told}");
        }
    }
}
