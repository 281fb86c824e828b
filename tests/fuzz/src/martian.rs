//! Martian modifiers: whatever they are told, what goes to the upstream and to the client is well formed.

use shoal::features::modifier::martian::Martian;
use shoal::json::Document;
use shoal::message::headers::{is_token, is_value_byte};
use shoal::plan::feature::{BackendDraft, Feature, Site};
use shoal::stage::{Answer, Call, CallBody, CallStage, Outcome, Step};
use shoal::wire::{Body, HeaderBlock};

use crate::{Bounded, Input, site};

/// More than any definition of this size can ask for: sixteen parts of a body, and what stands between them.
const BODY_BYTES_MAX: usize = 64 * 1024;

fn check_lines<'h>(lines: impl Iterator<Item = (&'h [u8], &'h [u8])>) {
    for (name, value) in lines {
        assert!(is_token(name), "a header's name: {}", name.escape_ascii());
        let is_fit = value.iter().all(|byte| is_value_byte(*byte));
        assert!(is_fit, "a header's value: {}", value.escape_ascii());
    }
}

fn check_call(call: &Call<'_>) {
    let target = &call.url.target;
    assert!(target.starts_with(b"/"), "{}", target.escape_ascii());
    let is_sent = target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#');
    assert!(is_sent, "{}", target.escape_ascii());
    for host in [Some(&*call.url.authority), call.host.as_deref()].into_iter().flatten() {
        assert!(host.bytes().all(|byte| byte.is_ascii_graphic()), "{host:?}");
        assert!(!call.url.authority.contains(['/', '?', '#', '@']), "{}", call.url.authority);
    }
    check_lines(call.headers.iter().map(|line| (&*line.name, &*line.value)));
    if let CallBody::Bytes(bytes) = &call.body {
        assert!(bytes.len() <= BODY_BYTES_MAX);
    }
}

fn check_answer(answer: &Answer) {
    assert!((100..1000).contains(&answer.status), "{}", answer.status);
    check_lines(answer.headers.iter());
    let lines = answer.headers.as_bytes();
    assert!(lines.is_empty() || lines.ends_with(b"\r\n"));
    if let Some(Body::Bytes(bytes)) = &answer.body {
        assert!(bytes.len() <= BODY_BYTES_MAX);
    }
}

/// An answer of an upstream.
fn answer() -> Answer {
    let mut headers = HeaderBlock::default();
    headers.push(b"X-Up", b"one");
    headers.push(b"Set-Cookie", b"s=1; Path=/");
    headers.push(b"Content-Type", b"text/plain");
    let body = Some(Body::Bytes(b"original".to_vec()));
    Answer { data: Document::empty(), is_complete: true, status: 200, headers, body, upload: None }
}

/// `definition NUL header lines of the request`
pub fn martian(input: &[u8]) {
    let _bounded = Bounded::start();
    let mut input = Input(input);
    let Ok(text) = std::str::from_utf8(input.until(0)) else { return };
    let Some(block) = site::block("modifier/martian", text) else { return };
    let mut draft = BackendDraft::default();
    let _ = Martian.compile(&block, &mut Site::Backend(&mut draft));
    let Some((_, build)) = draft.stages.first() else { return };
    let stage = build();
    site::with_call(&site::head(input.0), |call| around(&*stage, call));
}

fn around(stage: &dyn CallStage, call: &mut Call<'_>) {
    let mut outcome: Outcome = match stage.before(call) {
        Ok(Step::Next) => Box::new(answer()).into(),
        Ok(Step::Done(outcome)) => outcome,
        // There is nothing to wait for before a call.
        Ok(Step::Wait(_)) => panic!("a wait"),
        Err(_) => return,
    };
    check_call(call);
    // A file that would be waited for does not come.
    let is_done = matches!(stage.after(call, &mut outcome), Ok(Step::Next | Step::Done(())));
    check_call(call);
    if let Some(answer) = outcome.answer.filter(|_| is_done) {
        check_answer(&answer);
    }
}
