//! `qos/ratelimit/service`: how much the gateway lets through, over all endpoints.
//!
//! The original's free edition ignores this block; its options are those of the Enterprise edition.

use std::sync::Arc;

use super::limits::{Limits, MEMBERS};
use super::options::Options;
use crate::config::extra::Block;
use crate::config::problem::Problem;
use crate::plan::feature::{CommonStageBuilder, EndpointSlot, Fallback, Feature, Scope, Site};
use crate::stage::clock;

pub struct RateLimitService;

impl Feature for RateLimitService {
    fn namespace(&self) -> &'static str {
        "qos/ratelimit/service"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Service]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(MEMBERS)
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let Site::Service(draft) = site else { return Ok(()) };
        if draft.is_lenient {
            let what =
                "qos/ratelimit/service limits nothing in a lenient start, as in the original";
            return Err(Fallback::Skip(Problem::warn(block.place.clone(), what)));
        }
        let mut options = Options::of(block)?;
        let limits = Limits::read(&mut options, &[], draft.rate_limits, clock::monotonic_ns());
        let own = format!("{:?}", draft.rate_limits);
        if let Some(limits) = limits.map(|limits| draft.common.kept(block, &own, || limits)) {
            let build: CommonStageBuilder = Arc::new(move || limits.clone().stage());
            draft.endpoint_stages.push((EndpointSlot::ServiceRateLimit, build));
        }
        options.finish()
    }
}
