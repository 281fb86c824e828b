//! The thread that formats and writes what the others handed over.

use std::io::{self, Write};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::local_time::LocalClock;
use super::{Entry, Level, Line, LogSettings, Sink};
use crate::shared::outbox::{Inbox, Outbox};

/// How long the writer looks away after it has emptied the queue. Waking it costs the waking core a
/// system call, so while lines keep coming it is not woken, it looks.
const LOOK_AWAY: Duration = Duration::from_millis(5);

/// After so many empty looks it sleeps until it is woken, and an idle gateway costs nothing.
const EMPTY_LOOKS_MAX: u32 = 20;

/// Time between two lines about dropped lines.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Bytes that are gathered for one write to an output.
const BATCH_BYTES: usize = 64 * 1024;

/// Stops the writer. Dropped, it lets the writer run on until the process ends.
pub struct LogWriter {
    queue: Outbox<Entry>,
    done: mpsc::Receiver<()>,
}

struct Writer {
    queue: Inbox<Entry>,
    outputs: Vec<Output>,
    sinks: Vec<Sink>,
    access: Option<usize>,
    clock: LocalClock,
    /// Lines dropped and not yet reported.
    dropped: u64,
    reported_at: Option<Instant>,
}

struct Output {
    writer: Box<dyn Write + Send>,
    pending: Vec<u8>,
}

/// What came out of the queue last.
enum Progress {
    Wrote,
    Empty,
    Stopped,
}

// === impl LogWriter ===

impl LogWriter {
    pub(super) fn start(
        settings: LogSettings,
        queue: Outbox<Entry>,
        inbox: Inbox<Entry>,
    ) -> io::Result<Self> {
        let writer = Writer::new(settings, inbox);
        let (stopped, done) = mpsc::channel();
        thread::Builder::new().name("log".into()).stack_size(256 * 1024).spawn(move || {
            writer.run();
            let _ = stopped.send(());
        })?;
        Ok(Self { queue, done })
    }

    /// Writes what was handed over so far and ends the writer. Waits no longer than `at_most`: an output
    /// that accepts nothing must not keep the process from ending. Tells whether all was written.
    pub fn stop(self, at_most: Duration) -> bool {
        let give_up_at = Instant::now() + at_most;
        // A full queue has no room for the order to stop; the writer is at work then and makes room.
        while !self.queue.offer(Entry::Stop) {
            if Instant::now() >= give_up_at {
                return false;
            }
            thread::sleep(LOOK_AWAY);
        }
        let left = give_up_at.saturating_duration_since(Instant::now());
        self.done.recv_timeout(left).is_ok()
    }
}

// === impl Writer ===

impl Writer {
    fn new(settings: LogSettings, queue: Inbox<Entry>) -> Self {
        let outputs = settings.outputs.into_iter();
        Self {
            queue,
            outputs: outputs.map(|writer| Output { writer, pending: Vec::new() }).collect(),
            sinks: settings.sinks,
            access: settings.access,
            clock: LocalClock::default(),
            dropped: 0,
            reported_at: None,
        }
    }

    fn run(mut self) {
        let mut empty_looks = 0;
        loop {
            match self.write_waiting() {
                Progress::Stopped => return self.report_dropped(Duration::ZERO),
                Progress::Wrote => empty_looks = 0,
                Progress::Empty => empty_looks += 1,
            }
            self.report_dropped(REPORT_INTERVAL);
            if empty_looks < EMPTY_LOOKS_MAX || self.dropped > 0 {
                thread::sleep(LOOK_AWAY);
                continue;
            }
            let Some(entry) = self.queue.next_blocking() else { return };
            if !self.format(entry) {
                return;
            }
        }
    }

    /// Formats all that waits and writes it out.
    fn write_waiting(&mut self) -> Progress {
        let mut progress = Progress::Empty;
        while let Some(entry) = self.queue.try_next() {
            if !self.format(entry) {
                progress = Progress::Stopped;
                break;
            }
            progress = Progress::Wrote;
        }
        self.flush();
        progress
    }

    /// Appends one entry to its outputs; `false` when it is the order to stop.
    fn format(&mut self, entry: Entry) -> bool {
        match entry {
            Entry::Line { at, level, message } => self.line(at, level, &message),
            Entry::Access(record) => {
                if let Some(output) = self.access.and_then(|index| self.outputs.get_mut(index)) {
                    record.append(self.clock.local(record.at), &mut output.pending);
                    output.flush_if_long();
                }
            }
            Entry::Long(long) => {
                let (entry, _room) = *long;
                return self.format(entry);
            }
            Entry::Stop => return false,
        }
        true
    }

    fn line(&mut self, at: SystemTime, level: Level, message: &str) {
        let line = Line { at, local: self.clock.local(at), level, message };
        for sink in &mut self.sinks {
            if let Some(output) = self.outputs.get_mut(sink.output) {
                sink.format.append(&line, &mut output.pending);
                output.flush_if_long();
            }
        }
    }

    /// Says how many lines were dropped, if that was not said within the last `interval`.
    fn report_dropped(&mut self, interval: Duration) {
        self.dropped += self.queue.take_dropped();
        let is_due = self.reported_at.is_none_or(|at| at.elapsed() >= interval);
        if self.dropped == 0 || !is_due {
            return;
        }
        let message =
            format!("[SERVICE: Logging] {} lines dropped, the output is too slow", self.dropped);
        self.line(SystemTime::now(), Level::Warning, &message);
        self.flush();
        self.dropped = 0;
        self.reported_at = Some(Instant::now());
    }

    fn flush(&mut self) {
        self.outputs.iter_mut().for_each(Output::flush);
    }
}

// === impl Output ===

impl Output {
    fn flush_if_long(&mut self) {
        if self.pending.len() >= BATCH_BYTES {
            self.flush();
        }
    }

    /// An output that fails (a closed pipe, a full disk) has no place left to say so; lines for it are lost
    /// and the gateway goes on.
    fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let _ = self.writer.write_all(&self.pending).and_then(|()| self.writer.flush());
        self.pending.clear();
        self.pending.shrink_to(2 * BATCH_BYTES);
    }
}
