//! The gateway's metrics: names and help texts as Prometheus shows them.

/// A metric that the cores count, whatever its labels are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    pub name: &'static str,
    pub help: &'static str,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
}

/// By `reason`.
pub const REFUSED_CONNECTIONS: Metric = Metric {
    name: "shoal_refused_connections_total",
    help: "Client connections closed at once because a bound was reached.",
    kind: Kind::Counter,
};
/// By `reason`.
pub const REFUSED_REQUESTS: Metric = Metric {
    name: "shoal_refused_requests_total",
    help: "Requests refused because a bound was reached.",
    kind: Kind::Counter,
};
/// By `reason`.
pub const REFUSED_CALLS: Metric = Metric {
    name: "shoal_refused_calls_total",
    help: "Calls to backends that failed, or were not made, because a bound was reached.",
    kind: Kind::Counter,
};
pub const CONNECTIONS: Metric = Metric {
    name: "shoal_connections",
    help: "Client connections that are open, once a second.",
    kind: Kind::Gauge,
};
pub const REQUESTS_IN_FLIGHT: Metric = Metric {
    name: "shoal_requests_in_flight",
    help: "Requests to endpoints that wait for the head of their answer, once a second.",
    kind: Kind::Gauge,
};
pub const SHADOWS_IN_FLIGHT: Metric = Metric {
    name: "shoal_shadows_in_flight",
    help: "Requests whose copies shadow backends have not answered, once a second.",
    kind: Kind::Gauge,
};
pub const CALLS_WAITING: Metric = Metric {
    name: "shoal_calls_waiting",
    help: "Calls that wait until they may open a connection to their host, once a second.",
    kind: Kind::Gauge,
};
pub const POOLED_BUFFERS: Metric = Metric {
    name: "shoal_pooled_buffers",
    help: "Buffers that are kept for their next use, once a second.",
    kind: Kind::Gauge,
};

/// All of them, for whoever shows them.
pub const ALL: &[Metric] = &[
    REFUSED_CONNECTIONS,
    REFUSED_REQUESTS,
    REFUSED_CALLS,
    CONNECTIONS,
    REQUESTS_IN_FLIGHT,
    SHADOWS_IN_FLIGHT,
    CALLS_WAITING,
    POOLED_BUFFERS,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_prometheus_wants_them() {
        for metric in ALL {
            assert!(metric.name.starts_with("shoal_"));
            assert!(metric.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter);
            assert!(metric.help.ends_with('.') && !metric.help.contains('\n'));
        }
    }
}
