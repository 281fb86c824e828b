//! What the configuration does to one upstream's data: `target`, then `allow` or `deny`, `mapping`, `group` (spec 2.16).

use crate::json::document::{Bodies, Content, Document, Key, Member, Names, Span};
use crate::json::error::EditError;
use crate::json::flatmap::{Flatmap, FlatmapOp};
use crate::json::path::{Branch, Name, Path, Tree};
use crate::json::value::Value;

/// Room in a grouped document for the groups of others that are merged into it.
const GROUPS_COMMON: usize = 4;

/// The edits of a backend as configured. Empty fields do nothing.
#[derive(Clone, Debug, Default)]
pub struct EditSpec {
    pub target: String,
    pub allow: Vec<String>,
    pub deny: Vec<String>,
    /// Old name, new name.
    pub mapping: Vec<(String, String)>,
    pub group: String,
    /// Replaces allow, deny and mapping unless empty.
    pub flatmap: Vec<FlatmapOp>,
}

/// The edits of a backend, ready to be applied to any number of documents.
#[derive(Clone, Debug, Default)]
pub struct Edit {
    target: Option<Path>,
    filter: Filter,
    renames: Vec<Rename>,
    group: Option<Key>,
    /// The body that the keys of `renames` and `group` stand in.
    names: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
enum Filter {
    #[default]
    None,
    Allow(Tree),
    Deny(Tree),
    Flatmap(Flatmap),
}

#[derive(Clone, Debug)]
struct Rename {
    from: Name,
    to: Name,
    key: Key,
}

// === impl Edit ===

impl Edit {
    #[must_use]
    pub fn compile(spec: &EditSpec) -> Self {
        let flatmap = Flatmap::compile(&spec.flatmap);
        let mut names = Names::default();
        let renames =
            if flatmap.is_some() { Vec::new() } else { renames(&spec.mapping, &mut names) };
        let filter = match flatmap {
            Some(flatmap) => Filter::Flatmap(flatmap),
            None if !spec.allow.is_empty() => Filter::Allow(Tree::of_allowed(&spec.allow)),
            None if !spec.deny.is_empty() => Filter::Deny(Tree::of_denied(&spec.deny)),
            None => Filter::None,
        };
        let group = (!spec.group.is_empty()).then(|| names.push(&spec.group, 0));
        let target = (!spec.target.is_empty()).then(|| Path::new(&spec.target));
        Self { target, filter, renames, group, names: names.text }
    }

    #[must_use]
    pub fn is_noop(&self) -> bool {
        self.target.is_none()
            && matches!(self.filter, Filter::None)
            && self.renames.is_empty()
            && self.group.is_none()
    }

    /// # Errors
    /// What [`Flatmap::apply`] says; the document is then of no use.
    pub fn apply(&self, document: &mut Document) -> Result<(), EditError> {
        if let Some(path) = &self.target {
            descend(document, path);
        }
        match &self.filter {
            Filter::None => {}
            Filter::Allow(tree) => document.filter(|members, bodies| allow(members, tree, bodies)),
            Filter::Deny(tree) => document.filter(|members, bodies| deny(members, tree, bodies)),
            Filter::Flatmap(flatmap) => flatmap.apply(document)?,
        }
        self.rename(document);
        self.wrap(document);
        Ok(())
    }

    fn rename(&self, document: &mut Document) {
        let number = document.next_body();
        let Document { bodies, members: Some(members), whole } = document else { return };
        let mut has_renamed = false;
        for rename in &self.renames {
            let all = Bodies::Many(bodies);
            let Some(at) = members.iter().position(|member| rename.from.is(&member.key, all))
            else {
                continue;
            };
            *whole = None;
            let member = members.remove(at);
            // A key mapped onto itself disappears (spec, surprise 41).
            if rename.from == rename.to {
                continue;
            }
            if !has_renamed {
                bodies.push(self.names.clone());
                has_renamed = true;
            }
            let all = Bodies::Many(bodies);
            members.retain(|other| !rename.to.is(&other.key, all));
            members.push(Member { key: in_body(rename.key, number), content: member.content });
        }
    }

    /// Puts the document under one key, also an empty one (`{"g":{}}`) and null (`{"g":null}`).
    fn wrap(&self, document: &mut Document) {
        let Some(key) = self.group else { return };
        let content = match (document.members.take(), document.whole.take()) {
            (None, _) => Content::Value(Box::new(Value::Null)),
            (Some(_), Some(whole)) => Content::Raw(whole),
            (Some(members), None) => Content::Members(members),
        };
        let key = in_body(key, document.next_body());
        document.bodies.push(self.names.clone());
        let mut members = Vec::with_capacity(GROUPS_COMMON);
        members.push(Member { key, content });
        document.members = Some(members);
    }
}

fn in_body(key: Key, number: u32) -> Key {
    Key { span: Span { body: number, ..key.span }, ..key }
}

/// The original's order is random; ours is that of the old names. New names end at their first dot.
fn renames(mapping: &[(String, String)], names: &mut Names) -> Vec<Rename> {
    let mut sorted: Vec<_> = mapping.iter().collect();
    sorted.sort();
    let rename = |(from, to): &(String, String)| {
        let to = to.split('.').next().unwrap_or_default();
        Rename { from: Name::new(from), to: Name::new(to), key: names.push(to, 0) }
    };
    sorted.into_iter().map(rename).collect()
}

// === target ===

/// Makes the object at the end of the path the document; whatever is missing or no object on the way gives `{}`.
fn descend(document: &mut Document, path: &Path) {
    for name in &path.0 {
        if !step(document, name) {
            *document = Document::empty();
            return;
        }
    }
}

/// False if the key does not hold an object.
fn step(document: &mut Document, name: &Name) -> bool {
    let Some(member) = document.find(name) else { return false };
    let (members, whole) = match &member.content {
        Content::Raw(span) => match member.expanded(document.bodies()) {
            Some((members, has_repeats)) => (members, (!has_repeats).then_some(*span)),
            None => return false,
        },
        Content::Members(members) => (members.clone(), None),
        Content::Value(value) => {
            let Value::Object(map) = &**value else { return false };
            *document = Document::from_map(map.clone());
            return true;
        }
    };
    (document.members, document.whole) = (Some(members), whole);
    true
}

// === allow and deny ===

impl Document {
    fn filter(&mut self, filter: impl FnOnce(&mut Vec<Member>, Bodies<'_>) -> bool) {
        if let Some(members) = &mut self.members
            && filter(members, Bodies::Many(&self.bodies))
        {
            self.whole = None;
        }
    }
}

/// Keeps what the tree names; says whether anything changed. Lists are not entered. A branch of which nothing is left
/// goes as well.
fn allow(members: &mut Vec<Member>, tree: &Tree, bodies: Bodies<'_>) -> bool {
    let mut has_changed = false;
    members.retain_mut(|member| {
        let is_kept = match tree.find_key(&member.key, bodies) {
            None => false,
            Some(Branch::Leaf) => true,
            Some(Branch::Tree(below)) => {
                has_changed = true;
                allow_below(member, below, bodies)
            }
        };
        has_changed |= !is_kept;
        is_kept
    });
    has_changed
}

fn allow_below(member: &mut Member, tree: &Tree, bodies: Bodies<'_>) -> bool {
    if let Some((members, _)) = member.expanded(bodies) {
        member.content = Content::Members(members);
    }
    match &mut member.content {
        Content::Raw(_) => false,
        Content::Members(members) => {
            allow(members, tree, bodies);
            !members.is_empty()
        }
        Content::Value(value) => allow_value(value, tree),
    }
}

fn allow_value(value: &mut Value, tree: &Tree) -> bool {
    let Value::Object(map) = value else { return false };
    map.retain(|key, value| match tree.find_text(key) {
        None => false,
        Some(Branch::Leaf) => true,
        Some(Branch::Tree(below)) => allow_value(value, below),
    });
    !map.is_empty()
}

/// Removes what the tree names; says whether anything changed. Emptied objects stay.
fn deny(members: &mut Vec<Member>, tree: &Tree, bodies: Bodies<'_>) -> bool {
    let mut has_changed = false;
    members.retain_mut(|member| match tree.find_key(&member.key, bodies) {
        None => true,
        Some(Branch::Leaf) => {
            has_changed = true;
            false
        }
        Some(Branch::Tree(below)) => {
            has_changed |= deny_below(member, below, bodies);
            true
        }
    });
    has_changed
}

fn deny_below(member: &mut Member, tree: &Tree, bodies: Bodies<'_>) -> bool {
    if let Some((mut members, _)) = member.expanded(bodies) {
        let has_changed = deny(&mut members, tree, bodies);
        if has_changed {
            member.content = Content::Members(members);
        }
        return has_changed;
    }
    match &mut member.content {
        Content::Raw(_) => false,
        Content::Members(members) => deny(members, tree, bodies),
        Content::Value(value) => deny_value(value, tree),
    }
}

fn deny_value(value: &mut Value, tree: &Tree) -> bool {
    let Value::Object(map) = value else { return false };
    let before = map.len();
    let mut has_changed = false;
    map.retain(|key, value| match tree.find_text(key) {
        None => true,
        Some(Branch::Leaf) => false,
        Some(Branch::Tree(below)) => {
            has_changed |= deny_value(value, below);
            true
        }
    });
    has_changed || map.len() != before
}

#[cfg(test)]
mod tests;
