//! Atom 1.0 and 0.3 (RFC 4287): a feed and its entries.

use super::extension::{self, Extensions};
use super::feed::{Enclosure, Feed, Item};
use super::person::Person;
use super::pull::{Event, Pull};
use super::{html, moment, text};
use crate::json::go_time::Moment;
use crate::json::xml::EncodingError;

/// A link; the first alternate one is what a client is shown.
struct Link {
    address: String,
    relation: String,
    kind: String,
    length: String,
}

/// Elements that hold an address.
const ADDRESSES: [&str; 5] = ["icon", "id", "logo", "uri", "url"];

/// Reads the document from its root on.
pub fn parse(pull: &mut Pull<'_>) -> Result<Feed, EncodingError> {
    pull.find_root()?;
    pull.expect(Event::Start, "feed")?;
    let mut feed = Feed { kind: "atom", language: pull.attribute("lang"), ..Feed::default() };
    let mut authors = Vec::new();
    let mut extensions = Extensions::new();
    while pull.next_tag()? == Event::Start {
        if extension::is_extension(pull) {
            extension::parse(&mut extensions, pull)?;
            continue;
        }
        match pull.name.to_lowercase().as_str() {
            "title" => feed.title = read_text(pull)?,
            "updated" | "modified" => feed.updated = read_text(pull)?,
            "subtitle" | "tagline" => feed.description = read_text(pull)?,
            "rights" | "copyright" => feed.copyright = read_text(pull)?,
            "logo" => {
                feed.image_url = Some(read_text(pull)?).filter(|url| !url.is_empty());
            }
            "author" => authors.push(read_person(pull, "author")?),
            "category" => feed.categories.push(read_category(pull)?),
            "entry" => feed.items.push(read_entry(pull)?),
            // Read, since they must be well-formed, and shown nowhere.
            "id" | "icon" | "generator" => drop(read_text(pull)?),
            "contributor" => drop(read_person(pull, "contributor")?),
            "link" => drop(read_link(pull)?),
            _ => pull.skip()?,
        }
    }
    pull.expect(Event::End, "feed")?;
    feed.author = authors.into_iter().next();
    Ok(feed)
}

fn read_entry(pull: &mut Pull<'_>) -> Result<Item, EncodingError> {
    pull.expect(Event::Start, "entry")?;
    let mut item = Item::default();
    let mut links = Vec::new();
    while pull.next_tag()? == Event::Start {
        if extension::is_extension(pull) {
            extension::parse(&mut item.extensions, pull)?;
        } else {
            member(&mut item, &mut links, pull)?;
        }
    }
    pull.expect(Event::End, "entry")?;
    item.author = item.authors.first().cloned();
    let alternate = links.iter().find(|link| link.relation == "alternate");
    item.link = alternate.map(|link| link.address.clone()).unwrap_or_default();
    for link in links {
        match link.relation.as_str() {
            "alternate" | "self" => item.links.push(link.address),
            "enclosure" => item.enclosures.push(Enclosure {
                url: link.address,
                length: link.length,
                kind: link.kind,
            }),
            _ => {}
        }
    }
    if item.published.is_empty() {
        item.published.clone_from(&item.updated);
    }
    item.published_parsed = item.published_parsed.or(item.updated_parsed);
    Ok(item)
}

fn member(
    item: &mut Item,
    links: &mut Vec<Link>,
    pull: &mut Pull<'_>,
) -> Result<(), EncodingError> {
    match pull.name.to_lowercase().as_str() {
        "title" => item.title = read_text(pull)?,
        "id" => item.guid = read_text(pull)?,
        "summary" => item.description = read_text(pull)?,
        "content" => item.content = read_text(pull)?,
        "updated" | "modified" => {
            item.updated = read_text(pull)?;
            item.updated_parsed = read_moment(&item.updated).or(item.updated_parsed);
        }
        "published" | "issued" => {
            item.published = read_text(pull)?;
            item.published_parsed = read_moment(&item.published).or(item.published_parsed);
        }
        "author" => item.authors.push(read_person(pull, "author")?),
        "category" => item.categories.push(read_category(pull)?),
        "link" => links.push(read_link(pull)?),
        "rights" | "copyright" => drop(read_text(pull)?),
        "contributor" => drop(read_person(pull, "contributor")?),
        // Also the source, of which nothing is shown.
        _ => pull.skip()?,
    }
    Ok(())
}

fn read_moment(text: &str) -> Option<Moment> {
    moment::parse(text).map(Moment::to_utc)
}

fn read_person(pull: &mut Pull<'_>, name: &str) -> Result<Person, EncodingError> {
    pull.expect(Event::Start, name)?;
    let mut person = Person::default();
    while pull.next_tag()? == Event::Start {
        match pull.name.to_lowercase().as_str() {
            "name" => person.name = read_text(pull)?,
            "email" => person.email = read_text(pull)?,
            "uri" | "url" | "homepage" => drop(read_text(pull)?),
            _ => pull.skip()?,
        }
    }
    pull.expect(Event::End, name)?;
    Ok(person)
}

fn read_link(pull: &mut Pull<'_>) -> Result<Link, EncodingError> {
    pull.expect(Event::Start, "link")?;
    let mut link = Link {
        address: pull.attribute("href"),
        relation: pull.attribute("rel"),
        kind: pull.attribute("type"),
        length: pull.attribute("length"),
    };
    if link.relation.is_empty() {
        "alternate".clone_into(&mut link.relation);
    }
    pull.skip()?;
    pull.expect(Event::End, "link")?;
    Ok(link)
}

fn read_category(pull: &mut Pull<'_>) -> Result<String, EncodingError> {
    pull.expect(Event::Start, "category")?;
    let term = pull.attribute("term");
    pull.skip()?;
    pull.expect(Event::End, "category")?;
    Ok(term)
}

/// An element's text by its type (RFC 4287 section 3.1): plain text, HTML as text, markup as it stands, or
/// base64 for all else.
fn read_text(pull: &mut Pull<'_>) -> Result<String, EncodingError> {
    let whole = pull.whole()?;
    let kind = whole.kind.to_lowercase();
    let content = whole.content.trim();
    let is_markup = kind == "html" || kind.contains("xhtml");
    let text = if content.contains("<![CDATA[") {
        text::without_sections(content)
    } else if kind == "text"
        || kind.starts_with("text/")
        || (kind.is_empty() && whole.mode.is_empty())
    {
        text::entities(content)
    } else if kind.contains("xhtml") {
        html::without_wrapping_div(content)
    } else if kind == "html" {
        text::entities(&html::without_wrapping_div(content))
    } else {
        text::base64(content).unwrap_or_else(|| content.to_owned())
    };
    let text = match pull.base() {
        Some(base) if is_markup => html::absolute(base, &text),
        _ => text,
    };
    Ok(if ADDRESSES.contains(&pull.name.to_lowercase().as_str()) {
        pull.resolved(&text)
    } else {
        text
    })
}
