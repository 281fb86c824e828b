//! Limits that hold over all nodes: the same as [`super::limits`], with buckets that are kept in Redis.
//!
//! Cores judge by what is known here, and never wait; `control/redis.rs` keeps that true.

use std::sync::Arc;
use std::time::Duration;

use super::limits::{TOO_MANY, TOO_MANY_OF_CLIENT, Told, Written, capacity_or, refusal};
use super::options::Options;
use crate::config::extra::Block;
use crate::control::redis::rates::Rates;
use crate::control::redis::{Store, Stores};
use crate::plan::client_key::ClientKey;
use crate::plan::common::Common;
use crate::plan::limits::RateLimitOptions;
use crate::shared::portion::{Flow, Portion};
use crate::stage::{EndpointStage, Exchange, Failure, Step, clock};
use crate::wire::Reply;

pub const MEMBERS: &[&str] = &[
    "capacity",
    "client_capacity",
    "client_max_rate",
    "connection_name",
    "connection_pool",
    "every",
    "key",
    "max_rate",
    "on_failure_allow",
    "strategy",
];

/// The limits of one block.
#[derive(Clone)]
pub struct CommonLimits {
    clients: Option<(ClientKey, Arc<Rates>)>,
    all: Option<Arc<Rates>>,
    door: Door,
    tells: bool,
}

/// The connection of a limit, and what is done without.
#[derive(Clone)]
pub struct Door {
    pub store: Arc<Store>,
    allows_on_failure: bool,
}

/// Which buckets lie behind a block; they outlive a plan.
#[derive(Clone)]
struct Buckets {
    clients: Option<(ClientKey, Arc<Rates>)>,
    all: Option<Arc<Rates>>,
}

impl Door {
    /// `None`: there is no such connection, or limits are not shared at all.
    pub fn read(options: &mut Options<'_>, common: &Common) -> Option<Door> {
        let allows_on_failure = options.flag("on_failure_allow");
        let former = options.text("connection_pool");
        let name = options.text("connection_name");
        let (member, name) = match name.is_empty() {
            true => ("connection_pool", former),
            false => ("connection_name", name),
        };
        let stores = common.get::<Stores>();
        if stores.is_off() {
            return None;
        }
        if name.is_empty() {
            let hint = "it names one of the connection_pools of redis at the service";
            options.mistake("connection_name", "is missing", hint);
            return None;
        }
        match stores.find(&name) {
            Ok(store) => Some(Door { store, allows_on_failure }),
            Err(known) => {
                let hint = match known.is_empty() {
                    true => {
                        "there is no redis block with connection_pools at the service".to_owned()
                    }
                    false => format!("known are: {}", known.join(", ")),
                };
                options.mistake(member, format_args!("names no connection: {name:?}"), &hint);
                None
            }
        }
    }

    /// The server is away, and then nothing is let through.
    pub fn is_shut(&self) -> bool {
        self.store.link.is_lost() && !self.allows_on_failure
    }

    /// Takes one token of a client's bucket. A client whose set is being visited just now passes uncounted.
    pub fn take(&self, rates: &Rates, client: &[u8], now_ns: u64) -> bool {
        let (flow, is_alone) = (rates.flow(), self.store.link.is_lost());
        let take = |portion: &Portion| portion.take(flow, is_alone, now_ns);
        rates.table.count(client, now_ns, take).unwrap_or(true)
    }
}

impl CommonLimits {
    /// Reads a block. `None`: it limits nothing.
    pub fn read(
        options: &mut Options<'_>,
        block: &Block,
        common: &Common,
        params: &[String],
        own: RateLimitOptions,
    ) -> Option<CommonLimits> {
        let door = Door::read(options, common);
        let Written { rate, capacity, clients, .. } = Written::read(options, params);
        let door = door?;
        let exchange_ns = ns(door.store.timing.interval);
        let key = key_of(&door.store, block);
        let make = || Buckets {
            clients: clients.map(|one| {
                let capacity = capacity_or(one.capacity, one.rate, one.rate);
                let flow = Flow::new(one.rate, capacity, exchange_ns);
                (one.key, Arc::new(Rates::of_clients(&key, flow, own.clients_max())))
            }),
            all: (rate > 0.0).then(|| {
                let flow = Flow::new(rate, capacity, exchange_ns);
                Arc::new(Rates::of_all(&key, flow, clock::monotonic_ns()))
            }),
        };
        let beside = format!("{own:?} {exchange_ns}");
        let Buckets { clients, all } = Buckets::clone(&common.kept(block, &beside, make));
        if clients.is_none() && all.is_none() {
            return None;
        }
        let rates = clients.iter().map(|(_, rates)| rates).chain(&all);
        rates.for_each(|rates| door.store.add_rates(rates.clone()));
        Some(CommonLimits { clients, all, door, tells: own.headers.unwrap_or(false) })
    }

    /// One core's stage.
    pub fn stage(&self) -> Box<dyn EndpointStage> {
        Box::new(Stage(self.clone()))
    }

    /// The status of the refusal, and where the one who is refused stands.
    fn refusal(&self, exchange: &Exchange<'_>, now_ns: u64) -> Option<(u16, Option<Told>)> {
        if self.door.is_shut() {
            let status = if self.clients.is_some() { TOO_MANY_OF_CLIENT } else { TOO_MANY };
            return Some((status, None));
        }
        if let Some((key, rates)) = &self.clients {
            let Some(client) = key.of(exchange) else { return Some((TOO_MANY_OF_CLIENT, None)) };
            if !self.door.take(rates, client, now_ns) {
                let told = self.tells.then(|| told(rates, client, now_ns));
                return Some((TOO_MANY_OF_CLIENT, told));
            }
        }
        match &self.all {
            Some(rates) if !self.door.take(rates, b"", now_ns) => {
                Some((TOO_MANY, self.tells.then(|| told(rates, b"", now_ns))))
            }
            _ => None,
        }
    }

    /// What is nearer to its end.
    fn told(&self, exchange: &Exchange<'_>, now_ns: u64) -> Option<Told> {
        let client = self
            .clients
            .as_ref()
            .and_then(|(key, rates)| Some(told(rates, key.of(exchange)?, now_ns)));
        let all = self.all.as_ref().map(|rates| told(rates, b"", now_ns));
        client.into_iter().chain(all).min_by_key(Told::remaining)
    }
}

/// Where a client stands, as far as is known here.
fn told(rates: &Rates, client: &[u8], now_ns: u64) -> Told {
    let flow = rates.flow();
    let standing = rates.table.look(client, |portion| portion.standing(flow, now_ns));
    // Nobody has asked for it yet: it is full.
    Told::of(
        flow.capacity(),
        standing.unwrap_or_else(|| Portion::default().standing(flow, u64::MAX)),
    )
}

/// What the buckets of a block are called in Redis: the same on every node with this configuration.
pub fn key_of(store: &Store, block: &Block) -> String {
    format!("{}:rate:{}", store.prefix, Common::name_of(&block.place))
}

pub fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The limits at work on one core.
struct Stage(CommonLimits);

impl EndpointStage for Stage {
    fn on_request<'x>(
        &'x self,
        exchange: &'x mut Exchange<'_>,
    ) -> Result<Step<'x, Reply>, Failure> {
        match self.0.refusal(exchange, clock::monotonic_ns()) {
            None => Ok(Step::Next),
            Some((status, told)) => Ok(Step::Done(refusal(status, told))),
        }
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
