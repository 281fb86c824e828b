//! The limits around an endpoint: of each client, then of all clients together.
//!
//! Follows krakend-ratelimit, router/router.go and router/gin (specification, section 2.24).

use std::sync::Arc;

use super::options::{NS_PER_S, Options};
use crate::plan::client_key::ClientKey;
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
pub const TOO_MANY_OF_CLIENT: u16 = 429;
pub const TOO_MANY: u16 = 503;

/// The limits of one block, shared by all cores.
pub struct Limits {
    clients: Option<(ClientKey, ClientBuckets)>,
    all: Option<TokenBucket>,
    tells: bool,
}

impl Limits {
    /// Reads a block. `None`: it limits nothing.
    pub fn read(
        options: &mut Options<'_>,
        params: &[String],
        own: RateLimitOptions,
        now_ns: u64,
    ) -> Option<Limits> {
        let Written { every_ns, rate, capacity, clients } = Written::read(options, params);
        // Only read to be checked: places are given up one by one, never swept.
        options.count("num_shards", u64::MAX);
        options.count("cleanup_threads", u64::MAX);
        options.duration_ns("cleanup_period");

        let all = (rate > 0.0).then(|| TokenBucket::new(Rate::new(rate, capacity), now_ns));
        let clients = clients.map(|one| {
            // The original looks at the rate of all clients here.
            let rate = Rate::new(one.rate, capacity_or(one.capacity, rate, one.rate));
            let idle_ns = if every_ns > IDLE_NS { every_ns / 4 * 5 } else { IDLE_NS };
            (one.key, ClientBuckets::new(rate, own.clients_max(), idle_ns))
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
                let told = || Told::of(buckets.rate().capacity(), buckets.standing(client, now_ns));
                return Some((TOO_MANY_OF_CLIENT, self.tells.then(told)));
            }
        }
        match &self.all {
            Some(bucket) if !bucket.take(now_ns) => {
                let told = || Told::of(bucket.rate().capacity(), bucket.standing(now_ns));
                Some((TOO_MANY, self.tells.then(told)))
            }
            _ => None,
        }
    }

    /// What is nearer to its end.
    fn told(&self, exchange: &Exchange<'_>, now_ns: u64) -> Option<Told> {
        let client = self.clients.as_ref().and_then(|(key, buckets)| {
            Some(Told::of(buckets.rate().capacity(), buckets.standing(key.of(exchange)?, now_ns)))
        });
        let all = self
            .all
            .as_ref()
            .map(|bucket| Told::of(bucket.rate().capacity(), bucket.standing(now_ns)));
        client.into_iter().chain(all).min_by_key(|told| told.remaining)
    }
}

/// What a block says of rates and clients.
pub struct Written {
    pub every_ns: u64,
    /// Of all clients, in tokens a second; 0: not limited.
    pub rate: f64,
    pub capacity: u64,
    pub clients: Option<OfClient>,
}

/// The same of one client.
pub struct OfClient {
    pub key: ClientKey,
    pub rate: f64,
    /// 0: not given.
    pub capacity: u64,
}

impl Written {
    pub fn read(options: &mut Options<'_>, params: &[String]) -> Written {
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
        let key = (client_rate > 0.0).then(|| client_key(options, &strategy, key, params));
        let clients =
            key.flatten().map(|key| OfClient { key, rate: client_rate, capacity: client_capacity });
        Written { every_ns, rate, capacity: capacity_or(capacity, rate, rate), clients }
    }
}

/// As many as the rate per second, at least one, where nothing is given.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "floats saturate")]
pub fn capacity_or(given: u64, least_rate: f64, rate: f64) -> u64 {
    match given {
        0 if least_rate < 1.0 => 1,
        0 => rate as u64,
        given => given,
    }
}

fn client_key(
    options: &mut Options<'_>,
    strategy: &str,
    key: String,
    params: &[String],
) -> Option<ClientKey> {
    match strategy.to_lowercase().as_str() {
        "ip" if key.is_empty() => Some(ClientKey::Address),
        "ip" => Some(ClientKey::AddressIn(key)),
        "header" | "param" if key.is_empty() => {
            options.mistake("strategy", "needs a key", "name the header or the parameter");
            Some(ClientKey::Nothing)
        }
        "header" => Some(ClientKey::Header(key)),
        "param" => {
            let slot = params.iter().position(|name| *name == key);
            if slot.is_none() {
                options.mistake(
                    "key",
                    format_args!("names no parameter of the endpoint: {key:?}"),
                    "it is one of the names in braces of the endpoint's path",
                );
            }
            Some(slot.map_or(ClientKey::Nothing, ClientKey::Param))
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

/// The values of the headers.
pub struct Told {
    limit: u64,
    remaining: u64,
    reset_s: u64,
}

impl Told {
    pub fn of(capacity: u64, standing: Standing) -> Told {
        Told {
            limit: capacity,
            remaining: standing.remaining,
            reset_s: standing.refill_ns.div_ceil(NS_PER_SECOND),
        }
    }

    /// A limit further in has told already.
    pub fn is_on(reply: &Reply) -> bool {
        reply.headers.iter().any(|(name, _)| name == b"RateLimit-Limit")
    }

    /// How many are left.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    pub fn put_on(&self, reply: &mut Reply) {
        let mut push = |name: &[u8], value: u64| {
            reply.headers.push_parsed(name, value.to_string().as_bytes());
        };
        push(b"RateLimit-Limit", self.limit);
        push(b"RateLimit-Remaining", self.remaining);
        push(b"RateLimit-Reset", self.reset_s);
    }
}

/// The answer to who is refused.
pub fn refusal(status: u16, told: Option<Told>) -> Reply {
    let mut reply = Reply::empty(status);
    if let Some(told) = told {
        told.put_on(&mut reply);
        reply.headers.push_parsed(b"Retry-After", told.reset_s.max(1).to_string().as_bytes());
    }
    reply
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
        Ok(Step::Done(refusal(status, told)))
    }

    fn on_reply(&self, exchange: &Exchange<'_>, reply: &mut Reply) {
        if self.0.tells
            && !Told::is_on(reply)
            && let Some(told) = self.0.told(exchange, clock::monotonic_ns())
        {
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
}
