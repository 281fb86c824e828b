//! `Document`: the data of one answer, as a list of places in the bodies it came from.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::json::encode::{write_string, write_value};
use crate::json::path::{Name, hash};
use crate::json::scan::{DEPTH_MAX, Kind, is_blank, scan};
use crate::json::text::unescape;
use crate::json::tree;
use crate::json::value::{Map, Value};

/// Blanks between two members up to so many are copied rather than skipped: one long copy beats two short ones.
const GAP_MAX: usize = 8;

/// Members that fit without growing the list.
const MEMBERS_COMMON: usize = 16;

/// An object whose values are mostly still the bytes an upstream sent, or null (what Go calls a nil map).
///
/// Bodies are owned and never copied; merging two documents keeps the bodies of both.
#[derive(Clone, Debug, Default)]
pub struct Document {
    pub(super) bodies: SmallVec<[Vec<u8>; 4]>,
    /// `None` is null.
    pub(super) members: Option<Vec<Member>>,
    /// The text of the whole object, as long as it says the same as `members`.
    pub(super) whole: Option<Span>,
}

/// Bytes of one of a document's bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub body: u32,
    pub start: u32,
    pub end: u32,
}

/// Where spans point to.
#[derive(Clone, Copy)]
pub(super) enum Bodies<'b> {
    One(&'b [u8]),
    Many(&'b [Vec<u8>]),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// With its quotes.
    pub span: Span,
    /// Of the text, escapes undone.
    pub hash: u32,
    pub has_escapes: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    /// Well-formed JSON text.
    Raw(Span),
    /// An object of which members were removed, or round which one was put.
    Members(Vec<Member>),
    /// Something that did not come as JSON text.
    Value(Box<Value>),
}

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub key: Key,
    pub content: Content,
}

/// A body made of names, for keys that stand in no upstream's answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub text: Vec<u8>,
}

// === impl Document ===

impl Document {
    #[must_use]
    pub fn null() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn empty() -> Self {
        Self { members: Some(Vec::new()), ..Self::default() }
    }

    /// The members of a tree, in the tree's order.
    #[must_use]
    pub fn from_map(map: Map) -> Self {
        let mut document = Self::empty();
        document.extend(map);
        document
    }

    /// An empty object with room for a common number of members.
    pub(super) fn with_room() -> Self {
        Self { members: Some(Vec::with_capacity(MEMBERS_COMMON)), ..Self::default() }
    }

    /// The object with this one member, whose value is a well-formed part of `body`.
    pub(super) fn wrapping(name: &str, body: Vec<u8>, start: u32, end: u32) -> Self {
        let mut names = Names::default();
        let key = names.push(name, 1);
        let member = Member { key, content: Content::Raw(Span { body: 0, start, end }) };
        Self {
            bodies: SmallVec::from_iter([body, names.text]),
            members: Some(vec![member]),
            whole: None,
        }
    }

    #[must_use]
    pub fn is_null(&self) -> bool {
        self.members.is_none()
    }

    /// Null or without members: what makes an answer "not completed".
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.members.as_ref().map_or(0, Vec::len)
    }

    /// The value of a key, as a tree.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Value> {
        Some(self.value(&self.find(&Name::new(key))?.content))
    }

    /// Everything as a tree; null gives an empty one.
    #[must_use]
    pub fn to_map(&self) -> Map {
        self.members.as_ref().map(|members| self.map(members)).unwrap_or_default()
    }

    /// Puts a value in, replacing what had that key. Null becomes an object.
    pub fn set(&mut self, key: &str, value: Value) {
        self.extend(Map::from([(key.to_owned(), value)]));
    }

    /// [`Self::set`] for several members at once.
    pub fn extend(&mut self, values: Map) {
        let mut names = Names::default();
        let number = self.next_body();
        let mut fresh = Vec::new();
        for (key, value) in values {
            let key = names.push(&key, number);
            fresh.push(Member { key, content: Content::Value(Box::new(value)) });
        }
        self.whole = None;
        let other =
            Self { bodies: SmallVec::from_iter([names.text]), members: Some(fresh), whole: None };
        self.absorb(other);
    }

    /// Writes JSON: the upstream's own bytes wherever they still hold.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match (&self.members, self.whole) {
            (None, _) => out.extend_from_slice(b"null"),
            (Some(_), Some(whole)) => out.extend_from_slice(self.bytes(whole)),
            (Some(members), None) => self.write_members(members, out),
        }
    }

    /// Writes the value of one key as JSON; false if there is no such key.
    pub fn write_member(&self, key: &str, out: &mut Vec<u8>) -> bool {
        let member = self.find(&Name::new(key));
        if let Some(member) = member {
            self.write_content(&member.content, out);
        }
        member.is_some()
    }

    /// About how many bytes [`Self::write_json`] will write.
    #[must_use]
    pub fn json_len_hint(&self) -> usize {
        match (&self.members, self.whole) {
            (_, Some(whole)) => whole.len(),
            (members, None) => members.as_ref().map_or(4, |members| len_hint(members)),
        }
    }

    /// The bodies, for whoever wants to use their memory again.
    pub fn into_bodies(self) -> impl Iterator<Item = Vec<u8>> {
        self.bodies.into_iter()
    }

    pub(super) fn bodies(&self) -> Bodies<'_> {
        Bodies::Many(&self.bodies)
    }

    /// The number that the next body to be added will have.
    #[allow(clippy::cast_possible_truncation)]
    pub(super) fn next_body(&self) -> u32 {
        self.bodies.len() as u32
    }

    pub(super) fn find(&self, name: &Name) -> Option<&Member> {
        self.members.as_ref()?.iter().find(|member| name.is(&member.key, self.bodies()))
    }

    fn bytes(&self, span: Span) -> &[u8] {
        self.bodies().bytes(span)
    }

    fn value(&self, content: &Content) -> Value {
        match content {
            Content::Raw(span) => tree::parse(self.bytes(*span)),
            Content::Members(members) => Value::Object(self.map(members)),
            Content::Value(value) => (**value).clone(),
        }
    }

    fn map(&self, members: &[Member]) -> Map {
        let name = |key: &Key| String::from_utf8_lossy(&key.text(self.bodies())).into_owned();
        members.iter().map(|member| (name(&member.key), self.value(&member.content))).collect()
    }

    /// Members that stand side by side in a body are copied in one piece. The depth of the recursion is that of the
    /// configured paths and groups that made the members.
    fn write_members(&self, members: &[Member], out: &mut Vec<u8>) {
        out.push(b'{');
        let mut pending: Option<Span> = None;
        for (i, member) in members.iter().enumerate() {
            let span = member.span();
            if let (Some(left), Some(right)) = (pending, span)
                && self.is_next_to(left, right)
            {
                pending = Some(Span { end: right.end, ..left });
                continue;
            }
            if let Some(piece) = pending {
                out.extend_from_slice(self.bytes(piece));
            }
            if i > 0 {
                out.push(b',');
            }
            if span.is_none() {
                out.extend_from_slice(self.bytes(member.key.span));
                out.push(b':');
                self.write_content(&member.content, out);
            }
            pending = span;
        }
        if let Some(piece) = pending {
            out.extend_from_slice(self.bytes(piece));
        }
        out.push(b'}');
    }

    /// Whether there is nothing but a comma and a few blanks between two pieces of one body.
    fn is_next_to(&self, left: Span, right: Span) -> bool {
        let gap = Span { body: left.body, start: left.end, end: right.start };
        let is_ahead = left.body == right.body && left.end < right.start;
        is_ahead
            && gap.len() <= GAP_MAX
            && self.bytes(gap).iter().all(|&byte| byte == b',' || is_blank(byte))
    }

    fn write_content(&self, content: &Content, out: &mut Vec<u8>) {
        match content {
            Content::Raw(span) => out.extend_from_slice(self.bytes(*span)),
            Content::Members(members) => self.write_members(members, out),
            Content::Value(value) => write_value(value, out),
        }
    }
}

fn len_hint(members: &[Member]) -> usize {
    let content = |content: &Content| match content {
        Content::Raw(span) => span.len(),
        Content::Members(members) => len_hint(members),
        Content::Value(_) => 64,
    };
    2 + members
        .iter()
        .map(|member| member.key.span.len() + 2 + content(&member.content))
        .sum::<usize>()
}

// === impl Span ===

impl Span {
    pub fn len(self) -> usize {
        (self.end as usize).saturating_sub(self.start as usize)
    }
}

// === impl Bodies ===

impl<'b> Bodies<'b> {
    pub fn bytes(self, span: Span) -> &'b [u8] {
        self.body(span.body).get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    fn body(self, number: u32) -> &'b [u8] {
        match self {
            Self::One(body) => body,
            Self::Many(bodies) => {
                bodies.get(number as usize).map(Vec::as_slice).unwrap_or_default()
            }
        }
    }
}

// === impl Key ===

impl Key {
    /// `may_escape` false says that there is no backslash, so that none need be looked for.
    pub fn of_quoted(quoted: &[u8], span: Span, may_escape: bool) -> Self {
        let raw = without_quotes(quoted);
        let has_escapes = may_escape && raw.contains(&b'\\');
        let hash = if has_escapes { hash(unescape(raw).as_bytes()) } else { hash(raw) };
        Self { span, hash, has_escapes }
    }

    pub fn text<'b>(&self, bodies: Bodies<'b>) -> Cow<'b, [u8]> {
        let raw = without_quotes(bodies.bytes(self.span));
        if !self.has_escapes {
            return Cow::Borrowed(raw);
        }
        match unescape(raw) {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        }
    }

    pub fn is_same(&self, other: &Self, bodies: Bodies<'_>) -> bool {
        self.hash == other.hash && self.text(bodies) == other.text(bodies)
    }
}

fn without_quotes(quoted: &[u8]) -> &[u8] {
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default()
}

// === impl Member ===

impl Member {
    /// Key and value in one piece, if they stand as the upstream wrote them.
    fn span(&self) -> Option<Span> {
        match self.content {
            Content::Raw(value) if value.body == self.key.span.body => {
                Some(Span { end: value.end, ..self.key.span })
            }
            _ => None,
        }
    }

    /// The members of the value, if it is an object that is still text.
    pub(super) fn expanded(&self, bodies: Bodies<'_>) -> Option<(Vec<Self>, bool)> {
        let Content::Raw(span) = self.content else { return None };
        let body = bodies.body(span.body).get(..span.end as usize)?;
        let mut members = Vec::new();
        match scan(body, span.start as usize, span.body, DEPTH_MAX, &mut members) {
            Ok((scanned, has_repeats)) if scanned.kind == Kind::Object => {
                Some((members, has_repeats))
            }
            _ => None,
        }
    }
}

// === impl Names ===

impl Names {
    /// Adds a name and gives the key that stands for it once this has become body `number`.
    #[allow(clippy::cast_possible_truncation)]
    pub fn push(&mut self, name: &str, number: u32) -> Key {
        let start = self.text.len();
        write_string(name, &mut self.text);
        let span = Span { body: number, start: start as u32, end: self.text.len() as u32 };
        let has_escapes = self.text.len() - start != name.len() + 2;
        Key { span, hash: hash(name.as_bytes()), has_escapes }
    }
}

#[cfg(test)]
mod tests;
