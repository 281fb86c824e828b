//! The thread of one output: it formats and writes what the others handed over.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, Thread};
use std::time::{Duration, Instant, SystemTime};

use super::batch::Batch;
use super::device::{Device, Remedy};
use super::local_time::LocalClock;
use super::status::{Losses, Status};
use super::{AccessFormat, Entry, Level, Line, LineFormat, Message, Output};
use crate::shared::outbox::{Inbox, Outbox};

/// How long the writer looks away after it has emptied the queue. Waking it costs the waking core a
/// system call, so while lines keep coming it is not woken, it looks.
const LOOK_AWAY: Duration = Duration::from_millis(5);

/// After so many empty looks it sleeps until it is woken, and an idle gateway costs nothing.
const EMPTY_LOOKS_MAX: u32 = 20;

/// Time between two lines about dropped lines.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Pauses before a lost connection is opened again: the first, doubled each time up to the last.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_LAST: Duration = Duration::from_secs(30);

/// A connection that takes nothing for so long is dead.
const STALL_MAX: Duration = Duration::from_secs(30);

/// Stops the writers. Dropped, it lets them run on until the process ends.
pub struct LogWriter {
    is_stopping: Arc<AtomicBool>,
    writers: Vec<Running>,
}

struct Running {
    queue: Outbox<Entry>,
    thread: Thread,
    done: mpsc::Receiver<()>,
}

/// All outputs, and which of them is meant.
pub(super) struct Place {
    pub all: Arc<[Status]>,
    pub index: usize,
}

struct Writer {
    queue: Inbox<Entry>,
    lines: Option<Box<dyn LineFormat>>,
    access: Option<Box<dyn AccessFormat>>,
    device: Box<dyn Device>,
    batch: Batch,
    clock: LocalClock,
    place: Place,
    /// By output, the lost lines that were told of.
    reported: Vec<u64>,
    reported_at: Option<Instant>,
    /// When this output failed last, until it works again.
    failed_at: Option<Instant>,
    is_stopping: Arc<AtomicBool>,
    has_given_up: bool,
}

/// What came out of the queue last.
enum Progress {
    Wrote,
    Empty,
    Stopped,
}

// === impl LogWriter ===

impl LogWriter {
    pub(super) fn new() -> Self {
        Self { is_stopping: Arc::default(), writers: Vec::new() }
    }

    pub(super) fn start(
        &mut self,
        output: Output,
        place: Place,
        queue: Outbox<Entry>,
        inbox: Inbox<Entry>,
    ) -> io::Result<()> {
        let writer = Writer {
            queue: inbox,
            lines: output.lines,
            access: output.access,
            device: output.device,
            batch: Batch::default(),
            clock: LocalClock::default(),
            reported: vec![0; place.all.len()],
            place,
            reported_at: None,
            failed_at: None,
            is_stopping: self.is_stopping.clone(),
            has_given_up: false,
        };
        let (stopped, done) = mpsc::channel();
        let builder = thread::Builder::new().name("log".into()).stack_size(256 * 1024);
        let handle = builder.spawn(move || {
            writer.run();
            let _ = stopped.send(());
        })?;
        self.writers.push(Running { queue, thread: handle.thread().clone(), done });
        Ok(())
    }

    /// Writes what was handed over so far and ends the writers. Waits no longer than `at_most`: an output
    /// that accepts nothing must not keep the process from ending. Tells whether all was written.
    pub fn stop(self, at_most: Duration) -> bool {
        let give_up_at = Instant::now() + at_most;
        self.is_stopping.store(true, Ordering::Release);
        // All of them are told before the first is waited for.
        let told: Vec<bool> = self
            .writers
            .iter()
            .map(|writer| {
                writer.thread.unpark();
                writer.queue.offer(Entry::Stop)
            })
            .collect();
        let writers = self.writers.iter().zip(told);
        writers.fold(true, |all, (writer, is_told)| writer.ends(is_told, give_up_at) && all)
    }
}

impl Running {
    fn ends(&self, is_told: bool, give_up_at: Instant) -> bool {
        let mut is_told = is_told;
        loop {
            let left = give_up_at.saturating_duration_since(Instant::now());
            // A full queue has no room for the order to stop; the writer is at work then and makes room.
            match self.done.recv_timeout(if is_told { left } else { left.min(LOOK_AWAY) }) {
                Ok(()) => return true,
                Err(mpsc::RecvTimeoutError::Disconnected) => return false,
                Err(mpsc::RecvTimeoutError::Timeout) if left.is_zero() => return false,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    is_told = is_told || self.queue.offer(Entry::Stop);
                }
            }
        }
    }
}

// === impl Writer ===

impl Writer {
    fn run(mut self) {
        let mut empty_looks = 0;
        loop {
            match self.write_waiting() {
                Progress::Stopped => return self.report_losses(Duration::ZERO),
                Progress::Wrote => empty_looks = 0,
                Progress::Empty => empty_looks += 1,
            }
            self.report_losses(REPORT_INTERVAL);
            if empty_looks < EMPTY_LOOKS_MAX || self.has_news() {
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
        if self.has_given_up { Progress::Stopped } else { progress }
    }

    /// Appends one entry to the batch; `false` when it is the order to stop.
    fn format(&mut self, entry: Entry) -> bool {
        match entry {
            Entry::Message(message) => self.append(&message),
            Entry::Long(long) => {
                let (message, _room) = *long;
                self.append(&message);
            }
            Entry::Reopen => {
                self.flush();
                self.device.close();
            }
            Entry::Stop => return false,
        }
        true
    }

    fn append(&mut self, message: &Message) {
        match message {
            Message::Line { at, level, text } => self.line(*at, *level, text),
            Message::Access(record) => {
                if let Some(format) = &mut self.access {
                    let local = self.clock.local(record.at);
                    self.batch.append(|out| format.append(record, local, out));
                }
            }
        }
        if self.batch.is_long() {
            self.flush();
        }
    }

    fn line(&mut self, at: SystemTime, level: Level, message: &str) {
        if let Some(format) = &mut self.lines {
            let line = Line { at, local: self.clock.local(at), level, message };
            self.batch.append(|out| format.append(&line, out));
        }
    }

    /// The batch goes out, or is counted as lost.
    fn flush(&mut self) {
        if self.batch.is_empty() || !self.connect() {
            return;
        }
        let mut stalled_at = None;
        while let Some((bytes, record_len)) = self.batch.rest() {
            let error = match self.device.write(bytes, record_len) {
                Ok(0) => io::Error::from(io::ErrorKind::WriteZero),
                Ok(count) => {
                    self.batch.advance(count);
                    stalled_at = None;
                    self.note_success();
                    continue;
                }
                Err(error) => error,
            };
            let remedy = self.device.remedy(&error);
            if error.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) {
                let since = *stalled_at.get_or_insert_with(Instant::now);
                if remedy != Remedy::Reconnect || since.elapsed() < STALL_MAX {
                    thread::sleep(LOOK_AWAY);
                    continue;
                }
            }
            self.note_failure(&error);
            match remedy {
                Remedy::SkipRecord => {
                    self.batch.skip_record();
                    self.lose(1);
                }
                Remedy::SkipAll => {
                    let count = self.batch.skip_all();
                    self.lose(count);
                    return;
                }
                Remedy::Reconnect => {
                    self.device.close();
                    self.batch.restart_record();
                    stalled_at = None;
                    if !self.connect() {
                        return;
                    }
                }
            }
        }
        self.batch.clear();
    }

    /// Opens the device, again and again while the process runs. Meanwhile the queue keeps what it has room for.
    fn connect(&mut self) -> bool {
        let mut pause = BACKOFF_FIRST;
        while let Err(error) = self.device.open() {
            self.note_failure(&error);
            if !self.pause(pause) {
                self.has_given_up = true;
                let count = self.batch.skip_all();
                self.lose(count);
                return false;
            }
            pause = (pause * 2).min(BACKOFF_LAST);
        }
        true
    }

    /// `false`: the process ends.
    fn pause(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        loop {
            if self.is_stopping.load(Ordering::Acquire) {
                return false;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            thread::park_timeout(left);
        }
    }

    fn status(&self) -> &Status {
        &self.place.all[self.place.index]
    }

    fn lose(&self, count: usize) {
        self.status().count_lost(count);
    }

    fn note_failure(&mut self, error: &io::Error) {
        self.failed_at = Some(Instant::now());
        self.status().set_failure(Some(error.to_string()));
    }

    /// A failure is remembered until what it cost is told of.
    fn note_success(&mut self) {
        if self.failed_at.is_some_and(|at| at.elapsed() > 2 * REPORT_INTERVAL) {
            self.failed_at = None;
            self.status().set_failure(None);
        }
    }

    /// Whether there are losses to tell of. This output's own have to wait until it works again.
    fn has_news(&self) -> bool {
        self.lines.is_some() && (0..self.reported.len()).any(|index| self.is_news(index))
    }

    fn is_news(&self, index: usize) -> bool {
        let can_tell = index != self.place.index || self.failed_at.is_none();
        can_tell && self.place.all[index].lost() != self.reported[index]
    }

    /// Says how many lines were lost, if that was not said within the last `interval`.
    fn report_losses(&mut self, interval: Duration) {
        let is_due = self.reported_at.is_none_or(|at| at.elapsed() >= interval);
        if !is_due || !self.has_news() {
            return;
        }
        let all = self.place.all.clone();
        for (index, status) in all.iter().enumerate().filter(|(_, status)| status.lost() > 0) {
            if self.is_news(index) {
                let lost = status.lost();
                let losses = Losses(lost - self.reported[index], status);
                self.reported[index] = lost;
                let message = format!("[SERVICE: Logging] {losses}");
                self.line(SystemTime::now(), Level::Warning, &message);
            }
        }
        self.flush();
        self.reported_at = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests;
