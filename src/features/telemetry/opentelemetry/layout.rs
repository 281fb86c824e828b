//! `Layout`: what each endpoint and backend of a plan is called in metrics and traces, and what is told of it.

use super::options::{Attribute, Backend, BackendPart, Global, Layers, Proxy, fixed};
use crate::plan::Plan;
use crate::plan::backend::BackendPlan;
use crate::plan::endpoint::EndpointPlan;
use crate::stage::ids::{BackendId, EndpointId};

/// Of one plan; shared by the cores and by those who export.
#[derive(Debug, Default)]
pub struct Layout {
    pub endpoints: Vec<EndpointLayout>,
}

#[derive(Debug)]
pub struct EndpointLayout {
    pub route: Box<str>,
    pub method: Box<str>,
    /// Neither its pipe nor its backends are told of.
    pub is_skipped: bool,
    pub pipe: Proxy,
    /// Beside those of the service.
    pub metrics_attributes: Vec<Attribute>,
    pub traces_attributes: Vec<Attribute>,
    /// Regular backends first, then shadows.
    pub backends: Vec<BackendLayout>,
}

#[derive(Debug)]
pub struct BackendLayout {
    /// With parameters as `:id`.
    pub pattern: Box<str>,
    pub method: Box<str>,
    pub metrics: BackendPart,
    pub traces: BackendPart,
    /// In lower case; `None`: all that the endpoint forwards.
    pub headers: Option<Box<[Box<str>]>>,
}

// === impl Layout ===

impl Layout {
    pub fn of(plan: &Plan, layers: &Layers, skipped: &[Box<str>]) -> Layout {
        let endpoints = plan.endpoints.iter().map(|endpoint| {
            let is_skipped = skipped.contains(&endpoint.route);
            EndpointLayout::of(endpoint, layers, is_skipped)
        });
        Layout { endpoints: endpoints.collect() }
    }

    pub fn endpoint(&self, id: EndpointId) -> Option<&EndpointLayout> {
        self.endpoints.get(id.index())
    }

    pub fn backend(&self, id: BackendId) -> Option<(&EndpointLayout, &BackendLayout)> {
        let (endpoint, place) = id.parts();
        let endpoint = self.endpoints.get(endpoint)?;
        Some((endpoint, endpoint.backends.get(place)?))
    }
}

// === impl EndpointLayout, BackendLayout ===

impl EndpointLayout {
    fn of(endpoint: &EndpointPlan, layers: &Layers, is_skipped: bool) -> EndpointLayout {
        let own: Layers = own_layers(endpoint.layers.as_ref());
        let Global { metrics_static_attributes, traces_static_attributes, .. } =
            own.global.unwrap_or_default();
        EndpointLayout {
            route: endpoint.route.clone(),
            method: endpoint.method.clone(),
            is_skipped,
            pipe: own.proxy.or_else(|| layers.proxy.clone()).unwrap_or_default(),
            metrics_attributes: metrics_static_attributes,
            traces_attributes: traces_static_attributes,
            backends: endpoint
                .backends()
                .map(|backend| BackendLayout::of(backend, layers.backend.as_ref()))
                .collect(),
        }
    }
}

impl BackendLayout {
    fn of(plan: &BackendPlan, of_service: Option<&Backend>) -> BackendLayout {
        let own = own_layers(plan.layers.as_ref()).backend;
        let Backend { metrics, traces } = own.or_else(|| of_service.cloned()).unwrap_or_default();
        BackendLayout {
            pattern: normalized(plan.template.internal_pattern()).into(),
            method: plan.method.clone(),
            metrics: metrics.unwrap_or_else(BackendPart::everything),
            traces: traces.unwrap_or_else(BackendPart::everything),
            headers: plan.headers.clone(),
        }
    }

    /// The labels that all metrics of the backend have.
    pub fn metric_labels<'l>(&'l self, of: &'l EndpointLayout) -> Vec<(&'l str, &'l str)> {
        let mut labels = self.labels(of);
        labels.extend(fixed(&self.metrics.static_attributes));
        labels
    }

    pub fn labels<'l>(&'l self, of: &'l EndpointLayout) -> Vec<(&'l str, &'l str)> {
        vec![
            ("http.request.method", &*self.method),
            ("http.route", &*self.pattern),
            ("krakend.endpoint.route", &*of.route),
            ("krakend.endpoint.method", &*of.method),
        ]
    }
}

/// What the block of an endpoint or a backend says; it was looked at when the plan was made.
fn own_layers(block: Option<&serde_json::Value>) -> Layers {
    let decoded = block.map(|block| serde_json::from_value(block.clone()));
    decoded.and_then(Result::ok).unwrap_or_default()
}

/// `/x/{{.Id}}` as `/x/:id`.
fn normalized(pattern: &str) -> String {
    let mut text = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some((before, behind)) = rest.split_once("{{.") {
        let Some((name, behind)) = behind.split_once("}}") else { break };
        text.push_str(before);
        text.push(':');
        text.push_str(&name.to_lowercase());
        rest = behind;
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_the_form_of_routes() {
        assert_eq!(normalized("/a/{{.Id}}/b/{{.JWT.sub}}"), "/a/:id/b/:jwt.sub");
        assert_eq!(normalized("/a/{{.Id"), "/a/{{.Id");
        assert_eq!(normalized("/plain"), "/plain");
    }
}
