//! `RouteParams`: the values of a route's parameters, as ranges of the path that was searched.

use smallvec::SmallVec;

/// A request without a route may have some, too: those on the way to where the search ended. The check of encoded
/// parameters applies to them all the same.
#[derive(Clone, Debug, Default)]
pub struct RouteParams {
    pub ranges: SmallVec<[(u32, u32); 8]>,
    /// The path without its extra slashes, if it had any that are to be removed.
    pub cleaned: Option<Box<[u8]>>,
}

impl RouteParams {
    #[must_use]
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The value in a place; `path` is the one that was searched.
    #[must_use]
    pub fn get<'a>(&'a self, path: &'a [u8], slot: usize) -> Option<&'a [u8]> {
        let &(start, end) = self.ranges.get(slot)?;
        let path = self.cleaned.as_deref().unwrap_or(path);
        path.get(start as usize..end as usize)
    }

    pub fn iter<'a>(&'a self, path: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        (0..self.len()).filter_map(move |slot| self.get(path, slot))
    }
}
