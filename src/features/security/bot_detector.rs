//! `security/bot-detector`: clients that are turned away by their `User-Agent` (specification, section 2.34).
//!
//! Follows krakend-botdetector: around all requests behind the router, or around one endpoint.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use regex::RegexSet;
use serde::Deserialize;

use crate::config::extra::Block;
use crate::config::go_regex::{go_regex, translate};
use crate::config::problem::Problem;
use crate::plan::feature::{EndpointSlot, Fallback, Feature, Scope, ServiceSlot, Site, decode};
use crate::stage::{Cause, EndpointStage, Exchange, Failure, Step};
use crate::wire::Reply;

use super::members::Members;

pub struct BotDetector;

/// Decisions that a core keeps, whatever `cache_size` says.
const CACHE_ENTRIES_MAX: usize = 16 * 1024;
/// A longer `User-Agent` is looked at each time.
const CACHED_AGENT_BYTES_MAX: usize = 1024;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Options {
    allow: Vec<String>,
    deny: Vec<String>,
    patterns: Vec<String>,
    cache_size: i64,
    empty_user_agent_is_bot: bool,
}

const MEMBERS: &[&str] = &["allow", "cache_size", "deny", "empty_user_agent_is_bot", "patterns"];

/// Who is a bot: asked in the order of the fields.
#[derive(Debug)]
struct Rules {
    empty_is_bot: bool,
    /// Sorted.
    allow: Box<[Box<[u8]>]>,
    /// Sorted.
    deny: Box<[Box<[u8]>]>,
    patterns: RegexSet,
    cache_entries: usize,
}

impl Feature for BotDetector {
    fn namespace(&self) -> &'static str {
        "security/bot-detector"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Service, Scope::Endpoint]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(MEMBERS)
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        if Members::of(block)?.is_none() {
            return Ok(());
        }
        let rules = Arc::new(Rules::compile(decode(block)?, block)?);
        match site {
            Site::Service(draft) => {
                let build = Box::new(move |_: &_| Stage::boxed(&rules));
                draft.stages.push((ServiceSlot::BotDetector, build));
            }
            Site::Endpoint(draft) => {
                let build = Box::new(move || Stage::boxed(&rules));
                draft.stages.push((EndpointSlot::BotDetector, build));
            }
            Site::Backend(_) => {}
        }
        Ok(())
    }
}

// === reading ===

impl Rules {
    fn compile(options: Options, block: &Block) -> Result<Rules, Fallback> {
        let skip = |pointer: &str, what: String, hint: &str| {
            Fallback::Skip(Problem::lenient(block.place_at(pointer), what).hint(hint))
        };
        for (index, pattern) in options.patterns.iter().enumerate() {
            go_regex(pattern).map_err(|error| {
                skip(
                    &format!("/patterns/{index}"),
                    format!("{pattern:?}: {error}"),
                    "write a regular expression in Go's syntax (RE2); --lenient lets all bots pass",
                )
            })?;
        }
        let translated = options.patterns.iter().filter_map(|pattern| translate(pattern).ok());
        let patterns = RegexSet::new(translated)
            .map_err(|error| skip("/patterns", error.to_string(), "use fewer patterns"))?;
        let cache_entries = usize::try_from(options.cache_size).map_err(|_| {
            skip(
                "/cache_size",
                format!("cache_size cannot be {}", options.cache_size),
                "a number of decisions to keep; leave it out for none",
            )
        })?;
        Ok(Rules {
            empty_is_bot: options.empty_user_agent_is_bot,
            allow: sorted(options.allow),
            deny: sorted(options.deny),
            patterns,
            cache_entries: cache_entries.min(CACHE_ENTRIES_MAX),
        })
    }

    /// Whether the lists settle it, and how.
    fn listed(&self, agent: &[u8]) -> Option<bool> {
        if agent.is_empty() {
            return Some(self.empty_is_bot);
        }
        let is_in =
            |list: &[Box<[u8]>]| list.binary_search_by(|known| (**known).cmp(agent)).is_ok();
        if is_in(&self.allow) {
            return Some(false);
        }
        is_in(&self.deny).then_some(true)
    }
}

fn sorted(list: Vec<String>) -> Box<[Box<[u8]>]> {
    let mut list: Vec<Box<[u8]>> =
        list.into_iter().map(|text| text.into_bytes().into_boxed_slice()).collect();
    list.sort_unstable();
    list.into()
}

// === at work ===

type Decisions = LruCache<Box<[u8]>, bool>;

/// A detector on one core.
struct Stage {
    rules: Arc<Rules>,
    /// A copy of its own, for a set that several threads search lets them wait for each other.
    patterns: RegexSet,
    /// What the patterns said of the agents that came last.
    cache: Option<RefCell<Decisions>>,
}

impl Stage {
    fn boxed(rules: &Arc<Rules>) -> Box<dyn EndpointStage> {
        let cache = NonZeroUsize::new(rules.cache_entries)
            .map(|entries| RefCell::new(LruCache::new(entries)));
        Box::new(Stage { rules: rules.clone(), patterns: rules.patterns.clone(), cache })
    }

    fn is_bot(&self, agent: &[u8]) -> bool {
        self.rules.listed(agent).unwrap_or_else(|| self.fits_a_pattern(agent))
    }

    fn fits_a_pattern(&self, agent: &[u8]) -> bool {
        let search = || self.patterns.is_match(&String::from_utf8_lossy(agent));
        let may_keep = !self.patterns.is_empty() && agent.len() <= CACHED_AGENT_BYTES_MAX;
        let Some(cache) = self.cache.as_ref().filter(|_| may_keep) else { return search() };
        let mut cache = cache.borrow_mut();
        if let Some(known) = cache.get(agent) {
            return *known;
        }
        let is_bot = search();
        cache.put(agent.into(), is_bot);
        is_bot
    }
}

impl EndpointStage for Stage {
    fn on_request<'x>(
        &'x self,
        exchange: &'x mut Exchange<'_>,
    ) -> Result<Step<'x, Reply>, Failure> {
        let agent = exchange.head.header("user-agent").unwrap_or_default();
        if self.is_bot(agent) {
            return Err(Failure::new(Cause::Refused(403), "[Botdetector] bot rejected"));
        }
        Ok(Step::Next)
    }
}

#[cfg(test)]
mod tests;
