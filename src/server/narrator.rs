//! Tells in the log what is about to be served, as the original does.

use std::time::{Duration, Instant};

use crate::plan::{COMPATIBLE_VERSION, Plan};
use crate::shared::log::{Level, Log};

/// Lines between two looks whether the log keeps up.
const LINES_AT_ONCE: usize = 256;
/// How long all these looks may hold up the start.
const ROOM_WAIT: Duration = Duration::from_secs(1);

/// One line, and where everything is shown, one for each endpoint and one for each of its backends.
pub fn tell_start(plan: &Plan, log: &Log) {
    let version = env!("CARGO_PKG_VERSION");
    log.info(format_args!(
        "Starting Shoal v{version}, which works as KrakenD v{COMPATIBLE_VERSION} does"
    ));
    if !log.is_enabled(Level::Debug) {
        return;
    }
    let end = Instant::now() + ROOM_WAIT;
    let mut lines = 0;
    for endpoint in &plan.endpoints {
        if lines >= LINES_AT_ONCE {
            log.wait_for_room(end.saturating_duration_since(Instant::now()));
            lines = 0;
        }
        log.debug(format_args!("[ENDPOINT: {}] Building the proxy pipe", endpoint.route));
        lines += 1;
        for backend in endpoint.backends() {
            log.debug(format_args!(
                "[BACKEND: {}] Building the backend pipe",
                backend.template.internal_pattern()
            ));
            lines += 1;
        }
    }
}
