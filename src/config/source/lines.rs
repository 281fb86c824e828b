//! From a byte offset to line and column.

pub struct Lines<'a> {
    text: &'a [u8],
    /// Offset of the first byte of each line.
    starts: Vec<usize>,
}

/// Columns count characters, but only on lines of this length: a configuration in one long line would
/// otherwise be counted from its beginning for every value.
const COUNTED_BYTES_MAX: usize = 4096;

impl<'a> Lines<'a> {
    pub fn new(text: &'a [u8]) -> Self {
        let starts =
            std::iter::once(0).chain(memchr::memchr_iter(b'\n', text).map(|at| at + 1)).collect();
        Self { text, starts }
    }

    /// Line and column, both from 1.
    pub fn locate(&self, offset: usize) -> (u32, u32) {
        let offset = offset.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let before = self.text.get(start..offset).unwrap_or_default();
        let column = if before.len() > COUNTED_BYTES_MAX {
            before.len()
        } else {
            before.iter().filter(|byte| !(0x80..0xC0).contains(*byte)).count()
        };
        (small(line), small(column + 1))
    }

    /// The byte at a line and a column: the way back of [`Lines::locate`].
    pub fn offset(&self, line: u32, column: u32) -> usize {
        let index = usize::try_from(line).unwrap_or(usize::MAX).saturating_sub(1);
        let start = self.starts.get(index).copied().unwrap_or(self.text.len());
        let end = self.starts.get(index.saturating_add(1)).copied().unwrap_or(self.text.len());
        let text = self.text.get(start..end).unwrap_or_default();
        let passed = usize::try_from(column).unwrap_or(usize::MAX).saturating_sub(1);
        if passed > COUNTED_BYTES_MAX {
            return start + passed.min(text.len());
        }
        let mut characters = (0..text.len()).filter(|at| !(0x80..0xC0).contains(&text[*at]));
        start + characters.nth(passed).unwrap_or(text.len())
    }
}

/// Positions beyond four thousand million stay at the last one.
pub fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_begin_at_one_and_count_characters() {
        let lines = Lines::new("a\n ä=1\n".as_bytes());
        assert_eq!(lines.locate(0), (1, 1));
        assert_eq!(lines.locate(1), (1, 2));
        assert_eq!(lines.locate(2), (2, 1));
        assert_eq!(lines.locate(5), (2, 3));
        assert_eq!(lines.locate(99), (3, 1));
        for offset in [0, 1, 2, 3, 5, 7] {
            let (line, column) = lines.locate(offset);
            assert_eq!(lines.offset(line, column), offset);
        }
        assert_eq!(lines.offset(9, 9), 8);
    }
}
