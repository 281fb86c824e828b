//! Keys that nobody reads: which they are, and what the user may have meant.

use super::problem::{Place, Problem};
use super::source::{Node, NodeValue};

/// Names of earlier versions, and of other levels, that people still write.
const FORMER: &[(&str, &str)] = &[
    ("whitelist", "allow"),
    ("blacklist", "deny"),
    ("querystring_params", "input_query_strings"),
    ("headers_to_pass", "input_headers"),
    ("encoding", "output_encoding"),
    ("output_encoding", "encoding"),
    ("hosts", "host"),
    ("backends", "backend"),
    ("path", "endpoint"),
    ("url", "url_pattern"),
    ("async_agents", "async_agent"),
];

/// Where the keys of the three levels belong.
const HOMES: &[(&str, &str)] = &[
    ("url_pattern", "a backend"),
    ("allow", "a backend"),
    ("deny", "a backend"),
    ("mapping", "a backend"),
    ("group", "a backend"),
    ("target", "a backend"),
    ("is_collection", "a backend"),
    ("sd", "a backend"),
    ("disable_host_sanitize", "a backend"),
    ("encoding", "a backend"),
    ("backend", "an endpoint"),
    ("endpoint", "an endpoint"),
    ("concurrent_calls", "an endpoint"),
    ("input_headers", "an endpoint or a backend"),
    ("input_query_strings", "an endpoint or a backend"),
    ("method", "an endpoint or a backend"),
    ("host", "the root or a backend"),
    ("output_encoding", "the root or an endpoint"),
    ("cache_ttl", "the root or an endpoint"),
    ("timeout", "the root or an endpoint"),
    ("port", "the root"),
    ("tls", "the root"),
    ("client_tls", "the root"),
];

/// The warning for a key that none of `known` is; `None` for keys that are meant as remarks.
pub fn unknown(key: &str, known: &[&str], place: Place) -> Option<Problem> {
    if key.starts_with(['@', '_', '$', '#']) || key.eq_ignore_ascii_case("comment") {
        return None;
    }
    let problem = Problem::warn(place, format!("unknown key {key:?}: it has no effect"));
    let lower = key.to_ascii_lowercase();
    Some(match guess(&lower, known) {
        Some(meant) => problem.hint(format!("did you mean {meant:?}?")),
        None => match HOMES.iter().find(|(name, _)| *name == lower) {
            Some((_, home)) => problem.hint(format!("{key:?} belongs to {home}")),
            None => problem,
        },
    })
}

fn guess<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    let mut renamed = FORMER.iter().filter(|(former, _)| *former == key);
    if let Some(name) = renamed.find_map(|(_, name)| known.iter().find(|known| *known == name)) {
        return Some(name);
    }
    nearest(key, known)
}

/// The name that was meant, when it is near enough.
pub fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    // One slip for short keys, up to a third of the letters for long ones.
    let slips_max = (key.chars().count() / 3).clamp(1, 3);
    let key = key.to_lowercase();
    let distances = known.iter().map(|name| (distance(&key, &name.to_lowercase()), *name));
    distances.min().filter(|(slips, _)| *slips <= slips_max).map(|(_, name)| name)
}

/// How many letters must be added, removed, changed or swapped with their neighbour (optimal string alignment).
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) =
        (from.chars().take(64).collect(), to.chars().take(64).collect());
    let mut before_last = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let mut cost = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                let swapped: &Vec<usize> = &before_last;
                cost = cost.min(swapped[j - 1] + 1);
            }
            row.push(cost);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

/// Warns of every key that an object holds twice; the readers let the last one count.
pub fn duplicates(node: &Node, place: &Place, problems: &mut Vec<Problem>) {
    match &node.value {
        NodeValue::Map(entries) => {
            // As many comparisons as the largest object squared would be slow, so names are sorted first.
            let mut sorted: Vec<_> = entries.iter().collect();
            sorted.sort_by(|a, b| a.key.cmp(&b.key));
            for pair in sorted.windows(2).filter(|pair| pair[0].key == pair[1].key) {
                let at = place.key(&pair[0].key).at(pair[0].line, pair[0].column);
                let what = format!(
                    "key {:?} is written twice; the one of line {} counts",
                    pair[0].key, pair[1].line
                );
                problems.push(Problem::warn(at, what));
            }
            for entry in entries {
                duplicates(&entry.value, &place.key(&entry.key), problems);
            }
        }
        NodeValue::List(list) => {
            for (index, node) in list.iter().enumerate() {
                duplicates(node, &place.index(index), problems);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(key: &str, known: &[&str]) -> Option<String> {
        unknown(key, known, Place::default()).and_then(|problem| problem.hint)
    }

    #[test]
    fn slips_are_recognised() {
        let known =
            ["endpoint", "method", "backend", "timeout", "output_encoding", "input_headers", "sd"];
        assert_eq!(hint("endpiont", &known).as_deref(), Some("did you mean \"endpoint\"?"));
        assert_eq!(hint("Metod", &known).as_deref(), Some("did you mean \"method\"?"));
        assert_eq!(
            hint("headers_to_pass", &known).as_deref(),
            Some("did you mean \"input_headers\"?")
        );
        assert_eq!(hint("encoding", &known).as_deref(), Some("did you mean \"output_encoding\"?"));
        assert_eq!(
            hint("url_pattern", &known).as_deref(),
            Some("\"url_pattern\" belongs to a backend")
        );
        assert_eq!(hint("owner", &known), None);
    }

    #[test]
    fn remarks_are_left_alone() {
        for key in ["$schema", "@comment", "_note", "#note", "comment", "Comment"] {
            assert_eq!(unknown(key, &["commend"], Place::default()), None);
        }
    }

    #[test]
    fn distances_count_swaps_once() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abcd", "acbd"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
