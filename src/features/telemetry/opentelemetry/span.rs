//! `SpanRecord`: a span as a core notes it. What the plan knows of it is added when it is exported.

use std::borrow::Cow;

use crate::stage::ids::{BackendId, EndpointId};
use crate::stage::watch::{SpanId, Timed};

pub struct SpanRecord {
    pub place: Place,
    pub trace_id: [u8; 16],
    pub span: SpanId,
    /// 0: the trace begins here.
    pub parent: SpanId,
    pub timed: Timed,
    /// Only where the place has none.
    pub name: Box<str>,
    pub attributes: Attributes,
    pub status: SpanStatus,
    pub state: Box<str>,
}

/// Which layer a span is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Global(Option<EndpointId>),
    Proxy(EndpointId),
    Backend(BackendId),
    Exchange(BackendId),
    Read(BackendId),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    Text(Box<str>),
    Texts(Vec<Box<str>>),
    Number(i64),
    Float(f64),
    Flag(bool),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpanStatus {
    Unset,
    Good,
    /// With what went wrong.
    Error(Box<str>),
}

pub type Attributes = Vec<(Cow<'static, str>, Attribute)>;

// === impl Attribute ===

impl Attribute {
    pub fn text(bytes: &[u8]) -> Attribute {
        Attribute::Text(String::from_utf8_lossy(bytes).into())
    }

    pub fn count(count: u64) -> Attribute {
        Attribute::Number(i64::try_from(count).unwrap_or(i64::MAX))
    }

    #[expect(clippy::cast_precision_loss, reason = "a duration in seconds is no exact number")]
    pub fn seconds(ns: u64) -> Attribute {
        Attribute::Float(ns as f64 / 1e9)
    }
}

/// Adds header lines as `<prefix><name>`, save those that are to be left out.
pub fn push_headers<'h>(
    attributes: &mut Attributes,
    prefix: &str,
    headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
    skipped: &[String],
) {
    for (name, value) in headers {
        if skipped.iter().any(|skipped| skipped.as_bytes().eq_ignore_ascii_case(name)) {
            continue;
        }
        let key = format!("{prefix}{}", String::from_utf8_lossy(name).to_ascii_lowercase());
        let value: Box<str> = String::from_utf8_lossy(value).into();
        match attributes.iter_mut().find(|(known, _)| *known == key) {
            Some((_, Attribute::Texts(values))) => values.push(value),
            _ => attributes.push((Cow::Owned(key), Attribute::Texts(vec![value]))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_become_lists_save_what_is_left_out() {
        let lines: [(&[u8], &[u8]); 4] =
            [(b"Accept", b"a"), (b"Cookie", b"secret"), (b"accept", b"b"), (b"X-Y", b"\xff")];
        let mut attributes = Attributes::new();
        push_headers(&mut attributes, "h.", lines.into_iter(), &["cookie".to_owned()]);
        assert_eq!(attributes.len(), 2);
        assert_eq!(attributes[0].0, "h.accept");
        assert_eq!(attributes[0].1, Attribute::Texts(vec!["a".into(), "b".into()]));
        assert_eq!(attributes[1].1, Attribute::Texts(vec!["\u{fffd}".into()]));
    }
}
