//! `security/http`: which hosts are served, the way to https, and headers for browsers (specification, 2.33).
//!
//! Follows unrolled/secure 1.15 as krakend-httpsecure sets it up.

use std::sync::Arc;

use aws_lc_rs::rand;
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD as BASE64;
use regex::Regex;

use crate::config::extra::Block;
use crate::config::go_regex::go_regex;
use crate::config::problem::Problem;
use crate::message::path::{self, RequestTarget};
use crate::plan::feature::{Fallback, Feature, Scope, ServiceSlot, Site};
use crate::plan::route::Location;
use crate::stage::{Cause, EndpointStage, Exchange, Failure, Step};
use crate::wire::{Body, HeaderBlock, Reply};

use super::lowered;
use super::members::Members;

pub struct Http;

const MEMBERS: &[&str] = &[
    "allowed_hosts",
    "allowed_hosts_are_regex",
    "browser_xss_filter",
    "content_security_policy",
    "content_type_nosniff",
    "custom_frame_options_value",
    "force_sts_header",
    "frame_deny",
    "host_proxy_headers",
    "hpkp_public_key",
    "is_development",
    "referrer_policy",
    "ssl_host",
    "ssl_proxy_headers",
    "ssl_redirect",
    "sts_include_subdomains",
    "sts_seconds",
];

/// What a policy writes where the request's own nonce stands.
const NONCE: &str = "$NONCE";
const NONCE_BYTES: usize = 16;

/// Everything that a request is held against.
struct Rules {
    /// `None`: every host is served.
    hosts: Option<Hosts>,
    /// Headers that name the host in place of `Host`, the first that is there.
    host_headers: Box<[Box<str>]>,
    redirects_to_https: bool,
    /// Empty: the request's own host.
    https_host: Box<str>,
    /// A header with this very value says that the client came over https.
    https_headers: Box<[(Box<str>, Box<str>)]>,
    /// Header lines of every answer.
    lines: HeaderBlock,
    sts: Option<Sts>,
    /// The policy's parts between its nonces; empty when it has none.
    nonce_policy: Box<[Box<str>]>,
}

#[derive(Clone)]
enum Hosts {
    /// Sorted, in lower case.
    Listed(Box<[Box<str>]>),
    Patterns(Box<[Regex]>),
}

struct Sts {
    line: HeaderBlock,
    also_without_tls: bool,
}

impl Feature for Http {
    fn namespace(&self) -> &'static str {
        "security/http"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Service]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(MEMBERS)
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let Site::Service(draft) = site else { return Ok(()) };
        let Some(mut members) = Members::of(block)? else { return Ok(()) };
        let rules = Arc::new(Rules::read(&mut members, block)?);
        let build = Box::new(move |_: &_| -> Box<dyn EndpointStage> {
            // Patterns are copied, for one that several threads search lets them wait for each other.
            Box::new(Stage { rules: rules.clone(), hosts: rules.hosts.clone() })
        });
        draft.stages.push((ServiceSlot::Http, build));
        members.end()
    }
}

// === reading ===

impl Rules {
    fn read(members: &mut Members<'_>, block: &Block) -> Result<Rules, Fallback> {
        let is_development = members.flag("is_development");
        let hosts = Hosts::read(members, block)?;
        let policy = members.text("content_security_policy");
        let sts = Sts::read(members);
        let https_headers = members.texts_by_name("ssl_proxy_headers");
        let redirects_to_https = members.flag("ssl_redirect");
        if members.has("hpkp_public_key") {
            let what = "hpkp_public_key has no effect: browsers have given key pins up".to_owned();
            members.warn("hpkp_public_key", what, "leave it out");
        }
        Ok(Rules {
            hosts: hosts.filter(|_| !is_development),
            host_headers: members.texts("host_proxy_headers").into_iter().map(Box::from).collect(),
            redirects_to_https: redirects_to_https && !is_development,
            https_host: members.text("ssl_host").into(),
            https_headers: https_headers
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            lines: lines(members, policy),
            sts: sts.filter(|_| !is_development),
            nonce_policy: match policy.contains(NONCE) {
                true => policy.split(NONCE).map(Box::from).collect(),
                false => Box::default(),
            },
        })
    }
}

/// The lines that are the same for all requests.
fn lines(members: &mut Members<'_>, policy: &str) -> HeaderBlock {
    let mut lines = HeaderBlock::default();
    let mut push = |name: &str, value: &str| {
        if !value.is_empty() {
            lines.push(name.as_bytes(), on_one_line(value).as_bytes());
        }
    };
    let denies = if members.flag("frame_deny") { "DENY" } else { "" };
    let framing = members.text("custom_frame_options_value");
    push("X-Frame-Options", if framing.is_empty() { denies } else { framing });
    push(
        "X-Content-Type-Options",
        if members.flag("content_type_nosniff") { "nosniff" } else { "" },
    );
    let filters = members.flag("browser_xss_filter");
    push("X-XSS-Protection", if filters { "1; mode=block" } else { "" });
    if !policy.contains(NONCE) {
        push("Content-Security-Policy", policy);
    }
    push("Referrer-Policy", members.text("referrer_policy"));
    lines
}

/// As Go writes a value: line ends become blanks, and none stand at its ends.
fn on_one_line(value: &str) -> String {
    value.replace(['\r', '\n'], " ").trim_matches([' ', '\t']).to_owned()
}

impl Hosts {
    fn read(members: &mut Members<'_>, block: &Block) -> Result<Option<Hosts>, Fallback> {
        let list = members.texts("allowed_hosts");
        let are_patterns = members.flag("allowed_hosts_are_regex");
        if list.is_empty() {
            return Ok(None);
        }
        if !are_patterns {
            let mut lower: Vec<Box<str>> =
                list.iter().map(|host| host.to_lowercase().into()).collect();
            lower.sort_unstable();
            return Ok(Some(Hosts::Listed(lower.into())));
        }
        let mut patterns = Vec::new();
        for (index, pattern) in list.iter().enumerate() {
            let option = format!("allowed_hosts/{index}");
            // The original panics at the start, so no leniency can let this pass.
            let compiled = go_regex(&format!("^{pattern}$")).map_err(|error| {
                let place = block.place_at(&format!("/{option}"));
                let problem = Problem::refuse(place, format!("{pattern:?}: {error}"));
                Fallback::Refuse(problem.hint("write a regular expression in Go's syntax (RE2)"))
            })?;
            if is_half_open(pattern) {
                members.warn(
                    &option,
                    format!("{pattern:?} is read as ^{pattern}$, so other hosts fit, too"),
                    "put the alternatives in parentheses",
                );
            }
            patterns.push(compiled);
        }
        Ok(Some(Hosts::Patterns(patterns.into())))
    }

    fn allow(&self, host: &[u8]) -> bool {
        match self {
            Hosts::Listed(list) => {
                let lower = lowered(host);
                list.binary_search_by(|known| known.as_bytes().cmp(&lower)).is_ok()
            }
            Hosts::Patterns(patterns) => {
                let host = String::from_utf8_lossy(host);
                patterns.iter().any(|pattern| pattern.is_match(&host))
            }
        }
    }
}

/// Whether the pattern has alternatives outside of all parentheses: each is then anchored on one side at most.
fn is_half_open(pattern: &str) -> bool {
    let (mut depth, mut in_class, mut escaped) = (0usize, false, false);
    for letter in pattern.chars() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => in_class = true,
            ']' => in_class = false,
            '(' if !in_class => depth += 1,
            ')' if !in_class => depth = depth.saturating_sub(1),
            '|' if !in_class && depth == 0 => return true,
            _ => {}
        }
    }
    false
}

impl Sts {
    fn read(members: &mut Members<'_>) -> Option<Sts> {
        let also_without_tls = members.flag("force_sts_header");
        let subdomains = members.flag("sts_include_subdomains");
        #[expect(clippy::cast_possible_truncation, reason = "the fraction does not count")]
        let seconds = members.number("sts_seconds")? as i64;
        if seconds == 0 {
            return None;
        }
        if seconds < 0 {
            members.wrong("sts_seconds", format!("{seconds} seconds are no time to come"));
        }
        let subdomains = if subdomains { "; includeSubDomains" } else { "" };
        let mut line = HeaderBlock::default();
        let value = format!("max-age={seconds}{subdomains}");
        line.push(b"Strict-Transport-Security", value.as_bytes());
        Some(Sts { line, also_without_tls })
    }
}

// === at work ===

struct Stage {
    rules: Arc<Rules>,
    hosts: Option<Hosts>,
}

/// Why a request goes no further.
enum Stop {
    BadHost,
    ToHttps,
}

impl Rules {
    fn host<'x>(&self, exchange: &Exchange<'x>) -> &'x [u8] {
        let mut named = self.host_headers.iter().filter_map(|name| exchange.head.header(name));
        named.find(|host| !host.is_empty()).unwrap_or_else(|| exchange.head.host())
    }

    fn is_https(&self, exchange: &Exchange<'_>) -> bool {
        let head = exchange.head;
        exchange.peer.is_tls
            || head.target().get(..8).is_some_and(|text| text.eq_ignore_ascii_case(b"https://"))
            || self.https_headers.iter().any(|(name, value)| {
                // As in Go a header that is not there has the empty value.
                head.header(name).unwrap_or_default() == value.as_bytes()
            })
    }

    /// The same path and query by https.
    fn to_https(&self, exchange: &Exchange<'_>) -> Reply {
        let head = exchange.head;
        let Ok(target) = RequestTarget::parse(head.method_name(), head.target()) else {
            return Reply::empty(400);
        };
        let host = match &*self.https_host {
            "" => self.host(exchange),
            host => host.as_bytes(),
        };
        let mut url = [b"https://", host].concat();
        path::encode_like(exchange.path, target.path, &mut url);
        if let Some(query) = target.query {
            url.push(b'?');
            url.extend_from_slice(query);
        }
        let location = Location::new(url, 301);
        let mut reply = Reply::empty(301);
        let is_get = head.method_name() == b"GET";
        if is_get || head.is_head_method() {
            reply.headers.push(b"Content-Type", b"text/html; charset=utf-8");
        }
        reply.headers.push(b"Location", &location.header());
        if is_get {
            reply.body = Body::Bytes(location.body());
        }
        reply
    }

    /// What the request's own nonce makes of the policy.
    fn push_nonce_policy(&self, lines: &mut HeaderBlock) -> Result<(), Failure> {
        if self.nonce_policy.is_empty() {
            return Ok(());
        }
        let mut bytes = [0; NONCE_BYTES];
        rand::fill(&mut bytes)
            .map_err(|_| Failure::new(Cause::Refused(500), "[HTTPsecure] no random bytes"))?;
        let nonce = format!("'nonce-{}'", BASE64.encode(bytes));
        let policy = on_one_line(&self.nonce_policy.join(&nonce));
        lines.push(b"Content-Security-Policy", policy.as_bytes());
        Ok(())
    }
}

fn bad_host() -> Reply {
    let mut reply = Reply::empty(500);
    reply.headers.push(b"Content-Type", b"text/plain; charset=utf-8");
    reply.headers.push(b"X-Content-Type-Options", b"nosniff");
    reply.body = Body::Static(b"Bad Host\n");
    reply
}

impl Stage {
    fn stop(&self, exchange: &Exchange<'_>) -> Option<Stop> {
        if self.hosts.as_ref().is_some_and(|hosts| !hosts.allow(self.rules.host(exchange))) {
            return Some(Stop::BadHost);
        }
        let to_https = self.rules.redirects_to_https && !self.rules.is_https(exchange);
        to_https.then_some(Stop::ToHttps)
    }
}

impl EndpointStage for Stage {
    fn on_request<'x>(
        &'x self,
        exchange: &'x mut Exchange<'_>,
    ) -> Result<Step<'x, Reply>, Failure> {
        Ok(match self.stop(exchange) {
            None => Step::Next,
            Some(Stop::BadHost) => Step::Done(bad_host()),
            Some(Stop::ToHttps) => Step::Done(self.rules.to_https(exchange)),
        })
    }

    fn on_reply(&self, exchange: &Exchange<'_>, reply: &mut Reply) {
        // What this stage answered itself has none of the headers.
        if matches!(reply.status, 500 | 301) && self.stop(exchange).is_some() {
            return;
        }
        let mut lines = HeaderBlock::with_capacity(512);
        let sts = self.rules.sts.as_ref();
        if let Some(sts) = sts.filter(|sts| sts.also_without_tls || self.rules.is_https(exchange)) {
            lines.append(&sts.line);
        }
        lines.append(&self.rules.lines);
        // Without a nonce the policy is left out, so that it cannot be used with one that can be guessed.
        let _ = self.rules.push_nonce_policy(&mut lines);
        reply.headers.prepend(lines);
    }
}

#[cfg(test)]
mod tests;
