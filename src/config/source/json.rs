//! Reads JSON as Go's encoding/json does, with its messages, but says where.

use super::lines::Lines;
use super::node::{Entry, Node, NodeValue, Number};
use super::{DEPTH_MAX, SyntaxError};

/// Every whole number up to here is exact in a float64, which is what Go keeps.
const EXACT_MAX: i64 = 1 << 53;

const KEY_COMMA_HINT: &str = "a comma is missing before this, or there is one value too many";

pub fn read(text: &[u8]) -> Result<Node, SyntaxError> {
    let mut reader = Reader { text, lines: Lines::new(text), at: 0, open: Vec::new() };
    let node = reader.value()?;
    match reader.next_token() {
        None => Ok(node),
        Some(byte) => Err(reader.invalid(byte, "after top-level value")),
    }
}

struct Reader<'a> {
    text: &'a [u8],
    lines: Lines<'a>,
    at: usize,
    /// Offsets of the braces and brackets that are open.
    open: Vec<usize>,
}

// === impl Reader ===

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Skips white space; the byte that follows stays unread.
    fn next_token(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
        self.peek()
    }

    fn value(&mut self) -> Result<Node, SyntaxError> {
        let Some(byte) = self.next_token() else { return Err(self.end()) };
        let position = self.lines.locate(self.at);
        let value = match byte {
            b'{' => self.nested(Self::object)?,
            b'[' => self.nested(Self::array)?,
            b'"' => NodeValue::Text(self.string()?),
            b'-' | b'0'..=b'9' => self.number()?,
            b't' => self.literal("true", NodeValue::Bool(true))?,
            b'f' => self.literal("false", NodeValue::Bool(false))?,
            b'n' => self.literal("null", NodeValue::Null)?,
            _ => return Err(self.invalid(byte, "looking for beginning of value")),
        };
        Ok(Node::new(position, value))
    }

    fn nested(
        &mut self,
        read: fn(&mut Self) -> Result<NodeValue, SyntaxError>,
    ) -> Result<NodeValue, SyntaxError> {
        if self.open.len() == DEPTH_MAX {
            return Err(self.fail("exceeded max depth"));
        }
        self.open.push(self.at);
        self.at += 1;
        let value = read(self)?;
        self.open.pop();
        Ok(value)
    }

    fn object(&mut self) -> Result<NodeValue, SyntaxError> {
        let mut entries = Vec::new();
        if self.next_token() == Some(b'}') {
            self.at += 1;
            return Ok(NodeValue::Map(entries));
        }
        loop {
            entries.push(self.entry()?);
            match self.next_token() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(NodeValue::Map(entries));
                }
                Some(byte) => return Err(self.invalid(byte, "after object key:value pair")),
                None => return Err(self.end()),
            }
        }
    }

    fn entry(&mut self) -> Result<Entry, SyntaxError> {
        match self.next_token() {
            Some(b'"') => {}
            Some(byte) => {
                return Err(self.invalid(byte, "looking for beginning of object key string"));
            }
            None => return Err(self.end()),
        }
        let (line, column) = self.lines.locate(self.at);
        let key = self.string()?;
        match self.next_token() {
            Some(b':') => self.at += 1,
            Some(byte) => return Err(self.invalid(byte, "after object key")),
            None => return Err(self.end()),
        }
        Ok(Entry { key, line, column, value: self.value()? })
    }

    fn array(&mut self) -> Result<NodeValue, SyntaxError> {
        let mut list = Vec::new();
        if self.next_token() == Some(b']') {
            self.at += 1;
            return Ok(NodeValue::List(list));
        }
        loop {
            list.push(self.value()?);
            match self.next_token() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(NodeValue::List(list));
                }
                Some(byte) => return Err(self.invalid(byte, "after array element")),
                None => return Err(self.end()),
            }
        }
    }

    fn literal(&mut self, word: &str, value: NodeValue) -> Result<NodeValue, SyntaxError> {
        for expected in word.bytes() {
            match self.peek() {
                Some(byte) if byte == expected => self.at += 1,
                Some(byte) => {
                    let context =
                        format!("in literal {word} (expecting '{}')", char::from(expected));
                    return Err(self.invalid(byte, &context));
                }
                None => return Err(self.end()),
            }
        }
        Ok(value)
    }

    fn number(&mut self) -> Result<NodeValue, SyntaxError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        // RFC 8259 section 6: no leading zeros; a digit after a zero is an error of what surrounds the number.
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits("in numeric literal")?;
        }
        let mut is_whole = true;
        if self.peek() == Some(b'.') {
            is_whole = false;
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            is_whole = false;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        self.number_value(start, is_whole)
    }

    fn digits(&mut self, context: &str) -> Result<(), SyntaxError> {
        match self.peek() {
            Some(b'0'..=b'9') => {}
            Some(byte) => return Err(self.invalid(byte, context)),
            None => return Err(self.end()),
        }
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        Ok(())
    }

    /// Go keeps a float64; whole numbers that it holds exactly are kept as integers, which prints the same.
    fn number_value(&self, start: usize, is_whole: bool) -> Result<NodeValue, SyntaxError> {
        let text = self
            .text
            .get(start..self.at)
            .and_then(|text| std::str::from_utf8(text).ok())
            .unwrap_or_default();
        let exact = text
            .parse::<i64>()
            .ok()
            .filter(|value| is_whole && value.unsigned_abs() <= EXACT_MAX.unsigned_abs());
        let number = match exact {
            Some(value) if text != "-0" => Number::Int(value),
            _ => Number::Float(text.parse().unwrap_or(f64::INFINITY)),
        };
        if number.to_f64().is_infinite() {
            let what =
                format!("json: cannot unmarshal number {text} into Go value of type float64");
            return Err(SyntaxError::new(self.lines.locate(start), what));
        }
        Ok(NodeValue::Number(number, "float64"))
    }

    fn string(&mut self) -> Result<String, SyntaxError> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let start = self.at;
            while self.peek().is_some_and(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
                self.at += 1;
            }
            push_lossy(&mut text, self.text.get(start..self.at).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => text.push(self.escape()?),
                Some(byte) => return Err(self.invalid(byte, "in string literal")),
                None => return Err(self.end()),
            }
        }
    }

    fn escape(&mut self) -> Result<char, SyntaxError> {
        self.at += 1;
        let Some(byte) = self.peek() else { return Err(self.end()) };
        let plain = match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            _ => return Err(self.invalid(byte, "in string escape code")),
        };
        self.at += 1;
        Ok(plain)
    }

    /// At the `u`. A surrogate without its other half becomes U+FFFD, as in Go.
    fn unicode_escape(&mut self) -> Result<char, SyntaxError> {
        let high = self.hex4()?;
        if !(0xD800..0xDC00).contains(&high) || self.text.get(self.at..self.at + 2) != Some(b"\\u")
        {
            return Ok(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let before = self.at;
        self.at += 1;
        let low = self.hex4()?;
        if (0xDC00..0xE000).contains(&low) {
            let code = 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00);
            return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        self.at = before; // not a pair: the second escape is read on its own
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex4(&mut self) -> Result<u32, SyntaxError> {
        self.at += 1;
        let mut code = 0;
        for _ in 0..4 {
            let Some(byte) = self.peek() else { return Err(self.end()) };
            let Some(digit) = char::from(byte).to_digit(16) else {
                return Err(self.invalid(byte, "in \\u hexadecimal character escape"));
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }

    fn fail(&self, what: impl Into<String>) -> SyntaxError {
        SyntaxError::new(self.lines.locate(self.at), what)
    }

    fn end(&self) -> SyntaxError {
        let mut error = self.fail("unexpected end of JSON input");
        error.hint = match self.open.last() {
            Some(open) => {
                let (line, column) = self.lines.locate(*open);
                let bracket = self.text.get(*open).copied().map_or(' ', char::from);
                Some(format!("the {bracket} of line {line}, column {column} is never closed"))
            }
            None => Some("the file has no content".to_owned())
                .filter(|_| self.text.trim_ascii().is_empty()),
        };
        error
    }

    fn invalid(&self, byte: u8, context: &str) -> SyntaxError {
        let mut error = self.fail(format!("invalid character {} {context}", quote(byte)));
        error.hint = hint(byte, context).map(str::to_owned);
        error
    }
}

/// The mistakes that people make, by what the reader met.
fn hint(byte: u8, context: &str) -> Option<&'static str> {
    match (byte, context) {
        (b'/' | b'#', _) => Some("JSON has no comments; a key such as \"@comment\" is left alone"),
        (b'\'', _) => Some("keys and texts are written with double quotes"),
        (b'}', "looking for beginning of object key string")
        | (b']', "looking for beginning of value") => {
            Some("the comma before this one is one too many")
        }
        (b'"' | b'{' | b'[', "after object key:value pair" | "after array element") => {
            Some(KEY_COMMA_HINT)
        }
        (0xEF, "looking for beginning of value") => {
            Some("the file begins with a byte order mark; save it without")
        }
        (b'\n' | b'\r' | b'\t', "in string literal") => {
            Some("a text ends in its line; a line break in it is written \\n, a tab \\t")
        }
        (_, "in string escape code") => Some("a backslash is written twice: \\\\"),
        (b'T' | b'F' | b'N', "looking for beginning of value") => {
            Some("true, false and null are written in lower case")
        }
        (b'<', "looking for beginning of value") => {
            Some("a template writes <no value> for a setting that is not there")
        }
        (b'0'..=b'9', "after object key:value pair" | "after array element") => {
            Some("a number does not begin with a zero")
        }
        (b']', "after object key:value pair") => {
            Some("the object before this is not closed with }")
        }
        (b'}', "after array element") => Some("the list before this is not closed with ]"),
        (b'}' | b']', "after top-level value") => Some("this bracket is one too many"),
        (b'a'..=b'z', "looking for beginning of value") => {
            Some("texts stand in double quotes; other formats are told by .yaml, .yml and .toml")
        }
        (b'{', "looking for beginning of object key string") => {
            Some("a template is read only as flexible configuration, with FC_ENABLE=1")
        }
        _ => None,
    }
}

/// Go's way to show the byte that it did not expect.
fn quote(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        b'\\' => r"'\\'".to_owned(),
        b'\n' => r"'\n'".to_owned(),
        b'\r' => r"'\r'".to_owned(),
        b'\t' => r"'\t'".to_owned(),
        0..=0x1F | 0x7F => format!("'\\x{byte:02x}'"),
        0x80..=0x9F => format!("'\\u{byte:04x}'"),
        _ => format!("'{}'", char::from(byte)),
    }
}

/// Bytes that are no UTF-8 become U+FFFD, each one of its own.
fn push_lossy(text: &mut String, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
}

#[cfg(test)]
mod tests;
