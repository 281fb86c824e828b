//! The views of ochttp: what is counted of requests, by which tags, and how it is shown.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::control::influx::{Field, Lines};
use crate::control::vitals::Vitals;
use crate::shared::exposition::{Exposition, FamilyKind, label_name, metric_name};
use crate::shared::meter::{Counter, Histogram, Labels, Meter, Newcomer, Reading, Value};

/// In bytes.
const SIZES: &[f64] = &[
    1024.0,
    2048.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
    268_435_456.0,
    1_073_741_824.0,
    4_294_967_296.0,
];
/// In milliseconds.
const LATENCIES: &[f64] = &[
    1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 13.0, 16.0, 20.0, 25.0, 30.0, 40.0, 50.0, 65.0, 80.0,
    100.0, 130.0, 160.0, 200.0, 250.0, 300.0, 400.0, 500.0, 650.0, 800.0, 1000.0, 2000.0, 5000.0,
    10_000.0, 20_000.0, 50_000.0, 100_000.0,
];

const SERVER_REQUESTS: &str = "opencensus.io/http/server/request_count";
const SERVER_REQUEST_BYTES: &str = "opencensus.io/http/server/request_bytes";
const SERVER_RESPONSE_BYTES: &str = "opencensus.io/http/server/response_bytes";
const SERVER_LATENCY: &str = "opencensus.io/http/server/latency";
const SERVER_BY_METHOD: &str = "opencensus.io/http/server/request_count_by_method";
const SERVER_BY_STATUS: &str = "opencensus.io/http/server/response_count_by_status_code";
const CLIENT_SENT: &str = "opencensus.io/http/client/sent_bytes";
const CLIENT_RECEIVED: &str = "opencensus.io/http/client/received_bytes";
const CLIENT_LATENCY: &str = "opencensus.io/http/client/roundtrip_latency";
const CLIENT_COMPLETED: &str = "opencensus.io/http/client/completed_count";

/// What Prometheus shows beside the names.
const HELP: &[(&str, &str)] = &[
    (SERVER_REQUESTS, "Count of HTTP requests started"),
    (SERVER_REQUEST_BYTES, "Size distribution of HTTP request body"),
    (SERVER_RESPONSE_BYTES, "Size distribution of HTTP response body"),
    (SERVER_LATENCY, "Latency distribution of HTTP requests"),
    (SERVER_BY_METHOD, "Server request count by HTTP method"),
    (SERVER_BY_STATUS, "Server response count by status code"),
    (CLIENT_SENT, "Bytes sent in request bodies, by HTTP method and response status"),
    (CLIENT_RECEIVED, "Bytes received in response bodies, by HTTP method and response status"),
    (CLIENT_LATENCY, "End-to-end latency, by HTTP method and response status"),
    (CLIENT_COMPLETED, "Count of completed requests, by HTTP method and response status"),
];

/// Label sets of one kind that a core tells apart; others are counted together.
const SETS_MAX: usize = 1000;
/// The value of every label of those others.
const OTHER: &str = "other";

/// The tags that every view has, beside its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tags {
    pub host: bool,
    pub path: bool,
    pub method: bool,
    pub status: bool,
}

/// The values of a request's tags.
#[derive(Clone, Copy)]
pub(super) struct TagValues<'v> {
    pub host: &'v str,
    pub method: &'v str,
    pub path: &'v str,
    pub status: &'v str,
}

/// One core's counting.
pub(super) struct Views {
    meter: Meter,
    /// Series that the meter has not taken in yet: a core does not wait for it.
    newcomers: RefCell<Vec<Newcomer>>,
    tags: Tags,
    starts: Sets<Counter>,
    starts_by_method: Sets<Counter>,
    ends: Sets<ServerEnds>,
    ends_by_status: Sets<Counter>,
    calls: Sets<ClientEnds>,
}

struct ServerEnds {
    request_bytes: Histogram,
    response_bytes: Histogram,
    latency: Histogram,
}

struct ClientEnds {
    sent: Histogram,
    received: Histogram,
    latency: Histogram,
    completed: Counter,
}

/// The cells of one kind by the values of their labels.
struct Sets<T>(RefCell<HashMap<String, Rc<T>>>);

// === impl Views ===

impl Views {
    pub fn new(meter: &Meter, tags: Tags) -> Views {
        Views {
            meter: meter.clone(),
            newcomers: RefCell::default(),
            tags,
            starts: Sets::default(),
            starts_by_method: Sets::default(),
            ends: Sets::default(),
            ends_by_status: Sets::default(),
            calls: Sets::default(),
        }
    }

    /// A request was answered, in so many milliseconds.
    pub fn served(&self, values: &TagValues<'_>, request: u64, response: u64, latency_ms: f64) {
        let tags = self.tags;
        // A request has no status when it starts.
        let start = &TagValues { status: "", ..*values };
        let labels = server_labels(tags, start);
        self.starts.get(&labels, |labels| self.counter(SERVER_REQUESTS, labels)).increment();
        let labels = server_labels(Tags { method: true, ..tags }, start);
        let by_method = |labels: &Labels| self.counter(SERVER_BY_METHOD, labels);
        self.starts_by_method.get(&labels, by_method).increment();
        let labels = server_labels(tags, values);
        let ends = self.ends.get(&labels, |labels| ServerEnds {
            request_bytes: self.histogram(SERVER_REQUEST_BYTES, labels, SIZES),
            response_bytes: self.histogram(SERVER_RESPONSE_BYTES, labels, SIZES),
            latency: self.histogram(SERVER_LATENCY, labels, LATENCIES),
        });
        ends.request_bytes.record(request as f64);
        ends.response_bytes.record(response as f64);
        ends.latency.record(latency_ms);
        let labels = server_labels(Tags { status: true, ..tags }, values);
        let by_status = |labels: &Labels| self.counter(SERVER_BY_STATUS, labels);
        self.ends_by_status.get(&labels, by_status).increment();
        self.introduce();
    }

    /// An upstream has answered, in so many milliseconds.
    pub fn exchanged(&self, values: &TagValues<'_>, sent: u64, received: u64, latency_ms: f64) {
        let labels = client_labels(Tags { method: true, status: true, ..self.tags }, values);
        let calls = self.calls.get(&labels, |labels| ClientEnds {
            sent: self.histogram(CLIENT_SENT, labels, SIZES),
            received: self.histogram(CLIENT_RECEIVED, labels, SIZES),
            latency: self.histogram(CLIENT_LATENCY, labels, LATENCIES),
            completed: self.counter(CLIENT_COMPLETED, labels),
        });
        calls.sent.record(sent as f64);
        calls.received.record(received as f64);
        calls.latency.record(latency_ms);
        calls.completed.increment();
        self.introduce();
    }

    fn counter(&self, name: &'static str, labels: &Labels) -> Counter {
        let (counter, newcomer) = Counter::begin(name, labels.clone());
        self.newcomers.borrow_mut().push(newcomer);
        counter
    }

    fn histogram(&self, name: &'static str, labels: &Labels, bounds: &'static [f64]) -> Histogram {
        let (histogram, newcomer) = Histogram::begin(name, labels.clone(), bounds);
        self.newcomers.borrow_mut().push(newcomer);
        histogram
    }

    /// Has the meter take new series in, as far as nobody else is there.
    fn introduce(&self) {
        let mut newcomers = self.newcomers.borrow_mut();
        if !newcomers.is_empty() {
            newcomers.retain(|newcomer| !self.meter.try_take_in(newcomer));
        }
    }
}

type LabelList<'v> = Vec<(&'static str, &'v str)>;

fn server_labels<'v>(tags: Tags, values: &TagValues<'v>) -> LabelList<'v> {
    labels(tags, values, ["http.host", "http.method", "http.path", "http.status"])
}

fn client_labels<'v>(tags: Tags, values: &TagValues<'v>) -> LabelList<'v> {
    let names =
        ["http_client_host", "http_client_method", "http_client_path", "http_client_status"];
    labels(tags, values, names)
}

/// Sorted by name.
fn labels<'v>(tags: Tags, values: &TagValues<'v>, names: [&'static str; 4]) -> LabelList<'v> {
    let [host, method, path, status] = names;
    let all = [
        (tags.host, host, values.host),
        (tags.method, method, values.method),
        (tags.path, path, values.path),
        (tags.status, status, values.status),
    ];
    all.into_iter().filter(|(is_on, ..)| *is_on).map(|(_, name, value)| (name, value)).collect()
}

// === impl Sets ===

impl<T> Sets<T> {
    fn get(&self, labels: &[(&str, &str)], make: impl FnOnce(&Labels) -> T) -> Rc<T> {
        let key = |labels: &[(&str, &str)]| -> String {
            labels.iter().flat_map(|(_, value)| [*value, "\0"]).collect()
        };
        let mut sets = self.0.borrow_mut();
        if let Some(set) = sets.get(&key(labels)) {
            return set.clone();
        }
        let others: Vec<_> = labels.iter().map(|(name, _)| (*name, OTHER)).collect();
        let labels = if sets.len() < SETS_MAX { labels } else { others.as_slice() };
        sets.entry(key(labels)).or_insert_with(|| Rc::new(make(&to_labels(labels)))).clone()
    }
}

fn to_labels(labels: &[(&str, &str)]) -> Labels {
    labels.iter().map(|&(name, value)| (name.into(), value.into())).collect()
}

impl<T> Default for Sets<T> {
    fn default() -> Self {
        Sets(RefCell::default())
    }
}

/// All views, and the process, for Prometheus.
pub(super) fn page(views: &Meter, namespace: &str) -> String {
    let prefix = if namespace.is_empty() { String::new() } else { format!("{namespace}_") };
    let mut page = Exposition::default();
    let mut current = "";
    for reading in views.readings() {
        let name = metric_name(&format!("{prefix}{}", label_name(reading.name)));
        if reading.name != current {
            current = reading.name;
            let help = HELP.iter().find(|(name, _)| *name == current).map_or("", |(_, help)| help);
            page.family(&name, help, FamilyKind::of(&reading.value));
        }
        let labels = Reading { labels: cleaned(&reading.labels), ..reading };
        page.reading(&name, &labels);
    }
    Vitals::read().expose(&mut page);
    page.into_text()
}

fn cleaned(labels: &Labels) -> Labels {
    labels.iter().map(|(name, value)| (label_name(name).into(), value.clone())).collect()
}

/// All views for InfluxDB.
pub(super) fn lines(views: &Meter, instance: &str, now_s: u64) -> Lines {
    let mut lines = Lines::default();
    for reading in views.readings() {
        let labels = reading.labels.iter().map(|(name, value)| (&**name, &**value));
        let tags: Vec<_> = labels.chain([("instance", instance)]).collect();
        match &reading.value {
            Value::Counter(count) => {
                lines.point(reading.name, &tags, &[("count", Field::Integer(*count))], now_s);
            }
            Value::Gauge(value) => {
                let last = Field::Integer(value.unsigned_abs());
                lines.point(reading.name, &tags, &[("last", last)], now_s);
            }
            Value::Histogram { bounds, counts, sum } => {
                let count: u64 = counts.iter().sum();
                let mean = if count == 0 { 0.0 } else { sum / count as f64 };
                let fields = [
                    ("sum", Field::Float(*sum)),
                    ("count", Field::Integer(count)),
                    ("mean", Field::Float(mean)),
                ];
                lines.point(reading.name, &tags, &fields, now_s);
                let name = format!("{}_buckets", reading.name);
                for (bound, count) in bounds.iter().zip(counts).filter(|(_, count)| **count > 0) {
                    let bound = format!("{bound:.0}");
                    let tags: Vec<_> = tags.iter().copied().chain([("bucket", &*bound)]).collect();
                    lines.point(&name, &tags, &[("count", Field::Integer(*count))], now_s);
                }
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: TagValues<'_> =
        TagValues { host: "h", method: "GET", path: "/item/{id}", status: "200" };

    #[test]
    fn views_are_shown_under_their_names() {
        let meter = Meter::default();
        let views = Views::new(&meter, Tags { path: true, ..Tags::default() });
        views.served(&VALUES, 0, 2000, 1.5);
        views.served(&TagValues { status: "500", ..VALUES }, 10, 0, 7.0);
        views.exchanged(&VALUES, 0, 20, 0.5);
        let page = page(&meter, "ns");
        for line in [
            "# TYPE ns_opencensus_io_http_server_request_count counter",
            "ns_opencensus_io_http_server_request_count{http_path=\"/item/{id}\"} 2",
            "ns_opencensus_io_http_server_request_count_by_method{http_method=\"GET\",http_path=\"/item/{id}\"} 2",
            "ns_opencensus_io_http_server_response_count_by_status_code{http_path=\"/item/{id}\",http_status=\"500\"} 1",
            "ns_opencensus_io_http_server_latency_bucket{http_path=\"/item/{id}\",le=\"2\"} 1",
            "ns_opencensus_io_http_server_response_bytes_sum{http_path=\"/item/{id}\"} 2000",
            "ns_opencensus_io_http_client_completed_count{http_client_method=\"GET\",\
             http_client_path=\"/item/{id}\",http_client_status=\"200\"} 1",
            "# TYPE process_cpu_seconds_total counter",
        ] {
            assert!(page.lines().any(|each| each == line), "{line} is not in\n{page}");
        }
        let families = page.lines().filter(|line| line.starts_with("# TYPE ns_")).count();
        assert_eq!(families, HELP.len(), "each begins once");
    }

    #[test]
    fn views_are_points_for_influx() {
        let meter = Meter::default();
        let views = Views::new(&meter, Tags::default());
        views.exchanged(&VALUES, 0, 20, 7.0);
        let lines = lines(&meter, "node 1", 1_700_000_000);
        let tags = "http_client_method=GET,http_client_status=200,instance=node\\ 1";
        for line in [
            format!("opencensus.io/http/client/completed_count,{tags} count=1i 1700000000"),
            format!(
                "opencensus.io/http/client/roundtrip_latency,{tags} count=1i,mean=7,sum=7 1700000000"
            ),
            format!(
                "opencensus.io/http/client/roundtrip_latency_buckets,bucket=8,{tags} count=1i 1700000000"
            ),
        ] {
            let text = lines.as_text();
            assert!(text.lines().any(|each| each == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn paths_without_end_are_counted_together() {
        let meter = Meter::default();
        let views = Views::new(&meter, Tags { path: true, ..Tags::default() });
        for number in 0..SETS_MAX + 20 {
            views.served(&TagValues { path: &number.to_string(), ..VALUES }, 0, 0, 1.0);
        }
        let readings = meter.readings();
        let starts = readings.iter().filter(|reading| reading.name == SERVER_REQUESTS);
        assert_eq!(starts.clone().count(), SETS_MAX + 1);
        let other = starts.clone().find(|reading| &*reading.labels[0].1 == OTHER).expect("there");
        assert_eq!(other.value, Value::Counter(20));
    }
}
