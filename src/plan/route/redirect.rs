//! Where a client is sent instead: the path with or without its last slash, or the path in its right form.
//!
//! The location and the small page are those of gin on Go's `net/http`.

use std::borrow::Cow;

use crate::message::path::{self, RequestTarget};

/// A redirect to another path of the same method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// 301 for GET, 307 for all others.
    pub code: u16,
    /// Decoded.
    pub path: Vec<u8>,
    pub rule: RedirectRule,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectRule {
    /// A slash at the end too much or too few. `X-Forwarded-Prefix` goes before the path.
    OtherSlash,
    /// Dots, double slashes or the case of letters. `X-Forwarded-Prefix` counts for nothing.
    FixedPath,
}

/// Where to, percent-encoded and with the query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    url: Vec<u8>,
    code: u16,
}

// === impl Redirect ===

impl Redirect {
    pub(super) fn to_other_slash(method: &[u8], path: &[u8]) -> Self {
        let path = match path.strip_suffix(b"/") {
            Some(shorter) if !shorter.is_empty() => shorter.to_vec(),
            _ => [path, b"/"].concat(),
        };
        Self { code: code(method), path, rule: RedirectRule::OtherSlash }
    }

    pub(super) fn to_fixed_path(method: &[u8], path: Vec<u8>) -> Self {
        Self { code: code(method), path, rule: RedirectRule::FixedPath }
    }
}

fn code(method: &[u8]) -> u16 {
    if method == b"GET" { 301 } else { 307 }
}

// === impl Location ===

impl Location {
    /// A whole url, percent-encoded, and the status that sends clients there.
    #[must_use]
    pub fn new(url: Vec<u8>, code: u16) -> Location {
        Location { url, code }
    }

    /// The value of the Location header: bytes beyond ASCII, which only a query can have, are encoded.
    #[must_use]
    pub fn header(&self) -> Cow<'_, [u8]> {
        if self.url.is_ascii() {
            return Cow::Borrowed(&self.url);
        }
        let mut out = Vec::with_capacity(self.url.len() + 16);
        for &byte in &self.url {
            if byte.is_ascii() {
                out.push(byte);
            } else {
                let start = out.len();
                path::push_escape(byte, &mut out);
                // Here Go writes small letters.
                out[start..].make_ascii_lowercase();
            }
        }
        Cow::Owned(out)
    }

    /// The page for GET (`text/html; charset=utf-8`); other methods get none.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let mut out = b"<a href=\"".to_vec();
        for &byte in &self.url {
            match byte {
                b'&' => out.extend_from_slice(b"&amp;"),
                b'<' => out.extend_from_slice(b"&lt;"),
                b'>' => out.extend_from_slice(b"&gt;"),
                b'"' => out.extend_from_slice(b"&#34;"),
                b'\'' => out.extend_from_slice(b"&#39;"),
                _ => out.push(byte),
            }
        }
        let reason = if self.code == 301 { "Moved Permanently" } else { "Temporary Redirect" };
        out.extend_from_slice(format!("\">{reason}</a>.\n\n").as_bytes());
        out
    }
}

/// Composes the location of a redirect. `forwarded_prefix` is the first `X-Forwarded-Prefix` header.
///
/// Slashes at its start are made one, where gin sends clients of `//evil.example/` to another host.
#[must_use]
pub fn location(
    target: &RequestTarget<'_>,
    redirect: &Redirect,
    forwarded_prefix: Option<&[u8]>,
) -> Location {
    let path = match (redirect.rule, forwarded_prefix) {
        // An absolute url may have no path, and its missing slash then goes to the prefix.
        (RedirectRule::OtherSlash, Some(prefix)) if target.path.is_empty() => {
            with_prefix(prefix, b"")
        }
        (RedirectRule::OtherSlash, Some(prefix)) => with_prefix(prefix, &redirect.path),
        _ => redirect.path.clone(),
    };
    let mut url = Vec::with_capacity(path.len() + target.query.map_or(0, |query| query.len() + 1));
    path::encode_like(&path, target.path, &mut url);
    if target.scheme.is_empty() {
        url = clean_location(&url, target.query);
    } else {
        let scheme = target.scheme.to_ascii_lowercase();
        let is_relative =
            url.first().is_some_and(|&byte| byte != b'/') && !target.authority.is_empty();
        let slash: &[u8] = if is_relative { b"/" } else { b"" };
        url = [&scheme, &b"://"[..], target.authority, slash, &url].concat();
    }
    if let Some(query) = target.query {
        url.push(b'?');
        url.extend_from_slice(query);
    }
    Location { url, code: redirect.code }
}

/// Puts a prefix before the path, letters, digits, `-` and `/` of it.
fn with_prefix(prefix: &[u8], path: &[u8]) -> Vec<u8> {
    let prefix = clean(prefix);
    if prefix == b"." {
        return if path.is_empty() { b"/".to_vec() } else { path.to_vec() };
    }
    let mut out: Vec<u8> = prefix
        .into_iter()
        .filter(|byte| byte.is_ascii_alphanumeric() || b"/-".contains(byte))
        .collect();
    out.dedup_by(|one, other| *one == b'/' && *other == b'/');
    if !path.is_empty() {
        out.push(b'/');
        out.extend_from_slice(path);
    }
    out
}

/// Makes a relative path absolute and removes its dots, as `http.Redirect` does.
fn clean_location(path: &[u8], query: Option<&[u8]>) -> Vec<u8> {
    let slashes = path.iter().take_while(|&&byte| byte == b'/').count();
    let path = &path[slashes.saturating_sub(1)..];
    // A `#` in the query starts a fragment here, and Go leaves a url alone that does not parse.
    let fragment = query.and_then(|query| memchr::memchr(b'#', query).map(|at| &query[at + 1..]));
    if fragment.is_some_and(|fragment| path::check_escapes(fragment).is_err()) {
        return path.to_vec();
    }
    let mut cleaned = match path.first() {
        Some(b'/') => clean(path),
        Some(_) => {
            // Relative to itself, as gin has changed the request's path by now.
            let directory = memchr::memrchr(b'/', path).map_or(0, |at| at + 1);
            clean(&[&path[..directory], path].concat())
        }
        None => b"/".to_vec(),
    };
    if path.ends_with(b"/") && !cleaned.ends_with(b"/") {
        cleaned.push(b'/');
    }
    cleaned
}

// === cleaning ===

/// Go's `path.Clean`: one slash between names, no `.`, no `name/..`; nothing at all becomes `.`.
pub(super) fn clean(path: &[u8]) -> Vec<u8> {
    let is_rooted = path.starts_with(b"/");
    let mut names: Vec<&[u8]> = Vec::new();
    for name in path.split(|&byte| byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." if names.last().is_some_and(|last| *last != b"..") => {
                names.pop();
            }
            b".." if is_rooted => {}
            _ => names.push(name),
        }
    }
    let mut out = Vec::with_capacity(path.len());
    out.extend(is_rooted.then_some(b'/'));
    out.extend(names.join(&b'/'));
    if out.is_empty() { b".".to_vec() } else { out }
}

/// Cleans a request's path: always rooted, and a slash (or a dot) at its end leaves a slash.
#[must_use]
pub fn clean_path(path: &[u8]) -> Cow<'_, [u8]> {
    if is_clean(path) {
        return Cow::Borrowed(path);
    }
    let rooted = if path.starts_with(b"/") {
        Cow::Borrowed(path)
    } else {
        Cow::Owned([b"/", path].concat())
    };
    let mut cleaned = clean(&rooted);
    let ends_open = path.len() > 1 && path.ends_with(b"/") || path == b"." || path.ends_with(b"/.");
    if ends_open && cleaned != b"/" {
        cleaned.push(b'/');
    }
    Cow::Owned(cleaned)
}

fn is_clean(path: &[u8]) -> bool {
    let Some(names) = path.strip_prefix(b"/") else { return false };
    let names = names.strip_suffix(b"/").unwrap_or(names);
    let mut names = names.split(|&byte| byte == b'/');
    path == b"/" || names.all(|name| !matches!(name, b"" | b"." | b".."))
}
