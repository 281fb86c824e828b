//! `shoal/json`: how strictly the JSON of upstreams is read.

use serde::Deserialize;

use crate::config::extra::Block;
use crate::config::problem::Problem;
use crate::plan::feature::{Fallback, Feature, Scope, Site, decode};

pub struct Json;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Options {
    refuse_trailing: Option<bool>,
}

impl Feature for Json {
    fn namespace(&self) -> &'static str {
        "shoal/json"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Service, Scope::Backend]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(&["refuse_trailing"])
    }

    /// A guard that is wrong stops the start, also a lenient one: nobody would notice that it is missing.
    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let options: Options = decode(block).map_err(|fallback| match fallback {
            Fallback::Skip(problem) => Fallback::Refuse(
                Problem::refuse(problem.place, problem.what)
                    .hint("refuse_trailing is true or false; leave it out for the default"),
            ),
            other => other,
        })?;
        match site {
            Site::Service(draft) => {
                draft.refuses_trailing_json = options.refuse_trailing.unwrap_or_default();
            }
            Site::Backend(draft) => draft.refuses_trailing_json = options.refuse_trailing,
            Site::Endpoint(_) => {}
        }
        Ok(())
    }
}
