//! `telemetry/influx`: sends what `telemetry/metrics` has collected to InfluxDB, version 1.
//!
//! Follows krakend-influx, influxdb.go (specification, section 2.38).

mod points;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use crate::config::extra::Block;
use crate::config::problem::Problem;
use crate::config::values::parse_duration;
use crate::control::influx::{Influx as Server, InfluxSettings, Lines, address};
use crate::control::task::within;
use crate::control::vitals::Vitals;
use crate::control::{BoxFuture, Task, TaskEnv, TaskError};
use crate::plan::feature::{Fallback, Feature, Scope, Site};
use crate::shared::stats::{Snapshot, Stats};
use points::Points;

pub struct Influx;

const PERIOD_DEFAULT: Duration = Duration::from_mins(1);
/// A shorter one would only keep the control thread busy.
const PERIOD_MIN: Duration = Duration::from_millis(100);
const DATABASE_DEFAULT: &str = "krakend";
/// Between the start and the question whether the server is there.
const PING_AFTER: Duration = Duration::from_millis(700);
/// Of one exchange with the server.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Batches that can be asked to be kept.
const WAITING_MAX: u64 = 100_000;

impl Feature for Influx {
    fn namespace(&self) -> &'static str {
        "telemetry/influx"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Service]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(&["address", "buffer_size", "db", "password", "retention", "ttl", "username"])
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let Site::Service(draft) = site else { return Ok(()) };
        if !block.value.is_object() {
            let problem = Problem::lenient(block.place.clone(), "the block must be an object");
            return Err(Fallback::Skip(problem.hint("--lenient sends nothing")));
        }
        let mut problems = Vec::new();
        let Some(address) = text(block, "address", &mut problems).and_then(address) else {
            let problem = Problem::lenient(
                block.place_at("/address"),
                "address must be that of an InfluxDB server",
            );
            let hint = "write it like \"http://influxdb:8086\"; --lenient sends nothing";
            return Err(Fallback::Skip(problem.hint(hint)));
        };
        let period = period(block, &mut problems)?;
        let settings = InfluxSettings {
            address,
            username: text(block, "username", &mut problems).unwrap_or_default().to_owned(),
            password: text(block, "password", &mut problems).unwrap_or_default().to_owned(),
            database: text(block, "db", &mut problems).unwrap_or(DATABASE_DEFAULT).to_owned(),
            retention: text(block, "retention", &mut problems).unwrap_or_default().to_owned(),
            timeout: TIMEOUT,
            waiting_max: waiting_max(block, &mut problems),
        };
        let server = Server::new(&settings).map_err(|error| {
            Fallback::Skip(Problem::lenient(block.place.clone(), error.to_string()))
        })?;
        let stats = draft.common.get::<Stats>();
        draft.common.leave_task(Box::new(Sender { stats, period, server }));
        problems.into_iter().next().map_or(Ok(()), |problem| Err(Fallback::Skip(problem)))
    }
}

/// What is no text counts as not given.
fn text<'b>(block: &'b Block, name: &str, problems: &mut Vec<Problem>) -> Option<&'b str> {
    let written = block.value.get(name)?;
    let text = written.as_str();
    if text.is_none() {
        let place = block.place_at(&format!("/{name}"));
        let problem = Problem::lenient(place, format!("{name} must be a text"));
        problems.push(problem.hint("write it in quotes; --lenient takes it for not given"));
    }
    text
}

fn period(block: &Block, problems: &mut Vec<Problem>) -> Result<Duration, Fallback> {
    let Some(written) = text(block, "ttl", problems) else { return Ok(PERIOD_DEFAULT) };
    let place = block.place_at("/ttl");
    match parse_duration(written) {
        Ok(ns @ 1..) => Ok(Duration::from_nanos(ns.unsigned_abs()).max(PERIOD_MIN)),
        // The original's ticker panics.
        Ok(_) => {
            let problem = Problem::refuse(place, "the time between writes must be positive");
            Err(Fallback::Refuse(problem.hint("leave it out for a minute")))
        }
        Err(_) => {
            let problem = Problem::lenient(place, format!("{written:?} is no duration"));
            Err(Fallback::Skip(problem.hint("write it like \"60s\"; --lenient sends nothing")))
        }
    }
}

fn waiting_max(block: &Block, problems: &mut Vec<Problem>) -> usize {
    let Some(written) = block.value.get("buffer_size") else { return 0 };
    let count = written.as_u64().filter(|count| *count <= WAITING_MAX);
    if count.is_none() {
        let place = block.place_at("/buffer_size");
        let what = format!("buffer_size must be a whole number up to {WAITING_MAX}");
        let hint = "it counts batches; --lenient keeps none";
        problems.push(Problem::lenient(place, what).hint(hint));
    }
    count.and_then(|count| usize::try_from(count).ok()).unwrap_or(0)
}

/// Writes the last snapshot again and again.
struct Sender {
    stats: Arc<Stats>,
    period: Duration,
    server: Server,
}

impl Task for Sender {
    fn name(&self) -> &'static str {
        "InfluxDB"
    }

    fn has_last_words(&self) -> bool {
        true
    }

    fn run(&mut self, env: TaskEnv) -> BoxFuture<'_, Result<(), TaskError>> {
        Box::pin(self.send(env))
    }
}

impl Sender {
    async fn send(&mut self, mut env: TaskEnv) -> Result<(), TaskError> {
        // The gateway starts first: the server may be behind it, or start together with it.
        if within(PING_AFTER, env.stopping()).await.is_some() {
            return Ok(());
        }
        match self.server.ping().await {
            Ok(()) => env.log.debug(format_args!("[SERVICE: InfluxDB] The server is there")),
            Err(why) => env.log.error(format_args!("unable to ping the influx server: {why}")),
        }
        if !self.stats.is_wanted() {
            env.log.warning(format_args!(
                "[SERVICE: InfluxDB] Nothing is sent: there is no telemetry/metrics block that collects"
            ));
            return Ok(());
        }
        let mut points = Points::new(host_name());
        let mut last: Option<(Arc<Snapshot>, Lines)> = None;
        while within(self.period, env.stopping()).await.is_none() {
            let Some(snapshot) = self.stats.last() else { continue };
            // A snapshot that is written again is written as it was: its points replace each other.
            let lines = match last.take() {
                Some((known, lines)) if Arc::ptr_eq(&known, &snapshot) => lines,
                _ => points.lines(&snapshot, &Vitals::read()),
            };
            self.server.write(lines.clone(), &env.log).await;
            last = Some((snapshot, lines));
        }
        Ok(())
    }
}

/// Empty where the kernel does not say.
fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use crate::config;
    use crate::features;
    use crate::plan;

    fn problem(block: &str, is_lenient: bool) -> Option<String> {
        let text = format!(r#"{{"version": 3, "extra_config": {{"telemetry/influx": {block}}}}}"#);
        let loaded = config::parse("krakend.json", text.as_bytes(), &[]).expect("right");
        let compiled = plan::compile(&loaded.service, features::ALL, is_lenient);
        compiled.err().map(|problems| problems[0].to_string())
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let all = r#"{"address": "http://h:8086", "ttl": "30s", "db": "d", "username": "u",
            "password": "p", "buffer_size": 10, "retention": "r"}"#;
        assert_eq!(problem(all, false), None);
        for (block, member) in [
            ("{}", "address"),
            (r#"{"address": "influx:8086"}"#, "address"),
            (r#"{"address": "ftp://influx"}"#, "address"),
            (r#"{"address": "http://h", "ttl": "soon"}"#, "ttl"),
            (r#"{"address": "http://h", "db": 1}"#, "db"),
            (r#"{"address": "http://h", "buffer_size": -1}"#, "buffer_size"),
            (r#"{"address": "http://h", "buffer_size": 1e9}"#, "buffer_size"),
        ] {
            let told = problem(block, false).unwrap_or_else(|| panic!("{block} is right"));
            assert!(told.contains(member) && told.contains("hint"), "{block}: {told}");
            assert_eq!(problem(block, true), None, "{block}");
        }
        let zero = r#"{"address": "http://h", "ttl": "0s"}"#;
        assert!(problem(zero, true).is_some_and(|told| told.contains("positive")));
    }
}
