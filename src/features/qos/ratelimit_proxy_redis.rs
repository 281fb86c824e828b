//! `qos/ratelimit/proxy/redis`: how often all nodes together call a backend.

use std::sync::Arc;

use super::common_limits::{Door, key_of, ns};
use super::options::Options;
use super::ratelimit_proxy::{REFUSED, rate_and_capacity};
use crate::config::extra::Block;
use crate::control::redis::rates::Rates;
use crate::plan::feature::{CallSlot, Fallback, Feature, Scope, Site};
use crate::shared::portion::Flow;
use crate::stage::{Call, CallStage, Cause, Failure, Outcome, Step, clock};

pub struct RateLimitProxyRedis;

impl Feature for RateLimitProxyRedis {
    fn namespace(&self) -> &'static str {
        "qos/ratelimit/proxy/redis"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Backend]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(&[
            "capacity",
            "connection_name",
            "connection_pool",
            "every",
            "max_rate",
            "on_failure_allow",
        ])
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let Site::Backend(draft) = site else { return Ok(()) };
        let mut options = Options::of(block)?;
        let door = Door::read(&mut options, &draft.common);
        let rate = rate_and_capacity(&mut options);
        if let (Some(door), Some((rate, capacity))) = (door, rate) {
            let exchange_ns = ns(door.store.timing.interval);
            let make = || {
                let flow = Flow::new(rate, capacity, exchange_ns);
                Arc::new(Rates::of_all(&key_of(&door.store, block), flow, clock::monotonic_ns()))
            };
            let rates = draft.common.kept(block, &exchange_ns.to_string(), make);
            let rates = Arc::<Rates>::clone(&rates);
            door.store.add_rates(rates.clone());
            let build = Box::new(move || {
                let stage = Stage { rates: rates.clone(), door: door.clone() };
                Box::new(stage) as Box<dyn CallStage>
            });
            draft.stages.push((CallSlot::RateLimit, build));
        }
        options.finish()
    }
}

/// The limit at work on one core.
struct Stage {
    rates: Arc<Rates>,
    door: Door,
}

impl CallStage for Stage {
    fn before<'x>(&'x self, _call: &'x mut Call<'_>) -> Result<Step<'x, Outcome>, Failure> {
        if !self.door.is_shut() && self.door.take(&self.rates, b"", clock::monotonic_ns()) {
            return Ok(Step::Next);
        }
        Err(Failure::new(Cause::RateLimited, REFUSED))
    }
}
