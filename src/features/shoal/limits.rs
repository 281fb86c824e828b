//! `shoal/limits`: what the gateway refuses early, so that a flood costs little and the rest goes on.

use crate::config::extra::Block;
use crate::config::problem::Problem;
use crate::plan::feature::{Fallback, Feature, Scope, Site, decode};
use crate::plan::limits::LimitOptions;

pub struct Limits;

impl Feature for Limits {
    fn namespace(&self) -> &'static str {
        "shoal/limits"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Service]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(&[
            "accept_backlog",
            "connections_max",
            "connections_per_address_max",
            "decoded_body_bytes_max",
            "dials_per_host_max",
            "headers_max",
            "json_depth_max",
            "kept_body_bytes_max",
            "pooled_buffers_max",
            "questions_max",
            "queue_max_ms",
            "request_body_bytes_max",
            "requests_max",
            "shadows_max",
            "upstream_head_bytes_max",
            "uri_bytes_max",
            "waiting_per_host_max",
        ])
    }

    /// A guard that is wrong stops the start, also a lenient one: nobody would notice that it is missing.
    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let Site::Service(draft) = site else { return Ok(()) };
        let options: LimitOptions = decode(block).map_err(|fallback| match fallback {
            Fallback::Skip(problem) => {
                let problem = Problem::refuse(problem.place, problem.what);
                Fallback::Refuse(
                    problem
                        .hint("limits are whole numbers above zero; leave out what is not limited"),
                )
            }
            other => other,
        })?;
        for option in options.all() {
            let (name, most) = (option.name, option.most);
            if let Some(value) = option.value.filter(|value| !(1..=most).contains(value)) {
                let what = format!("{name} cannot be {value}");
                let problem = Problem::refuse(block.place_at(&format!("/{name}")), what);
                return Err(Fallback::Refuse(
                    problem
                        .hint(format!("a number from 1 to {most}; leave it out for the default")),
                ));
            }
        }
        draft.limits = options;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_is_checked() {
        let options = LimitOptions::default();
        let names: Vec<&str> = options.all().iter().map(|option| option.name).collect();
        assert_eq!(Some(names.as_slice()), Limits.members(Scope::Service));
    }
}
