//! The blocks of `telemetry/opencensus` as they are written.

use serde::Deserialize;
use serde_json::Value;

use super::views::Tags;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Options {
    pub sample_rate: i64,
    pub reporting_period: i64,
    /// `None`: all of them.
    pub enabled_layers: Option<Layers>,
    pub exporters: Exporters,
}

/// What of a request is measured and traced.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(super) struct Layers {
    #[serde(default)]
    pub router: bool,
    #[serde(default)]
    pub pipe: bool,
    #[serde(default)]
    pub backend: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Exporters {
    pub influxdb: Option<InfluxOptions>,
    pub logger: Option<Value>,
    pub prometheus: Option<PrometheusOptions>,
    pub zipkin: Option<ZipkinOptions>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct InfluxOptions {
    pub address: String,
    pub username: String,
    pub password: String,
    pub timeout: String,
    pub db: String,
    pub service_name: String,
    pub buffer_size: usize,
    pub ping: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PrometheusOptions {
    pub namespace: String,
    pub port: Option<u16>,
    pub tag_host: bool,
    pub tag_path: bool,
    pub tag_method: bool,
    pub tag_statuscode: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ZipkinOptions {
    pub collector_url: String,
    pub service_name: String,
    pub ip: String,
    pub port: u16,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PathOptions {
    pub path_aggregation: String,
}

impl Default for Layers {
    fn default() -> Self {
        Layers { router: true, pipe: true, backend: true }
    }
}

impl PrometheusOptions {
    pub fn tags(&self) -> Tags {
        Tags {
            host: self.tag_host,
            path: self.tag_path,
            method: self.tag_method,
            status: self.tag_statuscode,
        }
    }
}
