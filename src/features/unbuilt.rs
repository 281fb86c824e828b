//! Namespaces that the original serves and this gateway does not yet: named, never silently ignored.

use crate::config::extra::Block;
use crate::config::problem::Problem;
use crate::plan::feature::{Fallback, Feature, Scope, Site};

/// What a lenient start does in place of the feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// Serve without it.
    Feature,
    /// Answer every request of the endpoint with this status: a guard that is missing must not leave it open.
    Sealed(u16),
}

/// A namespace that is known by name only.
pub struct Unbuilt {
    pub namespace: &'static str,
    pub scopes: &'static [Scope],
    pub without: Without,
}

impl Feature for Unbuilt {
    fn namespace(&self) -> &'static str {
        self.namespace
    }

    fn scopes(&self) -> &'static [Scope] {
        self.scopes
    }

    fn is_built(&self) -> bool {
        false
    }

    fn compile(&self, block: &Block, _site: &mut Site<'_>) -> Result<(), Fallback> {
        let problem =
            Problem::lenient(block.place.clone(), format!("{} is not built yet", self.namespace));
        Err(match self.without {
            Without::Feature => Fallback::Skip(problem.hint("--lenient starts without it")),
            Without::Sealed(status) => Fallback::Seal(
                status,
                problem.hint(format!("--lenient answers every request there with {status}")),
            ),
        })
    }
}
