//! `qos/ratelimit/router/redis`: how much of an endpoint all nodes together let through.
//!
//! The original's free edition ignores this block; its options are those of the Enterprise edition.

use super::common_limits::{CommonLimits, MEMBERS};
use super::options::Options;
use crate::config::extra::Block;
use crate::plan::feature::{EndpointSlot, Fallback, Feature, Scope, Site};

pub struct RateLimitRouterRedis;

impl Feature for RateLimitRouterRedis {
    fn namespace(&self) -> &'static str {
        "qos/ratelimit/router/redis"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Endpoint]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(MEMBERS)
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let Site::Endpoint(draft) = site else { return Ok(()) };
        let mut options = Options::of(block)?;
        let (params, own) = (&draft.param_names, draft.rate_limits);
        if let Some(limits) = CommonLimits::read(&mut options, block, &draft.common, params, own) {
            draft.stages.push((EndpointSlot::RateLimit, Box::new(move || limits.stage())));
        }
        options.finish()
    }
}

#[cfg(test)]
mod tests;
