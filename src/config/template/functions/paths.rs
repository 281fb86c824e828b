//! Functions that take paths and URLs apart.

use std::sync::Arc;

use gotmpl::Value;

use super::super::value::{map, string};
use super::{Answer, Args, Function, function};

pub const TABLE: &[Function] = &[
    function("base", 1, 1, base),
    function("clean", 1, 1, |args| Ok(string(cleaned(args.text(0)?)))),
    function("dir", 1, 1, dir),
    function("ext", 1, 1, ext),
    function("isAbs", 1, 1, |args| Ok(Value::Bool(args.text(0)?.starts_with('/')))),
    function("osBase", 1, 1, base),
    function("osClean", 1, 1, |args| Ok(string(cleaned(args.text(0)?)))),
    function("osDir", 1, 1, dir),
    function("osExt", 1, 1, ext),
    function("osIsAbs", 1, 1, |args| Ok(Value::Bool(args.text(0)?.starts_with('/')))),
    function("urlJoin", 1, 1, url_join),
    function("urlParse", 1, 1, url_parse),
];

fn base(args: &Args<'_>) -> Answer {
    let path = args.text(0)?;
    let trimmed = path.trim_end_matches('/');
    Ok(string(match (path, trimmed) {
        ("", _) => ".",
        (_, "") => "/",
        _ => trimmed.rsplit('/').next().unwrap_or(trimmed),
    }))
}

fn dir(args: &Args<'_>) -> Answer {
    let path = args.text(0)?;
    let end = path.rfind('/').map_or(0, |slash| slash + 1);
    Ok(string(cleaned(path.get(..end).unwrap_or_default())))
}

fn ext(args: &Args<'_>) -> Answer {
    let name = args.text(0)?.rsplit('/').next().unwrap_or_default();
    Ok(string(name.rfind('.').and_then(|dot| name.get(dot..)).unwrap_or_default()))
}

/// The shortest path of the same meaning.
pub fn cleaned(path: &str) -> String {
    let is_rooted = path.starts_with('/');
    let mut steps: Vec<&str> = Vec::new();
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." if steps.last().is_some_and(|last| *last != "..") => {
                steps.pop();
            }
            ".." if is_rooted => {}
            step => steps.push(step),
        }
    }
    match (is_rooted, steps.is_empty()) {
        (true, _) => format!("/{}", steps.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => steps.join("/"),
    }
}

/// The parts of a URL, each a text; what is not there is empty.
fn url_parse(args: &Args<'_>) -> Answer {
    let url = args.text(0)?;
    if url.chars().any(char::is_control) {
        return Err("unable to parse url: net/url: invalid control character in URL".to_owned());
    }
    let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (scheme, rest) = match rest.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_lowercase(), rest),
        Some(("", _)) => return Err("unable to parse url: missing protocol scheme".to_owned()),
        _ => (String::new(), rest),
    };
    let (authority, path, opaque) = match rest.strip_prefix("//") {
        Some(rest) => {
            let end = rest.find('/').unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            (authority, path, "")
        }
        None if !scheme.is_empty() && !rest.starts_with('/') => ("", "", rest),
        None => ("", rest, ""),
    };
    let (userinfo, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let bare = host.strip_prefix('[').and_then(|rest| rest.split(']').next());
    let hostname = bare.unwrap_or_else(|| host.split(':').next().unwrap_or(host));
    let parts = [
        ("scheme", scheme),
        ("userinfo", userinfo.to_owned()),
        ("host", host.to_owned()),
        ("hostname", hostname.to_owned()),
        ("path", decoded(path)),
        ("query", query.to_owned()),
        ("opaque", opaque.to_owned()),
        ("fragment", decoded(fragment)),
    ];
    Ok(map(parts.into_iter().map(|(name, part)| (Arc::from(name), string(part))).collect()))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digits =
            text.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match digits.filter(|_| *byte == b'%') {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:@/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn url_join(args: &Args<'_>) -> Answer {
    let parts = args.members(0)?;
    let part = |name: &str| match parts.get(name) {
        None => Ok(""),
        Some(Value::String(text)) => Ok(&**text),
        Some(_) => Err(format!("unable to parse {name} key, must be of type string")),
    };
    let (scheme, host, userinfo) = (part("scheme")?, part("host")?, part("userinfo")?);
    let mut url = String::new();
    if !scheme.is_empty() {
        url.push_str(scheme);
        url.push(':');
    }
    if part("opaque")?.is_empty() {
        let path = encoded(part("path")?);
        if !scheme.is_empty() || !host.is_empty() || !userinfo.is_empty() {
            if !host.is_empty() || !path.is_empty() || !userinfo.is_empty() {
                url.push_str("//");
            }
            if !userinfo.is_empty() {
                url.push_str(userinfo);
                url.push('@');
            }
            url.push_str(host);
        }
        if !path.is_empty() && !path.starts_with('/') && !host.is_empty() {
            url.push('/');
        }
        url.push_str(&path);
    } else {
        url.push_str(part("opaque")?);
    }
    for (mark, name) in [('?', "query"), ('#', "fragment")] {
        let text = part(name)?;
        if !text.is_empty() {
            url.push(mark);
            url.push_str(&if name == "query" { text.to_owned() } else { encoded(text) });
        }
    }
    Ok(string(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_go_does() {
        for (path, clean) in [
            ("", "."),
            ("/", "/"),
            ("a//b/./c/..", "a/b"),
            ("/../a", "/a"),
            ("../../a", "../../a"),
            ("a/../..", ".."),
        ] {
            assert_eq!(cleaned(path), clean);
        }
    }

    #[test]
    fn a_url_comes_apart_and_together() {
        let url = string("https://me:pw@host.example:8080/a%20b?q=1#top");
        let parts = url_parse(&Args::new(&[url])).expect("a URL");
        let part = |name| parts.field(name).map(ToString::to_string).unwrap_or_default();
        assert_eq!((part("hostname"), part("path")), ("host.example".into(), "/a b".into()));
        let joined = url_join(&Args::new(&[parts])).expect("parts");
        assert_eq!(joined.to_string(), "https://me:pw@host.example:8080/a%20b?q=1#top");
    }
}
