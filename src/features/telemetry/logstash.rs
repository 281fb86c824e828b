//! `telemetry/logstash`: each log line as a JSON document.

use serde_json::Value;

use crate::config::extra::Block;
use crate::config::problem::Problem;
use crate::plan::feature::{Fallback, Feature, Scope, Site};

pub struct Logstash;

impl Feature for Logstash {
    fn namespace(&self) -> &'static str {
        "telemetry/logstash"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Service]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(&["enabled"])
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let Site::Service(draft) = site else { return Ok(()) };
        let is_enabled = match block.value.get("enabled") {
            None if block.value.is_object() => true,
            Some(Value::Bool(is_enabled)) => *is_enabled,
            wrong => {
                // The original only looks whether there is a block.
                draft.logging.logstash = Some(block.place.clone());
                let what = match wrong {
                    None => "telemetry/logstash must be an object",
                    Some(_) => "enabled must be true or false",
                };
                let problem = Problem::lenient(block.place_at("/enabled"), what);
                return Err(Fallback::Skip(problem.hint("write {\"enabled\": true}")));
            }
        };
        draft.logging.logstash = is_enabled.then(|| block.place.clone());
        Ok(())
    }
}
