//! `qos/ratelimit/service/redis`: how much all nodes together let through, over all endpoints.
//!
//! The original's free edition ignores this block; its options are those of the Enterprise edition.

use std::sync::Arc;

use super::common_limits::{CommonLimits, MEMBERS};
use super::options::Options;
use crate::config::extra::Block;
use crate::plan::feature::{CommonStageBuilder, EndpointSlot, Fallback, Feature, Scope, Site};

pub struct RateLimitServiceRedis;

impl Feature for RateLimitServiceRedis {
    fn namespace(&self) -> &'static str {
        "qos/ratelimit/service/redis"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Service]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(MEMBERS)
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let Site::Service(draft) = site else { return Ok(()) };
        let mut options = Options::of(block)?;
        let own = draft.rate_limits;
        if let Some(limits) = CommonLimits::read(&mut options, block, &draft.common, &[], own) {
            let build: CommonStageBuilder = Arc::new(move || limits.stage());
            draft.endpoint_stages.push((EndpointSlot::ServiceRateLimit, build));
        }
        options.finish()
    }
}
