//! What can go wrong with a body; the texts are those a client may see with `return_error_msg`, so they are Go's.

use std::fmt;

use crate::json::xml::EncodingError;

/// Why a body could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Nothing but blanks.
    Empty,
    /// The body ended within a value, or the connection before the end of the body.
    EndedEarly,
    Syntax(SyntaxError),
    /// Well-formed, but of the wrong kind: a list where an object must be, or the reverse.
    WrongKind {
        found: &'static str,
        wanted: &'static str,
    },
    /// More bytes than a document can address.
    TooLarge,
    /// XML or a feed that its own decoder refused.
    Unreadable(EncodingError),
}

/// A byte that the JSON grammar does not allow where it stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    pub byte: u8,
    pub context: &'static str,
}

/// What is said of a container that is one level too deep.
pub(super) const TOO_DEEP: &str = "exceeded max depth";
/// What is said of a byte behind the document, where none may be.
pub(super) const TRAILING: &str = "after top-level value";

/// Why a document could not be changed as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EditError {
    /// A flatmap operation lacks arguments. The original finds out on each request, and so do we.
    TooFewArguments { operation: &'static str },
}

// === impl DecodeError ===

impl DecodeError {
    /// The document is nested more deeply than is allowed.
    pub fn is_too_deep(&self) -> bool {
        matches!(self, Self::Syntax(SyntaxError { context: TOO_DEEP, .. }))
    }

    /// Something follows the document.
    pub fn is_trailing(&self) -> bool {
        matches!(self, Self::Syntax(SyntaxError { context: TRAILING, .. }))
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("EOF"),
            Self::EndedEarly => f.write_str("unexpected EOF"),
            Self::Syntax(error) => error.fmt(f),
            Self::WrongKind { found, wanted } => {
                write!(f, "json: cannot unmarshal {found} into Go value of type {wanted}")
            }
            Self::TooLarge => f.write_str("body too large"),
            Self::Unreadable(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for DecodeError {}

impl From<SyntaxError> for DecodeError {
    fn from(error: SyntaxError) -> Self {
        Self::Syntax(error)
    }
}

impl From<EncodingError> for DecodeError {
    fn from(error: EncodingError) -> Self {
        Self::Unreadable(error)
    }
}

// === impl SyntaxError ===

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid character '")?;
        write_quoted(self.byte, f)?;
        write!(f, "' {}", self.context)
    }
}

impl std::error::Error for SyntaxError {}

/// The byte as Go quotes a character: it reads the byte as a code point, so 0xEF shows as `ï`.
fn write_quoted(byte: u8, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match byte {
        0x07 => f.write_str(r"\a"),
        0x08 => f.write_str(r"\b"),
        0x09 => f.write_str(r"\t"),
        0x0a => f.write_str(r"\n"),
        0x0b => f.write_str(r"\v"),
        0x0c => f.write_str(r"\f"),
        0x0d => f.write_str(r"\r"),
        b'\'' => f.write_str(r"\'"),
        b'\\' => f.write_str(r"\\"),
        0x00..=0x1f | 0x7f => write!(f, r"\x{byte:02x}"),
        // C1 controls, the no-break space and the soft hyphen are not printable for Go.
        0x80..=0xa0 | 0xad => write!(f, r"\u{byte:04x}"),
        _ => write!(f, "{}", char::from(byte)),
    }
}

// === impl EditError ===

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFewArguments { operation } => {
                write!(f, "flatmap {operation} needs two arguments")
            }
        }
    }
}

impl std::error::Error for EditError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_byte_is_quoted_as_go_quotes_it() {
        let text = |byte| SyntaxError { byte, context: "in string literal" }.to_string();
        assert_eq!(text(b'\n'), r"invalid character '\n' in string literal");
        assert_eq!(text(b'\''), r"invalid character '\'' in string literal");
        assert_eq!(text(b'"'), r#"invalid character '"' in string literal"#);
        assert_eq!(text(0x01), r"invalid character '\x01' in string literal");
        assert_eq!(text(0xef), "invalid character 'ï' in string literal");
        assert_eq!(text(0x85), r"invalid character '\u0085' in string literal");
    }

    #[test]
    fn a_list_in_place_of_an_object_is_told_in_the_words_of_the_original() {
        let error = DecodeError::WrongKind { found: "array", wanted: "map[string]interface {}" };
        assert_eq!(
            error.to_string(),
            "json: cannot unmarshal array into Go value of type map[string]interface {}"
        );
    }
}
