use io::Read;
use std::fs::{self, File, OpenOptions};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;

use flate2::read::GzDecoder;
use serde_json::Value;

use super::*;
use crate::shared::log::{
    Descriptor, Facility, GelfFormat, GelfTcp, GelfUdp, Log, LogSettings, Plain, Syslog,
    SyslogFormat, Transport, WAITING_MAX,
};

const SOON: Duration = Duration::from_secs(5);

fn output(name: &'static str, device: impl Device + 'static) -> Output {
    let lines: Box<dyn LineFormat> = match name {
        "gelf-tcp" => Box::new(GelfFormat::new("a-host", "", Transport::Tcp)),
        "gelf-udp" => Box::new(GelfFormat::new("a-host", "", Transport::Udp)),
        "syslog" => Box::new(SyslogFormat::new(Facility::default(), "tag")),
        _ => Box::new(Plain { prefix: "P" }),
    };
    Output { name, lines: Some(lines), access: None, device: Box::new(device) }
}

fn start(outputs: Vec<Output>) -> (Log, LogWriter) {
    let settings = LogSettings { outputs, ..LogSettings::plain(false) };
    Log::start(settings).expect("threads")
}

/// A path of its own for each test.
fn path(name: &str) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("shoal-log-{}-{number}-{name}", std::process::id()))
}

/// A file that the log writes to, and its path.
fn file() -> (Descriptor, PathBuf) {
    let path = path("file");
    (Descriptor::from(File::create(&path).expect("a file")), path)
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < end, "not within {SOON:?}: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn text_of(path: &PathBuf) -> String {
    fs::read_to_string(path).expect("the log's file")
}

fn lost(log: &Log, name: &str) -> u64 {
    log.lost_lines().find(|(output, _)| *output == name).expect("an output").1
}

#[test]
fn a_stuck_pipe_costs_its_own_lines_and_no_time() {
    let (mut reader, stuck) = io::pipe().expect("a pipe");
    let (good, path) = file();
    let stuck = Descriptor::from(File::from(std::os::fd::OwnedFd::from(stuck)));
    let (log, writer) = start(vec![output("stuck", stuck), output("good", good)]);
    let begin = Instant::now();
    let count = 4 * WAITING_MAX;
    for number in 0..count {
        log.info(format_args!("{number} {}", "x".repeat(50)));
        if number % 256 == 0 {
            wait_until("the good one keeps up", || {
                text_of(&path).lines().count() + WAITING_MAX / 2 > number
            });
        }
    }
    assert!(begin.elapsed() < 2 * SOON, "writing must not wait");
    assert!(lost(&log, "stuck") > WAITING_MAX as u64, "{}", lost(&log, "stuck"));
    assert_eq!(lost(&log, "good"), 0);
    wait_until("the good one tells of the stuck one", || {
        text_of(&path).contains("lines dropped, the output is too slow: stuck")
    });
    // Somebody reads again: the rest goes out, and the loss is told there, too, before or behind what still waited.
    let reading = thread::spawn(move || {
        let mut all = String::new();
        reader.read_to_string(&mut all).expect("the pipe");
        all
    });
    assert!(writer.stop(SOON));
    let all = reading.join().expect("no panic");
    assert!(all.contains("too slow: stuck"));
    let shown = all.lines().filter(|line| line.contains("INFO")).count();
    assert_eq!(shown as u64 + lost(&log, "stuck"), count as u64);
    fs::remove_file(path).expect("there");
}

#[test]
fn a_full_disk_is_counted_and_told_elsewhere() {
    let full = OpenOptions::new().write(true).open("/dev/full").expect("there");
    let (good, path) = file();
    let (log, writer) = start(vec![output("full", Descriptor::from(full)), output("good", good)]);
    (0..10).for_each(|number| log.info(format_args!("{number}")));
    wait_until("it is counted", || lost(&log, "full") == 10);
    wait_until("it is told", || text_of(&path).contains("the output fails: full: No space left"));
    assert!(writer.stop(SOON));
    assert_eq!(text_of(&path).lines().filter(|line| line.contains("INFO")).count(), 10);
    fs::remove_file(path).expect("there");
}

#[test]
fn a_closed_pipe_loses_lines_and_ends_nothing() {
    let (reader, closed) = io::pipe().expect("a pipe");
    drop(reader);
    let closed = Descriptor::from(File::from(std::os::fd::OwnedFd::from(closed)));
    let (log, writer) = start(vec![output("closed", closed)]);
    log.info(format_args!("nobody reads this"));
    wait_until("it is counted", || lost(&log, "closed") == 1);
    assert!(writer.stop(SOON));
}

/// The messages of a connection, as they come.
fn messages(stream: TcpStream) -> impl Iterator<Item = Value> {
    stream.set_read_timeout(Some(SOON)).expect("a socket");
    let reader = io::BufReader::new(stream);
    io::BufRead::split(reader, 0).map_while(Result::ok).map(|message| {
        serde_json::from_slice(&message).unwrap_or_else(|error| panic!("{error}: {message:?}"))
    })
}

fn short(message: &Value) -> String {
    message["short_message"].as_str().expect("a text").to_owned()
}

#[test]
fn a_collector_that_comes_late_or_again_gets_what_waited_for_it() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let (good, path) = file();
    let gelf = GelfTcp::new(&address.to_string());
    let (log, writer) = start(vec![output("gelf-tcp", gelf), output("good", good)]);
    log.info(format_args!("early"));
    wait_until("the other output does not wait", || text_of(&path).contains("early"));
    let listener = TcpListener::bind(address).expect("the same port");
    let (first, _) = listener.accept().expect("a connection");
    let mut received = messages(first.try_clone().expect("a socket"));
    assert_eq!(short(&received.next().expect("a message")), "early");
    // It goes away between two messages, and the log notices before it sends the next.
    drop(received);
    first.shutdown(std::net::Shutdown::Both).expect("open");
    drop(first);
    thread::sleep(Duration::from_millis(50));
    log.warning(format_args!("late\nsecond line"));
    let (second, _) = listener.accept().expect("a connection");
    let message = messages(second).next().expect("a message");
    assert_eq!((short(&message).as_str(), &message["level"]), ("late", &Value::from(4)));
    assert_eq!(lost(&log, "gelf-tcp"), 0);
    assert!(writer.stop(SOON));
    fs::remove_file(path).expect("there");
}

#[test]
fn a_dead_collector_has_a_bound_and_does_not_hold_up_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let (good, path) = file();
    let gelf = GelfTcp::new(&address.to_string());
    let (log, writer) = start(vec![output("gelf-tcp", gelf), output("good", good)]);
    for number in 0..2 * WAITING_MAX {
        log.info(format_args!("{number}"));
        if number % 256 == 0 {
            log.wait_for_room(Duration::from_millis(1));
        }
    }
    wait_until("what has no room is lost", || lost(&log, "gelf-tcp") > 0);
    log.info(format_args!("one more"));
    wait_until("it is told", || {
        text_of(&path).contains("the output fails: gelf-tcp: Connection refused")
    });
    let begin = Instant::now();
    assert!(writer.stop(SOON));
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    let shown = text_of(&path).lines().filter(|line| line.contains("INFO")).count();
    assert_eq!(shown as u64 + lost(&log, "good"), 2 * WAITING_MAX as u64 + 1);
    fs::remove_file(path).expect("there");
}

#[test]
fn a_slow_collector_gets_lines_whole_and_the_others_do_not_wait() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (good, path) = file();
    let gelf = GelfTcp::new(&address.to_string());
    let (log, writer) = start(vec![output("gelf-tcp", gelf), output("good", good)]);
    // More than the kernel's buffers take.
    let line = "y".repeat(1000);
    let count = 12_000_u64;
    for number in 0..count {
        log.info(format_args!("{number} {line}"));
        if number % 64 == 0 {
            wait_until("the good one keeps up", || {
                fs::metadata(&path).expect("there").len() / 1100 + 4000 > number
            });
        }
    }
    let (stream, _) = listener.accept().expect("a connection");
    let (mut received, mut reported) = (0, 0);
    for message in messages(stream) {
        match short(&message).split_once(' ') {
            Some((_, rest)) if rest == line => received += 1,
            _ => {
                assert!(short(&message).contains("lines dropped"), "{message}");
                reported += 1;
            }
        }
        if received + lost(&log, "gelf-tcp") == count && (reported > 0 || received == count) {
            break;
        }
    }
    assert_eq!(received + lost(&log, "gelf-tcp"), count);
    assert_eq!(lost(&log, "good"), 0);
    assert!(writer.stop(SOON));
    fs::remove_file(path).expect("there");
}

#[test]
fn datagrams_for_graylog_are_packed_and_long_ones_come_in_chunks() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.set_read_timeout(Some(SOON)).expect("a socket");
    let address = socket.local_addr().expect("an address").to_string();
    let (log, writer) = start(vec![output("gelf-udp", GelfUdp::new(&address))]);
    log.error(format_args!("one"));
    let mut bytes = vec![0; 65536];
    let mut receive = || {
        let count = socket.recv(&mut bytes).expect("a datagram");
        bytes[..count].to_vec()
    };
    let unpacked = |packed: &[u8]| -> Value {
        let mut text = String::new();
        GzDecoder::new(packed).read_to_string(&mut text).expect("packed");
        serde_json::from_str(&text).expect("JSON")
    };
    let message = unpacked(&receive());
    assert_eq!((short(&message).as_str(), &message["level"]), ("one", &Value::from(3)));
    let mut state = 7_u64;
    let long: String = (0..6000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b' ' + u8::try_from(state >> 57).expect("seven bits") % 94)
        })
        .collect();
    log.error(format_args!("a{long}z"));
    let mut whole = Vec::new();
    loop {
        let chunk = receive();
        assert_eq!(chunk[..2], [0x1e, 0x0f]);
        assert!(chunk.len() <= 1420);
        whole.extend_from_slice(&chunk[12..]);
        if chunk[10] + 1 == chunk[11] {
            break;
        }
    }
    assert_eq!(short(&unpacked(&whole)), format!("a{long}z"));
    assert!(writer.stop(SOON));
}

#[test]
fn the_syslog_daemon_is_found_by_either_kind_of_socket_and_found_again() {
    let path = path("syslog");
    let name = path.to_str().expect("text").to_owned();
    let (log, writer) = start(vec![output("syslog", Syslog::new(&["/nowhere", &name]))]);
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(SOON)).expect("a socket");
    let mut bytes = [0; 1000];
    let mut receive = |socket: &UnixDatagram| {
        let count = socket.recv(&mut bytes).expect("a datagram");
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    };
    log.error(format_args!("one"));
    let line = receive(&socket);
    let pid = std::process::id();
    assert!(
        line.starts_with("<155>") && line.ends_with(&format!(" tag[{pid}]: ERROR > one\n")),
        "{line}"
    );
    // The daemon is started again.
    drop(socket);
    fs::remove_file(&path).expect("there");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(SOON)).expect("a socket");
    log.debug(format_args!("two"));
    assert!(receive(&socket).ends_with("DEBUG > two\n"));
    // The next one listens for streams.
    drop(socket);
    fs::remove_file(&path).expect("there");
    let listener = UnixListener::bind(&path).expect("a socket");
    log.reopen();
    log.info(format_args!("three"));
    let (mut stream, _) = listener.accept().expect("a connection");
    let count = stream.read(&mut bytes).expect("a line");
    assert!(bytes[..count].ends_with(b"INFO > three\n"));
    assert_eq!(lost(&log, "syslog"), 0);
    assert!(writer.stop(SOON));
    fs::remove_file(path).expect("there");
}
