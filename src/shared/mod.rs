//! The doors between threads: the only code that cores and the control thread share.

pub mod admission;
pub mod breaker;
pub mod client_buckets;
pub mod log;
pub mod meter;
pub mod metric;
pub mod names;
pub mod outbox;
pub mod published;
pub mod question;
pub mod refusals;
pub mod store;
pub mod tally;
