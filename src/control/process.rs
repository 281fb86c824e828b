//! What the kernel says of this process: memory and descriptors.

use std::fs;

/// Ticks of the kernel's accounting in a second: 100 for every program, whatever the kernel's own clock does.
const TICKS: f64 = 100.0;

/// What Prometheus' clients tell of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Account {
    pub cpu_s: f64,
    /// Since 1970.
    pub started_s: f64,
    pub virtual_bytes: u64,
    /// `None` is without bound.
    pub virtual_bytes_max: Option<u64>,
    pub resident_bytes: u64,
    pub descriptors: u64,
    pub descriptors_max: Option<u64>,
}

/// As of now; zero where the kernel does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub resident_bytes: u64,
    pub descriptors: u64,
}

/// Reads `/proc/self`, which never waits for a disk.
pub fn usage() -> Usage {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let descriptors = fs::read_dir("/proc/self/fd").map_or(0, |open| open.count() as u64);
    Usage { resident_bytes: resident_bytes(&status), descriptors: descriptors.saturating_sub(1) }
}

/// The same, with what Prometheus' clients tell beside it.
pub fn account() -> Account {
    let Usage { resident_bytes, descriptors } = usage();
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let machine = fs::read_to_string("/proc/stat").unwrap_or_default();
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let [user, system, started, virtual_bytes] = fields(&stat);
    Account {
        cpu_s: (user + system) as f64 / TICKS,
        started_s: boot_s(&machine) as f64 + started as f64 / TICKS,
        virtual_bytes,
        virtual_bytes_max: limit(&limits, "Max address space"),
        resident_bytes,
        descriptors,
        descriptors_max: limit(&limits, "Max open files"),
    }
}

/// Time in user and in kernel mode, the start after the machine's, and the address space.
fn fields(stat: &str) -> [u64; 4] {
    // The program's name, in parentheses, may hold anything.
    let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
    let field = |number: usize| {
        let text = behind.split_whitespace().nth(number - 3);
        text.and_then(|text| text.parse().ok()).unwrap_or(0)
    };
    [field(14), field(15), field(22), field(23)]
}

fn boot_s(machine: &str) -> u64 {
    let line = machine.lines().find_map(|line| line.strip_prefix("btime "));
    line.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

fn limit(limits: &str, name: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn resident_bytes(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_understood() {
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t    1234 kB\n"), 1234 * 1024);
        assert_eq!(resident_bytes("Name:\tx\n"), 0);
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 9 0 1000 4096 3 1\n";
        assert_eq!(fields(stat), [250, 50, 1000, 4096]);
        assert_eq!(
            limit("Max open files            1024     4096     files\n", "Max open files"),
            Some(1024)
        );
        assert_eq!(
            limit("Max address space  unlimited unlimited bytes\n", "Max address space"),
            None
        );
        let account = account();
        assert!(account.started_s > 1e9 && account.virtual_bytes > account.resident_bytes);
        let usage = usage();
        assert!(usage.resident_bytes > 100_000 && usage.descriptors > 2);
    }
}
