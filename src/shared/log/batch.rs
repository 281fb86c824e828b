//! Records that wait to be written, and how far the writing has come.

/// Bytes that are gathered for one write to an output.
pub(super) const BATCH_BYTES: usize = 64 * 1024;

#[derive(Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    /// Where each record ends.
    ends: Vec<usize>,
    written: usize,
    /// The records that are written whole.
    records_written: usize,
}

// === impl Batch ===

impl Batch {
    /// Appends one record; one without bytes is none.
    pub(super) fn append(&mut self, format: impl FnOnce(&mut Vec<u8>)) {
        let start = self.ends.last().copied().unwrap_or(0);
        format(&mut self.bytes);
        if self.bytes.len() > start {
            self.ends.push(self.bytes.len());
        }
    }

    pub(super) fn is_long(&self) -> bool {
        self.bytes.len() >= BATCH_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// What is not written yet, and the length of its first record.
    pub(super) fn rest(&self) -> Option<(&[u8], usize)> {
        let end = self.ends.get(self.records_written)?;
        Some((&self.bytes[self.written..], end - self.written))
    }

    /// Counts bytes as written.
    pub(super) fn advance(&mut self, count: usize) {
        self.written = (self.written + count).min(self.bytes.len());
        let left = &self.ends[self.records_written..];
        self.records_written += left.partition_point(|end| *end <= self.written);
    }

    /// Goes back to the beginning of a record that is written in part.
    pub(super) fn restart_record(&mut self) {
        self.written = match self.records_written {
            0 => 0,
            count => self.ends[count - 1],
        };
    }

    /// Leaves the first record out.
    pub(super) fn skip_record(&mut self) {
        if let Some(end) = self.ends.get(self.records_written) {
            self.written = *end;
            self.records_written += 1;
        }
    }

    /// Leaves all records out that are not written whole, and tells how many.
    pub(super) fn skip_all(&mut self) -> usize {
        let left = self.ends.len() - self.records_written;
        self.restart_from_nothing(self.is_torn());
        left
    }

    /// Makes room for the next records, when all are written.
    pub(super) fn clear(&mut self) {
        self.restart_from_nothing(false);
    }

    /// A record is written in part.
    fn is_torn(&self) -> bool {
        let begin = self.records_written.checked_sub(1).map_or(0, |last| self.ends[last]);
        self.written > begin
    }

    /// After a torn record, the next one begins on a line of its own.
    fn restart_from_nothing(&mut self, is_torn: bool) {
        self.bytes.clear();
        self.bytes.shrink_to(2 * BATCH_BYTES);
        self.ends.clear();
        self.ends.shrink_to(BATCH_BYTES / 32);
        (self.written, self.records_written) = (0, 0);
        if is_torn {
            self.bytes.push(b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(records: &[&str]) -> Batch {
        let mut batch = Batch::default();
        for record in records {
            batch.append(|out| out.extend_from_slice(record.as_bytes()));
        }
        batch
    }

    #[test]
    fn writing_moves_over_whole_records_and_parts_of_them() {
        let mut batch = batch(&["one\n", "", "three\n", "4\n"]);
        assert_eq!(batch.rest(), Some((b"one\nthree\n4\n".as_slice(), 4)));
        batch.advance(6);
        assert_eq!(batch.rest(), Some((b"ree\n4\n".as_slice(), 4)));
        batch.restart_record();
        assert_eq!(batch.rest(), Some((b"three\n4\n".as_slice(), 6)));
        batch.skip_record();
        assert_eq!(batch.rest(), Some((b"4\n".as_slice(), 2)));
        batch.advance(2);
        assert_eq!(batch.rest(), None);
        batch.clear();
        assert!(batch.is_empty());
    }

    #[test]
    fn what_follows_a_torn_record_begins_on_its_own_line() {
        let mut torn = batch(&["one\n", "two\n"]);
        torn.advance(5);
        assert_eq!(torn.skip_all(), 1);
        assert!(torn.is_empty());
        torn.append(|out| out.extend_from_slice(b"three\n"));
        assert_eq!(torn.rest(), Some((b"\nthree\n".as_slice(), 7)));
        let mut whole = batch(&["one\n", "two\n"]);
        whole.advance(4);
        assert_eq!(whole.skip_all(), 1);
        whole.append(|out| out.extend_from_slice(b"three\n"));
        assert_eq!(whole.rest(), Some((b"three\n".as_slice(), 6)));
    }
}
