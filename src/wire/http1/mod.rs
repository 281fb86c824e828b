//! HTTP/1.0 and 1.1: pure parsers and encoders, and the two loops that use them on sockets.

pub mod body;
pub mod chunked;
pub mod client;
pub mod encode;
pub mod framing;
pub mod idle;
pub mod parse;
pub mod server;
pub mod writer;
