//! The registry: one line a namespace of `extra_config`. Whoever holds a configuration finds a block's code here.

pub mod auth;
pub mod backend;
pub mod governance;
pub mod modifier;
pub mod proxy;
pub mod qos;
pub mod redis;
pub mod router;
pub mod security;
pub mod shoal;
pub mod telemetry;
pub mod unbuilt;
pub mod validation;

use crate::plan::feature::{Feature, Scope};
use unbuilt::{Unbuilt, Without};

/// Everywhere a block of these namespaces may stand.
const SERVICE: &[Scope] = &[Scope::Service];
const ENDPOINT: &[Scope] = &[Scope::Endpoint];
const BACKEND: &[Scope] = &[Scope::Backend];
const ANYWHERE: &[Scope] = &[Scope::Service, Scope::Endpoint, Scope::Backend];
const SERVICE_AND_ENDPOINT: &[Scope] = &[Scope::Service, Scope::Endpoint];
const ENDPOINT_AND_BACKEND: &[Scope] = &[Scope::Endpoint, Scope::Backend];

const fn unbuilt(namespace: &'static str, scopes: &'static [Scope], without: Without) -> Unbuilt {
    Unbuilt { namespace, scopes, without }
}

/// Every namespace of the original's free edition, and our own.
pub static ALL: &[&dyn Feature] = &[
    &router::Router,
    &proxy::Proxy,
    &auth::client_credentials::ClientCredentials,
    &auth::revoker::Revoker,
    &auth::signer::Signer,
    &auth::validator::Validator,
    &backend::http::Http,
    &backend::http_client::HttpClient,
    &modifier::lua_backend::LuaBackend,
    &modifier::martian::Martian,
    &shoal::json::Json,
    &qos::ratelimit_router::RateLimitRouter,
    &qos::ratelimit_proxy::RateLimitProxy,
    &qos::circuit_breaker::CircuitBreaker,
    &qos::http_cache::HttpCache,
    &qos::ratelimit_service::RateLimitService,
    &redis::Redis,
    &qos::ratelimit_service_redis::RateLimitServiceRedis,
    &qos::ratelimit_router_redis::RateLimitRouterRedis,
    &qos::ratelimit_proxy_redis::RateLimitProxyRedis,
    &governance::processors::Processors,
    &governance::quota::Quota,
    &shoal::redis::Redis,
    &shoal::admin::Admin,
    &shoal::drain::Drain,
    &shoal::health_check::HealthCheck,
    &shoal::http_cache::HttpCache,
    &shoal::outlier_detection::OutlierDetection,
    &shoal::retry::Retry,
    &security::bot_detector::BotDetector,
    &security::cors::Cors,
    &security::http::Http,
    &shoal::limits::Limits,
    &shoal::ratelimit::RateLimit,
    &telemetry::gelf::Gelf,
    &telemetry::logging::Logging,
    &telemetry::logstash::Logstash,
    &telemetry::opentelemetry::OpenTelemetry,
    &telemetry::influx::Influx,
    &telemetry::metrics::Metrics,
    &telemetry::opencensus::OpenCensus,
    &validation::cel::Cel,
    // Known, and not built yet.
    &unbuilt("async/amqp", ANYWHERE, Without::Feature),
    &unbuilt("backend/amqp/consumer", BACKEND, Without::Feature),
    &unbuilt("backend/amqp/producer", BACKEND, Without::Feature),
    &unbuilt("backend/graphql", BACKEND, Without::Feature),
    &unbuilt("backend/lambda", BACKEND, Without::Feature),
    &unbuilt("backend/pubsub/publisher", BACKEND, Without::Feature),
    &unbuilt("backend/pubsub/subscriber", BACKEND, Without::Feature),
    &unbuilt("modifier/lua-endpoint", SERVICE_AND_ENDPOINT, Without::Feature),
    &unbuilt("modifier/lua-proxy", ENDPOINT, Without::Feature),
    &unbuilt("plugin/http-client", BACKEND, Without::Feature),
    &unbuilt("plugin/http-server", SERVICE, Without::Feature),
    &unbuilt("plugin/req-resp-modifier", ENDPOINT_AND_BACKEND, Without::Feature),
    &unbuilt("validation/json-schema", ENDPOINT, Without::Feature),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_namespace_has_one_line_and_a_scope() {
        let mut seen = HashSet::new();
        for feature in ALL {
            assert!(seen.insert(feature.namespace()), "{} stands twice", feature.namespace());
            assert!(!feature.scopes().is_empty());
        }
    }
}
