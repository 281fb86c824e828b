//! `shoal/redis`: how often the counts of `redis` are exchanged, and how long a server that does not answer is borne.

use std::time::Duration;

use serde::Deserialize;

use crate::config::extra::Block;
use crate::config::parse_duration;
use crate::config::problem::Problem;
use crate::control::redis::{Stores, Timing};
use crate::plan::feature::{Fallback, Feature, Scope, Site, decode};

pub struct Redis;

#[derive(Deserialize)]
#[serde(default)]
struct Options {
    interval: String,
    timeout: String,
    grace: String,
}

impl Default for Options {
    fn default() -> Options {
        let text = |time: Duration| format!("{}ms", time.as_millis());
        let Timing { interval, timeout, grace } = Timing::default();
        Options { interval: text(interval), timeout: text(timeout), grace: text(grace) }
    }
}

impl Feature for Redis {
    fn namespace(&self) -> &'static str {
        "shoal/redis"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Service]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(&["grace", "interval", "timeout"])
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let Site::Service(draft) = site else { return Ok(()) };
        let options: Options = decode(block)?;
        let time = |member: &str, text: &str, least_ms: u64, most_ms: u64| {
            let ms = parse_duration(text).ok().and_then(|ns| u64::try_from(ns / 1_000_000).ok());
            let ms = ms.filter(|ms| (least_ms..=most_ms).contains(ms));
            ms.map(Duration::from_millis).ok_or_else(|| {
                let what = format!("{text:?} is no time between {least_ms}ms and {most_ms}ms");
                let problem = Problem::lenient(block.place_at(&format!("/{member}")), what);
                Fallback::Skip(problem.hint("leave it out for the default"))
            })
        };
        let timing = Timing {
            interval: time("interval", &options.interval, 10, 10_000)?,
            timeout: time("timeout", &options.timeout, 10, 10_000)?,
            grace: time("grace", &options.grace, 100, 60_000)?,
        };
        draft.common.get::<Stores>().set_timing(timing);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::features;
    use crate::plan;

    fn timing(block: &str) -> Result<Timing, String> {
        let text = format!(r#"{{"version": 3, "extra_config": {{"shoal/redis": {block}}}}}"#);
        let loaded = config::parse("krakend.json", text.as_bytes(), &[]).expect("right");
        match plan::compile(&loaded.service, features::ALL, false) {
            Ok(compiled) => Ok(compiled.plan.common.get::<Stores>().timing()),
            Err(problems) => Err(problems[0].to_string()),
        }
    }

    #[test]
    fn times_have_defaults_and_bounds() {
        assert_eq!(timing("{}"), Ok(Timing::default()));
        let all = r#"{"interval": "50ms", "timeout": "1s", "grace": "5s"}"#;
        let wanted = Timing {
            interval: Duration::from_millis(50),
            timeout: Duration::from_secs(1),
            grace: Duration::from_secs(5),
        };
        assert_eq!(timing(all), Ok(wanted));
        for (block, member) in [
            (r#"{"interval": "1ms"}"#, "interval"),
            (r#"{"interval": "1m"}"#, "interval"),
            (r#"{"timeout": "soon"}"#, "timeout"),
            (r#"{"grace": "0s"}"#, "grace"),
        ] {
            let told = timing(block).expect_err(block);
            assert!(told.contains(&format!("shoal/redis.{member}")), "{told}");
        }
    }
}
