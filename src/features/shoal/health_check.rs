//! `shoal/health-check`: hosts are asked whether they are up, and get no calls while they are not.

use super::settings::{Settings, said};
use crate::config::extra::Block;
use crate::control::health_check::CheckRules;
use crate::plan::feature::{Fallback, Feature, Scope, Site};
use crate::plan::resilience::HealthOptions;

pub struct HealthCheck;

const HOUR_MS: u64 = 3_600_000;
/// More often than that is no check, but load.
const INTERVAL_MIN_MS: u64 = 100;
const THRESHOLD_MAX: u64 = 1000;

impl Feature for HealthCheck {
    fn namespace(&self) -> &'static str {
        "shoal/health-check"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Service, Scope::Backend]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(&[
            "enabled",
            "healthy_threshold",
            "host",
            "interval",
            "panic_percent",
            "path",
            "slow_return",
            "statuses",
            "timeout",
            "unhealthy_threshold",
        ])
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let said = said(block, options)?;
        if let Some(resilience) = site.resilience() {
            resilience.health = said;
        }
        Ok(())
    }
}

fn options(settings: &mut Settings<'_>) -> HealthOptions {
    let path = settings.text("path", "/");
    let is_plain = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_plain || path.contains('#') {
        let what = format!("cannot be {path:?}");
        settings.mistake("path", what, "a path with or without a query, like \"/health\"");
    }
    let host = settings.text("host", "");
    if !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte)) {
        let what = format!("cannot be {host:?}");
        settings.mistake("host", what, "a name with or without a port, like \"api.example.com\"");
    }
    let rules = CheckRules {
        path,
        host,
        interval_ms: settings.ms("interval", INTERVAL_MIN_MS..=HOUR_MS, 5000),
        timeout_ms: settings.ms("timeout", 1..=60_000, 2000),
        healthy: settings.whole("healthy_threshold", 1..=THRESHOLD_MAX, 2),
        unhealthy: settings.whole("unhealthy_threshold", 1..=THRESHOLD_MAX, 3),
        statuses: settings.statuses("statuses", &[], 200..=599),
        return_ms: settings.ms("slow_return", 0..=HOUR_MS, 10_000),
    };
    HealthOptions { rules, panic_percent: settings.whole("panic_percent", 0..=100, 0) }
}
