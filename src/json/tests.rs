//! Tests of the folder as a whole: recorded cases, the public JSON test suite, random documents against a simple model.

mod model;
mod random;
mod replay;
mod suite;

pub(super) use random::Random;

use super::{Decoder, Document};

/// Decodes a body that must be good.
pub(super) fn decoded(body: &str) -> Document {
    Decoder::Json.decode(body.into(), false).unwrap_or_else(|error| panic!("{error}: {body}"))
}

/// What the document is written as.
pub(super) fn written(document: &Document) -> String {
    let mut out = Vec::new();
    document.write_json(&mut out);
    String::from_utf8(out).expect("JSON that is not UTF-8")
}

/// What it means, whatever the order of keys.
pub(super) fn meaning(json: &str) -> serde_json::Value {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"))
}
