//! Path parameters: what an endpoint's path offers and what a backend's path uses (spec 2.3).

use std::fmt;
use std::sync::LazyLock;

use regex::Regex;

/// `{name}` at the beginning of a segment.
static STRICT: LazyLock<Regex> = LazyLock::new(|| pattern(r"/\{([a-zA-Z\-_0-9]+)\}"));
/// `{name}` anywhere: `disable_rest`, and every backend's path.
static ANYWHERE: LazyLock<Regex> = LazyLock::new(|| pattern(r"\{([0-9A-Za-z_\-.:/]+)\}"));
/// What earlier answers and tokens offer: `resp0_id`, `JWT.sub`.
static OFFERED_LATER: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^(resp[0-9]+_.+)?(JWT\.([0-9A-Za-z_\-.:/]+))?$"));
/// Paths that the gateway keeps for itself, and wildcards inside a path.
static RESERVED: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^[^/]|\*.|/__(debug|echo|health)(/.*)?$"));

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is a constant that compiles")
}

/// A backend's path that uses what its endpoint does not offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch<'a> {
    /// More used than offered.
    TooMany,
    Undefined(&'a str),
}

/// One slash at the beginning; nothing else is cleaned.
pub fn clean_path(path: &str) -> String {
    format!("/{}", path.strip_prefix('/').unwrap_or(path))
}

pub fn is_reserved(path: &str) -> bool {
    RESERVED.is_match(path)
}

/// The names that an endpoint's path offers, in order.
pub fn offered(path: &str, is_strict: bool) -> Vec<String> {
    names(path, if is_strict { &STRICT } else { &ANYWHERE })
}

/// The names that a backend's path uses, sorted, each once.
pub fn used(url_pattern: &str) -> Vec<String> {
    let mut names = names(url_pattern, &ANYWHERE);
    names.sort();
    names.dedup();
    names
}

fn names(path: &str, pattern: &Regex) -> Vec<String> {
    let name = |found: regex::Captures<'_>| found.get(1).map(|name| name.as_str().to_owned());
    pattern.captures_iter(path).filter_map(name).collect()
}

/// The router's form of a path: `{id}` becomes `:id`, but only before a `?`.
pub fn router_path(path: &str, offered: &[String]) -> String {
    let (mut head, tail) = match path.split_once('?') {
        Some((head, tail)) => (head.to_owned(), Some(tail)),
        None => (path.to_owned(), None),
    };
    for name in offered {
        head = head.replace(&format!("{{{name}}}"), &format!(":{name}"));
    }
    tail.map_or_else(|| head.clone(), |tail| format!("{head}?{tail}"))
}

/// Checks `used` (sorted, unique) against `offered`. The original never counts the last used name, so most
/// mistakes are found by name and few by number (spec 2.2).
pub fn check<'a>(offered: &[String], used: &'a [String]) -> Result<(), Mismatch<'a>> {
    let is_needed = |name: &&String| !OFFERED_LATER.is_match(name);
    let counted =
        used.split_last().map_or(0, |(_, counted)| counted.iter().filter(is_needed).count());
    if counted > unique(offered).len() {
        return Err(Mismatch::TooMany);
    }
    match used.iter().filter(is_needed).find(|name| !offered.contains(name)) {
        Some(name) => Err(Mismatch::Undefined(name)),
        None => Ok(()),
    }
}

/// Sorted, each name once.
pub fn unique(names: &[String]) -> Vec<String> {
    let mut names = names.to_vec();
    names.sort();
    names.dedup();
    names
}

/// A list as Go prints it: `[a b]`.
pub struct GoList<'a>(pub &'a [String]);

impl fmt::Display for GoList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", self.0.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_strict_parameter_begins_a_segment() {
        let path = "/a/{x}/{y-z}/b{q}/{w.w}?a={x}";
        let names = offered(path, true);
        assert_eq!(names, ["x", "y-z"]);
        assert_eq!(router_path(path, &names), "/a/:x/:y-z/b{q}/{w.w}?a={x}");
    }

    #[test]
    fn without_strictness_a_parameter_stands_anywhere() {
        let names = offered("/a/b{x}.json", false);
        assert_eq!(router_path("/a/b{x}.json", &names), "/a/b:x.json");
    }

    #[test]
    fn the_last_used_name_is_not_counted() {
        assert_eq!(check(&list(&["x"]), &list(&["x", "y"])), Err(Mismatch::Undefined("y")));
        assert_eq!(check(&list(&["x"]), &list(&["x", "y", "z"])), Err(Mismatch::TooMany));
        assert_eq!(check(&list(&[]), &list(&["id"])), Err(Mismatch::Undefined("id")));
        assert_eq!(check(&list(&["x"]), &list(&["x"])), Ok(()));
    }

    #[test]
    fn answers_and_tokens_offer_names_of_their_own() {
        assert_eq!(check(&[], &list(&["JWT.sub", "resp0_a.b", "resp1_xJWT.a"])), Ok(()));
        assert_eq!(check(&[], &list(&["resp_a"])), Err(Mismatch::Undefined("resp_a")));
    }

    #[test]
    fn some_paths_are_reserved() {
        for path in ["/__health", "/__debug/x", "/__echo/{x}", "/a/__health", "/a/*rest", "/*/a"] {
            assert!(is_reserved(path), "{path}");
        }
        for path in ["/", "/a", "/__stats", "/__healthy", "/a/*", "/*"] {
            assert!(!is_reserved(path), "{path}");
        }
    }
}
