//! `telemetry/opencensus`: the older way to metrics and traces, with B3 headers; `telemetry/opentelemetry` has replaced it.
//!
//! Follows krakend-opencensus and the views of ochttp (specification, sections 1.4 and 2.38).

pub mod b3;
mod options;
mod path_form;
mod sender;
mod span;
mod views;
mod watcher;

use std::collections::HashMap;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::config::extra::Block;
use crate::config::problem::Problem;
use crate::config::values::parse_duration;
use crate::control::http_client::is_url;
use crate::control::influx::{Influx, InfluxSettings, address};
use crate::control::page_server::{Page, PageServer, Pages};
use crate::plan::common::Common;
use crate::plan::feature::{Fallback, Feature, Scope, Site, decode};
use crate::shared::exposition::CONTENT_TYPE;
use crate::shared::meter::Meter;
use crate::shared::outbox::outbox;
use crate::stage::Watcher;
use options::{InfluxOptions, Options, PathOptions};
use sender::{Local, Reporter, Zipkin};
use watcher::{Census, Settings};

pub struct OpenCensus;

/// That of OpenCensus.
const PERIOD_DEFAULT: Duration = Duration::from_secs(10);
const PORT_DEFAULT: u16 = 9091;
/// Spans that wait to be sent; the cores drop and count those above.
const SPANS_MAX: usize = 10_000;
/// Batches that wait for InfluxDB, where the block does not say.
const BATCHES_MAX: usize = 1000;
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// How the blocks of endpoints and backends want paths in metrics: by endpoint, and by endpoint and backend.
#[derive(Default)]
struct Paths(Mutex<HashMap<(usize, Option<usize>), Aggregation>>);

/// What of a path a metric shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Aggregation {
    #[default]
    Pattern,
    /// All but a parameter at the end.
    LastParam,
    Off,
}

impl Feature for OpenCensus {
    fn namespace(&self) -> &'static str {
        "telemetry/opencensus"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Service, Scope::Endpoint, Scope::Backend]
    }

    fn members(&self, scope: Scope) -> Option<&'static [&'static str]> {
        Some(match scope {
            Scope::Service => &["enabled_layers", "exporters", "reporting_period", "sample_rate"],
            Scope::Endpoint | Scope::Backend => &["path_aggregation"],
        })
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let Site::Service(draft) = site else { return compile_path(block, site.common()) };
        let options: Options = decode(block)?;
        let problem = problem_of(block, &options);
        let views = Meter::default();
        let common = draft.common.clone();
        if let Some(prometheus) = &options.exporters.prometheus {
            let port = prometheus.port.unwrap_or(PORT_DEFAULT);
            let all = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
            let pages = pages(views.clone(), prometheus.namespace.clone());
            common.leave_task(Box::new(PageServer::new("OpenCensus", all, pages)));
        }
        let mut spans = None;
        if let Some(zipkin) =
            options.exporters.zipkin.as_ref().filter(|it| is_url(&it.collector_url))
        {
            let (sender, inbox) = outbox(SPANS_MAX);
            spans = Some(sender);
            let local = Local::new(&zipkin.service_name, &zipkin.ip, zipkin.port);
            let task = Zipkin::new(zipkin.collector_url.clone(), local, inbox);
            common.leave_task(Box::new(task.map_err(|error| {
                Fallback::Skip(Problem::lenient(block.place.clone(), error.to_string()))
            })?));
        }
        let period = match options.reporting_period {
            seconds @ 1.. => Duration::from_secs(seconds.unsigned_abs()),
            _ => PERIOD_DEFAULT,
        };
        let influx = options.exporters.influxdb.as_ref().and_then(influx);
        let logs = options.exporters.logger.is_some();
        if influx.is_some() || logs {
            let views = views.clone();
            let InfluxOptions { service_name: instance, ping: pings, .. } =
                options.exporters.influxdb.unwrap_or_default();
            common.leave_task(Box::new(Reporter { views, period, influx, instance, logs, pings }));
        }
        let settings = Settings {
            layers: options.enabled_layers.unwrap_or_default(),
            sample_rate: options.sample_rate,
            tags: options
                .exporters
                .prometheus
                .as_ref()
                .map(options::PrometheusOptions::tags)
                .unwrap_or_default(),
            logs_spans: logs,
        };
        let paths = common.get::<Paths>();
        draft.watchers.push(Box::new(move |plan, _| {
            let log = plan.common.log().cloned();
            let census = Census::new(plan, &settings, &paths, &views, spans.clone(), log);
            Box::new(census) as Box<dyn Watcher>
        }));
        problem.map_or(Ok(()), |problem| Err(Fallback::Skip(problem)))
    }
}

/// The first thing that makes no sense, or that is not offered.
fn problem_of(block: &Block, options: &Options) -> Option<Problem> {
    let told = |path: &str, what: String, hint: &str| {
        Some(Problem::lenient(block.place_at(path), what).hint(hint.to_owned()))
    };
    let exporters = block.value.get("exporters").and_then(|exporters| exporters.as_object());
    for name in exporters.into_iter().flat_map(|exporters| exporters.keys()) {
        let path = format!("/exporters/{name}");
        match name.as_str() {
            "influxdb" | "logger" | "prometheus" | "zipkin" => {}
            "datadog" | "jaeger" | "ocagent" | "stackdriver" | "xray" => {
                let hint =
                    "telemetry/opentelemetry sends the same in OTLP; --lenient serves without it";
                return told(&path, format!("the exporter {name} is not offered"), hint);
            }
            _ => {
                let hint = "there are influxdb, logger, prometheus and zipkin";
                return told(&path, format!("there is no exporter {name}"), hint);
            }
        }
    }
    if !(0..=100).contains(&options.sample_rate) {
        let hint = "--lenient takes the nearest";
        return told("/sample_rate", "sample_rate must be 0 to 100".to_owned(), hint);
    }
    let exporters = &options.exporters;
    if exporters.zipkin.as_ref().is_some_and(|zipkin| !is_url(&zipkin.collector_url)) {
        let hint = "write it like \"http://zipkin:9411/api/v2/spans\"; --lenient sends no spans";
        return told("/exporters/zipkin/collector_url", "this is no URL".to_owned(), hint);
    }
    if exporters.influxdb.as_ref().is_some_and(|influx| address(&influx.address).is_none()) {
        let hint = "write it like \"http://influxdb:8086\"; --lenient sends nothing";
        return told("/exporters/influxdb/address", "this is no URL".to_owned(), hint);
    }
    None
}

/// A block of an endpoint or a backend.
fn compile_path(block: &Block, common: &Common) -> Result<(), Fallback> {
    let options: PathOptions = decode(block)?;
    let aggregation = match options.path_aggregation.as_str() {
        "lastparam" => Aggregation::LastParam,
        "off" => Aggregation::Off,
        _ => Aggregation::Pattern,
    };
    let index = |name: &str| -> Option<usize> {
        let steps = block.place.path.split('.');
        let mut digits = steps.filter_map(|step| step.strip_prefix(name)?.strip_suffix(']'));
        digits.next()?.parse().ok()
    };
    if let Some(endpoint) = index("endpoints[") {
        let paths = common.get::<Paths>();
        let mut paths = paths.0.lock().unwrap_or_else(PoisonError::into_inner);
        paths.insert((endpoint, index("backend[")), aggregation);
    }
    if matches!(options.path_aggregation.as_str(), "pattern" | "lastparam" | "off") {
        return Ok(());
    }
    let what = format!("{:?} is no way to show paths", options.path_aggregation);
    let problem = Problem::lenient(block.place_at("/path_aggregation"), what);
    Err(Fallback::Skip(problem.hint("it is pattern, lastparam or off; --lenient takes pattern")))
}

fn pages(views: Meter, namespace: String) -> Pages {
    let namespace: Arc<str> = namespace.into();
    Arc::new(move |asked| {
        (asked.path == "/metrics").then(|| Page {
            status: 200,
            content_type: CONTENT_TYPE,
            body: views::page(&views, &namespace).into_bytes(),
        })
    })
}

/// `None`: it cannot be written to.
fn influx(options: &InfluxOptions) -> Option<Influx> {
    let timeout = parse_duration(&options.timeout).ok();
    let timeout = timeout.filter(|ns| *ns > 0).map(|ns| Duration::from_nanos(ns.unsigned_abs()));
    let settings = InfluxSettings {
        address: address(&options.address)?,
        username: options.username.clone(),
        password: options.password.clone(),
        database: options.db.clone(),
        retention: String::new(),
        timeout: timeout.unwrap_or(TIMEOUT_DEFAULT),
        waiting_max: if options.buffer_size == 0 { BATCHES_MAX } else { options.buffer_size },
    };
    Influx::new(&settings).ok()
}

#[cfg(test)]
mod tests;
