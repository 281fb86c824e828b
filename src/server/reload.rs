//! Taking up a changed configuration while requests go on: all of it, or nothing.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::certificates::Certificates;
use super::core::Serving;
use super::{Beside, KeptTask, report};
use crate::config::Service;
use crate::config::problem::Problem;
use crate::features;
use crate::plan::{self, Plan};
use crate::shared::log::Log;
use crate::shared::meter::{Counter, Gauge, Meter};
use crate::shared::metric;
use crate::shared::published::Published;

/// Reads the configuration again: what it says now, and what is worth saying about it.
///
/// # Errors
/// All its problems.
pub type Reread = Box<dyn FnMut() -> Result<(Service, Vec<Problem>), Vec<Problem>> + Send>;

/// Tasks of an old plan may work for requests that still run on it; so long at most.
const OLD_TASKS: Duration = Duration::from_mins(5);
/// How long their last words may take.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What a reload needs to know.
pub(super) struct Reloader {
    reread: Option<Reread>,
    is_lenient: bool,
    serving: Published<Serving>,
    /// What the status page says of the configuration.
    problems: Published<Vec<String>>,
    certificates: Certificates,
    retired: Vec<Retired>,
    figures: Figures,
}

/// The tasks of a plan that requests may still run on.
struct Retired {
    plan: Weak<Plan>,
    since: Instant,
    tasks: Vec<KeptTask>,
    /// Since when no request does, and the tasks may say their last words.
    dismissed: Option<Instant>,
}

struct Figures {
    is_successful: Gauge,
    success_at: Gauge,
    succeeded: Counter,
    failed: Counter,
}

impl Reloader {
    pub(super) fn new(
        reread: Option<Reread>,
        is_lenient: bool,
        serving: Published<Serving>,
        problems: Published<Vec<String>>,
        certificates: Certificates,
        meter: &Meter,
    ) -> Reloader {
        let figures = Figures::new(meter);
        let retired = Vec::new();
        Reloader { reread, is_lenient, serving, problems, certificates, retired, figures }
    }

    /// Whether tasks of old plans wait for their end.
    pub(super) fn has_retired(&self) -> bool {
        !self.retired.is_empty()
    }

    /// Ends the tasks of plans that no request runs on any more.
    pub(super) fn sweep(&mut self) {
        for old in &mut self.retired {
            let is_over = old.plan.strong_count() == 0 || old.since.elapsed() >= OLD_TASKS;
            if is_over && old.dismissed.is_none() {
                old.tasks.iter().for_each(|task| task.running.dismiss());
                old.dismissed = Some(Instant::now());
            }
        }
        let is_speaking = |since: Instant| since.elapsed() < LAST_WORDS;
        self.retired.retain(|old| old.dismissed.is_none_or(is_speaking));
    }

    /// Reads the configuration again and publishes its plan; the cores must be told then. False: nothing has changed,
    /// because the new one cannot be used.
    pub(super) fn reload(&mut self, beside: &mut Beside) -> bool {
        let log = beside.log.clone();
        match self.take_up(beside) {
            Ok(warnings) => {
                warnings.iter().for_each(|problem| report(&log, problem));
                let endpoints = self.serving.latest().plan.endpoints.len();
                log.info(format_args!(
                    "[SERVICE: Reload] the new configuration is in use: {endpoints} endpoints"
                ));
                self.problems.publish(warnings.iter().map(Problem::to_string).collect());
                self.figures.succeed();
                true
            }
            Err(problems) => {
                log.error(format_args!(
                    "[SERVICE: Reload] the configuration stays as it was, the new one cannot be used"
                ));
                problems.iter().for_each(|problem| tell(&log, problem));
                self.problems.publish(problems);
                self.figures.fail();
                false
            }
        }
    }

    fn take_up(&mut self, beside: &mut Beside) -> Result<Vec<Problem>, Vec<String>> {
        let Some(reread) = &mut self.reread else {
            return Err(vec!["this configuration is built in and cannot be read again".into()]);
        };
        let (service, mut warnings) = reread().map_err(texts)?;
        let old = self.serving.latest();
        let features = features::ALL;
        let compiled = plan::compile_after(&service, features, self.is_lenient, Some(&old.plan))
            .map_err(texts)?;
        warnings.extend(compiled.warnings);
        let new = compiled.plan;
        needs_restart(&old.plan, &new)?;
        let mut certificates = Certificates::load(&new).map_err(|why| vec![why])?;
        // From here on nothing can fail.
        for what in waits_for_restart(&old.plan, &new) {
            let what = format!("{what} has changed: it counts from the next start on");
            warnings.push(Problem::warn(service.place.clone(), what));
        }
        certificates.take_over(&self.certificates);
        KeptTask::end_exclusive(&mut beside.plan_tasks);
        let others = std::mem::take(&mut beside.plan_tasks);
        let plan = Arc::new(new);
        beside.begin(&plan, &certificates);
        let feeds = beside.feeds(&plan);
        self.retired.push(Retired {
            plan: Arc::downgrade(&old.plan),
            since: Instant::now(),
            tasks: others,
            dismissed: None,
        });
        drop(old);
        self.certificates = certificates;
        self.serving.publish(Serving { plan, feeds });
        Ok(warnings)
    }
}

fn texts(problems: Vec<Problem>) -> Vec<String> {
    problems.iter().map(Problem::to_string).collect()
}

fn tell(log: &Log, problem: &str) {
    log.error(format_args!("{problem}"));
}

/// What one process cannot change: the sockets that its cores listen on.
fn needs_restart(old: &Plan, new: &Plan) -> Result<(), Vec<String>> {
    let (was, is) = (&old.listen, &new.listen);
    let mut changed = Vec::new();
    if (was.address, was.port) != (is.address, is.port) {
        changed.push("the address or the port");
    }
    if old.tls.is_some() != new.tls.is_some() {
        changed.push("whether clients speak TLS");
    }
    if old.admin != new.admin {
        changed.push("the address of shoal/admin");
    }
    if changed.is_empty() {
        return Ok(());
    }
    Err(vec![format!("{} has changed: that needs a new process", changed.join(" and "))])
}

/// What is looked at only when a process starts.
fn waits_for_restart(old: &Plan, new: &Plan) -> Vec<&'static str> {
    const AT_START: [&str; 6] = [
        "accept_backlog",
        "connections_max",
        "connections_per_address_max",
        "pooled_buffers_max",
        "questions_max",
        "queue_max_ms",
    ];
    let pairs = old.limits.all().into_iter().zip(new.limits.all());
    let changed = pairs.filter(|(was, is)| was.value != is.value).map(|(was, _)| was.name);
    changed.filter(|name| AT_START.contains(name)).collect()
}

impl Figures {
    fn new(meter: &Meter) -> Figures {
        let reloads = |result| meter.counter(metric::RELOADS.name, &[("result", result)]);
        let figures = Figures {
            is_successful: meter.gauge(metric::RELOAD_SUCCESSFUL.name, &[]),
            success_at: meter.gauge(metric::RELOAD_SUCCESS_AT.name, &[]),
            succeeded: reloads("success"),
            failed: reloads("failure"),
        };
        figures.mark();
        figures
    }

    fn mark(&self) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.is_successful.set(1);
        self.success_at.set(i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
    }

    fn succeed(&self) {
        self.mark();
        self.succeeded.increment();
    }

    fn fail(&self) {
        self.is_successful.set(0);
        self.failed.increment();
    }
}
