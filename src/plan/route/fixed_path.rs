//! The search that ignores the case of letters, for clients that wrote a path almost right.
//!
//! It follows gin's byte by byte: a letter beyond ASCII may be cut by the border of two nodes, so the bytes of the
//! letter that are still to come travel along.

use super::trie::{Kind, Node, Trie};

/// The bytes of one letter that the next nodes still have to match.
type Letter = [u8; 4];

/// What follows a node.
enum Next {
    Node(u32, Letter),
    Found,
    Nothing,
}

impl Trie {
    /// The path as the routes write it, the values of parameters as they came; with or without a slash at the end.
    pub(super) fn fix_path(&self, root: u32, path: &[u8]) -> Option<Vec<u8>> {
        let mut fixed = Vec::with_capacity(path.len() + 1);
        self.fix_from(root, path, [0; 4], &mut fixed).then_some(fixed)
    }

    /// Goes on from a node; `fixed` is what it was if nothing is found. As deep as the tree, which the configuration
    /// bounds.
    fn fix_from(&self, start: u32, path: &[u8], letter: Letter, fixed: &mut Vec<u8>) -> bool {
        let kept = fixed.len();
        let mut letter = letter;
        let mut rest = path;
        let mut at = start;
        loop {
            let node = self.node(at);
            let prefix = self.prefix(node);
            if !starts_alike(rest, prefix) {
                return self.fix_end(node, rest, fixed) || give_up(kept, fixed);
            }
            fixed.extend_from_slice(prefix);
            let before = rest;
            rest = &rest[prefix.len()..];
            if rest.is_empty() {
                return node.is_endpoint() || self.add_slash(node, fixed) || give_up(kept, fixed);
            }
            let next = if node.has_wildcard() {
                self.fix_wildcard(node, before, &mut rest, letter, fixed)
            } else {
                self.fix_word(node, before, rest, letter, fixed)
            };
            match next {
                Next::Node(child, still) => (at, letter) = (child, still),
                Next::Found => return true,
                Next::Nothing => return give_up(kept, fixed),
            }
        }
    }

    /// Chooses among words: small letter first, then the capital.
    fn fix_word(
        &self,
        node: &Node,
        before: &[u8],
        rest: &[u8],
        letter: Letter,
        fixed: &mut Vec<u8>,
    ) -> Next {
        let prefix_length = before.len() - rest.len();
        let mut letter = shift(letter, prefix_length);
        if letter[0] != 0 {
            if let Some(child) = self.child_by_byte(node, letter[0]) {
                return Next::Node(child, letter);
            }
        } else {
            let (offset, read) = letter_at(before, prefix_length);
            put(lower(read), offset, &mut letter);
            if self.try_child(node, letter, rest, fixed) {
                return Next::Found;
            }
            if upper(read) != lower(read) {
                put(upper(read), offset, &mut letter);
                if let Some(child) = self.child_by_byte(node, letter[0]) {
                    return Next::Node(child, letter);
                }
            }
        }
        if rest == b"/" && node.is_endpoint() { Next::Found } else { Next::Nothing }
    }

    /// Tries words, and takes the wildcard when none leads to a route.
    fn fix_wildcard(
        &self,
        node: &Node,
        before: &[u8],
        rest: &mut &[u8],
        mut letter: Letter,
        fixed: &mut Vec<u8>,
    ) -> Next {
        if node.has_words() && self.fix_word_beside_wildcard(node, before, rest, &mut letter, fixed)
        {
            return Next::Found;
        }
        let Some(wildcard) = node.last_child().map(|child| self.node(child)) else {
            return Next::Nothing;
        };
        if wildcard.kind() == Kind::CatchAll {
            fixed.extend_from_slice(rest);
            return Next::Found;
        }
        let length = memchr::memchr(b'/', rest).unwrap_or(rest.len());
        let (value, after) = rest.split_at(length);
        fixed.extend_from_slice(value);
        let child = wildcard.first_child();
        if after.is_empty() {
            let is_found = wildcard.is_endpoint()
                || (wildcard.has_one_child() && self.is_slash_route(child, fixed));
            return if is_found { Next::Found } else { Next::Nothing };
        }
        *rest = after;
        match child {
            Some(child) => Next::Node(child, letter),
            None if after.len() == 1 => Next::Found,
            None => Next::Nothing,
        }
    }

    fn fix_word_beside_wildcard(
        &self,
        node: &Node,
        before: &[u8],
        rest: &[u8],
        letter: &mut Letter,
        fixed: &mut Vec<u8>,
    ) -> bool {
        let prefix_length = before.len() - rest.len();
        *letter = shift(*letter, prefix_length);
        if letter[0] != 0 {
            return self.try_child(node, *letter, rest, fixed);
        }
        let (offset, read) = letter_at(before, prefix_length);
        put(lower(read), offset, letter);
        if self.try_child(node, *letter, rest, fixed) {
            return true;
        }
        if upper(read) == lower(read) {
            return false;
        }
        put(upper(read), offset, letter);
        self.try_child(node, *letter, rest, fixed)
    }

    fn try_child(&self, node: &Node, letter: Letter, rest: &[u8], fixed: &mut Vec<u8>) -> bool {
        self.child_by_byte(node, letter[0])
            .is_some_and(|child| self.fix_from(child, rest, letter, fixed))
    }

    /// The path ends at a node that is no route: a slash may be missing.
    fn add_slash(&self, node: &Node, fixed: &mut Vec<u8>) -> bool {
        let is_route =
            self.child_by_byte(node, b'/').is_some_and(|child| self.slash_child_is_endpoint(child));
        fixed.extend(is_route.then_some(b'/'));
        is_route
    }

    fn is_slash_route(&self, child: Option<u32>, fixed: &mut Vec<u8>) -> bool {
        let is_route = child
            .map(|child| self.node(child))
            .is_some_and(|child| self.prefix(child) == b"/" && child.is_endpoint());
        fixed.extend(is_route.then_some(b'/'));
        is_route
    }

    /// The path leaves the tree within a prefix: a slash may be too much or too few.
    fn fix_end(&self, node: &Node, rest: &[u8], fixed: &mut Vec<u8>) -> bool {
        if rest == b"/" {
            return true;
        }
        let prefix = self.prefix(node);
        let Some(shorter) = prefix.strip_suffix(b"/") else { return false };
        let is_route = shorter.len() == rest.len()
            && is_alike(tail(rest), tail(shorter))
            && node.is_endpoint();
        if is_route {
            fixed.extend_from_slice(prefix);
        }
        is_route
    }
}

fn give_up(kept: usize, fixed: &mut Vec<u8>) -> bool {
    fixed.truncate(kept);
    false
}

fn tail(bytes: &[u8]) -> &[u8] {
    bytes.get(1..).unwrap_or_default()
}

/// The first byte has been compared by the choice of the child.
fn starts_alike(path: &[u8], prefix: &[u8]) -> bool {
    path.get(..prefix.len()).is_some_and(|start| is_alike(tail(start), tail(prefix)))
}

fn is_alike(one: &[u8], other: &[u8]) -> bool {
    if one.is_ascii() && other.is_ascii() {
        return one.eq_ignore_ascii_case(other);
    }
    let (mut one, mut other) = (one, other);
    while !one.is_empty() && !other.is_empty() {
        let ((this, length), (that, other_length)) = (read_letter(one), read_letter(other));
        if fold(this) != fold(that) {
            return false;
        }
        (one, other) = (&one[length..], &other[other_length..]);
    }
    one.is_empty() && other.is_empty()
}

// === letters ===

/// A byte that is no part of a letter counts as U+FFFD, as in Go.
fn read_letter(bytes: &[u8]) -> (char, usize) {
    let length =
        (1..=bytes.len().min(4)).find(|&length| std::str::from_utf8(&bytes[..length]).is_ok());
    let text = length.and_then(|length| std::str::from_utf8(&bytes[..length]).ok());
    match text.and_then(|text| text.chars().next()) {
        Some(letter) => (letter, letter.len_utf8()),
        None => (char::REPLACEMENT_CHARACTER, 1),
    }
}

/// The letter that the path is in after `at` bytes: its start may lie up to three bytes back.
fn letter_at(path: &[u8], at: usize) -> (usize, char) {
    let is_start = |byte: u8| byte & 0xC0 != 0x80;
    let most = at.min(3);
    for offset in 0..most {
        if path.get(at - offset).is_some_and(|&byte| is_start(byte)) {
            return (offset, read_letter(&path[at - offset..]).0);
        }
    }
    (most, '\0')
}

/// Writes a letter without its first `offset` bytes; bytes of a longer one before it may stay behind, as in gin.
fn put(wanted: char, offset: usize, letter: &mut Letter) {
    wanted.encode_utf8(letter);
    *letter = shift(*letter, offset);
}

fn shift(letter: Letter, by: usize) -> Letter {
    let mut shifted = [0; 4];
    if let Some(kept) = letter.get(by..) {
        shifted[..kept.len()].copy_from_slice(kept);
    }
    shifted
}

/// Letters whose other case is several letters stay as they are, but for the capital I with a dot.
fn lower(letter: char) -> char {
    let mut lower = letter.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(single), None) => single,
        (Some(first), Some(_)) if letter == '\u{130}' => first,
        _ => letter,
    }
}

fn upper(letter: char) -> char {
    let mut upper = letter.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(single), None) => single,
        _ => letter,
    }
}

/// The same for all letters that differ in their case alone. The Turkish i's are letters of their own.
fn fold(letter: char) -> char {
    if matches!(letter, '\u{130}' | '\u{131}') { letter } else { lower(upper(letter)) }
}
