//! `LimitOptions`: the bounds of `shoal/limits`, as written; what is left out is not limited or has a default.

use serde::Deserialize;

/// The kernel keeps the length of an accept queue in 16 bits of a message to us, and cuts it to `net.core.somaxconn`.
pub const BACKLOG_MAX: u32 = 65_535;
const BACKLOG_DEFAULT: u32 = 4096;
/// More would only fill the host's own queue.
const DIALS_PER_HOST_DEFAULT: u32 = 128;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct LimitOptions {
    pub accept_backlog: Option<u32>,
    pub connections_max: Option<u32>,
    pub connections_per_address_max: Option<u32>,
    pub dials_per_host_max: Option<u32>,
    pub queue_max_ms: Option<u32>,
    pub requests_max: Option<u32>,
}

impl LimitOptions {
    /// All of them, for checks that they have in common.
    pub fn all(&self) -> [(&'static str, Option<u32>); 6] {
        [
            ("accept_backlog", self.accept_backlog),
            ("connections_max", self.connections_max),
            ("connections_per_address_max", self.connections_per_address_max),
            ("dials_per_host_max", self.dials_per_host_max),
            ("queue_max_ms", self.queue_max_ms),
            ("requests_max", self.requests_max),
        ]
    }

    /// Connections that may wait to be accepted, on each core.
    pub fn backlog(&self) -> i32 {
        let backlog = self.accept_backlog.unwrap_or(BACKLOG_DEFAULT).min(BACKLOG_MAX);
        i32::try_from(backlog).unwrap_or(i32::MAX)
    }

    /// Connections to one host that one core may be opening at a time.
    pub fn dials_per_host(&self) -> usize {
        self.dials_per_host_max.unwrap_or(DIALS_PER_HOST_DEFAULT) as usize
    }

    /// One core's part of the requests in flight: a count over all cores would cost every request.
    pub fn requests_of_one(&self, cores: usize) -> usize {
        self.requests_max.map_or(usize::MAX, |all| (all as usize).div_ceil(cores.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cores_share_the_requests() {
        let none = LimitOptions::default();
        assert_eq!(none.requests_of_one(4), usize::MAX);
        let some = LimitOptions { requests_max: Some(10), ..none };
        assert_eq!((some.requests_of_one(1), some.requests_of_one(4)), (10, 3));
    }
}
