//! `shoal/outlier-detection`: hosts to which calls fail get none for a while.

use super::settings::{Settings, said};
use crate::config::extra::Block;
use crate::plan::feature::{Fallback, Feature, Scope, Site};
use crate::shared::hosts::outlier::{CONSECUTIVE_MAX, REQUESTS_MIN_MAX, Ratio, Rules};

pub struct OutlierDetection;

const HOUR_MS: u64 = 3_600_000;

impl Feature for OutlierDetection {
    fn namespace(&self) -> &'static str {
        "shoal/outlier-detection"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Service, Scope::Backend]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(&[
            "consecutive_failures",
            "ejected_percent_max",
            "ejection_time",
            "ejection_time_max",
            "enabled",
            "failure_percent",
            "requests_min",
            "slow_return",
            "statuses",
            "window",
        ])
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let said = said(block, rules)?;
        if let Some(resilience) = site.resilience() {
            resilience.outliers = said;
        }
        Ok(())
    }
}

fn rules(settings: &mut Settings<'_>) -> Rules {
    let percent = settings.whole("failure_percent", 1..=100, 0);
    let window_ms = settings.ms("window", 1000..=HOUR_MS, 10_000);
    let requests_min = settings.whole("requests_min", 1..=REQUESTS_MIN_MAX, 20);
    for member in ["window", "requests_min"] {
        if settings.is_given(member) && percent == 0 {
            settings.mistake(member, "says nothing without failure_percent", "give both or none");
        }
    }
    let ejection_ms = settings.ms("ejection_time", 1..=HOUR_MS, 30_000);
    let longest_ms = 300_000.max(ejection_ms);
    let ejection_max_ms = settings.ms("ejection_time_max", 1..=24 * HOUR_MS, longest_ms);
    if ejection_max_ms < ejection_ms {
        let what = "is shorter than ejection_time";
        settings.mistake(
            "ejection_time_max",
            what,
            "ejections begin with that and grow up to this",
        );
    }
    Rules {
        consecutive: settings.whole("consecutive_failures", 1..=CONSECUTIVE_MAX, 5),
        ratio: (percent > 0).then_some(Ratio { percent, window_ms, requests_min }),
        ejection_ms,
        ejection_max_ms,
        ejected_percent_max: settings.whole("ejected_percent_max", 1..=100, 50),
        return_ms: settings.ms("slow_return", 0..=HOUR_MS, 10_000),
        statuses: settings.statuses("statuses", &[502, 503, 504], 500..=599).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::config;
    use crate::features;
    use crate::plan::backend::BackendPlan;
    use crate::plan::{self, Plan};

    /// A configuration with such blocks at the service and, for each backend, its hosts and its blocks.
    fn compiled(service: &str, backends: &[(&str, &str)], previous: Option<&Plan>) -> Plan {
        let endpoint = |(index, (hosts, blocks)): (usize, &(&str, &str))| {
            format!(
                r#"{{"endpoint": "/{index}", "backend": [
                {{"host": {hosts}, "url_pattern": "/", "extra_config": {blocks}}}]}}"#
            )
        };
        let endpoints: Vec<String> = backends.iter().enumerate().map(endpoint).collect();
        let text = format!(
            r#"{{"version": 3, "extra_config": {service}, "endpoints": [{}]}}"#,
            endpoints.join(", ")
        );
        let loaded = config::parse("krakend.json", text.as_bytes(), &[]).expect("right");
        let compiled = plan::compile_after(&loaded.service, features::ALL, false, previous);
        compiled.unwrap_or_else(|problems| panic!("{}", problems[0])).plan
    }

    fn backend(plan: &Plan, place: usize) -> &BackendPlan {
        plan.endpoints[place].backends().next().expect("it has one")
    }

    fn is_same(one: &BackendPlan, other: &BackendPlan) -> bool {
        let (one, other) = (one.group.as_ref(), other.group.as_ref());
        one.zip(other).is_some_and(|(one, other)| Arc::ptr_eq(one, other))
    }

    const AB: &str = r#"["http://a", "http://b"]"#;
    const ON: &str = r#"{"shoal/outlier-detection": {}}"#;
    const OFF: &str = r#"{"shoal/outlier-detection": {"enabled": false}}"#;

    #[test]
    fn without_the_blocks_nothing_is_watched() {
        let plan = compiled("{}", &[(AB, "{}")], None);
        let backend = backend(&plan, 0);
        assert!(backend.group.is_none() && backend.retry.is_none() && !backend.minds_failures);
        assert!(plan.groups.is_empty() && !plan.has_retries && plan.common.take_tasks().is_empty());
    }

    #[test]
    fn a_backend_has_its_own_block_or_that_of_the_service() {
        let other = r#"{"shoal/outlier-detection": {"consecutive_failures": 9}}"#;
        let plan = compiled(ON, &[(AB, "{}"), (AB, ON), (AB, OFF), (AB, other)], None);
        assert!(is_same(backend(&plan, 0), backend(&plan, 1)), "the same hosts and rules");
        assert!(backend(&plan, 2).group.is_none());
        assert!(!is_same(backend(&plan, 0), backend(&plan, 3)), "other rules");
        assert_eq!(plan.groups.len(), 2);
    }

    #[test]
    fn hosts_are_known_by_their_list_and_from_plan_to_plan() {
        let before = compiled(ON, &[(AB, "{}"), (r#"["http://a"]"#, "{}")], None);
        assert!(!is_same(backend(&before, 0), backend(&before, 1)), "another list");
        let after = compiled(ON, &[(AB, "{}")], Some(&before));
        assert!(is_same(backend(&before, 0), backend(&after, 0)));
        let changed = r#"{"shoal/outlier-detection": {"ejection_time": "1s"}}"#;
        let changed = compiled(changed, &[(AB, "{}")], Some(&after));
        assert!(!is_same(backend(&after, 0), backend(&changed, 0)), "other rules");
    }

    #[test]
    fn each_way_of_checking_has_one_task_and_all_groups_one_watch() {
        let check = |path: &str| format!(r#"{{"shoal/health-check": {{"path": "{path}"}}}}"#);
        let (one, two) = (check("/one"), check("/two"));
        let plan = compiled("{}", &[(AB, &one), (r#"["http://b"]"#, &one), (AB, &two)], None);
        let tasks = plan.common.take_tasks();
        let names: Vec<&str> = tasks.iter().map(|task| task.name()).collect();
        assert_eq!(names, ["health check /one", "health check /two", "hosts"]);
    }

    #[test]
    fn backends_with_the_same_hosts_and_rules_share_a_budget_of_retries() {
        let block = r#"{"shoal/retry": {"budget_percent": 0, "budget_min_per_second": 1}}"#;
        let plan = compiled(block, &[(AB, "{}"), (AB, "{}"), (r#"["http://a"]"#, "{}")], None);
        let budget = |place| &backend(&plan, place).retry.as_ref().expect("retries").budget;
        assert!(budget(0).take(5) && !budget(1).take(5) && budget(2).take(5));
        assert!(plan.has_retries && plan.groups.is_empty());
    }
}
