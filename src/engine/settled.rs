//! Answers that a stage has changed before their status was judged and their body decoded.

use std::borrow::Cow;

use super::Gateway;
use super::bounds::Limiter;
use super::fetch::{self, Fetched, ReadBody};
use super::watched;
use crate::message::headers::is_same_word;
use crate::plan::backend::{BackendPlan, StatusRule};
use crate::stage::{Answer, Call, Cause, Failure, Outcome};
use crate::wire::gzip::{self, Unpacking};
use crate::wire::{Body, HeaderBlock};

impl Gateway {
    /// Judges and decodes what the stages left of an upstream's answer, unless it passes through.
    pub(super) async fn settle(
        &self,
        backend: &BackendPlan,
        call: &Call<'_>,
        outcome: Outcome,
    ) -> Outcome {
        match outcome.answer {
            Some(answer) if !backend.is_raw => {
                let settled = settled(&self.limiter, backend, call, answer).await;
                if let Some(watch) = call.exchange.watch {
                    watched::tell_late_read(watch, backend.id, call.span);
                }
                settled.into()
            }
            answer => Outcome { answer, failure: outcome.failure },
        }
    }
}

async fn settled(
    limiter: &Limiter,
    backend: &BackendPlan,
    call: &Call<'_>,
    mut answer: Box<Answer>,
) -> Result<Box<Answer>, Failure> {
    let status = answer.status;
    if matches!(status, 200 | 201) {
        let read = read(limiter, call, &mut answer).await?;
        return fetch::decoded(limiter, backend, read);
    }
    if backend.statuses == StatusRule::Plain {
        if let Some(Body::Upstream(response)) = &mut answer.body {
            fetch::drop_body(response).await;
        }
        return Err(fetch::plain_failure(backend, status, &call.url.text()));
    }
    let content_type = header(&answer.headers, "content-type");
    let content_type = String::from_utf8_lossy(content_type).into_owned();
    let body = read(limiter, call, &mut answer).await;
    let body = body.map_or_else(|_| String::new(), |read| fetch::text(read.bytes));
    fetch::failed(backend, status, content_type, body)
}

/// Reads the whole body, unpacked.
async fn read(
    limiter: &Limiter,
    call: &Call<'_>,
    answer: &mut Answer,
) -> Result<ReadBody, Failure> {
    let response = match answer.body.take() {
        Some(Body::Upstream(response)) => response,
        // Nothing of it was read yet, and its own head still says how it is packed.
        Some(Body::Unpacked(unpacked)) => unpacked.response,
        Some(Body::Bytes(bytes)) => return unpacked(limiter, &answer.headers, Cow::Owned(bytes)),
        Some(Body::Static(bytes)) => {
            return unpacked(limiter, &answer.headers, Cow::Borrowed(bytes));
        }
        Some(Body::Empty) | None => return Ok(ReadBody::whole(Vec::new())),
    };
    let upload = answer.upload.take();
    let mut fetched = Fetched { response, upload, unpack: false, redirected: None };
    fetch::read_body(limiter, call.exchange.watch, &mut fetched).await
}

fn unpacked(
    limiter: &Limiter,
    headers: &HeaderBlock,
    bytes: Cow<'static, [u8]>,
) -> Result<ReadBody, Failure> {
    if bytes.is_empty() || !header(headers, "content-encoding").eq_ignore_ascii_case(b"gzip") {
        return Ok(ReadBody::whole(bytes.into_owned()));
    }
    match gzip::unpack(&bytes, limiter.decoded_body_bytes_max) {
        Unpacking::Whole(bytes) => Ok(ReadBody::whole(bytes)),
        Unpacking::TooLarge => Err(limiter.answer_too_large()),
        Unpacking::Broken(_, error) => Err(Failure::new(Cause::Undecodable, error.to_string())),
    }
}

/// The first value of a header, empty when it is not there.
fn header<'h>(headers: &'h HeaderBlock, name: &str) -> &'h [u8] {
    let found = headers.iter().find(|(known, _)| is_same_word(known, name.as_bytes()));
    found.map_or(&[][..], |(_, value)| value)
}
