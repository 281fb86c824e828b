//! Checks that a body begins with one well-formed JSON value, and notes where the members of an object stand.
//!
//! Two walks with one meaning: [`exact`] goes byte by byte, knows every rule and every error text; `walk` takes 512 bytes
//! at a time, turned into bits, and only ever says "fine" or "in doubt". In doubt, `exact` decides. So the fast walk can
//! do without errors, and a processor without it loses nothing but speed.

#[cfg(target_arch = "x86_64")]
mod brackets;
#[cfg(target_arch = "x86_64")]
mod classes;
#[cfg(target_arch = "x86_64")]
mod escapes;
mod exact;
#[cfg(target_arch = "x86_64")]
mod lanes;
#[cfg(target_arch = "x86_64")]
mod scalars;
#[cfg(target_arch = "x86_64")]
mod walk;
#[cfg(target_arch = "x86_64")]
mod x86;

use crate::json::document::{Bodies, Content, Key, Member, Span};
use crate::json::error::SyntaxError;
use crate::json::merge;

/// Deepest nesting that Go's decoder accepts.
pub const DEPTH_MAX: usize = 10_000;

/// Up to so many members, a repeated key is looked for while scanning; beyond, once at the end by sorting.
const FILTERED_MEMBERS_MAX: usize = 64;

/// What kind of value was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

/// The first value of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scanned {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
    /// There may be bytes above 0x7F: the text must be checked to be UTF-8.
    pub has_wide: bool,
    /// There may be `\ud800`…`\udfff` escapes: pairs must be checked.
    pub has_surrogates: bool,
}

/// Why there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScanError {
    /// The bytes end before the value does.
    Ended,
    Syntax(SyntaxError),
}

/// Collects the members of the outermost object.
pub(super) struct Recorder<'m> {
    /// Number of the body in its document.
    body: u32,
    members: &'m mut Vec<Member>,
    /// One bit a key hash: a clear bit proves a key new.
    seen: u64,
    has_repeats: bool,
    /// Containers that may be open at a time.
    depth_max: usize,
}

/// Finds the first value at or after `start`. The members of an object are appended to `members`, each key once, the
/// last value winning. The flag tells whether a key was repeated: then the raw text is not what the members say.
///
/// # Errors
/// The first byte that Go's decoder would refuse, one that opens a container beyond `depth_max`, or the end of the bytes.
pub(super) fn scan(
    body: &[u8],
    start: usize,
    number: u32,
    depth_max: usize,
    members: &mut Vec<Member>,
) -> Result<(Scanned, bool), ScanError> {
    let mut recorder = Recorder { body: number, members, seen: 0, has_repeats: false, depth_max };
    let scanned = scan_into(body, start, &mut recorder)?;
    recorder.finish(body);
    Ok((scanned, recorder.has_repeats))
}

fn scan_into(body: &[u8], start: usize, recorder: &mut Recorder<'_>) -> Result<Scanned, ScanError> {
    #[cfg(target_arch = "x86_64")]
    if let Some(scanned) = x86::scan(body, start, recorder) {
        return Ok(scanned);
    }
    recorder.restart();
    exact::scan(body, start, recorder)
}

/// The blanks of JSON (RFC 8259 section 2).
pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

// === impl Scanned ===

impl Scanned {
    /// As part of a document's first body.
    #[allow(clippy::cast_possible_truncation)]
    pub fn span(&self) -> Span {
        Span { body: 0, start: self.start as u32, end: self.end as u32 }
    }
}

// === impl Recorder ===

impl Recorder<'_> {
    /// Forgets what a walk in doubt had noted.
    fn restart(&mut self) {
        self.members.clear();
        self.seen = 0;
        self.has_repeats = false;
    }

    /// Notes a member. `key` includes its quotes, and no backslash unless `may_escape`; ranges lie within `body`, whose
    /// length fits 32 bits.
    #[allow(clippy::cast_possible_truncation)]
    fn push(&mut self, body: &[u8], key: (usize, usize), value: (usize, usize), may_escape: bool) {
        let span = |(start, end): (usize, usize)| Span {
            body: self.body,
            start: start as u32,
            end: end as u32,
        };
        let quoted = body.get(key.0..key.1).unwrap_or_default();
        let key = Key::of_quoted(quoted, span(key), may_escape);
        let content = Content::Raw(span(value));
        let bit = 1 << (key.hash & 63);
        self.members.push(Member { key, content });
        if self.seen & bit != 0 && self.members.len() <= FILTERED_MEMBERS_MAX {
            self.drop_repeat(body);
        }
        self.seen |= bit;
    }

    /// Gives the key noted last its value where it was noted first, if it was.
    #[inline(never)]
    fn drop_repeat(&mut self, body: &[u8]) {
        let Some((last, earlier)) = self.members.split_last_mut() else { return };
        let repeated =
            earlier.iter_mut().find(|member| member.key.is_same(&last.key, Bodies::One(body)));
        if let Some(member) = repeated {
            std::mem::swap(member, last);
            self.members.pop();
            self.has_repeats = true;
        }
    }

    fn finish(&mut self, body: &[u8]) {
        if self.members.len() >= FILTERED_MEMBERS_MAX {
            self.has_repeats |= merge::drop_repeats(self.members, Bodies::One(body));
        }
    }
}

#[cfg(test)]
mod tests;
