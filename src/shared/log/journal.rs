//! Priorities for the journal: `<3>` before each line, which systemd takes off again.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;

use super::access::AccessRecord;
use super::syslog::severity;
use super::{AccessFormat, Level, Line, LineFormat, LocalTime};

/// Another format with priorities.
pub struct Journal<F> {
    inner: F,
    scratch: Vec<u8>,
}

/// Whether `JOURNAL_STREAM`, device and inode of the journal's socket, names this file.
pub fn is_journal(file: &File, variable: Option<&OsStr>) -> bool {
    let named = variable.and_then(OsStr::to_str).and_then(|text| text.split_once(':'));
    let Some((device, inode)) = named else { return false };
    let Ok(metadata) = file.metadata() else { return false };
    device.parse::<u64>() == Ok(metadata.dev()) && inode.parse::<u64>() == Ok(metadata.ino())
}

// === impl Journal ===

impl<F> Journal<F> {
    pub fn new(inner: F) -> Self {
        Self { inner, scratch: Vec::new() }
    }

    fn append_scratch(&self, level: Level, out: &mut Vec<u8>) {
        // The journal takes each line for a message of its own.
        for line in self.scratch.split_inclusive(|byte| *byte == b'\n') {
            // Writing to a vector cannot fail.
            let _ = write!(out, "<{}>", severity(level));
            out.extend_from_slice(line);
        }
    }
}

impl LineFormat for Journal<Box<dyn LineFormat>> {
    fn append(&mut self, line: &Line<'_>, out: &mut Vec<u8>) {
        self.scratch.clear();
        self.inner.append(line, &mut self.scratch);
        self.append_scratch(line.level, out);
    }
}

impl AccessFormat for Journal<Box<dyn AccessFormat>> {
    fn append(&mut self, record: &AccessRecord, local: &LocalTime, out: &mut Vec<u8>) {
        self.scratch.clear();
        self.inner.append(record, local, &mut self.scratch);
        self.append_scratch(Level::Info, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::log::Plain;
    use std::time::SystemTime;

    #[test]
    fn each_line_of_a_message_has_its_priority() {
        let plain: Box<dyn LineFormat> = Box::new(Plain { prefix: "KRAKEND" });
        let mut journal = Journal::new(plain);
        let local = LocalTime { date: "d".into(), time: "t".into(), ..LocalTime::default() };
        let mut out = Vec::new();
        for (level, message) in [(Level::Error, "a\nb"), (Level::Debug, "c")] {
            let line = Line { at: SystemTime::UNIX_EPOCH, local: &local, level, message };
            journal.append(&line, &mut out);
        }
        let expected = "<3>d t KRAKEND ERROR: a\n<3>b\n<7>d t KRAKEND DEBUG: c\n";
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    fn the_journal_is_known_by_its_device_and_inode() {
        let file = File::open("/dev/null").expect("there");
        let metadata = file.metadata().expect("there");
        let right = format!("{}:{}", metadata.dev(), metadata.ino());
        let wrong = format!("{}:{}", metadata.dev(), metadata.ino() + 1);
        assert!(is_journal(&file, Some(OsStr::new(&right))));
        for variable in [Some(wrong.as_str()), Some("x"), Some(""), None] {
            assert!(!is_journal(&file, variable.map(OsStr::new)), "{variable:?}");
        }
    }
}
