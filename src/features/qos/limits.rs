//! The limits around an endpoint: of each client, then of all clients together.
//!
//! Follows krakend-ratelimit, router/router.go and router/gin (specification, section 2.24).

use std::net::IpAddr;
use std::sync::Arc;

use super::options::{NS_PER_S, Options};
use crate::plan::limits::RateLimitOptions;
use crate::shared::client_buckets::ClientBuckets;
use crate::shared::tally::{CAPACITY_MAX, Rate, Standing, TokenBucket};
use crate::stage::{EndpointStage, Exchange, Failure, Step, clock};
use crate::wire::Reply;

pub const MEMBERS: &[&str] = &[
    "capacity",
    "cleanup_period",
    "cleanup_threads",
    "client_capacity",
    "client_max_rate",
    "every",
    "key",
    "max_rate",
    "num_shards",
    "strategy",
];

const NS_PER_SECOND: u64 = 1_000_000_000;
/// A client that was not seen for so long begins anew; longer where `every` is.
const IDLE_NS: u64 = 600 * NS_PER_SECOND;
const TOO_MANY_OF_CLIENT: u16 = 429;
const TOO_MANY: u16 = 503;

/// The limits of one block, shared by all cores.
pub struct Limits {
    clients: Option<(Key, ClientBuckets)>,
    all: Option<TokenBucket>,
    tells: bool,
}

/// What tells one client from another.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    Address,
    /// The first address of this header, else that of the client.
    AddressIn(String),
    Header(String),
    Param(usize),
    /// No request has it.
    Nothing,
}

impl Limits {
    /// Reads a block. `None`: it limits nothing.
    pub fn read(
        options: &mut Options<'_>,
        params: &[String],
        own: RateLimitOptions,
        now_ns: u64,
    ) -> Option<Limits> {
        let every_ns = match options.duration_ns("every") {
            None => NS_PER_SECOND,
            Some(parsed) => {
                let ns = parsed.and_then(|ns| u64::try_from(ns).ok()).unwrap_or(0);
                if parsed.is_some() && ns < NS_PER_SECOND {
                    options.mistake("every", "is less than a second", "at least \"1s\"");
                }
                ns.max(NS_PER_SECOND)
            }
        };
        let factor = NS_PER_S / every_ns as f64;
        let rate = options.number("max_rate") * factor;
        let client_rate = options.number("client_max_rate") * factor;
        let capacity = options.count("capacity", CAPACITY_MAX);
        let client_capacity = options.count("client_capacity", CAPACITY_MAX);
        let strategy = options.text("strategy");
        let key = options.text("key");
        // Only read to be checked: places are given up one by one, never swept.
        options.count("num_shards", u64::MAX);
        options.count("cleanup_threads", u64::MAX);
        options.duration_ns("cleanup_period");

        let all = (rate > 0.0)
            .then(|| TokenBucket::new(Rate::new(rate, capacity_or(capacity, rate, rate)), now_ns));
        let key = (client_rate > 0.0).then(|| Key::read(options, &strategy, key, params));
        let clients = key.flatten().map(|key| {
            // The original looks at the rate of all clients here.
            let rate = Rate::new(client_rate, capacity_or(client_capacity, rate, client_rate));
            let idle_ns = if every_ns > IDLE_NS { every_ns / 4 * 5 } else { IDLE_NS };
            (key, ClientBuckets::new(rate, own.clients_max(), idle_ns))
        });
        let tells = own.headers.unwrap_or(false);
        (all.is_some() || clients.is_some()).then_some(Limits { clients, all, tells })
    }

    /// One core's stage.
    pub fn stage(self: Arc<Self>) -> Box<dyn EndpointStage> {
        Box::new(Stage(self))
    }

    /// The status of the refusal, and where the one who is refused stands.
    fn refusal(&self, exchange: &Exchange<'_>, now_ns: u64) -> Option<(u16, Option<Told>)> {
        if let Some((key, buckets)) = &self.clients {
            let Some(client) = key.of(exchange) else { return Some((TOO_MANY_OF_CLIENT, None)) };
            if !buckets.take(client, now_ns) {
                let told = || Told::of(buckets.rate(), buckets.standing(client, now_ns));
                return Some((TOO_MANY_OF_CLIENT, self.tells.then(told)));
            }
        }
        match &self.all {
            Some(bucket) if !bucket.take(now_ns) => {
                let told = || Told::of(bucket.rate(), bucket.standing(now_ns));
                Some((TOO_MANY, self.tells.then(told)))
            }
            _ => None,
        }
    }

    /// What is nearer to its end.
    fn told(&self, exchange: &Exchange<'_>, now_ns: u64) -> Option<Told> {
        let client = self.clients.as_ref().and_then(|(key, buckets)| {
            Some(Told::of(buckets.rate(), buckets.standing(key.of(exchange)?, now_ns)))
        });
        let all = self.all.as_ref().map(|bucket| Told::of(bucket.rate(), bucket.standing(now_ns)));
        client.into_iter().chain(all).min_by_key(|told| told.remaining)
    }
}

/// As many as the rate per second, at least one, where nothing is given.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "floats saturate")]
fn capacity_or(given: u64, least_rate: f64, rate: f64) -> u64 {
    match given {
        0 if least_rate < 1.0 => 1,
        0 => rate as u64,
        given => given,
    }
}

impl Key {
    fn read(
        options: &mut Options<'_>,
        strategy: &str,
        key: String,
        params: &[String],
    ) -> Option<Key> {
        match strategy.to_lowercase().as_str() {
            "ip" if key.is_empty() => Some(Key::Address),
            "ip" => Some(Key::AddressIn(key)),
            "header" | "param" if key.is_empty() => {
                options.mistake("strategy", "needs a key", "name the header or the parameter");
                Some(Key::Nothing)
            }
            "header" => Some(Key::Header(key)),
            "param" => {
                let slot = params.iter().position(|name| *name == key);
                if slot.is_none() {
                    options.mistake(
                        "key",
                        format_args!("names no parameter of the endpoint: {key:?}"),
                        "it is one of the names in braces of the endpoint's path",
                    );
                }
                Some(slot.map_or(Key::Nothing, Key::Param))
            }
            _ => {
                options.mistake(
                    "strategy",
                    "must say how clients are told apart",
                    "\"ip\", \"header\" or \"param\"",
                );
                None
            }
        }
    }

    /// The bytes that name this client; `None` where the request has none.
    fn of<'x>(&self, exchange: &'x Exchange<'_>) -> Option<&'x [u8]> {
        let client = || exchange.client_text().as_bytes();
        let found = match self {
            Key::Address => client(),
            Key::AddressIn(name) => exchange
                .head
                .header(name)
                .and_then(first_address)
                .map_or_else(client, str::as_bytes),
            Key::Header(name) => exchange.header(name)?,
            Key::Param(slot) => exchange.param(*slot)?,
            Key::Nothing => return None,
        };
        (!found.is_empty()).then_some(found)
    }
}

/// The first entry of a list up to its first colon, if that is an address: so ports are cut off, and IPv6 is never found.
fn first_address(value: &[u8]) -> Option<&str> {
    let first = value.split(|byte| *byte == b',').next()?.trim_ascii();
    let first = std::str::from_utf8(first.split(|byte| *byte == b':').next()?).ok()?;
    first.parse::<IpAddr>().ok().map(|_| first)
}

/// The values of the headers.
struct Told {
    limit: u64,
    remaining: u64,
    reset_s: u64,
}

impl Told {
    fn of(rate: Rate, standing: Standing) -> Told {
        Told {
            limit: rate.capacity(),
            remaining: standing.remaining,
            reset_s: standing.refill_ns.div_ceil(NS_PER_SECOND),
        }
    }

    fn put_on(&self, reply: &mut Reply) {
        let mut push = |name: &[u8], value: u64| {
            reply.headers.push_parsed(name, value.to_string().as_bytes());
        };
        push(b"RateLimit-Limit", self.limit);
        push(b"RateLimit-Remaining", self.remaining);
        push(b"RateLimit-Reset", self.reset_s);
    }
}

/// The limits at work on one core.
struct Stage(Arc<Limits>);

impl EndpointStage for Stage {
    fn on_request<'x>(
        &'x self,
        exchange: &'x mut Exchange<'_>,
    ) -> Result<Step<'x, Reply>, Failure> {
        let Some((status, told)) = self.0.refusal(exchange, clock::monotonic_ns()) else {
            return Ok(Step::Next);
        };
        let mut reply = Reply::empty(status);
        if let Some(told) = told {
            told.put_on(&mut reply);
            reply.headers.push_parsed(b"Retry-After", told.reset_s.max(1).to_string().as_bytes());
        }
        Ok(Step::Done(reply))
    }

    fn on_reply(&self, exchange: &Exchange<'_>, reply: &mut Reply) {
        if !self.0.tells || reply.headers.iter().any(|(name, _)| name == b"RateLimit-Limit") {
            return;
        }
        if let Some(told) = self.0.told(exchange, clock::monotonic_ns()) {
            told.put_on(reply);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_capacity_is_the_scaled_rate() {
        assert_eq!(capacity_or(0, 0.5, 0.5), 1);
        assert_eq!(capacity_or(0, 2.7, 2.7), 2);
        assert_eq!(capacity_or(7, 2.7, 2.7), 7);
        // A client's capacity depends on the rate of all clients, as in the original.
        assert_eq!(capacity_or(0, 0.0, 9.0), 1);
        assert_eq!(capacity_or(0, 5.0, 9.0), 9);
        assert_eq!(capacity_or(0, 5.0, 0.5), 0);
    }

    #[test]
    fn addresses_are_cut_at_the_first_colon() {
        assert_eq!(first_address(b"198.51.100.2:99, 10.0.0.1"), Some("198.51.100.2"));
        assert_eq!(first_address(b" 198.51.100.2 "), Some("198.51.100.2"));
        for none in [&b""[..], b"nobody", b"2001:db8::9", b"[2001:db8::9]", b"010.1.1.1", b"\xff"] {
            assert_eq!(first_address(none), None, "{none:?}");
        }
    }
}
