//! `Returned`: the answer of an upstream, as modifiers see and change it before it is judged.

use aws_lc_rs::rand;

use super::cookie;
use super::outgoing::failure;
use super::ranges::{self, Cut};
use super::rule::{Name, NameKind};
use crate::stage::{Answer, Failure};
use crate::wire::{Body, HeaderBlock};

/// An answer while its modifiers run.
pub struct Returned<'a> {
    answer: &'a mut Answer,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
}

// === impl Returned ===

impl<'a> Returned<'a> {
    pub fn new(answer: &'a mut Answer) -> Returned<'a> {
        let line = |(name, value): (&[u8], &[u8])| (name.to_vec(), value.to_vec());
        let headers = answer.headers.iter().map(line).collect();
        Returned { answer, headers }
    }

    /// Puts the headers back.
    pub fn finish(self) {
        let mut block = HeaderBlock::default();
        for (name, value) in &self.headers {
            block.push(name, value);
        }
        self.answer.headers = block;
    }

    pub fn set_status(&mut self, status: u16) {
        self.answer.status = status;
    }

    /// The length that the upstream announced, or what is known of a body that is here.
    fn length(&self) -> Option<u64> {
        match &self.answer.body {
            Some(Body::Upstream(response)) => response.length_left(),
            Some(Body::Bytes(bytes)) => Some(bytes.len() as u64),
            Some(Body::Static(bytes)) => Some(bytes.len() as u64),
            Some(Body::Empty) | None => Some(0),
            Some(Body::Unpacked(_)) => None,
        }
    }

    pub fn get(&self, name: &Name) -> Vec<u8> {
        match name.kind {
            NameKind::Host | NameKind::Framing => Vec::new(),
            NameKind::Length => {
                self.length().map_or(Vec::new(), |length| length.to_string().into_bytes())
            }
            NameKind::Plain => {
                let found = self.headers.iter().find(|(known, _)| name.is(known));
                found.map_or(Vec::new(), |(_, value)| value.clone())
            }
        }
    }

    pub fn has(&self, name: &Name, value: &[u8]) -> bool {
        match name.kind {
            NameKind::Host | NameKind::Framing => false,
            NameKind::Length => {
                let length = self.length().filter(|length| *length > 0);
                length.is_some_and(|length| length.to_string().as_bytes() == value)
            }
            NameKind::Plain => {
                self.headers.iter().any(|(known, has)| name.is(known) && has == value)
            }
        }
    }

    pub fn set(&mut self, name: &Name, value: Vec<u8>) {
        if name.kind == NameKind::Plain {
            self.remove(name);
            self.headers.push((name.text.to_vec(), value));
        }
    }

    pub fn append(&mut self, name: &Name, value: Vec<u8>) -> Result<(), Failure> {
        match name.kind {
            NameKind::Length if self.length().is_some_and(|length| length > 0) => {
                return Err(failure("proxyutil: illegal header multiple: Content-Length"));
            }
            NameKind::Plain => self.headers.push((name.text.to_vec(), value)),
            _ => {}
        }
        Ok(())
    }

    pub fn remove(&mut self, name: &Name) {
        if name.kind == NameKind::Plain {
            self.headers.retain(|(known, _)| !name.is(known));
        }
    }

    pub fn has_cookie(&self, name: &[u8], value: &[u8]) -> bool {
        let lines = Name::new("Set-Cookie");
        let cookies = self.headers.iter().filter(|(known, _)| lines.is(known));
        cookies
            .filter_map(|(_, line)| cookie::of_answer(line))
            .any(|(known, has)| known == name && (value.is_empty() || has == value))
    }

    /// Takes a new body, or of it what `range` asks for.
    pub fn replace_body(
        &mut self,
        content_type: &[u8],
        body: Vec<u8>,
        range: &[u8],
    ) -> Result<(), Failure> {
        self.set(&Name::new("Content-Type"), content_type.to_vec());
        self.answer.body = Some(Body::Empty);
        if range.is_empty() {
            self.answer.body = Some(Body::Bytes(body));
            return Ok(());
        }
        let bytes = match ranges::cut(range, body.len()).map_err(failure)? {
            Cut::Unsatisfiable => {
                self.answer.status = 416;
                return Ok(());
            }
            Cut::One(first, last) => {
                let range = ranges::content_range(first, last, body.len());
                self.set(&Name::new("Content-Range"), range.into_bytes());
                body.get(first..=last).unwrap_or_default().to_vec()
            }
            Cut::Several(parts) => {
                let boundary = boundary()?;
                let content = ranges::multipart(&parts, &body, content_type, &boundary);
                let content_type = format!("multipart/byteranges; boundary={boundary}");
                self.set(&Name::new("Content-Type"), content_type.into_bytes());
                content
            }
        };
        self.answer.status = 206;
        self.answer.body = Some(Body::Bytes(bytes));
        Ok(())
    }
}

fn boundary() -> Result<String, Failure> {
    let mut bytes = [0; 30];
    rand::fill(&mut bytes).map_err(|_| failure("the system gives no random numbers"))?;
    let hex = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    Ok(hex.filter_map(|digit| char::from_digit(digit.into(), 16)).collect())
}

/// A new identifier (RFC 9562, section 5.4).
pub fn uuid() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| failure("the system gives no random numbers"))?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let number = u128::from_be_bytes(bytes);
    let hex = format!("{number:032x}");
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
    let parts = [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)];
    Ok(parts.join("-"))
}
