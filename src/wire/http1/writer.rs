//! Writes an answer to a client: head and first bytes in one send, then the rest of the body in whichever way is cheapest.

use std::cell::{Cell, RefCell};

use super::body::ReadError;
use super::client::Response;
use super::server::write_deadline;
use super::{chunked, encode};
use crate::message::date::DateCache;
use crate::message::sniff;
use crate::net::buffer::{BUFFER_BYTES, Buffer};
use crate::net::clock;
use crate::net::{Stream, splice};
use crate::wire::body::Body;
use crate::wire::gzip::Unpacked;
use crate::wire::reply::Reply;

/// Room for the head of most answers.
const HEAD_BYTES_USUAL: usize = 512;
/// Pieces in which longer bodies are copied.
const PIECE_BYTES: usize = 64 * 1024;

/// What the request says about its answer's form.
#[derive(Clone, Copy)]
pub struct How<'w> {
    pub keep_alive: bool,
    pub is_head: bool,
    pub is_http_10: bool,
    /// Where the bytes of the body are counted, if anybody wants to know.
    pub body_bytes: Option<&'w Cell<u64>>,
}

/// Why an answer did not reach the client whole; the connection must be closed, so that it notices.
#[derive(Debug)]
pub enum WriteError {
    /// The client is gone or takes nothing.
    Client,
    /// The upstream's body broke off.
    Upstream(ReadError),
}

thread_local! {
    static DATE: RefCell<DateCache> = RefCell::default();
}

impl How<'_> {
    /// Notes bytes of the body, as they are before they are framed.
    fn count(self, bytes: usize) {
        if let Some(count) = self.body_bytes {
            count.set(count.get() + bytes as u64);
        }
    }

    fn is_bodiless(self, status: u16) -> bool {
        self.is_head || matches!(status, 204 | 304) || status < 200
    }
}

/// The whole message and where it begins in its buffer, where nothing of it has to be waited for. An upstream's connection
/// is free from then on.
pub fn whole(reply: &mut Reply, how: How<'_>) -> Option<(Buffer, usize)> {
    let bodiless = how.is_bodiless(reply.status);
    let here = match &reply.body {
        Body::Empty => &[],
        Body::Static(bytes) => *bytes,
        Body::Bytes(bytes) => bytes,
        Body::Upstream(response) if !bodiless => response.whole_body()?,
        Body::Upstream(_) | Body::Unpacked(_) => return None,
    };
    let copied = if bodiless || matches!(reply.body, Body::Upstream(_)) { 0 } else { here.len() };
    let room = HEAD_BYTES_USUAL + copied;
    let mut out = Buffer::with_capacity(room);
    begin(&mut out, reply, if bodiless { &[] } else { here }, how);
    if !matches!(reply.status, 204 | 304) && reply.status >= 200 {
        encode::content_length(&mut out, here.len() as u64);
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(here.get(..copied).unwrap_or_default());
    how.count(if bodiless { 0 } else { here.len() });
    Some(match &mut reply.body {
        Body::Upstream(response) => response.rehead(&out),
        _ => (out, 0),
    })
}

/// Writes the whole answer. False: the connection must be closed, because that is how this answer ends.
///
/// # Errors
/// See [`WriteError`].
pub async fn write(
    stream: &Stream,
    mut reply: Reply,
    mut how: How<'_>,
    stall_ms: u64,
) -> Result<bool, WriteError> {
    stream.watch().arm(write_deadline(stall_ms));
    if let Some((out, from)) = whole(&mut reply, how) {
        return send(stream, out, from).await.map(|_| how.keep_alive);
    }
    let bodiless = how.is_bodiless(reply.status);
    if how.is_http_10 && !bodiless && !has_length(&reply.body) {
        how.keep_alive = false;
    }
    let first = if reply.sniff && !bodiless {
        first_piece(&mut reply.body).await?
    } else {
        Buffer::from(Vec::new())
    };
    let mut out = Buffer::take();
    begin(&mut out, &reply, &first, how);
    match reply.body {
        Body::Empty | Body::Static(_) | Body::Bytes(_) => return Ok(how.keep_alive),
        Body::Upstream(response) => {
            write_upstream(stream, out, response, first, how, bodiless, stall_ms).await
        }
        Body::Unpacked(unpacked) => {
            write_unpacked(stream, out, unpacked, first, how, bodiless, stall_ms).await
        }
    }
    .map(|()| how.keep_alive)
}

/// The head up to the headers that frame the body. `first` bytes of it tell the type of a body that names none.
fn begin(out: &mut Vec<u8>, reply: &Reply, first: &[u8], how: How<'_>) {
    encode::status_line(out, reply.status);
    out.extend_from_slice(reply.headers.as_bytes());
    if reply.sniff && !first.is_empty() {
        encode::header(out, b"Content-Type", sniff::content_type(first).as_bytes());
    }
    if !reply.headers.has_date {
        DATE.with(|date| encode::date(out, date.borrow_mut().value(clock::unix_seconds())));
    }
    if !how.keep_alive {
        out.extend_from_slice(b"Connection: close\r\n");
    } else if how.is_http_10 {
        out.extend_from_slice(b"Connection: keep-alive\r\n");
    }
}

/// The first bytes of a body that must be looked at before its head can be written.
async fn first_piece(body: &mut Body) -> Result<Buffer, WriteError> {
    let mut first = Buffer::take();
    match body {
        Body::Upstream(response) => {
            response.read_into(&mut first).await.map_err(WriteError::Upstream)?
        }
        Body::Unpacked(unpacked) => {
            unpacked.read_into(&mut first).await.map_err(WriteError::Upstream)?
        }
        Body::Empty | Body::Static(_) | Body::Bytes(_) => false,
    };
    Ok(first)
}

fn has_length(body: &Body) -> bool {
    match body {
        Body::Empty | Body::Static(_) | Body::Bytes(_) => true,
        Body::Upstream(response) => response.length_left().is_some(),
        Body::Unpacked(_) => false,
    }
}

/// Sends a message, or a piece of one.
///
/// # Errors
/// [`WriteError::Client`].
pub async fn send(stream: &Stream, out: Buffer, from: usize) -> Result<Buffer, WriteError> {
    let (sent, out) = stream.write_all(out, from).await;
    sent.map_err(|_| WriteError::Client)?;
    Ok(out)
}

async fn write_upstream(
    stream: &Stream,
    mut out: Buffer,
    mut response: Box<Response>,
    mut first: Buffer,
    how: How<'_>,
    bodiless: bool,
    stall_ms: u64,
) -> Result<(), WriteError> {
    if bodiless {
        if how.is_head
            && let Some(length) = response.length_left()
        {
            encode::content_length(&mut out, length);
        }
        out.extend_from_slice(b"\r\n");
        return send(stream, out, 0).await.map(drop);
    }
    if let Some(length) = response.length_left() {
        encode::content_length(&mut out, length + first.len() as u64);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&first);
        response.take_buffered(&mut out, usize::MAX).map_err(WriteError::Upstream)?;
        let announced = length + first.len() as u64;
        let out = send(stream, out, 0).await?;
        let passed = pass_known(stream, out, &mut response, stall_ms).await;
        let left = response.length_left().unwrap_or_default();
        how.count(usize::try_from(announced - left.min(announced)).unwrap_or(usize::MAX));
        return passed;
    }
    response.take_buffered(&mut first, usize::MAX).map_err(WriteError::Upstream)?;
    if response.is_done() {
        // All of a chunked body is here: a length is kinder to the client.
        how.count(first.len());
        encode::content_length(&mut out, first.len() as u64);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&first);
        return send(stream, out, 0).await.map(drop);
    }
    let is_chunked = begin_unknown(&mut out, how);
    if !first.is_empty() {
        how.count(first.len());
        append_piece(&mut out, &first, is_chunked);
    }
    drop(first);
    let mut out = send(stream, out, 0).await?;
    loop {
        let room = clear_for_piece(&mut out, is_chunked);
        let more = response.read_into(&mut out).await.map_err(WriteError::Upstream)?;
        debug_assert!(!more || out.len() > room);
        how.count(out.len() - room);
        stream.watch().arm(write_deadline(stall_ms));
        match finish_piece(&mut out, more, is_chunked) {
            Some(from) => out = send(stream, out, from).await?,
            None => return Ok(()),
        }
        if !more {
            return Ok(());
        }
    }
}

/// Passes on the rest of a body whose length is known.
async fn pass_known(
    stream: &Stream,
    mut out: Buffer,
    response: &mut Response,
    stall_ms: u64,
) -> Result<(), WriteError> {
    if let Some((source, left)) = response.splice_source()
        && left >= splice::BYTES_MIN
        && !stream.is_tls()
    {
        drop(out);
        let progress = || stream.watch().arm(write_deadline(stall_ms));
        return match splice::transfer(source, stream, left, progress).await {
            Ok(()) => {
                response.spliced();
                Ok(())
            }
            Err(splice::Cut::Source(_)) => Err(WriteError::Upstream(ReadError::Truncated)),
            Err(splice::Cut::Sink(_)) => Err(WriteError::Client),
        };
    }
    if stream.is_tls() {
        out.reserve(PIECE_BYTES);
    }
    loop {
        out.clear();
        if !response.read_into(&mut out).await.map_err(WriteError::Upstream)? {
            return Ok(());
        }
        stream.watch().arm(write_deadline(stall_ms));
        out = send(stream, out, 0).await?;
    }
}

async fn write_unpacked(
    stream: &Stream,
    mut out: Buffer,
    mut body: Box<Unpacked>,
    first: Buffer,
    how: How<'_>,
    bodiless: bool,
    stall_ms: u64,
) -> Result<(), WriteError> {
    if bodiless {
        out.extend_from_slice(b"\r\n");
        return send(stream, out, 0).await.map(drop);
    }
    let mut piece = if first.capacity() > 0 { first } else { Buffer::take() };
    let mut more =
        !piece.is_empty() || body.read_into(&mut piece).await.map_err(WriteError::Upstream)?;
    let is_chunked = begin_unknown(&mut out, how);
    while more {
        how.count(piece.len());
        append_piece(&mut out, &piece, is_chunked);
        stream.watch().arm(write_deadline(stall_ms));
        out = send(stream, out, 0).await?;
        out.clear();
        piece.clear();
        more = body.read_into(&mut piece).await.map_err(WriteError::Upstream)?;
    }
    if is_chunked {
        out.extend_from_slice(chunked::LAST_CHUNK);
    }
    if out.is_empty() { Ok(()) } else { send(stream, out, 0).await.map(drop) }
}

/// Ends the head of an answer whose length is not known. HTTP/1.0 clients read until the end of the connection.
fn begin_unknown(out: &mut Vec<u8>, how: How<'_>) -> bool {
    let is_chunked = !how.is_http_10;
    if is_chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    out.extend_from_slice(b"\r\n");
    is_chunked
}

fn append_piece(out: &mut Vec<u8>, piece: &[u8], is_chunked: bool) {
    if is_chunked {
        chunked::write_chunk_head(out, piece.len());
    }
    out.extend_from_slice(piece);
    if is_chunked {
        out.extend_from_slice(b"\r\n");
    }
}

/// Empties the buffer and leaves room for the head of a chunk in front.
fn clear_for_piece(out: &mut Vec<u8>, is_chunked: bool) -> usize {
    out.clear();
    if out.capacity() < PIECE_BYTES && out.capacity() < BUFFER_BYTES {
        out.reserve(BUFFER_BYTES);
    }
    if is_chunked {
        out.resize(chunked::HEAD_ROOM, 0);
    }
    out.len()
}

/// Where the piece in `out` begins once it is framed; `None` when there is nothing to send.
fn finish_piece(out: &mut Vec<u8>, more: bool, is_chunked: bool) -> Option<usize> {
    if more {
        return Some(if is_chunked { chunked::frame_in_place(out) } else { 0 });
    }
    out.clear();
    if is_chunked {
        out.extend_from_slice(chunked::LAST_CHUNK);
        return Some(0);
    }
    None
}
