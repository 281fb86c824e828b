//! Collects routes into a radix tree, refusing what gin refuses, and freezes it.
//!
//! The order of insertion matters for the wording of a conflict, so the growing tree keeps what gin's does: children
//! by priority, a wildcard last.

use std::collections::VecDeque;
use std::fmt;

use super::redirect::clean;
use super::trie::{Kind, NewNode, Trie};
use super::{MethodTree, RouteOptions, Routes};

/// Why a route cannot be added; its text is what the original prints when it dies of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    AlreadyRegistered { path: String },
    Wildcard { segment: String, path: String, wildcard: String, prefix: String },
    TwoWildcards { wildcard: String, path: String },
    Unnamed { path: String },
    CatchAllNotLast { path: String },
    CatchAllBesideSegment { wildcard: String, path: String, segment: String, prefix: String },
    NoSlashBeforeCatchAll { path: String },
    Escape { path: String },
    NoMethod,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyRegistered { path } => {
                write!(f, "handlers are already registered for path '{path}'")
            }
            Self::Wildcard { segment, path, wildcard, prefix } => write!(
                f,
                "'{segment}' in new path '{path}' conflicts with existing wildcard '{wildcard}' in existing prefix \
                 '{prefix}'"
            ),
            Self::TwoWildcards { wildcard, path } => {
                write!(
                    f,
                    "only one wildcard per path segment is allowed, has: '{wildcard}' in path '{path}'"
                )
            }
            Self::Unnamed { path } => {
                write!(f, "wildcards must be named with a non-empty name in path '{path}'")
            }
            Self::CatchAllNotLast { path } => {
                write!(
                    f,
                    "catch-all routes are only allowed at the end of the path in path '{path}'"
                )
            }
            Self::CatchAllBesideSegment { wildcard, path, segment, prefix } => write!(
                f,
                "catch-all wildcard '{wildcard}' in new path '{path}' conflicts with existing path segment \
                 '{segment}' in existing prefix '{prefix}'"
            ),
            Self::NoSlashBeforeCatchAll { path } => {
                write!(f, "no / before catch-all in path '{path}'")
            }
            Self::Escape { path } => write!(f, "invalid escape string in path '{path}'"),
            Self::NoMethod => f.write_str("HTTP method can not be empty"),
        }
    }
}

impl std::error::Error for Conflict {}

impl Conflict {
    /// The way out, where it is not plain from the text.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::AlreadyRegistered { .. } => {
                Some("this method and path are served already: leave one of the two out")
            }
            Self::Wildcard { .. } => {
                Some("parameters at the same place of different paths must have the same name")
            }
            Self::Unnamed { .. } => Some("give it a name in braces: \"/files/{name}\""),
            _ => None,
        }
    }
}

/// The names of a route's parameters in the order of their values: `/a/:id/*rest` has `id` and `rest`.
#[must_use]
pub fn param_names(route: &str) -> Vec<String> {
    let path = join_root(route.as_bytes());
    let mut names = Vec::new();
    let mut rest = path.as_slice();
    while let Ok(Some((start, wildcard))) = find_wildcard(rest) {
        names.push(text(&wildcard[1..]));
        rest = &rest[start + wildcard.len()..];
    }
    names
}

/// Collects the routes of all methods.
#[derive(Debug)]
pub struct RoutesBuilder {
    options: RouteOptions,
    methods: Vec<(Box<str>, usize)>,
    nodes: Vec<Growing>,
}

#[derive(Debug)]
struct Growing {
    prefix: Vec<u8>,
    /// First bytes of the children, but for the wildcard's.
    child_bytes: Vec<u8>,
    children: Vec<usize>,
    has_wildcard: bool,
    kind: Kind,
    priority: u32,
    endpoint: Option<u32>,
}

impl Growing {
    fn new(kind: Kind) -> Self {
        Self {
            prefix: Vec::new(),
            child_bytes: Vec::new(),
            children: Vec::new(),
            has_wildcard: false,
            kind,
            priority: 0,
            endpoint: None,
        }
    }
}

/// A route on its way into the tree.
struct Route<'a> {
    whole: &'a [u8],
    id: u32,
}

// === impl RoutesBuilder ===

impl RoutesBuilder {
    #[must_use]
    pub fn new(options: RouteOptions) -> Self {
        Self { options, methods: Vec::new(), nodes: Vec::new() }
    }

    /// Adds a route in the router's form (`/users/:id`, `/files/*path`). Like gin it cleans the path first, so that
    /// `//a` and `/b/../a` are `/a`.
    ///
    /// # Errors
    /// What gin panics about. The builder is of no use afterwards.
    pub fn add(&mut self, method: &str, route: &str, id: u32) -> Result<(), Conflict> {
        if method.is_empty() {
            return Err(Conflict::NoMethod);
        }
        let path = join_root(route.as_bytes());
        let root = self.root_of(method);
        self.insert(root, &Route { whole: &path, id })
    }

    /// Freezes the routes.
    #[must_use]
    pub fn build(self) -> Routes {
        let mut trie = Trie::default();
        let mut methods = Vec::with_capacity(self.methods.len());
        let mut next = 0;
        for (method, root) in &self.methods {
            methods.push(MethodTree { method: method.clone(), root: next });
            next = self.freeze(*root, next, &mut trie);
        }
        trie.shrink();
        Routes { options: self.options, methods: methods.into(), trie }
    }

    /// Writes a tree level by level, which puts the children of a node side by side. Gives the next free place.
    fn freeze(&self, root: usize, first: u32, trie: &mut Trie) -> u32 {
        let mut waiting = VecDeque::from([root]);
        let mut free = first + 1;
        while let Some(at) = waiting.pop_front() {
            let node = &self.nodes[at];
            let child_count = u16::try_from(node.children.len()).unwrap_or(u16::MAX);
            trie.push(&NewNode {
                prefix: &without_escapes(&node.prefix),
                child_bytes: &node
                    .child_bytes
                    .iter()
                    .map(|&b| if b == b'\\' { b':' } else { b })
                    .collect::<Vec<_>>(),
                first_child: free,
                child_count,
                endpoint: node.endpoint,
                kind: node.kind,
                has_wildcard: node.has_wildcard,
            });
            free += u32::from(child_count);
            waiting.extend(&node.children);
        }
        free
    }

    fn root_of(&mut self, method: &str) -> usize {
        if let Some((_, root)) = self.methods.iter().find(|(known, _)| &**known == method) {
            return *root;
        }
        let root = self.push(Growing::new(Kind::Root));
        self.methods.push((method.into(), root));
        root
    }

    fn push(&mut self, node: Growing) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn insert(&mut self, root: usize, route: &Route<'_>) -> Result<(), Conflict> {
        let mut at = root;
        let mut rest = route.whole;
        self.nodes[at].priority += 1;
        if self.nodes[at].prefix.is_empty() && self.nodes[at].children.is_empty() {
            return self.grow(at, rest, route);
        }
        loop {
            let shared = shared_length(rest, &self.nodes[at].prefix);
            if shared < self.nodes[at].prefix.len() {
                self.split(at, shared);
            }
            rest = &rest[shared..];
            let Some(&byte) = rest.first() else { return self.end_at(at, route) };
            let Some(child) = self.descend(at, byte, rest, route)? else {
                let parent = self.attach(at, byte);
                return self.grow(parent, rest, route);
            };
            at = child;
        }
    }

    fn end_at(&mut self, at: usize, route: &Route<'_>) -> Result<(), Conflict> {
        if self.nodes[at].endpoint.is_some() {
            return Err(Conflict::AlreadyRegistered { path: text(route.whole) });
        }
        self.nodes[at].endpoint = Some(route.id);
        Ok(())
    }

    /// Cuts a node in two: it keeps `length` bytes, a new child gets all else.
    fn split(&mut self, at: usize, length: usize) {
        let node = &mut self.nodes[at];
        let tail = node.prefix.split_off(length);
        let first = tail[0];
        let child = Growing {
            prefix: tail,
            child_bytes: std::mem::replace(&mut node.child_bytes, vec![first]),
            children: std::mem::take(&mut node.children),
            has_wildcard: std::mem::take(&mut node.has_wildcard),
            kind: Kind::Fixed,
            priority: node.priority - 1,
            endpoint: node.endpoint.take(),
        };
        let child = self.push(child);
        self.nodes[at].children.push(child);
    }

    /// The existing child that the rest of the route goes to, if there is one.
    fn descend(
        &mut self,
        at: usize,
        byte: u8,
        rest: &[u8],
        route: &Route<'_>,
    ) -> Result<Option<usize>, Conflict> {
        let node = &self.nodes[at];
        if node.kind == Kind::Param && byte == b'/' && node.children.len() == 1 {
            let child = node.children[0];
            self.nodes[child].priority += 1;
            return Ok(Some(child));
        }
        if let Some(position) = node.child_bytes.iter().position(|&known| known == byte) {
            return Ok(Some(self.raise(at, position)));
        }
        let takes_word = byte != b':' && byte != b'*' && node.kind != Kind::CatchAll;
        match node.children.last() {
            Some(&wildcard) if node.has_wildcard && !takes_word => {
                self.nodes[wildcard].priority += 1;
                self.same_wildcard(wildcard, rest, route)?;
                Ok(Some(wildcard))
            }
            _ => Ok(None),
        }
    }

    /// A second wildcard in the same place must have the same name.
    fn same_wildcard(
        &self,
        wildcard: usize,
        rest: &[u8],
        route: &Route<'_>,
    ) -> Result<(), Conflict> {
        let node = &self.nodes[wildcard];
        let after = rest.strip_prefix(node.prefix.as_slice());
        if node.kind != Kind::CatchAll
            && after.is_some_and(|after| after.first().is_none_or(|&byte| byte == b'/'))
        {
            return Ok(());
        }
        let segment = if node.kind == Kind::CatchAll { rest } else { first_segment(rest) };
        let start = memchr::memmem::find(route.whole, segment).unwrap_or(0);
        Err(Conflict::Wildcard {
            segment: text(segment),
            path: text(route.whole),
            wildcard: text(&node.prefix),
            prefix: text(&[&route.whole[..start], &node.prefix].concat()),
        })
    }

    /// The node that the rest of a route grows from: a new child for a word, the node itself for a wildcard.
    fn attach(&mut self, at: usize, byte: u8) -> usize {
        if byte == b':' || byte == b'*' || self.nodes[at].kind == Kind::CatchAll {
            return at;
        }
        let child = self.push(Growing::new(Kind::Fixed));
        self.nodes[at].child_bytes.push(byte);
        self.add_child(at, child);
        self.raise(at, self.nodes[at].child_bytes.len() - 1)
    }

    fn add_child(&mut self, at: usize, child: usize) {
        let node = &mut self.nodes[at];
        let place =
            node.children.len() - usize::from(node.has_wildcard && !node.children.is_empty());
        node.children.insert(place, child);
    }

    /// Counts one more route below a child and moves it before those with fewer.
    fn raise(&mut self, at: usize, position: usize) -> usize {
        let child = self.nodes[at].children[position];
        self.nodes[child].priority += 1;
        let priority = self.nodes[child].priority;
        let ahead = self.nodes[at].children[..position].iter().rev();
        let passed = ahead.take_while(|&&other| self.nodes[other].priority < priority).count();
        let node = &mut self.nodes[at];
        node.children[position - passed..=position].rotate_right(1);
        node.child_bytes[position - passed..=position].rotate_right(1);
        child
    }

    /// Writes the rest of a route into `at` and new nodes below it.
    fn grow(&mut self, mut at: usize, mut rest: &[u8], route: &Route<'_>) -> Result<(), Conflict> {
        while let Some((start, wildcard)) = find_wildcard(rest)? {
            check_wildcard(wildcard, route)?;
            if wildcard[0] == b'*' {
                return self.grow_catch_all(at, rest, start, wildcard, route);
            }
            if start > 0 {
                self.nodes[at].prefix = rest[..start].to_vec();
            }
            rest = &rest[start + wildcard.len()..];
            let param = self.push(Growing {
                prefix: wildcard.to_vec(),
                priority: 1,
                ..Growing::new(Kind::Param)
            });
            self.add_child(at, param);
            self.nodes[at].has_wildcard = true;
            at = param;
            if rest.is_empty() {
                self.nodes[at].endpoint = Some(route.id);
                return Ok(());
            }
            let child = self.push(Growing { priority: 1, ..Growing::new(Kind::Fixed) });
            self.add_child(at, child);
            at = child;
        }
        self.nodes[at].prefix = rest.to_vec();
        self.nodes[at].endpoint = Some(route.id);
        Ok(())
    }

    fn grow_catch_all(
        &mut self,
        at: usize,
        rest: &[u8],
        start: usize,
        wildcard: &[u8],
        route: &Route<'_>,
    ) -> Result<(), Conflict> {
        if start + wildcard.len() != rest.len() {
            return Err(Conflict::CatchAllNotLast { path: text(route.whole) });
        }
        let node = &self.nodes[at];
        if node.prefix.ends_with(b"/") {
            let segment = node
                .children
                .first()
                .map_or(&b""[..], |&child| first_segment(&self.nodes[child].prefix));
            return Err(Conflict::CatchAllBesideSegment {
                wildcard: text(rest),
                path: text(route.whole),
                segment: text(segment),
                prefix: text(&[&node.prefix, segment].concat()),
            });
        }
        let Some(slash) = start.checked_sub(1).filter(|&slash| rest[slash] == b'/') else {
            return Err(Conflict::NoSlashBeforeCatchAll { path: text(route.whole) });
        };
        let value = self.push(Growing {
            prefix: rest[slash..].to_vec(),
            priority: 1,
            endpoint: Some(route.id),
            ..Growing::new(Kind::CatchAll)
        });
        let empty = self.push(Growing {
            has_wildcard: true,
            priority: 1,
            children: vec![value],
            ..Growing::new(Kind::CatchAll)
        });
        self.nodes[at].prefix = rest[..slash].to_vec();
        self.add_child(at, empty);
        self.nodes[at].child_bytes = b"/".to_vec();
        Ok(())
    }
}

fn check_wildcard(wildcard: &[u8], route: &Route<'_>) -> Result<(), Conflict> {
    if wildcard[1..].iter().any(|byte| matches!(byte, b':' | b'*')) {
        return Err(Conflict::TwoWildcards { wildcard: text(wildcard), path: text(route.whole) });
    }
    if wildcard.len() < 2 {
        return Err(Conflict::Unnamed { path: text(route.whole) });
    }
    Ok(())
}

/// The first `:name` or `*name` and where it starts; `\:` is a colon.
fn find_wildcard(path: &[u8]) -> Result<Option<(usize, &[u8])>, Conflict> {
    let mut bytes = path.iter().enumerate();
    while let Some((start, byte)) = bytes.next() {
        match byte {
            b'\\' => match bytes.next() {
                None | Some((_, b':')) => {}
                Some(_) => return Err(Conflict::Escape { path: text(path) }),
            },
            b':' | b'*' => return Ok(Some((start, first_segment(&path[start..])))),
            _ => {}
        }
    }
    Ok(None)
}

fn first_segment(path: &[u8]) -> &[u8] {
    &path[..memchr::memchr(b'/', path).unwrap_or(path.len())]
}

fn shared_length(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

/// What gin makes of a route in the group `/`: cleaned, but for a slash at the end.
fn join_root(route: &[u8]) -> Vec<u8> {
    let mut path = clean(&[b"/", route].concat());
    if route.ends_with(b"/") && !path.ends_with(b"/") {
        path.push(b'/');
    }
    path
}

fn without_escapes(prefix: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(prefix.len());
    let mut rest = prefix;
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'\\' || after.first() != Some(&b':') {
            out.push(byte);
        }
        rest = after;
    }
    out
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
