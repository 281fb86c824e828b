//! Shoal: an API gateway for Linux that reads `krakend.json` and answers as the original does.
//!
//! The folders are layers, lowest first; a folder imports only what `tests/tidy.rs` lets it.
#![doc = include_str!("ARCHITECTURE.md")]

pub mod message;

#[allow(unsafe_code, reason = "vector instructions of the scan; each use has its proof")]
pub mod json;

pub mod config;

pub mod shared;

#[allow(
    unsafe_code,
    reason = "system calls and buffers that the kernel writes into; each use has its proof"
)]
pub mod net;

pub mod wire;

pub mod upstream;

pub mod stage;

pub mod control;

pub mod plan;

pub mod engine;

pub mod features;

pub mod server;

pub mod cli;
