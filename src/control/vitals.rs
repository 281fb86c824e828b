//! `Vitals`: memory, processor time and descriptors of this process, in the words of Prometheus and of Go's runtime.

use std::fs;

use super::process::{Account, account};
use crate::shared::exposition::{Exposition, FamilyKind};

/// As of now; zero where the kernel does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Vitals {
    pub account: Account,
    /// Resident memory that is not backed by a file: heaps and stacks.
    pub anonymous_bytes: u64,
    pub threads: u64,
}

/// The gauges of Go's garbage collector, which has no counterpart here: all of them are 0.
pub const COLLECTOR_GAUGES: &[&str] = &["GCStats.LastGC", "GCStats.NumGC", "GCStats.PauseTotal"];

/// Those of Go's runtime that have none; see [`Vitals::runtime_gauges`] for the others.
const ABSENT_GAUGES: &[&str] = &[
    "MemStats.BuckHashSys",
    "MemStats.DebugGC",
    "MemStats.EnableGC",
    "MemStats.Frees",
    "MemStats.HeapIdle",
    "MemStats.HeapObjects",
    "MemStats.HeapReleased",
    "MemStats.LastGC",
    "MemStats.Lookups",
    "MemStats.MCacheInuse",
    "MemStats.MCacheSys",
    "MemStats.MSpanInuse",
    "MemStats.MSpanSys",
    "MemStats.Mallocs",
    "MemStats.NextGC",
    "MemStats.NumGC",
    "MemStats.PauseTotalNs",
    "MemStats.StackInuse",
    "MemStats.StackSys",
    "MemStats.TotalAlloc",
    "NumCgoCall",
    "NumGoroutine",
];

// === impl Vitals ===

impl Vitals {
    /// Reads `/proc`, which never waits for a disk.
    pub fn read() -> Vitals {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Vitals { account: account(), ..Vitals::of(&status) }
    }

    fn of(status: &str) -> Vitals {
        Vitals {
            account: Account::default(),
            anonymous_bytes: number_after(status, "RssAnon:").map_or(0, |kib| kib * 1024),
            threads: number_after(status, "Threads:").unwrap_or(0),
        }
    }

    /// What Go's runtime would show in `runtime.`, in the order of the names; 0 where it has no counterpart.
    pub fn runtime_gauges(&self) -> Vec<(&'static str, u64)> {
        let mut gauges = vec![
            ("MemStats.Alloc", self.anonymous_bytes),
            ("MemStats.HeapAlloc", self.anonymous_bytes),
            ("MemStats.HeapInuse", self.anonymous_bytes),
            ("MemStats.HeapSys", self.anonymous_bytes),
            ("MemStats.Sys", self.account.resident_bytes),
            ("NumThread", self.threads),
        ];
        gauges.extend(ABSENT_GAUGES.iter().map(|name| (*name, 0)));
        gauges.sort_unstable();
        gauges
    }

    /// The families that Prometheus' own clients give of a process.
    pub fn expose(&self, page: &mut Exposition) {
        let families = [
            (
                "process_cpu_seconds_total",
                "Total user and system CPU time spent in seconds.",
                self.account.cpu_s,
            ),
            (
                "process_max_fds",
                "Maximum number of open file descriptors.",
                self.account.descriptors_max.unwrap_or(0) as f64,
            ),
            (
                "process_open_fds",
                "Number of open file descriptors.",
                self.account.descriptors as f64,
            ),
            (
                "process_resident_memory_bytes",
                "Resident memory size in bytes.",
                self.account.resident_bytes as f64,
            ),
            (
                "process_start_time_seconds",
                "Start time of the process since unix epoch in seconds.",
                self.account.started_s,
            ),
            (
                "process_virtual_memory_bytes",
                "Virtual memory size in bytes.",
                self.account.virtual_bytes as f64,
            ),
        ];
        for (name, help, value) in families {
            let is_total = name.ends_with("_total");
            let kind = if is_total { FamilyKind::Counter } else { FamilyKind::Gauge };
            page.family(name, help, kind);
            page.series(name, [], value);
        }
    }
}

/// The first number behind a name at the beginning of a line.
fn number_after(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_understood() {
        let vitals = Vitals::of("Name:\ta\nRssAnon:\t  10 kB\nThreads:\t5\n");
        assert_eq!((vitals.anonymous_bytes, vitals.threads), (10_240, 5));
        assert_eq!(Vitals::of(""), Vitals::default());
    }

    #[test]
    fn this_process_lives() {
        let vitals = Vitals::read();
        assert!(vitals.anonymous_bytes > 10_000 && vitals.threads > 0);
        let mut page = Exposition::default();
        vitals.expose(&mut page);
        assert!(page.into_text().contains("# TYPE process_open_fds gauge\nprocess_open_fds "));
        let gauges = vitals.runtime_gauges();
        assert!(gauges.is_sorted() && gauges.contains(&("NumGoroutine", 0)));
    }
}
