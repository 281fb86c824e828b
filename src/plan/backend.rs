//! What one backend compiles to.

use std::sync::Arc;

use super::feature::CallStageBuilder;
use super::resilience::RetryPlan;
use super::template::UrlTemplate;
use crate::json::{Decoder, Edit, JsonRules};
use crate::message::query::Allowed;
use crate::shared::hosts::HostGroup;
use crate::stage::ids::{BackendId, HostId};
use crate::upstream::{HttpCache, Target};

/// One backend, ready to be called.
pub struct BackendPlan {
    pub id: BackendId,
    pub method: Box<str>,
    /// `GET` as Go's client puts it before an error: `Get`.
    pub method_title: Box<str>,
    pub template: UrlTemplate,
    pub hosts: Hosts,
    /// What is known of the hosts; `None`: nobody watches them, and each gets its share.
    pub group: Option<Arc<HostGroup>>,
    /// `None`: calls are not repeated.
    pub retry: Option<Box<RetryPlan>>,
    /// One of the two is there.
    pub minds_failures: bool,
    pub decoder: Decoder,
    pub json_rules: JsonRules,
    pub edit: Edit,
    /// The client's query as far as endpoint and backend let it through.
    pub query: Allowed,
    /// Only these of the headers that the endpoint forwards, in lower case; `None` is all of them.
    pub headers: Option<Box<[Box<str>]>>,
    pub statuses: StatusRule,
    /// Copies of each call that race each other.
    pub concurrent: u32,
    /// A redirect that keeps the method may send the body again.
    pub resends_body: bool,
    /// The answer's body passes through undecoded, to the client or to a later step of a sequence.
    pub is_raw: bool,
    /// Which of the stages changes the upstream's answer before it is judged and decoded.
    pub modifier: Option<usize>,
    pub stages: Vec<CallStageBuilder>,
    /// A stage may look at the request's body.
    pub reads_body: bool,
    /// Between the stages and the upstream.
    pub cache: Option<HttpCache>,
    /// What it says of its layer's telemetry.
    pub layers: Option<serde_json::Value>,
    /// Neither stages nor a cache.
    pub is_plain: bool,
}

// === impl BackendPlan ===

impl BackendPlan {
    /// Whether an exchange ends with the upstream's own answer, still to be read.
    pub fn answers_raw(&self) -> bool {
        self.is_raw || self.modifier.is_some()
    }
}

/// What `qos/http-cache` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheOptions {
    /// One for all backends that say so.
    pub shared: bool,
    /// Items and bytes; `None` are those of a cache that was given none.
    pub bounds: Option<(usize, usize)>,
}

/// Where a backend's hosts come from.
#[derive(Clone, Debug)]
pub enum Hosts {
    Fixed(Box<[HostId]>),
    /// Index into the plan's feeds.
    Discovered(usize),
}

/// What an upstream's status means, for answers that are decoded (specification, section 2.11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatusRule {
    /// 200 and 201 are a success, everything else an error without detail.
    Plain,
    /// `return_error_code`: the client gets the upstream's status.
    PassOn,
    /// `return_error_details`: no error, but data under this key.
    Details(Box<str>),
}

/// One upstream host as the configuration names it.
#[derive(Clone, Debug)]
pub struct HostPlan {
    /// `None`: the URL can never be called, and why.
    pub target: Result<Target, Box<str>>,
    /// The Host header.
    pub authority: Box<str>,
    /// `http://host:port`, as error texts show it.
    pub origin: Box<str>,
    /// What the host's URL has behind its authority.
    pub path_prefix: Box<str>,
    /// From `user:password@` in the URL.
    pub authorization: Option<Box<str>>,
}
