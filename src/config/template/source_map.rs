//! From a position of the rendered configuration back to the template that made it.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::config::source::lines::Lines;

/// One file of templates.
#[derive(Debug)]
pub struct SourceFile {
    /// As messages name it.
    pub file: Arc<str>,
    /// As templates name it: the last part of its path.
    pub name: String,
    pub text: String,
}

/// From this byte of the result on, it comes from that place.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    pub written: usize,
    pub origin: Origin,
}

/// A byte of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    pub source: usize,
    pub offset: usize,
    /// Text is copied, so its bytes can be followed; what an action writes belongs to the action.
    pub is_text: bool,
}

#[derive(Debug)]
pub struct SourceMap {
    rendered: Vec<u8>,
    sources: Vec<SourceFile>,
    marks: Vec<Mark>,
}

// === impl Origin ===

impl Origin {
    /// A number that goes through the template engine: 24 bits for the file, 31 for the byte, one for its kind.
    pub fn packed(self) -> i64 {
        let bits = (self.source & 0xff_ffff) << 32
            | (self.offset & 0x7fff_ffff) << 1
            | usize::from(self.is_text);
        i64::try_from(bits).unwrap_or(0)
    }

    pub fn unpacked(number: u64) -> Self {
        let part = |bits: u64| usize::try_from(bits).unwrap_or(0);
        Self {
            source: part(number >> 32),
            offset: part(number >> 1 & 0x7fff_ffff),
            is_text: number & 1 == 1,
        }
    }
}

// === impl SourceMap ===

impl SourceMap {
    pub fn new(rendered: Vec<u8>, sources: Vec<SourceFile>, marks: Vec<Mark>) -> Self {
        Self { rendered, sources, marks }
    }

    pub fn rendered(&self) -> &[u8] {
        &self.rendered
    }

    /// File, line and column of a template for a line and a column of the result.
    pub fn locate(&self, line: u32, column: u32) -> Option<(&Arc<str>, u32, u32)> {
        let at = Lines::new(&self.rendered).offset(line, column);
        let mark = self
            .marks
            .get(self.marks.partition_point(|mark| mark.written <= at).checked_sub(1)?)?;
        let source = self.sources.get(mark.origin.source)?;
        let passed = if mark.origin.is_text { at - mark.written } else { 0 };
        let (line, column) = Lines::new(source.text.as_bytes()).locate(mark.origin.offset + passed);
        Some((&source.file, line, column))
    }
}

/// Two are the same when they are one.
impl PartialEq for SourceMap {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for SourceMap {}

impl Hash for SourceMap {
    fn hash<H: Hasher>(&self, _state: &mut H) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_lead_back_to_their_templates() {
        let file = |file: &str, text: &str| SourceFile {
            file: file.into(),
            name: file.to_owned(),
            text: text.to_owned(),
        };
        let mark = |written, source, offset, is_text| Mark {
            written,
            origin: Origin { source, offset, is_text },
        };
        let map = SourceMap::new(
            b"one\n22\nthree".to_vec(),
            vec![file("a", "one\n{{ x }}"), file("b", "\n\nthree")],
            vec![mark(0, 0, 0, true), mark(4, 0, 7, false), mark(7, 1, 2, true)],
        );
        assert_eq!(map.locate(1, 3), Some((&"a".into(), 1, 3)));
        assert_eq!(map.locate(2, 2), Some((&"a".into(), 2, 4)));
        assert_eq!(map.locate(3, 4), Some((&"b".into(), 3, 4)));
    }

    #[test]
    fn origins_are_packed_without_loss() {
        let origin = Origin { source: 3, offset: 70_000, is_text: true };
        assert_eq!(Origin::unpacked(u64::try_from(origin.packed()).expect("positive")), origin);
    }
}
