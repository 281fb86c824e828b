//! Load by so many connections, each with at most one request in flight, as cheaply as io_uring can: a closed loop, or so
//! many requests a second.
//!
//! `press PORT THREADS CONNECTIONS SECONDS PATH [post BYTES | routes COUNT | with HEADERS | rate COUNT]` prints its result as
//! a line of JSON. A generator that shares its core with the upstream must be cheap, or it is the limit and no gateway is
//! ever pressed. Answers are read to the end that their `Content-Length` names; another form, or a status other than 200, is
//! an error.
//!
//! At a rate, a request's time counts from when it was due, whether or not a connection was free then. One that has no
//! answer when the run ends counts with the time that it has waited so far: what is slow is never left out.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use load::{Done, Kind, Ring};

const USAGE: &str = "usage: press PORT THREADS CONNECTIONS SECONDS PATH \
    [post BYTES | routes COUNT | with HEADERS | rate COUNT]";
/// The first read of an answer; its head must be in it.
const FIRST_BYTES: usize = 16 << 10;
/// The rest of long answers lands here, of all connections: nobody looks at it.
const REST_BYTES: usize = 256 << 10;
/// Requests of a run over many routes, in an order that repeats.
const ROUTED: usize = 4096;
/// After so many failures there is nothing to measure.
const FAILURES_MAX: u64 = 10_000;
/// At a rate: requests that fall due within so much time go out together.
const STEP: Duration = Duration::from_micros(50);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(job) = Job::read(&arguments) else {
        eprintln!("{USAGE}");
        std::process::exit(2);
    };
    match run(&job) {
        Ok(total) => println!("{}", total.report()),
        Err(error) => {
            eprintln!("press: {error}");
            std::process::exit(1);
        }
    }
}

/// Every thread has its share of the connections; their counts are one.
fn run(job: &Job) -> std::io::Result<Total> {
    std::thread::scope(|scope| {
        let shares = (0..job.threads).map(|number| {
            let count =
                job.connections / job.threads + usize::from(number < job.connections % job.threads);
            scope.spawn(move || Press::new(job, count)?.run())
        });
        let mut total = Total::new()?;
        for share in shares.collect::<Vec<_>>() {
            total.add(&share.join().map_err(|_| std::io::Error::other("a thread panicked"))??);
        }
        Ok(total)
    })
}

struct Job {
    port: u16,
    threads: usize,
    connections: usize,
    seconds: f64,
    requests: Vec<Vec<u8>>,
    /// Requests a second; none: a closed loop.
    rate: Option<f64>,
}

impl Job {
    fn read(arguments: &[String]) -> Option<Job> {
        let [port, threads, connections, seconds, path, more @ ..] = arguments else { return None };
        let port: u16 = port.parse().ok()?;
        let text = |start: String, rest: &str| {
            format!("{start} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{rest}\r\n").into_bytes()
        };
        let requests = match more {
            [] => vec![text(format!("GET {path}"), "")],
            [job, bytes] if job == "post" => {
                let bytes: usize = bytes.parse().ok()?;
                let rest = format!(
                    "Content-Type: application/octet-stream\r\nContent-Length: {bytes}\r\n"
                );
                let mut request = text(format!("POST {path}"), &rest);
                request.resize(request.len() + bytes, b'x');
                vec![request]
            }
            [job, lines] if job == "with" => vec![text(format!("GET {path}"), lines)],
            [job, _] if job == "rate" => vec![text(format!("GET {path}"), "")],
            [job, count] if job == "routes" => {
                let count: u64 = count.parse().ok().filter(|count| *count > 0)?;
                // The constants of Knuth's MMIX: the same order each time.
                let mut state = count;
                let mut next = || {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    (state >> 33) % count
                };
                (0..ROUTED).map(|_| text(format!("GET /r{}/items/7", next()), "")).collect()
            }
            _ => return None,
        };
        Some(Job {
            port,
            threads: threads.parse().ok().filter(|threads| *threads > 0)?,
            connections: connections.parse().ok()?,
            seconds: seconds.parse().ok()?,
            requests,
            rate: match more {
                [job, rate] if job == "rate" => Some(rate.parse().ok().filter(|rate| *rate > 0.0)?),
                _ => None,
            },
        })
    }
}

struct Connection {
    stream: TcpStream,
    first: Box<[u8]>,
    /// Bytes of the answer that are still to come, once its head has been read.
    left: Option<usize>,
    /// When the request in flight was sent, or was due; nothing while there is none.
    began: Option<Instant>,
}

struct Press<'j> {
    ring: Ring,
    job: &'j Job,
    connections: Vec<Connection>,
    schedule: Option<Schedule>,
    turn: usize,
    rest: Box<[u8]>,
    total: Total,
}

/// When requests are due, and who is free to send them.
struct Schedule {
    began: Instant,
    between: Duration,
    /// Requests sent so far.
    sent: u32,
    free: VecDeque<usize>,
}

/// What was counted.
struct Total {
    answers: u64,
    bytes: u64,
    broken: u64,
    wrong_status: u64,
    took: Duration,
    latency_us: Histogram<u64>,
}

impl<'j> Press<'j> {
    fn new(job: &'j Job, count: usize) -> std::io::Result<Press<'j>> {
        let connections: std::io::Result<_> =
            (0..count).map(|_| Connection::open(job.port)).collect();
        // Each thread has its share of the rate.
        let schedule = job.rate.map(|rate| Schedule {
            began: Instant::now(),
            between: Duration::from_secs_f64(job.threads as f64 / rate),
            sent: 0,
            free: (0..count).collect(),
        });
        Ok(Press {
            ring: Ring::new()?,
            job,
            connections: connections?,
            schedule,
            turn: 0,
            rest: vec![0; REST_BYTES].into(),
            total: Total::new()?,
        })
    }

    fn run(mut self) -> std::io::Result<Total> {
        let began = Instant::now();
        let ends = began + Duration::from_secs_f64(self.job.seconds);
        match &mut self.schedule {
            Some(schedule) => schedule.began = began,
            None => (0..self.connections.len()).for_each(|place| self.ask(place, began)),
        }
        let mut done = Vec::new();
        let mut now = began;
        while now < ends {
            let next = self.ask_due(now).unwrap_or(ends).min(ends);
            self.ring.wait(next.saturating_duration_since(now).max(STEP), &mut done)?;
            now = Instant::now();
            for event in done.drain(..) {
                self.take(&event)?;
            }
        }
        self.total.took = now - began;
        self.count_unanswered(now);
        // Operations are still in flight: their memory must not be freed before the process ends.
        std::mem::forget(std::mem::take(&mut self.connections));
        std::mem::forget(std::mem::take(&mut self.rest));
        Ok(self.total)
    }

    /// At a rate: sends what is due as long as a connection is free, and tells when the next request is due that one is
    /// free for.
    fn ask_due(&mut self, now: Instant) -> Option<Instant> {
        loop {
            let schedule = self.schedule.as_mut()?;
            let due = schedule.due();
            let place = *schedule.free.front()?;
            if due > now {
                return Some(due);
            }
            schedule.free.pop_front();
            schedule.sent += 1;
            self.ask(place, due);
        }
    }

    /// A connection may send the next request.
    fn go_on(&mut self, place: usize, now: Instant) {
        match &mut self.schedule {
            Some(schedule) => {
                self.connections[place].began = None;
                schedule.free.push_back(place);
            }
            None => self.ask(place, now),
        }
    }

    /// At a rate: what waits for an answer, or for a connection, has waited so long already.
    fn count_unanswered(&mut self, now: Instant) {
        let Some(schedule) = &mut self.schedule else { return };
        for began in self.connections.iter().filter_map(|connection| connection.began) {
            self.total.note(now - began);
        }
        while schedule.due() <= now {
            self.total.note(now - schedule.due());
            schedule.sent += 1;
        }
    }

    fn ask(&mut self, place: usize, began: Instant) {
        let request = &self.job.requests[self.turn];
        self.turn = if self.turn + 1 == self.job.requests.len() { 0 } else { self.turn + 1 };
        let connection = &mut self.connections[place];
        connection.began = Some(began);
        connection.left = None;
        let socket = connection.socket();
        // SAFETY: requests and buffers are never moved or freed while the process runs; a connection whose operations
        // were cut off is leaked with its buffer.
        unsafe {
            self.ring.send(place, socket, request, false);
            self.ring.receive(place, socket, connection.first.as_mut_ptr(), connection.first.len());
        }
    }

    fn take(&mut self, event: &Done) -> std::io::Result<()> {
        let place = event.place;
        // A send that failed shows in the read as well.
        if event.kind != Kind::Receive {
            return Ok(());
        }
        let Some(got) = usize::try_from(event.result).ok().filter(|got| *got > 0) else {
            self.total.broken += 1;
            return self.replace(place);
        };
        self.total.bytes += got as u64;
        let connection = &mut self.connections[place];
        let left = match connection.left {
            Some(left) => left.checked_sub(got),
            None => match length_of(&connection.first[..got]) {
                Some((200, length)) => length.checked_sub(got),
                Some(_) => {
                    self.total.wrong_status += 1;
                    return self.replace(place);
                }
                None => None,
            },
        };
        match left {
            Some(0) => {
                let now = Instant::now();
                if let Some(began) = connection.began {
                    self.total.note(now - began);
                }
                self.total.answers += 1;
                self.go_on(place, now);
            }
            Some(left) => {
                connection.left = Some(left);
                let socket = connection.socket();
                // SAFETY: this buffer lives as long as the process; what lands in it is nobody's.
                unsafe {
                    self.ring.receive(place, socket, self.rest.as_mut_ptr(), left.min(REST_BYTES))
                };
            }
            None => {
                self.total.broken += 1;
                return self.replace(place);
            }
        }
        Ok(())
    }

    fn replace(&mut self, place: usize) -> std::io::Result<()> {
        if self.total.broken + self.total.wrong_status > FAILURES_MAX {
            return Err(std::io::Error::other("hardly anything is answered"));
        }
        let fresh = Connection::open(self.job.port)?;
        let old = std::mem::replace(&mut self.connections[place], fresh);
        let _ = old.stream.shutdown(std::net::Shutdown::Both);
        // Its operations may still write.
        std::mem::forget(old.first);
        self.go_on(place, Instant::now());
        Ok(())
    }
}

impl Schedule {
    fn due(&self) -> Instant {
        self.began + self.between * self.sent
    }
}

impl Total {
    fn new() -> std::io::Result<Total> {
        Ok(Total {
            answers: 0,
            bytes: 0,
            broken: 0,
            wrong_status: 0,
            took: Duration::ZERO,
            latency_us: Histogram::new(3).map_err(std::io::Error::other)?,
        })
    }

    fn note(&mut self, latency: Duration) {
        // The histogram grows with what it is given; it takes no more than hours.
        let _ = self.latency_us.record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }

    fn add(&mut self, other: &Total) {
        self.answers += other.answers;
        self.bytes += other.bytes;
        self.broken += other.broken;
        self.wrong_status += other.wrong_status;
        self.took = self.took.max(other.took);
        // Both were made the same way and grow as they need.
        let _ = self.latency_us.add(&other.latency_us);
    }

    fn report(&self) -> String {
        let at = |share| self.latency_us.value_at_quantile(share);
        format!(
            "RESULT {{\"requests\": {}, \"seconds\": {:.6}, \"bytes\": {}, \"mean_us\": {:.0}, \"p50_us\": {}, \
             \"p99_us\": {}, \"p999_us\": {}, \"errors\": {{\"broken\": {}, \"status\": {}}}}}",
            self.answers,
            self.took.as_secs_f64(),
            self.bytes,
            self.latency_us.mean(),
            at(0.5),
            at(0.99),
            at(0.999),
            self.broken,
            self.wrong_status
        )
    }
}

impl Connection {
    fn open(port: u16) -> std::io::Result<Connection> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, first: vec![0; FIRST_BYTES].into(), left: None, began: None })
    }

    fn socket(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}

/// The status of an answer, and how long it is with its head; nothing if its head is not whole or names no length.
fn length_of(answer: &[u8]) -> Option<(u16, usize)> {
    const NAME: &[u8] = b"content-length:";
    let end = memchr::memmem::find(answer, b"\r\n\r\n")? + 4;
    let status = std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()?;
    let value = answer[..end].split(|&byte| byte == b'\n').find_map(|line| {
        let (name, value) = line.split_at_checked(NAME.len())?;
        name.eq_ignore_ascii_case(NAME).then_some(value)
    })?;
    let length: usize = std::str::from_utf8(value).ok()?.trim().parse().ok()?;
    Some((status, end + length))
}
