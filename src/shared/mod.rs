//! The doors between threads: the only code that cores and the control thread share.

pub mod admission;
pub mod allowance;
pub mod board;
pub mod breaker;
pub mod client_buckets;
pub mod client_table;
pub mod distribution;
pub mod exposition;
pub mod hosts;
pub mod link;
pub mod log;
pub mod meter;
pub mod metric;
pub mod names;
pub mod outbox;
pub mod period;
pub mod portion;
pub mod published;
pub mod question;
pub mod readiness;
pub mod refusals;
pub mod retry_budget;
pub mod stats;
pub mod store;
pub mod tally;
pub mod turn;
