//! An XML document as a tree: the root's name is the only key, attributes are keys with a hyphen, elements
//! that repeat become a list, every value is text.
//!
//! The rules are those of mxj 2.7 (`NewMapXmlReader`): text is trimmed, of several pieces the last one
//! counts, except that one which stands before the first child goes before those behind it; what follows
//! the root is never read.

use super::EncodingError;
use super::token::{Attribute, Mode, Token, Tokens};
use crate::json::{Map, Value};

/// Blanks that are cut off round a text: the original's list, which has the backspace in it.
const BLANKS: [char; 5] = ['\t', '\r', '\u{8}', '\n', ' '];

const TEXT: &str = "#text";

/// Reads the first element of `body` and all that is in it.
pub fn decode(body: &[u8]) -> Result<Map, EncodingError> {
    read(body).map_err(|error| EncodingError {
        message: if error.message == EOF {
            error.message
        } else {
            format!("xml.Decoder.Token() - {}", error.message)
        },
    })
}

/// What an answer without any element is called.
const EOF: &str = "EOF";

/// An element that is being read.
struct Element {
    name: String,
    /// Text of an element that has had neither attribute nor child so far.
    text: Option<String>,
    members: Map,
}

fn read(body: &[u8]) -> Result<Map, EncodingError> {
    let mut text = String::new();
    let mut tokens = Tokens::new(body, &mut text, Mode::Strict)?;
    let mut open: Vec<Element> = Vec::new();
    while let Some(token) = tokens.token()? {
        match token {
            Token::Start(name, attributes) => open.push(Element::new(name.local, attributes)),
            Token::Text(text) => {
                if let Some(element) = open.last_mut() {
                    element.add_text(text.trim_matches(BLANKS));
                }
            }
            Token::End(_) => {
                let Some(element) = open.pop() else { continue };
                let (name, value) = element.finish();
                match open.last_mut() {
                    Some(parent) => add_child(&mut parent.members, name, value),
                    None => return Ok(Map::from([(name, value)])),
                }
            }
            Token::Other => {}
        }
    }
    Err(EncodingError::new(EOF))
}

// === impl Element ===

impl Element {
    fn new(name: String, attributes: Vec<Attribute>) -> Self {
        let members = attributes
            .into_iter()
            .map(|attribute| (format!("-{}", attribute.name.local), Value::String(attribute.value)))
            .collect();
        Self { name, text: None, members }
    }

    fn add_text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if self.members.is_empty() {
            self.text = Some(text.to_owned());
        } else {
            self.members.insert(TEXT.to_owned(), Value::String(text.to_owned()));
        }
    }

    fn finish(mut self) -> (String, Value) {
        let value = match self.text {
            Some(text) if self.members.is_empty() => Value::String(text),
            None if self.members.is_empty() => Value::String(String::new()),
            text => {
                if let Some(text) = text {
                    self.members.insert(TEXT.to_owned(), Value::String(text));
                }
                Value::Object(self.members)
            }
        };
        (self.name, value)
    }
}

/// Adds a child; a second one of its name makes both a list.
fn add_child(members: &mut Map, name: String, value: Value) {
    match members.get_mut(&name) {
        None => drop(members.insert(name, value)),
        Some(Value::Array(list)) => list.push(value),
        Some(single) => {
            let first = std::mem::replace(single, Value::Null);
            *single = Value::Array(vec![first, value]);
        }
    }
}

#[cfg(test)]
mod tests;
