//! The page that Prometheus scrapes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use super::encode::sum_of;
use super::instruments::Instrument;
use super::options::PrometheusOptions;
use super::{SCOPE, Settings};
use crate::control::page_server::{Page, PageServer};
use crate::control::process::{self, Account};
use crate::control::task::BoxFuture;
use crate::control::{Task, TaskEnv, TaskError};
use crate::shared::exposition::{CONTENT_TYPE, Exposition, FamilyKind, label_name};
use crate::shared::meter::{Meter, Reading, Value};
use crate::shared::metric;

/// Serves `/metrics`.
pub struct PrometheusServer {
    name: String,
    address: IpAddr,
    options: PrometheusOptions,
    settings: Arc<Settings>,
    server: Option<PageServer>,
}

// === impl PrometheusServer ===

impl PrometheusServer {
    /// `None`: the host is no address.
    pub fn new(options: PrometheusOptions, settings: Arc<Settings>) -> Option<PrometheusServer> {
        let address = match options.host.as_str() {
            "" => Ipv6Addr::UNSPECIFIED.into(),
            "localhost" => Ipv4Addr::LOCALHOST.into(),
            host => host.trim_start_matches('[').trim_end_matches(']').parse().ok()?,
        };
        let name = format!("OpenTelemetry prometheus {}", options.name);
        Some(PrometheusServer { name, address, options, settings, server: None })
    }
}

impl Task for PrometheusServer {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_exclusive(&self) -> bool {
        true
    }

    fn run(&mut self, env: TaskEnv) -> BoxFuture<'_, Result<(), TaskError>> {
        let mut address = self.address;
        // All interfaces, on a machine without the newer protocol.
        if self.options.host.is_empty() && TcpListener::bind((address, 0)).is_err() {
            address = Ipv4Addr::UNSPECIFIED.into();
        }
        let address = SocketAddr::new(address, self.options.port());
        let (meter, settings) = (env.meter.clone(), self.settings.clone());
        let (measures, tells_process) =
            (!self.options.disable_metrics, self.options.process_metrics);
        let pages = Arc::new(move |asked: &_| {
            let asked: &crate::control::page_server::Asked = asked;
            (asked.path == "/metrics").then(|| {
                let text = page(&settings, &meter, measures, tells_process);
                Page { status: 200, content_type: CONTENT_TYPE, body: text.into_bytes() }
            })
        });
        let server = PageServer::new(self.name.clone(), address, pages);
        self.server.insert(server).run(env)
    }
}

pub fn page(settings: &Settings, meter: &Meter, measures: bool, tells_process: bool) -> String {
    let mut page = Exposition::default();
    if measures {
        let readings = meter.readings();
        for family in readings.chunk_by(|one, next| one.name == next.name) {
            if let Some(known) = Instrument::named(family[0].name) {
                instrument(&mut page, settings, known, family);
            }
        }
        page.family("otel_scope_info", "Who measures.", FamilyKind::Gauge);
        page.series("otel_scope_info", SCOPE_LABELS, 1.0);
        let labels: Vec<(String, &str)> =
            settings.resource.iter().map(|(key, value)| (label_name(key), &**value)).collect();
        page.family("target_info", "The service that is measured.", FamilyKind::Gauge);
        let labels = labels.iter().map(|(key, value)| (key.as_str(), *value));
        page.series("target_info", labels, 1.0);
        own(&mut page, &readings);
    }
    if tells_process {
        of_process(&mut page, &process::account());
    }
    page.into_text()
}

const SCOPE_LABELS: [(&str, &str); 2] = [("otel_scope_name", SCOPE), ("otel_scope_version", "")];

/// The series of one instrument, and of the counter that the original keeps beside it.
fn instrument(page: &mut Exposition, settings: &Settings, known: &Instrument, all: &[Reading]) {
    let Some(first) = all.first() else { return };
    let is_counter = matches!(first.value, Value::Counter(_));
    let name = known.prometheus_name(settings.is_new, is_counter);
    page.family(&name, known.help, FamilyKind::of(&first.value));
    for reading in all {
        series(page, &name, reading);
    }
    let sums: Vec<(&Instrument, Reading)> = all.iter().filter_map(sum_of).collect();
    let Some((known, _)) = sums.first() else { return };
    let name = known.prometheus_name(settings.is_new, true);
    page.family(&name, known.help, FamilyKind::Counter);
    for (_, reading) in &sums {
        series(page, &name, reading);
    }
}

fn series(page: &mut Exposition, name: &str, reading: &Reading) {
    let labels: Vec<(String, &str)> =
        reading.labels.iter().map(|(name, value)| (label_name(name), &**value)).collect();
    let labels = labels.iter().map(|(name, value)| (name.as_str(), *value)).chain(SCOPE_LABELS);
    match &reading.value {
        Value::Counter(count) => page.series(name, labels, *count as f64),
        Value::Gauge(value) => page.series(name, labels, *value as f64),
        Value::Histogram { counts, sum, .. } if counts.is_empty() => {
            page.series(name, labels, *sum);
        }
        Value::Histogram { bounds, counts, sum } => {
            page.histogram(name, labels, (bounds, counts), *sum);
        }
    }
}

/// What the gateway counts of itself.
fn own(page: &mut Exposition, readings: &[Reading]) {
    let version = env!("CARGO_PKG_VERSION");
    page.family("shoal_build_info", "The program.", FamilyKind::Gauge);
    page.series("shoal_build_info", [("version", version)], 1.0);
    for known in metric::ALL {
        let mut all = readings.iter().filter(|reading| reading.name == known.name).peekable();
        if let Some(first) = all.peek() {
            page.family(known.name, known.help, FamilyKind::of(&first.value));
        }
        for reading in all {
            page.reading(known.name, reading);
        }
    }
}

/// As the standard collector of Prometheus' clients has it.
fn of_process(page: &mut Exposition, account: &Account) {
    let mut add = |name: &str, help: &str, kind, value: f64| {
        page.family(name, help, kind);
        page.series(name, [], value);
    };
    let unbound = |max: Option<u64>| max.map_or(-1.0, |max| max as f64);
    let (counter, gauge) = (FamilyKind::Counter, FamilyKind::Gauge);
    let help = "Total user and system CPU time spent in seconds.";
    add("process_cpu_seconds_total", help, counter, account.cpu_s);
    let help = "Maximum number of open file descriptors.";
    add("process_max_fds", help, gauge, unbound(account.descriptors_max));
    let help = "Number of open file descriptors.";
    add("process_open_fds", help, gauge, account.descriptors as f64);
    let help = "Resident memory size in bytes.";
    add("process_resident_memory_bytes", help, gauge, account.resident_bytes as f64);
    let help = "Start time of the process since unix epoch in seconds.";
    add("process_start_time_seconds", help, gauge, account.started_s);
    let help = "Virtual memory size in bytes.";
    add("process_virtual_memory_bytes", help, gauge, account.virtual_bytes as f64);
    let help = "Maximum amount of virtual memory available in bytes.";
    add("process_virtual_memory_max_bytes", help, gauge, unbound(account.virtual_bytes_max));
}

#[cfg(test)]
mod tests {
    use super::super::instruments::{READ_SIZE, SIZES, STARTED};
    use super::*;

    #[test]
    fn a_page_has_series_with_their_scope_and_nothing_of_others() {
        let meter = Meter::default();
        let started = meter.counter(STARTED.name, &[("http.route", "/a\"b")]);
        started.increment();
        let read = meter.histogram(READ_SIZE.name, &[], SIZES);
        read.record(200.0);
        let _foreign = meter.counter("somebody.else", &[]);
        let refused = meter.counter(metric::REFUSED_CALLS.name, &[("reason", "x")]);
        refused.add(2);
        let resource = vec![("service.name".into(), "s".into())];
        let settings = Settings { resource, ..Settings::default() };
        let text = page(&settings, &meter, true, true);
        for line in [
            "# TYPE http_client_request_started_count_total counter",
            "http_client_request_started_count_total{http_route=\"/a\\\"b\",\
             otel_scope_name=\"io.krakend.krakend-otel\",otel_scope_version=\"\"} 1",
            "# TYPE http_client_response_read_size_hist histogram",
            "http_client_response_read_size_total{otel_scope_name=\"io.krakend.krakend-otel\",\
             otel_scope_version=\"\"} 200",
            "target_info{service_name=\"s\"} 1",
            "shoal_refused_calls_total{reason=\"x\"} 2",
            "# TYPE process_cpu_seconds_total counter",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("somebody"));
        assert!(!page(&settings, &meter, false, false).contains("http_"));
    }
}
