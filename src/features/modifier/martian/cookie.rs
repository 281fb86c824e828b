//! `Cookie`: a cookie that is added, and the cookies that a message has (Go, net/http/cookie.go).

use crate::message::headers::is_token;

/// A cookie in both of its forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// `name=value`, as a request has it.
    pub pair: String,
    /// With its attributes, as an answer has it; empty where the name is none.
    pub line: String,
}

/// What a cookie is made of.
#[derive(Clone, Debug, Default)]
pub struct Attributes {
    pub name: String,
    pub value: String,
    pub path: String,
    pub domain: String,
    /// `Wed, 21 Oct 2015 07:28:00 GMT`
    pub expires: Option<String>,
    pub max_age_s: i64,
    pub is_http_only: bool,
    pub is_secure: bool,
}

// === impl Cookie ===

impl Cookie {
    pub fn new(of: &Attributes) -> Cookie {
        let value = clean_value(&of.value);
        let pair = format!("{}={value}", of.name.replace(['\r', '\n'], "-"));
        if !is_token(of.name.as_bytes()) {
            return Cookie { pair, line: String::new() };
        }
        let mut line = pair.clone();
        let path: String =
            of.path.chars().filter(|&c| matches!(c, ' '..='~') && c != ';').collect();
        if !of.path.is_empty() {
            line += &format!("; Path={path}");
        }
        if is_domain(&of.domain) {
            line += &format!("; Domain={}", of.domain.strip_prefix('.').unwrap_or(&of.domain));
        }
        if let Some(expires) = &of.expires {
            line += &format!("; Expires={expires}");
        }
        match of.max_age_s {
            1.. => line += &format!("; Max-Age={}", of.max_age_s),
            0 => {}
            _ => line += "; Max-Age=0",
        }
        if of.is_http_only {
            line += "; HttpOnly";
        }
        if of.is_secure {
            line += "; Secure";
        }
        Cookie { pair, line }
    }
}

/// Without the bytes that no value may have; in quotes where it has a blank or a comma.
fn clean_value(value: &str) -> String {
    let is_fine = |byte: &char| byte.is_ascii() && is_value_byte(*byte as u8);
    let clean: String = value.chars().filter(is_fine).collect();
    if clean.contains([' ', ',']) { format!("\"{clean}\"") } else { clean }
}

fn is_value_byte(byte: u8) -> bool {
    (b' '..0x7F).contains(&byte) && !matches!(byte, b'"' | b';' | b'\\')
}

/// A host name, or an IPv4 address, which is one by its letters.
fn is_domain(domain: &str) -> bool {
    let name = domain.strip_prefix('.').unwrap_or(domain);
    !name.is_empty()
        && name.len() <= 255
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
}

/// The cookies of a request's `Cookie` lines.
pub fn of_request(line: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    line.split(|&byte| byte == b';').filter_map(pair)
}

/// The cookie of one `Set-Cookie` line.
pub fn of_answer(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b';', line).unwrap_or(line.len());
    let first = &line[..end];
    memchr::memchr(b'=', first)?;
    pair(first)
}

fn pair(part: &[u8]) -> Option<(&[u8], &[u8])> {
    let part = part.trim_ascii();
    let split = memchr::memchr(b'=', part);
    let (name, value) = match split {
        Some(at) => (part[..at].trim_ascii(), &part[at + 1..]),
        None => (part, &part[..0]),
    };
    let inner = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    let value = inner.unwrap_or(value);
    (is_token(name) && value.iter().all(|&byte| is_value_byte(byte))).then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_written_in_both_forms() {
        let cookie = Cookie::new(&Attributes {
            name: "c".to_owned(),
            value: "v\";\r\n".to_owned(),
            path: "/p;x".to_owned(),
            domain: ".d.example".to_owned(),
            expires: Some("Wed, 21 Oct 2015 07:28:00 GMT".to_owned()),
            max_age_s: 60,
            is_http_only: true,
            is_secure: true,
        });
        assert_eq!(cookie.pair, "c=v");
        assert_eq!(
            cookie.line,
            "c=v; Path=/px; Domain=d.example; Expires=Wed, 21 Oct 2015 07:28:00 GMT; Max-Age=60; HttpOnly; Secure"
        );
    }

    #[test]
    fn odd_names_values_and_domains() {
        let of = |name: &str, value: &str, domain: &str| {
            let text = |text: &str| text.to_owned();
            Cookie::new(&Attributes {
                name: text(name),
                value: text(value),
                domain: text(domain),
                max_age_s: -1,
                ..Attributes::default()
            })
        };
        assert_eq!(of("a", "1 2", "-x").line, "a=\"1 2\"; Max-Age=0");
        assert_eq!(of("a b\n", "1", ""), Cookie { pair: "a b-=1".into(), line: String::new() });
    }

    #[test]
    fn cookies_of_messages_are_found() {
        let found: Vec<_> = of_request(b"a=1; b=\"2\"; bad name=3; c; d=\\").collect();
        assert_eq!(found, [(&b"a"[..], &b"1"[..]), (b"b", b"2"), (b"c", b"")]);
        assert_eq!(of_answer(b"s=1; Path=/"), Some((&b"s"[..], &b"1"[..])));
        assert_eq!(of_answer(b"s; Path=/"), None);
    }
}
