//! What the blocks of a configuration install, and in which order it runs.
//!
//! A plan no longer knows which block a stage came from. Each block is installed once more here, into a draft that
//! shows where its stages went.

use std::fmt::Debug;

use crate::config::extra::Block;
use crate::config::{Backend, Endpoint, ExtraConfig, Service};
use crate::features;
use crate::plan::feature::{
    BackendDraft, EndpointDraft, EndpointSlot, Fallback, ServiceDraft, Site,
};
use crate::plan::route::param_names;
use crate::plan::template::param_key;

use super::way::Stage;

/// What the blocks of one level came to.
#[derive(Debug, Default)]
pub struct Parts {
    /// In the order in which they run.
    pub stages: Vec<Stage>,
    pub options: Vec<String>,
    pub left_out: Vec<String>,
}

/// What the service's blocks mean for the other levels.
pub struct ServiceParts {
    /// Around all requests.
    pub around: Vec<Stage>,
    draft: ServiceDraft,
    /// Around every endpoint.
    common: Vec<(EndpointSlot, String)>,
}

/// Blocks with the places of their stages, before they are put in order.
struct Placed<S> {
    stages: Vec<(S, String)>,
    options: Vec<String>,
    left_out: Vec<String>,
}

// === impl ServiceParts ===

impl ServiceParts {
    pub fn of(service: &Service, is_lenient: bool) -> ServiceParts {
        let mut draft = ServiceDraft { is_lenient, ..ServiceDraft::default() };
        let mut around = Vec::new();
        let mut common = Vec::new();
        for (namespace, block) in in_order_of_installation(&service.extra_config) {
            let (stages, endpoint_stages) = (draft.stages.len(), draft.endpoint_stages.len());
            // What is wrong with a block has been told when the plan was compiled.
            let _ = install(namespace, block, &mut Site::Service(&mut draft));
            let named = |slot| (slot, namespace.to_owned());
            around.extend(draft.stages[stages..].iter().map(|(slot, _)| named(*slot)));
            let new = &draft.endpoint_stages[endpoint_stages..];
            common.extend(new.iter().map(|(slot, _)| (*slot, namespace.to_owned())));
        }
        ServiceParts { around: sorted(around), draft, common }
    }

    pub fn endpoint(&self, endpoint: &Endpoint) -> Parts {
        let mut draft = EndpointDraft {
            param_names: param_names(&endpoint.route),
            rate_limits: self.draft.rate_limits,
            common: self.draft.common.clone(),
            route: endpoint.route.as_str().into(),
            ..EndpointDraft::default()
        };
        let mut placed = placed(&endpoint.extra_config, |namespace, block| {
            let before = draft.stages.len();
            install(namespace, block, &mut Site::Endpoint(&mut draft))?;
            Ok(draft.stages[before..].iter().map(|(slot, _)| *slot).collect())
        });
        placed.stages.splice(..0, self.common.iter().cloned());
        placed.into_parts()
    }

    pub fn backend(&self, endpoint: &Endpoint, backend: &Backend) -> Parts {
        let names = param_names(&endpoint.route);
        let mut draft = BackendDraft {
            common: self.draft.common.clone(),
            param_keys: names.iter().map(|name| param_key(name).into()).collect(),
            ..BackendDraft::default()
        };
        let placed = placed(&backend.extra_config, |namespace, block| {
            let before = draft.stages.len();
            install(namespace, block, &mut Site::Backend(&mut draft))?;
            Ok(draft.stages[before..].iter().map(|(slot, _)| *slot).collect())
        });
        placed.into_parts()
    }
}

// === impl Placed ===

impl<S: Ord + Copy + Debug> Placed<S> {
    fn into_parts(self) -> Parts {
        Parts { stages: sorted(self.stages), options: self.options, left_out: self.left_out }
    }
}

fn sorted<S: Ord + Copy + Debug>(mut stages: Vec<(S, String)>) -> Vec<Stage> {
    stages.sort_by_key(|(slot, _)| *slot);
    let stage = |(slot, namespace)| Stage { namespace, place: format!("{slot:?}") };
    stages.into_iter().map(stage).collect()
}

/// Our own first: they say how others behave.
fn in_order_of_installation(extra: &ExtraConfig) -> impl Iterator<Item = (&str, &Block)> {
    let is_own = |namespace: &str| namespace.starts_with("shoal/");
    let own = extra.iter().filter(move |(namespace, _)| is_own(namespace));
    own.chain(extra.iter().filter(move |(namespace, _)| !is_own(namespace)))
}

fn placed<S>(
    extra: &ExtraConfig,
    mut install: impl FnMut(&str, &Block) -> Result<Vec<S>, String>,
) -> Placed<S> {
    let mut placed = Placed { stages: Vec::new(), options: Vec::new(), left_out: Vec::new() };
    for (namespace, block) in in_order_of_installation(extra) {
        match install(namespace, block) {
            Ok(slots) if slots.is_empty() => placed.options.push(namespace.to_owned()),
            Ok(slots) => {
                placed.stages.extend(slots.into_iter().map(|slot| (slot, namespace.to_owned())));
            }
            Err(why) => placed.left_out.push(format!("{namespace}: {why}")),
        }
    }
    placed
}

/// Installs one block into a draft.
fn install(namespace: &str, block: &Block, site: &mut Site<'_>) -> Result<(), String> {
    let feature = features::ALL.iter().find(|feature| feature.namespace() == namespace);
    let feature = feature.ok_or("nobody knows it")?;
    if !feature.scopes().contains(&site.scope()) {
        return Err(format!("no effect at {}", site.scope().name()));
    }
    feature.compile(block, site).map_err(|fallback| match fallback {
        Fallback::Skip(problem) | Fallback::Refuse(problem) => problem.what,
        Fallback::Seal(status, problem) => {
            format!("{}; every request gets {status}", problem.what)
        }
    })
}
