//! Finds the way of a request: the route as the router finds it, then what the endpoint would do.

use std::borrow::Cow;
use std::cell::RefCell;

use crate::config::{Backend, Endpoint, Place, Service};
use crate::message::parameter;
use crate::message::path::{self, RequestTarget};
use crate::message::query::{self, Allowed};
use crate::message::route_params::RouteParams;
use crate::plan::endpoint::{EndpointPlan, Pipe};
use crate::plan::route::{Found, Redirect, RedirectRule, location, param_names};
use crate::plan::template::{UrlTemplate, Values};
use crate::plan::{Plan, RouteTarget};

use super::parts::ServiceParts;
use super::way::{BackendWay, EndpointWay, Outcome, Parameter, Way};

const NO_ROUTE: &str =
    "no endpoint has this path; letters, slashes and the number of segments count";

/// What the router found of the request.
struct Located<'a> {
    target: RequestTarget<'a>,
    /// Decoded.
    path: &'a [u8],
    params: RouteParams,
    found: Found,
}

pub fn way(
    service: &Service,
    plan: &Plan,
    is_lenient: bool,
    (method, target): (&str, &str),
) -> Way {
    let parts = ServiceParts::of(service, is_lenient);
    let mut decoded = Vec::new();
    let outcome = match locate(plan, method, target, &mut decoded) {
        Ok(located) => outcome(service, plan, &parts, located),
        Err(why) => Outcome::Refused { status: 400, why },
    };
    let (method, target) = (method.to_owned(), target.to_owned());
    Way { method, target, service_stages: parts.around, outcome }
}

fn locate<'a>(
    plan: &Plan,
    method: &str,
    target: &'a str,
    decoded: &'a mut Vec<u8>,
) -> Result<Located<'a>, String> {
    let target = RequestTarget::parse(method.as_bytes(), target.as_bytes())
        .map_err(|error| error.to_string())?;
    let path = path::decode(target.path, decoded).map_err(|error| error.to_string())?;
    let mut params = RouteParams::default();
    let found = plan.routes.find(method.as_bytes(), path, &mut params);
    Ok(Located { target, path, params, found })
}

fn outcome(service: &Service, plan: &Plan, parts: &ServiceParts, located: Located<'_>) -> Outcome {
    let id = match &located.found {
        Found::Endpoint(id) => *id,
        Found::Redirect(redirect) => return redirected(&located.target, redirect),
        Found::MethodNotAllowed { allow } => {
            return Outcome::MethodNotAllowed { status: 405, allow: allow.clone() };
        }
        Found::NotFound => return Outcome::NotFound { status: 404, hint: NO_ROUTE },
    };
    let built_in = |name| Outcome::BuiltIn { name, status: 200, allow: None };
    let id = match plan.targets.get(id as usize) {
        Some(RouteTarget::Endpoint(id)) => *id,
        Some(RouteTarget::Health) => return built_in("health"),
        Some(RouteTarget::Ready) => return built_in("ready"),
        Some(RouteTarget::Debug) => return built_in("debug"),
        Some(RouteTarget::Echo) => return built_in("echo"),
        Some(RouteTarget::Options(allow)) => {
            let allow = Some(allow.to_string());
            return Outcome::BuiltIn { name: "options", status: 200, allow };
        }
        None => return Outcome::NotFound { status: 404, hint: NO_ROUTE },
    };
    let bad = located.params.iter(located.path).find_map(|value| parameter::check(value).err());
    if let Some(bad) = bad.filter(|_| plan.router.check_params) {
        return Outcome::Refused { status: 400, why: bad.to_string() };
    }
    match service.endpoints.get(id.index()) {
        Some(endpoint) => {
            let way = endpoint_way(endpoint, plan.endpoint(id), parts, &located);
            Outcome::Endpoint(Box::new(way))
        }
        None => Outcome::NotFound { status: 404, hint: NO_ROUTE },
    }
}

fn redirected(target: &RequestTarget<'_>, redirect: &Redirect) -> Outcome {
    let url = location(target, redirect, None);
    Outcome::Redirect {
        status: redirect.code,
        location: String::from_utf8_lossy(&url.header()).into_owned(),
        why: match redirect.rule {
            RedirectRule::OtherSlash => "the path has a slash at its end too much or too few",
            RedirectRule::FixedPath => "the path has other letters, dots or slashes than the route",
        },
    }
}

fn endpoint_way(
    endpoint: &Endpoint,
    plan: &EndpointPlan,
    service: &ServiceParts,
    located: &Located<'_>,
) -> EndpointWay {
    let parts = service.endpoint(endpoint);
    let names = param_names(&endpoint.route);
    let value = |slot| {
        let value = located.params.get(located.path, slot).unwrap_or_default();
        String::from_utf8_lossy(value).into_owned()
    };
    let parameters = names.iter().enumerate();
    let parameters =
        parameters.map(|(slot, name)| Parameter { name: name.clone(), value: value(slot) });
    let parameters = parameters.collect();
    let (pipe, calls_timeout_ms) = match &plan.pipe {
        Pipe::Single(_) => ("single", None),
        Pipe::Parallel { budget_ms, .. } => ("parallel", Some(*budget_ms)),
        Pipe::Sequential { budget_ms, .. } => ("sequential", Some(*budget_ms)),
        Pipe::Unbuilt(_) => ("none", None),
    };
    let backends = endpoint.backend.iter();
    let backends = backends.map(|backend| backend_way(endpoint, backend, service, located));
    EndpointWay {
        endpoint: endpoint.endpoint.clone(),
        endpoint_method: endpoint.method.clone(),
        place: line_of(&endpoint.place),
        parameters,
        timeout: endpoint.timeout.to_string(),
        output_encoding: endpoint.output_encoding.clone(),
        cache_control: plan.cache_control.as_deref().map(|line| line.trim_end().to_owned()),
        input_headers: endpoint.input_headers.clone(),
        input_query_strings: endpoint.input_query_strings.clone(),
        stages: parts.stages,
        options: parts.options,
        left_out: parts.left_out,
        sealed: plan.sealed,
        pipe,
        calls_timeout_ms,
        has_static_data: plan.static_data.is_some(),
        backends: backends.collect(),
    }
}

fn backend_way(
    endpoint: &Endpoint,
    backend: &Backend,
    service: &ServiceParts,
    located: &Located<'_>,
) -> BackendWay {
    let parts = service.backend(endpoint, backend);
    let proxy = backend.extra_config.get("proxy").map(|block| &block.value);
    let has_proxy = |key: &str| proxy.and_then(|proxy| proxy.get(key)).is_some();
    let is_shadow = proxy.and_then(|proxy| proxy.get("shadow")) == Some(&true.into());
    let is_discovered = backend.sd == "dns";
    let mut urls = Vec::new();
    let mut bad_url = None;
    for host in &backend.host {
        // A discovered host is called by what the name stands for, which only the name server knows.
        let (origin, prefix) = if is_discovered {
            (format!("{}://{{{}}}", scheme(backend), host.url), "")
        } else {
            split(&host.url)
        };
        match target_of(endpoint, backend, prefix, located) {
            Ok(target) => urls.push(format!("{origin}{target}")),
            Err(why) => bad_url = Some(why),
        }
    }
    BackendWay {
        method: backend.method.clone(),
        urls,
        url_pattern: backend.url_pattern.clone(),
        bad_url,
        hosts_by: if is_discovered { "dns" } else { "static" }.to_owned(),
        is_shadow,
        concurrent_calls: endpoint.concurrent_calls.max(1),
        encoding: if backend.encoding.is_empty() { "json" } else { &backend.encoding }.to_owned(),
        edits: edits(backend, has_proxy("flatmap_filter")),
        input_headers: backend.input_headers.clone(),
        input_query_strings: backend.input_query_strings.clone(),
        stages: parts.stages,
        options: parts.options,
        left_out: parts.left_out,
    }
}

fn scheme(backend: &Backend) -> &str {
    if backend.sd_scheme.is_empty() { "http" } else { &backend.sd_scheme }
}

/// `http://a.example:80/base` is an origin and a path before every pattern.
fn split(url: &str) -> (String, &str) {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let end = url[authority..].find('/').map_or(url.len(), |at| authority + at);
    (url[..end].to_owned(), &url[end..])
}

/// Path and query that the backend is asked for.
fn target_of(
    endpoint: &Endpoint,
    backend: &Backend,
    prefix: &str,
    located: &Located<'_>,
) -> Result<String, String> {
    let template = UrlTemplate::compile(&backend.url_pattern, &param_names(&endpoint.route));
    let known = Known { located, asked: RefCell::default() };
    let mut target = Vec::new();
    template.expand(prefix, &known, &mut target).map_err(|error| error.to_string())?;
    let allowed = Allowed::by_endpoint(&endpoint.input_query_strings)
        .then_by_backend(&backend.input_query_strings);
    let separator = query::separator(&target);
    query::forward(located.target.query.unwrap_or_default(), &allowed, separator, &mut target);
    let mut text = String::from_utf8_lossy(&target).into_owned();
    for key in known.asked.into_inner() {
        text = text.replace(&stand_in(&key), &format!("{{{key}}}"));
    }
    Ok(text)
}

/// The parameters of the route; what a token or an earlier answer will say has a name in its place.
struct Known<'a> {
    located: &'a Located<'a>,
    asked: RefCell<Vec<String>>,
}

impl Values for Known<'_> {
    fn param(&self, slot: usize) -> Option<&[u8]> {
        self.located.params.get(self.located.path, slot)
    }

    fn named(&self, key: &str) -> Option<Cow<'_, str>> {
        self.asked.borrow_mut().push(key.to_owned());
        Some(Cow::Owned(stand_in(key)))
    }
}

/// Survives the encoding of a URL, which braces do not.
fn stand_in(key: &str) -> String {
    format!("~{key}~")
}

/// What happens to the data of an answer, in order.
fn edits(backend: &Backend, has_flatmap: bool) -> Vec<String> {
    let mut edits = Vec::new();
    if backend.is_collection {
        edits.push("a list becomes \"collection\"".to_owned());
    }
    if !backend.target.is_empty() {
        edits.push(format!("target {}", backend.target));
    }
    if has_flatmap {
        edits.push("flatmap_filter".to_owned());
    } else {
        if !backend.allow.is_empty() {
            edits.push(format!("allow {}", backend.allow.join(", ")));
        } else if !backend.deny.is_empty() {
            edits.push(format!("deny {}", backend.deny.join(", ")));
        }
        let renames = backend.mapping.iter().map(|(from, to)| format!("mapping {from} to {to}"));
        edits.extend(renames);
    }
    if !backend.group.is_empty() {
        edits.push(format!("group {}", backend.group));
    }
    edits
}

fn line_of(place: &Place) -> String {
    format!("{}:{}:{}", place.file, place.line, place.column)
}
