//! `AddedHeaders`: header lines that stages put over the client's, for upstreams and for every later look-up.

use std::sync::Arc;

/// Names that the stages of one request may set.
pub const ADDED_HEADERS_MAX: usize = 64;

/// Header lines of the gateway's own. A name that stands here hides the client's lines of that name.
#[derive(Clone, Debug, Default)]
pub struct AddedHeaders(Vec<Added>);

#[derive(Clone, Debug)]
struct Added {
    name: Arc<str>,
    /// One line each; none of them: the client's lines are taken away.
    values: Vec<String>,
}

/// A stage wanted to set more than [`ADDED_HEADERS_MAX`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

// === impl AddedHeaders ===

impl AddedHeaders {
    /// Sets the lines of a name in place of the client's, and of what an earlier stage set.
    ///
    /// # Errors
    /// [`TooMany`] names; nothing has changed then.
    pub fn set(&mut self, name: &Arc<str>, values: Vec<String>) -> Result<(), TooMany> {
        let count = self.0.len();
        match self.0.iter_mut().find(|added| added.name.eq_ignore_ascii_case(name)) {
            Some(added) => added.values = values,
            None if count == ADDED_HEADERS_MAX => return Err(TooMany),
            None => self.0.push(Added { name: name.clone(), values }),
        }
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The lines of a name; `None` when no stage has said anything about it.
    pub fn lines(&self, name: &[u8]) -> Option<&[String]> {
        let added = self.0.iter().find(|added| added.name.as_bytes().eq_ignore_ascii_case(name))?;
        Some(&added.values)
    }

    /// All lines, those of a name together.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .flat_map(|added| added.values.iter().map(|value| (&*added.name, value.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_set_once_whatever_its_case() {
        let mut added = AddedHeaders::default();
        added.set(&"X-User".into(), vec!["a".into()]).expect("room");
        added.set(&"x-user".into(), vec!["b".into(), "c".into()]).expect("room");
        assert_eq!(added.lines(b"X-USER"), Some(&["b".to_owned(), "c".to_owned()][..]));
        assert_eq!(added.lines(b"X-Other"), None);
        assert_eq!(added.iter().count(), 2);
    }

    #[test]
    fn the_number_of_names_is_bounded() {
        let mut added = AddedHeaders::default();
        for number in 0..ADDED_HEADERS_MAX {
            added.set(&format!("X-{number}").into(), Vec::new()).expect("room");
        }
        assert_eq!(added.set(&"X-More".into(), Vec::new()), Err(TooMany));
        assert_eq!(added.set(&"x-0".into(), vec!["v".into()]), Ok(()));
    }
}
