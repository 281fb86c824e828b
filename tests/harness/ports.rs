//! Free TCP ports that nothing takes by accident.
//!
//! They lie below the range from which the kernel takes the ports of outgoing connections, so that no client of a
//! test running beside this one can be given the port between our look and the gateway's bind.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// Below this, well-known services live.
const LOWEST: u32 = 10_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A port on which nothing listens, never given out twice by this process before all others were.
pub fn free_port() -> u16 {
    let highest = first_ephemeral_port();
    let span = highest - LOWEST;
    let start = std::process::id().wrapping_mul(7919) % span;
    for _ in 0..span {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port =
            u16::try_from(LOWEST + (start + step) % span).expect("the range ends below 65536");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {LOWEST} and {highest}");
}

fn first_ephemeral_port() -> u32 {
    std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse().ok())
        .filter(|first| *first > LOWEST + 1_000)
        .unwrap_or(32_768)
}
