//! `shoal/…`: what the original has no words for.

pub mod http_cache;
pub mod json;
pub mod limits;
pub mod ratelimit;
