//! The log: any thread hands lines over without waiting; each output has a thread that writes them.
//!
//! Without a `telemetry/logging` block lines look as the original's do: `2026/01/31 15:04:05 KRAKEND
//! INFO: text`, and gin's access log beside them. When an output cannot keep up, lines for it are dropped and
//! their number is logged once a second; the other outputs do not notice.

mod access;
pub mod access_pattern;
mod batch;
mod device;
mod gelf;
mod go_layout;
mod go_text;
mod journal;
mod local_time;
mod logstash;
mod pattern;
mod status;
mod syslog;
mod verb;
mod writer;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

pub use access::{AccessRecord, Gin};
pub use access_pattern::{AccessPattern, Field};
pub use device::{Descriptor, Device, Plainly, Remedy};
pub use gelf::{GelfFormat, GelfTcp, GelfUdp, Transport};
pub use journal::{Journal, is_journal};
pub use local_time::LocalTime;
pub use logstash::{Logstash, LogstashRecord};
pub use pattern::{Pattern, PatternError, program};
pub use syslog::{Facility, SOCKETS as SYSLOG_SOCKETS, Syslog, SyslogFormat};
pub use writer::LogWriter;

use super::outbox::{Outbox, outbox};
use status::Status;
use writer::Place;

/// Lines that may wait for an output. A core at 100,000 requests a second fills this in 80 ms, longer
/// than the writer is away when the output accepts what it writes; full of usual lines, it holds about 2 MB.
const WAITING_MAX: usize = 8 * 1024;

/// Lines above this are long: what clients and upstreams sent can be in them.
const LONG_BYTES: usize = 1024;

/// Long lines that wait for an output, together.
const LONG_LINES_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A longer line is cut.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// How long one who has time waits for a look at a full queue.
const ROOM_LOOK: Duration = Duration::from_millis(1);

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
    /// `None`: no output shows lines.
    level: Option<Level>,
    has_access: bool,
    access_fields: Box<[Field]>,
    channels: Box<[Channel]>,
    statuses: Arc<[Status]>,
}

/// The way to one output.
struct Channel {
    has_lines: bool,
    has_access: bool,
    queue: Outbox<Entry>,
    /// Bytes of the long lines that wait.
    long_bytes: Arc<AtomicUsize>,
}

/// Where the log goes and how it looks.
pub struct LogSettings {
    pub level: Level,
    pub outputs: Vec<Output>,
    /// What the access log's records bring, as its format asks for.
    pub access_fields: Vec<Field>,
}

/// One place that lines go to.
pub struct Output {
    /// Appears in the log and in the metrics: `stdout`, `syslog`, `gelf`.
    pub name: &'static str,
    /// `None`: no lines go there.
    pub lines: Option<Box<dyn LineFormat>>,
    /// `None`: no access log goes there.
    pub access: Option<Box<dyn AccessFormat>>,
    pub device: Box<dyn Device>,
}

/// How a log line looks. Runs on the output's thread.
pub trait LineFormat: Send {
    /// Appends the line with its line end.
    fn append(&mut self, line: &Line<'_>, out: &mut Vec<u8>);
}

/// How a line of the access log looks. Runs on the output's thread.
pub trait AccessFormat: Send {
    /// Appends the line with its line end, and what belongs to it.
    fn append(&mut self, record: &AccessRecord, local: &LocalTime, out: &mut Vec<u8>);
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
    Message(Message),
    Long(Box<(Message, LongLine)>),
    /// Close the output and open it again.
    Reopen,
    /// Write what is there and end.
    Stop,
}

#[derive(Clone)]
enum Message {
    Line { at: SystemTime, level: Level, text: Box<str> },
    Access(AccessRecord),
}

/// The room that a long line takes while it waits.
struct LongLine {
    bytes: usize,
    all: Arc<AtomicUsize>,
}

// === impl Log ===

impl Log {
    /// Starts the outputs' threads.
    pub fn start(settings: LogSettings) -> io::Result<(Self, LogWriter)> {
        let statuses: Arc<[Status]> =
            settings.outputs.iter().map(|output| Status::new(output.name)).collect();
        let mut writer = LogWriter::new();
        let mut channels = Vec::new();
        for (index, output) in settings.outputs.into_iter().enumerate() {
            let (queue, inbox) = outbox(WAITING_MAX);
            channels.push(Channel {
                has_lines: output.lines.is_some(),
                has_access: output.access.is_some(),
                queue: queue.clone(),
                long_bytes: Arc::default(),
            });
            writer.start(output, Place { all: statuses.clone(), index }, queue, inbox)?;
        }
        let handle = Handle {
            level: channels.iter().any(|channel| channel.has_lines).then_some(settings.level),
            has_access: channels.iter().any(|channel| channel.has_access),
            access_fields: settings.access_fields.into(),
            channels: channels.into(),
            statuses,
        };
        Ok((Self(Arc::new(handle)), writer))
    }

    /// A log that shows nothing, for tests and commands that only check.
    pub fn silent() -> Self {
        Self(Arc::new(Handle {
            level: None,
            has_access: false,
            access_fields: Box::default(),
            channels: Box::default(),
            statuses: [].into(),
        }))
    }

    /// Whether a line of this level is shown; ask before costly work for a line.
    #[inline]
    pub fn is_enabled(&self, level: Level) -> bool {
        self.0.level.is_some_and(|least| level >= least)
    }

    /// Whether there is an access log at all; if not, its records need not be made.
    #[inline]
    pub fn has_access(&self) -> bool {
        self.0.has_access
    }

    /// What the access log's records must bring beside what all of them have.
    #[inline]
    pub fn access_fields(&self) -> &[Field] {
        &self.0.access_fields
    }

    /// By output, the lines that were lost since the start.
    pub fn lost_lines(&self) -> impl ExactSizeIterator<Item = (&str, u64)> {
        self.0.statuses.iter().map(|status| (status.name(), status.lost()))
    }

    /// Has every output closed and opened again, so that a new socket or a new address is found.
    pub fn reopen(&self) {
        for channel in &self.0.channels {
            channel.queue.offer(Entry::Reopen);
        }
    }

    /// Waits until the queues have room, for one who writes many lines and has time, but not longer than `at_most`.
    pub fn wait_for_room(&self, at_most: Duration) {
        let end = Instant::now() + at_most;
        while self.0.channels.iter().any(|channel| channel.queue.room() < WAITING_MAX / 2)
            && Instant::now() < end
        {
            std::thread::sleep(ROOM_LOOK);
        }
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
    pub fn access(&self, mut record: AccessRecord) {
        if !self.has_access() {
            return;
        }
        let mut bytes = record.bytes();
        if bytes > LINE_BYTES_MAX {
            record.cut();
            bytes = record.bytes();
        }
        self.deliver(Message::Access(record), bytes, |channel| channel.has_access);
    }

    #[cold]
    fn send(&self, level: Level, message: fmt::Arguments<'_>) {
        let mut text = message.to_string();
        if text.len() > LINE_BYTES_MAX {
            text.truncate(text.floor_char_boundary(LINE_BYTES_MAX));
        }
        let bytes = text.len();
        let line = Message::Line { at: SystemTime::now(), level, text: text.into_boxed_str() };
        self.deliver(line, bytes, |channel| channel.has_lines);
    }

    /// Gives every output its copy, and the last one the message itself.
    #[inline]
    fn deliver(&self, message: Message, bytes: usize, is_for: impl Fn(&Channel) -> bool) {
        let channels = self.0.channels.iter().zip(&*self.0.statuses);
        let mut channels = channels.filter(|(channel, _)| is_for(channel)).peekable();
        while let Some((channel, status)) = channels.next() {
            if channels.peek().is_none() {
                channel.send(message, bytes, status);
                return;
            }
            channel.send(message.clone(), bytes, status);
        }
    }
}

// === impl Channel ===

impl Channel {
    #[inline]
    fn send(&self, message: Message, bytes: usize, status: &Status) {
        let is_sent = if bytes > LONG_BYTES {
            self.send_long(message, bytes)
        } else {
            self.queue.offer(Entry::Message(message))
        };
        if !is_sent {
            status.count_lost(1);
        }
    }

    /// Hands a long line over, unless too many of them wait.
    #[cold]
    fn send_long(&self, message: Message, bytes: usize) -> bool {
        let line = LongLine { bytes, all: self.long_bytes.clone() };
        let before = line.all.fetch_add(bytes, Ordering::Relaxed);
        before + bytes <= LONG_LINES_BYTES_MAX
            && self.queue.offer(Entry::Long(Box::new((message, line))))
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
            outputs: vec![Output {
                name: "stdout",
                lines: Some(Box::new(Plain { prefix: "KRAKEND" })),
                access: has_access.then(|| Box::new(Gin) as Box<dyn AccessFormat>),
                device: Box::new(Descriptor::stdout()),
            }],
            access_fields: Vec::new(),
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
