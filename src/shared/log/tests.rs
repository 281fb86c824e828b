use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use super::*;

const SOON: Duration = Duration::from_secs(5);

/// An output whose text can be read, and which can be held up.
#[derive(Clone, Default)]
struct Paper(Arc<(Mutex<Sheet>, Condvar)>);

#[derive(Default)]
struct Sheet {
    text: String,
    is_stuck: bool,
}

impl Paper {
    fn text(&self) -> String {
        self.0.0.lock().expect("no panic").text.clone()
    }

    fn hold(&self, is_stuck: bool) {
        self.0.0.lock().expect("no panic").is_stuck = is_stuck;
        self.0.1.notify_all();
    }

    fn wait_for(&self, part: &str) -> String {
        let start = Instant::now();
        while !self.text().contains(part) {
            assert!(start.elapsed() < SOON, "no {part:?} in {:?}", self.text());
            std::thread::sleep(Duration::from_millis(1));
        }
        self.text()
    }
}

impl io::Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sheet = self.0.0.lock().expect("no panic");
        let mut sheet = self.0.1.wait_while(sheet, |sheet| sheet.is_stuck).expect("no panic");
        sheet.text.push_str(std::str::from_utf8(bytes).expect("text"));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn start(level: Level, has_access: bool) -> (Log, LogWriter, Paper) {
    let paper = Paper::default();
    let mut settings = LogSettings { level, ..LogSettings::plain(has_access) };
    settings.outputs[0].device = Box::new(Plainly(paper.clone()));
    let (log, writer) = Log::start(settings).expect("a thread");
    (log, writer, paper)
}

fn record(path: &str) -> AccessRecord {
    AccessRecord {
        at: SystemTime::now(),
        latency: Duration::from_micros(1500),
        status: 404,
        client: b"127.0.0.1".as_slice().into(),
        method: b"GET".as_slice().into(),
        path: path.as_bytes().into(),
        errors: Box::default(),
        fields: Box::default(),
    }
}

/// Takes date and time off: `2026/01/31 15:04:05 `.
fn undated(line: &str) -> &str {
    let (date, rest) = line.split_at(20);
    let shape: String = date.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000/00/00 00:00:00 ");
    rest
}

#[test]
fn lines_look_as_the_original_prints_them_without_a_logging_block() {
    let (log, writer, paper) = start(Level::Debug, false);
    log.debug(format_args!("[ENDPOINT: /a] Building the {}", "proxy pipe"));
    log.info(format_args!("two"));
    log.warning(format_args!("three"));
    log.error(format_args!("four\n"));
    log.critical(format_args!("five"));
    assert!(writer.stop(SOON));
    let text = paper.text();
    let lines: Vec<&str> = text.lines().map(undated).collect();
    let expected = [
        "KRAKEND DEBUG: [ENDPOINT: /a] Building the proxy pipe",
        "KRAKEND INFO: two",
        "KRAKEND WARNING: three",
        "KRAKEND ERROR: four",
        "KRAKEND CRITICAL: five",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn what_is_below_the_level_is_not_even_formatted() {
    struct Costly;
    impl fmt::Display for Costly {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("formatted");
        }
    }
    let (log, writer, paper) = start(Level::Error, false);
    assert!(!log.is_enabled(Level::Warning));
    log.warning(format_args!("{Costly}"));
    log.error(format_args!("shown"));
    assert!(writer.stop(SOON));
    assert_eq!(paper.text().lines().count(), 1);
}

#[test]
fn the_access_log_stands_between_the_lines_in_order() {
    let (log, writer, paper) = start(Level::Info, true);
    log.info(format_args!("before"));
    log.access(record("/nope"));
    log.info(format_args!("after"));
    assert!(writer.stop(SOON));
    let text = paper.text();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].ends_with("before") && lines[2].ends_with("after"), "{lines:?}");
    assert!(lines[1].starts_with("[GIN] 20"), "{lines:?}");
    assert!(
        lines[1].ends_with(" | 404 |    1.5ms |       127.0.0.1 | GET      \"/nope\""),
        "{lines:?}"
    );
}

#[test]
fn without_an_access_log_records_go_nowhere() {
    let (log, writer, paper) = start(Level::Info, false);
    assert!(!log.has_access());
    log.access(record("/"));
    assert!(writer.stop(SOON));
    assert_eq!(paper.text(), "");
    Log::silent().access(record("/"));
    Log::silent().critical(format_args!("nobody reads this"));
}

#[test]
fn a_line_is_written_soon_also_after_a_long_silence() {
    let (log, writer, paper) = start(Level::Info, false);
    std::thread::sleep(Duration::from_millis(250));
    log.info(format_args!("first"));
    paper.wait_for("first");
    log.info(format_args!("second"));
    paper.wait_for("second");
    assert!(writer.stop(SOON));
}

#[test]
fn a_stuck_output_costs_lines_and_never_time_and_the_loss_is_reported() {
    let (log, writer, paper) = start(Level::Info, false);
    paper.hold(true);
    let start = Instant::now();
    for number in 0..WAITING_MAX * 3 {
        log.info(format_args!("{number}"));
    }
    assert!(start.elapsed() < SOON, "writing must not wait");
    paper.hold(false);
    let text = paper.wait_for("lines dropped, the output is too slow");
    let report = text.lines().map(undated).find(|line| line.contains("dropped")).expect("reported");
    let prefix = "KRAKEND WARNING: [SERVICE: Logging] ";
    let count = report.strip_prefix(prefix).and_then(|rest| rest.split(' ').next());
    let count: usize = count.expect("a count").parse().expect("a number");
    assert!(count >= WAITING_MAX, "{report}");
    assert!(writer.stop(SOON));
    let shown = paper.text().lines().filter(|line| !line.contains("dropped")).count();
    assert_eq!(shown + count, WAITING_MAX * 3);
}

#[test]
fn stopping_gives_up_on_an_output_that_accepts_nothing() {
    let (log, writer, paper) = start(Level::Info, false);
    paper.hold(true);
    log.info(format_args!("never written"));
    assert!(!writer.stop(Duration::from_millis(50)));
    paper.hold(false);
}

#[test]
fn levels_are_found_by_name_in_any_case() {
    assert_eq!(Level::parse("warning"), Some(Level::Warning));
    assert_eq!(Level::parse("CRITICAL"), Some(Level::Critical));
    assert_eq!(Level::parse("NOTICE"), None);
    assert!(Level::Debug < Level::Info && Level::Error < Level::Critical);
}

#[test]
fn long_lines_that_wait_have_a_bound_in_bytes_and_leave_room_for_others() {
    let (log, writer, paper) = start(Level::Debug, true);
    paper.hold(true);
    let long = "x".repeat(LINE_BYTES_MAX + 1000);
    // The writer may have taken some before it got stuck, so more than fit.
    let fit = LONG_LINES_BYTES_MAX / LINE_BYTES_MAX;
    for number in 0..fit {
        log.error(format_args!("{number} {long}"));
        log.access(record(&long));
    }
    assert!(log.0.channels[0].long_bytes.load(Ordering::Relaxed) <= LONG_LINES_BYTES_MAX);
    log.info(format_args!("a usual line"));
    paper.hold(false);
    paper.wait_for("a usual line");
    paper.wait_for("lines dropped");
    assert!(writer.stop(SOON));
    let text = paper.text();
    assert!(text.lines().all(|line| line.len() < LINE_BYTES_MAX + 200), "long lines are cut");
    assert!(text.lines().filter(|line| line.len() > LINE_BYTES_MAX).count() >= fit - 1);
    assert_eq!(log.0.channels[0].long_bytes.load(Ordering::Relaxed), 0, "the room is free again");
}

#[test]
fn a_long_line_is_cut_between_characters() {
    let (log, writer, paper) = start(Level::Debug, false);
    log.info(format_args!("a{}", "\u{20ac}".repeat(LINE_BYTES_MAX)));
    assert!(writer.stop(SOON));
    assert!(paper.text().trim_end().ends_with('\u{20ac}'));
}
