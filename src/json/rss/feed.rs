//! What all kinds of feeds are turned into, and the tree that becomes of it.

use std::collections::BTreeMap;

use super::extension::{self, Extension, Extensions};
use super::person::Person;
use crate::json::go_time::Moment;
use crate::json::{Map, Value};

#[derive(Default)]
pub struct Feed {
    pub kind: &'static str,
    pub title: String,
    pub description: String,
    pub updated: String,
    pub published: String,
    pub author: Option<Person>,
    pub language: String,
    pub image_url: Option<String>,
    pub copyright: String,
    pub categories: Vec<String>,
    pub items: Vec<Item>,
}

#[derive(Default)]
pub struct Item {
    pub title: String,
    pub description: String,
    pub content: String,
    pub link: String,
    pub links: Vec<String>,
    pub updated: String,
    pub updated_parsed: Option<Moment>,
    pub published: String,
    pub published_parsed: Option<Moment>,
    pub author: Option<Person>,
    pub authors: Vec<Person>,
    pub guid: String,
    pub image_url: Option<String>,
    pub categories: Vec<String>,
    pub enclosures: Vec<Enclosure>,
    /// Present where a feed has any extension elements at all.
    pub extensions: Extensions,
    /// Dublin Core and iTunes elements once more, in a shape of their own (RSS only).
    pub has_known_extensions: bool,
    pub custom: BTreeMap<String, String>,
}

pub struct Enclosure {
    pub url: String,
    pub length: String,
    pub kind: String,
}

/// A struct that leaves out its empty members.
#[derive(Default)]
pub struct Members(Vec<(&'static str, Value)>);

// === impl Feed ===

impl Feed {
    pub fn into_map(self) -> Map {
        let mut map = Map::from(
            [
                ("author", self.author.map_or(Value::Null, Person::into_value)),
                ("categories", Value::Typed(Box::new(texts(self.categories)))),
                ("copyright", Value::String(self.copyright)),
                // The original's parsers never fill it.
                ("custom", Value::Typed(Box::new(Value::Object(Map::new())))),
                ("description", Value::String(self.description)),
                ("items", Value::Array(self.items.into_iter().map(Item::into_value).collect())),
                ("language", Value::String(self.language)),
                ("published", Value::String(self.published)),
                ("title", Value::String(self.title)),
                ("type", Value::String(self.kind.to_owned())),
                ("updated", Value::String(self.updated)),
            ]
            .map(|(key, value)| (key.to_owned(), value)),
        );
        if let Some(url) = self.image_url {
            map.insert("img_url".to_owned(), Value::String(url));
        }
        map
    }
}

// === impl Item ===

impl Item {
    fn into_value(self) -> Value {
        let mut members = Members::default();
        members.text("title", self.title);
        members.text("description", self.description);
        members.text("content", self.content);
        members.text("link", self.link);
        members.texts("links", self.links);
        members.text("updated", self.updated);
        members.moment("updatedParsed", self.updated_parsed);
        members.text("published", self.published);
        members.moment("publishedParsed", self.published_parsed);
        members.value("author", self.author.map(Person::into_value));
        members.list("authors", self.authors.into_iter().map(Person::into_value).collect());
        members.text("guid", self.guid);
        members.value("image", self.image_url.map(image));
        members.texts("categories", self.categories);
        members
            .list("enclosures", self.enclosures.into_iter().map(Enclosure::into_value).collect());
        if self.has_known_extensions {
            members.value("dcExt", self.extensions.get("dc").map(extension::dublin_core));
            members.value("itunesExt", self.extensions.get("itunes").map(extension::itunes_item));
        }
        if !self.extensions.is_empty() {
            members.value("extensions", Some(by_prefix(self.extensions)));
        }
        if !self.custom.is_empty() {
            members.value("custom", Some(attributes(self.custom)));
        }
        members.finish()
    }
}

// === impl Enclosure ===

impl Enclosure {
    fn into_value(self) -> Value {
        let mut members = Members::default();
        members.text("url", self.url);
        members.text("length", self.length);
        members.text("type", self.kind);
        members.finish()
    }
}

// === impl Members ===

impl Members {
    pub fn text(&mut self, name: &'static str, text: String) {
        if !text.is_empty() {
            self.0.push((name, Value::String(text)));
        }
    }

    pub fn texts(&mut self, name: &'static str, list: Vec<String>) {
        if !list.is_empty() {
            self.0.push((name, texts(list)));
        }
    }

    pub fn list(&mut self, name: &'static str, list: Vec<Value>) {
        if !list.is_empty() {
            self.0.push((name, Value::Array(list)));
        }
    }

    pub fn value(&mut self, name: &'static str, value: Option<Value>) {
        self.0.extend(value.map(|value| (name, value)));
    }

    pub fn finish(self) -> Value {
        Value::Struct(self.0)
    }

    fn moment(&mut self, name: &'static str, moment: Option<Moment>) {
        self.value(name, moment.and_then(|moment| moment.rfc3339()).map(Value::String));
    }
}

fn image(url: String) -> Value {
    let mut members = Members::default();
    members.text("url", url);
    members.finish()
}

fn texts(list: Vec<String>) -> Value {
    Value::Array(list.into_iter().map(Value::String).collect())
}

fn attributes(attributes: BTreeMap<String, String>) -> Value {
    Value::Object(attributes.into_iter().map(|(key, text)| (key, Value::String(text))).collect())
}

fn by_prefix(extensions: Extensions) -> Value {
    Value::Object(
        extensions.into_iter().map(|(prefix, elements)| (prefix, by_name(elements))).collect(),
    )
}

fn by_name(elements: BTreeMap<String, Vec<Extension>>) -> Value {
    let list = |list: Vec<Extension>| Value::Array(list.into_iter().map(extension_value).collect());
    Value::Object(elements.into_iter().map(|(name, elements)| (name, list(elements))).collect())
}

/// An element of another namespace with all that is in it; it leaves out nothing.
fn extension_value(extension: Extension) -> Value {
    Value::Struct(vec![
        ("name", Value::String(extension.name)),
        ("value", Value::String(extension.value)),
        ("attrs", attributes(extension.attributes)),
        ("children", by_name(extension.children)),
    ])
}
