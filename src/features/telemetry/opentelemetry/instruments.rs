//! What is measured: names, units and help texts as the original has them, and the cells of one core.

use std::cell::{Cell, RefCell};

use crate::shared::exposition::metric_name;
use crate::shared::meter::{Counter, Histogram, Labels, Meter, Newcomer};

/// In seconds.
pub const TIMES: &[f64] = &[
    0.01, 0.02, 0.05, 0.075, 0.1, 0.125, 0.15, 0.175, 0.2, 0.25, 0.3, 0.35, 0.5, 0.75, 1.0, 1.5,
    2.0, 3.5, 5.0, 10.0,
];
/// In bytes.
pub const SIZES: &[f64] = &[
    128.0,
    256.0,
    512.0,
    1024.0,
    4096.0,
    8192.0,
    16384.0,
    32768.0,
    65536.0,
    262_144.0,
    524_288.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// One instrument of OpenTelemetry.
#[derive(Debug)]
pub struct Instrument {
    pub name: &'static str,
    /// As the plain convention has it, and that of 1.27.
    units: (&'static str, &'static str),
    pub help: &'static str,
}

const fn instrument(
    name: &'static str,
    units: (&'static str, &'static str),
    help: &'static str,
) -> Instrument {
    Instrument { name, units, help }
}

pub static SERVER_DURATION: Instrument =
    instrument("http.server.duration", ("", ""), "Time to answer a client, in seconds.");
pub static SERVER_SIZE: Instrument =
    instrument("http.server.response.size", ("", ""), "Body of the answer to a client, in bytes.");
pub static NEW_SERVER_DURATION: Instrument =
    instrument("http.server.request.duration", ("s", "s"), "Duration of HTTP server requests.");
pub static NEW_SERVER_SIZE: Instrument = instrument(
    "http.server.response.body.size",
    ("By", "By"),
    "Size of HTTP server response bodies.",
);
pub static PROXY_DURATION: Instrument =
    instrument("krakend.proxy.duration", ("", ""), "Time of an endpoint's pipe, in seconds.");
pub static BACKEND_DURATION: Instrument = instrument(
    "krakend.backend.duration",
    ("", ""),
    "Time of a call to a backend with all that is around it, in seconds.",
);
pub static CLIENT_DURATION: Instrument = instrument(
    "http.client.duration",
    ("", ""),
    "Time until the head of an upstream's answer, in seconds.",
);
pub static NEW_CLIENT_DURATION: Instrument =
    instrument("http.client.request.duration", ("s", "s"), "Duration of HTTP client requests.");
pub static REQUEST_SIZE: Instrument =
    instrument("http.client.request.size", ("", ""), "Bodies sent to upstreams, in bytes.");
pub static NEW_REQUEST_SIZE: Instrument = instrument(
    "http.client.request.body.size",
    ("By", "By"),
    "Size of HTTP client request bodies.",
);
pub static RESPONSE_SIZE: Instrument = instrument(
    "http.client.response.size",
    ("", ""),
    "Length that upstreams announce for their answers, in bytes.",
);
pub static NEW_RESPONSE_SIZE: Instrument = instrument(
    "http.client.response.body.size",
    ("By", "By"),
    "Size of HTTP client response bodies.",
);
pub static NO_LENGTH: Instrument = instrument(
    "http.client.response.no-content-length",
    ("", "By"),
    "Answers of upstreams that announce no length.",
);
pub static STARTED: Instrument =
    instrument("http.client.request.started.count", ("", ""), "Requests to upstreams.");
pub static FAILED: Instrument = instrument(
    "http.client.request.failed.count",
    ("", ""),
    "Requests to upstreams that no answer came for, time-outs included.",
);
pub static CANCELED: Instrument = instrument(
    "http.client.request.canceled.count",
    ("", ""),
    "Requests to upstreams that were given up.",
);
pub static TIMED_OUT: Instrument = instrument(
    "http.client.request.timedout.count",
    ("", ""),
    "Requests to upstreams that no answer came for in time.",
);
pub static GET_CONN: Instrument = instrument(
    "http.client.request.get-conn.duration",
    ("", "s"),
    "Time until a request had a connection, in seconds.",
);
pub static DNS: Instrument = instrument(
    "http.client.request.dns.duration",
    ("", "s"),
    "Time until a name's addresses were known, in seconds.",
);
pub static TLS: Instrument = instrument(
    "http.client.request.tls.duration",
    ("", "s"),
    "Time of the TLS handshake, in seconds.",
);
pub static READ_SIZE: Instrument = instrument(
    "http.client.response.read.size-hist",
    ("b", "b"),
    "What was read of an upstream's body, in bytes.",
);
pub static READ_TIME: Instrument = instrument(
    "http.client.response.read.time-hist",
    ("s", "s"),
    "Time to read an upstream's body.",
);
pub static READ_ERRORS: Instrument =
    instrument("http.client.response.read.errors", ("", ""), "Bodies of upstreams that broke off.");
/// The sums of the histograms, which the original counts once more.
pub static READ_SIZE_SUM: Instrument = instrument(
    "http.client.response.read.size",
    ("b", "b"),
    "Bytes that were read of upstreams' bodies.",
);
pub static READ_TIME_SUM: Instrument = instrument(
    "http.client.response.read.time",
    ("s", "s"),
    "Time that reading upstreams' bodies took.",
);

/// All that have cells.
static ALL: [&Instrument; 23] = [
    &SERVER_DURATION,
    &SERVER_SIZE,
    &NEW_SERVER_DURATION,
    &NEW_SERVER_SIZE,
    &PROXY_DURATION,
    &BACKEND_DURATION,
    &CLIENT_DURATION,
    &NEW_CLIENT_DURATION,
    &REQUEST_SIZE,
    &NEW_REQUEST_SIZE,
    &RESPONSE_SIZE,
    &NEW_RESPONSE_SIZE,
    &NO_LENGTH,
    &STARTED,
    &FAILED,
    &CANCELED,
    &TIMED_OUT,
    &GET_CONN,
    &DNS,
    &TLS,
    &READ_SIZE,
    &READ_TIME,
    &READ_ERRORS,
];

/// Makes series for one core when they are needed first; they enter the registry without waiting for it.
pub struct Cells {
    meter: Meter,
    newcomers: RefCell<Vec<Newcomer>>,
    has_newcomers: Cell<bool>,
}

// === impl Instrument ===

impl Instrument {
    pub fn named(name: &str) -> Option<&'static Instrument> {
        ALL.iter().copied().find(|one| one.name == name)
    }

    pub fn unit(&self, is_new: bool) -> &'static str {
        if is_new { self.units.1 } else { self.units.0 }
    }

    /// The name as Prometheus has it: with the unit, and what counters end in.
    pub fn prometheus_name(&self, is_new: bool, is_counter: bool) -> String {
        let unit = match self.unit(is_new) {
            "s" => "_seconds",
            "By" => "_bytes",
            _ => "",
        };
        let total = if is_counter { "_total" } else { "" };
        format!("{}{unit}{total}", metric_name(self.name))
    }
}

// === impl Cells ===

impl Cells {
    pub fn new(meter: &Meter) -> Cells {
        let newcomers = RefCell::new(Vec::new());
        Cells { meter: meter.clone(), newcomers, has_newcomers: Cell::new(false) }
    }

    pub fn histogram(
        &self,
        instrument: &'static Instrument,
        labels: &[(&str, &str)],
        bounds: &'static [f64],
    ) -> Histogram {
        let (cell, newcomer) = Histogram::begin(instrument.name, sorted(labels), bounds);
        self.enter(newcomer);
        cell
    }

    pub fn counter(&self, instrument: &'static Instrument, labels: &[(&str, &str)]) -> Counter {
        let (cell, newcomer) = Counter::begin(instrument.name, sorted(labels));
        self.enter(newcomer);
        cell
    }

    /// Has those taken in that found somebody at the registry.
    #[inline]
    pub fn settle(&self) {
        if self.has_newcomers.get() {
            self.settle_now();
        }
    }

    #[cold]
    fn settle_now(&self) {
        let mut waiting = self.newcomers.borrow_mut();
        waiting.retain(|newcomer| !self.meter.try_take_in(newcomer));
        self.has_newcomers.set(!waiting.is_empty());
    }

    fn enter(&self, newcomer: Newcomer) {
        if !self.meter.try_take_in(&newcomer) {
            self.newcomers.borrow_mut().push(newcomer);
            self.has_newcomers.set(true);
        }
    }
}

/// In the order of their names; the last value of a name counts.
fn sorted(labels: &[(&str, &str)]) -> Labels {
    let mut sorted: Vec<(&str, &str)> = Vec::with_capacity(labels.len());
    for (name, value) in labels {
        match sorted.iter_mut().find(|(known, _)| known == name) {
            Some(known) => known.1 = value,
            None => sorted.push((name, value)),
        }
    }
    sorted.sort_unstable();
    sorted.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_original() {
        let old = |one: &Instrument, is_counter| one.prometheus_name(false, is_counter);
        let new = |one: &Instrument, is_counter| one.prometheus_name(true, is_counter);
        assert_eq!(old(&SERVER_DURATION, false), "http_server_duration");
        assert_eq!(new(&NEW_SERVER_SIZE, false), "http_server_response_body_size_bytes");
        assert_eq!(old(&NO_LENGTH, true), "http_client_response_no_content_length_total");
        assert_eq!(new(&NO_LENGTH, true), "http_client_response_no_content_length_bytes_total");
        assert_eq!(old(&GET_CONN, false), "http_client_request_get_conn_duration");
        assert_eq!(new(&GET_CONN, false), "http_client_request_get_conn_duration_seconds");
        assert_eq!(old(&READ_SIZE, false), "http_client_response_read_size_hist");
        assert_eq!(old(&READ_SIZE_SUM, true), "http_client_response_read_size_total");
        assert_eq!(old(&READ_TIME, false), "http_client_response_read_time_hist_seconds");
        assert_eq!(old(&READ_TIME_SUM, true), "http_client_response_read_time_seconds_total");
        assert_eq!(old(&TIMED_OUT, true), "http_client_request_timedout_count_total");
    }

    #[test]
    fn the_last_value_of_a_label_counts() {
        let labels = sorted(&[("b", "1"), ("a", "2"), ("b", "3")]);
        let texts: Vec<(&str, &str)> =
            labels.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(texts, [("a", "2"), ("b", "3")]);
    }
}
