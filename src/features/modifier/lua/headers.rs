//! `HeaderMap`: headers as scripts see them, by their canonical names and each with all its values.

use crate::message::headers::is_token_byte;

/// Names in the order they came, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderMap {
    entries: Vec<(Vec<u8>, Vec<Vec<u8>>)>,
}

impl HeaderMap {
    pub fn of<'h>(fields: impl Iterator<Item = (&'h [u8], &'h [u8])>) -> Self {
        let mut map = Self::default();
        for (name, value) in fields {
            let name = canonical(name);
            match map.entries.iter_mut().find(|(known, _)| *known == name) {
                Some((_, values)) => values.push(value.to_vec()),
                None => map.entries.push((name, vec![value.to_vec()])),
            }
        }
        map
    }

    /// All values of exactly this name.
    pub fn values(&self, name: &[u8]) -> &[Vec<u8>] {
        self.entries
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, values)| values.as_slice())
            .unwrap_or_default()
    }

    /// The first value, empty where there is none.
    pub fn first(&self, name: &[u8]) -> &[u8] {
        self.values(name).first().map(Vec::as_slice).unwrap_or_default()
    }

    pub fn set(&mut self, name: Vec<u8>, values: Vec<Vec<u8>>) {
        match self.entries.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = values,
            None => self.entries.push((name, values)),
        }
    }

    pub fn remove(&mut self, name: &[u8]) {
        self.entries.retain(|(known, _)| known != name);
    }

    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[Vec<u8>])> {
        self.entries.iter().map(|(name, values)| (name.as_slice(), values.as_slice()))
    }

    /// Every line.
    pub fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.iter()
            .flat_map(|(name, values)| values.iter().map(move |value| (name, value.as_slice())))
    }
}

/// `x-one` as Go's textproto writes it, `X-One`; what is no name stays as it is.
pub fn canonical(name: &[u8]) -> Vec<u8> {
    if !name.iter().all(|&byte| is_token_byte(byte)) {
        return name.to_vec();
    }
    let mut is_first = true;
    let letters = name.iter().map(|byte| {
        let letter = if is_first { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() };
        is_first = *byte == b'-';
        letter
    });
    letters.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_canonical_and_keep_all_their_values() {
        let fields = [("x-a", "1"), ("B", "2"), ("X-A", "3")];
        let map =
            HeaderMap::of(fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        assert_eq!(map.values(b"X-A"), [b"1", b"3"]);
        assert_eq!(map.first(b"X-A"), b"1");
        assert_eq!(map.first(b"x-a"), b"");
        assert_eq!(map.lines().count(), 3);
    }

    #[test]
    fn setting_replaces_all_values_and_removing_takes_the_name() {
        let mut map = HeaderMap::of([(&b"A"[..], &b"1"[..]), (b"A", b"2")].into_iter());
        map.set(b"A".to_vec(), vec![b"3".to_vec()]);
        assert_eq!(map.values(b"A"), [b"3"]);
        map.remove(b"A");
        assert_eq!(map, HeaderMap::default());
    }

    #[test]
    fn what_is_no_name_stays_as_it_is() {
        assert_eq!(canonical(b"x-one-TWO"), b"X-One-Two");
        assert_eq!(canonical(b"x one"), b"x one");
    }
}
