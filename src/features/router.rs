//! `router`: how requests are matched, who the client is, and what unmatched requests get.
//!
//! The options are those of krakend-ce, `router_engine.go` and lura, router/gin (specification, section 1.5).

use crate::config::extra::Block;
use crate::config::problem::Problem;
use crate::message::forwarded;
use crate::plan::feature::{Fallback, Feature, Scope, Site, decode};
use crate::plan::router::RouterOptions;

pub struct Router;

const MEMBERS: &[&str] = &[
    "app_engine",
    "auto_options",
    "disable_access_log",
    "disable_handle_method_not_allowed",
    "disable_health",
    "disable_path_decoding",
    "disable_redirect_fixed_path",
    "disable_redirect_trailing_slash",
    "error_body",
    "forwarded_by_client_ip",
    "health_path",
    "hide_version_header",
    "logger_skip_paths",
    "max_multipart_memory",
    "remote_ip_headers",
    "remove_extra_slash",
    "return_error_msg",
    "trusted_proxies",
    "use_h2c",
];

impl Feature for Router {
    fn namespace(&self) -> &'static str {
        "router"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Service]
    }

    fn members(&self, _scope: Scope) -> Option<&'static [&'static str]> {
        Some(MEMBERS)
    }

    fn compile(&self, block: &Block, site: &mut Site<'_>) -> Result<(), Fallback> {
        let Site::Service(draft) = site else { return Ok(()) };
        let options: RouterOptions = decode(block)?;
        let uses_h2c = options.use_h2c;
        let malformed = forwarded::first_malformed(&options.trusted_proxies).map(str::to_owned);
        draft.router = Some(options);
        if let Some(entry) = malformed {
            let what = format!(
                "{entry:?} is no address and no network: it and all entries behind it are not trusted"
            );
            let problem = Problem::lenient(block.place_at("/trusted_proxies"), what);
            return Err(Fallback::Skip(
                problem.hint("write addresses like 10.0.0.1 or networks like 10.0.0.0/8"),
            ));
        }
        if uses_h2c {
            let problem = Problem::lenient(block.place_at("/use_h2c"), "HTTP/2 is not built yet");
            return Err(Fallback::Skip(problem.hint("clients are served with HTTP/1.1")));
        }
        Ok(())
    }
}
