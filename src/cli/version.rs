//! `version`: three lines, as with the original.

use std::process::ExitCode;

use super::terminal::Terminal;

/// The release of the original whose behaviour was recorded and is followed.
const FOLLOWED: &str = "2.13.8";

pub fn version(terminal: &Terminal) -> ExitCode {
    terminal.line(format_args!("Shoal Version: {}", env!("CARGO_PKG_VERSION")));
    terminal.line(format_args!("Rust Version: {}", env!("CARGO_PKG_RUST_VERSION")));
    terminal.line(format_args!("Followed KrakenD Version: {FOLLOWED}"));
    ExitCode::SUCCESS
}
