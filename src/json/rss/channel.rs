//! RSS of every version, RDF included: a channel and its items.

use super::extension::{self, Extensions};
use super::feed::{Enclosure, Feed, Item};
use super::moment;
use super::person::Person;
use super::pull::{Event, Pull};
use super::text;
use crate::json::xml::EncodingError;

/// A channel as it is read, before Dublin Core and iTunes fill its gaps.
#[derive(Default)]
struct Channel {
    title: String,
    description: String,
    language: String,
    copyright: String,
    managing_editor: String,
    web_master: String,
    published: String,
    last_build: String,
    image_url: Option<String>,
    categories: Vec<String>,
    items: Vec<Item>,
    extensions: Extensions,
}

/// An item as it is read.
#[derive(Default)]
struct Entry {
    item: Item,
    author: String,
}

/// Reads the document from its root on.
pub fn parse(pull: &mut Pull<'_>) -> Result<Feed, EncodingError> {
    pull.find_root()?;
    root(pull, Event::Start)?;
    let mut channel = Channel::default();
    // RDF has its items and its image beside the channel.
    let mut items = Vec::new();
    let mut image_url = None;
    while pull.next_tag()? == Event::Start {
        if extension::is_extension(pull) {
            // A failure shows at the next tag.
            let _ = pull.skip();
            continue;
        }
        match pull.name.to_lowercase().as_str() {
            "channel" => channel = read_channel(pull)?,
            "item" => items.push(read_item(pull)?),
            "image" => image_url = Some(read_image(pull)?),
            "textinput" => text_input(pull)?,
            _ => drop(pull.skip()),
        }
    }
    root(pull, Event::End)?;
    channel.items.append(&mut items);
    channel.image_url = image_url.or(channel.image_url);
    Ok(channel.into_feed())
}

fn root(pull: &Pull<'_>, event: Event) -> Result<(), EncodingError> {
    let (Err(rss), Err(rdf)) = (pull.expect(event, "rss"), pull.expect(event, "rdf")) else {
        return Ok(());
    };
    Err(EncodingError::new(format!("{rss} or {rdf}")))
}

// === impl Channel ===

impl Channel {
    fn into_feed(self) -> Feed {
        let dublin_core = self.extensions.get("dc");
        let itunes = self.extensions.get("itunes");
        let author = [&self.managing_editor, &self.web_master]
            .into_iter()
            .find(|text| !text.is_empty())
            .cloned();
        let mut categories = self.categories;
        categories.extend(keywords(&self.extensions));
        categories.extend(extension::itunes_categories(itunes));
        categories.extend(extension::texts(dublin_core, "subject"));
        Feed {
            kind: "rss",
            author: author
                .or_else(|| extension_author(&self.extensions))
                .map(|text| Person::parse(&text)),
            image_url: self.image_url.or_else(|| extension::itunes_image(itunes)),
            title: or_dublin_core(self.title, &self.extensions, "title"),
            updated: or_dublin_core(self.last_build, &self.extensions, "date"),
            language: or_dublin_core(self.language, &self.extensions, "language"),
            copyright: or_dublin_core(self.copyright, &self.extensions, "rights"),
            description: self.description,
            published: self.published,
            categories,
            items: self.items,
        }
    }
}

// === impl Entry ===

impl Entry {
    fn into_item(self) -> Item {
        let mut item = self.item;
        let extensions = std::mem::take(&mut item.extensions);
        let date = extension::first(extensions.get("dc"), "date");
        if item.published_parsed.is_none() {
            item.published_parsed = date.as_deref().and_then(moment::parse);
        }
        item.published = or_dublin_core(item.published, &extensions, "date");
        item.title = or_dublin_core(item.title, &extensions, "title");
        item.description = or_dublin_core(item.description, &extensions, "description");
        let author =
            if self.author.is_empty() { extension_author(&extensions) } else { Some(self.author) };
        item.author = author.map(|text| Person::parse(&text));
        item.authors = item.author.iter().cloned().collect();
        item.image_url = extension::itunes_image(extensions.get("itunes"));
        item.categories.extend(keywords(&extensions));
        item.categories.extend(extension::texts(extensions.get("dc"), "subject"));
        item.has_known_extensions = true;
        item.extensions = extensions;
        item
    }
}

fn or_dublin_core(text: String, extensions: &Extensions, name: &str) -> String {
    if text.is_empty() {
        extension::first(extensions.get("dc"), name).unwrap_or_default()
    } else {
        text
    }
}

/// The author whom the extensions name; an empty one in Dublin Core counts.
fn extension_author(extensions: &Extensions) -> Option<String> {
    let dublin_core = extensions.get("dc");
    extension::first(dublin_core, "author")
        .or_else(|| extension::first(dublin_core, "creator"))
        .or_else(|| {
            extension::first(extensions.get("itunes"), "author").filter(|author| !author.is_empty())
        })
}

/// The keywords of iTunes, parted by commas and not trimmed.
fn keywords(extensions: &Extensions) -> Vec<String> {
    let keywords =
        extension::first(extensions.get("itunes"), "keywords").filter(|text| !text.is_empty());
    keywords.map(|text| text.split(',').map(str::to_owned).collect()).unwrap_or_default()
}

fn read_channel(pull: &mut Pull<'_>) -> Result<Channel, EncodingError> {
    pull.expect(Event::Start, "channel")?;
    let mut channel = Channel::default();
    while pull.next_tag()? == Event::Start {
        if extension::is_extension(pull) {
            extension::parse(&mut channel.extensions, pull)?;
            continue;
        }
        match pull.name.to_lowercase().as_str() {
            "title" => channel.title = read_text(pull)?,
            "description" => channel.description = read_text(pull)?,
            "language" => channel.language = read_text(pull)?,
            "copyright" => channel.copyright = read_text(pull)?,
            "managingeditor" => channel.managing_editor = read_text(pull)?,
            "webmaster" => channel.web_master = read_text(pull)?,
            "pubdate" => channel.published = read_text(pull)?,
            "lastbuilddate" => channel.last_build = read_text(pull)?,
            // Read, since they must be well-formed, and shown nowhere.
            "link" | "generator" | "docs" | "ttl" | "rating" => drop(read_text(pull)?),
            "skiphours" => texts_within(pull, "skiphours", &["hour"])?,
            "skipdays" => texts_within(pull, "skipdays", &["day"])?,
            "textinput" => text_input(pull)?,
            "cloud" => cloud(pull)?,
            "category" => channel.categories.push(read_text(pull)?),
            "image" => channel.image_url = Some(read_image(pull)?),
            "item" => channel.items.push(read_item(pull)?),
            _ => drop(pull.skip()),
        }
    }
    pull.expect(Event::End, "channel")?;
    Ok(channel)
}

fn read_item(pull: &mut Pull<'_>) -> Result<Item, EncodingError> {
    pull.expect(Event::Start, "item")?;
    let mut entry = Entry::default();
    while pull.next_tag()? == Event::Start {
        if extension::is_extension(pull) {
            extension::parse(&mut entry.item.extensions, pull)?;
        } else {
            member(&mut entry, pull)?;
        }
    }
    pull.expect(Event::End, "item")?;
    Ok(entry.into_item())
}

fn member(entry: &mut Entry, pull: &mut Pull<'_>) -> Result<(), EncodingError> {
    let item = &mut entry.item;
    match pull.name.to_lowercase().as_str() {
        "title" => item.title = read_text(pull)?,
        "description" => item.description = read_text(pull)?,
        // Without the right namespace its end tag will end the item, and so the reading.
        "encoded" => {
            if pull.prefix(pull.space.trim()) == Some("content") {
                item.content = read_text(pull)?;
            }
        }
        "link" => {
            let address = pull.attribute("href");
            let text = read_text(pull)?;
            item.link = if text.is_empty() { address } else { text };
            item.links.push(item.link.clone());
        }
        "author" => entry.author = read_text(pull)?,
        "pubdate" => {
            item.published = read_text(pull)?;
            let parsed = moment::parse(&item.published).map(crate::json::go_time::Moment::to_utc);
            item.published_parsed = parsed.or(item.published_parsed);
        }
        "comments" | "source" => drop(read_text(pull)?),
        "enclosure" => {
            let enclosure = Enclosure {
                url: pull.attribute("url"),
                length: pull.attribute("length"),
                kind: pull.attribute("type"),
            };
            pull.next_text()?;
            pull.expect(Event::End, "enclosure")?;
            item.enclosures.push(enclosure);
        }
        "guid" => item.guid = read_text(pull)?,
        "category" => item.categories.push(read_text(pull)?),
        _ => {
            // A failure shows at the next tag.
            if let Ok(text) = read_text(pull) {
                item.custom.insert(pull.name.clone(), text);
            }
        }
    }
    Ok(())
}

fn read_text(pull: &mut Pull<'_>) -> Result<String, EncodingError> {
    Ok(text::plain(pull.whole()?.content))
}

fn read_image(pull: &mut Pull<'_>) -> Result<String, EncodingError> {
    pull.expect(Event::Start, "image")?;
    let mut url = String::new();
    while pull.next_tag()? == Event::Start {
        match pull.name.to_lowercase().as_str() {
            "url" => url = read_text(pull)?,
            "title" | "link" | "width" | "height" | "description" => drop(read_text(pull)?),
            _ => drop(pull.skip()),
        }
    }
    pull.expect(Event::End, "image")?;
    Ok(url)
}

fn text_input(pull: &mut Pull<'_>) -> Result<(), EncodingError> {
    texts_within(pull, "textinput", &["title", "description", "name", "link"])
}

/// Reads an element of which nothing is kept.
fn texts_within(pull: &mut Pull<'_>, name: &str, texts: &[&str]) -> Result<(), EncodingError> {
    pull.expect(Event::Start, name)?;
    while pull.next_tag()? == Event::Start {
        if texts.contains(&pull.name.to_lowercase().as_str()) {
            read_text(pull)?;
        } else {
            let _ = pull.skip();
        }
    }
    pull.expect(Event::End, name)
}

/// A cloud has attributes only.
fn cloud(pull: &mut Pull<'_>) -> Result<(), EncodingError> {
    pull.expect(Event::Start, "cloud")?;
    let _ = pull.next_tag();
    pull.expect(Event::End, "cloud")
}
