//! Feeds of any kind (RSS, RDF, Atom, JSON feed) as one tree, in the shape that mmcdole/gofeed gives them.
//!
//! The kind is told by the root element, or by an opening brace. What each kind says is put into one
//! `Feed`; its items are structs whose members keep the original's order, and leave out what is empty.

mod atom;
mod channel;
mod extension;
mod feed;
mod html;
mod json_feed;
mod moment;
mod person;
mod pull;
mod text;

use crate::json::Map;
use crate::json::xml::EncodingError;
use pull::Pull;

/// Reads a feed.
pub fn decode(body: &[u8]) -> Result<Map, EncodingError> {
    let feed = match kind(body) {
        Some(Kind::Rss) => channel::parse(&mut Pull::new(body, &mut String::new())?)?,
        Some(Kind::Atom) => atom::parse(&mut Pull::new(body, &mut String::new())?)?,
        Some(Kind::Json) => json_feed::parse(body)?,
        None => return Err(EncodingError::new("Failed to detect feed type")),
    };
    Ok(feed.into_map())
}

enum Kind {
    Rss,
    Atom,
    Json,
}

fn kind(body: &[u8]) -> Option<Kind> {
    // Blanks, and the bytes of all byte order marks, one by one.
    let is_noise = |byte: &u8| {
        matches!(byte, b' ' | b'\r' | b'\n' | b'\t' | 0xfe | 0xff | 0 | 0xef | 0xbb | 0xbf)
    };
    let start = body.iter().position(|byte| !is_noise(byte))?;
    let body = body.get(start..)?;
    match body.first()? {
        b'<' => {
            let mut text = String::new();
            let mut pull = Pull::new(body, &mut text).ok()?;
            pull.find_root().ok()?;
            match pull.name.to_lowercase().as_str() {
                "rss" | "rdf" => Some(Kind::Rss),
                "feed" => Some(Kind::Atom),
                _ => None,
            }
        }
        b'{' => serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok().then_some(Kind::Json),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
