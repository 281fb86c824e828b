//! What one endpoint compiles to.

use super::backend::BackendPlan;
use super::feature::{EndpointStageBuilder, PipeStageBuilder};
use super::statics::StaticPlan;
use crate::json::Flatmap;
use crate::json::render::Render;
use crate::message::query::Allowed;

/// One endpoint, ready to run.
pub struct EndpointPlan {
    /// The router's form of the path, as logs show it: `/users/:id`.
    pub route: Box<str>,
    pub method: Box<str>,
    pub timeout_ms: u64,
    pub headers: ForwardedHeaders,
    pub query: Allowed,
    pub render: Render,
    /// `Cache-Control: public, max-age=N` and a line end, for complete answers.
    pub cache_control: Option<Box<str>>,
    pub pipe: Pipe,
    pub static_data: Option<StaticPlan>,
    /// Backends that get a copy of each request and whose answers nobody waits for.
    pub shadows: Option<Box<Shadows>>,
    pub stages: Vec<EndpointStageBuilder>,
    pub pipe_stages: Vec<PipeStageBuilder>,
    /// What it says of its layers' telemetry.
    pub layers: Option<serde_json::Value>,
    /// Answers every request with this status: an endpoint whose guard could not be built must not stand open.
    pub sealed: Option<u16>,
}

/// Which of the client's headers go on to backends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardedHeaders {
    /// No list: only Content-Type.
    ContentType,
    All,
    /// Lower case.
    Listed(Box<[Box<str>]>),
}

impl ForwardedHeaders {
    pub fn of(list: &[String]) -> ForwardedHeaders {
        if list.is_empty() {
            return ForwardedHeaders::ContentType;
        }
        if list.iter().any(|name| name == "*") {
            return ForwardedHeaders::All;
        }
        ForwardedHeaders::Listed(list.iter().map(|name| name.to_ascii_lowercase().into()).collect())
    }

    pub fn admits(&self, name: &[u8]) -> bool {
        match self {
            ForwardedHeaders::ContentType => name.eq_ignore_ascii_case(b"content-type"),
            ForwardedHeaders::All => true,
            ForwardedHeaders::Listed(list) => {
                list.iter().any(|listed| listed.as_bytes().eq_ignore_ascii_case(name))
            }
        }
    }
}

/// How the backends of an endpoint work together.
pub enum Pipe {
    Single(Box<BackendPlan>),
    /// All at once. The budget is 85 % of the endpoint's timeout.
    Parallel {
        backends: Box<[BackendPlan]>,
        budget_ms: u64,
        flatmap: Option<Flatmap>,
    },
    /// One after another; a later one may use fields of earlier answers.
    Sequential {
        calls: Box<[BackendPlan]>,
        budget_ms: u64,
        propagated: Box<[Propagated]>,
        flatmap: Option<Flatmap>,
    },
    /// Every request fails with this message.
    Unbuilt(Box<str>),
}

/// One of `sequential_propagated_params`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Propagated {
    pub step: usize,
    /// Empty: the whole body of a step that passes it through.
    pub path: Box<str>,
    /// The parameter's internal name, `Resp0_hash`.
    pub key: Box<str>,
}

/// Shadow backends of an endpoint.
pub struct Shadows {
    pub pipe: Pipe,
    pub timeout_ms: u64,
}
