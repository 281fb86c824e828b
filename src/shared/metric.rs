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
/// By `upstream` and `state`, `idle` or `busy`.
pub const UPSTREAM_CONNECTIONS: Metric = Metric {
    name: "shoal_upstream_connections",
    help: "Connections to the configuration's upstreams, once a second.",
    kind: Kind::Gauge,
};
pub const RELOAD_SUCCESSFUL: Metric = Metric {
    name: "shoal_config_last_reload_successful",
    help: "1 when the configuration that was read last is in use, 0 when it could not be used.",
    kind: Kind::Gauge,
};
pub const RELOAD_SUCCESS_AT: Metric = Metric {
    name: "shoal_config_last_reload_success_timestamp_seconds",
    help: "When the configuration in use was read, in seconds since 1970.",
    kind: Kind::Gauge,
};
/// By `result`.
pub const RELOADS: Metric = Metric {
    name: "shoal_config_reloads_total",
    help: "How often the configuration was read again.",
    kind: Kind::Counter,
};

/// By `output`.
pub const LOST_LOG_LINES: Metric = Metric {
    name: "shoal_lost_log_lines_total",
    help: "Log lines that were not written, because an output was too slow or failed.",
    kind: Kind::Counter,
};

/// By `exporter`.
pub const DROPPED_SPANS: Metric = Metric {
    name: "shoal_dropped_spans_total",
    help: "Spans that no collector took, because it was gone or too slow; a request whose spans were not made counts as one.",
    kind: Kind::Counter,
};

/// By `connection`.
pub const REDIS_EXCHANGES: Metric = Metric {
    name: "shoal_redis_exchanges_total",
    help: "Exchanges with Redis that were answered.",
    kind: Kind::Counter,
};
/// By `connection`.
pub const REDIS_FAILURES: Metric = Metric {
    name: "shoal_redis_failures_total",
    help: "Exchanges with Redis, and attempts to connect, that failed.",
    kind: Kind::Counter,
};
/// By `connection`.
pub const REDIS_CONNECTED: Metric = Metric {
    name: "shoal_redis_connected",
    help: "1 while Redis answers, 0 otherwise.",
    kind: Kind::Gauge,
};
/// By `connection`.
pub const REDIS_EXCHANGE_AGE: Metric = Metric {
    name: "shoal_redis_exchange_age_milliseconds",
    help: "Time since Redis has answered the last time.",
    kind: Kind::Gauge,
};
/// By `upstream`.
pub const EJECTIONS: Metric = Metric {
    name: "shoal_upstream_ejections_total",
    help: "How often a host was ejected because too many calls to it failed.",
    kind: Kind::Counter,
};
/// By `upstream`.
pub const UPSTREAM_EJECTED: Metric = Metric {
    name: "shoal_upstream_ejected",
    help: "1 while a host is ejected because too many calls to it failed, otherwise 0.",
    kind: Kind::Gauge,
};
/// By `upstream`.
pub const UPSTREAM_HEALTHY: Metric = Metric {
    name: "shoal_upstream_healthy",
    help: "1 while a host counts as up by its health checks, 0 while it is down.",
    kind: Kind::Gauge,
};
/// By `upstream` and `result`, `success` or `failure`.
pub const HEALTH_CHECKS: Metric = Metric {
    name: "shoal_health_checks_total",
    help: "Health checks of hosts that have ended.",
    kind: Kind::Counter,
};
/// By `reason`: `connect`, `reset`, `timeout` or `status`.
pub const RETRIES: Metric = Metric {
    name: "shoal_retries_total",
    help: "Calls to backends that were sent again, by what made them fail.",
    kind: Kind::Counter,
};
pub const REFUSED_RETRIES: Metric = Metric {
    name: "shoal_refused_retries_total",
    help: "Failed calls that were not sent again because the budget of retries was used up.",
    kind: Kind::Counter,
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
    UPSTREAM_CONNECTIONS,
    RELOAD_SUCCESSFUL,
    RELOAD_SUCCESS_AT,
    RELOADS,
    LOST_LOG_LINES,
    DROPPED_SPANS,
    REDIS_EXCHANGES,
    REDIS_FAILURES,
    REDIS_CONNECTED,
    REDIS_EXCHANGE_AGE,
    EJECTIONS,
    UPSTREAM_EJECTED,
    UPSTREAM_HEALTHY,
    HEALTH_CHECKS,
    RETRIES,
    REFUSED_RETRIES,
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
