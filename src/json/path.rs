//! Names and paths of the configuration, compiled so that they compare quickly with the keys of a body.

use crate::json::document::{Bodies, Key};

/// A key's text as a number; equal texts have equal hashes. Not keyed: whoever needs safety against chosen keys sorts.
#[allow(clippy::cast_possible_truncation)]
pub(super) fn hash(text: &[u8]) -> u32 {
    let (first, last) = match text {
        [] => (0, 0),
        [a] => (u64::from(*a), 0),
        [a, b] => (u64::from(*a) | u64::from(*b) << 8, 0),
        [a, b, c] => (u64::from(*a) | u64::from(*b) << 8 | u64::from(*c) << 16, 0),
        _ => ends(text),
    };
    let product = u128::from(first ^ 0x9e37_79b9_7f4a_7c15)
        * u128::from(last ^ 0xd6e8_feb8_6659_fd93 ^ text.len() as u64);
    (product >> 64) as u32 ^ product as u32
}

/// The first and the last eight (or four) bytes.
fn ends(text: &[u8]) -> (u64, u64) {
    match (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => match (text.first_chunk::<4>(), text.last_chunk::<4>()) {
            (Some(first), Some(last)) => {
                (u64::from(u32::from_le_bytes(*first)), u64::from(u32::from_le_bytes(*last)))
            }
            _ => (0, 0),
        },
    }
}

/// One segment of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub text: Box<str>,
    pub hash: u32,
}

/// A dot path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path(pub Box<[Name]>);

/// Paths that share their beginnings: what `allow` and `deny` lists become. Names are sorted by hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tree {
    branches: Vec<(Name, Branch)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Branch {
    /// The path ends here.
    Leaf,
    Tree(Tree),
}

// === impl Name ===

impl Name {
    pub fn new(text: &str) -> Self {
        Self { text: text.into(), hash: hash(text.as_bytes()) }
    }

    pub fn is(&self, key: &Key, bodies: Bodies<'_>) -> bool {
        self.hash == key.hash && *key.text(bodies) == *self.text.as_bytes()
    }
}

// === impl Path ===

impl Path {
    pub fn new(dotted: &str) -> Self {
        Self(dotted.split('.').map(Name::new).collect())
    }
}

// === impl Tree ===

impl Tree {
    /// A later path wins over an earlier one (spec 2.16): a leaf replaces a tree, a longer path replaces a leaf.
    pub fn of_allowed(paths: &[String]) -> Self {
        let mut tree = Self::default();
        for path in paths {
            tree.insert(&mut path.split('.').peekable(), true);
        }
        tree
    }

    /// A parent swallows its children, wherever it stands in the list (spec 2.16).
    pub fn of_denied(paths: &[String]) -> Self {
        let mut tree = Self::default();
        for path in paths {
            tree.insert(&mut path.split('.').peekable(), false);
        }
        tree
    }

    fn insert<'p>(
        &mut self,
        segments: &mut std::iter::Peekable<impl Iterator<Item = &'p str>>,
        deepens_leaf: bool,
    ) {
        let Some(segment) = segments.next() else { return };
        let branch = self.branch(Name::new(segment));
        if segments.peek().is_none() {
            *branch = Branch::Leaf;
            return;
        }
        match branch {
            // A branch just made is an empty tree, never a leaf.
            Branch::Leaf if !deepens_leaf => {}
            Branch::Leaf => {
                let mut below = Self::default();
                below.insert(segments, deepens_leaf);
                *branch = Branch::Tree(below);
            }
            Branch::Tree(below) => below.insert(segments, deepens_leaf),
        }
    }

    fn branch(&mut self, name: Name) -> &mut Branch {
        let at = match self.branches.iter().position(|(other, _)| *other == name) {
            Some(at) => at,
            None => {
                let at = self.branches.partition_point(|(other, _)| other.hash < name.hash);
                self.branches.insert(at, (name, Branch::Tree(Self::default())));
                at
            }
        };
        &mut self.branches[at].1
    }

    pub fn find_key(&self, key: &Key, bodies: Bodies<'_>) -> Option<&Branch> {
        let at = self.branches.partition_point(|(name, _)| name.hash < key.hash);
        let same_hash = self.branches.iter().skip(at).take_while(|(name, _)| name.hash == key.hash);
        same_hash.into_iter().find(|(name, _)| name.is(key, bodies)).map(|(_, branch)| branch)
    }

    pub fn find_text(&self, text: &str) -> Option<&Branch> {
        self.branches.iter().find(|(name, _)| *name.text == *text).map(|(_, branch)| branch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_later_allowed_parent_wins_over_its_child_and_a_later_child_over_its_parent() {
        let tree = Tree::of_allowed(&paths(&["a.b", "a"]));
        assert_eq!(tree.find_text("a"), Some(&Branch::Leaf));
        let tree = Tree::of_allowed(&paths(&["a", "a.b"]));
        assert!(
            matches!(tree.find_text("a"), Some(Branch::Tree(below)) if below.find_text("b") == Some(&Branch::Leaf))
        );
    }

    #[test]
    fn a_denied_parent_swallows_its_children_in_either_order() {
        for list in [["a", "a.b"], ["a.b", "a"]] {
            assert_eq!(Tree::of_denied(&paths(&list)).find_text("a"), Some(&Branch::Leaf));
        }
    }

    #[test]
    fn equal_texts_have_equal_hashes_and_similar_ones_differ() {
        let texts = [
            "",
            "a",
            "b",
            "ab",
            "ba",
            "abc",
            "abcd",
            "abcde",
            "id",
            "name",
            "user_id",
            "user_name",
            "something_longer",
        ];
        for (i, a) in texts.iter().enumerate() {
            for b in &texts[i + 1..] {
                assert_ne!(hash(a.as_bytes()), hash(b.as_bytes()), "{a} {b}");
            }
        }
    }
}
