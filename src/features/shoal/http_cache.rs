//! `shoal/http-cache`: whether a cache keeps what is meant for one client, as the original does.

use serde::Deserialize;

use crate::config::extra::Block;
use crate::plan::feature::{Fallback, Feature, Scope, Site, decode};

pub struct HttpCache;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Settings {
    as_original: bool,
}

impl Feature for HttpCache {
    fn namespace(&self) -> &'static str {
        "shoal/http-cache"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Backend]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(&["as_original"])
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let Site::Backend(draft) = site else { return Ok(()) };
        let settings: Settings = decode(block)?;
        draft.caches_as_original = settings.as_original;
        Ok(())
    }
}
