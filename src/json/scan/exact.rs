//! The walk that goes byte by byte: it knows the whole grammar and says exactly what is wrong.

use super::{Kind, Recorder, ScanError, Scanned, is_blank};
use crate::json::error::{self, SyntaxError};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Object,
    Array,
}

/// What may come next, blanks apart.
#[derive(Clone, Copy)]
enum Expect {
    Value,
    FirstElement,
    FirstKey,
    Key,
    Colon,
    AfterMember,
    AfterElement,
}

struct Walk<'b> {
    body: &'b [u8],
    at: usize,
    has_wide: bool,
    has_surrogates: bool,
    open: Vec<Container>,
    depth_max: usize,
}

/// See [`super::scan`].
pub(super) fn scan(
    body: &[u8],
    start: usize,
    recorder: &mut Recorder<'_>,
) -> Result<Scanned, ScanError> {
    let mut walk = Walk {
        body,
        at: start,
        has_wide: false,
        has_surrogates: false,
        open: Vec::new(),
        depth_max: recorder.depth_max,
    };
    walk.skip_blanks();
    let start = walk.at;
    let kind = match walk.need()? {
        b'{' | b'[' => walk.composite(recorder)?,
        _ => walk.scalar()?,
    };
    Ok(Scanned {
        kind,
        start,
        end: walk.at,
        has_wide: walk.has_wide,
        has_surrogates: walk.has_surrogates,
    })
}

// === impl Walk ===

impl Walk<'_> {
    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    fn need(&self) -> Result<u8, ScanError> {
        self.peek().ok_or(ScanError::Ended)
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(is_blank) {
            self.at += 1;
        }
    }

    fn refuse<T>(&self, context: &'static str) -> Result<T, ScanError> {
        let byte = self.need()?;
        Err(ScanError::Syntax(SyntaxError { byte, context }))
    }

    /// From the opening to the closing bracket, without recursion.
    fn composite(&mut self, recorder: &mut Recorder<'_>) -> Result<Kind, ScanError> {
        let kind = if self.peek() == Some(b'{') { Kind::Object } else { Kind::Array };
        let mut expect = self.opening()?;
        let (mut key, mut value) = ((0, 0), 0);
        while !self.open.is_empty() {
            self.skip_blanks();
            let is_outermost = self.open.len() == 1;
            if is_outermost && matches!(expect, Expect::Value) {
                value = self.at;
            }
            expect = match (expect, self.need()?) {
                (Expect::Value | Expect::FirstElement, b'{' | b'[') => self.opening()?,
                (Expect::FirstElement | Expect::AfterElement, b']')
                | (Expect::FirstKey | Expect::AfterMember, b'}') => {
                    self.at += 1;
                    self.open.pop();
                    self.after_value()
                }
                (Expect::Value | Expect::FirstElement, _) => {
                    self.scalar()?;
                    self.after_value()
                }
                (Expect::FirstKey | Expect::Key, b'"') => {
                    let start = self.at;
                    self.string()?;
                    if is_outermost {
                        key = (start, self.at);
                    }
                    Expect::Colon
                }
                (Expect::FirstKey | Expect::Key, _) => {
                    return self.refuse("looking for beginning of object key string");
                }
                (Expect::Colon, b':') => self.step(Expect::Value),
                (Expect::Colon, _) => return self.refuse("after object key"),
                (Expect::AfterMember, b',') => self.step(Expect::Key),
                (Expect::AfterMember, _) => return self.refuse("after object key:value pair"),
                (Expect::AfterElement, b',') => self.step(Expect::Value),
                (Expect::AfterElement, _) => return self.refuse("after array element"),
            };
            // Only the end of a value leads here, and at this depth it is one of the outermost object's.
            if self.open.len() == 1 && matches!(expect, Expect::AfterMember) {
                recorder.push(self.body, key, (value, self.at), true);
            }
        }
        Ok(kind)
    }

    fn step(&mut self, next: Expect) -> Expect {
        self.at += 1;
        next
    }

    fn opening(&mut self) -> Result<Expect, ScanError> {
        if self.open.len() >= self.depth_max {
            return self.refuse(error::TOO_DEEP);
        }
        let is_object = self.peek() == Some(b'{');
        self.at += 1;
        self.open.push(if is_object { Container::Object } else { Container::Array });
        Ok(if is_object { Expect::FirstKey } else { Expect::FirstElement })
    }

    fn after_value(&self) -> Expect {
        match self.open.last() {
            Some(Container::Object) => Expect::AfterMember,
            _ => Expect::AfterElement,
        }
    }

    fn scalar(&mut self) -> Result<Kind, ScanError> {
        match self.need()? {
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.literal(Kind::Bool, &[(b'r', TRUE_R), (b'u', TRUE_U), (b'e', TRUE_E)]),
            b'f' => self.literal(
                Kind::Bool,
                &[(b'a', FALSE_A), (b'l', FALSE_L), (b's', FALSE_S), (b'e', FALSE_E)],
            ),
            b'n' => self.literal(Kind::Null, &[(b'u', NULL_U), (b'l', NULL_L), (b'l', NULL_L)]),
            _ => self.refuse("looking for beginning of value"),
        }
    }

    fn literal(&mut self, kind: Kind, rest: &[(u8, &'static str)]) -> Result<Kind, ScanError> {
        self.at += 1;
        for &(byte, context) in rest {
            if self.need()? != byte {
                return self.refuse(context);
            }
            self.at += 1;
        }
        Ok(kind)
    }

    fn number(&mut self) -> Result<Kind, ScanError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits("in numeric literal")?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        Ok(Kind::Number)
    }

    /// At least one digit.
    fn digits(&mut self, context: &'static str) -> Result<(), ScanError> {
        if !self.need()?.is_ascii_digit() {
            return self.refuse(context);
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    fn string(&mut self) -> Result<Kind, ScanError> {
        self.at += 1;
        loop {
            match self.need()? {
                b'"' => break,
                b'\\' => self.escape()?,
                0x00..=0x1f => return self.refuse("in string literal"),
                byte => {
                    self.has_wide |= byte >= 0x80;
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        Ok(Kind::String)
    }

    fn escape(&mut self) -> Result<(), ScanError> {
        self.at += 1;
        match self.need()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
            b'u' => {
                self.at += 1;
                let first = self.need()?;
                for _ in 0..4 {
                    if !self.need()?.is_ascii_hexdigit() {
                        return self.refuse("in \\u hexadecimal character escape");
                    }
                    self.at += 1;
                }
                self.has_surrogates |= matches!(first, b'd' | b'D');
            }
            _ => return self.refuse("in string escape code"),
        }
        Ok(())
    }
}

const TRUE_R: &str = "in literal true (expecting 'r')";
const TRUE_U: &str = "in literal true (expecting 'u')";
const TRUE_E: &str = "in literal true (expecting 'e')";
const FALSE_A: &str = "in literal false (expecting 'a')";
const FALSE_L: &str = "in literal false (expecting 'l')";
const FALSE_S: &str = "in literal false (expecting 's')";
const FALSE_E: &str = "in literal false (expecting 'e')";
const NULL_U: &str = "in literal null (expecting 'u')";
const NULL_L: &str = "in literal null (expecting 'l')";
