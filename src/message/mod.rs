//! HTTP messages as values: no sockets, no async.

pub mod caching;
pub mod date;
pub mod forwarded;
pub mod head;
pub mod headers;
pub mod hop_by_hop;
pub mod method;
pub mod parameter;
pub mod path;
pub mod query;
pub mod route_params;
pub mod sniff;
pub mod status;
