//! Reads one backend of an endpoint and completes it from the endpoint and the service.

use super::endpoint::Around;
use super::fields::Fields;
use super::headers::canonical;
use super::host::Host;
use super::params::{self, GoList, Mismatch};
use super::problem::{Place, Problem};
use super::service::Backend;

const NO_OP: &str = "no-op";
/// The decoders of the original, with those of its enterprise edition.
const ENCODINGS: &[&str] =
    &["json", "safejson", "fast-json", "string", "xml", "rss", "yaml", NO_OP];
const DISCOVERIES: &[&str] = &["static", "dns", "dns-shared"];

pub fn read(mut fields: Fields<'_>, index: usize, around: &Around<'_>) -> Backend {
    let disable_host_sanitize = fields.boolean("disable_host_sanitize");
    let own_hosts = fields.placed_texts("host");
    let sd = fields.choice("sd", DISCOVERIES);
    let host = if own_hosts.is_empty() {
        around.service.host.clone()
    } else if disable_host_sanitize {
        untouched_hosts(&fields, own_hosts, &sd)
    } else {
        cleaned_hosts(&fields, own_hosts)
    };
    let url_pattern = params::clean_path(&fields.text("url_pattern"));
    check_params(&fields, &url_pattern, index, around);
    let backend = Backend {
        place: fields.place().clone(),
        host,
        disable_host_sanitize,
        url_pattern,
        method: or(fields.text("method"), around.method).to_uppercase(),
        encoding: encoding(&mut fields, around),
        is_collection: fields.boolean("is_collection"),
        target: fields.text("target"),
        allow: fields.texts("allow"),
        deny: fields.texts("deny"),
        mapping: fields.text_map("mapping"),
        group: fields.text("group"),
        sd,
        sd_scheme: or(fields.text("sd_scheme"), "http"),
        input_headers: fields.texts("input_headers").iter().map(|name| canonical(name)).collect(),
        input_query_strings: fields.texts("input_query_strings"),
        extra_config: fields.extra_config(),
    };
    warn_of_timeout(&mut fields);
    fields.finish();
    backend
}

/// The whole list falls to nothing with its first wrong entry, but each wrong entry is told.
pub fn cleaned_hosts(fields: &Fields<'_>, texts: Vec<(String, Place)>) -> Vec<Host> {
    let clean = |(text, place): (String, Place)| {
        let host = Host::cleaned(&text);
        if host.is_none() {
            let hint = "a host is scheme, name and port: \"http://name:8080\"; disable_host_sanitize lets others pass";
            fields.report(Problem::refuse(place, Host::invalid(&text)).hint(hint));
        }
        host
    };
    texts.into_iter().filter_map(clean).collect()
}

fn untouched_hosts(fields: &Fields<'_>, texts: Vec<(String, Place)>, sd: &str) -> Vec<Host> {
    let keep = |(text, place): (String, Place)| {
        // Names for SRV look-ups have no scheme, and other transports have their own.
        if sd != "dns" && !text.contains("://") {
            let what = format!("{text:?} has no scheme: HTTP requests to it fail with 500");
            fields.report(Problem::warn(place, what).hint(format!("write \"http://{text}\"")));
        }
        Host::untouched(&text)
    };
    texts.into_iter().map(keep).collect()
}

fn encoding(fields: &mut Fields<'_>, around: &Around<'_>) -> String {
    let own = fields.choice("encoding", ENCODINGS);
    if around.output_encoding == NO_OP { NO_OP.to_owned() } else { own }
}

fn check_params(fields: &Fields<'_>, url_pattern: &str, index: usize, around: &Around<'_>) {
    let used = params::used(url_pattern);
    let Err(mismatch) = params::check(around.params, &used) else { return };
    let offered = params::unique(around.params);
    let told = match mismatch {
        Mismatch::TooMany => "input and output params do not match.".to_owned(),
        Mismatch::Undefined(name) => format!("undefined output param '{name}'!"),
    };
    let what = format!(
        "{told} endpoint: {} {}, backend: {index}. input: {}, output: {}",
        around.method,
        around.route,
        GoList(&offered),
        GoList(&used)
    );
    let names = offered.iter().map(|name| format!("{{{name}}}")).collect::<Vec<_>>().join(", ");
    let names = if names.is_empty() { "no parameter".to_owned() } else { names };
    let hint = format!(
        "the endpoint's path offers {names}; claims are written {{JWT.sub}}, earlier answers {{resp0_id}}"
    );
    fields.report(Problem::refuse(fields.place_of("url_pattern"), what).hint(hint));
}

/// The key is read, so a wrong value is refused as the original does, but the endpoint's deadline counts.
fn warn_of_timeout(fields: &mut Fields<'_>) {
    if fields.duration_ns("timeout").is_some() {
        let problem = Problem::warn(
            fields.place_of("timeout"),
            "a backend has no timeout of its own: it has no effect",
        );
        fields.report(problem.hint("the timeout of the endpoint counts for all its backends"));
    }
}

fn or(text: String, default: &str) -> String {
    if text.is_empty() { default.to_owned() } else { text }
}
