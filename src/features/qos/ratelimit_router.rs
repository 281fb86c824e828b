//! `qos/ratelimit/router`: how much an endpoint lets through, of each client and of all together.

use super::limits::{Limits, MEMBERS};
use super::options::Options;
use crate::config::extra::Block;
use crate::plan::feature::{EndpointSlot, Fallback, Feature, Scope, Site};
use crate::stage::clock;

pub struct RateLimitRouter;

impl Feature for RateLimitRouter {
    fn namespace(&self) -> &'static str {
        "qos/ratelimit/router"
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
        let now_ns = clock::monotonic_ns();
        let limits = Limits::read(&mut options, &draft.param_names, draft.rate_limits, now_ns);
        let own = format!("{:?}", draft.rate_limits);
        if let Some(limits) = limits.map(|limits| draft.common.kept(block, &own, || limits)) {
            let build = Box::new(move || limits.clone().stage());
            draft.stages.push((EndpointSlot::RateLimit, build));
        }
        options.finish()
    }
}

#[cfg(test)]
mod tests;
