//! The program: the allocator, then the command line.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: shoal::net::memory::Allocator = shoal::net::memory::Allocator;

fn main() -> ExitCode {
    shoal::net::memory::prefer_small_pages();
    shoal::cli::run(std::env::args_os().collect())
}
