//! Shoal: an API gateway for Linux that reads `krakend.json` and answers as the original does.
//!
//! The folders are layers, lowest first; a folder imports only what `tests/tidy.rs` lets it.
#![doc = include_str!("ARCHITECTURE.md")]

pub mod message;

pub mod json;

pub mod config;

pub mod shared;

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
