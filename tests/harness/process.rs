//! What the kernel says about a process: memory, descriptors, limits; and signals to it.

use std::process::Command;

/// A signal that tests send.
#[derive(Clone, Copy, Debug)]
pub enum Signal {
    Terminate,
    Kill,
    Hangup,
    User2,
    Stop,
    Continue,
}

/// Sends a signal through the shell's own `kill`, which needs no package.
pub fn signal(pid: u32, signal: Signal) {
    let name = match signal {
        Signal::Terminate => "TERM",
        Signal::Kill => "KILL",
        Signal::Hangup => "HUP",
        Signal::User2 => "USR2",
        Signal::Stop => "STOP",
        Signal::Continue => "CONT",
    };
    let status =
        Command::new("sh").args(["-c", &format!("kill -{name} {pid} 2>/dev/null")]).status();
    drop(status); // the process may have ended by itself
}

/// Lets a process open no descriptor beside those it has; their numbers may have gaps, which are left out.
pub fn starve_of_descriptors(pid: u32) {
    let open = |number: &u32| std::path::Path::new(&format!("/proc/{pid}/fd/{number}")).exists();
    let first_free = (0..1 << 20).find(|number| !open(number)).expect("not so many are open");
    limit_descriptors(pid, first_free);
}

/// Changes how many descriptors a process may have open.
pub fn limit_descriptors(pid: u32, count: u32) {
    let limit = format!("--nofile={count}:");
    let set = Command::new("prlimit").args(["--pid", &pid.to_string(), &limit]).status();
    assert!(set.is_ok_and(|status| status.success()), "prlimit {limit} of process {pid}");
}

/// Resident memory of a process in KiB, counted page by page (the number in `status` lags behind).
pub fn resident_kib(pid: u32) -> u64 {
    field_kib(&format!("/proc/{pid}/smaps_rollup"), "Rss:")
}

/// Memory that the process does not share with a file, in KiB: heap and stacks.
pub fn anonymous_kib(pid: u32) -> u64 {
    field_kib(&format!("/proc/{pid}/smaps_rollup"), "Anonymous:")
}

fn field_kib(path: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or_else(|| panic!("{path} has no {name}"))
}

/// The TCP sockets of a process, as the kernel lists them: addresses and states in hexadecimal.
pub fn tcp_sockets(pid: u32) -> Vec<String> {
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap_or_default();
    let links = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let links: Vec<_> = links
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .map(|link| link.display().to_string())
        .collect();
    let is_its = |line: &&str| {
        let inode = line.split_whitespace().nth(9).unwrap_or_default();
        links.contains(&format!("socket:[{inode}]"))
    };
    table.lines().filter(is_its).map(str::to_owned).collect()
}

/// How many descriptors a process has open.
pub fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// How many of them are sockets; others are files, and pipes that are kept for later.
pub fn sockets(pid: u32) -> usize {
    let is_socket = |entry: std::io::Result<std::fs::DirEntry>| {
        let target = entry.and_then(|entry| std::fs::read_link(entry.path()));
        target.is_ok_and(|target| target.to_string_lossy().starts_with("socket:"))
    };
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd"));
    entries.map_or(0, |entries| entries.map(is_socket).filter(|is_one| *is_one).count())
}

/// Lets this process, and the ones it starts, have `count` descriptors.
pub fn allow_descriptors(count: u64) {
    assert!(
        try_allow_descriptors(count),
        "this test needs {count} descriptors: raise the hard limit (ulimit -Hn)"
    );
}

/// The same; false where the system does not let it.
pub fn try_allow_descriptors(count: u64) -> bool {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let soft = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .unwrap_or(0);
    let pid = std::process::id().to_string();
    // The hard limit as well, where the first attempt needs that and this process may.
    soft >= count
        || [format!("--nofile={count}:"), format!("--nofile={count}:{count}")].iter().any(|limit| {
            let done = Command::new("prlimit").args(["--pid", &pid, limit]).status();
            done.is_ok_and(|status| status.success())
        })
}
