//! `qos/…`: how much goes through, what happens when an upstream fails, and what need not be asked again.

pub mod circuit_breaker;
mod common_limits;
pub mod http_cache;
mod limits;
mod options;
pub mod ratelimit_proxy;
pub mod ratelimit_proxy_redis;
pub mod ratelimit_router;
pub mod ratelimit_router_redis;
pub mod ratelimit_service;
pub mod ratelimit_service_redis;
