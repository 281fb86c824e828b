//! `backend/http/client`: the one option of the HTTP client that the original's free edition reads.
//!
//! Follows lura, proxy/http.go (specification, section 2.9).

use serde::Deserialize;

use crate::config::extra::Block;
use crate::plan::feature::{Fallback, Feature, Scope, Site, decode};

pub struct HttpClient;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Settings {
    send_body_on_redirect: bool,
}

impl Feature for HttpClient {
    fn namespace(&self) -> &'static str {
        "backend/http/client"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Backend]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(&["send_body_on_redirect"])
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let Site::Backend(draft) = site else { return Ok(()) };
        let settings: Settings = decode(block)?;
        draft.resends_body = settings.send_body_on_redirect;
        Ok(())
    }
}
