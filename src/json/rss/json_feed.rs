//! JSON feed (version 1.1): any JSON object is one, an empty one when none of the members is known.

use serde_json::Value as Json;

use super::feed::{Enclosure, Feed, Item};
use super::moment;
use super::person::Person;
use crate::json::xml::EncodingError;

type Object = serde_json::Map<String, Json>;

/// Members that are texts, in feeds, items, authors and attachments; others are free to be what they are.
const FEED_TEXTS: [&str; 10] = [
    "version",
    "title",
    "home_page_url",
    "feed_url",
    "description",
    "user_comment",
    "next_url",
    "icon",
    "favicon",
    "language",
];
const ITEM_TEXTS: [&str; 12] = [
    "id",
    "url",
    "external_url",
    "title",
    "content_html",
    "content_text",
    "summary",
    "image",
    "banner_image",
    "date_published",
    "date_modified",
    "language",
];
const AUTHOR_TEXTS: [&str; 3] = ["name", "url", "avatar"];
const ATTACHMENT_TEXTS: [&str; 3] = ["url", "mime_type", "title"];

/// An object of which the known members have the right type.
struct Checked<'j>(Vec<(String, &'j Json)>);

/// Reads a document that is known to be well-formed and to begin with a brace.
pub fn parse(body: &[u8]) -> Result<Feed, EncodingError> {
    let json: Json =
        serde_json::from_slice(body).map_err(|error| EncodingError::new(error.to_string()))?;
    let document = Checked::object("Feed", &json, &FEED_TEXTS)?;
    if document.get("expired").is_some_and(|expired| !expired.is_boolean()) {
        return Err(wrong("Feed", "expired"));
    }
    let author = document.person("Feed", "author")?;
    document.people("Feed", "authors")?;
    let items = document.list("Feed", "items")?;
    let read = items.iter().map(read_item).collect::<Result<Vec<Item>, _>>()?;
    Ok(Feed {
        kind: "json",
        title: document.text("title"),
        description: document.text("description"),
        language: document.text("language"),
        image_url: Some(document.text("icon")).filter(|icon| !icon.is_empty()),
        // The feed is as old as its first item.
        updated: read.first().map(|item| item.updated.clone()).unwrap_or_default(),
        published: read.first().map(|item| item.published.clone()).unwrap_or_default(),
        author,
        items: read,
        ..Feed::default()
    })
}

fn read_item(json: &Json) -> Result<Item, EncodingError> {
    let item = Checked::object("Item", json, &ITEM_TEXTS)?;
    let author = item.person("Item", "author")?;
    let authors = item.people("Item", "authors")?;
    let either = |first: &str, second: &str| {
        Some(item.text(first)).filter(|text| !text.is_empty()).unwrap_or_else(|| item.text(second))
    };
    let (updated, published) = (item.text("date_modified"), item.text("date_published"));
    Ok(Item {
        title: item.text("title"),
        description: item.text("summary"),
        content: either("content_html", "content_text"),
        link: item.text("url"),
        links: [item.text("url"), item.text("external_url")]
            .into_iter()
            .filter(|url| !url.is_empty())
            .collect(),
        updated_parsed: moment::parse(&updated),
        published_parsed: moment::parse(&published),
        updated,
        published,
        authors: authors.unwrap_or_else(|| author.iter().cloned().collect()),
        author,
        guid: item.text("id"),
        image_url: Some(either("image", "banner_image")).filter(|url| !url.is_empty()),
        categories: item.tags()?,
        enclosures: item
            .list("Item", "attachments")?
            .iter()
            .map(attachment)
            .collect::<Result<_, _>>()?,
        ..Item::default()
    })
}

/// The length is how long it lasts, not how large it is: the original's mix-up.
fn attachment(json: &Json) -> Result<Enclosure, EncodingError> {
    if json.is_null() {
        return Ok(Enclosure { url: String::new(), length: "0".into(), kind: String::new() });
    }
    let attachment = Checked::object("Attachments", json, &ATTACHMENT_TEXTS)?;
    attachment.integer("size_in_bytes")?;
    let seconds = attachment.integer("duration_in_seconds")?;
    Ok(Enclosure {
        url: attachment.text("url"),
        length: seconds.to_string(),
        kind: attachment.text("mime_type"),
    })
}

// === impl Checked ===

impl<'j> Checked<'j> {
    fn object(kind: &str, json: &'j Json, texts: &[&str]) -> Result<Self, EncodingError> {
        let members: &Object = json.as_object().ok_or_else(|| wrong(kind, ""))?;
        // Names count in any case.
        let object =
            Self(members.iter().map(|(name, value)| (name.to_lowercase(), value)).collect());
        match texts.iter().find(|name| object.get(name).is_some_and(|value| !value.is_string())) {
            Some(name) => Err(wrong(kind, name)),
            None => Ok(object),
        }
    }

    /// The last member of a name; null is as good as nothing.
    fn get(&self, name: &str) -> Option<&'j Json> {
        let member = self.0.iter().rev().find(|(known, _)| known == name);
        member.map(|(_, value)| *value).filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> String {
        self.get(name).and_then(Json::as_str).unwrap_or_default().to_owned()
    }

    fn integer(&self, name: &str) -> Result<i64, EncodingError> {
        match self.get(name) {
            Some(value) => value.as_i64().ok_or_else(|| wrong("Attachments", name)),
            None => Ok(0),
        }
    }

    fn list(&self, kind: &str, name: &str) -> Result<&'j [Json], EncodingError> {
        match self.get(name) {
            Some(value) => value.as_array().map(Vec::as_slice).ok_or_else(|| wrong(kind, name)),
            None => Ok(&[]),
        }
    }

    fn person(&self, kind: &str, name: &str) -> Result<Option<Person>, EncodingError> {
        let Some(json) = self.get(name) else { return Ok(None) };
        if !json.is_object() {
            return Err(wrong(kind, name));
        }
        let author = Checked::object("Author", json, &AUTHOR_TEXTS)?;
        Ok(Some(Person::parse(&author.text("name"))))
    }

    fn people(&self, kind: &str, name: &str) -> Result<Option<Vec<Person>>, EncodingError> {
        if self.get(name).is_none() {
            return Ok(None);
        }
        let read = |json| {
            let author = Checked::object("Author", json, &AUTHOR_TEXTS)?;
            Ok(Person::parse(&author.text("name")))
        };
        self.list(kind, name)?.iter().map(read).collect::<Result<_, _>>().map(Some)
    }

    fn tags(&self) -> Result<Vec<String>, EncodingError> {
        let text = |tag: &Json| match tag {
            Json::Null => Ok(String::new()),
            Json::String(text) => Ok(text.clone()),
            _ => Err(wrong("Item", "tags")),
        };
        self.list("Item", "tags")?.iter().map(text).collect()
    }
}

fn wrong(kind: &str, name: &str) -> EncodingError {
    EncodingError::new(format!("json.{kind}.{name}: unexpected type of value"))
}
