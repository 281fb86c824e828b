//! `telemetry/opentelemetry`: metrics and traces of requests, for Prometheus and for collectors that speak OTLP.
//!
//! Follows krakend-otel (specification, section 2.37).

mod encode;
mod instruments;
mod layout;
mod measures;
mod options;
mod page;
pub mod propagation;
mod span;
mod watcher;

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock};

use crate::config::extra::Block;
use crate::config::problem::Problem;
use crate::control::otlp::{Collector, MetricExporter, SpanExporter};
use crate::plan::feature::{Fallback, Feature, Scope, ServiceDraft, Site, decode};
use crate::plan::{COMPATIBLE_VERSION, Plan};
use crate::shared::outbox::outbox;
use crate::stage::Watcher;

use layout::Layout;
use options::{Global, Layers, Options, OtlpOptions, unknown_in_layers};
use page::PrometheusServer;
use propagation::Propagators;
use watcher::{OtelWatcher, Spans};

/// Who measures, as the original names it.
const SCOPE: &str = "io.krakend.krakend-otel";
/// Requests whose spans wait for an exporter; those above are dropped and counted.
const WAITING_REQUESTS_MAX: usize = 1024;

pub struct OpenTelemetry;

/// What the service's block comes to.
#[derive(Debug, Default)]
struct Settings {
    /// Who is measured: attributes of the resource.
    resource: Vec<(Box<str>, Box<str>)>,
    layers: Layers,
    global: Global,
    skipped: Vec<Box<str>>,
    /// `None`: all.
    sample_rate: Option<f64>,
    propagators: Propagators,
    /// The convention of 1.27.
    is_new: bool,
    /// Somebody wants metrics.
    measures: bool,
    started_ns: u64,
}

impl Feature for OpenTelemetry {
    fn namespace(&self) -> &'static str {
        "telemetry/opentelemetry"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Service, Scope::Endpoint, Scope::Backend]
    }

    fn members(&self, scope: Scope) -> Option<&'static [&'static str]> {
        Some(match scope {
            Scope::Service => &[
                "service_name",
                "service_version",
                "deploy_env",
                "layers",
                "exporters",
                "skip_paths",
                "metric_reporting_period",
                "trace_sample_rate",
            ],
            Scope::Endpoint | Scope::Backend => &["global", "proxy", "backend"],
        })
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        if !block.value.is_object() {
            let problem = Problem::lenient(block.place.clone(), "is no object");
            return Err(Fallback::Skip(problem));
        }
        match site {
            Site::Service(draft) => serve(block, draft),
            Site::Endpoint(draft) => {
                let layers: Layers = decode(block)?;
                draft.layers = Some(block.value.clone());
                if layers.backend.is_some() {
                    return Err(no_effect(block, "/backend", "write it at the backends"));
                }
                unknown_in_layers(&block.value, block, "").map_or(Ok(()), warn)
            }
            Site::Backend(draft) => {
                let layers: Layers = decode(block)?;
                if layers.backend.as_ref().is_some_and(|backend| backend.traces.is_none()) {
                    let what = "a backend that says something of its layer must say something of its \
                                traces: the original breaks at the start otherwise";
                    let hint = "add \"traces\": {} beside \"metrics\"";
                    let problem = Problem::refuse(block.place_at("/backend"), what).hint(hint);
                    return Err(Fallback::Refuse(problem));
                }
                draft.layers = Some(block.value.clone());
                if layers.proxy.is_some() {
                    return Err(no_effect(block, "/proxy", "write it at the endpoint"));
                }
                if layers.global.is_some() {
                    return Err(no_effect(block, "/global", "write it at the endpoint"));
                }
                unknown_in_layers(&block.value, block, "").map_or(Ok(()), warn)
            }
        }
    }
}

fn warn(problem: Problem) -> Result<(), Fallback> {
    Err(Fallback::Skip(problem))
}

fn no_effect(block: &Block, pointer: &str, hint: &str) -> Fallback {
    Fallback::Skip(Problem::warn(block.place_at(pointer), "has no effect here").hint(hint))
}

fn serve(block: &Block, draft: &mut ServiceDraft) -> Result<(), Fallback> {
    let options: Options = decode(block)?;
    if let Some(problem) = options.mistake(block) {
        return Err(Fallback::Skip(problem));
    }
    let propagators = propagators(block)?;
    let exporters = &options.exporters;
    for (index, one) in exporters.otlp.iter().enumerate() {
        if !one.use_http && one.origin().starts_with("https://") {
            let place = block.place_at(&format!("/exporters/otlp/{index}/host"));
            let what = "gRPC is spoken without encryption only";
            let hint = "set use_http, or have a collector on this machine pass it on";
            return Err(Fallback::Refuse(Problem::refuse(place, what).hint(hint)));
        }
    }
    let tells = |one: &OtlpOptions| !one.disable_metrics;
    let settings = Arc::new(Settings {
        resource: resource(&options, &draft.name),
        measures: exporters.otlp.iter().any(tells)
            || exporters.prometheus.iter().any(|one| !one.disable_metrics),
        skipped: options.skipped(),
        sample_rate: options.sample_rate(),
        is_new: options.uses_new_convention(),
        propagators,
        started_ns: encode::unix_ns(),
        ..Settings::of(options.layers.clone().unwrap_or_default().with_defaults())
    });
    let mut servers = Vec::new();
    for (index, one) in exporters.prometheus.iter().enumerate() {
        let Some(server) = PrometheusServer::new(one.clone(), settings.clone()) else {
            let place = block.place_at(&format!("/exporters/prometheus/{index}/host"));
            let problem = Problem::lenient(place, format!("{:?} is no address", one.host));
            return Err(Fallback::Skip(problem.hint("write it like 127.0.0.1, or leave it out")));
        };
        servers.push(server);
    }
    for server in servers {
        draft.common.leave_task(Box::new(server));
    }
    // The first core to be built reads the plan; exporters have nothing to say before that.
    let layout: Arc<OnceLock<Arc<Layout>>> = Arc::default();
    let mut outboxes = Vec::new();
    for one in &exporters.otlp {
        let collector = Collector {
            name: one.name.clone(),
            origin: one.origin(),
            is_http: one.use_http,
            headers: pairs_of("OTEL_EXPORTER_OTLP_HEADERS"),
        };
        if !one.disable_metrics {
            let settings = settings.clone();
            let gather = Arc::new(move |meter: &_| encode::metrics(&settings, meter));
            let period_s = one.period_s(options.period_s());
            let task = MetricExporter::new(collector.clone(), period_s, gather);
            draft.common.leave_task(Box::new(task));
        }
        if !one.disable_traces {
            let (settings, layout) = (settings.clone(), layout.clone());
            let (sender, inbox) = outbox::<Spans>(WAITING_REQUESTS_MAX);
            outboxes.push(sender);
            let encode = Arc::new(move |batch: &[Spans]| {
                encode::traces(&settings, layout.get_or_init(Arc::default), batch)
            });
            draft.common.leave_task(Box::new(SpanExporter::new(collector, inbox, encode)));
        }
    }
    draft.watchers.push(Box::new(move |plan: &Plan, meter| {
        let layout =
            layout.get_or_init(|| Arc::new(Layout::of(plan, &settings.layers, &settings.skipped)));
        let watcher = OtelWatcher::new(&settings, layout.clone(), meter, outboxes.clone());
        Box::new(watcher) as Box<dyn Watcher>
    }));
    options.oddity(block).map_or(Ok(()), warn)
}

fn propagators(block: &Block) -> Result<Propagators, Fallback> {
    let list = std::env::var("OTEL_PROPAGATORS").unwrap_or_default();
    Propagators::named(&list).map_err(|name| {
        let what = format!("OTEL_PROPAGATORS names {name:?}, which is not built in");
        let hint = "tracecontext, baggage, b3, b3multi and none are";
        Fallback::Refuse(Problem::refuse(block.place.clone(), what).hint(hint))
    })
}

fn resource(options: &Options, service: &str) -> Vec<(Box<str>, Box<str>)> {
    let or = |text: &str, other: &str| -> Box<str> {
        if text.is_empty() { other.into() } else { text.into() }
    };
    let name = or(&options.service_name, &or(service, "KrakenD"));
    let mut all: Vec<(Box<str>, Box<str>)> = vec![
        ("service.name".into(), name),
        ("service.version".into(), or(&options.service_version, COMPATIBLE_VERSION)),
    ];
    if !options.deploy_env.is_empty() {
        all.push(("deployment.environment".into(), options.deploy_env.as_str().into()));
    }
    for (key, value) in [
        ("telemetry.sdk.language", "rust"),
        ("telemetry.sdk.name", "shoal"),
        ("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
    ] {
        all.push((key.into(), value.into()));
    }
    for (key, value) in pairs_of("OTEL_RESOURCE_ATTRIBUTES") {
        if !all.iter().any(|(known, _)| **known == *key) {
            all.push((key.into(), value.into()));
        }
    }
    all
}

/// What a variable lists as `key=value,key=value`, the values percent-encoded.
fn pairs_of(variable: &str) -> Vec<(String, String)> {
    pairs(&std::env::var(variable).unwrap_or_default())
}

fn pairs(list: &str) -> Vec<(String, String)> {
    let pairs = list.split(',').filter_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        let key = key.trim();
        (!key.is_empty()).then(|| (key.to_owned(), unescaped(value.trim())))
    });
    pairs.collect()
}

fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.get(..2).filter(|_| *first == b'%');
        let byte = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { behind.get(2..).unwrap_or_default() } else { behind };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a core's ids begin with; they need to differ, not to be secret.
fn seed() -> u64 {
    RandomState::new().hash_one(encode::unix_ns()) | 1
}

// === impl Settings ===

impl Settings {
    fn of(layers: Layers) -> Settings {
        Settings {
            global: layers.global.clone().unwrap_or_default(),
            layers,
            ..Settings::default()
        }
    }
}

impl Default for Propagators {
    fn default() -> Propagators {
        Propagators::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::features;
    use crate::plan;

    fn compiled(
        service: &str,
        endpoint: &str,
        backend: &str,
    ) -> Result<Vec<Problem>, Vec<Problem>> {
        let text = format!(
            r#"{{"version": 3, "extra_config": {{"telemetry/opentelemetry": {service}}},
            "endpoints": [{{"endpoint": "/x", "extra_config": {{"telemetry/opentelemetry": {endpoint}}},
            "backend": [{{"host": ["http://up"], "url_pattern": "/",
            "extra_config": {{"telemetry/opentelemetry": {backend}}}}}]}}]}}"#
        );
        let loaded = config::parse("krakend.json", text.as_bytes(), &[]).expect("right");
        plan::compile(&loaded.service, features::ALL, false).map(|compiled| compiled.warnings)
    }

    const PROMETHEUS: &str = r#"{"exporters": {"prometheus": [{"name": "p"}]}}"#;

    #[test]
    fn a_right_block_makes_no_problem() {
        let problems = compiled(PROMETHEUS, r#"{"proxy": {"disable_traces": true}}"#, "{}");
        assert_eq!(problems.map(|problems| problems.len()), Ok(0));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (service, endpoint, backend, place, is_fatal) in [
            ("[]", "{}", "{}", "telemetry/opentelemetry", true),
            (
                r#"{"exporters": {"otlp": [{"name": "a"}, {"name": "a"}]}}"#,
                "{}",
                "{}",
                "name",
                true,
            ),
            (r#"{"exporters": {"otlp": [{"host": "https://x"}]}}"#, "{}", "{}", "host", true),
            (r#"{"exporters": {"prometheus": [{"host": "a b"}]}}"#, "{}", "{}", "host", true),
            (r#"{"trace_sample_rate": 2}"#, "{}", "{}", "trace_sample_rate", true),
            (r#"{"metric_reporting_period": 0}"#, "{}", "{}", "metric_reporting_period", true),
            (
                r#"{"layers": {"proxy": {"disable_metric": true}}}"#,
                "{}",
                "{}",
                "disable_metric",
                false,
            ),
            ("{}", "{}", "{}", "telemetry/opentelemetry", false),
            (PROMETHEUS, r#"{"backend": {}}"#, "{}", "backend", false),
            (PROMETHEUS, "{}", r#"{"backend": {"metrics": {}}}"#, "backend", true),
            (PROMETHEUS, "{}", r#"{"proxy": {}}"#, "proxy", false),
        ] {
            let result = compiled(service, endpoint, backend);
            assert_eq!(result.is_err(), is_fatal, "{service} {endpoint} {backend}: {result:?}");
            let (Ok(problems) | Err(problems)) = result;
            let named = problems.iter().any(|problem| problem.place.path.ends_with(place));
            assert!(named, "{service} {endpoint} {backend}: {problems:?}");
        }
    }

    #[test]
    fn variables_hold_pairs() {
        let expected = [("a".to_owned(), "b c".to_owned()), ("d".to_owned(), "%z".to_owned())];
        assert_eq!(pairs("a=b%20c, d=%z,=x,y"), expected);
    }
}
