//! `Url`: where a call goes, and where a redirect sends it (RFC 3986 section 5).

use std::rc::Rc;

use super::{Target, UpstreamError};
use crate::message::path::{self, RequestTarget};

/// An absolute `http` or `https` URL, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    pub is_tls: bool,
    /// The Host header: name and, where written, port.
    pub authority: Rc<str>,
    /// Path and query as they are sent.
    pub target: Vec<u8>,
}

impl Url {
    pub fn text(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority, String::from_utf8_lossy(&self.target))
    }

    /// The name without the port, which decides whether credentials may follow a redirect.
    pub fn host_name(&self) -> &str {
        split_port(&self.authority).0
    }

    /// What to connect to.
    ///
    /// # Errors
    /// [`UpstreamError::Protocol`] for a port that is none.
    pub fn upstream(&self) -> Result<Target, UpstreamError> {
        let (name, port) = split_port(&self.authority);
        let port = match port {
            "" if self.is_tls => 443,
            "" => 80,
            port => {
                port.parse().map_err(|_| UpstreamError::Protocol("invalid port in a redirect"))?
            }
        };
        Ok(Target::new(self.is_tls, name, port))
    }

    /// The URL that a Location header names, seen from this one.
    ///
    /// # Errors
    /// [`UpstreamError::Scheme`] for what is not HTTP, [`UpstreamError::Protocol`] for what is no URL.
    pub fn follow(&self, location: &[u8]) -> Result<Url, UpstreamError> {
        const BAD: UpstreamError = UpstreamError::Protocol("failed to parse Location header");
        if location.iter().any(|&byte| path::is_control(byte)) {
            return Err(BAD);
        }
        let location = &location[..memchr::memchr(b'#', location).unwrap_or(location.len())];
        if let Some(rest) = location.strip_prefix(b"//") {
            let scheme = if self.is_tls { "https://" } else { "http://" };
            return self.follow(&[scheme.as_bytes(), rest].concat());
        }
        if let Some(scheme) = scheme_of(location) {
            let is_tls = match scheme.to_ascii_lowercase().as_slice() {
                b"http" => false,
                b"https" => true,
                other => return Err(UpstreamError::Scheme(String::from_utf8_lossy(other).into())),
            };
            let parsed = RequestTarget::parse(b"GET", location).map_err(|_| BAD)?;
            let authority = std::str::from_utf8(parsed.host()).map_err(|_| BAD)?;
            if authority.is_empty() {
                return Err(UpstreamError::Protocol("no Host in request URL"));
            }
            let target = target_of(parsed.path, parsed.query)?;
            return Ok(Url { is_tls, authority: authority.into(), target });
        }
        let (location_path, query) = split_query(location);
        let (base_path, base_query) = split_query(&self.target);
        let (path, query) = match location_path {
            [] if query.is_none() => (base_path.to_vec(), base_query),
            [] => (base_path.to_vec(), query),
            [b'/', ..] => (remove_dots(location_path), query),
            relative => {
                let folder =
                    &base_path[..memchr::memrchr(b'/', base_path).map_or(0, |slash| slash + 1)];
                (remove_dots(&[folder, relative].concat()), query)
            }
        };
        let target = target_of(&path, query)?;
        Ok(Url { is_tls: self.is_tls, authority: self.authority.clone(), target })
    }
}

fn target_of(path: &[u8], query: Option<&[u8]>) -> Result<Vec<u8>, UpstreamError> {
    let mut text = path.to_vec();
    if let Some(query) = query {
        text.push(b'?');
        text.extend_from_slice(query);
    }
    let mut target = Vec::with_capacity(text.len());
    path::write_target(&text, &mut target)
        .map_err(|_| UpstreamError::Protocol("failed to parse Location header"))?;
    Ok(target)
}

fn split_query(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'?', text) {
        Some(mark) => (&text[..mark], Some(&text[mark + 1..])),
        None => (text, None),
    }
}

fn split_port(authority: &str) -> (&str, &str) {
    match authority.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port),
        _ => (authority, ""),
    }
}

/// The scheme in front of a colon that stands before any slash.
fn scheme_of(text: &[u8]) -> Option<&[u8]> {
    let colon = text.iter().position(|byte| matches!(byte, b':' | b'/' | b'?'))?;
    let scheme = &text[..colon];
    let is_scheme = text[colon] == b':'
        && scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    is_scheme.then_some(scheme)
}

/// RFC 3986 section 5.2.4.
fn remove_dots(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let segments: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    let last = segments.len().saturating_sub(1);
    for (index, segment) in segments.iter().enumerate().skip(1) {
        match *segment {
            b"." if index == last => kept.push(b""),
            b"." => {}
            b".." => {
                kept.pop();
                if index == last {
                    kept.push(b"");
                }
            }
            other => kept.push(other),
        }
    }
    let mut out = Vec::with_capacity(path.len());
    for segment in kept {
        out.push(b'/');
        out.extend_from_slice(segment);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Url {
        Url { is_tls: false, authority: "up:81".into(), target: b"/r/rel?q=1".to_vec() }
    }

    fn followed(location: &str) -> String {
        base().follow(location.as_bytes()).map_or_else(|error| error.to_string(), |url| url.text())
    }

    #[test]
    fn locations_are_seen_from_where_they_were_sent() {
        assert_eq!(followed("/echo/to?r=1"), "http://up:81/echo/to?r=1");
        assert_eq!(followed("../echo/rel"), "http://up:81/echo/rel");
        assert_eq!(followed("x"), "http://up:81/r/x");
        assert_eq!(followed("?a=2"), "http://up:81/r/rel?a=2");
        assert_eq!(followed("//other/x"), "http://other/x");
        assert_eq!(followed("https://other:444/x#frag"), "https://other:444/x");
        assert_eq!(followed("/a/./b/../../../c/."), "http://up:81/c/");
    }

    #[test]
    fn other_schemes_and_broken_urls_are_refused() {
        assert_eq!(followed("ftp://h/x"), "unsupported protocol scheme \"ftp\"");
        assert!(followed("http://h/\x01").contains("Location"));
    }

    #[test]
    fn a_url_says_where_to_connect() {
        let url = base();
        assert_eq!(url.upstream().unwrap(), Target::new(false, "up", 81));
        assert_eq!(url.host_name(), "up");
        let url = Url { is_tls: true, authority: "[::1]".into(), target: b"/".to_vec() };
        assert_eq!(url.upstream().unwrap(), Target::new(true, "::1", 443));
    }
}
