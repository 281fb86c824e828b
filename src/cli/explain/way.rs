//! `Way`: what became of a request, as data.

use serde::Serialize;

/// A request and what becomes of it.
#[derive(Debug, Serialize)]
pub struct Way {
    pub method: String,
    pub target: String,
    /// Stages around all requests, from the outside in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub service_stages: Vec<Stage>,
    #[serde(flatten)]
    pub outcome: Outcome,
}

#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    Endpoint(Box<EndpointWay>),
    /// The gateway answers itself: `health`, `debug`, `echo` or `options`.
    BuiltIn {
        name: &'static str,
        status: u16,
        #[serde(skip_serializing_if = "Option::is_none")]
        allow: Option<String>,
    },
    Redirect {
        status: u16,
        location: String,
        why: &'static str,
    },
    MethodNotAllowed {
        status: u16,
        allow: String,
    },
    NotFound {
        status: u16,
        hint: &'static str,
    },
    /// The request is turned away before any route is looked for, or for what a parameter holds.
    Refused {
        status: u16,
        why: String,
    },
}

/// A component that looks at requests, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stage {
    pub namespace: String,
    pub place: String,
}

#[derive(Debug, Serialize)]
pub struct EndpointWay {
    pub endpoint: String,
    pub endpoint_method: String,
    /// `krakend.json:12:5`.
    pub place: String,
    pub parameters: Vec<Parameter>,
    pub timeout: String,
    pub output_encoding: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    /// Headers of the client that go on; `*` is all.
    pub input_headers: Vec<String>,
    pub input_query_strings: Vec<String>,
    /// From the outside in.
    pub stages: Vec<Stage>,
    /// Blocks that only set options.
    pub options: Vec<String>,
    /// Blocks that were left out, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// Every request gets this status: a guard could not be built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealed: Option<u16>,
    /// `single`, `parallel`, `sequential` or `none`.
    pub pipe: &'static str,
    /// What several calls have together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls_timeout_ms: Option<u64>,
    pub has_static_data: bool,
    pub backends: Vec<BackendWay>,
}

#[derive(Debug, Serialize)]
pub struct Parameter {
    pub name: String,
    pub value: String,
}

#[derive(Debug, Serialize)]
pub struct BackendWay {
    pub method: String,
    /// The URL of each host; one of them is called.
    pub urls: Vec<String>,
    pub url_pattern: String,
    /// Why no URL can be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bad_url: Option<String>,
    /// `static` or `dns`.
    pub hosts_by: String,
    pub is_shadow: bool,
    pub concurrent_calls: u32,
    pub encoding: String,
    /// What is done to the answer's data, in order.
    pub edits: Vec<String>,
    /// Headers and query strings that the backend lists; none listed is all that the endpoint forwards.
    pub input_headers: Vec<String>,
    pub input_query_strings: Vec<String>,
    pub stages: Vec<Stage>,
    pub options: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

// === impl Way ===

impl Way {
    /// Whether somebody answers what was asked for.
    pub fn is_answered(&self) -> bool {
        matches!(self.outcome, Outcome::Endpoint(_) | Outcome::BuiltIn { .. })
    }
}
