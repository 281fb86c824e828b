//! Cuts an XML document into tokens as Go's `encoding/xml` does: the same documents are accepted, the same
//! mistakes forgiven.
//!
//! quick-xml finds where tags, comments and sections begin and end; what Go adds on top is done here: names
//! and characters are checked, text is one piece with its entities resolved, end tags must match, prefixes
//! become namespaces. In the lenient mode, which feeds are read in, unknown entities stay as they are,
//! attributes need no quotes, and a wrong end tag closes what is open.

use std::borrow::Cow;
use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::errors::{IllFormedError, SyntaxError};
use quick_xml::events::attributes::{AttrError, Attributes};
use quick_xml::events::{BytesDecl, Event};

use super::{DEPTH_MAX, EncodingError};

/// The namespace that the prefix `xml` always stands for.
pub const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";

/// A name and the namespace it is in: the prefix itself where no namespace is declared for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Name {
    pub space: String,
    pub local: String,
}

#[derive(Clone, Debug)]
pub struct Attribute {
    pub name: Name,
    pub value: String,
}

#[derive(Debug)]
pub enum Token<'a> {
    Start(Name, Vec<Attribute>),
    End(Name),
    Text(Cow<'a, str>),
    /// Comments, processing instructions, directives.
    Other,
}

/// How strictly a document is read.
#[derive(Clone, Copy, PartialEq)]
pub enum Mode {
    Strict,
    Lenient,
}

pub struct Tokens<'a> {
    source: &'a str,
    /// The document goes on, but not in UTF-8.
    is_cut_off: bool,
    mode: Mode,
    reader: Reader<&'a [u8]>,
    /// Elements that are open, with their names as written and the namespaces that they hid.
    open: Vec<Open>,
    spaces: BTreeMap<String, String>,
    /// An end tag that is still to be given: of an empty element, or one that closed another on its way.
    to_close: Option<Name>,
}

struct Open {
    name: Name,
    hidden: Vec<(String, Option<String>)>,
}

// === impl Tokens ===

impl<'a> Tokens<'a> {
    /// `body` may be in any charset that its declaration names; `text` is where it lies in UTF-8.
    pub fn new(body: &[u8], text: &'a mut String, mode: Mode) -> Result<Self, EncodingError> {
        let is_cut_off = to_text(body, text)?;
        let source: &'a str = text;
        let mut reader = Reader::from_str(source);
        let config = reader.config_mut();
        config.check_end_names = false;
        config.allow_unmatched_ends = true;
        config.allow_dangling_amp = true;
        config.check_comments = true;
        Ok(Self {
            source,
            is_cut_off,
            mode,
            reader,
            open: Vec::new(),
            spaces: BTreeMap::new(),
            to_close: None,
        })
    }

    /// How far the document has been read, in bytes.
    pub fn position(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX).min(self.source.len())
    }

    /// A stretch of the document as it was written.
    pub fn raw(&self, from: usize, to: usize) -> &'a str {
        self.source.get(from..to).unwrap_or_default()
    }

    /// The next token; nothing at the end of the document.
    pub fn token(&mut self) -> Result<Option<Token<'a>>, EncodingError> {
        if let Some(name) = self.to_close.take() {
            return self.end(name).map(Some);
        }
        let start = self.position();
        let event = self.reader.read_event().map_err(|error| self.reader_error(&error))?;
        match event {
            Event::Start(tag) => self.start(tag.attributes_raw(), tag.name().0, false).map(Some),
            Event::Empty(tag) => self.start(tag.attributes_raw(), tag.name().0, true).map(Some),
            Event::End(tag) => {
                let name = self.end_name(tag.name().0)?;
                self.end(name).map(Some)
            }
            Event::Text(_) | Event::GeneralRef(_) => self.text(start).map(Some),
            Event::CData(_) => {
                let raw = self
                    .raw(start + "<![CDATA[".len(), self.position().saturating_sub("]]>".len()));
                self.characters(line_feeds(raw)).map(|text| Some(Token::Text(text)))
            }
            Event::PI(instruction) if !is_name(leading_name(instruction.target())) => {
                Err(self.syntax_error("expected target name after <?"))
            }
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) | Event::DocType(_) => {
                Ok(Some(Token::Other))
            }
            Event::Eof if self.is_cut_off => Err(self.syntax_error("invalid UTF-8")),
            Event::Eof if self.open.is_empty() => Ok(None),
            Event::Eof => Err(self.syntax_error("unexpected EOF")),
        }
    }

    /// Reads to the end of the element whose start was the last token; the answer is what stood in it.
    pub fn skip_element(&mut self) -> Result<&'a str, EncodingError> {
        let start = self.position();
        let mut depth = 1_usize;
        loop {
            let before = self.position();
            match self.token()? {
                Some(Token::Start(..)) => depth += 1,
                Some(Token::End(_)) => depth -= 1,
                Some(_) => {}
                None => return Err(self.syntax_error("unexpected EOF")),
            }
            if depth == 0 {
                return Ok(self.raw(start, before));
            }
        }
    }

    fn start(
        &mut self,
        attributes: &str,
        name: &str,
        is_empty: bool,
    ) -> Result<Token<'a>, EncodingError> {
        let name = self.name(name, "expected element name after <")?;
        let mut attributes = self.attributes(attributes)?;
        if self.open.len() >= DEPTH_MAX {
            return Err(EncodingError::new(format!(
                "xml: more than {DEPTH_MAX} elements within each other"
            )));
        }
        let mut hidden = Vec::new();
        for attribute in &attributes {
            let prefix = match (attribute.name.space.as_str(), attribute.name.local.as_str()) {
                ("xmlns", prefix) => prefix,
                ("", "xmlns") => "",
                _ => continue,
            };
            let before = self.spaces.insert(prefix.to_owned(), attribute.value.clone());
            hidden.push((prefix.to_owned(), before));
        }
        self.open.push(Open { name: name.clone(), hidden });
        for attribute in &mut attributes {
            if !matches!(attribute.name.space.as_str(), "" | "xmlns") {
                attribute.name = self.translated(std::mem::take(&mut attribute.name));
            }
        }
        let translated = self.translated(name.clone());
        if is_empty {
            self.to_close = Some(name);
        }
        Ok(Token::Start(translated, attributes))
    }

    fn end(&mut self, name: Name) -> Result<Token<'a>, EncodingError> {
        let Some(open) = self.open.pop() else {
            return Err(self.syntax_error(&format!("unexpected end element </{}>", name.local)));
        };
        if open.name.local != name.local {
            if self.mode == Mode::Lenient {
                // The open element ends here, and the end tag is looked at again. Its namespaces are
                // left as they are and so is its name: Go forgets both.
                self.to_close = Some(name);
                return Ok(Token::End(open.name));
            }
            let (open, closed) = (open.name.local, name.local);
            return Err(self.syntax_error(&format!("element <{open}> closed by </{closed}>")));
        }
        if open.name.space != name.space {
            let space = if name.space.is_empty() { "\"\"" } else { &name.space };
            return Err(self.syntax_error(&format!(
                "element <{}> in space {} closed by </{}> in space {space}",
                open.name.local, open.name.space, name.local
            )));
        }
        let translated = self.translated(name);
        for (prefix, before) in open.hidden.into_iter().rev() {
            match before {
                Some(space) => self.spaces.insert(prefix, space),
                None => self.spaces.remove(&prefix),
            };
        }
        Ok(Token::End(translated))
    }

    fn end_name(&self, name: &str) -> Result<Name, EncodingError> {
        let blank = name.find([' ', '\t', '\r', '\n']).unwrap_or(name.len());
        let (name, rest) = name.split_at(blank);
        if !rest.trim_ascii().is_empty() {
            return Err(self.syntax_error(&format!("invalid characters between </{name} and >")));
        }
        self.name(name, "expected element name after </")
    }

    fn attributes(&self, text: &str) -> Result<Vec<Attribute>, EncodingError> {
        let mut found = match self.mode {
            Mode::Strict => Attributes::new(text, 0),
            Mode::Lenient => Attributes::html(text, 0),
        };
        let mut attributes = Vec::new();
        for attribute in found.with_checks(false) {
            let attribute = attribute.map_err(|error| self.attribute_error(&error))?;
            let name = self.name(attribute.key.0, "expected attribute name in element")?;
            let raw = &*attribute.value;
            if raw.contains('<') {
                return Err(self.syntax_error("unescaped < inside quoted string"));
            }
            let value = match quoting(text, attribute.key.0) {
                Quoting::Quoted => self.resolved(raw)?.into_owned(),
                Quoting::Bare if raw.bytes().all(is_bare_byte) => raw.to_owned(),
                Quoting::Bare => {
                    return Err(self.syntax_error("expected attribute name in element"));
                }
                // An attribute without a value has its own name for one.
                Quoting::NoValue => name.local.clone(),
            };
            attributes.push(Attribute { name, value });
        }
        Ok(attributes)
    }

    /// Splits and checks a name; `missing` tells what a name that is none is called.
    fn name(&self, text: &str, missing: &str) -> Result<Name, EncodingError> {
        if !is_name(text) {
            let begins_well =
                text.bytes().next().is_some_and(|first| first >= 0x80 || is_name_byte(first));
            return Err(self.syntax_error(&if begins_well {
                format!("invalid XML name: {text}")
            } else {
                missing.to_owned()
            }));
        }
        match text.split_once(':') {
            Some((_, local)) if local.contains(':') => Err(self.syntax_error(missing)),
            Some((space, local)) if !space.is_empty() && !local.is_empty() => {
                Ok(Name { space: space.to_owned(), local: local.to_owned() })
            }
            _ => Ok(Name { space: String::new(), local: text.to_owned() }),
        }
    }

    fn translated(&self, name: Name) -> Name {
        let prefix = if name.space == "xml" { XML_NAMESPACE } else { name.space.as_str() };
        if prefix == "xmlns" || (prefix.is_empty() && name.local == "xmlns") {
            return name;
        }
        let space = self.spaces.get(prefix).map_or(prefix, String::as_str).to_owned();
        Name { space, local: name.local }
    }

    /// The text that begins at `start`, up to the next tag: one piece, however many entities are in it.
    fn text(&mut self, start: usize) -> Result<Token<'a>, EncodingError> {
        let rest = self.raw(start, self.source.len());
        let length = memchr::memchr(b'<', rest.as_bytes()).unwrap_or(rest.len());
        let raw = self.raw(start, start + length);
        while self.position() < start + length {
            if self.reader.read_event().map_err(|error| self.reader_error(&error))? == Event::Eof {
                break;
            }
        }
        if raw.contains("]]>") {
            return Err(self.syntax_error("unescaped ]]> not in CDATA section"));
        }
        self.resolved(raw).map(Token::Text)
    }

    /// Entities resolved, line breaks made one line feed, characters checked.
    fn resolved<'t>(&self, raw: &'t str) -> Result<Cow<'t, str>, EncodingError> {
        if !raw.contains('&') {
            return self.characters(line_feeds(raw));
        }
        let mut text = String::with_capacity(raw.len());
        let mut rest = raw;
        while let Some(at) = memchr::memchr(b'&', rest.as_bytes()) {
            let (before, reference) = rest.split_at(at);
            text.push_str(&line_feeds(before));
            let length = reference_length(reference);
            let (reference, after) = reference.split_at(length);
            match resolve(reference) {
                Some(character) => text.push(character),
                None if self.mode == Mode::Lenient => text.push_str(reference),
                None => {
                    let note = if reference.ends_with(';') { "" } else { " (no semicolon)" };
                    return Err(
                        self.syntax_error(&format!("invalid character entity {reference}{note}"))
                    );
                }
            }
            rest = after;
        }
        text.push_str(&line_feeds(rest));
        self.characters(Cow::Owned(text))
    }

    fn characters<'t>(&self, text: Cow<'t, str>) -> Result<Cow<'t, str>, EncodingError> {
        match text.chars().find(|character| !is_character(*character)) {
            Some(character) => {
                let code = u32::from(character);
                Err(self.syntax_error(&format!("illegal character code U+{code:04X}")))
            }
            None => Ok(text),
        }
    }

    fn reader_error(&self, error: &quick_xml::Error) -> EncodingError {
        self.syntax_error(match error {
            _ if self.is_cut_off => "invalid UTF-8",
            quick_xml::Error::Syntax(SyntaxError::UnclosedCData) => {
                "unexpected EOF in CDATA section"
            }
            quick_xml::Error::Syntax(SyntaxError::InvalidBangMarkup) => "invalid <! sequence",
            quick_xml::Error::IllFormed(IllFormedError::DoubleHyphenInComment) => {
                "invalid sequence \"--\" not allowed in comments"
            }
            _ => "unexpected EOF",
        })
    }

    fn attribute_error(&self, error: &AttrError) -> EncodingError {
        self.syntax_error(match error {
            AttrError::ExpectedEq(_) => "attribute name without = in element",
            AttrError::ExpectedValue(_) | AttrError::UnquotedValue(_) => {
                "unquoted or missing attribute value in element"
            }
            AttrError::ExpectedQuote(..) => "unexpected EOF",
            AttrError::Duplicated(..) => "expected attribute name in element",
        })
    }

    fn syntax_error(&self, message: &str) -> EncodingError {
        let read = self.raw(0, self.position());
        let line = 1 + memchr::memchr_iter(b'\n', read.as_bytes()).count();
        EncodingError::new(format!("XML syntax error on line {line}: {message}"))
    }
}

/// How an attribute's value is written.
enum Quoting {
    Quoted,
    Bare,
    NoValue,
}

/// Looks behind `name`, which lies in `text`.
fn quoting(text: &str, name: &str) -> Quoting {
    let end =
        (name.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize).wrapping_add(name.len());
    match text.get(end..).unwrap_or_default().trim_ascii_start().strip_prefix('=') {
        None => Quoting::NoValue,
        Some(value) if value.trim_ascii_start().starts_with(['"', '\'']) => Quoting::Quoted,
        Some(_) => Quoting::Bare,
    }
}

/// Puts a body into `text` in UTF-8; the answer tells whether it stops being UTF-8 somewhere.
fn to_text(body: &[u8], text: &mut String) -> Result<bool, EncodingError> {
    text.clear();
    // The reader drops a mark at the start without counting it.
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    let (head, charset) = declared_charset(body)?;
    let Some(label) = charset else {
        return Ok(push_valid(body, text));
    };
    let Some(encoding) = BytesDecl::new("1.0", Some(&label), None).encoder() else {
        return Err(EncodingError::new(format!(
            "xml: opening charset {label:?}: unsupported charset: {label:?}"
        )));
    };
    let (head, rest) = body.split_at_checked(head).unwrap_or((body, &[]));
    if push_valid(head, text) {
        return Ok(true);
    }
    text.push_str(&encoding.decode_without_bom_handling(rest).0);
    Ok(false)
}

fn push_valid(body: &[u8], text: &mut String) -> bool {
    let valid = body.utf8_chunks().next();
    text.push_str(valid.as_ref().map_or("", |chunk| chunk.valid()));
    valid.is_some_and(|chunk| !chunk.invalid().is_empty())
}

/// Where the XML declaration ends, and the charset that it names when that is not UTF-8.
fn declared_charset(body: &[u8]) -> Result<(usize, Option<String>), EncodingError> {
    let start = memchr::memchr(b'<', body).unwrap_or(body.len());
    let Some(declaration) = body.get(start..).and_then(|rest| rest.strip_prefix(b"<?xml")) else {
        return Ok((0, None));
    };
    let Some(length) = memchr::memmem::find(declaration, b"?>") else {
        return Ok((0, None));
    };
    if !declaration.first().is_some_and(u8::is_ascii_whitespace) {
        return Ok((0, None));
    }
    let content = String::from_utf8_lossy(declaration.get(..length).unwrap_or_default());
    if let Some(version) =
        parameter("version", &content).filter(|version| !matches!(*version, "" | "1.0"))
    {
        return Err(EncodingError::new(format!(
            "xml: unsupported version {version:?}; only version 1.0 is supported"
        )));
    }
    let charset = parameter("encoding", &content)
        .filter(|charset| !charset.is_empty() && !charset.eq_ignore_ascii_case("utf-8"));
    Ok((start + "<?xml".len() + length + "?>".len(), charset.map(str::to_owned)))
}

/// The quoted value of `name=` in a declaration.
fn parameter<'t>(name: &str, content: &'t str) -> Option<&'t str> {
    let mut rest = content;
    loop {
        rest = rest.split_once(name)?.1.strip_prefix('=').unwrap_or_default();
        let quote = rest.chars().next()?;
        if matches!(quote, '"' | '\'') {
            return rest.get(1..)?.split_once(quote).map(|(value, _)| value);
        }
    }
}

fn line_feeds(text: &str) -> Cow<'_, str> {
    if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    }
}

/// How long the reference is that `text` begins with, whether it is a good one or not.
fn reference_length(text: &str) -> usize {
    let Some(body) = text.strip_prefix('&') else {
        return 0;
    };
    let (prefix, is_part): (usize, fn(u8) -> bool) = match body.as_bytes() {
        [b'#', b'x', ..] => (2, |byte| byte.is_ascii_hexdigit()),
        [b'#', ..] => (1, |byte| byte.is_ascii_digit()),
        _ => (0, |byte| byte >= 0x80 || is_name_byte(byte)),
    };
    let part = body.bytes().skip(prefix).take_while(|byte| is_part(*byte)).count();
    let semicolon = usize::from(body.as_bytes().get(prefix + part) == Some(&b';'));
    1 + prefix + part + semicolon
}

/// What a reference stands for: the five names of XML, or a number. A document's own entities are not
/// known, so none can be expanded.
fn resolve(reference: &str) -> Option<char> {
    let body = reference.strip_prefix('&')?.strip_suffix(';')?;
    let number = match body.strip_prefix('#') {
        None => {
            let text = quick_xml::escape::resolve_xml_entity(body)?;
            return text.chars().next();
        }
        Some(number) => match number.strip_prefix('x') {
            Some(hex) => u64::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        },
    };
    let code = u32::try_from(number).ok().filter(|code| *code <= u32::from(char::MAX))?;
    Some(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
}

/// The characters that a document may have (XML 1.0 section 2.2).
fn is_character(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// XML 1.0 section 2.3.
fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(is_name_start)
        && characters.all(|character| {
            is_name_start(character)
                || matches!(character, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}' | '\u{2040}')
        })
}

fn is_name_start(character: char) -> bool {
    matches!(character,
        ':' | 'A'..='Z' | '_' | 'a'..='z' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}'
        | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}' | '\u{200c}' | '\u{200d}' | '\u{2070}'..='\u{218f}'
        | '\u{2c00}'..='\u{2fef}' | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}'
        | '\u{10000}'..='\u{effff}')
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'.' | b'-')
}

/// As much of a text as could be a name.
fn leading_name(text: &str) -> &str {
    let length = text.bytes().take_while(|byte| *byte >= 0x80 || is_name_byte(*byte)).count();
    text.get(..length).unwrap_or_default()
}

/// What a value without quotes may consist of.
fn is_bare_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'-')
}
