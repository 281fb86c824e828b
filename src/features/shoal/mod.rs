//! `shoal/…`: what the original has no words for.

pub mod json;
pub mod limits;
pub mod ratelimit;
