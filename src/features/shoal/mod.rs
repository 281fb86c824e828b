//! `shoal/…`: what the original has no words for.

pub mod admin;
pub mod drain;
pub mod health_check;
pub mod http_cache;
pub mod json;
pub mod limits;
pub mod outlier_detection;
pub mod ratelimit;
pub mod redis;
pub mod retry;
mod settings;
