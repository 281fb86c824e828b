//! One exchange with an upstream: send a request, read the answer's head, lend its body.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Waker};

use super::body::{BodyReader, ReadError};
use super::chunked;
use super::idle::{IdleList, Kept, Lease};
use super::parse::{self, HeadLimits, ParseError, Progress};
use crate::message::head::{Framing, ResponseHead};
use crate::net::Stream;
use crate::net::buffer::{self, BUFFER_BYTES, Buffer, SMALL_BYTES};
use crate::net::clock::{self, Tick};
use crate::net::driver;
use crate::net::pooled::Pooled;
use crate::net::splice::{BYTES_MIN as SPLICE_BYTES_MIN, Cut};
use crate::net::task::{self, First, first_of};
use crate::wire::body::Incoming;

/// Interim answers (1xx) that an upstream may send before the real one.
const INTERIM_MAX: usize = 16;

/// What an answer's buffer keeps free in front of its head, so that the head for the client, which is longer, can take
/// its place and a short answer goes on in the buffer it came in.
const HEAD_ROOM: usize = buffer::ROOM_BYTES;

/// A read that is in flight, with the buffer it fills.
type Reading = Pooled<dyn Future<Output = (io::Result<usize>, Vec<u8>)>>;

/// A connection to an upstream. The stream is shared with a read in flight, and with an upload that outlives the
/// answer's head.
pub struct Connection {
    stream: Rc<Stream>,
    idle_since: Tick,
    /// True once it has carried a request: such a connection may have been closed by the other side meanwhile.
    is_reused: bool,
    /// The read for the next answer. It begins when the connection falls idle, so that whatever an upstream sends unasked
    /// shows, without a system call, before the connection is used again.
    reading: Option<Reading>,
}

impl Connection {
    pub fn new(stream: Stream) -> Connection {
        Connection {
            stream: Rc::new(stream),
            idle_since: clock::now(),
            is_reused: false,
            reading: None,
        }
    }

    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    pub fn is_reused(&self) -> bool {
        self.is_reused
    }
}

impl Kept for Connection {
    fn idle_since(&self) -> Tick {
        self.idle_since
    }

    fn is_quiet(&mut self) -> bool {
        match &mut self.reading {
            Some(reading) => {
                reading.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
            }
            None => self.stream.is_quiet_and_open(),
        }
    }

    fn rest(&mut self, now: Tick) {
        self.stream.watch().disarm();
        self.idle_since = now;
        self.is_reused = true;
    }

    fn listen(&mut self, may_hold_more: bool) -> bool {
        if self.stream.watch().has_expired() || (may_hold_more && !self.stream.is_quiet_and_open())
        {
            return false;
        }
        if self.stream.is_tls() {
            // Giving up a read would lose a part of a record.
            return self.is_quiet();
        }
        let stream = self.stream.clone();
        let buffer = buffer::behind_room();
        self.reading = Some(Pooled::unnamed(|| async move { stream.read(buffer).await }));
        self.is_quiet()
    }

    fn stop_listening(&mut self) {
        self.reading = None;
    }
}

/// What to send. The head ends with its empty line; `Content-Length` or `Transfer-Encoding` in it fit the body.
pub struct Outgoing {
    pub head: Buffer,
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
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => ExchangeError::Closed,
            _ => ExchangeError::Io(error),
        }
    }
}

/// An upstream's answer: its head, and its body to be read.
pub struct Response {
    pub head: ResponseHead,
    reader: BodyReader,
    lease: Lease<Connection>,
    reusable: bool,
}

impl Response {
    /// An answer that has not come yet, where it will stay.
    #[inline(always)]
    fn awaited(lease: Lease<Connection>) -> Box<Response> {
        // Made where it stays: `Box::new` would copy the room for headers, too.
        let place = Box::new_uninit();
        let reader = BodyReader::new(Framing::Empty, 0);
        let head = ResponseHead::behind(HEAD_ROOM);
        Box::write(place, Response { head, reader, lease, reusable: false })
    }

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
        let Some(stream) = self.lease.get().map(|connection| &connection.stream) else {
            return if self.reader.is_done() { Ok(false) } else { Err(ReadError::Truncated) };
        };
        let result = self.reader.read_into(stream, &mut self.head.bytes, out).await;
        self.settle(result.is_err());
        result
    }

    /// Puts content back that [`Response::read_into`] gave of a body whose length is not known and that has not ended.
    pub fn put_back(&mut self, content: Vec<u8>) {
        self.reader.put_back(content);
    }

    /// The socket and the number of bytes still in it, when the rest of the body may be moved without being seen.
    pub fn splice_source(&self) -> Option<(&Stream, u64)> {
        if self.reader.has_buffered(&self.head.bytes) || self.lease.get()?.stream().is_tls() {
            return None;
        }
        Some((self.lease.get()?.stream(), self.reader.length_left()?))
    }

    /// The rest of the body was moved by a pipe.
    pub fn spliced(&mut self) {
        self.reader.moved_elsewhere();
        self.settle(false);
    }

    /// Puts a head for the client in front of the body that [`Response::whole_body`] gave, in the place of the answer's own,
    /// and says where the message begins. The connection is free from then on.
    pub fn rehead(&mut self, head: &[u8]) -> (Buffer, usize) {
        let body = self.reader.whole(&self.head.bytes).map_or(0, <[u8]>::len);
        let body_at = self.reader.skip_whole() - body;
        self.settle(false);
        let mut bytes = std::mem::take(&mut self.head.bytes);
        bytes.truncate(body_at + body);
        if let Some(from) = body_at.checked_sub(head.len()) {
            bytes[from..body_at].copy_from_slice(head);
            return (Buffer::from(bytes), from);
        }
        bytes.splice(..body_at, head.iter().copied());
        (Buffer::from(bytes), 0)
    }

    /// The deadline of everything that is still to be read.
    pub fn arm(&self, deadline: Tick) {
        if let Some(connection) = self.lease.get() {
            connection.stream.watch().arm(deadline);
        }
    }

    /// The head is whole: the body begins.
    fn begin_body(&mut self, sent_whole: bool) {
        self.reader = BodyReader::new(self.head.framing, self.head.head_len);
        if self.head.bytes.len() == self.head.bytes.capacity() {
            self.reader.head_filled_its_buffer();
        }
        self.reusable =
            self.head.keep_alive && sent_whole && self.head.framing != Framing::UntilClose;
        self.settle(false);
    }

    /// The body, where all of it has come and its length was announced.
    pub fn whole_body(&self) -> Option<&[u8]> {
        self.reader.whole(&self.head.bytes)
    }

    /// Moves what has arrived of the body to `out` without waiting, until `out` is about `full` bytes long.
    ///
    /// # Errors
    /// [`ReadError::Malformed`] for a broken chunk.
    pub fn take_ready(&mut self, out: &mut Vec<u8>, full: usize) -> Result<(), ReadError> {
        let taken = self.reader.take_buffered(&self.head.bytes, out, full);
        if taken.is_ok()
            && !self.reader.has_buffered(&self.head.bytes)
            && let Some(connection) = self.lease.get()
        {
            self.reader.read_ready(&connection.stream, out, full);
        }
        self.settle(taken.is_err());
        taken
    }

    /// A connection whose message has ended goes home; a broken one is closed.
    fn settle(&mut self, failed: bool) {
        if failed {
            self.reusable = false;
            self.lease.close();
        } else if self.reader.is_done()
            && self.reusable
            && self.reader.rest_at() >= self.head.bytes.len()
        {
            self.lease.give_back(clock::now(), self.reader.may_be_more());
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

/// The head of an answer with what is left of the upload, or an error with the head that was sent, for another attempt.
pub type Exchanged = Result<(Box<Response>, Option<Upload>), (ExchangeError, Buffer)>;

/// Sends the request and waits for the head of the answer; what is still to be read then has until the deadline.
///
/// # Errors
/// See [`ExchangeError`].
// Inlined, so that the future is made where it stays.
#[inline(always)]
pub fn exchange(
    mut connection: Connection,
    home: Rc<IdleList<Connection>>,
    outgoing: Outgoing,
    limits: &HeadLimits,
    deadline: Tick,
) -> impl Future<Output = Exchanged> {
    let stream = connection.stream.clone();
    let reading = connection.reading.take();
    let mut response = Response::awaited(Lease::new(connection, home));
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
            if let Framing::Length(length) = incoming.framing() {
                let spare = head.capacity() - head.len();
                if usize::try_from(length).map_or(true, |length| length > spare) {
                    enlarge(&mut head);
                }
                incoming.take_ready(&mut head, BUFFER_BYTES);
            }
            if chunked || !incoming.is_done() {
                rest = Some(Box::pin(send_incoming(stream.clone(), incoming, chunked)));
            }
        }
    }
    // Only what waits is in the future, which lives as long as the upstream thinks.
    async move {
        // A short message is taken at once by a connection that has none on its way. Its answer tells as well that it has
        // left, so the read alone wakes the request. (Where epoll drives, the send ends before it could be waited for.)
        let is_told_by_answer =
            reading.is_some() && rest.is_none() && head.len() <= SMALL_BYTES && !driver::is_epoll();
        let mut sending = pin!(stream.write_all(head, 0));
        let sent = match is_told_by_answer {
            true => task::begin(sending.as_mut()),
            false => Some(sending.as_mut().await),
        };
        let answer = || read_head(&stream, reading, &mut response.head, limits, is_head_request);
        let (answered, mut head) = match sent {
            None => {
                let answered = answer().await;
                let (sent, head) = sending.await;
                (told_by_answer(answered, sent), head)
            }
            Some((Ok(()), head)) if rest.is_none() => (answer().await.map(|()| (true, None)), head),
            Some((sent, head)) => {
                let sent = sent.map_err(Into::into);
                (task::rare(|| unusual(sent, rest, answer())).await, head)
            }
        };
        head.truncate(head_len);
        match answered {
            Ok((sent_whole, upload)) => {
                drop(head);
                response.begin_body(sent_whole);
                response.arm(deadline);
                // An upstream that takes no more of the body has said so with an error.
                let upload = upload.filter(|_| response.head.status < 400);
                Ok((response, upload))
            }
            Err(error) => Err((error, head)),
        }
    }
}

/// What an answer comes to whose message was not waited for. One that came in spite of an error is worth more than the
/// error.
fn told_by_answer(
    answered: Result<(), ExchangeError>,
    sent: io::Result<()>,
) -> Result<(bool, Option<Upload>), ExchangeError> {
    match (answered, sent) {
        (Ok(()), sent) => Ok((sent.is_ok(), None)),
        (Err(error), Ok(())) => Err(error),
        (Err(_), Err(error)) => Err(error.into()),
    }
}

/// Waits for the answer to a message that was not sent whole at once.
async fn unusual(
    sent: Result<(), ExchangeError>,
    rest: Option<Upload>,
    answer: impl Future<Output = Result<(), ExchangeError>>,
) -> Result<(bool, Option<Upload>), ExchangeError> {
    match (sent, rest) {
        (Ok(()), None) => answer.await.map(|()| (true, None)),
        (Ok(()), Some(rest)) => send_beside(rest, answer).await,
        // The upstream may have answered before it closed; its answer is worth more than our error.
        (Err(ExchangeError::Closed), _) => {
            answer.await.map(|()| (false, None)).map_err(|_| ExchangeError::Closed)
        }
        (Err(error), _) => Err(error),
    }
}

/// Sends a body while it already listens for the answer. With the answer comes whether the body was sent to its end, and
/// what is left of it.
async fn send_beside(
    mut send: Upload,
    answer: impl Future<Output = Result<(), ExchangeError>>,
) -> Result<(bool, Option<Upload>), ExchangeError> {
    let mut answer = pin!(answer);
    match first_of(send.as_mut(), answer.as_mut()).await {
        First::Left(Ok(())) => answer.await.map(|()| (true, None)),
        First::Left(Err(error @ ExchangeError::ClientBody(_))) => Err(error),
        First::Left(Err(error)) => answer.await.map(|()| (false, None)).map_err(|_| error),
        First::Right(answer) => answer.map(|()| (false, Some(send))),
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
        if !is_chunked && let Some(moved) = incoming.move_to(&stream, SPLICE_BYTES_MIN).await {
            return moved.map_err(|cut| match cut {
                Cut::Source(error) => ExchangeError::ClientBody(error.into()),
                Cut::Sink(error) => error.into(),
            });
        }
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

/// Reads until the head of the final answer is whole; `reading` may have begun with it.
async fn read_head(
    stream: &Stream,
    mut reading: Option<Reading>,
    head: &mut ResponseHead,
    limits: &HeadLimits,
    is_head_request: bool,
) -> Result<(), ExchangeError> {
    let mut interim = 0;
    let mut begins_at = HEAD_ROOM;
    let mut limits =
        HeadLimits { bytes_max: limits.bytes_max.saturating_add(HEAD_ROOM), ..*limits };
    loop {
        if head.bytes.len() > begins_at {
            match parse::response(head, &limits, is_head_request)
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
                    limits.bytes_max -= std::mem::take(&mut begins_at);
                    continue;
                }
                Progress::Complete => return Ok(()),
                Progress::Partial => {}
            }
        }
        let (got, bytes) = match reading.take() {
            Some(mut reading) => reading.as_mut().await,
            None => {
                make_room(&mut head.bytes);
                // The usual answer comes whole with the read that was in flight.
                task::rare(|| stream.read(std::mem::take(&mut head.bytes))).await
            }
        };
        head.bytes = bytes;
        if got? == 0 {
            return Err(if head.bytes.len() <= begins_at {
                ExchangeError::Closed
            } else {
                ExchangeError::Truncated
            });
        }
    }
}

/// Moves the content to a buffer of the usual size.
fn enlarge(bytes: &mut Buffer) {
    let mut larger = Buffer::take();
    larger.extend_from_slice(bytes);
    *bytes = larger;
}

fn make_room(bytes: &mut Vec<u8>) {
    if bytes.capacity() == 0 {
        *bytes = buffer::behind_room();
    } else if bytes.capacity() == bytes.len() {
        bytes.reserve(bytes.len().max(BUFFER_BYTES));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_more_than_what_became_of_its_message_and_an_error_of_sending_more_than_none()
     {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(matches!(told_by_answer(Ok(()), Ok(())), Ok((true, None))));
        // The connection must not be used again: the upstream has not got all of the message.
        assert!(matches!(told_by_answer(Ok(()), Err(broken())), Ok((false, None))));
        let cut = || Err(ExchangeError::Truncated);
        assert!(matches!(told_by_answer(cut(), Ok(())), Err(ExchangeError::Truncated)));
        // So that the message goes out again on a fresh connection, where it may.
        assert!(matches!(told_by_answer(cut(), Err(broken())), Err(ExchangeError::Closed)));
    }
}
