//! `shoal/drain`: how the node takes its leave from balancers before it stops.

use serde::Deserialize;

use crate::config::extra::Block;
use crate::config::parse_duration;
use crate::config::problem::Problem;
use crate::plan::feature::{Fallback, Feature, Scope, Site, decode};

pub struct Drain;

/// Longer than any balancer needs to look: what a supervisor grants for a stop is less.
const LAME_DUCK_MS_MAX: u64 = 600_000;

#[derive(Deserialize)]
#[serde(default)]
struct Options {
    ready_path: String,
    lame_duck: String,
}

impl Default for Options {
    fn default() -> Options {
        Options { ready_path: "/__ready".to_owned(), lame_duck: "0s".to_owned() }
    }
}

impl Feature for Drain {
    fn namespace(&self) -> &'static str {
        "shoal/drain"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Service]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(&["lame_duck", "ready_path"])
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let Site::Service(draft) = site else { return Ok(()) };
        let options: Options = decode(block)?;
        let wrong = |member: &str, what: String, hint: String| {
            let problem = Problem::lenient(block.place_at(&format!("/{member}")), what);
            Err(Fallback::Skip(problem.hint(hint)))
        };
        let lame_duck = parse_duration(&options.lame_duck).ok();
        let lame_duck_ms = lame_duck.and_then(|ns| u64::try_from(ns / 1_000_000).ok());
        let Some(lame_duck_ms) = lame_duck_ms.filter(|ms| *ms <= LAME_DUCK_MS_MAX) else {
            return wrong(
                "lame_duck",
                format!("{:?} is no time between 0s and 10m", options.lame_duck),
                "write it like \"5s\": a little more than a balancer needs to notice".to_owned(),
            );
        };
        let path = &options.ready_path;
        if !path.is_empty() && (!path.starts_with('/') || path.contains([':', '*', '{', '?', '#']))
        {
            return wrong(
                "ready_path",
                format!("{path:?} is no plain path"),
                "write it like \"/__ready\"; \"\" switches it off".to_owned(),
            );
        }
        draft.lame_duck_ms = lame_duck_ms;
        draft.ready_path = Some(options.ready_path);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::config;
    use crate::features;
    use crate::plan;

    fn compiled(block: &str) -> Result<plan::Plan, String> {
        let text = format!(r#"{{"version": 3, "extra_config": {{"shoal/drain": {block}}}}}"#);
        let loaded = config::parse("krakend.json", text.as_bytes(), &[]).expect("right");
        match plan::compile(&loaded.service, features::ALL, false) {
            Ok(compiled) => Ok(compiled.plan),
            Err(problems) => Err(problems[0].to_string()),
        }
    }

    #[test]
    fn both_are_optional_and_checked() {
        let ms = |block: &str| compiled(block).map(|plan| plan.listen.lame_duck_ms);
        assert_eq!(ms("{}"), Ok(0));
        assert_eq!(ms(r#"{"lame_duck": "5s"}"#), Ok(5000));
        for wrong in [r#"{"lame_duck": "5"}"#, r#"{"lame_duck": "-1s"}"#, r#"{"lame_duck": "1h"}"#]
        {
            assert!(ms(wrong).expect_err("wrong").contains("shoal/drain.lame_duck"));
        }
        for wrong in [r#"{"ready_path": "ready"}"#, r#"{"ready_path": "/{x}"}"#] {
            assert!(ms(wrong).expect_err("wrong").contains("shoal/drain.ready_path"));
        }
    }
}
