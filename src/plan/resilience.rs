//! What backends do about hosts that fail: groups of hosts that are watched, and calls that are repeated.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::backend::{HostPlan, Hosts};
use super::common::Common;
use super::{Feed, HostGroups};
use crate::control::health_check::{CheckRules, HealthCheck};
use crate::control::host_watch::HostWatch;
use crate::shared::hosts::health::Checks;
use crate::shared::hosts::{GroupRules, HostGroup, outlier};
use crate::shared::retry_budget::{self, RetryBudget};
use crate::shared::turn::Turn;
use crate::stage::clock;

/// What the blocks of one level say.
#[derive(Clone, Debug, Default)]
pub struct Resilience {
    pub outliers: Said<outlier::Rules>,
    pub health: Said<HealthOptions>,
    pub retry: Said<RetryRules>,
}

/// What a level says of a feature.
#[derive(Clone, Debug, Default)]
pub enum Said<T> {
    /// The level above decides.
    #[default]
    Nothing,
    Off,
    On(T),
}

/// What `shoal/health-check` says.
#[derive(Clone, Debug)]
pub struct HealthOptions {
    pub rules: CheckRules,
    /// With fewer usable hosts, in percent, all are used.
    pub panic_percent: u64,
}

/// What `shoal/retry` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryRules {
    /// With the first one.
    pub attempts_max: u64,
    /// Methods that are sent again although the host may have seen them; all of them idempotent.
    pub methods: Vec<String>,
    /// Statuses that make a call fail, ascending.
    pub statuses: Vec<u16>,
    /// How long one attempt may take until the head of its answer; 0: as long as the call.
    pub try_ms: u64,
    /// The longest pause before the second attempt; it doubles from one to the next.
    pub backoff_ms: u64,
    pub backoff_max_ms: u64,
    pub budget: retry_budget::Rules,
    /// A request's body is kept for that up to so many bytes.
    pub body_bytes_max: u64,
}

/// How a backend repeats calls.
#[derive(Debug)]
pub struct RetryPlan {
    pub rules: RetryRules,
    /// One for all backends with the same hosts and rules.
    pub budget: RetryBudget,
}

/// The groups of a plan while it is compiled.
#[derive(Default)]
pub(super) struct GroupTable {
    /// In the order in which backends need them.
    groups: HostGroups,
    by_name: BTreeMap<String, usize>,
    checks: BTreeMap<CheckRules, Arc<Checks>>,
}

// === impl Said ===

impl<T> Said<T> {
    pub fn of(is_enabled: bool, rules: T) -> Said<T> {
        if is_enabled { Said::On(rules) } else { Said::Off }
    }

    /// What holds where the level above says `other`.
    fn or(self, other: &Said<T>) -> Option<T>
    where
        T: Clone,
    {
        match (self, other) {
            (Said::On(rules), _) => Some(rules),
            (Said::Nothing, Said::On(rules)) => Some(rules.clone()),
            _ => None,
        }
    }
}

// === impl Resilience ===

impl Resilience {
    /// A backend's own words, and the service's where it has none: each block as a whole.
    pub(super) fn settle(
        self,
        service: &Resilience,
    ) -> (Option<outlier::Rules>, Option<HealthOptions>, Option<RetryRules>) {
        (
            self.outliers.or(&service.outliers),
            self.health.or(&service.health),
            self.retry.or(&service.retry),
        )
    }
}

// === impl GroupTable ===

impl GroupTable {
    /// The group of these hosts; `None` where nobody watches them.
    pub(super) fn group(
        &mut self,
        hosts: &NamedHosts<'_>,
        outliers: Option<outlier::Rules>,
        health: Option<HealthOptions>,
        common: &Common,
    ) -> Option<Arc<HostGroup>> {
        if outliers.is_none() && health.is_none() {
            return None;
        }
        let checked = health.as_ref().map(|health| &health.rules);
        let rules = GroupRules {
            outliers,
            health_return_ms: checked.map_or(0, |rules| rules.return_ms),
            panic_percent: health.as_ref().map_or(0, |health| health.panic_percent),
        };
        let name = format!("hosts {} {rules:?} {checked:?}", hosts.name());
        let checks = checked.map(|rules| self.checks(rules, common));
        let make = || HostGroup::new(rules, checks, hosts.origins());
        let place = *self.by_name.entry(name.clone()).or_insert_with(|| {
            self.groups.push((common.kept_as(name, make), hosts.feed()));
            self.groups.len() - 1
        });
        self.groups.get(place).map(|(group, _)| group.clone())
    }

    /// One for all hosts that are checked in this way, also those of the plan before.
    fn checks(&mut self, rules: &CheckRules, common: &Common) -> Arc<Checks> {
        let make = || common.kept_as(format!("health checks {rules:?}"), Checks::new);
        self.checks.entry(rules.clone()).or_insert_with(make).clone()
    }

    /// Leaves the work for the control thread, and gives the groups.
    pub(super) fn finish(self, common: &Common) -> HostGroups {
        let now_ms = || clock::now().as_ms();
        for (rules, checks) in self.checks {
            common.leave_task(Box::new(HealthCheck::new(rules, checks, common.get(), now_ms)));
        }
        let groups = self.groups;
        if !groups.is_empty() {
            let turn = common.kept_as("host watch".to_owned(), Turn::default);
            let watched = groups.iter().map(|(group, _)| group.clone()).collect();
            common.leave_task(Box::new(HostWatch::new(watched, turn, now_ms)));
        }
        groups
    }
}

/// A backend's hosts with what the plan knows of them.
pub(super) struct NamedHosts<'p> {
    pub hosts: &'p Hosts,
    pub plans: &'p [HostPlan],
    pub feeds: &'p [Feed],
}

impl NamedHosts<'_> {
    fn name(&self) -> String {
        match self.hosts {
            Hosts::Fixed(_) => format!("{:?}", self.origins().collect::<Vec<_>>()),
            Hosts::Discovered(feed) => format!("{:?}", self.feeds.get(*feed)),
        }
    }

    fn origins(&self) -> impl Iterator<Item = &str> {
        let ids = match self.hosts {
            Hosts::Fixed(ids) => &**ids,
            Hosts::Discovered(_) => &[],
        };
        ids.iter().filter_map(|id| Some(&*self.plans.get(id.index())?.origin))
    }

    fn feed(&self) -> Option<usize> {
        match self.hosts {
            Hosts::Fixed(_) => None,
            Hosts::Discovered(feed) => Some(*feed),
        }
    }

    /// How calls to these hosts are repeated.
    pub(super) fn retry(&self, rules: RetryRules, common: &Common) -> RetryPlan {
        let name = format!("retry budget {} {rules:?}", self.name());
        let budget = common.kept_as(name, || RetryBudget::new(rules.budget));
        RetryPlan { budget: RetryBudget::clone(&budget), rules }
    }
}
