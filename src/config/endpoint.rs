//! Reads one endpoint with its backends and completes it from the service (lura's `initEndpoints`).

use super::backend;
use super::fields::Fields;
use super::headers::canonical;
use super::params;
use super::problem::Problem;
use super::service::{Endpoint, Service};
use super::values::Millis;

const NO_OP: &str = "no-op";

/// The renders of the original, with those of its enterprise edition.
pub const OUTPUT_ENCODINGS: &[&str] =
    &["json", "json-collection", "fast-json", "string", "xml", "yaml", "negotiate", NO_OP];

/// What a backend takes from its surroundings.
pub struct Around<'a> {
    pub service: &'a Service,
    /// As written, `GET` unless told.
    pub method: &'a str,
    pub route: &'a str,
    pub params: &'a [String],
    pub output_encoding: &'a str,
}

pub fn read(mut fields: Fields<'_>, service: &Service) -> Endpoint {
    let written = fields.text("endpoint");
    let written_method = fields.text("method");
    let method = if written_method.is_empty() { "GET" } else { &written_method };
    fields.set_endpoint(&format!("{method} {written}"));

    let path = params::clean_path(&written);
    check_path(&fields, &path, &written_method);
    let names = params::offered(&path, !service.disable_rest);
    let route = params::router_path(&path, &names);
    let output_encoding = first_of([
        fields.choice("output_encoding", OUTPUT_ENCODINGS),
        service.output_encoding.clone(),
        "json".to_owned(),
    ]);

    let backends = fields.objects("backend");
    if fields.is_list_empty("backend") && !params::is_reserved(&path) {
        let what = format!(
            "ignoring the '{written_method} {path}' endpoint, since it has 0 backends defined!"
        );
        let hint = "an endpoint needs a list: \"backend\": [{\"url_pattern\": \"/…\"}]";
        fields.report(Problem::refuse(fields.place_of("backend"), what).hint(hint));
    }
    if output_encoding == NO_OP && backends.len() > 1 {
        let what =
            "can not use NoOp encoding with more than one backends connected to the same endpoint";
        let hint = format!(
            "no-op passes one answer through; this endpoint has {} backends",
            backends.len()
        );
        fields.report(Problem::refuse(fields.place_of("output_encoding"), what).hint(hint));
    }
    let around = Around {
        service,
        method,
        route: &route,
        params: &names,
        output_encoding: &output_encoding,
    };
    let backend = backends
        .into_iter()
        .enumerate()
        .map(|(index, one)| backend::read(one, index, &around))
        .collect();

    let endpoint = Endpoint {
        place: fields.place().clone(),
        method: method.to_uppercase(),
        timeout: inherited(fields.deadline("timeout"), service.timeout),
        cache_ttl: inherited(fields.duration("cache_ttl"), service.cache_ttl),
        concurrent_calls: u32::try_from(fields.size("concurrent_calls")).unwrap_or(u32::MAX).max(1),
        input_headers: fields.texts("input_headers").iter().map(|name| canonical(name)).collect(),
        input_query_strings: fields.texts("input_query_strings"),
        extra_config: fields.extra_config(),
        endpoint: path,
        params: names,
        route,
        output_encoding,
        backend,
    };
    fields.finish();
    endpoint
}

fn check_path(fields: &Fields<'_>, path: &str, method: &str) {
    if params::is_reserved(path) {
        let what = format!("ignoring the '{method} {path}' endpoint, since it is invalid!!!");
        let hint = if path.contains('*') {
            "a `*` may only be the last character of a path"
        } else {
            "/__health, /__debug and /__echo are the gateway's own paths"
        };
        fields.report(Problem::refuse(fields.place_of("endpoint"), what).hint(hint));
    }
}

fn first_of(texts: [String; 3]) -> String {
    texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default()
}

fn inherited(own: Millis, service: Millis) -> Millis {
    if own.is_zero() { service } else { own }
}
