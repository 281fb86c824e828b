//! `HostWatch`: tells the log when a host is ejected, goes down or comes back, and counts it for the pages of metrics.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::task::{BoxFuture, Task, TaskEnv, TaskError};
use crate::shared::hosts::health::{Change, Health};
use crate::shared::hosts::{HostGroup, State};
use crate::shared::log::Log;
use crate::shared::meter::{Counter, Gauge, Meter};
use crate::shared::metric;
use crate::shared::turn::Turn;

/// How often the hosts are looked at.
const LOOK: Duration = Duration::from_millis(200);

/// The task that looks at all groups of a plan.
pub struct HostWatch {
    groups: Vec<Arc<HostGroup>>,
    /// The watch of the latest plan looks.
    turn: Arc<Turn>,
    number: Option<u64>,
    /// Milliseconds of the process.
    clock: fn() -> u64,
    rows: BTreeMap<Box<str>, Row>,
}

/// The series of one host, in however many groups it is.
struct Row {
    ejections: Counter,
    ejected: Gauge,
    /// `None`: it is not checked.
    checked: Option<Checked>,
}

struct Checked {
    passed: Counter,
    failed: Counter,
    healthy: Gauge,
}

// === impl HostWatch ===

impl HostWatch {
    pub fn new(groups: Vec<Arc<HostGroup>>, turn: Arc<Turn>, clock: fn() -> u64) -> HostWatch {
        HostWatch { groups, turn, number: None, clock, rows: BTreeMap::new() }
    }

    fn look(&mut self, log: &Log, meter: &Meter) {
        let now_ms = (self.clock)();
        let mut seen: BTreeMap<Box<str>, (bool, bool)> = BTreeMap::new();
        for group in &self.groups {
            for (member, state) in group.members(now_ms) {
                let origin = member.origin();
                let row = self.rows.entry(origin.into());
                let row = row.or_insert_with(|| Row::new(meter, origin));
                let news = member.take_news(now_ms);
                if news.ejections > 0 {
                    row.ejections.add(news.ejections);
                    let left = match state {
                        State::Ejected(left_ms) => format!(" for {left_ms} ms"),
                        _ => String::new(),
                    };
                    log.warning(format_args!(
                        "[SERVICE: Hosts] {origin} is ejected{left}: too many calls to it failed"
                    ));
                }
                if news.is_back {
                    log.info(format_args!(
                        "[SERVICE: Hosts] {origin} is back: its ejection is over"
                    ));
                }
                if let Some(health) = member.health() {
                    let checked = row.checked.get_or_insert_with(|| Checked::new(meter, origin));
                    let news = health.take_news();
                    checked.passed.add(news.passed);
                    checked.failed.add(news.failed);
                    match news.change {
                        Some(Change::Down) => log.warning(format_args!(
                            "[SERVICE: Hosts] {origin} is down: its health checks fail"
                        )),
                        Some(Change::Up) => log.info(format_args!(
                            "[SERVICE: Hosts] {origin} is up: its health checks pass again"
                        )),
                        None => {}
                    }
                }
                let (is_ejected, is_down) = seen.entry(origin.into()).or_default();
                *is_ejected |= matches!(state, State::Ejected(_));
                *is_down |= member.health().is_some_and(Health::is_down);
            }
        }
        self.rows.retain(|origin, row| match seen.get(origin) {
            None => false,
            Some((is_ejected, is_down)) => {
                row.ejected.set(i64::from(*is_ejected));
                if let Some(checked) = &row.checked {
                    checked.healthy.set(i64::from(!is_down));
                }
                true
            }
        });
    }
}

impl Task for HostWatch {
    fn name(&self) -> &'static str {
        "hosts"
    }

    fn run(&mut self, env: TaskEnv) -> BoxFuture<'_, Result<(), TaskError>> {
        Box::pin(async move {
            let number = *self.number.get_or_insert_with(|| self.turn.take());
            while self.turn.is(number) {
                self.look(&env.log, &env.meter);
                sleep(LOOK).await;
            }
            // Its gauges must not be added to those of the next one.
            self.rows.clear();
            Ok(())
        })
    }
}

// === impl Row, Checked ===

impl Row {
    fn new(meter: &Meter, origin: &str) -> Row {
        let labels = [("upstream", origin)];
        Row {
            ejections: meter.counter(metric::EJECTIONS.name, &labels),
            ejected: meter.gauge(metric::UPSTREAM_EJECTED.name, &labels),
            checked: None,
        }
    }
}

impl Checked {
    fn new(meter: &Meter, origin: &str) -> Checked {
        let upstream = ("upstream", origin);
        let checks =
            |result| meter.counter(metric::HEALTH_CHECKS.name, &[upstream, ("result", result)]);
        Checked {
            passed: checks("success"),
            failed: checks("failure"),
            healthy: meter.gauge(metric::UPSTREAM_HEALTHY.name, &[upstream]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::hosts::GroupRules;
    use crate::shared::hosts::outlier::Rules;
    use crate::shared::meter::Value;

    #[test]
    fn what_happens_is_counted_once() {
        let rules = Rules {
            consecutive: 1,
            ratio: None,
            ejection_ms: 60_000,
            ejection_max_ms: 60_000,
            ejected_percent_max: 50,
            return_ms: 0,
            statuses: [].into(),
        };
        let rules = GroupRules { outliers: Some(rules), ..GroupRules::default() };
        let hosts = ["http://a", "http://b"];
        let group = Arc::new(HostGroup::new(rules, None, hosts.into_iter()));
        let meter = Meter::default();
        let mut watch = HostWatch::new(vec![group.clone(), group.clone()], Arc::default(), || 10);
        let log = Log::silent();
        watch.look(&log, &meter);
        group.note(&group.members(5)[1].0, true, 5);
        watch.look(&log, &meter);
        watch.look(&log, &meter);
        let read = |name, origin: &str| {
            let readings = meter.readings().into_iter();
            let mut of_it = readings.filter(|reading| reading.name == name);
            of_it.find(|reading| *reading.labels[0].1 == *origin).expect("registered").value
        };
        assert_eq!(read(metric::EJECTIONS.name, "http://b"), Value::Counter(1));
        assert_eq!(read(metric::EJECTIONS.name, "http://a"), Value::Counter(0));
        assert_eq!(read(metric::UPSTREAM_EJECTED.name, "http://b"), Value::Gauge(1));
    }
}
