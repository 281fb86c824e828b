//! The `url_pattern` of a backend: compiled once, filled for each request.
//!
//! Filling is a textual replacement followed by what Go's `url.Parse` and `RequestURI` make of the text (specification
//! 2.3, 2.8): a `?` or `#` in a value cuts the path. Almost no value does, so the compiler looks at the fixed parts
//! once, each value is looked at while it is copied, and the text is taken apart only when something stands out.

use std::borrow::Cow;
use std::fmt;

use crate::message::path::{self, BadTarget};

/// What placeholders are filled with.
pub trait Values {
    /// The parameter of the endpoint's route in this place. Without a value the placeholder stays in the text.
    fn param(&self, slot: usize) -> Option<&[u8]>;
    /// A value by its internal name, such as `JWT.sub` or `Resp0_id`.
    fn named(&self, key: &str) -> Option<Cow<'_, str>>;
}

/// A url that cannot be sent; the request fails with 500.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadUrl {
    pub reason: BadTarget,
    /// The text behind the host, as far as the error concerns it.
    text: Vec<u8>,
}

impl BadUrl {
    /// The whole sentence; `origin` is scheme, host and port.
    #[must_use]
    pub fn message(&self, origin: &str) -> String {
        let url = [origin.as_bytes(), &self.text].concat();
        format!("parse {}: {}", path::quote(&url), self.reason)
    }
}

impl fmt::Display for BadUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl std::error::Error for BadUrl {}

/// An earlier answer's field that a pattern uses: `{resp0_user.id}` is step 0, path `user.id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepValue {
    pub step: usize,
    pub path: String,
    /// The name under which [`Values::named`] is asked.
    pub key: String,
}

/// A compiled `url_pattern`.
#[derive(Clone, Debug)]
pub struct UrlTemplate {
    pattern: Box<str>,
    parts: Box<[Part]>,
    /// No fixed part needs more than copying.
    is_plain: bool,
}

#[derive(Clone, Debug)]
enum Part {
    Text(Box<str>),
    Place { source: Source, key: Box<str>, in_query: bool },
}

#[derive(Clone, Debug)]
enum Source {
    Slot(usize),
    Named,
}

// === impl UrlTemplate ===

impl UrlTemplate {
    /// Compiles a pattern. `param_names` are the names that the router gives the endpoint's parameters, in order (see
    /// [`crate::plan::route::param_names`]); whether each placeholder is known was checked with the configuration.
    #[must_use]
    pub fn compile(url_pattern: &str, param_names: &[String]) -> Self {
        let pattern = internal_form(url_pattern);
        let mut parts = Vec::new();
        let mut is_plain = true;
        let mut in_query = false;
        let mut rest = pattern.as_str();
        while !rest.is_empty() {
            let (text, place) = next_place(rest);
            let (before, query) = text.split_once('?').filter(|_| !in_query).unwrap_or((text, ""));
            is_plain &= if in_query {
                is_plain_query(text)
            } else {
                is_plain_text(before) && is_plain_query(query)
            };
            in_query |= text.contains('?');
            if !text.is_empty() {
                parts.push(Part::Text(text.into()));
            }
            let Some(place) = place else { break };
            let key = &place[3..place.len() - 2];
            parts.push(Part::Place {
                source: Source::of(key, param_names),
                key: key.into(),
                in_query,
            });
            rest = &rest[text.len() + place.len()..];
        }
        Self { pattern: pattern.into(), parts: parts.into(), is_plain }
    }

    /// The pattern as errors show it: `/no/{{.Id}}`.
    #[must_use]
    pub fn internal_pattern(&self) -> &str {
        &self.pattern
    }

    /// Whether the pattern has no placeholder at all, so that its target never changes.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Text(_)))
    }

    /// The fields of earlier answers that the pattern uses, in the order they stand.
    #[must_use]
    pub fn step_values(&self) -> Vec<StepValue> {
        let keys = self.parts.iter().filter_map(|part| match part {
            Part::Place { key, .. } => step_value(key),
            Part::Text(_) => None,
        });
        keys.collect()
    }

    /// Writes the request target, path and query, behind what `out` holds. `host_path_prefix` is what the backend's
    /// host has behind its port, which is nothing for most.
    ///
    /// # Errors
    /// A control byte or a broken escape that a value brought in. `out` is then as it was.
    pub fn expand(
        &self,
        host_path_prefix: &str,
        values: &dyn Values,
        out: &mut Vec<u8>,
    ) -> Result<(), BadUrl> {
        let start = out.len();
        out.extend_from_slice(host_path_prefix.as_bytes());
        let mut plain = self.is_plain && path::is_plain(host_path_prefix.as_bytes());
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Place { source, key, in_query } => {
                    plain &= fill(source, key, *in_query, values, out);
                }
            }
        }
        if plain { Ok(()) } else { recode(start, out) }
    }
}

// === impl Source ===

impl Source {
    /// Of parameters with the same name the last one counts, as they share one entry of a map in the original.
    fn of(key: &str, param_names: &[String]) -> Self {
        match param_names.iter().rposition(|name| param_key(name) == key) {
            Some(slot) => Self::Slot(slot),
            None => Self::Named,
        }
    }
}

/// The name under which a parameter is kept from the router on: `id` is `Id`.
#[must_use]
pub fn param_key(name: &str) -> String {
    let mut key = name.to_owned();
    if let Some(first) = key.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    key
}

/// Writes one value and tells whether it needed no more than copying.
fn fill(
    source: &Source,
    key: &str,
    in_query: bool,
    values: &dyn Values,
    out: &mut Vec<u8>,
) -> bool {
    let is_plain = if in_query { is_plain_query_bytes } else { path::is_plain };
    match source {
        Source::Slot(slot) => {
            if let Some(value) = values.param(*slot) {
                out.extend_from_slice(value);
                return is_plain(value);
            }
        }
        Source::Named => {
            if let Some(value) = values.named(key) {
                out.extend_from_slice(value.as_bytes());
                return is_plain(value.as_bytes());
            }
        }
    }
    for text in ["{{.", key, "}}"] {
        out.extend_from_slice(text.as_bytes());
    }
    in_query
}

/// Replaces the text from `start` on by the target that it makes.
#[cold]
fn recode(start: usize, out: &mut Vec<u8>) -> Result<(), BadUrl> {
    let text = out.split_off(start);
    path::write_target(&text, out).map_err(|reason| {
        out.truncate(start);
        BadUrl { reason, text: concerned(&text, reason) }
    })
}

/// An error in the fragment names the whole url, any other the url without its fragment.
fn concerned(text: &[u8], reason: BadTarget) -> Vec<u8> {
    let end = memchr::memchr(b'#', text).unwrap_or(text.len());
    let before = &text[..end];
    let path_end = memchr::memchr(b'?', before).unwrap_or(end);
    let in_fragment =
        matches!(reason, BadTarget::Escape(_)) && path::check_escapes(&before[..path_end]).is_ok();
    if in_fragment { text.to_vec() } else { before.to_vec() }
}

// === the pattern's text ===

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-.:/".contains(&byte)
}

fn name_length(text: &str) -> usize {
    text.bytes().take_while(|&byte| is_name_byte(byte)).count()
}

/// Rewrites `{id}` as `{{.Id}}`.
fn internal_form(url_pattern: &str) -> String {
    let mut names: Vec<&str> = url_pattern
        .match_indices('{')
        .filter_map(|(at, _)| {
            let rest = &url_pattern[at + 1..];
            let length = name_length(rest);
            (length > 0 && rest[length..].starts_with('}')).then(|| &rest[..length])
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    let mut pattern = url_pattern.to_owned();
    for name in names {
        pattern = pattern.replace(&format!("{{{name}}}"), &format!("{{{{.{}}}}}", param_key(name)));
    }
    pattern
}

/// Splits at the next `{{.Key}}`: what stands before it, and the placeholder.
fn next_place(pattern: &str) -> (&str, Option<&str>) {
    for (at, _) in pattern.match_indices("{{.") {
        let name = &pattern[at + 3..];
        let length = name_length(name);
        if length > 0 && name[length..].starts_with("}}") {
            return (&pattern[..at], Some(&pattern[at..at + length + 5]));
        }
    }
    (pattern, None)
}

/// `Resp0_user.id` is field `user.id` of the answer of step 0.
fn step_value(key: &str) -> Option<StepValue> {
    let (step, path) = key.strip_prefix("Resp")?.split_once('_')?;
    let is_path = |byte: u8| is_name_byte(byte) && byte != b':' && byte != b'/';
    if path.is_empty()
        || !path.bytes().all(is_path)
        || !step.bytes().all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    Some(StepValue { step: step.parse().ok()?, path: path.to_owned(), key: key.to_owned() })
}

fn is_plain_query(text: &str) -> bool {
    is_plain_query_bytes(text.as_bytes())
}

fn is_plain_query_bytes(text: &[u8]) -> bool {
    text.iter().all(|&byte| byte != b'#' && byte != b' ' && !path::is_control(byte))
}

/// A fixed part of a path that goes out as it stands, whole escapes included.
fn is_plain_text(text: &str) -> bool {
    let bytes = text.as_bytes();
    path::check_escapes(bytes).is_ok()
        && bytes.iter().all(|&byte| byte == b'%' || path::is_plain(&[byte]))
}

#[cfg(test)]
mod tests;
