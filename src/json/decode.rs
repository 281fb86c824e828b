//! `encoding`: from the bytes an upstream sent to a document (spec 2.15).

use crate::json::document::Document;
use crate::json::error::{DecodeError, SyntaxError, TRAILING};
use crate::json::scan::{DEPTH_MAX, Kind, ScanError, Scanned, is_blank, scan};
use crate::json::text::{mended, mended_bytes};
use crate::json::value::{Map, Value};
use crate::json::{rss, xml};

/// Where lists go, and any XML when `is_collection` is set.
const COLLECTION: &str = "collection";
/// Where texts and bare scalars go.
const CONTENT: &str = "content";

const OBJECT_TYPE: &str = "map[string]interface {}";
const LIST_TYPE: &str = "[]interface {}";

/// How a backend's answers are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoder {
    /// An object, or null.
    Json,
    /// A list, or null.
    JsonCollection,
    /// Any JSON value.
    Safe,
    Text,
    Xml,
    XmlCollection,
    Rss,
    /// Nothing is read; the data is an empty object.
    NoOp,
}

/// What JSON must keep to beside its grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonRules {
    /// Objects and lists within each other; at most 10,000.
    pub depth_max: usize,
    /// Nothing but blanks may follow the document.
    pub refuses_trailing: bool,
}

/// A body whose first value is known to be well-formed and valid Unicode.
struct Checked {
    body: Vec<u8>,
    document: Document,
    scanned: Scanned,
}

// === impl JsonRules ===

impl Default for JsonRules {
    /// What Go's decoder does, which reads one value and looks no further.
    fn default() -> Self {
        Self { depth_max: DEPTH_MAX, refuses_trailing: false }
    }
}

// === impl Decoder ===

impl Decoder {
    /// Upper and lower case are the same, an unknown name is JSON.
    #[must_use]
    pub fn named(encoding: &str, is_collection: bool) -> Self {
        match (encoding.to_ascii_lowercase().as_str(), is_collection) {
            ("safejson", _) => Self::Safe,
            ("string", _) => Self::Text,
            ("xml", false) => Self::Xml,
            ("xml", true) => Self::XmlCollection,
            ("rss", _) => Self::Rss,
            ("no-op", _) => Self::NoOp,
            (_, false) => Self::Json,
            (_, true) => Self::JsonCollection,
        }
    }

    /// `is_truncated`: the connection ended before the body did. JSON that is complete by then still counts.
    ///
    /// # Errors
    /// The body is not what the encoding says.
    pub fn decode(self, body: Vec<u8>, is_truncated: bool) -> Result<Document, DecodeError> {
        self.decode_by(JsonRules::default(), body, is_truncated)
    }

    /// The same by other rules for JSON.
    ///
    /// # Errors
    /// The body is not what the encoding says, or breaks a rule.
    pub fn decode_by(
        self,
        rules: JsonRules,
        body: Vec<u8>,
        is_truncated: bool,
    ) -> Result<Document, DecodeError> {
        match self {
            Self::Json => object(Checked::new(body, is_truncated, rules)?),
            Self::JsonCollection => list(Checked::new(body, is_truncated, rules)?),
            Self::Safe => Ok(any(Checked::new(body, is_truncated, rules)?)),
            Self::Text => text(body, is_truncated),
            Self::Xml => Ok(Document::from_map(tree(xml::decode, &body, is_truncated)?)),
            Self::XmlCollection => {
                // No filter enters it: the original's XML decoder has a map type of its own.
                let root = Value::Object(tree(xml::decode, &body, is_truncated)?);
                let root = Value::Typed(Box::new(root));
                Ok(Document::from_map(Map::from([(COLLECTION.to_owned(), root)])))
            }
            // The feed reader wants all of the body before it looks at any.
            Self::Rss if is_truncated => Err(DecodeError::EndedEarly),
            Self::Rss => Ok(Document::from_map(tree(rss::decode, &body, false)?)),
            Self::NoOp => Ok(Document::empty()),
        }
    }
}

fn object(checked: Checked) -> Result<Document, DecodeError> {
    match checked.scanned.kind {
        Kind::Object => Ok(checked.into_document()),
        Kind::Null => Ok(Document::null()),
        kind => Err(DecodeError::WrongKind { found: go_name(kind), wanted: OBJECT_TYPE }),
    }
}

fn list(checked: Checked) -> Result<Document, DecodeError> {
    match checked.scanned.kind {
        Kind::Array | Kind::Null => Ok(checked.under(COLLECTION)),
        kind => Err(DecodeError::WrongKind { found: go_name(kind), wanted: LIST_TYPE }),
    }
}

fn any(checked: Checked) -> Document {
    match checked.scanned.kind {
        Kind::Object => checked.into_document(),
        Kind::Array => checked.under(COLLECTION),
        _ => checked.under(CONTENT),
    }
}

fn text(body: Vec<u8>, is_truncated: bool) -> Result<Document, DecodeError> {
    if is_truncated {
        return Err(DecodeError::EndedEarly);
    }
    let body = mended_bytes(&body).unwrap_or(body);
    let text = String::from_utf8(body).unwrap_or_default();
    Ok(Document::from_map(Map::from([(CONTENT.to_owned(), Value::String(text))])))
}

/// XML is read only as far as its root goes, so a lost end matters only if the root is not complete.
fn tree<E: Into<DecodeError>>(
    decode: fn(&[u8]) -> Result<Map, E>,
    body: &[u8],
    is_truncated: bool,
) -> Result<Map, DecodeError> {
    decode(body).map_err(|error| if is_truncated { DecodeError::EndedEarly } else { error.into() })
}

/// A kind of value as Go's errors call it.
fn go_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Object => "object",
        Kind::Array => "array",
        Kind::String => "string",
        Kind::Number => "number",
        Kind::Bool => "bool",
        Kind::Null => "null",
    }
}

// === impl Checked ===

impl Checked {
    fn new(body: Vec<u8>, is_truncated: bool, rules: JsonRules) -> Result<Self, DecodeError> {
        if u32::try_from(body.len()).is_err() {
            return Err(DecodeError::TooLarge);
        }
        let (mut document, scanned) = scanned(&body, is_truncated, rules.depth_max)?;
        if rules.refuses_trailing {
            refuse_trailing(body.get(scanned.end..).unwrap_or_default())?;
        }
        let value = body.get(scanned.start..scanned.end).unwrap_or_default();
        let Some(body) = mended(value, scanned.has_wide, scanned.has_surrogates) else {
            return Ok(Self { body, document, scanned });
        };
        let scanned;
        (document, scanned) = self::scanned(&body, false, rules.depth_max)?;
        Ok(Self { body, document, scanned })
    }

    fn into_document(self) -> Document {
        let mut document = self.document;
        document.bodies.push(self.body);
        document
    }

    /// The value as the only member of an object.
    #[allow(clippy::cast_possible_truncation)]
    fn under(self, name: &str) -> Document {
        let Scanned { start, end, .. } = self.scanned;
        Document::wrapping(name, self.body, start as u32, end as u32)
    }
}

/// Only blanks may stand in `rest`; mostly it is empty or a line end.
fn refuse_trailing(rest: &[u8]) -> Result<(), DecodeError> {
    match rest.iter().find(|&&byte| !is_blank(byte)) {
        None => Ok(()),
        Some(&byte) => Err(SyntaxError { byte, context: TRAILING }.into()),
    }
}

/// A document that still lacks its body.
fn scanned(
    body: &[u8],
    is_truncated: bool,
    depth_max: usize,
) -> Result<(Document, Scanned), DecodeError> {
    let mut document = Document::with_room();
    let members = document.members.get_or_insert_default();
    match scan(body, 0, 0, depth_max, members) {
        // The end of a number or word shows only in what follows; Go wants to see that for every scalar.
        Ok((scanned, _))
            if is_truncated
                && scanned.end == body.len()
                && !matches!(scanned.kind, Kind::Object | Kind::Array) =>
        {
            Err(DecodeError::EndedEarly)
        }
        Ok((scanned, has_repeats)) => {
            document.whole = (!has_repeats).then(|| scanned.span());
            Ok((document, scanned))
        }
        Err(ScanError::Ended) if !is_truncated && body.iter().all(|&byte| is_blank(byte)) => {
            Err(DecodeError::Empty)
        }
        Err(ScanError::Ended) => Err(DecodeError::EndedEarly),
        Err(ScanError::Syntax(error)) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
