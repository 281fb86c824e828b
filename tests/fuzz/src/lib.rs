//! The fuzz targets: each takes any bytes, and panics when something about them is wrong.
//!
//! `scripts/fuzz` runs them under libFuzzer; `cargo test` in this folder runs the same functions on mutated seeds.

mod bounded;
mod caching;
mod cel;
mod client_ip;
mod config;
mod flexible;
mod gzip;
mod heads;
mod json;
mod log;
mod lua_pattern;
mod martian;
mod propagation;
mod redirect;
mod routes;
mod site;
mod template;
mod tokens;
mod trees;

use bounded::Bounded;
pub use caching::caching;
pub use cel::cel;
pub use client_ip::client_ip;
pub use config::config;
pub use flexible::flexible;
pub use gzip::gzip;
pub use heads::{chunked, framing, request_head, response_head};
pub use json::json;
pub use log::log;
pub use lua_pattern::lua_pattern;
pub use martian::martian;
pub use propagation::propagation;
pub use redirect::redirect;
pub use routes::routes;
pub use template::template;
pub use tokens::{gob, key_set, token};
pub use trees::{rss, xml};

/// All targets by name, with the same names as the files of `fuzz_targets`.
pub const ALL: &[(&str, fn(&[u8]))] = &[
    ("request_head", request_head),
    ("response_head", response_head),
    ("chunked", chunked),
    ("framing", framing),
    ("routes", routes),
    ("json", json),
    ("config", config),
    ("template", template),
    ("xml", xml),
    ("rss", rss),
    ("token", token),
    ("key_set", key_set),
    ("gob", gob),
    ("propagation", propagation),
    ("client_ip", client_ip),
    ("caching", caching),
    ("redirect", redirect),
    ("gzip", gzip),
    ("cel", cel),
    ("martian", martian),
    ("lua_pattern", lua_pattern),
    ("log", log),
    ("flexible", flexible),
];

/// Takes numbers and texts off the front of the input.
struct Input<'i>(&'i [u8]);

impl<'i> Input<'i> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Up to the separator, which is dropped; all of it when there is none.
    fn until(&mut self, separator: u8) -> &'i [u8] {
        let end = self.0.iter().position(|&byte| byte == separator).unwrap_or(self.0.len());
        let (piece, rest) = self.0.split_at(end);
        self.0 = rest.get(1..).unwrap_or_default();
        piece
    }
}
