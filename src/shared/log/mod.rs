//! The log: any thread hands lines over without waiting, one thread writes them.
//!
//! Lines look as the original's do without a `telemetry/logging` block: `2026/01/31 15:04:05 KRAKEND
//! INFO: text`, and gin's access log beside them. When the writer cannot keep up, lines are dropped and
//! their number is logged once a second.

mod access;
mod go_text;
mod local_time;
mod writer;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

pub use access::AccessRecord;
pub use local_time::LocalTime;
pub use writer::LogWriter;

use super::outbox::{Outbox, outbox};

/// Lines that may wait for the writer. A core at 100,000 requests a second fills this in 80 ms, longer
/// than the writer is away when the outputs accept what it writes; full of usual lines, it holds about 2 MB.
const WAITING_MAX: usize = 8 * 1024;

/// Lines above this are long: what clients and upstreams sent can be in them.
const LONG_BYTES: usize = 1024;

/// Long lines that wait, together.
const LONG_LINES_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A longer line is cut.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// How important a line is; a log shows its own level and above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Debug,
    Info,
    Warning,
    Error,
    Critical,
}

/// A handle to write with. Cheap to clone and to ask [`Log::is_enabled`].
#[derive(Clone)]
pub struct Log(Arc<Handle>);

struct Handle {
    level: Level,
    has_access: bool,
    queue: Outbox<Entry>,
    /// Bytes of the long lines that wait.
    long_bytes: Arc<AtomicUsize>,
}

/// Where the log goes and how it looks.
pub struct LogSettings {
    pub level: Level,
    /// What the two below name by their index.
    pub outputs: Vec<Box<dyn io::Write + Send>>,
    /// Each line is written once for each of these.
    pub sinks: Vec<Sink>,
    /// The output of the access log; `None` when there is none.
    pub access: Option<usize>,
}

/// One look of the log's lines, at one output.
pub struct Sink {
    pub format: Box<dyn LineFormat>,
    pub output: usize,
}

/// How a log line looks. Runs on the writer's thread.
pub trait LineFormat: Send {
    /// Appends the line with its line end.
    fn append(&mut self, line: &Line<'_>, out: &mut Vec<u8>);
}

/// One line before it is formatted.
pub struct Line<'a> {
    pub at: SystemTime,
    /// The same moment on the local calendar.
    pub local: &'a LocalTime,
    pub level: Level,
    pub message: &'a str,
}

/// The format without a `telemetry/logging` block (lura, logging/log.go).
pub struct Plain {
    pub prefix: &'static str,
}

enum Entry {
    Line {
        at: SystemTime,
        level: Level,
        message: Box<str>,
    },
    Access(AccessRecord),
    Long(Box<(Entry, LongLine)>),
    /// Write what is there and end.
    Stop,
}

/// The room that a long line takes while it waits.
struct LongLine {
    bytes: usize,
    all: Arc<AtomicUsize>,
}

// === impl Log ===

impl Log {
    /// Starts the writer's thread.
    pub fn start(settings: LogSettings) -> io::Result<(Self, LogWriter)> {
        let (sender, inbox) = outbox(WAITING_MAX);
        let handle = Handle {
            level: settings.level,
            has_access: settings.access.is_some(),
            queue: sender.clone(),
            long_bytes: Arc::default(),
        };
        let writer = LogWriter::start(settings, sender, inbox)?;
        Ok((Self(Arc::new(handle)), writer))
    }

    /// A log that shows nothing, for tests and commands that only check.
    pub fn silent() -> Self {
        let (sender, _) = outbox(1);
        Self(Arc::new(Handle {
            level: Level::Critical,
            has_access: false,
            queue: sender,
            long_bytes: Arc::default(),
        }))
    }

    /// Whether a line of this level is shown; ask before costly work for a line.
    #[inline]
    pub fn is_enabled(&self, level: Level) -> bool {
        level >= self.0.level
    }

    /// Whether there is an access log at all; if not, its records need not be made.
    #[inline]
    pub fn has_access(&self) -> bool {
        self.0.has_access
    }

    /// Writes a line. The message is formatted here, and only when its level is shown.
    #[inline]
    pub fn write(&self, level: Level, message: fmt::Arguments<'_>) {
        if self.is_enabled(level) {
            self.send(level, message);
        }
    }

    #[inline]
    pub fn debug(&self, message: fmt::Arguments<'_>) {
        self.write(Level::Debug, message);
    }

    #[inline]
    pub fn info(&self, message: fmt::Arguments<'_>) {
        self.write(Level::Info, message);
    }

    #[inline]
    pub fn warning(&self, message: fmt::Arguments<'_>) {
        self.write(Level::Warning, message);
    }

    #[inline]
    pub fn error(&self, message: fmt::Arguments<'_>) {
        self.write(Level::Error, message);
    }

    #[inline]
    pub fn critical(&self, message: fmt::Arguments<'_>) {
        self.write(Level::Critical, message);
    }

    /// Hands one access log record over, if there is an access log. It is formatted by the writer.
    #[inline]
    pub fn access(&self, record: AccessRecord) {
        if !self.has_access() {
        } else if record.path.len() > LONG_BYTES {
            self.access_long(record);
        } else {
            self.0.queue.send(Entry::Access(record));
        }
    }

    #[cold]
    fn access_long(&self, mut record: AccessRecord) {
        if record.path.len() > LINE_BYTES_MAX {
            record.path.truncate(LINE_BYTES_MAX);
            record.path.shrink_to_fit();
        }
        let bytes = record.path.len();
        self.send_long(Entry::Access(record), bytes);
    }

    #[cold]
    fn send(&self, level: Level, message: fmt::Arguments<'_>) {
        let mut message = message.to_string();
        if message.len() > LINE_BYTES_MAX {
            message.truncate(message.floor_char_boundary(LINE_BYTES_MAX));
        }
        let bytes = message.len();
        let entry = Entry::Line { at: SystemTime::now(), level, message: message.into_boxed_str() };
        if bytes > LONG_BYTES {
            self.send_long(entry, bytes);
        } else {
            self.0.queue.send(entry);
        }
    }

    /// Hands a long line over, unless too many of them wait.
    fn send_long(&self, entry: Entry, bytes: usize) {
        let line = LongLine { bytes, all: self.0.long_bytes.clone() };
        let before = line.all.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > LONG_LINES_BYTES_MAX {
            self.0.queue.count_dropped();
        } else {
            self.0.queue.send(Entry::Long(Box::new((entry, line))));
        }
    }
}

// === impl LongLine ===

impl Drop for LongLine {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

// === impl Level ===

impl Level {
    /// The level of that name in any case, as the configuration writes it.
    pub fn parse(name: &str) -> Option<Self> {
        let all = [Self::Debug, Self::Info, Self::Warning, Self::Error, Self::Critical];
        all.into_iter().find(|level| level.name().eq_ignore_ascii_case(name))
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
            Self::Critical => "CRITICAL",
        }
    }
}

// === impl LogSettings ===

impl LogSettings {
    /// What the original does without a `telemetry/logging` block: everything, on standard output.
    pub fn plain(has_access: bool) -> Self {
        Self {
            level: Level::Debug,
            outputs: vec![Box::new(io::stdout())],
            sinks: vec![Sink { format: Box::new(Plain { prefix: "KRAKEND" }), output: 0 }],
            access: has_access.then_some(0),
        }
    }
}

// === impl Plain ===

impl LineFormat for Plain {
    fn append(&mut self, line: &Line<'_>, out: &mut Vec<u8>) {
        let (local, level) = (line.local, line.level.name());
        for part in
            [&local.date, " ", &local.time, " ", self.prefix, " ", level, ": ", line.message]
        {
            out.extend_from_slice(part.as_bytes());
        }
        // Go's logger adds a line end unless the message brings one.
        if !line.message.ends_with('\n') {
            out.push(b'\n');
        }
    }
}

#[cfg(test)]
mod tests;
