//! `backend/http`: what the client learns of a backend's failure.
//!
//! Follows lura, transport/http/client/status.go (specification, section 2.11).

use crate::config::extra::Block;
use crate::config::problem::Problem;
use crate::plan::backend::StatusRule;
use crate::plan::feature::{Fallback, Feature, Scope, Site};

pub struct Http;

const MEMBERS: &[&str] = &["return_error_code", "return_error_details"];

impl Feature for Http {
    fn namespace(&self) -> &'static str {
        "backend/http"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Backend]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(MEMBERS)
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let Site::Backend(draft) = site else { return Ok(()) };
        let skip = |member: &str, what: &str| {
            Err(Fallback::Skip(Problem::lenient(
                block.place_at(&format!("/{member}")),
                what.to_owned(),
            )))
        };
        // The details come first: where the key is there, the code is not even looked at.
        if let Some(details) = block.value.get("return_error_details") {
            let Some(name) = details.as_str() else {
                return skip("return_error_details", "return_error_details must be a text");
            };
            if !name.is_empty() {
                draft.statuses = Some(StatusRule::Details(name.into()));
            }
            return Ok(());
        }
        match block.value.get("return_error_code") {
            None | Some(serde_json::Value::Bool(false)) => Ok(()),
            Some(serde_json::Value::Bool(true)) => {
                draft.statuses = Some(StatusRule::PassOn);
                Ok(())
            }
            Some(_) => skip("return_error_code", "return_error_code must be true or false"),
        }
    }
}
