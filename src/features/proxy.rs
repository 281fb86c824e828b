//! `proxy`: how an endpoint's backends work together, static data, flatmap, shadow backends.
//!
//! Follows lura, proxy/merging.go, static.go, shadow.go and formatter.go (specification, 2.16 to 2.20).

use serde::Deserialize;

use crate::config::extra::Block;
use crate::config::problem::Problem;
use crate::config::values::parse_duration;
use crate::json::FlatmapOp;
use crate::plan::feature::{BackendDraft, EndpointDraft, Fallback, Feature, Scope, Site, decode};
use crate::plan::statics::{StaticPlan, When, value_of};

pub struct Proxy;

#[derive(Deserialize, Default)]
#[serde(default)]
struct EndpointBlock {
    sequential: bool,
    sequential_propagated_params: Vec<String>,
    /// Names a merge strategy; any but `sequential` runs the backends all at once.
    strategy: Option<String>,
    #[serde(rename = "static")]
    static_data: Option<StaticBlock>,
    flatmap_filter: Vec<FlatmapBlock>,
}

#[derive(Deserialize)]
struct StaticBlock {
    data: serde_json::Map<String, serde_json::Value>,
    /// Anything but one of the known names means always, also what is no text.
    #[serde(default)]
    strategy: serde_json::Value,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct BackendBlock {
    shadow: bool,
    shadow_timeout: Option<String>,
    flatmap_filter: Vec<FlatmapBlock>,
}

#[derive(Deserialize)]
struct FlatmapBlock {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    args: Vec<String>,
}

const ENDPOINT_MEMBERS: &[&str] = &[
    "combiner",
    "flatmap_filter",
    "force_sandboxed_request",
    "sequential",
    "sequential_propagated_params",
    "static",
    "strategy",
];
const BACKEND_MEMBERS: &[&str] = &["flatmap_filter", "shadow", "shadow_timeout"];
const FLATMAP_KINDS: [&str; 3] = ["move", "del", "append"];

impl Feature for Proxy {
    fn namespace(&self) -> &'static str {
        "proxy"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Endpoint, Scope::Backend]
    }

    fn members(&self, scope: Scope) -> Option<&'static [&'static str]> {
        Some(if scope == Scope::Backend { BACKEND_MEMBERS } else { ENDPOINT_MEMBERS })
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        match site {
            Site::Endpoint(draft) => at_endpoint(block, draft),
            Site::Backend(draft) => at_backend(block, draft),
            Site::Service(_) => Ok(()),
        }
    }
}

fn at_endpoint(block: &Block, draft: &mut EndpointDraft) -> Result<(), Fallback> {
    let settings: EndpointBlock = decode(block)?;
    draft.is_sequential = match settings.strategy.as_deref() {
        Some(strategy) => strategy == "sequential",
        None => settings.sequential,
    };
    draft.propagated_params = settings.sequential_propagated_params;
    draft.static_data = settings.static_data.map(|block| StaticPlan {
        data: block.data.iter().map(|(name, value)| (name.clone(), value_of(value))).collect(),
        when: When::named(block.strategy.as_str().unwrap_or_default()),
    });
    draft.flatmap = operations(settings.flatmap_filter);
    check(block, &draft.flatmap)
}

fn at_backend(block: &Block, draft: &mut BackendDraft) -> Result<(), Fallback> {
    let settings: BackendBlock = decode(block)?;
    draft.is_shadow = settings.shadow;
    draft.flatmap = operations(settings.flatmap_filter);
    check(block, &draft.flatmap)?;
    if let Some(text) = settings.shadow_timeout {
        let place = block.place_at("/shadow_timeout");
        let ns = parse_duration(&text).map_err(|error| {
            Fallback::Skip(Problem::lenient(place, error).hint("write a duration like 500ms or 2s"))
        })?;
        draft.shadow_timeout_ms =
            u64::try_from(ns).ok().map(|ns| ns / 1_000_000).filter(|ms| *ms > 0);
    }
    Ok(())
}

fn operations(written: Vec<FlatmapBlock>) -> Vec<FlatmapOp> {
    written
        .into_iter()
        .map(|operation| FlatmapOp { kind: operation.kind, args: operation.args })
        .collect()
}

/// The operations are installed as they stand: a lenient start ignores unknown ones and fails answers for want of
/// arguments, as the original does.
fn check(block: &Block, operations: &[FlatmapOp]) -> Result<(), Fallback> {
    for (index, operation) in operations.iter().enumerate() {
        let place = block.place_at(&format!("/flatmap_filter/{index}"));
        let least = if operation.kind == "del" { 1 } else { 2 };
        if !FLATMAP_KINDS.contains(&operation.kind.as_str()) {
            let problem = Problem::lenient(
                place,
                format!("{:?} is no operation of a flatmap", operation.kind),
            );
            return Err(Fallback::Skip(
                problem.hint(format!("there are {}", FLATMAP_KINDS.join(", "))),
            ));
        }
        if operation.args.len() < least {
            let what =
                format!("{} needs {least} args and has {}", operation.kind, operation.args.len());
            return Err(Fallback::Skip(Problem::lenient(place, what)));
        }
    }
    Ok(())
}
