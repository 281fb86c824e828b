//! The list of differences (`docs/differences.md`) as data: which option each of its rows is about.

use std::fmt;

/// The page itself, so that it and the command cannot disagree.
const PAGE: &str = include_str!("../../../docs/differences.md");

/// One row of the page.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    subject: &'static str,
    there: &'static str,
    here: &'static str,
    /// Keys or namespaces: the names that the subject begins to speak of.
    names: Vec<&'static str>,
}

/// Rows that name an option.
pub fn all() -> Vec<Difference> {
    PAGE.lines().filter_map(row).collect()
}

fn row(line: &'static str) -> Option<Difference> {
    let mut cells = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ");
    let (subject, there, here) = (cells.next()?, cells.next()?, cells.next()?);
    let names = names(subject);
    (!names.is_empty()).then_some(Difference { subject, there, here, names })
}

/// The first name in backticks and those that follow it after commas. A row about the lack of an option names none.
fn names(subject: &'static str) -> Vec<&'static str> {
    let pieces: Vec<&str> = subject.split('`').collect();
    let mut names = Vec::new();
    // Every second piece stands in backticks.
    for index in (1..pieces.len()).step_by(2) {
        let before = pieces[index - 1];
        let is_next = names.is_empty() && !before.ends_with("without ") || before == ", ";
        if !is_next {
            break;
        }
        names.push(pieces[index]);
    }
    names.retain(|name| name.bytes().all(is_name_byte));
    names
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-/".contains(&byte)
}

// === impl Difference ===

impl Difference {
    /// Whether the row is about this key, or about this whole block.
    pub fn is_about(&self, name: &str) -> bool {
        self.names.contains(&name)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} - KrakenD: {}; Shoal: {}", self.subject, self.there, self.here)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_about_what_they_name_first() {
        assert_eq!(
            names("`qos/http-cache` without `max_items` and `max_size`"),
            ["qos/http-cache"]
        );
        assert_eq!(names("`num_shards`, `cleanup_period` of rate limits").len(), 2);
        assert_eq!(names("a limit, or anything else behind `auth/signer`"), ["auth/signer"]);
        assert!(names("keys without `cache`").is_empty());
        assert!(names("`HTTP_PROXY`, `HTTPS_PROXY`").is_empty());
        assert!(names("nested JSON").is_empty());
    }

    #[test]
    fn the_page_is_read() {
        let all = all();
        assert!(all.len() > 10, "{}", all.len());
        assert!(all.iter().any(|row| row.is_about("concurrent_calls")));
        assert!(all.iter().all(|row| !row.here.is_empty()));
    }
}
