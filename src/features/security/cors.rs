//! `security/cors`: which pages of other origins may read answers (WHATWG Fetch, section 3.2; specification, 2.32).
//!
//! Follows rs/cors 1.11 as krakend-cors sets it up: outside of everything, so that preflights reach no endpoint and every
//! answer has its `Vary`.

use std::sync::Arc;

use crate::config::extra::Block;
use crate::config::problem::Problem;
use crate::config::values::parse_duration;
use crate::plan::feature::{Fallback, Feature, Scope, ServiceSlot, Site};
use crate::shared::log::{Level, Log};
use crate::stage::{EndpointStage, Exchange, Failure, Step};
use crate::wire::{HeaderBlock, Reply};

use super::lowered;
use super::members::Members;

pub struct Cors;

const MEMBERS: &[&str] = &[
    "allow_credentials",
    "allow_headers",
    "allow_methods",
    "allow_origins",
    "allow_private_network",
    "debug",
    "expose_headers",
    "max_age",
    "options_passthrough",
    "options_success_status",
];

/// The methods that are allowed where none is listed.
const SIMPLE_METHODS: [&str; 3] = ["GET", "POST", "HEAD"];
const STATUS_DEFAULT: u16 = 204;
/// Empty elements of a list of headers that are tolerated (RFC 9110 section 5.6.1).
const EMPTY_ELEMENTS_MAX: usize = 16;
/// Blanks on either side of a header's name that are tolerated.
const BLANKS_MAX: usize = 1;
/// Room for what is added to most answers, and for the answers' own lines.
const LINES_BYTES_USUAL: usize = 768;

const VARY_ACTUAL: &[u8] = b"Vary: Origin\r\n";
const VARY_PREFLIGHT: &[u8] =
    b"Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers\r\n";
const VARY_PRIVATE: &[u8] = b"Vary: Origin, Access-Control-Request-Method, \
    Access-Control-Request-Headers, Access-Control-Request-Private-Network\r\n";
const ANY_ORIGIN: &[u8] = b"Access-Control-Allow-Origin: *\r\n";
const CREDENTIALS: &[u8] = b"Access-Control-Allow-Credentials: true\r\n";
const PRIVATE_NETWORK: &[u8] = b"Access-Control-Allow-Private-Network: true\r\n";

/// Who may do what.
#[derive(Debug)]
struct Rules {
    origins: Origins,
    methods: Box<[Box<str>]>,
    /// Sorted, in lower case; `None`: all.
    headers: Option<Box<[Box<str>]>>,
    allows_credentials: bool,
    allows_private_network: bool,
    passes_preflights_on: bool,
    preflight_status: u16,
    /// Header lines, empty where there is nothing to say.
    exposed_line: Box<[u8]>,
    max_age_line: Box<[u8]>,
    is_debug: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Origins {
    Any,
    /// In lower case; the exact ones sorted.
    Listed {
        exact: Box<[Box<str>]>,
        patterns: Box<[(Box<str>, Box<str>)]>,
    },
}

impl Feature for Cors {
    fn namespace(&self) -> &'static str {
        "security/cors"
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
        let build = Box::new(move |log: &Log| -> Box<dyn EndpointStage> {
            Box::new(Stage { rules: rules.clone(), log: rules.is_debug.then(|| log.clone()) })
        });
        draft.stages.push((ServiceSlot::Cors, build));
        members.end()
    }
}

// === reading ===

impl Rules {
    fn read(members: &mut Members<'_>, block: &Block) -> Result<Rules, Fallback> {
        let origins = Origins::of(&members.texts("allow_origins"), members);
        let allows_credentials = members.flag("allow_credentials");
        if allows_credentials && origins == Origins::Any {
            let what = "browsers refuse credentials where any origin is allowed".to_owned();
            members.warn("allow_credentials", what, "list the origins in allow_origins");
        }
        let methods = members.texts("allow_methods");
        let headers = members.texts("allow_headers");
        let max_age_s = max_age(members, block)?;
        Ok(Rules {
            origins,
            methods: boxed(if methods.is_empty() { &SIMPLE_METHODS } else { &methods }),
            headers: listed_headers(&headers),
            allows_credentials,
            allows_private_network: members.flag("allow_private_network"),
            passes_preflights_on: members.flag("options_passthrough"),
            preflight_status: preflight_status(members),
            exposed_line: exposed_line(&members.texts("expose_headers")),
            max_age_line: match max_age_s {
                0 => Box::default(),
                s => format!("Access-Control-Max-Age: {}\r\n", s.max(0)).into_bytes().into(),
            },
            is_debug: members.flag("debug"),
        })
    }
}

impl Origins {
    fn of(list: &[&str], members: &mut Members<'_>) -> Origins {
        if list.is_empty() || list.contains(&"*") {
            return Origins::Any;
        }
        let (mut exact, mut patterns) = (Vec::new(), Vec::new());
        for (index, origin) in list.iter().enumerate() {
            let lower = origin.to_lowercase();
            let is_possible = lower == "null"
                || lower.contains('*')
                || lower.split_once("://").is_some_and(|(_, host)| !host.contains('/'));
            if !is_possible || lower.matches('*').count() > 1 {
                members.warn(
                    &format!("allow_origins/{index}"),
                    format!("no browser sends the origin {origin:?}"),
                    "write scheme://host or scheme://host:port, with one * at most",
                );
            }
            match lower.split_once('*') {
                Some((before, behind)) => patterns.push((before.into(), behind.into())),
                None => exact.push(Box::from(lower)),
            }
        }
        exact.sort_unstable();
        Origins::Listed { exact: exact.into(), patterns: patterns.into() }
    }
}

fn boxed(list: &[&str]) -> Box<[Box<str>]> {
    list.iter().map(|text| Box::from(*text)).collect()
}

fn listed_headers(list: &[&str]) -> Option<Box<[Box<str>]>> {
    if list.is_empty() || list.contains(&"*") {
        return None;
    }
    let mut lower: Vec<Box<str>> = list.iter().map(|name| name.to_lowercase().into()).collect();
    lower.sort_unstable();
    lower.dedup();
    Some(lower.into())
}

fn exposed_line(names: &[&str]) -> Box<[u8]> {
    if names.is_empty() {
        return Box::default();
    }
    let names: Vec<String> = names.iter().map(|name| canonical(name)).collect();
    let mut block = HeaderBlock::default();
    block.push(b"Access-Control-Expose-Headers", names.join(", ").as_bytes());
    block.as_bytes().into()
}

/// `x-one` as Go writes it: `X-One`. What is no name stays as it is.
fn canonical(name: &str) -> String {
    if !crate::message::headers::is_token(name.as_bytes()) {
        return name.to_owned();
    }
    let mut is_first = true;
    let letters = name.chars().map(|letter| {
        let written =
            if is_first { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
        is_first = letter == '-';
        written
    });
    letters.collect()
}

/// Whole seconds, cut towards zero. The original cannot start with what is no text.
fn max_age(members: &mut Members<'_>, block: &Block) -> Result<i64, Fallback> {
    if !members.has("max_age") {
        return Ok(0);
    }
    const HINT: &str = "write a duration like 12h or 300s";
    let place = block.place_at("/max_age");
    let Some(text) = block.value.get("max_age").and_then(serde_json::Value::as_str) else {
        return Err(Fallback::Refuse(Problem::refuse(place, "max_age is no text").hint(HINT)));
    };
    match parse_duration(text) {
        Ok(ns) => Ok(ns / 1_000_000_000),
        Err(error) => {
            members.tell(Problem::lenient(place, error).hint(HINT));
            Ok(0)
        }
    }
}

fn preflight_status(members: &mut Members<'_>) -> u16 {
    let name = "options_success_status";
    match members.number(name).map(f64::trunc) {
        None | Some(0.0) => STATUS_DEFAULT,
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
        Some(status @ 200.0..=999.0) => status as u16,
        Some(status) => {
            members.wrong(name, format!("{status} is no status of an answer"));
            STATUS_DEFAULT
        }
    }
}

// === deciding ===

impl Origins {
    fn allow(&self, origin: &[u8]) -> bool {
        let Origins::Listed { exact, patterns } = self else { return true };
        let lower = lowered(origin);
        let fits = |(before, behind): &(Box<str>, Box<str>)| {
            lower.len() >= before.len() + behind.len()
                && lower.starts_with(before.as_bytes())
                && lower.ends_with(behind.as_bytes())
        };
        exact.binary_search_by(|known| known.as_bytes().cmp(&lower)).is_ok()
            || patterns.iter().any(fits)
    }
}

/// Why no header is added.
#[derive(Debug, PartialEq, Eq)]
enum Denied {
    NoOrigin,
    Origin,
    Method,
    Headers,
}

impl Rules {
    fn allow_method(&self, method: &[u8]) -> bool {
        method == b"OPTIONS" || self.methods.iter().any(|known| known.as_bytes() == method)
    }

    fn allow_origin(&self, origin: &[u8]) -> Result<(), Denied> {
        match origin {
            b"" => Err(Denied::NoOrigin),
            origin if self.origins.allow(origin) => Ok(()),
            _ => Err(Denied::Origin),
        }
    }

    /// Whether the lists name allowed headers alone, in order and each once, as browsers write them.
    fn allow_headers<'h>(&self, lists: impl Iterator<Item = &'h [u8]>) -> bool {
        let Some(allowed) = &self.headers else { return true };
        let mut next = 0;
        let mut empty_count = 0;
        for element in lists.flat_map(|list| list.split(|&byte| byte == b',')) {
            let Some(name) = without_blanks(element) else { return false };
            if name.is_empty() {
                empty_count += 1;
                if empty_count > EMPTY_ELEMENTS_MAX {
                    return false;
                }
                continue;
            }
            match allowed.binary_search_by(|known| known.as_bytes().cmp(name)) {
                Ok(place) if place >= next => next = place + 1,
                _ => return false,
            }
        }
        true
    }

    /// The lines of an answer to a preflight; `Vary` is always among them.
    fn preflight(&self, exchange: &Exchange<'_>) -> (HeaderBlock, Result<(), Denied>) {
        let head = exchange.head;
        let mut block = HeaderBlock::with_capacity(LINES_BYTES_USUAL);
        block.push_lines(if self.allows_private_network { VARY_PRIVATE } else { VARY_PREFLIGHT });
        let method = head.header(REQUEST_METHOD).unwrap_or_default();
        let verdict = self.allow_origin(head.header("origin").unwrap_or_default()).and_then(|()| {
            if !self.allow_method(method) {
                return Err(Denied::Method);
            }
            match self.allow_headers(head.headers_named(REQUEST_HEADERS)) {
                true => Ok(()),
                false => Err(Denied::Headers),
            }
        });
        if verdict.is_err() {
            return (block, verdict);
        }
        self.push_origin(exchange, &mut block);
        for method in head.headers_named(REQUEST_METHOD) {
            block.push(b"Access-Control-Allow-Methods", method);
        }
        if head.header(REQUEST_HEADERS).is_some_and(|first| !first.is_empty()) {
            for list in head.headers_named(REQUEST_HEADERS) {
                block.push(b"Access-Control-Allow-Headers", list);
            }
        }
        if self.allows_credentials {
            block.push_lines(CREDENTIALS);
        }
        let asks_private = head.header("access-control-request-private-network");
        if self.allows_private_network && asks_private == Some(b"true") {
            block.push_lines(PRIVATE_NETWORK);
        }
        block.push_lines(&self.max_age_line);
        (block, verdict)
    }

    /// The lines of any other answer.
    fn actual(&self, exchange: &Exchange<'_>) -> (HeaderBlock, Result<(), Denied>) {
        let head = exchange.head;
        let mut block = HeaderBlock::with_capacity(LINES_BYTES_USUAL);
        block.push_lines(VARY_ACTUAL);
        let verdict =
            self.allow_origin(head.header("origin").unwrap_or_default()).and_then(|()| match self
                .allow_method(head.method_name())
            {
                true => Ok(()),
                false => Err(Denied::Method),
            });
        if verdict.is_ok() {
            self.push_origin(exchange, &mut block);
            block.push_lines(&self.exposed_line);
            if self.allows_credentials {
                block.push_lines(CREDENTIALS);
            }
        }
        (block, verdict)
    }

    /// The client's own spelling goes back to it.
    fn push_origin(&self, exchange: &Exchange<'_>, block: &mut HeaderBlock) {
        if self.origins == Origins::Any {
            return block.push_lines(ANY_ORIGIN);
        }
        for origin in exchange.head.headers_named("origin") {
            block.push(b"Access-Control-Allow-Origin", origin);
        }
    }
}

/// The element without the blanks that are tolerated; `None`: there are more.
fn without_blanks(element: &[u8]) -> Option<&[u8]> {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let behind = element.iter().rev().take_while(|byte| is_blank(byte)).count();
    let rest = &element[..element.len() - behind];
    if rest.is_empty() {
        return (behind <= BLANKS_MAX + 1).then_some(rest);
    }
    let before = rest.iter().take_while(|byte| is_blank(byte)).count();
    (behind <= BLANKS_MAX && before <= BLANKS_MAX).then(|| &rest[before..])
}

// === at work ===

const REQUEST_METHOD: &str = "access-control-request-method";
const REQUEST_HEADERS: &str = "access-control-request-headers";

struct Stage {
    rules: Arc<Rules>,
    /// Given where the block asks for it.
    log: Option<Log>,
}

/// A request of a browser that asks before it sends the real one.
fn is_preflight(exchange: &Exchange<'_>) -> bool {
    exchange.head.method_name() == b"OPTIONS"
        && exchange.head.header(REQUEST_METHOD).is_some_and(|method| !method.is_empty())
}

impl EndpointStage for Stage {
    fn on_request<'x>(
        &'x self,
        exchange: &'x mut Exchange<'_>,
    ) -> Result<Step<'x, Reply>, Failure> {
        if self.rules.passes_preflights_on || !is_preflight(exchange) {
            return Ok(Step::Next);
        }
        Ok(Step::Done(Reply::empty(self.rules.preflight_status)))
    }

    fn on_reply(&self, exchange: &Exchange<'_>, reply: &mut Reply) {
        let is_preflight = is_preflight(exchange);
        let (block, verdict) =
            if is_preflight { self.rules.preflight(exchange) } else { self.rules.actual(exchange) };
        if let Some(log) = self.log.as_ref().filter(|log| log.is_enabled(Level::Debug)) {
            tell(log, exchange, is_preflight, &block, &verdict);
        }
        reply.headers.prepend(block);
    }
}

/// What was decided and why, in the words of rs/cors.
fn tell(
    log: &Log,
    exchange: &Exchange<'_>,
    is_preflight: bool,
    block: &HeaderBlock,
    verdict: &Result<(), Denied>,
) {
    let head = exchange.head;
    let text =
        |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
    let (request, failed) = if is_preflight {
        ("Preflight request", "Preflight aborted")
    } else {
        ("Actual request", "Actual request no headers added")
    };
    log.debug(format_args!("[CORS] Handler: {request}"));
    let method = if is_preflight { head.header(REQUEST_METHOD) } else { Some(head.method_name()) };
    let why = match verdict {
        Ok(()) => {
            let lines = String::from_utf8_lossy(block.as_bytes());
            let lines: Vec<&str> = lines.lines().collect();
            let what = if is_preflight { "Preflight response" } else { "Actual response added" };
            return log.debug(format_args!("[CORS]   {what} headers: {}", lines.join("; ")));
        }
        Err(Denied::NoOrigin) if is_preflight => "empty origin".to_owned(),
        Err(Denied::NoOrigin) => "missing origin".to_owned(),
        Err(Denied::Origin) => format!("origin '{}' not allowed", text(head.header("origin"))),
        Err(Denied::Method) => format!("method '{}' not allowed", text(method)),
        Err(Denied::Headers) => {
            let lists: Vec<String> =
                head.headers_named(REQUEST_HEADERS).map(|list| text(Some(list))).collect();
            format!("headers '[{}]' not allowed", lists.join(" "))
        }
    };
    log.debug(format_args!("[CORS]   {failed}: {why}"));
}

#[cfg(test)]
mod tests;
