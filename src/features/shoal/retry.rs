//! `shoal/retry`: calls that failed are sent again, to another host where there is one, within a budget.

use super::settings::{Settings, said};
use crate::config::extra::Block;
use crate::plan::feature::{Fallback, Feature, Scope, Site};
use crate::plan::resilience::RetryRules;
use crate::shared::retry_budget;

pub struct Retry;

const HOUR_MS: u64 = 3_600_000;
/// Methods that can be repeated without another effect (RFC 9110 section 9.2.2).
const IDEMPOTENT: &[&str] = &["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"];
/// More than a gateway should hold for that.
const BODY_BYTES_MAX: u64 = 16 * 1024 * 1024;

impl Feature for Retry {
    fn namespace(&self) -> &'static str {
        "shoal/retry"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Service, Scope::Backend]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(&[
            "attempts_max",
            "backoff",
            "backoff_max",
            "body_bytes_max",
            "budget_min_per_second",
            "budget_percent",
            "enabled",
            "methods",
            "statuses",
            "try_timeout",
        ])
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let said = said(block, rules)?;
        if let Some(resilience) = site.resilience() {
            resilience.retry = said;
        }
        Ok(())
    }
}

fn rules(settings: &mut Settings<'_>) -> RetryRules {
    let backoff_ms = settings.ms("backoff", 0..=60_000, 25);
    let longest_ms = 250.max(backoff_ms);
    let backoff_max_ms = settings.ms("backoff_max", 0..=60_000, longest_ms);
    if backoff_max_ms < backoff_ms {
        let hint = "pauses begin with that and double up to this";
        settings.mistake("backoff_max", "is shorter than backoff", hint);
    }
    RetryRules {
        attempts_max: settings.whole("attempts_max", 2..=10, 3),
        methods: settings.words("methods", IDEMPOTENT, IDEMPOTENT),
        statuses: settings.statuses("statuses", &[], 500..=599),
        try_ms: settings.ms("try_timeout", 0..=HOUR_MS, 0),
        backoff_ms,
        backoff_max_ms,
        budget: retry_budget::Rules {
            percent: settings.whole("budget_percent", 0..=100, 20),
            min_per_s: settings.whole("budget_min_per_second", 0..=10_000, 3),
        },
        body_bytes_max: settings.whole("body_bytes_max", 0..=BODY_BYTES_MAX, 64 * 1024),
    }
}
