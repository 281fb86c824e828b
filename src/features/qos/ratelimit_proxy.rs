//! `qos/ratelimit/proxy`: how often a backend is called.
//!
//! Follows krakend-ratelimit, proxy/proxy.go (specification, section 2.24).

use super::options::{NS_PER_S, Options};
use crate::config::extra::Block;
use crate::plan::feature::{CallSlot, Fallback, Feature, Scope, Site};
use crate::shared::tally::{CAPACITY_MAX, Rate, TokenBucket};
use crate::stage::{Call, CallStage, Cause, Failure, Outcome, Step, clock};

pub struct RateLimitProxy;

/// As the original spells it.
pub const REFUSED: &str = "ERROR: rate limit exceded";

impl Feature for RateLimitProxy {
    fn namespace(&self) -> &'static str {
        "qos/ratelimit/proxy"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Backend]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(&["capacity", "every", "max_rate"])
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let Site::Backend(draft) = site else { return Ok(()) };
        let mut options = Options::of(block)?;
        if let Some((rate, capacity)) = rate_and_capacity(&mut options) {
            let rate = Rate::new(rate, capacity);
            let make = || TokenBucket::new(rate, clock::monotonic_ns());
            let bucket = TokenBucket::clone(&draft.common.kept(block, "", make));
            let build = Box::new(move || Box::new(Stage(bucket.clone())) as Box<dyn CallStage>);
            draft.stages.push((CallSlot::RateLimit, build));
        }
        options.finish()
    }
}

/// In tokens a second. `None`: nothing is limited. Unlike around endpoints, `every` may be less than a second.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "floats saturate")]
pub fn rate_and_capacity(options: &mut Options<'_>) -> Option<(f64, u64)> {
    let every_ns = match options.duration_ns("every") {
        None | Some(None) => NS_PER_S,
        Some(Some(ns)) => {
            if ns <= 0 {
                options.mistake("every", "is not above zero", "write it like \"30s\" or \"1h\"");
            }
            ns as f64
        }
    };
    let per_second = options.number("max_rate") * (NS_PER_S / every_ns);
    let capacity = match options.count("capacity", CAPACITY_MAX) {
        0 if per_second < 1.0 => 1,
        0 => per_second as u64,
        given => given,
    };
    (per_second > 0.0).then_some((per_second, capacity))
}

/// The limit at work on one core.
struct Stage(TokenBucket);

impl CallStage for Stage {
    fn before<'x>(&'x self, _call: &'x mut Call<'_>) -> Result<Step<'x, Outcome>, Failure> {
        if self.0.take(clock::monotonic_ns()) {
            return Ok(Step::Next);
        }
        Err(Failure::new(Cause::RateLimited, REFUSED))
    }
}
