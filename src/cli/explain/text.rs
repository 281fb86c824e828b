//! A `Way` for people: the request, then one indented line a fact.

use crate::cli::terminal::{Colour, Terminal};

use super::way::{BackendWay, EndpointWay, Outcome, Stage, Way};

/// Names of facts are as wide as this.
const WIDTH: usize = 12;

pub fn write(way: &Way, out: &Terminal) {
    let method = out.paint(Colour::of_method(&way.method), &way.method);
    out.line(format_args!("{method} {}", way.target));
    let facts = Facts { out, indent: "  " };
    facts.list("service", way.service_stages.iter().map(stage));
    match &way.outcome {
        Outcome::Endpoint(endpoint) => write_endpoint(endpoint, &facts),
        Outcome::BuiltIn { name, status, allow } => {
            facts.fact("answer", format_args!("{status}, by the gateway itself ({name})"));
            facts.some("Allow", allow.as_deref());
        }
        Outcome::Redirect { status, location, why } => {
            facts.fact("answer", format_args!("{status}, Location: {location}"));
            facts.fact("because", why);
        }
        Outcome::MethodNotAllowed { status, allow } => {
            facts.fact("answer", format_args!("{status}, Allow: {allow}"));
            facts.fact("because", "the path has endpoints, but not for this method");
        }
        Outcome::NotFound { status, hint } => {
            facts.fact("answer", status);
            facts.fact("because", hint);
        }
        Outcome::Refused { status, why } => {
            facts.fact("answer", status);
            facts.fact("because", why);
        }
    }
}

fn write_endpoint(way: &EndpointWay, facts: &Facts<'_>) {
    let place = format_args!("{} {}  ({})", way.endpoint_method, way.endpoint, way.place);
    facts.fact("endpoint", place);
    for parameter in &way.parameters {
        facts.fact("parameter", format_args!("{} = {:?}", parameter.name, parameter.value));
    }
    facts.fact("timeout", &way.timeout);
    facts.list("stages", way.stages.iter().map(stage));
    facts.list("options", way.options.iter().cloned());
    facts.each("left out", &way.left_out);
    if let Some(status) = way.sealed {
        facts
            .fact("answer", format_args!("{status} for every request: a guard could not be built"));
        return;
    }
    let headers = if way.input_headers.is_empty() { "Content-Type" } else { "" };
    let forwarded = [headers.to_owned(), way.input_headers.join(", ")].concat();
    facts.fact("headers", format_args!("{forwarded} go on, and those of the gateway"));
    facts.list("queries", way.input_query_strings.iter().cloned());
    let calls = match (way.pipe, way.calls_timeout_ms) {
        ("parallel", Some(ms)) => format!("all at once, {ms} ms for all of them"),
        ("sequential", Some(ms)) => format!("one after another, {ms} ms for all of them"),
        ("none", _) => "none: every request fails".to_owned(),
        _ => "one".to_owned(),
    };
    facts.fact("calls", calls);
    for (index, backend) in way.backends.iter().enumerate() {
        write_backend(index, backend, facts.out);
    }
    if way.has_static_data {
        facts.fact("static", "data of the configuration is added");
    }
    facts.fact("encoding", &way.output_encoding);
    facts.some("caching", way.cache_control.as_deref());
}

fn write_backend(index: usize, way: &BackendWay, out: &Terminal) {
    let method = out.paint(Colour::of_method(&way.method), &way.method);
    let urls =
        if way.urls.is_empty() { &way.url_pattern } else { &way.urls.join("\n         or ") };
    let kind = if way.is_shadow { "  (shadow: its answer is dropped)" } else { "" };
    out.line(format_args!("    {}. {method} {urls}{kind}", index + 1));
    let facts = Facts { out, indent: "       " };
    facts.some("fails", way.bad_url.as_deref());
    if way.hosts_by == "dns" {
        facts.fact("hosts", "what the name server says (SRV records)");
    }
    facts.list("stages", way.stages.iter().map(stage));
    facts.list("options", way.options.iter().cloned());
    facts.each("left out", &way.left_out);
    if way.concurrent_calls > 1 {
        facts
            .fact("copies", format_args!("{}, the first good answer counts", way.concurrent_calls));
    }
    facts.list("headers", way.input_headers.iter().cloned());
    facts.list("queries", way.input_query_strings.iter().cloned());
    facts.fact("decoded as", &way.encoding);
    facts.list("edits", way.edits.iter().cloned());
}

fn stage(stage: &Stage) -> String {
    stage.namespace.clone()
}

struct Facts<'a> {
    out: &'a Terminal,
    indent: &'a str,
}

// === impl Facts ===

impl Facts<'_> {
    fn fact(&self, name: &str, value: impl std::fmt::Display) {
        self.out.line(format_args!("{}{name:WIDTH$}{value}", self.indent));
    }

    fn some(&self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.fact(name, value);
        }
    }

    fn each(&self, name: &str, values: &[String]) {
        for value in values {
            self.fact(name, value);
        }
    }

    /// One line for all, where there is any.
    fn list(&self, name: &str, values: impl Iterator<Item = String>) {
        let values: Vec<String> = values.collect();
        if !values.is_empty() {
            self.fact(name, values.join(", "));
        }
    }
}
