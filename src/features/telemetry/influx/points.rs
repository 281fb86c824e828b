//! `Points`: a snapshot of the statistics as the original's measurements.

use std::collections::HashMap;

use crate::control::influx::{Field, Lines};
use crate::control::vitals::{COLLECTOR_GAUGES, Vitals};
use crate::shared::distribution::Spread;
use crate::shared::stats::{Requests, Responses, Snapshot};

const PERCENTILES: &[(&str, f64)] = &[
    ("p0.1", 0.1),
    ("p0.25", 0.25),
    ("p0.5", 0.5),
    ("p0.75", 0.75),
    ("p0.9", 0.9),
    ("p0.95", 0.95),
    ("p0.99", 0.99),
];

/// Makes points, and knows what the last ones said.
pub(super) struct Points {
    host: String,
    /// Totals by their tags.
    before: HashMap<String, u64>,
}

// === impl Points ===

impl Points {
    pub fn new(host: String) -> Points {
        Points { host, before: HashMap::new() }
    }

    pub fn lines(&mut self, snapshot: &Snapshot, vitals: &Vitals) -> Lines {
        let now = snapshot.at_s;
        let mut lines = Lines::default();
        snapshot.requests.iter().for_each(|requests| self.requests(&mut lines, requests, now));
        snapshot.responses.iter().for_each(|responses| self.responses(&mut lines, responses, now));
        self.router(&mut lines, snapshot, now);
        self.runtime(&mut lines, vitals, now);
        lines
    }

    fn requests(&mut self, lines: &mut Lines, requests: &Requests, now: u64) {
        let (complete, error) = (requests.is_complete.to_string(), requests.is_error.to_string());
        let fields = self.counted(
            &format!("{} {} {complete} {error}", requests.layer, requests.name),
            requests.total,
        );
        let tags = [
            ("host", self.host.as_str()),
            ("layer", requests.layer),
            ("name", requests.name.as_str()),
            ("complete", complete.as_str()),
            ("error", error.as_str()),
        ];
        lines.point("requests", &tags, &fields, now);
        lines.point("requests", &tags, &spread(&requests.latency), now);
    }

    fn responses(&mut self, lines: &mut Lines, responses: &Responses, now: u64) {
        for (status, count) in &responses.statuses {
            let status = status.to_string();
            let fields = self.counted(&format!("{} {status}", responses.name), *count);
            let tags =
                [("host", &*self.host), ("name", &*responses.name), ("status", status.as_str())];
            lines.point("responses", &tags, &fields, now);
        }
        let tags = [("host", &*self.host), ("name", &*responses.name)];
        lines.point("router.response-size", &tags, &spread(&responses.size), now);
        lines.point("router.response-time", &tags, &spread(&responses.time), now);
    }

    fn router(&self, lines: &mut Lines, snapshot: &Snapshot, now: u64) {
        for (direction, current, total, last) in [
            ("in", snapshot.connected, snapshot.connected_total, snapshot.connected_last),
            ("out", snapshot.disconnected, snapshot.disconnected_total, snapshot.disconnected_last),
        ] {
            let tags = [("host", &*self.host), ("direction", direction)];
            let counts = [("current", Field::Integer(current)), ("total", Field::Integer(total))];
            lines.point("router", &tags, &counts, now);
            lines.point("router", &tags, &[("gauge", Field::Integer(last))], now);
        }
    }

    /// What Go's runtime has no counterpart for is 0.
    fn runtime(&self, lines: &mut Lines, vitals: &Vitals, now: u64) {
        let tags = [("host", &*self.host)];
        let zeros: Vec<_> =
            COLLECTOR_GAUGES.iter().map(|name| (*name, Field::Integer(0))).collect();
        lines.point("debug", &tags, &zeros, now);
        let gauges = vitals.runtime_gauges().into_iter();
        let gauges: Vec<_> = gauges.map(|(name, value)| (name, Field::Integer(value))).collect();
        lines.point("runtime", &tags, &gauges, now);
        for pause in ["service.debug.GCStats.Pause", "service.runtime.MemStats.PauseNs"] {
            lines.point(pause, &tags, &members(&Spread::default()), now);
        }
    }

    fn counted(&mut self, key: &str, total: u64) -> [(&'static str, Field); 2] {
        let before = self.before.insert(key.to_owned(), total).unwrap_or(0);
        let count = total.saturating_sub(before);
        [("total", Field::Integer(total)), ("count", Field::Integer(count))]
    }
}

/// Nothing where nothing was counted.
fn spread(spread: &Spread) -> Vec<(&'static str, Field)> {
    if spread.largest() == 0 { Vec::new() } else { members(spread) }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never negative")]
fn members(spread: &Spread) -> Vec<(&'static str, Field)> {
    let variance = spread.variance();
    let whole = |value: f64| Field::Integer((value as u64).min(i64::MAX as u64));
    let mut fields = vec![
        ("max", Field::Integer(spread.largest())),
        ("min", Field::Integer(spread.least())),
        ("mean", whole(spread.mean())),
        ("stddev", whole(variance.sqrt())),
        ("variance", whole(variance)),
    ];
    let percentile =
        |(name, part): &(&'static str, f64)| (*name, Field::Float(spread.percentile(*part)));
    fields.extend(PERCENTILES.iter().map(percentile));
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::stats::{StatNames, Stats, ending};

    #[test]
    fn a_snapshot_becomes_the_measurements_of_the_original() {
        let stats = Stats::default();
        let core = stats.core(|| StatNames {
            endpoints: vec!["/item/:id".into()],
            pipes: vec!["/item/:id".into()],
            backends: vec!["/a b".into()],
        });
        core.connected();
        core.piped(0, ending(true, false), 1500);
        core.called(0, ending(false, true), 900);
        core.disconnected(0, 200, 10, 2000);
        stats.end_period();
        let mut points = Points::new("me".into());
        let vitals = Vitals::default();
        let first = points.lines(&stats.last().expect("there"), &vitals);
        let first = first.as_text();
        for line in [
            "requests,complete=true,error=false,host=me,layer=pipe,name=/item/:id count=1i,total=1i ",
            "requests,complete=true,error=false,host=me,layer=pipe,name=/item/:id max=1500i,mean=1500i,min=1500i,\
             p0.1=1500,p0.25=1500,p0.5=1500,p0.75=1500,p0.9=1500,p0.95=1500,p0.99=1500,stddev=0i,variance=0i ",
            "requests,complete=false,error=true,host=me,layer=backend,name=/a\\ b count=1i,total=1i ",
            "requests,complete=true,error=true,host=me,layer=backend,name=/a\\ b count=0i,total=0i ",
            "responses,host=me,name=/item/:id,status=200 count=1i,total=1i ",
            "router,direction=in,host=me current=0i,total=1i ",
            "router,direction=out,host=me gauge=1i ",
            "router.response-size,host=me,name=/item/:id max=10i,",
            "debug,host=me GCStats.LastGC=0i,GCStats.NumGC=0i,GCStats.PauseTotal=0i ",
            "runtime,host=me MemStats.Alloc=0i,",
        ] {
            assert!(first.lines().any(|each| each.starts_with(line)), "{line} is not in\n{first}");
        }
        core.piped(0, ending(true, false), 1);
        stats.end_period();
        let second = points.lines(&stats.last().expect("there"), &vitals);
        let line = "layer=pipe,name=/item/:id count=1i,total=2i ";
        assert!(second.as_text().contains(line), "{}", second.as_text());
        assert!(!second.as_text().contains("response-size"), "nothing was served meanwhile");
    }
}
