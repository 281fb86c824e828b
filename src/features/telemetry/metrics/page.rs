//! The page `/__stats`: one flat object of JSON, with the names of go-metrics and of Go's expvar.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::control::vitals::{COLLECTOR_GAUGES, Vitals};
use crate::shared::distribution::Spread;
use crate::shared::exposition::push_number;
use crate::shared::stats::Snapshot;

const PERCENTILES: &[(&str, f64)] = &[
    ("50-percentile", 0.5),
    ("75-percentile", 0.75),
    ("95-percentile", 0.95),
    ("99-percentile", 0.99),
    ("999-percentile", 0.999),
];
/// What a timer has beside a histogram's members.
const RATES: &[&str] = &["fifteen-minute", "five-minute", "mean-rate", "one-minute"];

/// Names and values, as they are written.
#[derive(Default)]
struct Members(BTreeMap<String, String>);

pub(super) fn write(snapshot: &Snapshot) -> String {
    let vitals = Vitals::read();
    let mut members = Members::default();
    members.router(snapshot);
    members.requests(snapshot);
    members.service(&vitals);
    let arguments: Vec<String> =
        std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    members.0.insert("cmdline".to_owned(), json!(arguments).to_string());
    members.0.insert("memstats".to_owned(), memory(&vitals).to_string());
    members.into_text()
}

impl Members {
    fn count(&mut self, name: impl Into<String>, value: u64) {
        self.0.insert(name.into(), value.to_string());
    }

    fn float(&mut self, name: String, value: f64) {
        let mut text = String::new();
        push_number(&mut text, if value.is_finite() { value } else { 0.0 });
        self.0.insert(name, text);
    }

    fn histogram(&mut self, name: &str, spread: &Spread) {
        self.count(format!("{name}.count"), spread.count());
        self.float(format!("{name}.min"), spread.least() as f64);
        self.float(format!("{name}.max"), spread.largest() as f64);
        self.float(format!("{name}.mean"), spread.mean());
        self.float(format!("{name}.std-dev"), spread.variance().sqrt());
        for (suffix, part) in PERCENTILES {
            self.float(format!("{name}.{suffix}"), spread.percentile(*part));
        }
    }

    fn router(&mut self, snapshot: &Snapshot) {
        let router = |name: &str| format!("krakend.router.{name}");
        self.count(router("connected"), snapshot.connected);
        self.count(router("connected-gauge"), snapshot.connected_last);
        self.count(router("connected-total"), snapshot.connected_total);
        self.count(router("disconnected"), snapshot.disconnected);
        self.count(router("disconnected-gauge"), snapshot.disconnected_last);
        self.count(router("disconnected-total"), snapshot.disconnected_total);
        for responses in &snapshot.responses {
            let name = router(&format!("response.{}", responses.name));
            // Registered by the original, and never counted.
            self.count(format!("{name}.status"), 0);
            for (status, count) in &responses.statuses {
                self.count(format!("{name}.status.{status}.count"), *count);
            }
            self.histogram(&format!("{name}.size"), &responses.size);
            self.histogram(&format!("{name}.time"), &responses.time);
        }
    }

    fn requests(&mut self, snapshot: &Snapshot) {
        for requests in &snapshot.requests {
            let labels = format!(
                "layer.{}.name.{}.complete.{}.error.{}",
                requests.layer, requests.name, requests.is_complete, requests.is_error
            );
            self.count(format!("krakend.proxy.requests.{labels}"), requests.total);
            self.histogram(&format!("krakend.proxy.latency.{labels}"), &requests.latency);
        }
    }

    /// What Go's runtime has no counterpart for is 0.
    fn service(&mut self, vitals: &Vitals) {
        for name in COLLECTOR_GAUGES {
            self.count(format!("krakend.service.debug.{name}"), 0);
        }
        for (name, value) in vitals.runtime_gauges() {
            self.count(format!("krakend.service.runtime.{name}"), value);
        }
        self.count("krakend.service.runtime.MemStats.GCCPUFraction", 0);
        let nothing = Spread::default();
        self.histogram("krakend.service.debug.GCStats.Pause", &nothing);
        self.histogram("krakend.service.runtime.MemStats.PauseNs", &nothing);
        for timer in ["debug.ReadGCStats", "runtime.ReadMemStats"] {
            let name = format!("krakend.service.{timer}");
            self.histogram(&name, &nothing);
            RATES.iter().for_each(|rate| self.count(format!("{name}.{rate}"), 0));
        }
    }

    fn into_text(self) -> String {
        let mut text = String::from("{\n");
        for (index, (name, value)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ",\n" };
            let _ = write!(text, "{separator}{}: {value}", Value::from(name.as_str()));
        }
        text.push_str("\n}\n");
        text
    }
}

/// Go's `runtime.MemStats`, as far as it can be said.
fn memory(vitals: &Vitals) -> Value {
    json!({
        "Alloc": vitals.anonymous_bytes, "TotalAlloc": 0, "Sys": vitals.account.resident_bytes,
        "Lookups": 0, "Mallocs": 0, "Frees": 0,
        "HeapAlloc": vitals.anonymous_bytes, "HeapSys": vitals.anonymous_bytes, "HeapIdle": 0,
        "HeapInuse": vitals.anonymous_bytes, "HeapReleased": 0, "HeapObjects": 0,
        "StackInuse": 0, "StackSys": 0, "MSpanInuse": 0, "MSpanSys": 0, "MCacheInuse": 0,
        "MCacheSys": 0, "BuckHashSys": 0, "GCSys": 0, "OtherSys": 0, "NextGC": 0, "LastGC": 0,
        "PauseTotalNs": 0, "PauseNs": [], "PauseEnd": [], "NumGC": 0, "NumForcedGC": 0,
        "GCCPUFraction": 0, "EnableGC": false, "DebugGC": false, "BySize": [],
    })
}
