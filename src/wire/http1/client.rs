//! One exchange with an upstream: send a request, read the answer's head, lend its body.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;

use super::body::{BodyReader, ReadError};
use super::chunked;
use super::parse::{self, HeadLimits, ParseError, Progress};
use crate::message::head::{Framing, ResponseHead};
use crate::net::Stream;
use crate::net::buffer::{self, BUFFER_BYTES, Buffer};
use crate::net::clock::{self, Tick};
use crate::net::task::{First, first_of};
use crate::wire::body::Incoming;

/// Interim answers (1xx) that an upstream may send before the real one.
const INTERIM_MAX: usize = 16;

/// A connection to an upstream. The stream is shared only with an upload that outlives the answer's head.
pub struct Connection {
    pub stream: Rc<Stream>,
    pub idle_since: Tick,
    /// True once it has carried a request: such a connection may have been closed by the other side meanwhile.
    pub is_reused: bool,
}

/// The idle connections of one host on one core; a body that ended cleanly puts its connection here by itself.
#[derive(Default)]
pub struct IdleList {
    idle: RefCell<Vec<Connection>>,
    pub idle_max: Cell<usize>,
    /// How long an unused connection is kept; zero is for ever.
    pub idle_ms: Cell<u64>,
    /// Connections that exist, idle or busy.
    pub open: Cell<usize>,
}

impl IdleList {
    /// The connection that was used last: the one least likely to have been closed.
    pub fn take(&self) -> Option<Connection> {
        self.idle.borrow_mut().pop()
    }

    fn put(&self, mut connection: Connection) {
        connection.stream.watch().disarm();
        connection.idle_since = clock::now();
        connection.is_reused = true;
        let mut idle = self.idle.borrow_mut();
        if idle.len() < self.idle_max.get() && !connection.stream.watch().has_expired() {
            idle.push(connection);
        } else {
            self.open.set(self.open.get().saturating_sub(1));
        }
    }

    pub fn len(&self) -> usize {
        self.idle.borrow().len()
    }

    pub fn is_empty(&self) -> bool {
        self.idle.borrow().is_empty()
    }

    /// Closes connections that were unused for too long or that the other side has closed.
    pub fn sweep(&self) {
        let now = clock::now();
        let mut idle = self.idle.borrow_mut();
        let before = idle.len();
        idle.retain(|connection| {
            let idle_ms = self.idle_ms.get();
            (idle_ms == 0 || now.since_ms(connection.idle_since) < idle_ms)
                && connection.stream.is_quiet_and_open()
        });
        self.open.set(self.open.get().saturating_sub(before - idle.len()));
    }

    /// Closes all of them.
    pub fn clear(&self) {
        let closed = self.idle.take().len();
        self.open.set(self.open.get().saturating_sub(closed));
    }
}

/// A busy connection: counted, and never returned to the list unless the exchange ended cleanly.
struct Lease {
    connection: Option<Connection>,
    home: Rc<IdleList>,
}

impl Lease {
    fn stream(&self) -> Option<&Rc<Stream>> {
        self.connection.as_ref().map(|connection| &connection.stream)
    }

    fn give_back(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.home.put(connection);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.connection.take().is_some() {
            self.home.open.set(self.home.open.get().saturating_sub(1));
        }
    }
}

/// What to send. The head ends with its empty line; `Content-Length` or `Transfer-Encoding` in it fit the body.
pub struct Outgoing {
    pub head: Vec<u8>,
    pub body: OutgoingBody,
    pub is_head_request: bool,
}

#[derive(Clone)]
pub enum OutgoingBody {
    Empty,
    Bytes(Rc<Vec<u8>>),
    /// The client's body as it comes; chunked where the client did not announce a length.
    Stream {
        incoming: Rc<Incoming>,
        chunked: bool,
    },
}

/// Why there is no answer.
#[derive(Debug)]
pub enum ExchangeError {
    /// The upstream closed or reset the connection before the first byte of an answer.
    Closed,
    /// The connection ended inside the answer's head.
    Truncated,
    Malformed(ParseError),
    TimedOut,
    Io(io::Error),
    /// The client's body could not be read to its end.
    ClientBody(ReadError),
    /// `101`, or too many interim answers.
    Protocol(&'static str),
}

impl From<io::Error> for ExchangeError {
    fn from(error: io::Error) -> ExchangeError {
        match error.kind() {
            io::ErrorKind::TimedOut => ExchangeError::TimedOut,
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => ExchangeError::Closed,
            _ => ExchangeError::Io(error),
        }
    }
}

/// An upstream's answer: its head, and its body to be read.
pub struct Response {
    pub head: ResponseHead,
    reader: BodyReader,
    lease: Lease,
    reusable: bool,
}

impl Response {
    /// True when the whole body has been read.
    pub fn is_done(&self) -> bool {
        self.reader.is_done()
    }

    /// Bytes of the body that are still to come, if known.
    pub fn length_left(&self) -> Option<u64> {
        self.reader.length_left()
    }

    /// Moves what has already arrived to `out`, so that it leaves together with the head. The head's spans stay valid.
    ///
    /// # Errors
    /// [`ReadError::Malformed`] for a broken chunk.
    pub fn take_buffered(&mut self, out: &mut Vec<u8>, count_max: usize) -> Result<(), ReadError> {
        let result = self.reader.take_buffered(&self.head.bytes, out, count_max);
        self.settle(result.is_err());
        result
    }

    /// Appends the next piece of the body to `out`; false when it has ended. Invalidates the head.
    ///
    /// # Errors
    /// See [`ReadError`]; the connection is then closed.
    pub async fn read_into(&mut self, out: &mut Vec<u8>) -> Result<bool, ReadError> {
        let Some(stream) = self.lease.connection.as_ref().map(|connection| &connection.stream)
        else {
            return if self.reader.is_done() { Ok(false) } else { Err(ReadError::Truncated) };
        };
        let result = self.reader.read_into(stream, &mut self.head.bytes, out).await;
        self.settle(result.is_err());
        result
    }

    /// The socket and the number of bytes still in it, when the rest of the body may be moved without being seen.
    pub fn splice_source(&self) -> Option<(&Stream, u64)> {
        if self.reader.has_buffered(&self.head.bytes) {
            return None;
        }
        Some((self.lease.stream()?.as_ref(), self.reader.length_left()?))
    }

    /// The rest of the body was moved by a pipe.
    pub fn spliced(&mut self) {
        self.reader.moved_elsewhere();
        self.settle(false);
    }

    /// The deadline of everything that is still to be read.
    pub fn arm(&self, deadline: Tick) {
        if let Some(stream) = self.lease.stream() {
            stream.watch().arm(deadline);
        }
    }

    /// A connection whose message has ended goes home; a broken one is closed.
    fn settle(&mut self, failed: bool) {
        if failed {
            self.reusable = false;
            drop(Lease { connection: self.lease.connection.take(), home: self.lease.home.clone() });
        } else if self.reader.is_done()
            && self.reusable
            && self.reader.rest_at() >= self.head.bytes.len()
        {
            self.lease.give_back();
        }
    }
}

impl Drop for Response {
    fn drop(&mut self) {
        buffer::give_back(std::mem::take(&mut self.head.bytes));
    }
}

/// The rest of a request body, on its way to an upstream that has answered already. It must be driven while the answer
/// is used; dropping it gives the exchange up.
pub type Upload = Pin<Box<dyn Future<Output = Result<(), ExchangeError>>>>;

/// Sends the request and waits for the head of the answer.
///
/// # Errors
/// See [`ExchangeError`]; with it comes back the head, for another attempt.
pub async fn exchange(
    connection: Connection,
    home: Rc<IdleList>,
    outgoing: Outgoing,
    limits: &HeadLimits,
) -> Result<(Response, Option<Upload>), (ExchangeError, Vec<u8>)> {
    let stream = connection.stream.clone();
    let lease = Lease { connection: Some(connection), home };
    let Outgoing { mut head, body, is_head_request } = outgoing;
    let head_len = head.len();
    let mut rest = None;
    match body {
        OutgoingBody::Empty => {}
        // One send for a message that fits a buffer; a large body would cost more to copy than a second send.
        OutgoingBody::Bytes(bytes) if bytes.len() <= BUFFER_BYTES => head.extend_from_slice(&bytes),
        OutgoingBody::Bytes(bytes) => {
            rest = Some(Box::pin(send_bytes(stream.clone(), bytes)) as Upload);
        }
        OutgoingBody::Stream { incoming, chunked } => {
            rest = Some(Box::pin(send_incoming(stream.clone(), incoming, chunked)));
        }
    }
    let (sent, mut head) = stream.write_all(head, 0).await;
    head.truncate(head_len);
    let sent = sent.map_err(ExchangeError::from);
    let answer = match (sent, rest) {
        (Ok(()), None) => {
            read_head(&stream, limits, is_head_request).await.map(|head| (head, true, None))
        }
        (Ok(()), Some(rest)) => send_beside(rest, &stream, limits, is_head_request).await,
        // The upstream may have answered before it closed; its answer is worth more than our error.
        (Err(ExchangeError::Closed), _) => {
            let answer = read_head(&stream, limits, is_head_request).await;
            answer.map(|head| (head, false, None)).map_err(|_| ExchangeError::Closed)
        }
        (Err(error), _) => Err(error),
    };
    match answer {
        Ok((answer, sent_whole, upload)) => {
            buffer::give_back(head);
            let reader = BodyReader::new(answer.framing, answer.head_len);
            let reusable = answer.keep_alive && sent_whole && answer.framing != Framing::UntilClose;
            let mut response = Response { head: answer, reader, lease, reusable };
            response.settle(false);
            Ok((response, upload))
        }
        Err(error) => Err((error, head)),
    }
}

/// Sends a body while it already listens for the answer. With the head comes whether the body was sent to its end, and
/// what is left of it when the upstream wants the rest in spite of having answered.
async fn send_beside(
    mut send: Upload,
    stream: &Stream,
    limits: &HeadLimits,
    is_head_request: bool,
) -> Result<(ResponseHead, bool, Option<Upload>), ExchangeError> {
    let mut answer = pin!(read_head(stream, limits, is_head_request));
    match first_of(send.as_mut(), answer.as_mut()).await {
        First::Left(Ok(())) => answer.await.map(|head| (head, true, None)),
        First::Left(Err(error @ ExchangeError::ClientBody(_))) => Err(error),
        First::Left(Err(error)) => answer.await.map(|head| (head, false, None)).map_err(|_| error),
        First::Right(Ok(head)) if head.status < 400 => Ok((head, false, Some(send))),
        First::Right(answer) => answer.map(|head| (head, false, None)),
    }
}

async fn send_bytes(stream: Rc<Stream>, bytes: Rc<Vec<u8>>) -> Result<(), ExchangeError> {
    for piece in bytes.chunks(4 * BUFFER_BYTES) {
        let (sent, _) = stream.write_all(piece.to_vec(), 0).await;
        sent?;
    }
    Ok(())
}

async fn send_incoming(
    stream: Rc<Stream>,
    incoming: Rc<Incoming>,
    is_chunked: bool,
) -> Result<(), ExchangeError> {
    let mut piece = Buffer::take();
    loop {
        piece.clear();
        if is_chunked {
            piece.resize(chunked::HEAD_ROOM, 0);
        }
        let more = incoming.read_into(&mut piece).await.map_err(ExchangeError::ClientBody)?;
        let mut from = 0;
        if is_chunked {
            if more {
                from = chunked::frame_in_place(&mut piece);
            } else {
                piece.clear();
                piece.extend_from_slice(chunked::LAST_CHUNK);
            }
        }
        let (sent, returned) = stream.write_all(piece, from).await;
        sent?;
        if !more {
            return Ok(());
        }
        piece = returned;
    }
}

/// Reads until the head of the final answer is whole.
async fn read_head(
    stream: &Stream,
    limits: &HeadLimits,
    is_head_request: bool,
) -> Result<ResponseHead, ExchangeError> {
    let mut head = ResponseHead::with_bytes(Buffer::take().into_vec());
    let mut interim = 0;
    loop {
        if !head.bytes.is_empty() {
            match parse::response(&mut head, limits, is_head_request)
                .map_err(ExchangeError::Malformed)?
            {
                Progress::Complete if head.status == 101 => {
                    return Err(ExchangeError::Protocol("the upstream switched protocols unasked"));
                }
                Progress::Complete if head.status < 200 => {
                    interim += 1;
                    if interim > INTERIM_MAX {
                        return Err(ExchangeError::Protocol("too many interim answers"));
                    }
                    head.discard_head();
                    continue;
                }
                Progress::Complete => return Ok(head),
                Progress::Partial => {}
            }
        }
        if head.bytes.capacity() == head.bytes.len() {
            let grown = head.bytes.len();
            head.bytes.reserve(grown.max(BUFFER_BYTES));
        }
        let (got, bytes) = stream.read(std::mem::take(&mut head.bytes)).await;
        head.bytes = bytes;
        if got? == 0 {
            return Err(if head.bytes.is_empty() {
                ExchangeError::Closed
            } else {
                ExchangeError::Truncated
            });
        }
    }
}
