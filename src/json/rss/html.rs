//! The bits of HTML that feeds need: entities, a wrapping `<div>`, addresses made absolute.

use std::fmt::Write as _;

use quick_xml::escape::resolve_html5_entity;
use quick_xml::events::attributes::Attributes;

/// Entities that count without a semicolon, too (HTML section 13.5).
const LEGACY: [&str; 106] = [
    "AElig", "AMP", "Aacute", "Acirc", "Agrave", "Aring", "Atilde", "Auml", "COPY", "Ccedil",
    "ETH", "Eacute", "Ecirc", "Egrave", "Euml", "GT", "Iacute", "Icirc", "Igrave", "Iuml", "LT",
    "Ntilde", "Oacute", "Ocirc", "Ograve", "Oslash", "Otilde", "Ouml", "QUOT", "REG", "THORN",
    "Uacute", "Ucirc", "Ugrave", "Uuml", "Yacute", "aacute", "acirc", "acute", "aelig", "agrave",
    "amp", "aring", "atilde", "auml", "brvbar", "ccedil", "cedil", "cent", "copy", "curren", "deg",
    "divide", "eacute", "ecirc", "egrave", "eth", "euml", "frac12", "frac14", "frac34", "gt",
    "iacute", "icirc", "iexcl", "igrave", "iquest", "iuml", "laquo", "lt", "macr", "micro",
    "middot", "nbsp", "not", "ntilde", "oacute", "ocirc", "ograve", "ordf", "ordm", "oslash",
    "otilde", "ouml", "para", "plusmn", "pound", "quot", "raquo", "reg", "sect", "shy", "sup1",
    "sup2", "sup3", "szlig", "thorn", "times", "uacute", "ucirc", "ugrave", "uml", "uuml",
    "yacute", "yen", "yuml",
];

/// What the numbers 128 to 159 mean: characters of windows-1252.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// Elements that have no end tag.
const VOID: [&str; 14] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "keygen", "link", "meta", "source",
    "track", "wbr",
];

/// Resolves the entities of a text as Go's `html.UnescapeString` does.
pub fn unescape(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        let (before, reference) = rest.split_at(start);
        out.push_str(before);
        let length =
            numeric(reference, out).or_else(|| named(reference, out)).unwrap_or_else(|| {
                out.push('&');
                1
            });
        rest = reference.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
}

/// `&#65;` and `&#x41;`, the semicolon being free; the answer is how much was read.
fn numeric(reference: &str, out: &mut String) -> Option<usize> {
    let number = reference.strip_prefix("&#")?;
    let (digits, radix) = match number.strip_prefix(['x', 'X']) {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    let count = digits.chars().take_while(|digit| digit.is_digit(radix)).count();
    let digits = digits.get(..count).filter(|digits| !digits.is_empty())?;
    let code = u32::from_str_radix(digits, radix).unwrap_or(u32::MAX);
    out.push(match code {
        0 => char::REPLACEMENT_CHARACTER,
        0x80..0xa0 => {
            WINDOWS_1252.get(code as usize - 0x80).copied().unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        _ => char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
    });
    let length = reference.len() - number.len() + usize::from(radix == 16) + count;
    Some(length + usize::from(reference.as_bytes().get(length) == Some(&b';')))
}

/// `&amp;`, and the old names also without a semicolon, even where more letters follow.
fn named(reference: &str, out: &mut String) -> Option<usize> {
    let body = reference.get(1..)?;
    let letters = body.bytes().take_while(u8::is_ascii_alphanumeric).count();
    let name = body.get(..letters)?;
    let has_semicolon = body.as_bytes().get(letters) == Some(&b';');
    if let Some(text) = resolve_html5_entity(name).filter(|_| has_semicolon) {
        out.push_str(text);
        return Some(letters + 2);
    }
    let mut legacy = (2..=letters.min(6)).rev().filter_map(|length| name.get(..length));
    let name = legacy.find(|name| LEGACY.contains(name))?;
    let text = resolve_html5_entity(name)?;
    out.push_str(text);
    Some(1 + name.len())
}

/// What stands in a `<div>` that holds all the markup there is, written anew; else the text as it is.
pub fn without_wrapping_div(content: &str) -> String {
    Rewriting::of(content, None, true).unwrap_or_else(|| content.to_owned())
}

/// Markup with its addresses made absolute, written anew.
pub fn absolute(base: &str, content: &str) -> String {
    Rewriting::of(content, Some(base), false).unwrap_or_else(|| content.to_owned())
}

/// Attributes that hold addresses; only the first of an element is looked at.
const ADDRESSES: [&str; 12] = [
    "action",
    "background",
    "cite",
    "codebase",
    "data",
    "href",
    "poster",
    "profile",
    "scheme",
    "src",
    "uri",
    "usemap",
];

/// Elements that may be open at once in markup that is written anew.
const DEPTH_MAX: usize = 256;

/// Markup on its way through: elements are closed as they were opened, texts are escaped one way.
struct Rewriting<'b> {
    out: String,
    open: Vec<String>,
    base: Option<&'b str>,
    /// The outermost element is left out, and must be the only one.
    unwraps: bool,
    is_done: bool,
}

// === impl Rewriting ===

impl<'b> Rewriting<'b> {
    fn of(content: &str, base: Option<&'b str>, unwraps: bool) -> Option<String> {
        let mut rewriting =
            Self { out: String::new(), open: Vec::new(), base, unwraps, is_done: false };
        let mut rest = content;
        while !rest.is_empty() {
            let (part, after) = split_part(rest);
            rest = after;
            match part {
                Part::Start(tag) => rewriting.start(tag)?,
                Part::End(tag) => rewriting.end(&tag_name(tag)),
                _ if unwraps && rewriting.open.is_empty() => {}
                Part::Comment(comment) => rewriting.out.push_str(comment),
                Part::Text(text) => {
                    let mut plain = String::new();
                    unescape(text, &mut plain);
                    escape(&plain, &mut rewriting.out);
                }
            }
        }
        let has_wrapping = rewriting.is_done || !rewriting.open.is_empty();
        rewriting.close(0);
        (has_wrapping || !unwraps).then_some(rewriting.out)
    }

    fn start(&mut self, tag: &str) -> Option<()> {
        let name = tag_name(tag);
        if self.unwraps && self.open.is_empty() {
            // A second element beside the first: no wrapping.
            if self.is_done || name != "div" {
                return None;
            }
        } else {
            self.start_tag(&name, tag);
        }
        if !VOID.contains(&name.as_str()) {
            self.open.push(name);
        }
        (self.open.len() <= DEPTH_MAX).then_some(())
    }

    fn end(&mut self, name: &str) {
        if let Some(depth) = self.open.iter().rposition(|known| known == name) {
            self.close(depth);
        }
        self.is_done = self.open.is_empty();
    }

    /// Closes what is open from a depth on.
    fn close(&mut self, depth: usize) {
        let kept = usize::from(self.unwraps).max(depth).min(self.open.len());
        for name in self.open.drain(kept..).rev() {
            let _ = write!(self.out, "</{name}>");
        }
        self.open.truncate(depth);
    }

    fn start_tag(&mut self, name: &str, tag: &str) {
        let _ = write!(self.out, "<{name}");
        let attributes = tag.get(name.len()..).unwrap_or_default().trim_end_matches('/');
        let mut base = self.base;
        for attribute in Attributes::html(attributes, 0).with_checks(false).flatten() {
            let name = attribute.key.0.to_ascii_lowercase();
            let mut value = String::new();
            unescape(&attribute.value, &mut value);
            if ADDRESSES.contains(&name.as_str())
                && let Some(base) = base.take()
            {
                value = resolve(base, &value);
            }
            let _ = write!(self.out, " {name}=\"");
            escape(&value, &mut self.out);
            self.out.push('"');
        }
        self.out.push_str(if VOID.contains(&name) { "/>" } else { ">" });
    }
}

enum Part<'t> {
    Text(&'t str),
    Start(&'t str),
    End(&'t str),
    Comment(&'t str),
}

/// The next piece of markup: a tag without its brackets, a comment with them, or text.
fn split_part(text: &str) -> (Part<'_>, &str) {
    let cut = |end: usize| text.split_at_checked(end).unwrap_or((text, ""));
    if text.starts_with("<!--") {
        let (comment, rest) = cut(text.find("-->").map_or(text.len(), |end| end + 3));
        return (Part::Comment(comment), rest);
    }
    let is_tag = |rest: &str| {
        rest.strip_prefix('<').is_some_and(|name| {
            name.trim_start_matches('/').starts_with(|first: char| first.is_ascii_alphabetic())
        })
    };
    if is_tag(text) {
        let (tag, rest) = cut(tag_end(text));
        let tag = tag.strip_prefix('<').unwrap_or(tag);
        let tag = tag.strip_suffix('>').unwrap_or(tag);
        return match tag.strip_prefix('/') {
            Some(name) => (Part::End(name), rest),
            None => (Part::Start(tag), rest),
        };
    }
    let end =
        text.char_indices().skip(1).map(|(at, _)| at).find(|at| {
            text.get(*at..).is_some_and(|rest| rest.starts_with("<!--") || is_tag(rest))
        });
    let (text, rest) = cut(end.unwrap_or(text.len()));
    (Part::Text(text), rest)
}

/// Where a tag ends: a bracket within quotes does not end it.
fn tag_end(text: &str) -> usize {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return at + 1,
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    text.len()
}

fn tag_name(tag: &str) -> String {
    let end = tag
        .find(|character: char| character.is_ascii_whitespace() || character == '/')
        .unwrap_or(tag.len());
    tag.get(..end).unwrap_or_default().to_ascii_lowercase()
}

fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            '\r' => out.push_str("&#13;"),
            _ => out.push(character),
        }
    }
}

/// An address relative to a base (RFC 3986 section 5.2); the last part of the base's path counts as a folder.
pub fn resolve(base: &str, address: &str) -> String {
    let base = Address::split(base);
    let address = Address::split(address);
    let mut scheme = base.scheme;
    let mut authority = base.authority;
    let mut query = address.query;
    let path = if address.scheme.is_some() {
        (scheme, authority) = (address.scheme, address.authority);
        without_dots(address.path)
    } else if address.authority.is_some() {
        authority = address.authority;
        without_dots(address.path)
    } else if address.path.is_empty() {
        query = query.or(base.query);
        without_dots(base.path)
    } else if address.path.starts_with('/') {
        without_dots(address.path)
    } else {
        let folder = if base.path.is_empty() || base.path.ends_with('/') { "" } else { "/" };
        let root = if base.path.is_empty() && base.authority.is_some() { "/" } else { "" };
        without_dots(&format!("{root}{}{folder}{}", base.path, address.path))
    };
    let mut text = String::new();
    let _ = scheme.map(|scheme| write!(text, "{scheme}:"));
    let _ = authority.map(|authority| write!(text, "//{authority}"));
    text.push_str(&path);
    let _ = query.map(|query| write!(text, "?{query}"));
    let _ = address.fragment.map(|fragment| write!(text, "#{fragment}"));
    text
}

struct Address<'t> {
    scheme: Option<&'t str>,
    authority: Option<&'t str>,
    path: &'t str,
    query: Option<&'t str>,
    fragment: Option<&'t str>,
}

// === impl Address ===

impl<'t> Address<'t> {
    fn split(text: &'t str) -> Self {
        let (rest, fragment) = optional(text.split_once('#'), text);
        let (rest, query) = optional(rest.split_once('?'), rest);
        let is_scheme = |scheme: &str| {
            scheme.starts_with(|first: char| first.is_ascii_alphabetic())
                && scheme
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
        };
        let (scheme, rest) = match rest.split_once(':') {
            Some((scheme, rest)) if is_scheme(scheme) => (Some(scheme), rest),
            _ => (None, rest),
        };
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => {
                let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                (Some(authority), path)
            }
            None => (None, rest),
        };
        Self { scheme, authority, path, query, fragment }
    }
}

fn optional<'t>(parts: Option<(&'t str, &'t str)>, whole: &'t str) -> (&'t str, Option<&'t str>) {
    parts.map_or((whole, None), |(before, after)| (before, Some(after)))
}

/// RFC 3986 section 5.2.4.
fn without_dots(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let mut is_folder = false;
    for part in path.split('/') {
        is_folder = matches!(part, "." | "..");
        match part {
            "." => {}
            ".." => {
                if parts.len() > 1 {
                    parts.pop();
                }
            }
            _ => parts.push(part),
        }
    }
    if is_folder {
        parts.push("");
    }
    parts.join("/")
}
