//! `Refusals`: how often one core had to refuse something because a bound was reached, by bound.

use super::meter::{Counter, Meter};
use super::metric::{Metric, REFUSED_CALLS, REFUSED_CONNECTIONS, REFUSED_REQUESTS};

/// A bound that has been reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    Connections,
    ConnectionsPerAddress,
    /// The process's limit of open files.
    Descriptors,
    Requests,
    Queue,
    HeadBytes,
    Headers,
    UriBytes,
    RequestBodyBytes,
    KeptBodyBytes,
    UpstreamHeadBytes,
    UpstreamHeaders,
    DecodedBodyBytes,
    JsonDepth,
    JsonTrailing,
    WaitingPerHost,
    Hosts,
    Questions,
    /// The process's limit of open files, at a call.
    CallDescriptors,
    Shadows,
}

/// In the order of the enum: the metric, and the value of its label `reason`, mostly the option's name.
const BOUNDS: [(Bound, Metric, &str); 20] = [
    (Bound::Connections, REFUSED_CONNECTIONS, "connections_max"),
    (Bound::ConnectionsPerAddress, REFUSED_CONNECTIONS, "connections_per_address_max"),
    (Bound::Descriptors, REFUSED_CONNECTIONS, "descriptors"),
    (Bound::Requests, REFUSED_REQUESTS, "requests_max"),
    (Bound::Queue, REFUSED_REQUESTS, "queue_max_ms"),
    (Bound::HeadBytes, REFUSED_REQUESTS, "max_header_bytes"),
    (Bound::Headers, REFUSED_REQUESTS, "headers_max"),
    (Bound::UriBytes, REFUSED_REQUESTS, "uri_bytes_max"),
    (Bound::RequestBodyBytes, REFUSED_REQUESTS, "request_body_bytes_max"),
    (Bound::KeptBodyBytes, REFUSED_REQUESTS, "kept_body_bytes_max"),
    (Bound::UpstreamHeadBytes, REFUSED_CALLS, "upstream_head_bytes_max"),
    (Bound::UpstreamHeaders, REFUSED_CALLS, "headers_max"),
    (Bound::DecodedBodyBytes, REFUSED_CALLS, "decoded_body_bytes_max"),
    (Bound::JsonDepth, REFUSED_CALLS, "json_depth_max"),
    (Bound::JsonTrailing, REFUSED_CALLS, "refuse_trailing"),
    (Bound::WaitingPerHost, REFUSED_CALLS, "waiting_per_host_max"),
    (Bound::Hosts, REFUSED_CALLS, "hosts"),
    (Bound::Questions, REFUSED_CALLS, "questions_max"),
    (Bound::CallDescriptors, REFUSED_CALLS, "descriptors"),
    (Bound::Shadows, REFUSED_CALLS, "shadows_max"),
];

/// One core's counters.
pub struct Refusals([Counter; BOUNDS.len()]);

impl Refusals {
    /// Registers them: all are there, as zero, before anything is refused.
    pub fn new(meter: &Meter) -> Refusals {
        Refusals(
            BOUNDS.map(|(_, metric, reason)| meter.counter(metric.name, &[("reason", reason)])),
        )
    }

    pub fn count(&self, bound: Bound) {
        if let Some(counter) = self.0.get(bound as usize) {
            counter.increment();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::meter::Value;

    #[test]
    fn every_bound_has_its_own_counter() {
        let meter = Meter::default();
        let refusals = Refusals::new(&meter);
        for (place, (bound, ..)) in BOUNDS.into_iter().enumerate() {
            assert_eq!(bound as usize, place);
            (0..=place).for_each(|_| refusals.count(bound));
        }
        let readings = meter.readings();
        assert_eq!(readings.len(), BOUNDS.len());
        for (place, (bound, metric, reason)) in BOUNDS.into_iter().enumerate() {
            let labels = [("reason".into(), reason.into())];
            let reading = readings
                .iter()
                .find(|reading| reading.name == metric.name && *reading.labels == labels);
            let value = &reading.expect("registered").value;
            assert_eq!(*value, Value::Counter(place as u64 + 1), "{bound:?}");
        }
    }
}
