//! `Census`: one core's look at requests, for views and spans.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, PoisonError};

use super::Paths;
use super::b3::{self, Context};
use super::options::Layers;
use super::path_form::PathForm;
use super::span::{Span, moments, status_of};
use super::views::{TagValues, Tags, Views};
use crate::message::head::RequestHead;
use crate::plan::Plan;
use crate::shared::log::{Level, Log};
use crate::shared::meter::Meter;
use crate::shared::outbox::Outbox;
use crate::stage::ids::{BackendId, EndpointId};
use crate::stage::watch::{
    Called, End, Exchanged, Piped, Route, Served, SpanId, Spanned, Timed, Trace,
};
use crate::stage::{Failure, Watcher};

const PATH: &str = "http.path";
const URL: &str = "http.url";
const HOST: &str = "http.host";
const METHOD: &str = "http.method";
const USER_AGENT: &str = "http.user_agent";
/// Noted for a view; no attribute of a span.
const REQUEST_BYTES: &str = "request bytes";

/// What the block says, as far as cores must know it.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub layers: Layers,
    /// In percent.
    pub sample_rate: i64,
    pub tags: Tags,
    pub logs_spans: bool,
}

pub(super) struct Census {
    layers: Layers,
    sample_rate: i64,
    tags: Tags,
    endpoints: Vec<EndpointNames>,
    views: Views,
    spans: Option<Outbox<Span>>,
    /// For the exporter `logger`.
    log: Option<Log>,
    random: Cell<u64>,
}

struct EndpointNames {
    /// `/item/:id`.
    route: Box<str>,
    path: PathForm,
    /// By their places.
    backends: Vec<BackendNames>,
}

#[derive(Clone, Default)]
struct BackendNames {
    /// `/item/{{.Id}}`.
    pattern: Box<str>,
    path: PathForm,
}

// === impl Census ===

impl Census {
    pub fn new(
        plan: &Plan,
        settings: &Settings,
        paths: &Arc<Paths>,
        meter: &Meter,
        spans: Option<Outbox<Span>>,
        log: Option<Log>,
    ) -> Census {
        let paths = paths.0.lock().unwrap_or_else(PoisonError::into_inner);
        let form = |endpoint, backend| paths.get(&(endpoint, backend)).copied().unwrap_or_default();
        let endpoints = plan.endpoints.iter().enumerate().map(|(index, endpoint)| {
            let mut names = EndpointNames {
                route: endpoint.route.clone(),
                path: PathForm::of_route(&endpoint.route, form(index, None)),
                backends: Vec::new(),
            };
            for backend in endpoint.backends() {
                let place = backend.id.parts().1;
                if names.backends.len() <= place {
                    names.backends.resize(place + 1, BackendNames::default());
                }
                let pattern = backend.template.internal_pattern();
                let path = PathForm::of_pattern(pattern, form(index, Some(place)));
                names.backends[place] = BackendNames { pattern: pattern.into(), path };
            }
            names
        });
        Census {
            layers: settings.layers,
            sample_rate: settings.sample_rate,
            tags: settings.tags,
            endpoints: endpoints.collect(),
            views: Views::new(meter, settings.tags),
            spans,
            log: log.filter(|log| settings.logs_spans && log.is_enabled(Level::Debug)),
            random: Cell::new(RandomState::new().hash_one(0) | 1),
        }
    }

    fn backend(&self, id: BackendId) -> Option<&BackendNames> {
        let (endpoint, place) = id.parts();
        self.endpoints.get(endpoint)?.backends.get(place)
    }

    /// xorshift64*, which never gives zero: ids need to differ, not to be secret.
    fn next_random(&self) -> u64 {
        let mut state = self.random.get();
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        self.random.set(state);
        state.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn exports_spans(&self) -> bool {
        self.spans.is_some() || self.log.is_some()
    }

    fn export(&self, span: Span) {
        if let Some(log) = &self.log {
            log.debug(format_args!("{} {span:?}", span.name));
        }
        if let Some(spans) = &self.spans {
            spans.send(span);
        }
    }

    fn span(
        &self,
        spanned: Option<Spanned<'_>>,
        parent: Option<SpanId>,
        timed: Timed,
        describe: impl FnOnce() -> (Option<&'static str>, String, Vec<(&'static str, String)>),
    ) {
        let Some(Spanned { trace, span, .. }) = spanned else { return };
        if !trace.is_sampled || !self.exports_spans() {
            return;
        }
        let ((began_us, took_us), (kind, name, tags)) = (moments(timed), describe());
        self.export(Span {
            trace: trace.id,
            id: span,
            parent,
            kind,
            name,
            began_us,
            took_us,
            tags,
        });
    }

    /// The span around one: that of the request is not sent where the router is not looked at.
    fn parent(&self, spanned: Spanned<'_>) -> Option<SpanId> {
        let is_root = spanned.parent == spanned.trace.span;
        (!is_root || self.layers.router).then_some(spanned.parent)
    }

    fn note(
        &self,
        head: &RequestHead,
        path: &[u8],
        is_sampled: bool,
    ) -> Vec<(&'static str, Box<str>)> {
        let mut noted: Vec<(&'static str, Box<str>)> = Vec::new();
        let mut push =
            |name, value: &[u8]| noted.push((name, String::from_utf8_lossy(value).into()));
        if let Some(length) = head.header("content-length") {
            push(REQUEST_BYTES, length);
        }
        let is_shown = is_sampled && self.exports_spans();
        if is_shown || self.tags.host {
            push(HOST, head.host());
        }
        if is_shown || self.tags.path {
            push(PATH, path);
        }
        if is_shown {
            push(URL, head.target());
            push(METHOD, head.method_name());
            if let Some(agent) = head.header("user-agent").filter(|agent| !agent.is_empty()) {
                push(USER_AGENT, agent);
            }
        }
        noted
    }
}

impl Watcher for Census {
    fn trace(&self, head: &RequestHead, path: &[u8], route: Route) -> Option<Trace> {
        let Route::Endpoint(_) = route else { return None };
        let parent = self.layers.router.then(|| Context::of(head)).flatten();
        let id = parent.map_or_else(
            || {
                let mut id = [0; 16];
                id[..8].copy_from_slice(&self.next_random().to_be_bytes());
                id[8..].copy_from_slice(&self.next_random().to_be_bytes());
                id
            },
            |parent| parent.trace,
        );
        let is_sampled = b3::is_sampled(self.sample_rate, &id, parent);
        Some(Trace {
            id,
            parent: parent.map(|parent| parent.span),
            span: self.next_random(),
            is_sampled,
            is_recorded: is_sampled && self.exports_spans(),
            noted: self.note(head, path, is_sampled),
            ..Trace::default()
        })
    }

    fn has_pipe_span(&self, _endpoint: EndpointId) -> bool {
        self.layers.pipe
    }

    fn has_call_span(&self, _backend: BackendId) -> bool {
        self.layers.backend
    }

    fn propagate(&self, trace: &Trace, _backend: BackendId, span: SpanId, lines: &mut Vec<u8>) {
        if self.layers.backend {
            b3::append(&trace.id, span, trace.is_sampled, lines);
        }
    }

    fn served(&self, served: &Served<'_>) {
        let Route::Endpoint(id) = served.route else { return };
        let Some(names) = self.endpoints.get(id.index()).filter(|_| self.layers.router) else {
            return;
        };
        let noted = |name: &str| -> &str {
            let trace = served.trace.map(|trace| trace.noted.as_slice()).unwrap_or_default();
            trace.iter().find(|(noted, _)| *noted == name).map_or("", |(_, value)| value)
        };
        let path = names.path.show(noted(PATH));
        let values = TagValues {
            host: noted(HOST),
            method: &String::from_utf8_lossy(served.method),
            path: &path,
            status: &served.status.to_string(),
        };
        let request_bytes = noted(REQUEST_BYTES).parse().unwrap_or(0);
        self.views.served(&values, request_bytes, served.body_bytes, length_ms(served.timed));
        let Some(trace) = served.trace else { return };
        let spanned = Spanned { trace, span: trace.span, parent: 0 };
        self.span(Some(spanned), trace.parent, served.timed, || {
            let tags = trace.noted.iter().filter(|(name, _)| *name != REQUEST_BYTES);
            let tags = tags.map(|(name, value)| (*name, value.to_string())).collect();
            (Some("SERVER"), names.route.to_string(), tags)
        });
    }

    fn piped(&self, piped: &Piped<'_>) {
        let Some(names) = self.endpoints.get(piped.endpoint.index()) else { return };
        if !self.layers.pipe {
            return;
        }
        let parent = piped.spanned.and_then(|spanned| self.parent(spanned));
        self.span(piped.spanned, parent, piped.timed, || {
            (None, format!("pipe-{}", names.route), end_tags(&piped.end))
        });
    }

    fn called(&self, called: &Called<'_>) {
        let Some(names) = self.backend(called.backend).filter(|_| self.layers.backend) else {
            return;
        };
        let parent = called.spanned.and_then(|spanned| self.parent(spanned));
        self.span(called.spanned, parent, called.timed, || {
            (None, format!("backend-{}", names.pattern), end_tags(&called.end))
        });
    }

    fn exchanged(&self, exchanged: &Exchanged<'_>) {
        let Some(names) = self.backend(exchanged.backend).filter(|_| self.layers.backend) else {
            return;
        };
        let target = String::from_utf8_lossy(exchanged.target);
        let bare_path = target.split(['?', '#']).next().unwrap_or_default();
        // What has no answer counts as one with this status.
        let status = if exchanged.status == 0 { 500 } else { exchanged.status };
        let path = names.path.show(bare_path);
        let values = TagValues {
            host: exchanged.authority,
            method: exchanged.method,
            path: &path,
            status: &status.to_string(),
        };
        let sent = exchanged.request_bytes.unwrap_or(0);
        let received = exchanged.response_bytes.unwrap_or(0);
        self.views.exchanged(&values, sent, received, length_ms(exchanged.timed));
        let parent = exchanged.spanned.and_then(|spanned| self.parent(spanned));
        self.span(exchanged.spanned, parent, exchanged.timed, || {
            let (name, is_error) = status_of(exchanged.status);
            let scheme = if exchanged.is_tls { "https" } else { "http" };
            let mut tags = vec![
                (PATH, bare_path.to_owned()),
                (URL, format!("{scheme}://{}{target}", exchanged.authority)),
                (HOST, exchanged.authority.to_owned()),
                (METHOD, exchanged.method.to_owned()),
            ];
            if exchanged.status > 0 {
                tags.push(("http.status_code", exchanged.status.to_string()));
                tags.push(("opencensus.status_description", name.to_owned()));
            }
            if is_error {
                tags.push(("error", name.to_owned()));
            }
            (Some("CLIENT"), bare_path.to_owned(), tags)
        });
    }
}

fn end_tags(end: &End<'_>) -> Vec<(&'static str, String)> {
    let mut tags = vec![("complete", end.is_complete.to_string())];
    match end.failure {
        Some(failure) => tags.push(("error", message_of(failure))),
        None if end.is_canceled => tags.push(("canceled", "true".to_owned())),
        None => {}
    }
    tags
}

fn message_of(failure: &Failure) -> String {
    failure.message.clone()
}

fn length_ms(timed: Timed) -> f64 {
    timed.ended_ns.saturating_sub(timed.began_ns) as f64 / 1e6
}
