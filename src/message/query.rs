//! Query strings: reading one in place, and writing the allowed part of it the way Go's `url.Values` does.
//!
//! Upstreams see a query that was taken apart and put together again: sorted by name, values of one name in their
//! order, everything but unreserved bytes encoded (specification 2.7 and 2.8).

use std::borrow::Cow;

use smallvec::SmallVec;

use super::path;

/// Go drops a whole query with more pairs than this.
pub const PAIRS_MAX: usize = 10_000;

/// A decoded name and its decoded value.
pub type Pair<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

/// Goes through the pairs of a query in the order they stand.
///
/// A pair with a `;` or a broken escape is left out, a name alone has the empty value.
pub fn pairs(raw: &[u8]) -> impl Iterator<Item = Pair<'_>> {
    let too_many = memchr::memchr_iter(b'&', raw).take(PAIRS_MAX).count() >= PAIRS_MAX;
    let raw = if too_many { &raw[..0] } else { raw };
    raw.split(|&byte| byte == b'&').filter_map(pair)
}

fn pair(text: &[u8]) -> Option<Pair<'_>> {
    if text.is_empty() || memchr::memchr(b';', text).is_some() {
        return None;
    }
    let (name, value) = match memchr::memchr(b'=', text) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &text[..0]),
    };
    Some((path::decode_query_component(name).ok()?, path::decode_query_component(value).ok()?))
}

/// The names of query parameters that pass on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Allowed {
    All,
    #[default]
    None,
    /// Sorted, each once; compared byte by byte.
    Names(Box<[Box<str>]>),
}

impl Allowed {
    /// The `input_query_strings` of an endpoint: nothing unless listed, everything with `*`.
    #[must_use]
    pub fn by_endpoint(list: &[String]) -> Self {
        if list.iter().any(|name| name == "*") { Self::All } else { Self::names(list.iter()) }
    }

    /// What is left behind a backend's own list. Without a list all is left; `*` in it is a name like any other.
    #[must_use]
    pub fn then_by_backend(&self, list: &[String]) -> Self {
        match self {
            _ if list.is_empty() => self.clone(),
            Self::All => Self::names(list.iter()),
            _ => Self::names(list.iter().filter(|name| self.admits(name.as_bytes()))),
        }
    }

    #[must_use]
    pub fn admits(&self, name: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Names(names) => {
                names.binary_search_by(|known| known.as_bytes().cmp(name)).is_ok()
            }
        }
    }

    fn names<'a>(list: impl Iterator<Item = &'a String>) -> Self {
        let mut names: Vec<Box<str>> = list.map(|name| name.as_str().into()).collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() { Self::None } else { Self::Names(names.into()) }
    }
}

/// Appends the allowed pairs of a client's query to `out`, the first one behind `separator`. Says how many there were.
pub fn forward(raw: &[u8], allowed: &Allowed, separator: Option<u8>, out: &mut Vec<u8>) -> usize {
    if raw.is_empty() || *allowed == Allowed::None {
        return 0;
    }
    let mut chosen: SmallVec<[Pair<'_>; 8]> =
        pairs(raw).filter(|(name, _)| allowed.admits(name)).collect();
    // Stable, as the values of one name keep their order.
    chosen.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (at, (name, value)) in chosen.iter().enumerate() {
        out.extend(if at == 0 { separator } else { Some(b'&') });
        path::encode_query_component(name, out);
        out.push(b'=');
        path::encode_query_component(value, out);
    }
    chosen.len()
}

/// What has to stand between a request target and more of a query.
#[must_use]
pub fn separator(target: &[u8]) -> Option<u8> {
    match memchr::memchr(b'?', target) {
        None => Some(b'?'),
        Some(at) if at + 1 == target.len() => None,
        Some(_) => Some(b'&'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn forwarded(raw: &str, names: &[&str]) -> String {
        let mut out = Vec::new();
        forward(raw.as_bytes(), &Allowed::by_endpoint(&list(names)), None, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_listed_names_pass_sorted_by_name_with_values_in_their_order() {
        assert_eq!(forwarded("b=2&a=1&c=3&a=0", &["a", "b"]), "a=1&a=0&b=2");
        assert_eq!(forwarded("A=1", &["a"]), "");
        assert_eq!(forwarded("a=1", &[]), "");
        assert_eq!(forwarded("", &["*"]), "");
        assert_eq!(forwarded("b=1&a=2", &["x", "*"]), "a=2&b=1");
    }

    #[test]
    fn values_are_encoded_anew() {
        assert_eq!(forwarded("a=%7e*()!'+%20/", &["*"]), "a=~%2A%28%29%21%27++%2F");
        assert_eq!(forwarded("a=caf\u{e9}", &["*"]), "a=caf%C3%A9");
        assert_eq!(forwarded("a&b=", &["*"]), "a=&b=");
        assert_eq!(forwarded("=x&a=b=c", &["*"]), "=x&a=b%3Dc");
        assert_eq!(forwarded("%61=1", &["a"]), "a=1");
    }

    #[test]
    fn pairs_with_a_semicolon_or_a_broken_escape_are_dropped() {
        assert_eq!(forwarded("a=1;b=2&c=%zz&%=1&d=4&&", &["*"]), "d=4");
    }

    #[test]
    fn a_query_of_too_many_pairs_is_dropped_whole() {
        let most = vec!["a"; PAIRS_MAX].join("&");
        assert_eq!(pairs(most.as_bytes()).count(), PAIRS_MAX);
        assert_eq!(pairs((most + "&a").as_bytes()).count(), 0);
    }

    #[test]
    fn a_backends_list_filters_what_the_endpoint_lets_through() {
        let both = Allowed::by_endpoint(&list(&["a", "b"]));
        assert_eq!(both.then_by_backend(&[]), both);
        assert_eq!(both.then_by_backend(&list(&["b", "c"])), Allowed::by_endpoint(&list(&["b"])));
        assert_eq!(both.then_by_backend(&list(&["*"])), Allowed::None);
        let star = Allowed::All.then_by_backend(&list(&["*"]));
        assert!(star.admits(b"*") && !star.admits(b"a"));
        assert_eq!(Allowed::None.then_by_backend(&list(&["a"])), Allowed::None);
    }

    #[test]
    fn a_clients_query_follows_that_of_the_pattern() {
        let mut target = b"/x?fixed=1".to_vec();
        let between = separator(&target);
        forward(b"b=2&a=1", &Allowed::All, between, &mut target);
        assert_eq!(target, b"/x?fixed=1&a=1&b=2");
        assert_eq!(
            (separator(b"/x"), separator(b"/x?"), separator(b"/x??")),
            (Some(b'?'), None, Some(b'&'))
        );
    }
}
