//! `Measures`: one core's metrics of requests. A series is found by index and by short comparisons, never by a made-up text.

use std::cell::{OnceCell, RefCell};
use std::sync::Arc;

use super::Settings;
use super::instruments::{self as known, Cells, Instrument, SIZES, TIMES};
use super::layout::{BackendLayout, EndpointLayout, Layout};
use super::options::fixed;
use crate::message::status;
use crate::shared::meter::{Counter, Histogram, Meter};
use crate::stage::Cause;
use crate::stage::ids::{BackendId, EndpointId};
use crate::stage::watch::{BodyRead, Called, End, Exchanged, Piped, Route, Served, Timed};

/// What is counted by name; everything else is `_OTHER`.
const METHODS: [&str; 9] =
    ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];
const OTHER: &str = "_OTHER";
/// Series of one route or one backend on a core; what is above is counted with the status 0.
const SERIES_OF_ONE_MAX: usize = 100;

pub struct Measures {
    settings: Arc<Settings>,
    layout: Arc<Layout>,
    cells: Cells,
    /// By endpoint; the last for what reaches none.
    served: Vec<RefCell<Vec<ServedSeries>>>,
    endpoints: Vec<EndpointSeries>,
}

struct ServedSeries {
    method: &'static str,
    status: u16,
    duration: Histogram,
    size: Histogram,
}

struct EndpointSeries {
    duration: Ends,
    backends: Vec<BackendSeries>,
}

#[derive(Default)]
struct BackendSeries {
    duration: Ends,
    exchanges: RefCell<Vec<ExchangeSeries>>,
    /// Of bodies that were read, and of those that broke off.
    read: OnceCell<ReadSeries>,
    broken: OnceCell<ReadSeries>,
}

/// By error, canceled and complete.
type Ends = [OnceCell<Histogram>; 8];

struct ExchangeSeries {
    method: Box<str>,
    authority: Box<str>,
    status: u16,
    labels: Vec<(Box<str>, Box<str>)>,
    duration: Histogram,
    started: Option<Counter>,
    request_size: OnceCell<Size>,
    response_size: OnceCell<Histogram>,
    no_length: OnceCell<Counter>,
    failed: OnceCell<Counter>,
    canceled: OnceCell<Counter>,
    timed_out: OnceCell<Counter>,
    connecting: OnceCell<[Histogram; 3]>,
}

enum Size {
    Sum(Counter),
    Each(Histogram),
}

struct ReadSeries {
    size: Histogram,
    time: Histogram,
    errors: Option<Counter>,
}

// === impl Measures ===

impl Measures {
    pub fn new(settings: Arc<Settings>, layout: Arc<Layout>, meter: &Meter) -> Measures {
        let endpoints = layout.endpoints.iter().map(|endpoint| EndpointSeries {
            duration: Ends::default(),
            backends: endpoint.backends.iter().map(|_| BackendSeries::default()).collect(),
        });
        let served = (0..=layout.endpoints.len()).map(|_| RefCell::default());
        Measures {
            endpoints: endpoints.collect(),
            served: served.collect(),
            settings,
            layout,
            cells: Cells::new(meter),
        }
    }

    pub fn served(&self, told: &Served<'_>) {
        self.cells.settle();
        if self.settings.global.disable_metrics {
            return;
        }
        let id = endpoint_of(told.route);
        let index = id.map_or(self.layout.endpoints.len(), EndpointId::index);
        let Some(all) = self.served.get(index) else { return };
        let (method, status) = (method_name(told.method), told.status);
        let mut all = all.borrow_mut();
        let place = all.iter().position(|one| one.status == status && one.method == method);
        let place = place.unwrap_or_else(|| {
            let is_full = all.len() >= SERIES_OF_ONE_MAX;
            let (method, status) = if is_full { (OTHER, 0) } else { (method, status) };
            if let Some(rest) = all.iter().rposition(|one| is_full && one.status == 0) {
                return rest;
            }
            all.push(self.new_served(id, method, status));
            all.len() - 1
        });
        if let Some(one) = all.get(place) {
            one.duration.record(seconds(told.timed));
            one.size.record(told.body_bytes as f64);
        }
    }

    pub fn piped(&self, told: &Piped<'_>) {
        let Some(layout) = self.layout.endpoint(told.endpoint) else { return };
        if layout.is_skipped || layout.pipe.disable_metrics {
            return;
        }
        let Some(series) = self.endpoints.get(told.endpoint.index()) else { return };
        self.record_end(&series.duration, &known::PROXY_DURATION, &told.end, told.timed, || {
            let mut labels =
                vec![("http.request.method", &*layout.method), ("http.route", &*layout.route)];
            labels.extend(fixed(&layout.pipe.metrics_static_attributes));
            labels
        });
    }

    pub fn called(&self, told: &Called<'_>) {
        let Some((endpoint, layout)) = self.layout.backend(told.backend) else { return };
        if endpoint.is_skipped || layout.metrics.disable_stage {
            return;
        }
        let Some(series) = self.backend(told.backend) else { return };
        self.record_end(&series.duration, &known::BACKEND_DURATION, &told.end, told.timed, || {
            layout.metric_labels(endpoint)
        });
    }

    pub fn exchanged(&self, told: &Exchanged<'_>) {
        let Some((endpoint, layout)) = self.layout.backend(told.backend) else { return };
        if endpoint.is_skipped || !layout.metrics.has_exchanges() {
            return;
        }
        let Some(series) = self.backend(told.backend) else { return };
        let mut all = series.exchanges.borrow_mut();
        let place = all.iter().position(|one| {
            one.status == told.status
                && *one.authority == *told.authority
                && *one.method == *told.method
        });
        let place = place.unwrap_or_else(|| {
            let is_full = all.len() >= SERIES_OF_ONE_MAX;
            if let Some(rest) = all.iter().rposition(|one| is_full && one.authority.is_empty()) {
                return rest;
            }
            let one = if is_full {
                self.new_exchange(endpoint, layout, OTHER, "", false, 0)
            } else {
                let (method, authority) = (told.method, told.authority);
                self.new_exchange(endpoint, layout, method, authority, told.is_tls, told.status)
            };
            all.push(one);
            all.len() - 1
        });
        if let Some(one) = all.get(place) {
            self.record_exchange(one, layout, told);
        }
    }

    pub fn body_read(&self, told: &BodyRead<'_>) {
        let Some((endpoint, layout)) = self.layout.backend(told.backend) else { return };
        if endpoint.is_skipped || !layout.metrics.read_payload {
            return;
        }
        let Some(series) = self.backend(told.backend) else { return };
        let place = if told.is_broken { &series.broken } else { &series.read };
        let one = place.get_or_init(|| {
            let mut labels = layout.metric_labels(endpoint);
            if told.is_broken {
                labels.push(("error", "true"));
            }
            let errors = told.is_broken.then(|| self.cells.counter(&known::READ_ERRORS, &labels));
            ReadSeries {
                size: self.cells.histogram(&known::READ_SIZE, &labels, SIZES),
                time: self.cells.histogram(&known::READ_TIME, &labels, TIMES),
                errors,
            }
        });
        one.size.record(told.bytes as f64);
        one.time.record(seconds(told.timed));
        if let Some(errors) = &one.errors {
            errors.increment();
        }
    }

    fn backend(&self, id: BackendId) -> Option<&BackendSeries> {
        let (endpoint, place) = id.parts();
        self.endpoints.get(endpoint)?.backends.get(place)
    }

    fn record_end<'l>(
        &self,
        ends: &Ends,
        instrument: &'static Instrument,
        end: &End<'_>,
        timed: Timed,
        labels: impl FnOnce() -> Vec<(&'l str, &'l str)>,
    ) {
        let (is_error, is_canceled) = kind_of(end);
        let index =
            usize::from(is_error) * 4 + usize::from(is_canceled) * 2 + usize::from(end.is_complete);
        let Some(place) = ends.get(index) else { return };
        let cell = place.get_or_init(|| {
            let mut labels = labels();
            labels.push(("error", flag(is_error)));
            labels.push(("canceled", flag(is_canceled)));
            labels.push(("complete", flag(end.is_complete)));
            self.cells.histogram(instrument, &labels, TIMES)
        });
        cell.record(seconds(timed));
    }

    fn new_served(
        &self,
        id: Option<EndpointId>,
        method: &'static str,
        status: u16,
    ) -> ServedSeries {
        let endpoint = id.and_then(|id| self.layout.endpoint(id));
        let text = format!("{status} {}", status::reason(status));
        let code = status.to_string();
        let mut labels: Vec<(&str, &str)> =
            fixed(&self.settings.global.metrics_static_attributes).collect();
        labels.extend(endpoint.iter().flat_map(|one| fixed(&one.metrics_attributes)));
        labels.extend([
            ("http.request.method", method),
            ("url.scheme", "http"),
            ("http.route", endpoint.map_or(&*text, |one| &one.route)),
            ("http.response.status_code", &*code),
        ]);
        let (duration, size) = if self.settings.is_new {
            (&known::NEW_SERVER_DURATION, &known::NEW_SERVER_SIZE)
        } else {
            (&known::SERVER_DURATION, &known::SERVER_SIZE)
        };
        ServedSeries {
            method,
            status,
            duration: self.cells.histogram(duration, &labels, TIMES),
            size: self.cells.histogram(size, &labels, SIZES),
        }
    }

    fn new_exchange(
        &self,
        endpoint: &EndpointLayout,
        layout: &BackendLayout,
        method: &str,
        authority: &str,
        is_tls: bool,
        status: u16,
    ) -> ExchangeSeries {
        let (address, port) = address_and_port(authority, is_tls);
        let code = status.to_string();
        let mut labels = layout.metric_labels(endpoint);
        labels.extend([
            ("clientname", &*layout.pattern),
            ("http.request.method", method),
            ("server.address", address),
            ("server.port", port),
            ("http.response.status_code", &*code),
        ]);
        let is_new = self.settings.is_new;
        let duration = if is_new { &known::NEW_CLIENT_DURATION } else { &known::CLIENT_DURATION };
        let counts = !is_new || layout.metrics.detailed_connection;
        ExchangeSeries {
            method: method.into(),
            authority: authority.into(),
            status,
            duration: self.cells.histogram(duration, &labels, TIMES),
            started: counts.then(|| self.cells.counter(&known::STARTED, &labels)),
            labels: labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
            request_size: OnceCell::new(),
            response_size: OnceCell::new(),
            no_length: OnceCell::new(),
            failed: OnceCell::new(),
            canceled: OnceCell::new(),
            timed_out: OnceCell::new(),
            connecting: OnceCell::new(),
        }
    }

    fn record_exchange(&self, one: &ExchangeSeries, layout: &BackendLayout, told: &Exchanged<'_>) {
        let is_new = self.settings.is_new;
        let is_detailed = layout.metrics.detailed_connection;
        let counts = !is_new || is_detailed;
        one.duration.record(seconds(told.timed));
        if let Some(started) = &one.started {
            started.increment();
        }
        if let Some(bytes) = told.request_bytes {
            let size = one.request_size.get_or_init(|| {
                if is_new {
                    Size::Each(self.histogram(one, &known::NEW_REQUEST_SIZE, SIZES))
                } else {
                    Size::Sum(self.counter(one, &known::REQUEST_SIZE))
                }
            });
            match size {
                Size::Sum(sum) => sum.add(bytes),
                Size::Each(sizes) => sizes.record(bytes as f64),
            }
        }
        let count = |cell: &OnceCell<Counter>, instrument| {
            cell.get_or_init(|| self.counter(one, instrument)).increment();
        };
        if counts && told.status == 0 {
            if told.is_canceled {
                count(&one.canceled, &known::CANCELED);
            } else {
                count(&one.failed, &known::FAILED);
                if told.is_timed_out {
                    count(&one.timed_out, &known::TIMED_OUT);
                }
            }
        }
        if told.status != 0 && told.method != "HEAD" {
            match told.response_bytes {
                Some(bytes) => {
                    let instrument =
                        if is_new { &known::NEW_RESPONSE_SIZE } else { &known::RESPONSE_SIZE };
                    let cell = &one.response_size;
                    let sizes = cell.get_or_init(|| self.histogram(one, instrument, SIZES));
                    sizes.record(bytes as f64);
                }
                None if counts => count(&one.no_length, &known::NO_LENGTH),
                None => {}
            }
        }
        if is_detailed {
            let [get, names, tls] = one.connecting.get_or_init(|| {
                [&known::GET_CONN, &known::DNS, &known::TLS]
                    .map(|instrument| self.histogram(one, instrument, TIMES))
            });
            get.record(of_ns(told.connecting.got_after_ns));
            names.record(of_ns(told.connecting.names_ns));
            tls.record(of_ns(told.connecting.tls_ns));
        }
    }

    fn histogram(
        &self,
        one: &ExchangeSeries,
        instrument: &'static Instrument,
        bounds: &'static [f64],
    ) -> Histogram {
        self.cells.histogram(instrument, &one.labels(), bounds)
    }

    fn counter(&self, one: &ExchangeSeries, instrument: &'static Instrument) -> Counter {
        self.cells.counter(instrument, &one.labels())
    }
}

// === impl ExchangeSeries ===

impl ExchangeSeries {
    fn labels(&self) -> Vec<(&str, &str)> {
        self.labels.iter().map(|(name, value)| (&**name, &**value)).collect()
    }
}

/// The endpoint that answered, if one did.
pub fn endpoint_of(route: Route) -> Option<EndpointId> {
    match route {
        Route::Endpoint(id) => Some(id),
        _ => None,
    }
}

/// Whether it failed, and whether it was given up: a merge can be both.
pub fn kind_of(end: &End<'_>) -> (bool, bool) {
    match end.failure {
        None => (false, end.is_canceled),
        Some(failure) if failure.cause == Cause::ClientGone => (false, true),
        Some(_) => (true, end.is_canceled),
    }
}

fn flag(is_set: bool) -> &'static str {
    if is_set { "true" } else { "false" }
}

fn method_name(method: &[u8]) -> &'static str {
    let found = METHODS.iter().find(|known| known.as_bytes().eq_ignore_ascii_case(method));
    found.copied().unwrap_or(OTHER)
}

/// Of `host:port`; the port of the scheme where none is named.
pub fn address_and_port(authority: &str, is_tls: bool) -> (&str, &str) {
    let default = if is_tls { "443" } else { "80" };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority, default),
    };
    (
        host.trim_start_matches('[').trim_end_matches(']'),
        if port.is_empty() { default } else { port },
    )
}

fn seconds(timed: Timed) -> f64 {
    of_ns(timed.ended_ns.saturating_sub(timed.began_ns))
}

fn of_ns(ns: u64) -> f64 {
    ns as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_bounded() {
        assert_eq!(method_name(b"get"), "GET");
        assert_eq!(method_name(b"BREW"), "_OTHER");
    }

    #[test]
    fn an_authority_has_an_address_and_a_port() {
        assert_eq!(address_and_port("a.example:81", false), ("a.example", "81"));
        assert_eq!(address_and_port("a.example", true), ("a.example", "443"));
        assert_eq!(address_and_port("[::1]:81", false), ("::1", "81"));
        assert_eq!(address_and_port("[::1]", false), ("::1", "80"));
    }
}
