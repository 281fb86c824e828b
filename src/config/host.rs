//! A backend's host: cleaned as lura's uri.go does, and taken apart once.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::LazyLock;

use regex::Regex;

/// One entry of a `host` list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// As it will be used: `http://127.0.0.1:80`. The backend's path is appended to it as text.
    pub url: String,
    /// What HTTP needs of it; `None` when no HTTP request can be made (no scheme, another scheme, a port beyond
    /// 65535): such requests fail with 500, while look-ups of names and other transports use `url`.
    pub address: Option<Address>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub scheme: Scheme,
    /// What goes into the Host header: name and, when written, port; without user and password.
    pub authority: String,
    pub name: HostName,
    /// The scheme's own when none is written.
    pub port: u16,
    /// What follows the authority, as written: empty, or `/base`, with a query if someone wrote one.
    pub path_prefix: String,
    /// `user:password`, percent-decoded; an Authorization header of the Basic kind is made of it (RFC 7617).
    pub user_info: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostName {
    Ip(IpAddr),
    Dns(String),
}

static PATTERN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(https?://)?([a-zA-Z0-9._\-]+)(:[0-9]{2,6})?/?")
        .expect("the pattern is a constant that compiles")
});

// === impl Host ===

impl Host {
    /// Cleans a host: `http://` is added, a trailing slash and what is no host are cut. Text in which the pattern
    /// is found more or less than once is refused (spec 2.2).
    pub fn cleaned(text: &str) -> Option<Self> {
        let mut found = PATTERN.captures_iter(text);
        let (first, None) = (found.next()?, found.next()) else { return None };
        let part = |index| first.get(index).map_or("", |part: regex::Match<'_>| part.as_str());
        let scheme = if part(1).is_empty() { "http://" } else { part(1) };
        Some(Self::untouched(&format!("{scheme}{}{}", part(2), part(3))))
    }

    /// What the original says of a host that cannot be cleaned.
    pub(super) fn invalid(text: &str) -> String {
        format!("host {text} not valid: invalid host")
    }

    /// Takes a host as it is written (`disable_host_sanitize`).
    pub fn untouched(text: &str) -> Self {
        Self { url: text.to_owned(), address: address(text) }
    }
}

/// RFC 3986 section 3, as net/url reads it.
fn address(url: &str) -> Option<Address> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return None,
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path_prefix) = rest.split_at(end);
    let (user_info, authority) = match authority.rsplit_once('@') {
        Some((user, authority)) => (Some(user_info(user)?), authority),
        None => (None, authority),
    };
    let (name, port) = split_port(authority)?;
    let default_port = if scheme == Scheme::Http { 80 } else { 443 };
    let port = if port.is_empty() { default_port } else { port.parse().ok()? };
    Some(Address {
        scheme,
        authority: authority.strip_suffix(':').unwrap_or(authority).to_owned(),
        name: host_name(name)?,
        port,
        path_prefix: path_prefix.to_owned(),
        user_info,
    })
}

/// `name:port`; an IPv6 address stands in brackets.
fn split_port(authority: &str) -> Option<(&str, &str)> {
    if let Some(literal) = authority.strip_prefix('[') {
        let (_, after) = literal.split_once(']')?;
        let name = authority.get(..authority.len() - after.len())?;
        return if after.is_empty() {
            Some((name, ""))
        } else {
            Some((name, after.strip_prefix(':')?))
        };
    }
    Some(authority.split_once(':').unwrap_or((authority, "")))
}

fn host_name(name: &str) -> Option<HostName> {
    if let Some(literal) = name.strip_prefix('[') {
        let address: Ipv6Addr = literal.strip_suffix(']')?.parse().ok()?;
        return Some(HostName::Ip(address.into()));
    }
    // Characters that net/url refuses in a host.
    let is_wrong = |byte: u8| byte <= b' ' || byte == 0x7F || b"\\^`{|}%".contains(&byte);
    if name.is_empty() || name.bytes().any(is_wrong) {
        return None;
    }
    Some(name.parse().map_or_else(|_| HostName::Dns(name.to_owned()), HostName::Ip))
}

/// Decodes user and password; a user alone has an empty password.
fn user_info(text: &str) -> Option<Vec<u8>> {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    let mut decoded = percent_decode(user)?;
    decoded.push(b':');
    decoded.extend(percent_decode(password)?);
    Some(decoded)
}

fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let high = char::from(bytes.next()?).to_digit(16)?;
        let low = char::from(bytes.next()?).to_digit(16)?;
        decoded.push(u8::try_from(high * 16 + low).ok()?);
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_cleaned() {
        for (text, expected) in [
            ("http://127.0.0.1:8081", Some("http://127.0.0.1:8081")),
            ("127.0.0.1:8081", Some("http://127.0.0.1:8081")),
            ("https://a.example/", Some("https://a.example")),
            ("http://a!", Some("http://a")),
            ("http://a/?", Some("http://a")),
            ("1.5", Some("http://1.5")),
            ("", None),
            ("http://a/b/c", None),
            ("http://a:8", None),
            ("http://[::1]:8080", None),
            ("ftp://a", None),
            ("HTTP://a", None),
            ("http://user:pw@a", None),
            ("a,b", None),
        ] {
            assert_eq!(Host::cleaned(text).map(|host| host.url).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn an_untouched_host_keeps_path_and_user() {
        let address = Host::untouched("http://us%20er:pw@127.0.0.1:81/echo/base")
            .address
            .expect("an address");
        assert_eq!(address.authority, "127.0.0.1:81");
        assert_eq!(address.name, HostName::Ip([127, 0, 0, 1].into()));
        assert_eq!((address.port, address.path_prefix.as_str()), (81, "/echo/base"));
        assert_eq!(address.user_info.as_deref(), Some(&b"us er:pw"[..]));
    }

    #[test]
    fn ports_follow_the_scheme() {
        let port =
            |url| Host::untouched(url).address.map(|address| (address.port, address.authority));
        assert_eq!(port("http://a"), Some((80, "a".to_owned())));
        assert_eq!(port("HTTPS://a:"), Some((443, "a".to_owned())));
        assert_eq!(port("https://[::1]:8443/"), Some((8443, "[::1]:8443".to_owned())));
        assert_eq!(port("http://a:99999"), None);
    }

    #[test]
    fn without_a_scheme_of_http_no_request_can_be_made() {
        for url in [
            "127.0.0.1:80",
            "localhost",
            "amqp://user:pw@host/vhost",
            "//a",
            "http://",
            "http://a b",
            "http://a%zz",
            "http://[::1",
        ] {
            let host = Host::untouched(url);
            assert_eq!((host.url.as_str(), host.address), (url, None));
        }
    }
}
