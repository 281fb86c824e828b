//! A scripted upstream: a thread a connection, answers as the test wrote them, honest or not.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::eventually;
use super::pattern::{self, Check};

/// A thread serves one connection and needs little.
const STACK_BYTES: usize = 256 * 1024;
/// Of a request's body so much is kept; all of it is checked.
const KEPT_BODY_BYTES: usize = 64 * 1024;
/// Nothing in a test is held longer.
const HOLD_LIMIT: Duration = Duration::from_mins(1);

/// A door that a test opens: an answer held by it goes on only then.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn open(&self) {
        *lock(&self.0.0) = true;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        let is_closed = |open: &mut bool| !*open;
        drop(self.0.1.wait_timeout_while(lock(&self.0.0), HOLD_LIMIT, is_closed));
    }
}

/// What the upstream was asked.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Which connection, counted from 1.
    pub connection: usize,
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    /// The body's first 64 KiB.
    pub body: Vec<u8>,
    /// All of the body, compared with the pattern.
    pub check: Check,
    /// Whether the body came in chunks.
    pub chunked: bool,
    /// Whether the body came to its end.
    pub whole: bool,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or("")
    }
}

#[derive(Clone)]
enum Body {
    Bytes(Arc<[u8]>),
    /// So many bytes of the pattern.
    Pattern(u64),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Coding {
    Length,
    /// In chunks of at most so many bytes.
    Chunked(usize),
    UntilClose,
}

/// What happens to the connection after an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    KeepOpen,
    Close,
    /// The end comes a while later, be the next request already on its way or not.
    CloseAfter(Duration),
    Reset,
}

/// An answer and all that can be wrong with it.
#[derive(Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Body,
    coding: Coding,
    claimed_length: Option<u64>,
    delay: Duration,
    gate: Option<Gate>,
    body_gate: Option<(u64, Gate)>,
    cut_after: Option<u64>,
    drip: Option<(usize, Duration)>,
    ending: Ending,
    raw: Option<Arc<[u8]>>,
}

impl Reply {
    pub fn text(body: &str) -> Self {
        Self::bytes(body.as_bytes()).header("Content-Type", "text/plain; charset=utf-8")
    }

    #[expect(clippy::needless_pass_by_value, reason = "reads well with json!")]
    pub fn json(value: serde_json::Value) -> Self {
        Self::bytes(value.to_string().as_bytes()).header("Content-Type", "application/json")
    }

    /// A body of so many bytes of the pattern.
    pub fn pattern(len: u64) -> Self {
        Self { body: Body::Pattern(len), ..Self::bytes(b"") }
            .header("Content-Type", "application/octet-stream")
    }

    pub fn bytes(body: &[u8]) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: Body::Bytes(body.into()),
            coding: Coding::Length,
            claimed_length: None,
            delay: Duration::ZERO,
            gate: None,
            body_gate: None,
            cut_after: None,
            drip: None,
            ending: Ending::KeepOpen,
            raw: None,
        }
    }

    /// Bytes as they stand instead of an answer; the connection stays open unless told otherwise.
    pub fn raw(bytes: &[u8]) -> Self {
        Self { raw: Some(bytes.into()), ..Self::bytes(b"") }
    }

    /// Closes without a word.
    pub fn nothing() -> Self {
        Self::raw(b"").close()
    }

    pub fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The body in chunks of this size.
    pub fn chunked(self, size: usize) -> Self {
        Self { coding: Coding::Chunked(size), ..self }
    }

    /// The body ends with the connection.
    pub fn until_close(self) -> Self {
        Self { coding: Coding::UntilClose, ending: Ending::Close, ..self }
    }

    /// The head announces this length, whatever follows.
    pub fn claiming(self, length: u64) -> Self {
        Self { claimed_length: Some(length), ..self }
    }

    /// Waits before the first byte.
    pub fn delay(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Waits for the gate before the first byte.
    pub fn held_by(self, gate: &Gate) -> Self {
        Self { gate: Some(gate.clone()), ..self }
    }

    /// Waits for the gate after so many bytes of the body.
    pub fn held_after(self, bytes: u64, gate: &Gate) -> Self {
        Self { body_gate: Some((bytes, gate.clone())), ..self }
    }

    /// The connection ends after so many bytes of the body.
    pub fn cut_after(self, bytes: u64) -> Self {
        let ending = if self.ending == Ending::Reset { Ending::Reset } else { Ending::Close };
        Self { cut_after: Some(bytes), ending, ..self }
    }

    /// The body in small pieces with pauses between them.
    pub fn drip(self, bytes: usize, pause: Duration) -> Self {
        Self { drip: Some((bytes, pause)), ..self }
    }

    /// Closes after the answer without having announced it.
    pub fn close(self) -> Self {
        Self { ending: Ending::Close, ..self }
    }

    /// Closes the connection a while after the answer, as upstreams do with idle ones.
    pub fn close_after(self, pause: Duration) -> Self {
        Self { ending: Ending::CloseAfter(pause), ..self }
    }

    /// Ends with a reset.
    pub fn reset(self) -> Self {
        Self { ending: Ending::Reset, ..self }
    }
}

/// A request, and how many came before it on its route, to an answer.
type Script = Arc<dyn Fn(&Seen, usize) -> Reply + Send + Sync>;

#[derive(Clone)]
struct Route {
    script: Script,
    turns: Arc<AtomicUsize>,
    /// Whether the answer goes out as soon as the request's head is there, its body unread.
    early: bool,
}

impl Route {
    fn new(script: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self { script: Arc::new(script), turns: Arc::default(), early: false }
    }
}

#[derive(Default)]
struct Shared {
    routes: Mutex<HashMap<String, Route>>,
    heads: Mutex<Vec<String>>,
    seen: Mutex<Vec<Seen>>,
    /// Connections by number, for closing them from outside; and whether a request is being answered.
    open: Mutex<HashMap<usize, (TcpStream, Arc<AtomicBool>)>>,
    accepted: AtomicUsize,
    requests: AtomicUsize,
    broken: AtomicUsize,
    garbled: AtomicUsize,
    sent_body_bytes: AtomicU64,
    received_body_bytes: AtomicU64,
    forgetful: AtomicBool,
    stopping: AtomicBool,
    reading: Mutex<Option<Gate>>,
}

/// A listening upstream; ends with the value.
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Upstream {
    #[track_caller]
    pub fn start() -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into())
    }

    #[track_caller]
    pub fn start_at(address: SocketAddr) -> Self {
        let shared = Arc::new(Shared::default());
        let address = listen(address, &shared)
            .unwrap_or_else(|error| panic!("no upstream at {address}: {error}"));
        Self { address, shared }
    }

    /// Its base URL, as a configuration names it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers `"/path"`, `"METHOD /path"` or, with `"*"`, all that nothing else answers.
    pub fn on(&self, route: &str, reply: Reply) -> &Self {
        self.on_each(route, move |_, _| reply.clone())
    }

    /// Answers in turn; the last reply serves for ever.
    pub fn on_turns(&self, route: &str, replies: Vec<Reply>) -> &Self {
        self.on_each(route, move |_, turn| replies[turn.min(replies.len() - 1)].clone())
    }

    /// Answers by a function of the request and of how many came before it on this route.
    pub fn on_each(
        &self,
        route: &str,
        script: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static,
    ) -> &Self {
        lock(&self.shared.routes).insert(route.to_owned(), Route::new(script));
        self
    }

    /// Answers as soon as the request's head is there, never reads its body, and closes.
    pub fn on_head(&self, route: &str, reply: Reply) -> &Self {
        let early = Route { early: true, ..Route::new(move |_, _| reply.clone().close()) };
        lock(&self.shared.routes).insert(route.to_owned(), early);
        self
    }

    /// Keeps no requests: for tests that send very many.
    pub fn forget_requests(&self) -> &Self {
        self.shared.forgetful.store(true, Ordering::Relaxed);
        self
    }

    /// Reads no request's body before the gate is open.
    pub fn read_bodies_after(&self, gate: &Gate) -> &Self {
        *lock(&self.shared.reading) = Some(gate.clone());
        self
    }

    /// The requests so far whose heads came.
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// The requests so far that came whole.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.shared.seen).clone()
    }

    /// How many whole requests had this path.
    pub fn seen_at(&self, path: &str) -> usize {
        lock(&self.shared.seen).iter().filter(|seen| seen.path() == path).count()
    }

    /// How many requests had this path, whole or not.
    pub fn begun_at(&self, path: &str) -> usize {
        lock(&self.shared.heads).iter().filter(|begun| *begun == path).count()
    }

    /// Waits for the heads of so many requests.
    #[track_caller]
    pub fn wait_for_requests(&self, count: usize) {
        let what = format!("{count} requests at the upstream");
        eventually(&what, Duration::from_secs(10), || self.requests() >= count);
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Connections that are open now.
    pub fn open_connections(&self) -> usize {
        lock(&self.shared.open).len()
    }

    /// Connections that ended while a request or its answer was under way.
    pub fn broken(&self) -> usize {
        self.shared.broken.load(Ordering::SeqCst)
    }

    /// Connections on which something came that is no HTTP request.
    pub fn garbled(&self) -> usize {
        self.shared.garbled.load(Ordering::SeqCst)
    }

    /// Bytes of answers' bodies that the kernel has taken.
    pub fn sent_body_bytes(&self) -> u64 {
        self.shared.sent_body_bytes.load(Ordering::Relaxed)
    }

    /// Bytes of requests' bodies that were read.
    pub fn received_body_bytes(&self) -> u64 {
        self.shared.received_body_bytes.load(Ordering::Relaxed)
    }

    /// Ends every connection on which nothing is under way.
    pub fn close_idle(&self) {
        for (stream, busy) in lock(&self.shared.open).values() {
            if !busy.load(Ordering::SeqCst) {
                drop(stream.shutdown(Shutdown::Both));
            }
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address)); // wakes the listening thread
        for (stream, _) in lock(&self.shared.open).values() {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

fn listen(address: SocketAddr, shared: &Arc<Shared>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address)?;
    SockRef::from(&listener).listen(4096)?; // std listens with 128, too few for a burst
    let address = listener.local_addr()?;
    let shared = Arc::clone(shared);
    thread::Builder::new().name("upstream".to_owned()).stack_size(STACK_BYTES).spawn(
        move || {
            for stream in listener.incoming() {
                if shared.stopping.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let number = shared.accepted.fetch_add(1, Ordering::SeqCst) + 1;
                let shared = Arc::clone(&shared);
                let serve = move || serve_connection(stream, number, &shared);
                drop(thread::Builder::new().stack_size(STACK_BYTES).spawn(serve));
            }
        },
    )?;
    Ok(address)
}

fn serve_connection(stream: TcpStream, number: usize, shared: &Arc<Shared>) {
    let busy = Arc::new(AtomicBool::new(false));
    if let Ok(clone) = stream.try_clone() {
        lock(&shared.open).insert(number, (clone, Arc::clone(&busy)));
    }
    drop(stream.set_nodelay(true));
    drop(stream.set_read_timeout(Some(HOLD_LIMIT)));
    drop(stream.set_write_timeout(Some(HOLD_LIMIT)));
    let mut connection =
        Connection { reader: BufReader::with_capacity(16 * 1024, stream), number, shared, busy };
    let outcome = loop {
        match connection.serve_one() {
            Ok(true) => {}
            other => break other,
        }
    };
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::Other => {
            shared.garbled.fetch_add(1, Ordering::SeqCst)
        }
        Err(_) => shared.broken.fetch_add(1, Ordering::SeqCst),
        Ok(_) => 0,
    };
    lock(&shared.open).remove(&number);
}

struct Connection<'s> {
    reader: BufReader<TcpStream>,
    number: usize,
    shared: &'s Shared,
    busy: Arc<AtomicBool>,
}

impl Connection<'_> {
    /// Serves one request; false when the connection has ended as it should.
    fn serve_one(&mut self) -> io::Result<bool> {
        let Some(mut seen) = self.read_head()? else { return Ok(false) };
        self.busy.store(true, Ordering::SeqCst);
        self.shared.requests.fetch_add(1, Ordering::SeqCst);
        if !self.shared.forgetful.load(Ordering::Relaxed) {
            lock(&self.shared.heads).push(seen.path().to_owned());
        }
        let route = self.route(&seen);
        let turn = route.turns.fetch_add(1, Ordering::SeqCst);
        if !route.early {
            self.read_body(&mut seen)?;
        }
        self.record(&seen);
        let goes_on = self.answer(&seen, &(route.script)(&seen, turn))?;
        self.busy.store(false, Ordering::SeqCst);
        Ok(goes_on
            && !seen.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")))
    }

    fn record(&self, seen: &Seen) {
        if !self.shared.forgetful.load(Ordering::Relaxed) {
            lock(&self.shared.seen).push(seen.clone());
        }
    }

    fn route(&self, seen: &Seen) -> Route {
        let routes = lock(&self.shared.routes);
        let exact = format!("{} {}", seen.method, seen.path());
        let found =
            [exact.as_str(), seen.path(), "*"].into_iter().find_map(|key| routes.get(key)).cloned();
        found.unwrap_or_else(|| Route::new(|_, _| Reply::text("no such route").status(404)))
    }

    fn read_head(&mut self) -> io::Result<Option<Seen>> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) | Err(_) => return Ok(None), // the gateway let go of an idle connection
            Ok(_) => {}
        }
        let mut words = line.trim_end().splitn(3, ' ');
        let (method, target) =
            (words.next().unwrap_or("").to_owned(), words.next().unwrap_or("").to_owned());
        if words.next() != Some("HTTP/1.1") {
            return Err(io::Error::other(format!("a request line that is none: {line:?}")));
        }
        let mut seen =
            Seen { connection: self.number, method, target, whole: true, ..Seen::default() };
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end_matches(['\r', '\n']);
            if line.is_empty() {
                return Ok(Some(seen));
            }
            let (name, value) =
                line.split_once(':').ok_or_else(|| io::Error::other("a header without colon"))?;
            seen.headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    fn read_body(&mut self, seen: &mut Seen) -> io::Result<()> {
        if seen.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
            write_all(self.reader.get_ref(), b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let gate = lock(&self.shared.reading).clone();
        if let Some(gate) = gate {
            gate.wait();
        }
        seen.chunked = seen
            .header("transfer-encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        if !seen.chunked {
            let length = seen.header("content-length").map_or(Ok(0), str::parse);
            let length = length.map_err(|_| io::Error::other("a length that is none"))?;
            return self.read_part(seen, length);
        }
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let size = u64::from_str_radix(line.trim_end(), 16);
            let size =
                size.map_err(|_| io::Error::other(format!("a chunk size that is none: {line:?}")))?;
            self.read_part(seen, size)?;
            let mut end = String::new();
            if self.reader.read_line(&mut end)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if end != "\r\n" {
                return Err(io::Error::other("a chunk or a body without its end"));
            }
            if size == 0 {
                return Ok(());
            }
        }
    }

    fn read_part(&mut self, seen: &mut Seen, mut left: u64) -> io::Result<()> {
        let mut piece = [0; 16_384];
        while left > 0 {
            let most = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let count = self.reader.read(&mut piece[..most])?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            seen.check.update(&piece[..count]);
            let keep = count.min(KEPT_BODY_BYTES - seen.body.len());
            seen.body.extend_from_slice(&piece[..keep]);
            self.shared.received_body_bytes.fetch_add(count as u64, Ordering::Relaxed);
            left -= count as u64;
        }
        Ok(())
    }

    fn answer(&mut self, seen: &Seen, reply: &Reply) -> io::Result<bool> {
        if let Some(gate) = &reply.gate {
            gate.wait();
        }
        if reply.delay > Duration::ZERO && self.is_left_alone(reply.delay)? {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let stream = self.reader.get_ref();
        if let Some(raw) = &reply.raw {
            write_all(stream, raw)?;
        } else {
            write_reply(stream, reply, seen.method == "HEAD", &self.shared.sent_body_bytes)?;
        }
        match reply.ending {
            Ending::KeepOpen => return Ok(true),
            Ending::Close => drop(stream.shutdown(Shutdown::Both)),
            Ending::CloseAfter(pause) => {
                thread::sleep(pause);
                drop(stream.shutdown(Shutdown::Both));
            }
            Ending::Reset => {
                SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
                lock(&self.shared.open).remove(&self.number); // the last descriptor must go for a reset
            }
        }
        Ok(false)
    }

    /// Waits for `delay`; true when the gateway ended the connection meanwhile.
    fn is_left_alone(&mut self, delay: Duration) -> io::Result<bool> {
        let end = Instant::now() + delay;
        while let Some(left) =
            end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
        {
            self.reader.get_ref().set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            match self.reader.get_ref().peek(&mut [0]) {
                Ok(0) => return Ok(true),
                Ok(_) => thread::sleep(left), // the next request waits already
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) => {}
                Err(_) => return Ok(true),
            }
        }
        self.reader.get_ref().set_read_timeout(Some(HOLD_LIMIT))?;
        Ok(false)
    }
}

fn write_all(mut stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)
}

fn write_reply(
    stream: &TcpStream,
    reply: &Reply,
    is_head: bool,
    sent: &AtomicU64,
) -> io::Result<()> {
    let len = match &reply.body {
        Body::Bytes(bytes) => bytes.len() as u64,
        Body::Pattern(len) => *len,
    };
    let mut head = format!("HTTP/1.1 {} Scripted\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.extend([name.as_str(), ": ", value, "\r\n"]);
    }
    let bodiless = is_head || matches!(reply.status, 204 | 304) || reply.status < 200;
    if reply.coding == Coding::Length && (!bodiless || is_head) {
        let length = reply.claimed_length.unwrap_or(len).to_string();
        head.extend(["Content-Length: ", &length, "\r\n"]);
    } else if matches!(reply.coding, Coding::Chunked(_)) {
        head.push_str("Transfer-Encoding: chunked\r\n");
    }
    head.push_str("\r\n");
    let mut out = head.into_bytes();
    let piece_max = match (reply.drip, reply.coding) {
        (Some((bytes, _)), _) => bytes,
        (None, Coding::Chunked(size)) => size,
        (None, _) => 65_536,
    };
    let end = if bodiless { 0 } else { reply.cut_after.map_or(len, |cut| cut.min(len)) };
    let mut offset = 0;
    while offset < end {
        if let Some((place, gate)) = &reply.body_gate
            && offset >= *place
        {
            write_all(stream, &out)?;
            out.clear();
            gate.wait();
        }
        let most = usize::try_from(end - offset).unwrap_or(usize::MAX).min(piece_max);
        let piece = match &reply.body {
            Body::Bytes(bytes) => {
                let start = usize::try_from(offset).expect("below the body's length");
                &bytes[start..start + most]
            }
            Body::Pattern(_) => pattern::at(offset, most),
        };
        append_piece(&mut out, piece, reply.coding);
        offset += piece.len() as u64;
        if reply.drip.is_some() || out.len() >= 65_536 {
            write_all(stream, &out)?;
            out.clear();
        }
        sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
        if let Some((_, pause)) = reply.drip
            && offset < end
        {
            thread::sleep(pause);
        }
    }
    if matches!(reply.coding, Coding::Chunked(_)) && !bodiless && reply.cut_after.is_none() {
        out.extend_from_slice(b"0\r\n\r\n");
    }
    write_all(stream, &out)
}

fn append_piece(out: &mut Vec<u8>, piece: &[u8], coding: Coding) {
    if matches!(coding, Coding::Chunked(_)) {
        out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
    } else {
        out.extend_from_slice(piece);
    }
}

/// A panic in another thread is that test's failure, not ours.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
