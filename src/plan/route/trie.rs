//! The frozen radix tree of routes and its walk.
//!
//! Nodes lie in one table, the children of a node side by side; the bytes of all prefixes lie in one text, each
//! followed by the first bytes of the node's children. A step touches one node and one piece of the text.

use smallvec::SmallVec;

const NO_ENDPOINT: u32 = u32::MAX;

/// What a node matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The first node of a method, which matches its prefix.
    Root,
    /// Its prefix.
    Fixed,
    /// Anything up to the next slash.
    Param,
    /// Anything to the end; the node before it, with an empty prefix, is of this kind as well.
    CatchAll,
}

#[derive(Debug)]
pub(super) struct Node {
    prefix_start: u32,
    prefix_length: u32,
    first_child: u32,
    endpoint: u32,
    child_count: u16,
    /// How many children are found by their first byte; a wildcard child comes behind them.
    byte_count: u16,
    kind: Kind,
    has_wildcard: bool,
}

/// A node while it is being frozen.
pub(super) struct NewNode<'a> {
    pub prefix: &'a [u8],
    pub child_bytes: &'a [u8],
    pub first_child: u32,
    pub child_count: u16,
    pub endpoint: Option<u32>,
    pub kind: Kind,
    pub has_wildcard: bool,
}

#[derive(Debug, Default)]
pub(super) struct Trie {
    nodes: Vec<Node>,
    text: Vec<u8>,
}

/// The end of a walk.
pub(super) struct Hit {
    pub endpoint: Option<u32>,
    /// There is a route if the last slash is removed, or one is added.
    pub other_slash: bool,
}

/// Nodes that have a parameter which was not tried, as a word fitted.
pub(super) type Skipped = SmallVec<[Place; 8]>;

pub(super) struct Place {
    node: u32,
    /// Where in the path the node's prefix begins.
    at: usize,
    param_count: usize,
}

/// Where the values of parameters go, as ranges of the path.
pub(super) type Ranges = SmallVec<[(u32, u32); 8]>;

/// What to do after a step.
enum Step {
    Go(u32),
    /// Go back to the last skipped place, or end there with this hint about slashes.
    Back {
        other_slash: bool,
    },
    End(Hit),
}

struct Walk<'t, 'p> {
    trie: &'t Trie,
    path: &'p [u8],
    at: usize,
    node: u32,
    params: Option<&'t mut Ranges>,
    param_count: usize,
    /// The words of the node have been tried before.
    is_second_try: bool,
}

// === impl Node ===

impl Node {
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn has_wildcard(&self) -> bool {
        self.has_wildcard
    }

    pub(super) fn has_words(&self) -> bool {
        self.byte_count > 0
    }

    pub(super) fn is_endpoint(&self) -> bool {
        self.endpoint != NO_ENDPOINT
    }

    pub(super) fn has_one_child(&self) -> bool {
        self.child_count == 1
    }

    pub(super) fn first_child(&self) -> Option<u32> {
        (self.child_count > 0).then_some(self.first_child)
    }

    /// A wildcard is the last child.
    pub(super) fn last_child(&self) -> Option<u32> {
        (self.child_count > 0).then(|| self.first_child + u32::from(self.child_count) - 1)
    }

    fn hit(&self) -> Hit {
        Hit {
            endpoint: (self.endpoint != NO_ENDPOINT).then_some(self.endpoint),
            other_slash: false,
        }
    }
}

// === impl Hit ===

impl Hit {
    fn none(other_slash: bool) -> Self {
        Self { endpoint: None, other_slash }
    }
}

// === impl Trie ===

impl Trie {
    pub(super) fn push(&mut self, node: &NewNode<'_>) {
        let prefix_start = narrow(self.text.len());
        self.text.extend_from_slice(node.prefix);
        self.text.extend_from_slice(node.child_bytes);
        self.nodes.push(Node {
            prefix_start,
            prefix_length: narrow(node.prefix.len()),
            first_child: node.first_child,
            endpoint: node.endpoint.unwrap_or(NO_ENDPOINT),
            child_count: node.child_count,
            byte_count: u16::try_from(node.child_bytes.len()).unwrap_or(u16::MAX),
            kind: node.kind,
            has_wildcard: node.has_wildcard,
        });
    }

    pub(super) fn shrink(&mut self) {
        self.nodes.shrink_to_fit();
        self.text.shrink_to_fit();
    }

    pub(super) fn node(&self, id: u32) -> &Node {
        &self.nodes[id as usize]
    }

    pub(super) fn prefix(&self, node: &Node) -> &[u8] {
        let start = node.prefix_start as usize;
        &self.text[start..start + node.prefix_length as usize]
    }

    fn child_bytes(&self, node: &Node) -> &[u8] {
        let start = (node.prefix_start + node.prefix_length) as usize;
        &self.text[start..start + usize::from(node.byte_count)]
    }

    /// The child whose prefix begins with this byte.
    pub(super) fn child_by_byte(&self, node: &Node, byte: u8) -> Option<u32> {
        let position = self.child_bytes(node).iter().position(|&known| known == byte)?;
        Some(node.first_child + narrow(position))
    }

    /// Searches the tree under `root`. Values of parameters go to `params`; `skipped` may hold places of other trees.
    pub(super) fn walk<'t>(
        &'t self,
        root: u32,
        path: &[u8],
        params: Option<&'t mut Ranges>,
        skipped: &mut Skipped,
    ) -> Hit {
        Walk { trie: self, path, at: 0, node: root, params, param_count: 0, is_second_try: false }
            .run(skipped)
    }
}

/// Sizes of routes are far below 4 GiB; one that is not gives a tree that finds less, not a wrong place in memory.
fn narrow(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

// === impl Walk ===

impl Walk<'_, '_> {
    fn run(mut self, skipped: &mut Skipped) -> Hit {
        loop {
            let step = self.step(skipped);
            self.is_second_try = false;
            match step {
                Step::Go(node) => self.node = node,
                Step::End(hit) => return hit,
                Step::Back { other_slash } => match self.last_place(skipped) {
                    Some(place) => self.go_back(&place),
                    None => return Hit::none(other_slash),
                },
            }
        }
    }

    /// Only places behind us are gone back to; others come from the tree of another method.
    fn last_place(&self, skipped: &mut Skipped) -> Option<Place> {
        while let Some(place) = skipped.pop() {
            if place.at <= self.at {
                return Some(place);
            }
        }
        None
    }

    fn go_back(&mut self, place: &Place) {
        self.node = place.node;
        self.at = place.at;
        self.param_count = place.param_count;
        self.is_second_try = true;
        if let Some(params) = &mut self.params {
            params.truncate(place.param_count);
        }
    }

    fn step(&mut self, skipped: &mut Skipped) -> Step {
        let trie = self.trie;
        let node = trie.node(self.node);
        let prefix = trie.prefix(node);
        let rest = self.path.get(self.at..).unwrap_or_default();
        match rest.strip_prefix(prefix) {
            Some([]) => self.end_at(node, rest),
            Some(after) => self.go_on(node, prefix.len(), after, skipped),
            None => Self::mismatch(node, prefix, rest),
        }
    }

    /// The prefix fits and more of the path follows: words first, then the wildcard.
    fn go_on(
        &mut self,
        node: &Node,
        prefix_length: usize,
        after: &[u8],
        skipped: &mut Skipped,
    ) -> Step {
        let start = self.at;
        self.at += prefix_length;
        if !self.is_second_try
            && let Some(&byte) = after.first()
            && let Some(child) = self.trie.child_by_byte(node, byte)
        {
            if node.has_wildcard {
                skipped.push(Place { node: self.node, at: start, param_count: self.param_count });
            }
            return Step::Go(child);
        }
        if !node.has_wildcard {
            let is_slash = after == b"/";
            let hit = Hit::none(is_slash && node.is_endpoint());
            return if is_slash { Step::End(hit) } else { Step::Back { other_slash: false } };
        }
        let Some(child) = node.last_child() else { return Step::End(Hit::none(false)) };
        self.param_count += 1;
        match self.trie.node(child) {
            wildcard if wildcard.kind == Kind::CatchAll => {
                self.save_param(after.len());
                Step::End(wildcard.hit())
            }
            wildcard => self.take_param(wildcard, after),
        }
    }

    /// A parameter takes all up to the next slash, which may be nothing.
    fn take_param(&mut self, wildcard: &Node, after: &[u8]) -> Step {
        let length = memchr::memchr(b'/', after).unwrap_or(after.len());
        self.save_param(length);
        if length < after.len() {
            self.at += length;
            return match wildcard.first_child() {
                Some(child) => Step::Go(child),
                None => Step::End(Hit::none(after.len() == length + 1)),
            };
        }
        if wildcard.is_endpoint() {
            return Step::End(wildcard.hit());
        }
        let other_slash = wildcard.has_one_child()
            && wildcard.first_child().is_some_and(|child| {
                let child = self.trie.node(child);
                match self.trie.prefix(child) {
                    b"/" => child.is_endpoint(),
                    b"" => self.trie.child_bytes(child) == b"/",
                    _ => false,
                }
            });
        Step::End(Hit::none(other_slash))
    }

    fn save_param(&mut self, length: usize) {
        if let Some(params) = &mut self.params {
            params.push((narrow(self.at), narrow(self.at + length)));
        }
    }

    /// The path ends where the node's prefix does.
    fn end_at(&self, node: &Node, rest: &[u8]) -> Step {
        if node.is_endpoint() {
            return Step::End(node.hit());
        }
        let other_slash = self.is_one_slash_away(node, rest);
        if rest == b"/" { Step::End(Hit::none(other_slash)) } else { Step::Back { other_slash } }
    }

    fn is_one_slash_away(&self, node: &Node, rest: &[u8]) -> bool {
        if rest == b"/"
            && (node.kind == Kind::Fixed || (node.has_wildcard && node.kind != Kind::Root))
        {
            return true;
        }
        let Some(child) = self.trie.child_by_byte(node, b'/') else { return false };
        self.trie.slash_child_is_endpoint(child)
    }

    /// The path leaves the prefix, or ends within it.
    fn mismatch(node: &Node, prefix: &[u8], rest: &[u8]) -> Step {
        let is_slash = rest == b"/";
        let lacks_slash = prefix.strip_suffix(b"/") == Some(rest) && node.is_endpoint();
        if is_slash || lacks_slash {
            Step::End(Hit::none(true))
        } else {
            Step::Back { other_slash: false }
        }
    }
}

impl Trie {
    /// Whether a child that begins with a slash is a route with that slash alone, or a catch-all.
    pub(super) fn slash_child_is_endpoint(&self, child: u32) -> bool {
        let child = self.node(child);
        let is_route = child.prefix_length == 1 && child.is_endpoint();
        let is_catch_all = || {
            child.kind == Kind::CatchAll
                && child.first_child().is_some_and(|inner| self.node(inner).is_endpoint())
        };
        is_route || is_catch_all()
    }
}
