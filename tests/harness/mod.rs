//! What the tests of the whole binary share: the gateway as a process, scripted upstreams, a strict client.

pub mod client;
pub mod gateway;
pub mod one_core;
pub mod pattern;
pub mod ports;
pub mod process;
pub mod tls;
pub mod upstream;
pub mod wait;

pub use client::{Client, ClientError, Response, get, post};
pub use gateway::{Driver, Gateway, endpoint, no_op};
pub use ports::free_port;
pub use upstream::{Gate, Reply, Upstream};
pub use wait::{eventually, eventually_some};
