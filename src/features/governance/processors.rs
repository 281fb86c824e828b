//! `governance/processors`: quotas and their rules, which `governance/quota` attaches.
//!
//! The original's free edition ignores this block; its options are those of the Enterprise edition.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use crate::config::extra::Block;
use crate::config::problem::Problem;
use crate::control::redis::quotas::Quotas;
use crate::control::redis::{Processor, Store, Stores};
use crate::plan::feature::{Fallback, Feature, Scope, ServiceDraft, Site};
use crate::shared::allowance::{Limit, Limits};
use crate::shared::period::Period;

pub struct Processors;

/// Above, no gateway notices the limit, and sums stay far from where they overflow.
const AMOUNT_MAX: u64 = 1 << 52;

#[derive(Debug, Deserialize)]
struct Quota {
    name: String,
    connection_name: String,
    #[serde(default)]
    hash_keys: bool,
    #[serde(default)]
    on_failure_allow: bool,
    rules: Vec<Rule>,
}

/// What the original needs so that refusing does not ask Redis each time, and to try again: only looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Rejecting {
    deny_queue_flush_interval: String,
    deny_queue_flush_threshold: u64,
    deny_queue_size: u64,
    on_failure_backoff_strategy: String,
    on_failure_max_retries: u64,
    rejecter_cache: Value,
}

#[derive(Debug, Deserialize)]
struct Rule {
    name: String,
    limits: Vec<WrittenLimit>,
}

#[derive(Debug, Deserialize)]
struct WrittenLimit {
    amount: f64,
    unit: String,
}

impl Feature for Processors {
    fn namespace(&self) -> &'static str {
        "governance/processors"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Service]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(&["quotas"])
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let Site::Service(draft) = site else { return Ok(()) };
        if draft.is_lenient {
            let what =
                "governance/processors counts nothing in a lenient start, as in the original";
            return Err(Fallback::Skip(Problem::warn(block.place.clone(), what)));
        }
        let Some(quotas) = block.value.get("quotas").and_then(Value::as_array) else {
            return Err(wrong(block, "/quotas", "quotas must be a list", "of objects with rules"));
        };
        for (index, written) in quotas.iter().enumerate() {
            let at = format!("/quotas/{index}");
            let unread = |error: serde_json::Error| {
                wrong(block, &at, error.to_string(), "see docs/configuration.md")
            };
            let quota: Quota = serde_json::from_value(written.clone()).map_err(unread)?;
            serde_json::from_value::<Rejecting>(written.clone()).map_err(unread)?;
            add(draft, block, &at, quota)?;
        }
        Ok(())
    }
}

fn wrong(block: &Block, at: &str, what: impl Into<String>, hint: impl Into<String>) -> Fallback {
    Fallback::Skip(Problem::lenient(block.place_at(at), what).hint(hint))
}

fn add(draft: &ServiceDraft, block: &Block, at: &str, quota: Quota) -> Result<(), Fallback> {
    let stores = draft.common.get::<Stores>();
    let store = stores.find(&quota.connection_name).map_err(|known| {
        let what = format!("connection_name names no connection: {:?}", quota.connection_name);
        let hint = match known.is_empty() {
            true => "there is no redis block with connection_pools at the service".to_owned(),
            false => format!("known are: {}", known.join(", ")),
        };
        wrong(block, &format!("{at}/connection_name"), what, hint)
    })?;
    let mut rules = BTreeMap::new();
    for (index, rule) in quota.rules.iter().enumerate() {
        let at = format!("{at}/rules/{index}");
        let limits = limits(block, &at, rule)?;
        let counts = counts(draft, &store, &quota, rule, limits);
        if rules.insert(rule.name.clone(), counts).is_some() {
            let what = format!("there are two rules with the name {:?}", rule.name);
            return Err(wrong(block, &format!("{at}/name"), what, "give each a name of its own"));
        }
    }
    let processor = Processor { store, allows_on_failure: quota.on_failure_allow, rules };
    if !stores.add_processor(&quota.name, processor) {
        let what = format!("there are two quotas with the name {:?}", quota.name);
        return Err(wrong(block, &format!("{at}/name"), what, "give each a name of its own"));
    }
    Ok(())
}

/// Those of a rule; what they have counted goes on after a reload that leaves the rule as it is.
fn counts(
    draft: &ServiceDraft,
    store: &Store,
    quota: &Quota,
    rule: &Rule,
    limits: Limits,
) -> Arc<Quotas> {
    let key = format!("{}:quota:{}:{}", store.prefix, quota.name, rule.name);
    let clients_max = draft.rate_limits.clients_max();
    let name = format!("{key} {limits:?} {} {clients_max}", quota.hash_keys);
    let make = || Arc::new(Quotas::new(&key, limits, clients_max, quota.hash_keys));
    let counts = Arc::<Quotas>::clone(&draft.common.kept_as(name, make));
    store.add_quotas(counts.clone());
    counts
}

fn limits(block: &Block, at: &str, rule: &Rule) -> Result<Limits, Fallback> {
    let mut limits: Vec<Limit> = Vec::new();
    for (index, written) in rule.limits.iter().enumerate() {
        let at = |member: &str| format!("{at}/limits/{index}/{member}");
        let Some(period) = Period::named(&written.unit) else {
            let what = format!("{:?} is no unit of time", written.unit);
            let hint = "second, minute, hour, day, week, month or year";
            return Err(wrong(block, &at("unit"), what, hint));
        };
        if limits.iter().any(|limit| limit.period == period) {
            let what = format!("there are two limits for a {}", written.unit);
            return Err(wrong(block, &at("unit"), what, "one of them is enough"));
        }
        let amount = written.amount;
        if !(1.0..=AMOUNT_MAX as f64).contains(&amount) || amount.fract() != 0.0 {
            let what = format!("{amount} is no whole number above zero");
            return Err(wrong(block, &at("amount"), what, "it counts requests, or weights"));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
        limits.push(Limit { amount: amount as u64, period });
    }
    Limits::new(limits).ok_or_else(|| {
        wrong(
            block,
            &format!("{at}/limits"),
            "a rule needs a limit",
            "such as {\"amount\": 10, \"unit\": \"hour\"}",
        )
    })
}
