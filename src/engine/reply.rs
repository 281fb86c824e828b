//! From an outcome to a reply: the status, the headers of the gateway, and the encoding the endpoint asks for
//! (specification, sections 2.12 to 2.14).

use crate::json::Document;
use crate::json::render::Render;
use crate::plan::endpoint::EndpointPlan;
use crate::plan::router::RouterPlan;
use crate::stage::{Answer, Exchange, Failure, Outcome};
use crate::wire::{Body, HeaderBlock, Reply};

pub const COMPLETED: &[u8] = b"X-Krakend-Completed: true\r\n";
pub const NOT_COMPLETED: &[u8] = b"X-Krakend-Completed: false\r\n";

/// Room for the headers of most answers.
const HEADER_BYTES_USUAL: usize = 512;
/// Room for the gateway's own lines before those of an answer that passes through.
pub const LINES_BYTES_USUAL: usize = 128;

/// What the client gets.
pub fn of_outcome(
    router: &RouterPlan,
    endpoint: &EndpointPlan,
    exchange: &Exchange<'_>,
    outcome: Outcome,
) -> Reply {
    if let Some(answer) = outcome.answer {
        return of_answer(router, endpoint, exchange, answer);
    }
    let mut headers = HeaderBlock::with_capacity(HEADER_BYTES_USUAL);
    headers.push_lines(router.version_line.as_bytes());
    headers.push_lines(NOT_COMPLETED);
    match outcome.failure {
        Some(failure) => of_failure(router, failure, headers),
        None => Reply { headers, ..Reply::empty(500) },
    }
}

fn of_answer(
    router: &RouterPlan,
    endpoint: &EndpointPlan,
    exchange: &Exchange<'_>,
    answer: Box<Answer>,
) -> Reply {
    // An empty object is never complete, whatever its backends said.
    let is_complete = answer.is_complete && !answer.data.is_empty();
    let completed = if is_complete { COMPLETED } else { NOT_COMPLETED };
    let cache_control = endpoint.cache_control.as_deref().filter(|_| is_complete);
    let cache_control = cache_control.unwrap_or_default().as_bytes();
    let version = router.version_line.as_bytes();
    if endpoint.render == Render::NoOp {
        return passed_through(answer, [version, completed, cache_control]);
    }
    let mut headers = HeaderBlock::with_capacity(HEADER_BYTES_USUAL);
    for lines in [version, completed, cache_control] {
        headers.push_lines(lines);
    }
    let render = match endpoint.render {
        Render::Negotiate => Render::negotiate(exchange.head.header("accept")),
        render => render,
    };
    // What a stage put on the answer; an object without members takes none (specification, section 2.13).
    let own = if answer.data.is_empty() { HeaderBlock::default() } else { answer.headers };
    headers.append(&own);
    if let Some(content_type) = render.content_type().filter(|_| !own.has_content_type) {
        headers.push(b"Content-Type", content_type.as_bytes());
    }
    let mut bytes = Vec::with_capacity(answer.data.json_len_hint());
    encode(render, &answer.data, &mut bytes);
    Reply { headers, body: Body::Bytes(bytes), ..Reply::empty(200) }
}

fn passed_through(answer: Box<Answer>, lines: [&[u8]; 3]) -> Reply {
    let sniff = answer.body.is_some()
        && !answer.headers.has_content_type
        && !answer.headers.has_content_encoding
        && answer.status != 304;
    let mut headers = answer.headers;
    for lines in lines.into_iter().rev() {
        headers.prepend_lines(lines);
    }
    let body = answer.body.unwrap_or(Body::Empty);
    Reply { headers, body, upload: answer.upload, sniff, ..Reply::empty(answer.status) }
}

fn encode(render: Render, data: &Document, out: &mut Vec<u8>) {
    match render {
        Render::Json | Render::Negotiate | Render::NoOp => data.write_json(out),
        Render::JsonCollection => {
            if !data.write_member("collection", out) {
                out.extend_from_slice(b"[]");
            }
        }
        Render::Text | Render::Xml | Render::Yaml => {
            let map = (!data.is_null()).then(|| data.to_map());
            render.render_map(map.as_ref(), out);
        }
    }
}

fn of_failure(router: &RouterPlan, failure: Failure, mut headers: HeaderBlock) -> Reply {
    let status = failure.status();
    let failure = failure.into_details();
    let mut body = Body::Empty;
    if router.return_error_msg {
        // An upstream's own content type counts even where it sent no body, as to a HEAD.
        let content_type = failure.content_type.filter(|text| !text.is_empty());
        let content_type = content_type
            .as_deref()
            .or((!failure.message.is_empty()).then_some("text/plain; charset=utf-8"));
        if let Some(content_type) = content_type {
            headers.push(b"Content-Type", content_type.as_bytes());
        }
        if !failure.message.is_empty() {
            body = Body::Bytes(failure.message.into_bytes());
        }
    }
    Reply { headers, body, ..Reply::empty(status) }
}
