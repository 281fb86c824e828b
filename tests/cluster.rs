//! A few nodes behind a real `HAProxy` or nginx, each in a network namespace of its own: nodes restart, reload, come, go, die and
//! freeze under load, and the clients' requests are counted.
//!
//! `SHOAL_CLUSTER_REQUESTS` says how many requests each scenario sends at least (10,000 unless told), `SHOAL_CLUSTER_BALANCER`
//! whether `haproxy` (unless told) or `nginx` stands in front. It needs root's right to make namespaces; without it the program
//! says so, and fails only if `SHOAL_CLUSTER` is `required`.
#![allow(unreachable_pub, reason = "the modules of a test program are private to it")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[allow(dead_code, unused_imports, reason = "each test program uses its own part of the harness")]
mod harness;

mod cluster {
    /// The network, the balancer and the nodes.
    pub mod lab;
    /// Clients that count what they get.
    pub mod load;
    /// Prometheus, which adds up what the nodes count.
    pub mod prometheus;
    /// What happens to the nodes.
    pub mod scenarios;
}

use std::env;
use std::process::{Command, ExitCode};

use cluster::lab;
use cluster::scenarios::{ALL, count_is_whole};

const INSIDE: &str = "SHOAL_CLUSTER_INSIDE";

fn main() -> ExitCode {
    if env::args().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    if env::var_os(INSIDE).is_none() {
        return enter();
    }
    let wanted = env::args().nth(1).filter(|argument| !argument.starts_with('-'));
    lab::prepare();
    println!(
        "{:<44} {:>9} {:>7} {:>7} {:>8}  longest",
        "scenario", "requests", "failed", "may", "req/s"
    );
    let mut is_well = true;
    for scenario in ALL {
        if wanted.as_ref().is_none_or(|wanted| scenario.name.contains(&**wanted)) {
            is_well &= scenario.run();
        }
    }
    if wanted.is_none_or(|wanted| "the nodes' counters are added up".contains(&wanted)) {
        is_well &= count_is_whole();
    }
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the program again in a network of its own, where it is free to do what it likes.
fn enter() -> ExitCode {
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "--propagation", "private"]);
        command
    };
    let can = unshare().args(["ip", "link", "add", "test0", "type", "bridge"]).output();
    if !can.is_ok_and(|answer| answer.status.success()) {
        println!("no right to make network namespaces (root and iproute2): nothing was tried");
        let is_required = env::var("SHOAL_CLUSTER").is_ok_and(|value| value == "required");
        return if is_required { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    let program = env::current_exe().expect("the program has a path");
    let status = unshare().arg(program).args(env::args().skip(1)).env(INSIDE, "1").status();
    if status.is_ok_and(|status| status.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
