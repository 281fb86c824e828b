//! `RouterPlan`: the options of `extra_config.router`, as written and compiled (specification, section 1.5).

use serde::Deserialize;

use super::COMPATIBLE_VERSION;
use super::route::RouteOptions;
use crate::message::forwarded::{ClientIpRules, Trusted};

/// The block as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RouterOptions {
    pub disable_redirect_trailing_slash: bool,
    pub disable_redirect_fixed_path: bool,
    pub disable_handle_method_not_allowed: bool,
    pub remove_extra_slash: bool,
    pub forwarded_by_client_ip: Option<bool>,
    pub remote_ip_headers: Vec<String>,
    pub trusted_proxies: Vec<String>,
    pub app_engine: bool,
    pub auto_options: bool,
    pub return_error_msg: bool,
    pub disable_health: bool,
    pub health_path: String,
    pub disable_access_log: bool,
    pub logger_skip_paths: Vec<String>,
    pub disable_path_decoding: bool,
    pub hide_version_header: bool,
    pub error_body: ErrorBodies,
    pub max_multipart_memory: f64,
    pub use_h2c: bool,
}

/// `error_body`: what unmatched requests get, any JSON value.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ErrorBodies {
    #[serde(rename = "404")]
    pub not_found: Option<serde_json::Value>,
    #[serde(rename = "405")]
    pub method_not_allowed: Option<serde_json::Value>,
}

/// What holds for all endpoints.
pub struct RouterPlan {
    pub client_ip: ClientIpRules,
    pub return_error_msg: bool,
    /// Refuse parameters that are still encoded.
    pub check_params: bool,
    /// `X-Krakend: …` and a line end.
    pub version_line: Box<str>,
    pub not_found: ErrorBody,
    pub method_not_allowed: ErrorBody,
    pub access_log: bool,
    /// Exact request paths that the access log leaves out.
    pub silent_paths: Box<[Box<str>]>,
}

/// The body of a 404 or 405.
pub struct ErrorBody {
    pub content_type: Box<str>,
    pub bytes: Box<[u8]>,
}

impl ErrorBody {
    fn of(configured: Option<&serde_json::Value>, text: &str) -> ErrorBody {
        match configured {
            None => ErrorBody { content_type: "text/plain".into(), bytes: text.as_bytes().into() },
            Some(value) => ErrorBody {
                content_type: "application/json; charset=utf-8".into(),
                bytes: value.to_string().into_bytes().into(),
            },
        }
    }
}

impl RouterOptions {
    /// Where the health endpoint is; `None` when there is none.
    pub fn health_route(&self) -> Option<&str> {
        match self.health_path.as_str() {
            _ if self.disable_health => None,
            "" => Some("/__health"),
            path => Some(path),
        }
    }

    pub fn route_options(&self) -> RouteOptions {
        RouteOptions {
            redirect_trailing_slash: !self.disable_redirect_trailing_slash,
            redirect_fixed_path: !self.disable_redirect_fixed_path,
            handle_method_not_allowed: !self.disable_handle_method_not_allowed,
            remove_extra_slash: self.remove_extra_slash,
        }
    }

    pub fn compile(&self) -> RouterPlan {
        let version = if self.hide_version_header { "undefined" } else { COMPATIBLE_VERSION };
        RouterPlan {
            client_ip: self.client_ip_rules(),
            return_error_msg: self.return_error_msg,
            check_params: !self.disable_path_decoding,
            version_line: format!("X-Krakend: Version {version}\r\n").into(),
            not_found: ErrorBody::of(self.error_body.not_found.as_ref(), "404 page not found"),
            method_not_allowed: ErrorBody::of(
                self.error_body.method_not_allowed.as_ref(),
                "405 method not allowed",
            ),
            access_log: !self.disable_access_log,
            silent_paths: self.logger_skip_paths.iter().map(|path| path.as_str().into()).collect(),
        }
    }

    fn client_ip_rules(&self) -> ClientIpRules {
        let defaults = ClientIpRules::default();
        let headers = match self.remote_ip_headers.as_slice() {
            [] => defaults.headers,
            listed => listed.iter().map(|name| name.as_str().into()).collect(),
        };
        ClientIpRules {
            // The original's own default is true, whatever its documentation says.
            forwarded_by_client_ip: self.forwarded_by_client_ip.unwrap_or(true),
            headers,
            trusted: Trusted::parse(&self.trusted_proxies),
            app_engine: self.app_engine,
        }
    }
}
