//! The options of `telemetry/opentelemetry`, as they are written, with the original's defaults.

use serde::Deserialize;
use serde_json::Value;

use crate::config::extra::Block;
use crate::config::keys;
use crate::config::problem::Problem;

const SKIPPED_DEFAULT: [&str; 4] = ["/__health", "/__debug/", "/__echo/", "/__stats/"];
const PERIOD_DEFAULT_S: i64 = 30;
/// What the library takes in place of a period that is none.
const PERIOD_INSTEAD_S: u64 = 60;
const OTLP_PORT: u16 = 4317;
const PROMETHEUS_PORT: u16 = 9090;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Options {
    pub service_name: String,
    pub service_version: String,
    pub deploy_env: String,
    pub layers: Option<Layers>,
    pub exporters: Exporters,
    pub skip_paths: Vec<String>,
    metric_reporting_period: Option<i64>,
    trace_sample_rate: Option<f64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Exporters {
    pub otlp: Vec<OtlpOptions>,
    pub prometheus: Vec<PrometheusOptions>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct OtlpOptions {
    pub name: String,
    pub host: String,
    port: u16,
    pub use_http: bool,
    pub disable_metrics: bool,
    pub disable_traces: bool,
    custom_metric_reporting_period: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PrometheusOptions {
    pub name: String,
    pub host: String,
    port: u16,
    pub process_metrics: bool,
    pub go_metrics: bool,
    pub disable_metrics: bool,
}

/// Of the service, or what an endpoint or a backend says in place of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Layers {
    pub global: Option<Global>,
    pub proxy: Option<Proxy>,
    pub backend: Option<Backend>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Global {
    pub disable_metrics: bool,
    pub disable_traces: bool,
    pub disable_propagation: bool,
    pub report_headers: bool,
    pub skip_headers: Vec<String>,
    pub metrics_static_attributes: Vec<Attribute>,
    pub traces_static_attributes: Vec<Attribute>,
    pub semantic_convention: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Proxy {
    pub disable_metrics: bool,
    pub disable_traces: bool,
    pub report_headers: bool,
    pub skip_headers: Vec<String>,
    pub metrics_static_attributes: Vec<Attribute>,
    pub traces_static_attributes: Vec<Attribute>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Backend {
    pub metrics: Option<BackendPart>,
    pub traces: Option<BackendPart>,
}

/// The metrics or the traces of backends. Metrics have no headers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct BackendPart {
    pub disable_stage: bool,
    pub round_trip: bool,
    pub read_payload: bool,
    pub detailed_connection: bool,
    pub static_attributes: Vec<Attribute>,
    pub report_headers: bool,
    pub skip_headers: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Attribute {
    pub key: String,
    pub value: String,
}

// === impl Options ===

impl Options {
    pub fn skipped(&self) -> Vec<Box<str>> {
        match self.skip_paths.as_slice() {
            [] => SKIPPED_DEFAULT.iter().map(|path| (*path).into()).collect(),
            paths => paths.iter().map(|path| path.as_str().into()).collect(),
        }
    }

    /// Of traces that begin here. The original takes all of them where the rate is no part of one.
    pub fn sample_rate(&self) -> Option<f64> {
        self.trace_sample_rate.filter(|rate| *rate > 0.0 && *rate < 1.0)
    }

    pub fn period_s(&self) -> u64 {
        let period = self.metric_reporting_period.unwrap_or(PERIOD_DEFAULT_S);
        u64::try_from(period).ok().filter(|period| *period > 0).unwrap_or(PERIOD_INSTEAD_S)
    }

    pub fn uses_new_convention(&self) -> bool {
        let global = self.layers.as_ref().and_then(|layers| layers.global.as_ref());
        global.is_some_and(|global| global.semantic_convention == "1.27")
    }

    /// What makes no sense, the worst first.
    pub fn mistake(&self, block: &Block) -> Option<Problem> {
        let at = |pointer: &str| block.place_at(pointer);
        let otlp = self.exporters.otlp.iter().enumerate();
        let otlp = otlp.map(|(index, one)| (format!("/exporters/otlp/{index}/name"), &one.name));
        let scraped = self.exporters.prometheus.iter().enumerate();
        let scraped =
            scraped.map(|(index, one)| (format!("/exporters/prometheus/{index}/name"), &one.name));
        let mut names: Vec<&str> = Vec::new();
        for (pointer, name) in otlp.chain(scraped) {
            if names.contains(&name.as_str()) {
                let what = format!("there are two exporters named {name:?}");
                let hint = "give each a name of its own; the original switches OpenTelemetry off";
                return Some(Problem::lenient(at(&pointer), what).hint(hint));
            }
            names.push(name);
        }
        None
    }

    /// What is not as it looks, but stops nothing in the original.
    pub fn oddity(&self, block: &Block) -> Option<Problem> {
        let at = |pointer: &str| block.place_at(pointer);
        if let Some(period @ ..1) = self.metric_reporting_period {
            let what = format!("{period} seconds is no period");
            return Some(
                Problem::lenient(at("/metric_reporting_period"), what).hint("60 is taken"),
            );
        }
        if let Some(rate) = self.trace_sample_rate
            && !(rate > 0.0 && rate <= 1.0)
        {
            let what = format!("{rate} is no rate above 0 and up to 1, so every trace is sampled");
            let hint = "to have no traces, set disable_traces at the exporters";
            return Some(Problem::lenient(at("/trace_sample_rate"), what).hint(hint));
        }
        let global = self.layers.as_ref().and_then(|layers| layers.global.as_ref());
        if let Some(global) = global
            && !matches!(global.semantic_convention.as_str(), "" | "1.27")
        {
            let what = format!("{:?} is not known", global.semantic_convention);
            let place = at("/layers/global/semantic_convention");
            return Some(Problem::lenient(place, what).hint("\"1.27\" is"));
        }
        if let Some(problem) = unknown_member(block) {
            return Some(problem);
        }
        if self.exporters.otlp.is_empty() && self.exporters.prometheus.is_empty() {
            let what = "there is no exporter, so nothing is told to anybody";
            return Some(Problem::warn(at("/exporters"), what));
        }
        let go = self.exporters.prometheus.iter().position(|one| one.go_metrics)?;
        let what = "there is no Go runtime here, so go_metrics adds nothing";
        Some(Problem::warn(at(&format!("/exporters/prometheus/{go}/go_metrics")), what))
    }
}

// === impl OtlpOptions, PrometheusOptions ===

impl OtlpOptions {
    /// `http://host:port` or `https://host:port`.
    pub fn origin(&self) -> String {
        let host = if self.host.is_empty() { "localhost" } else { &self.host };
        let scheme = if host.contains("://") { "" } else { "http://" };
        let host = host.trim_end_matches('/');
        let is_bare_v6 = scheme == "http://" && host.contains(':') && !host.starts_with('[');
        let (open, close) = if is_bare_v6 { ("[", "]") } else { ("", "") };
        let port = if self.port == 0 { OTLP_PORT } else { self.port };
        format!("{scheme}{open}{host}{close}:{port}")
    }

    pub fn period_s(&self, of_service: u64) -> u64 {
        if self.custom_metric_reporting_period == 0 {
            return of_service;
        }
        self.custom_metric_reporting_period
    }
}

impl PrometheusOptions {
    pub fn port(&self) -> u16 {
        if self.port == 0 { PROMETHEUS_PORT } else { self.port }
    }
}

// === impl Layers, Backend, BackendPart, Attribute ===

impl Layers {
    /// With what the original fills in where a layer is absent.
    pub fn with_defaults(mut self) -> Layers {
        self.global.get_or_insert_default();
        self.proxy.get_or_insert_default();
        let backend = self.backend.get_or_insert_default();
        backend.metrics.get_or_insert_with(BackendPart::everything);
        backend.traces.get_or_insert_with(BackendPart::everything);
        self
    }
}

impl BackendPart {
    pub fn everything() -> BackendPart {
        BackendPart {
            round_trip: true,
            read_payload: true,
            detailed_connection: true,
            ..BackendPart::default()
        }
    }

    /// Whether exchanges with upstreams are looked at.
    pub fn has_exchanges(&self) -> bool {
        self.round_trip || self.read_payload
    }
}

/// Static attributes with both a key and a value; the others have no effect.
pub fn fixed(attributes: &[Attribute]) -> impl Iterator<Item = (&str, &str)> {
    let whole = attributes.iter().filter(|one| !one.key.is_empty() && !one.value.is_empty());
    whole.map(|one| (one.key.as_str(), one.value.as_str()))
}

const OTLP: &[&str] = &[
    "name",
    "host",
    "port",
    "use_http",
    "disable_metrics",
    "disable_traces",
    "custom_metric_reporting_period",
];
const PROMETHEUS: &[&str] =
    &["name", "host", "port", "process_metrics", "go_metrics", "disable_metrics"];
const GLOBAL: &[&str] = &[
    "disable_metrics",
    "disable_traces",
    "disable_propagation",
    "report_headers",
    "skip_headers",
    "metrics_static_attributes",
    "traces_static_attributes",
    "semantic_convention",
];
const PROXY: &[&str] = &[
    "disable_metrics",
    "disable_traces",
    "report_headers",
    "skip_headers",
    "metrics_static_attributes",
    "traces_static_attributes",
];
const METRICS: &[&str] =
    &["disable_stage", "round_trip", "read_payload", "detailed_connection", "static_attributes"];
const TRACES: &[&str] = &[
    "disable_stage",
    "round_trip",
    "read_payload",
    "detailed_connection",
    "static_attributes",
    "report_headers",
    "skip_headers",
];

/// A warning of the first member, below those of the block, that nobody knows.
fn unknown_member(block: &Block) -> Option<Problem> {
    let exporters = [("otlp", OTLP), ("prometheus", PROMETHEUS)];
    for (kind, known) in exporters {
        let list = block.value.pointer(&format!("/exporters/{kind}")).and_then(Value::as_array);
        for (index, one) in list.into_iter().flatten().enumerate() {
            let found = unknown_in(one, known, block, &format!("/exporters/{kind}/{index}"));
            if found.is_some() {
                return found;
            }
        }
    }
    let layers = block.value.get("layers")?;
    unknown_in_layers(layers, block, "/layers")
}

/// The same for layers alone, as endpoints and backends have them.
pub fn unknown_in_layers(layers: &Value, block: &Block, pointer: &str) -> Option<Problem> {
    let parts: [(&str, &[&str]); 5] = [
        ("/global", GLOBAL),
        ("/proxy", PROXY),
        ("/backend", &["metrics", "traces"]),
        ("/backend/metrics", METRICS),
        ("/backend/traces", TRACES),
    ];
    parts.iter().find_map(|(part, known)| {
        unknown_in(layers.pointer(part)?, known, block, &format!("{pointer}{part}"))
    })
}

fn unknown_in(value: &Value, known: &[&str], block: &Block, pointer: &str) -> Option<Problem> {
    let members = value.as_object()?.keys();
    members.filter(|member| !known.contains(&member.as_str())).find_map(|member| {
        keys::unknown(member, known, block.place_at(&format!("{pointer}/{member}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> Options {
        serde_json::from_str(text).expect("options")
    }

    #[test]
    fn absent_layers_are_wholly_on_and_given_ones_only_as_they_say() {
        let absent = options("{}").layers.unwrap_or_default().with_defaults();
        let backend = absent.backend.expect("filled");
        assert!(backend.metrics.as_ref().is_some_and(|part| part.detailed_connection));
        assert!(backend.traces.as_ref().is_some_and(|part| part.read_payload && part.round_trip));
        let given = options(r#"{"layers": {"backend": {"metrics": {"read_payload": true}}}}"#);
        let backend = given.layers.unwrap_or_default().with_defaults().backend.expect("filled");
        let metrics = backend.metrics.expect("given");
        assert!(metrics.read_payload && !metrics.round_trip && !metrics.detailed_connection);
        assert!(backend.traces.is_some_and(|part| part.round_trip));
    }

    #[test]
    fn numbers_have_the_defaults_of_the_original() {
        let plain = options("{}");
        assert_eq!((plain.period_s(), plain.sample_rate()), (30, None));
        assert_eq!(plain.skipped().len(), 4);
        let odd = options(r#"{"metric_reporting_period": 0, "trace_sample_rate": 0}"#);
        assert_eq!((odd.period_s(), odd.sample_rate()), (60, None));
        assert_eq!(options(r#"{"trace_sample_rate": 0.25}"#).sample_rate(), Some(0.25));
    }

    #[test]
    fn an_exporter_is_reached_where_its_host_says() {
        let origin = |text: &str| {
            let one: OtlpOptions = serde_json::from_str(text).expect("an exporter");
            one.origin()
        };
        assert_eq!(origin("{}"), "http://localhost:4317");
        assert_eq!(origin(r#"{"host": "otel", "port": 4318}"#), "http://otel:4318");
        assert_eq!(origin(r#"{"host": "https://otel", "port": 443}"#), "https://otel:443");
        assert_eq!(origin(r#"{"host": "::1"}"#), "http://[::1]:4317");
    }
}
