//! One client connection: read a request, have it answered, write the answer, repeat.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::encode;
use super::parse::{self, HeadLimits, ParseError, Progress};
use super::writer::{self, How, WriteError};
use crate::message::head::{Framing, RequestHead};
use crate::net::clock::{self, Tick};
use crate::net::pooled::Pooled;
use crate::net::task::{self, Boxed};
use crate::net::tls::HandshakeError;
use crate::net::{Stream, memory};
use crate::wire::body::Incoming;
use crate::wire::{Handle, Peer, Reply, Request};

/// What a connection may cost; zero means no limit of time.
#[derive(Clone, Debug)]
pub struct Settings {
    pub limits: HeadLimits,
    /// The longest body of a request.
    pub body_bytes_max: u64,
    /// From the first byte of a request to the end of its head; for the first one, from the connection's beginning.
    pub head_ms: u64,
    /// From the same moment to the end of the request's body.
    pub request_ms: u64,
    /// Between requests.
    pub idle_ms: u64,
    /// From the end of a request's head to the end of its answer.
    pub answer_ms: u64,
    /// How long a client may take none of the bytes that wait for it.
    pub write_stall_ms: u64,
}

/// Bytes of a request's body that are read and dropped to keep a connection, as the original's server does.
const DISCARD_BYTES_MAX: u64 = 256 * 1024;
/// How long a client whose body nobody wanted may go on sending before the connection is cut.
const LINGER_MS: u64 = 1000;
/// Bytes that are read and dropped meanwhile.
const LINGER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A request that has taken so long is worth a look whether its client is still there.
const HANG_UP_LOOK_MS: u64 = 500;
/// First buffer of a connection: an idle one costs little, and most heads fit.
const FIRST_BUFFER_BYTES: usize = 1024;

/// The client connections of one core: who they are, and whether they wait for a request.
#[derive(Default)]
pub struct Connections {
    open: RefCell<Vec<Option<Rc<ClientConnection>>>>,
    free: RefCell<Vec<usize>>,
    count: Cell<usize>,
    leaving: Cell<bool>,
    draining: Cell<bool>,
    cut: Cell<bool>,
}

pub struct ClientConnection {
    pub stream: Rc<Stream>,
    waits_for_request: Cell<bool>,
    /// When the request that is being answered came.
    busy_since: Cell<Tick>,
    /// The client was seen to be gone while its request was being answered.
    is_gone: Cell<bool>,
    is_answering: Cell<bool>,
    /// Wakes the task that serves the connection; the same for all its requests.
    waker: RefCell<Option<Waker>>,
}

impl ClientConnection {
    /// Agrees on keys, where the connection is encrypted; false when that failed. The order to drain lets it finish.
    ///
    /// # Errors
    /// See [`HandshakeError`].
    pub async fn handshake(&self, within_ms: u64) -> Result<(), HandshakeError> {
        self.waits_for_request.set(false);
        arm(&self.stream, within_ms);
        self.stream.handshake().await
    }
}

impl Connections {
    pub fn enter(&self, stream: Stream) -> (usize, Rc<ClientConnection>) {
        let connection = Rc::new(ClientConnection {
            stream: Rc::new(stream),
            waits_for_request: Cell::new(true),
            busy_since: Cell::new(clock::now()),
            is_gone: Cell::new(false),
            is_answering: Cell::new(false),
            waker: RefCell::default(),
        });
        self.count.set(self.count.get() + 1);
        let mut open = self.open.borrow_mut();
        if let Some(slot) = self.free.borrow_mut().pop() {
            open[slot] = Some(connection.clone());
            return (slot, connection);
        }
        open.push(Some(connection.clone()));
        (open.len() - 1, connection)
    }

    pub fn leave(&self, slot: usize) {
        self.open.borrow_mut()[slot] = None;
        self.free.borrow_mut().push(slot);
        self.count.set(self.count.get() - 1);
    }

    pub fn count(&self) -> usize {
        self.count.get()
    }

    /// True once nothing is to be waited for any more.
    pub fn is_cut(&self) -> bool {
        self.cut.get()
    }

    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// From now on every answer says that its connection ends, and those that are open serve on until then.
    pub fn leave_soon(&self) {
        self.leaving.set(true);
    }

    /// From now on no connection outlives the request it is at. One that waits is closed, unless a request has already
    /// arrived on it.
    pub fn drain(&self) {
        self.draining.set(true);
        for connection in self.open.borrow().iter().flatten() {
            if connection.waits_for_request.get() && connection.stream.is_quiet_and_open() {
                connection.stream.stop_reading();
            }
        }
    }

    /// Gives up requests whose client has closed its connection meanwhile, as the original does. Looking costs a system
    /// call, so only requests that have taken a while are looked at; called about once a second.
    pub fn look_for_hang_ups(&self) {
        let now = clock::now();
        for connection in self.open.borrow().iter().flatten() {
            let is_slow = !connection.waits_for_request.get()
                && now.since_ms(connection.busy_since.get()) >= HANG_UP_LOOK_MS;
            if is_slow && connection.is_answering.get() && connection.stream.is_hung_up() {
                connection.is_gone.set(true);
                if let Some(waker) = &*connection.waker.borrow() {
                    waker.wake_by_ref();
                }
            }
        }
    }

    /// Ends every connection now.
    pub fn cut(&self) {
        self.cut.set(true);
        for connection in self.open.borrow().iter().flatten() {
            connection.stream.watch().expire();
        }
    }
}

/// What comes next on a connection.
enum Next {
    Request,
    /// The client is gone, or the connection was closed on purpose.
    End,
    Refuse(ParseError),
}

/// Serves a connection to its end.
pub async fn serve<H: Handle>(
    connection: &ClientConnection,
    connections: &Connections,
    peer: &Peer,
    handler: &H,
    settings: &Settings,
) {
    let stream = &connection.stream;
    let mut head = RequestHead::with_bytes(Vec::with_capacity(FIRST_BUFFER_BYTES));
    let opened = clock::now();
    let mut turn = Turn { is_first: true, began: None };
    loop {
        connection.waits_for_request.set(true);
        // The order to drain may have come while an answer was on its way that promised to keep the connection.
        if connections.is_draining() && head.bytes.is_empty() && stream.is_quiet_and_open() {
            return;
        }
        match next_request(connection, &mut head, settings, &mut turn).await {
            Next::Request => {}
            Next::End => return,
            Next::Refuse(error) => {
                return task::rare(|| refuse(stream, peer, handler, &error, settings)).await;
            }
        }
        connection.waits_for_request.set(false);
        let now = clock::now();
        connection.busy_since.set(now);
        let began = if turn.is_first { opened } else { turn.began.unwrap_or(now) };
        if !answer(connection, connections, peer, handler, settings, &mut head, began).await {
            return;
        }
        turn.is_first = false;
    }
}

/// Which request of a connection is read, and since when: `None` where its head came in one piece.
struct Turn {
    is_first: bool,
    began: Option<Tick>,
}

/// Reads until `head` holds a whole request head. Bytes of it may be there already.
async fn next_request(
    connection: &ClientConnection,
    head: &mut RequestHead,
    settings: &Settings,
    turn: &mut Turn,
) -> Next {
    let stream = &connection.stream;
    let mut began = !head.bytes.is_empty();
    // A client that says nothing at all has no more time for its first head than one that is slow.
    let counts_already = turn.is_first && settings.head_ms > 0;
    arm(stream, if began || counts_already { settings.head_ms } else { settings.idle_ms });
    turn.began = began.then(clock::now);
    loop {
        if !head.bytes.is_empty() {
            match parse::request(head, &settings.limits) {
                Ok(Progress::Complete) => {
                    return match head.framing {
                        Framing::Length(length) if length > settings.body_bytes_max => {
                            Next::Refuse(ParseError::BodyTooLarge)
                        }
                        _ => Next::Request,
                    };
                }
                Ok(Progress::Partial) => {}
                Err(error) => return Next::Refuse(error),
            }
            if !began {
                began = true;
                connection.waits_for_request.set(false);
                if !counts_already {
                    arm(stream, settings.head_ms);
                    turn.began = Some(clock::now());
                }
            }
        }
        if head.bytes.capacity() == head.bytes.len() {
            let grown = head.bytes.len().max(FIRST_BUFFER_BYTES);
            head.bytes.reserve(grown);
        }
        let (got, bytes) = stream.read(std::mem::take(&mut head.bytes)).await;
        head.bytes = bytes;
        match got {
            Ok(0) | Err(_) => return Next::End,
            Ok(_) => {}
        }
    }
}

fn arm(stream: &Stream, after_ms: u64) {
    if after_ms == 0 {
        stream.watch().disarm();
    } else {
        stream.watch().arm(clock::now().plus_ms(after_ms));
    }
}

/// Answers the request in `head`; true when the connection can carry another one.
async fn answer<H: Handle>(
    connection: &ClientConnection,
    connections: &Connections,
    peer: &Peer,
    handler: &H,
    settings: &Settings,
    head: &mut RequestHead,
    began: Tick,
) -> bool {
    let stream = &connection.stream;
    let incoming = Incoming::of(stream, head, settings.body_bytes_max);
    if settings.request_ms > 0 && incoming.is_some() {
        stream.watch().arm_reading(began.plus_ms(settings.request_ms));
    } else {
        stream.watch().disarm();
    }
    let answer_end = match settings.answer_ms {
        0 => Tick::NEVER,
        answer_ms => clock::now().plus_ms(answer_ms),
    };
    // In a place of its own, so that an idle connection does not carry the room that a request needs.
    let mut answering =
        Pooled::new(|| handler.handle(Request { head, body: incoming.as_ref(), peer }));
    let reply = recovered(connection, answering.as_mut()).await;
    drop(answering);
    let keep = head.keep_alive
        && !reply.close
        && !connections.is_draining()
        && !connections.leaving.get()
        && reply.upload.is_none();
    let how = How {
        keep_alive: keep,
        is_head: head.is_head_method(),
        is_http_10: head.is_http_10(),
        body_bytes: None,
    };
    let is_usual = incoming.is_none() && reply.upload.is_none() && reply.witness.is_none();
    if !is_usual || answer_end != Tick::NEVER {
        let mut rest =
            Pooled::new(|| finish(stream, head, settings, reply, how, incoming, answer_end));
        let rest: Pin<&mut dyn Future<Output = bool>> = rest.as_mut();
        return rest.await;
    }
    let written = put(stream, reply, how, settings).await;
    if !matches!(written, Ok(true)) {
        if written.is_err() {
            stream.break_off();
        }
        return false;
    }
    // Nothing but the head was read into the buffer, or the next requests came with it.
    head.discard_head();
    true
}

/// Writes the answer to a request with a body, or one that is watched or has a time limit; true when the connection can
/// carry another request.
async fn finish(
    stream: &Stream,
    head: &mut RequestHead,
    settings: &Settings,
    mut reply: Reply,
    how: How<'_>,
    incoming: Option<Rc<Incoming>>,
    answer_end: Tick,
) -> bool {
    let upload = reply.upload.take();
    let mut witness = reply.witness.take();
    let body_bytes = Cell::new(0);
    let keep = how.keep_alive
        && incoming.as_ref().is_none_or(|body| !body.has_failed() && !body.was_not_asked_for());
    let keep = keep
        && match incoming.as_deref().filter(|body| !body.is_done()) {
            None => true,
            Some(body) => discard(body, settings).await,
        };
    if answer_end != Tick::NEVER {
        if clock::now() >= answer_end {
            return false;
        }
        stream.watch().cap(answer_end);
    }
    let body_bytes_counted = witness.is_some().then_some(&body_bytes);
    let how = How { keep_alive: keep, body_bytes: body_bytes_counted, ..how };
    let written = match upload {
        None => put(stream, reply, how, settings).await,
        Some(upload) => {
            let write = task::boxed(|| writer::write(stream, reply, how, settings.write_stall_ms));
            drive_both(write, upload).await
        }
    };
    if let Some(witness) = &mut witness {
        witness.sent(body_bytes.get(), written.is_ok());
    }
    if answer_end != Tick::NEVER {
        stream.watch().cap(Tick::NEVER);
    }
    if !matches!(written, Ok(true)) {
        if written.is_err() {
            stream.break_off();
        }
        if written.is_ok() && incoming.is_some_and(|body| !body.is_done()) {
            linger(stream).await;
        }
        return false;
    }
    match incoming {
        None => head.discard_head(),
        Some(body) => head.restart_with(body.rest()),
    }
    true
}

/// Writes the whole answer; short ones without the room that others need.
async fn put(
    stream: &Stream,
    mut reply: Reply,
    how: How<'_>,
    settings: &Settings,
) -> Result<bool, WriteError> {
    match writer::whole(&mut reply, how) {
        Some((message, from)) => {
            drop(reply);
            stream.watch().arm(write_deadline(settings.write_stall_ms));
            writer::send(stream, message, from).await.map(|_| how.keep_alive)
        }
        None => task::boxed(|| writer::write(stream, reply, how, settings.write_stall_ms)).await,
    }
}

/// Writes the answer while the request's body still goes up; the answer decides when both end.
async fn drive_both(
    mut write: Boxed<'_, Result<bool, WriteError>>,
    mut upload: crate::wire::http1::client::Upload,
) -> Result<bool, WriteError> {
    use crate::net::task::{First, first_of};
    match first_of(write.as_mut(), upload.as_mut()).await {
        First::Left(written) => written,
        First::Right(_) => write.await,
    }
}

/// Reads the rest of a short body, so that the connection can be kept. False: it is too long, or it broke.
async fn discard(incoming: &Incoming, settings: &Settings) -> bool {
    let read = async {
        let mut dropped = Vec::new();
        let mut count = 0u64;
        while incoming.read_into(&mut dropped).await? {
            count += dropped.len() as u64;
            dropped.clear();
            if count > DISCARD_BYTES_MAX {
                return Ok(false);
            }
        }
        Ok::<bool, super::body::ReadError>(true)
    };
    let within_ms =
        if settings.request_ms == 0 { LINGER_MS } else { settings.request_ms.min(LINGER_MS) };
    matches!(task::within_ms(within_ms, read).await, Some(Ok(true)))
}

/// Lets the client read the answer before the connection is cut: closing with unread bytes would reset it
/// (RFC 9112 section 9.6).
async fn linger(stream: &Stream) {
    stream.finish();
    stream.watch().arm(clock::now().plus_ms(LINGER_MS));
    let mut dropped = Vec::with_capacity(4096);
    let mut count = 0;
    while count < LINGER_BYTES_MAX {
        dropped.clear();
        let (got, bytes) = stream.read(dropped).await;
        dropped = bytes;
        match got {
            Ok(0) | Err(_) => return,
            Ok(got) => count += got,
        }
    }
}

/// Answers a message that is no request, and closes.
async fn refuse<H: Handle>(
    stream: &Stream,
    peer: &Peer,
    handler: &H,
    error: &ParseError,
    settings: &Settings,
) {
    let status = error.status();
    handler.refused(peer, status, error.reason());
    let mut bytes = Vec::with_capacity(128);
    encode::plain_refusal(&mut bytes, status);
    arm(stream, settings.write_stall_ms);
    let (sent, _) = stream.write_all(bytes, 0).await;
    if sent.is_ok() {
        linger(stream).await;
    }
}

/// A panic in the gateway costs the request that caused it, not the core. A request whose client has gone is given up.
async fn recovered(
    connection: &ClientConnection,
    mut answer: Pin<&mut impl Future<Output = Reply>>,
) -> Reply {
    let reply = std::future::poll_fn(|context| {
        if connection.is_gone.get() {
            return Poll::Ready(Reply { close: true, ..Reply::empty(499) });
        }
        // Other requests have used the cache since it was polled before (bench/results/NOTES.md).
        memory::prefetch(&*answer);
        let poll = std::panic::AssertUnwindSafe(|| answer.as_mut().poll(context));
        match std::panic::catch_unwind(poll) {
            Ok(Poll::Ready(reply)) => Poll::Ready(reply),
            Ok(Poll::Pending) => {
                if !connection.is_answering.replace(true) {
                    let mut waker = connection.waker.borrow_mut();
                    if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                        *waker = Some(context.waker().clone());
                    }
                }
                Poll::Pending
            }
            Err(_) => Poll::Ready(Reply { close: true, ..Reply::empty(500) }),
        }
    });
    let reply = reply.await;
    connection.is_answering.set(false);
    reply
}

/// The deadline for the next write to a client.
pub(super) fn write_deadline(write_stall_ms: u64) -> Tick {
    if write_stall_ms == 0 { Tick::NEVER } else { clock::now().plus_ms(write_stall_ms) }
}
