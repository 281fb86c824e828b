//! Which encoding an answer gets: the endpoint's `output_encoding`, what a client accepts, the content type.

use crate::json::{Map, Value};
use crate::json::{xml, yaml};

/// How an endpoint writes its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Render {
    Json,
    /// Only what stands under `collection`.
    JsonCollection,
    /// Only the text that stands under `content`.
    Text,
    Xml,
    Yaml,
    /// Each request's `Accept` decides.
    Negotiate,
    /// The answer of the only backend as it is.
    NoOp,
}

/// What is offered to clients, in this order.
const OFFERS: [(&[u8], Render); 4] = [
    (b"application/json", Render::Json),
    (b"text/plain", Render::Yaml),
    (b"application/xml", Render::Xml),
    (b"application/x-yaml", Render::Yaml),
];

// === impl Render ===

impl Render {
    /// The render that an endpoint asks for. A name that is none (also one in capitals) means the render
    /// named like the encoding of its only backend, else JSON.
    #[must_use]
    pub fn named(output_encoding: &str, sole_backend_encoding: Option<&str>) -> Self {
        Self::exactly(output_encoding)
            .or_else(|| sole_backend_encoding.and_then(Self::exactly))
            .unwrap_or(Self::Json)
    }

    fn exactly(name: &str) -> Option<Self> {
        Some(match name {
            "json" => Self::Json,
            "json-collection" => Self::JsonCollection,
            "string" => Self::Text,
            "xml" => Self::Xml,
            "yaml" => Self::Yaml,
            "negotiate" => Self::Negotiate,
            "no-op" => Self::NoOp,
            _ => return None,
        })
    }

    /// The render for a request's (first) `Accept`: the first entry that fits an offer wins, whatever its
    /// quality. An entry fits when it is equal up to its end or up to a star, so `text/*` and
    /// `application/x` fit, too.
    #[must_use]
    pub fn negotiate(accept: Option<&[u8]>) -> Self {
        accept
            .unwrap_or_default()
            .split(|byte| *byte == b',')
            .map(media_type)
            .filter(|accepted| !accepted.is_empty())
            .find_map(|accepted| OFFERS.iter().find(|(offer, _)| fits(accepted, offer)))
            .map_or(Self::Json, |(_, render)| *render)
    }

    /// The content type of what this render writes; nothing where the answer brings its own or none is
    /// known yet.
    #[must_use]
    pub fn content_type(self) -> Option<&'static str> {
        match self {
            Self::Json | Self::JsonCollection => Some("application/json; charset=utf-8"),
            Self::Text => Some("text/plain; charset=utf-8"),
            Self::Xml => Some("application/xml"),
            Self::Yaml => Some("application/yaml; charset=utf-8"),
            Self::Negotiate | Self::NoOp => None,
        }
    }

    /// Whether the content type replaces one that an earlier step has set.
    #[must_use]
    pub fn overrides_content_type(self) -> bool {
        self == Self::Xml
    }

    /// Writes text, XML or YAML. The JSON renders have a writer of their own, the others write no tree.
    pub fn render_map(self, data: Option<&Map>, out: &mut Vec<u8>) {
        match self {
            Self::Text => out.extend_from_slice(content(data).as_bytes()),
            Self::Xml => xml::encode(data, out),
            Self::Yaml => yaml::encode(data, out),
            Self::Json | Self::JsonCollection | Self::Negotiate | Self::NoOp => {
                debug_assert!(false, "{self:?} does not write a tree here");
            }
        }
    }
}

/// What the `json-collection` render writes; nothing means an empty list.
#[must_use]
pub fn collection(data: Option<&Map>) -> Option<&Value> {
    data?.get("collection")
}

fn content(data: Option<&Map>) -> &str {
    match data.and_then(|data| data.get("content")) {
        Some(Value::String(text)) => text,
        _ => "",
    }
}

/// An entry of `Accept` without its parameters.
fn media_type(entry: &[u8]) -> &[u8] {
    match memchr::memchr(b';', entry) {
        Some(end) if end > 0 => entry.get(..end).unwrap_or(entry),
        _ => entry,
    }
    .trim_ascii()
}

fn fits(accepted: &[u8], offer: &[u8]) -> bool {
    match accepted
        .iter()
        .zip(offer)
        .find(|(accepted, offer)| **accepted == b'*' || accepted != offer)
    {
        Some((accepted, _)) => *accepted == b'*',
        None => accepted.len() <= offer.len(),
    }
}

#[cfg(test)]
mod tests;
