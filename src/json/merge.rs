//! Several documents as one: equal keys are overwritten whole, the later document winning, as the original merges.

use std::cmp::Ordering;

use crate::json::document::{Bodies, Content, Document, Member};

/// Up to so many comparisons, keys are looked for one by one; beyond, by sorting.
const COMPARISONS_MAX: usize = 4096;

impl Document {
    /// Adds the members of a later answer. Nothing is merged deeply, no body is copied. A later null adds nothing;
    /// two nulls give an empty object (spec 2.17).
    pub fn merge(&mut self, later: Self) {
        match (self.is_null(), later.is_null()) {
            (true, true) => *self = Self::empty(),
            (true, false) => *self = later,
            (false, true) => {}
            (false, false) => self.absorb_shifted(later),
        }
    }

    fn absorb_shifted(&mut self, mut later: Self) {
        if later.is_empty() {
            return;
        }
        let offset = self.next_body();
        if let Some(members) = &mut later.members {
            shift(members, offset);
        }
        self.absorb(later);
    }

    /// Takes over members whose spans already count this document's bodies.
    pub(super) fn absorb(&mut self, later: Self) {
        self.whole = None;
        self.bodies.extend(later.bodies);
        let bodies = Bodies::Many(&self.bodies);
        let members = self.members.get_or_insert_default();
        let fresh = later.members.unwrap_or_default();
        if members.is_empty() {
            *members = fresh;
            return;
        }
        if members.len() * fresh.len() > COMPARISONS_MAX {
            members.extend(fresh);
            drop_repeats(members, bodies);
            return;
        }
        let before = members.len();
        for member in fresh {
            let old =
                members.iter_mut().take(before).find(|old| old.key.is_same(&member.key, bodies));
            match old {
                Some(old) => *old = member,
                None => members.push(member),
            }
        }
    }
}

fn shift(members: &mut [Member], offset: u32) {
    for member in members {
        member.key.span.body += offset;
        match &mut member.content {
            Content::Raw(span) => span.body += offset,
            Content::Members(members) => shift(members, offset),
            Content::Value(_) => {}
        }
    }
}

/// Keeps the last member of each key. By sorting, so that no choice of keys makes it slow.
pub(super) fn drop_repeats(members: &mut Vec<Member>, bodies: Bodies<'_>) -> bool {
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_unstable_by(|&a, &b| by_key(&members[a], &members[b], bodies).then(a.cmp(&b)));
    let mut is_repeated = vec![false; members.len()];
    for pair in order.windows(2) {
        if let [earlier, later] = *pair {
            is_repeated[earlier] =
                by_key(&members[earlier], &members[later], bodies) == Ordering::Equal;
        }
    }
    let before = members.len();
    let mut is_repeated = is_repeated.into_iter();
    members.retain(|_| !is_repeated.next().unwrap_or(false));
    members.len() != before
}

fn by_key(a: &Member, b: &Member, bodies: Bodies<'_>) -> Ordering {
    a.key.hash.cmp(&b.key.hash).then_with(|| a.key.text(bodies).cmp(&b.key.text(bodies)))
}
