//! The options of `auth/validator`, as they are written.

use std::time::Duration;

use serde::Deserialize;

use super::misread;
use crate::config::extra::Block;
use crate::config::problem::Problem;
use crate::config::values::parse_duration;

/// How long keys are kept where nothing else is said.
const CACHED_DEFAULT: Duration = Duration::from_mins(15);
/// Below it the original takes a cool-down for none, and a leeway for this.
const SECOND: Duration = Duration::from_secs(1);

pub const SERVICE_MEMBERS: &[&str] = &["shared_cache_duration"];

pub const ENDPOINT_MEMBERS: &[&str] = &[
    "alg",
    "audience",
    "auth_header_name",
    "cache",
    "cache_duration",
    "cipher_suites",
    "cookie_key",
    "cypher_key",
    "disable_jwk_security",
    "failed_jwk_key_cooldown",
    "issuer",
    "jwk_fingerprints",
    "jwk_local_ca",
    "jwk_local_path",
    "jwk_url",
    "key_identify_strategy",
    "leeway",
    "operation_debug",
    "propagate_claims",
    "propagate_claims_preserve_array",
    "roles",
    "roles_key",
    "roles_key_is_nested",
    "scopes",
    "scopes_key",
    "scopes_matcher",
    "secret_url",
];

/// The block at the service.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ServiceOptions {
    shared_cache_duration: u32,
}

/// The block at an endpoint, without where its keys are.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ValidatorOptions {
    pub alg: String,
    pub audience: Vec<String>,
    pub auth_header_name: String,
    pub cache: bool,
    cache_duration: u32,
    pub cookie_key: String,
    failed_jwk_key_cooldown: String,
    pub issuer: String,
    pub key_identify_strategy: String,
    leeway: String,
    pub operation_debug: bool,
    pub propagate_claims: Vec<Vec<String>>,
    pub propagate_claims_preserve_array: bool,
    pub roles: Vec<String>,
    pub roles_key: String,
    pub roles_key_is_nested: bool,
    pub scopes: Vec<String>,
    pub scopes_key: String,
    pub scopes_matcher: String,
}

// === impl ServiceOptions ===

impl ServiceOptions {
    pub fn cached_for(&self) -> Duration {
        seconds_or_default(self.shared_cache_duration)
    }
}

// === impl ValidatorOptions ===

impl ValidatorOptions {
    pub fn cached_for(&self) -> Duration {
        seconds_or_default(self.cache_duration)
    }

    /// At least a second; nonsense is a second.
    pub fn leeway(&self, block: &Block) -> (Duration, Option<Problem>) {
        let (leeway, problem) = duration(block, "leeway", &self.leeway);
        (leeway.unwrap_or(SECOND).max(SECOND), problem)
    }

    /// Zero is none; below a second and nonsense is none.
    pub fn cooldown(&self, block: &Block) -> (Duration, Option<Problem>) {
        let member = "failed_jwk_key_cooldown";
        let (cooldown, problem) = duration(block, member, &self.failed_jwk_key_cooldown);
        (cooldown.filter(|cooldown| *cooldown >= SECOND).unwrap_or_default(), problem)
    }
}

fn seconds_or_default(seconds: u32) -> Duration {
    if seconds == 0 { CACHED_DEFAULT } else { Duration::from_secs(seconds.into()) }
}

fn duration(block: &Block, member: &str, text: &str) -> (Option<Duration>, Option<Problem>) {
    if text.is_empty() {
        return (None, None);
    }
    match parse_duration(text).map(u64::try_from) {
        Ok(Ok(ns)) => (Some(Duration::from_nanos(ns)), None),
        Ok(Err(_)) => (None, Some(misread(block, member, format!("{text:?} is negative")))),
        Err(what) => (None, Some(misread(block, member, what))),
    }
}
