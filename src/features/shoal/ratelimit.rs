//! `shoal/ratelimit`: what goes with the limits of `qos/ratelimit/router` and `qos/ratelimit/service`.

use crate::config::extra::Block;
use crate::config::problem::Problem;
use crate::plan::feature::{Fallback, Feature, Scope, Site, decode};
use crate::plan::limits::RateLimitOptions;

pub struct RateLimit;

impl Feature for RateLimit {
    fn namespace(&self) -> &'static str {
        "shoal/ratelimit"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Service, Scope::Endpoint]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(&["clients_max", "headers"])
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let own: RateLimitOptions = decode(block)?;
        if own.clients_max == Some(0) {
            let problem =
                Problem::refuse(block.place_at("/clients_max"), "clients_max cannot be 0");
            return Err(Fallback::Refuse(problem.hint("leave it out for the default")));
        }
        match site {
            Site::Service(draft) => draft.rate_limits = own,
            Site::Endpoint(draft) => draft.rate_limits = own.or(draft.rate_limits),
            Site::Backend(_) => {}
        }
        Ok(())
    }
}
