//! `governance/…`: how much of an API its users are entitled to.

pub mod processors;
pub mod quota;
