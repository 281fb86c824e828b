//! Walks through a feed's XML tag by tag and keeps the prefixes and the base address in force.
//!
//! It follows goxpp 1.1 to the letter where feeds show it: an element read whole leaves its prefixes in
//! force, and every end tag drops the latest `xml:base`, whosesoever it was.

use std::collections::BTreeMap;

use super::html;
use crate::json::xml::{Attribute, EncodingError, Mode, Token, Tokens, XML_NAMESPACE};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    StartDocument,
    EndDocument,
    Start,
    End,
    Text,
    Other,
}

pub struct Pull<'a> {
    tokens: Tokens<'a>,
    pub event: Event,
    pub name: String,
    pub space: String,
    pub attributes: Vec<Attribute>,
    pub text: String,
    /// Prefixes by the namespace that they stand for.
    prefixes: BTreeMap<String, String>,
    /// For each start tag the prefixes that it replaced, to be put back.
    replaced: Vec<Vec<(String, Option<String>)>>,
    bases: Vec<String>,
    /// A document that has failed goes on failing.
    failure: Option<EncodingError>,
}

/// What stands in an element that is read whole: its own attributes and its raw content.
pub struct Whole<'a> {
    pub kind: String,
    pub mode: String,
    pub content: &'a str,
}

/// Attributes that hold addresses (RFC 4287).
const ADDRESSES: [&str; 4] = ["href", "scheme", "src", "uri"];

// === impl Pull ===

impl<'a> Pull<'a> {
    pub fn new(body: &[u8], text: &'a mut String) -> Result<Self, EncodingError> {
        Ok(Self {
            tokens: Tokens::new(body, text, Mode::Lenient)?,
            event: Event::StartDocument,
            name: String::new(),
            space: String::new(),
            attributes: Vec::new(),
            text: String::new(),
            prefixes: BTreeMap::new(),
            replaced: Vec::new(),
            bases: Vec::new(),
            failure: None,
        })
    }

    /// Goes to the first start tag.
    pub fn find_root(&mut self) -> Result<(), EncodingError> {
        loop {
            match self.next()? {
                Event::Start => return Ok(()),
                Event::EndDocument => {
                    return Err(EncodingError::new(
                        "Failed to find root node before document end.",
                    ));
                }
                _ => {}
            }
        }
    }

    /// Goes to the next start or end tag; addresses in attributes become absolute.
    pub fn next_tag(&mut self) -> Result<Event, EncodingError> {
        loop {
            match self.next()? {
                Event::Start => {
                    self.resolve_attributes();
                    return Ok(Event::Start);
                }
                Event::End => return Ok(Event::End),
                Event::EndDocument => {
                    return Err(EncodingError::new(
                        "Failed to find NextTag before reaching the end of the document.",
                    ));
                }
                _ => {}
            }
        }
    }

    /// Goes to the next tag or text, or to the end.
    pub fn next(&mut self) -> Result<Event, EncodingError> {
        loop {
            let event = self.any()?;
            if event != Event::Other {
                return Ok(event);
            }
        }
    }

    /// Reads an element whose start was the last event to its end.
    pub fn whole(&mut self) -> Result<Whole<'a>, EncodingError> {
        let attribute = |name: &str| {
            // Of several with one local name the last counts here.
            let found = self.attributes.iter().rev().find(|attribute| attribute.name.local == name);
            found.map(|attribute| attribute.value.clone()).unwrap_or_default()
        };
        let (kind, mode) = (attribute("type"), attribute("mode"));
        let content = self.tokens.skip_element();
        let content = self.or_fail(content)?;
        self.attributes.clear();
        self.space.clear();
        self.text.clear();
        self.event = Event::End;
        self.bases.pop();
        Ok(Whole { kind, mode, content })
    }

    /// Leaves out an element whose start was the last event.
    pub fn skip(&mut self) -> Result<(), EncodingError> {
        let mut depth = 1_usize;
        while depth > 0 {
            match self.any()? {
                Event::Start => depth += 1,
                Event::End => depth -= 1,
                _ => {}
            }
        }
        Ok(())
    }

    /// The text of an element that has nothing but text.
    pub fn next_text(&mut self) -> Result<(), EncodingError> {
        loop {
            match self.next()? {
                Event::Text => {}
                Event::End => return Ok(()),
                _ => {
                    return Err(EncodingError::new(
                        "Parser must be on EndTag or Text to read text",
                    ));
                }
            }
        }
    }

    /// The value of an attribute, whatever its namespace; empty without one.
    pub fn attribute(&self, name: &str) -> String {
        let found = self.attributes.iter().find(|attribute| attribute.name.local == name);
        found.map(|attribute| attribute.value.clone()).unwrap_or_default()
    }

    pub fn expect(&self, event: Event, name: &str) -> Result<(), EncodingError> {
        if self.event == event && (name == "*" || self.name.to_lowercase() == name.to_lowercase()) {
            return Ok(());
        }
        Err(EncodingError::new(format!(
            "Expected Space:* Name:{name} Event:{} but got Space:{} Name:{} Event:{} at offset: {}",
            event_name(event),
            self.space,
            self.name,
            event_name(self.event),
            self.tokens.position()
        )))
    }

    /// The prefix by which the document calls a namespace.
    pub fn prefix(&self, space: &str) -> Option<&str> {
        self.prefixes.get(space).map(String::as_str)
    }

    /// The address that relative ones begin at.
    pub fn base(&self) -> Option<&str> {
        self.bases.last().map(String::as_str)
    }

    /// An address made absolute with the base in force; as it is where there is none.
    pub fn resolved(&self, address: &str) -> String {
        match self.base() {
            Some(base) => html::resolve(base, address),
            None => address.to_owned(),
        }
    }

    fn resolve_attributes(&mut self) {
        let Some(base) = self.bases.last() else { return };
        for attribute in &mut self.attributes {
            if ADDRESSES.contains(&attribute.name.local.to_lowercase().as_str()) {
                attribute.value = html::resolve(base, &attribute.value);
            }
        }
    }

    fn any(&mut self) -> Result<Event, EncodingError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        self.attributes.clear();
        self.name.clear();
        self.space.clear();
        self.text.clear();
        let token = self.tokens.token();
        self.event = match self.or_fail(token)? {
            None => Event::EndDocument,
            Some(Token::Start(name, attributes)) => {
                self.name = name.local;
                self.space = name.space;
                self.attributes = attributes;
                self.enter();
                Event::Start
            }
            Some(Token::End(name)) => {
                self.name = name.local;
                self.put_prefixes_back();
                self.bases.pop();
                Event::End
            }
            Some(Token::Text(text)) => {
                self.text.push_str(&text);
                Event::Text
            }
            Some(Token::Other) => Event::Other,
        };
        Ok(self.event)
    }

    /// Takes note of the prefixes and the base that a start tag declares.
    fn enter(&mut self) {
        let mut replaced = Vec::new();
        for attribute in &self.attributes {
            let prefix = match (attribute.name.space.as_str(), attribute.name.local.as_str()) {
                ("xmlns", prefix) => prefix.to_lowercase(),
                (_, "xmlns") => String::new(),
                _ => continue,
            };
            let space = attribute.value.trim().to_owned();
            replaced.push((space.clone(), self.prefixes.insert(space, prefix)));
        }
        self.replaced.push(replaced);
        let base = self
            .attributes
            .iter()
            .find(|attribute| {
                attribute.name.local == "base" && attribute.name.space == XML_NAMESPACE
            })
            .filter(|attribute| !attribute.value.is_empty());
        if let Some(base) = base {
            let base = match self.bases.last() {
                Some(outer) => html::resolve(outer, &base.value),
                None => base.value.clone(),
            };
            self.bases.push(base);
        }
    }

    fn put_prefixes_back(&mut self) {
        for (space, before) in self.replaced.pop().into_iter().flatten().rev() {
            match before {
                Some(prefix) => self.prefixes.insert(space, prefix),
                None => self.prefixes.remove(&space),
            };
        }
    }

    fn or_fail<T>(&mut self, result: Result<T, EncodingError>) -> Result<T, EncodingError> {
        if let Err(error) = &result {
            self.failure = Some(error.clone());
        }
        result
    }
}

fn event_name(event: Event) -> &'static str {
    match event {
        Event::StartDocument => "StartDocument",
        Event::EndDocument => "EndDocument",
        Event::Start => "StartTag",
        Event::End => "EndTag",
        Event::Text => "Text",
        Event::Other => "Comment",
    }
}
