//! The check that refuses path parameters which still hold an escape, `?` or `#` after decoding.
//!
//! Such a value would mean something else in the url of a backend, so the client gets 400 (specification 2.3, point 6).

use std::fmt;

use super::path::{self, BadEscape};

/// Why a parameter's value is refused; its text is the body of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadParameter {
    Escape(BadEscape),
    Encoded,
}

impl fmt::Display for BadParameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Escape(bad) => write!(f, "error: {bad}"),
            Self::Encoded => f.write_str("error: encoded url params"),
        }
    }
}

impl std::error::Error for BadParameter {}

/// Checks one decoded value.
///
/// # Errors
/// A value that is encoded a second time, or seems to be, or holds `?` or `#`.
pub fn check(value: &[u8]) -> Result<(), BadParameter> {
    if memchr::memchr3(b'%', b'?', b'#', value).is_none() {
        return Ok(());
    }
    path::check_escapes(value).map_err(BadParameter::Escape)?;
    Err(BadParameter::Encoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> String {
        check(value.as_bytes()).map_or_else(|bad| bad.to_string(), |()| "fine".into())
    }

    #[test]
    fn a_value_without_reserved_bytes_passes() {
        for value in ["", "abc", "a b", "caf\u{e9}", "a+b", "a!b$c'd(e)*,;:@&=", "..", "{{.Id}}"] {
            assert_eq!(text(value), "fine", "{value}");
        }
    }

    #[test]
    fn a_value_that_is_still_encoded_or_holds_a_delimiter_is_refused() {
        for value in ["a%20b", "%2F", "a?b", "a#b", "%3f", "?%41"] {
            assert_eq!(text(value), "error: encoded url params", "{value}");
        }
    }

    #[test]
    fn a_broken_escape_is_named_with_at_most_three_bytes() {
        assert_eq!(text("100%"), "error: invalid URL escape \"%\"");
        assert_eq!(text("%z"), "error: invalid URL escape \"%z\"");
        assert_eq!(text("?%zzz"), "error: invalid URL escape \"%zz\"");
        assert_eq!(text("%41%\""), "error: invalid URL escape \"%\\\"\"");
        assert_eq!(text("%\u{20ac}"), "error: invalid URL escape \"%\\xe2\\x82\"");
    }
}
