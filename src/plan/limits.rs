//! `LimitOptions` and `RateLimitOptions`: what `shoal/limits` and `shoal/ratelimit` say, as written, and `Bounds`: what the
//! first come to.

use serde::Deserialize;

use crate::json;

/// The kernel keeps the length of an accept queue in 16 bits of a message to us, and cuts it to `net.core.somaxconn`.
const BACKLOG_MAX: u32 = 65_535;
const BACKLOG_DEFAULT: u32 = 4096;
/// More would only fill the host's own queue.
const DIALS_PER_HOST_DEFAULT: u32 = 128;
/// Headers of one message; browsers send about 15.
const HEADERS_DEFAULT: u32 = 1000;
/// The largest head of an upstream's answer: 1 MiB, where Go allows ten.
const UPSTREAM_HEAD_BYTES_DEFAULT: u32 = 1024 * 1024;
/// Positions in a head are numbers of 32 bits.
const HEAD_BYTES_MAX: u32 = 1 << 30;
/// The largest body that is kept in memory: an answer's to be decoded, a request's where several calls need it.
const MEMORY_BODY_BYTES_DEFAULT: u32 = 64 * 1024 * 1024;
/// A little over 4 MiB of each core at most.
const POOLED_BUFFERS_DEFAULT: u32 = 256;
const WAITING_PER_HOST_DEFAULT: u32 = 16 * 1024;
const QUESTIONS_DEFAULT: u32 = 4096;
const SHADOWS_DEFAULT: u32 = 4096;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct LimitOptions {
    pub accept_backlog: Option<u32>,
    pub connections_max: Option<u32>,
    pub connections_per_address_max: Option<u32>,
    pub decoded_body_bytes_max: Option<u32>,
    pub dials_per_host_max: Option<u32>,
    pub headers_max: Option<u32>,
    pub json_depth_max: Option<u32>,
    pub kept_body_bytes_max: Option<u32>,
    pub pooled_buffers_max: Option<u32>,
    pub questions_max: Option<u32>,
    pub queue_max_ms: Option<u32>,
    pub request_body_bytes_max: Option<u64>,
    pub requests_max: Option<u32>,
    pub shadows_max: Option<u32>,
    pub upstream_head_bytes_max: Option<u32>,
    pub uri_bytes_max: Option<u32>,
    pub waiting_per_host_max: Option<u32>,
}

/// One option as it was given.
#[derive(Clone, Copy, Debug)]
pub struct LimitOption {
    pub name: &'static str,
    pub value: Option<u64>,
    /// The largest number that it can be.
    pub most: u64,
}

/// What each core copies at its start: plain numbers, with the defaults of what was not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Of a request or an answer.
    pub headers_max: usize,
    pub uri_bytes_max: usize,
    pub request_body_bytes_max: u64,
    /// Of a request's body that is kept in memory.
    pub kept_body_bytes_max: usize,
    pub upstream_head_bytes_max: usize,
    /// Of an answer's body that is decoded, also unpacked.
    pub decoded_body_bytes_max: usize,
    pub json_depth_max: usize,
    /// Of each of the two sizes, on one core.
    pub pooled_buffers_max: usize,
    /// Connections to one host that one core may be opening at a time.
    pub dials_per_host_max: usize,
    /// Calls of one core that wait to open a connection to one host.
    pub waiting_per_host_max: usize,
    /// Questions of all cores that the control thread has not answered.
    pub questions_max: usize,
    /// Requests of one core whose copies shadow backends have not answered.
    pub shadows_max: usize,
}

impl LimitOptions {
    /// All of them, for checks that they have in common.
    pub fn all(&self) -> [LimitOption; 17] {
        let up_to = |most: u32, name, value: Option<u32>| LimitOption {
            name,
            value: value.map(u64::from),
            most: most.into(),
        };
        let option = |name, value| up_to(u32::MAX, name, value);
        let depth_most = u32::try_from(json::DEPTH_MAX).unwrap_or(u32::MAX);
        [
            up_to(BACKLOG_MAX, "accept_backlog", self.accept_backlog),
            option("connections_max", self.connections_max),
            option("connections_per_address_max", self.connections_per_address_max),
            option("decoded_body_bytes_max", self.decoded_body_bytes_max),
            option("dials_per_host_max", self.dials_per_host_max),
            option("headers_max", self.headers_max),
            up_to(depth_most, "json_depth_max", self.json_depth_max),
            option("kept_body_bytes_max", self.kept_body_bytes_max),
            option("pooled_buffers_max", self.pooled_buffers_max),
            option("questions_max", self.questions_max),
            option("queue_max_ms", self.queue_max_ms),
            LimitOption {
                name: "request_body_bytes_max",
                value: self.request_body_bytes_max,
                most: i64::MAX.unsigned_abs(),
            },
            option("requests_max", self.requests_max),
            option("shadows_max", self.shadows_max),
            up_to(HEAD_BYTES_MAX, "upstream_head_bytes_max", self.upstream_head_bytes_max),
            up_to(HEAD_BYTES_MAX, "uri_bytes_max", self.uri_bytes_max),
            option("waiting_per_host_max", self.waiting_per_host_max),
        ]
    }

    /// Connections that may wait to be accepted, on each core.
    pub fn backlog(&self) -> i32 {
        let backlog = self.accept_backlog.unwrap_or(BACKLOG_DEFAULT).min(BACKLOG_MAX);
        i32::try_from(backlog).unwrap_or(i32::MAX)
    }

    /// One core's part of the requests in flight: a count over all cores would cost every request.
    pub fn requests_of_one(&self, cores: usize) -> usize {
        self.requests_max.map_or(usize::MAX, |all| (all as usize).div_ceil(cores.max(1)))
    }

    /// The numbers that the cores keep to.
    pub fn bounds(&self) -> Bounds {
        let or = |given: Option<u32>, default: u32| given.unwrap_or(default) as usize;
        Bounds {
            headers_max: or(self.headers_max, HEADERS_DEFAULT),
            uri_bytes_max: or(self.uri_bytes_max, HEAD_BYTES_MAX),
            request_body_bytes_max: self.request_body_bytes_max.unwrap_or(u64::MAX),
            kept_body_bytes_max: or(self.kept_body_bytes_max, MEMORY_BODY_BYTES_DEFAULT),
            upstream_head_bytes_max: or(self.upstream_head_bytes_max, UPSTREAM_HEAD_BYTES_DEFAULT),
            decoded_body_bytes_max: or(self.decoded_body_bytes_max, MEMORY_BODY_BYTES_DEFAULT),
            json_depth_max: self.json_depth_max.map_or(json::DEPTH_MAX, |depth| depth as usize),
            pooled_buffers_max: or(self.pooled_buffers_max, POOLED_BUFFERS_DEFAULT),
            dials_per_host_max: or(self.dials_per_host_max, DIALS_PER_HOST_DEFAULT),
            waiting_per_host_max: or(self.waiting_per_host_max, WAITING_PER_HOST_DEFAULT),
            questions_max: or(self.questions_max, QUESTIONS_DEFAULT),
            shadows_max: or(self.shadows_max, SHADOWS_DEFAULT),
        }
    }
}

/// Clients whose buckets one limit keeps; they take 4.9 MB when all have come.
pub const CLIENTS_DEFAULT: u32 = 131_072;

/// What goes with every rate limit of the service, or of one endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RateLimitOptions {
    pub clients_max: Option<u32>,
    /// Tell clients where they stand.
    pub headers: Option<bool>,
}

impl RateLimitOptions {
    pub fn clients_max(&self) -> usize {
        self.clients_max.unwrap_or(CLIENTS_DEFAULT) as usize
    }

    /// These, and where they say nothing, those.
    #[must_use]
    pub fn or(self, those: RateLimitOptions) -> RateLimitOptions {
        RateLimitOptions {
            clients_max: self.clients_max.or(those.clients_max),
            headers: self.headers.or(those.headers),
        }
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

    #[test]
    fn what_is_not_given_has_its_default() {
        let none = LimitOptions::default().bounds();
        assert_eq!(
            (none.headers_max, none.json_depth_max, none.questions_max),
            (1000, 10_000, 4096)
        );
        assert_eq!(none.request_body_bytes_max, u64::MAX);
        let options = LimitOptions {
            headers_max: Some(7),
            request_body_bytes_max: Some(1 << 40),
            ..LimitOptions::default()
        };
        let some = options.bounds();
        assert_eq!(some, Bounds { headers_max: 7, request_body_bytes_max: 1 << 40, ..none });
    }
}
