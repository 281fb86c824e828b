//! `telemetry/…`: what the gateway tells of itself and of its requests.

pub mod gelf;
pub mod influx;
pub mod logging;
pub mod logstash;
pub mod metrics;
pub mod opencensus;
pub mod opentelemetry;
