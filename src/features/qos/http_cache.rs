//! `qos/http-cache`: what an upstream has answered is kept and given again.
//!
//! Follows krakend-httpcache, http.go (specification, section 2.23).

use super::options::Options;
use crate::config::extra::Block;
use crate::plan::backend::CacheOptions;
use crate::plan::feature::{Fallback, Feature, Scope, Site};

pub struct HttpCache;

/// More bytes or items than this are none that a cache can have.
const BOUND_MAX: u64 = 1 << 40;

impl Feature for HttpCache {
    fn namespace(&self) -> &'static str {
        "qos/http-cache"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Backend]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(&["max_items", "max_size", "shared"])
    }

    /// What cannot be read is a cache without settings in the original.
    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let Site::Backend(draft) = site else { return Ok(()) };
        draft.cache = Some(CacheOptions::default());
        let mut options = Options::of(block)?;
        let items_max = options.count("max_items", BOUND_MAX);
        let bytes_max = options.count("max_size", BOUND_MAX);
        let shared = options.flag("shared");
        if options.is_right() {
            let bound = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
            let bounds =
                (items_max > 0 && bytes_max > 0).then(|| (bound(items_max), bound(bytes_max)));
            draft.cache = Some(CacheOptions { shared, bounds });
            if (items_max > 0) != (bytes_max > 0) {
                let (given, missing) = match items_max {
                    0 => ("max_size", "max_items"),
                    _ => ("max_items", "max_size"),
                };
                options.warn(given, format_args!("counts only together with {missing}"));
            }
        }
        options.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Problem};
    use crate::plan::feature::BackendDraft;

    fn compiled(block: &str) -> (Option<CacheOptions>, Option<Problem>) {
        let file = format!(
            r#"{{"version": 3, "endpoints": [{{"endpoint": "/x", "backend": [{{"host": ["http://up"],
            "url_pattern": "/", "extra_config": {{"qos/http-cache": {block}}}}}]}}]}}"#
        );
        let loaded = config::parse("krakend.json", file.as_bytes(), &[]).expect("a configuration");
        let extra = &loaded.service.endpoints[0].backend[0].extra_config;
        let mut draft = BackendDraft::default();
        let block = extra.get("qos/http-cache").expect("a block");
        let problem = match HttpCache.compile(block, &mut Site::Backend(&mut draft)) {
            Err(Fallback::Skip(problem)) => Some(problem),
            Ok(()) => None,
            other => panic!("{other:?}"),
        };
        (draft.cache, problem)
    }

    #[test]
    fn bounds_count_only_together() {
        for (block, shared, bounds, is_said) in [
            ("{}", false, None, false),
            (r#"{"shared": true}"#, true, None, false),
            (r#"{"max_items": 2, "max_size": 100}"#, false, Some((2, 100)), false),
            (r#"{"max_items": 2}"#, false, None, true),
            (r#"{"max_size": 2, "shared": true}"#, true, None, true),
        ] {
            let (options, problem) = compiled(block);
            assert_eq!(options, Some(CacheOptions { shared, bounds }), "{block}");
            assert_eq!(problem.as_ref().is_some(), is_said, "{block}");
            assert!(problem.is_none_or(|problem| !problem.is_fatal(false)), "{block}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_leniently_a_cache_without_settings() {
        for block in [
            "true",
            r#"{"shared": "yes"}"#,
            r#"{"shared": true, "max_items": -1, "max_size": 9}"#,
            r#"{"max_items": 1.5, "max_size": 9}"#,
            r#"{"max_items": "1", "max_size": 9}"#,
        ] {
            let (options, problem) = compiled(block);
            assert_eq!(options, Some(CacheOptions::default()), "{block}");
            let problem = problem.unwrap_or_else(|| panic!("{block}: no problem"));
            assert!(problem.is_fatal(false) && !problem.is_fatal(true), "{block}");
        }
    }
}
