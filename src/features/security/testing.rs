//! What the tests of these features share: blocks, and requests that go through a stage.

use serde_json::{Value, json};

use crate::config::extra::Block;
use crate::config::problem::Problem;
use crate::message::forwarded::ClientIp;
use crate::message::head::RequestHead;
use crate::message::path;
use crate::message::route_params::RouteParams;
use crate::plan::feature::{Fallback, Feature, ServiceDraft, Site};
use crate::shared::log::Log;
use crate::stage::clock::Tick;
use crate::stage::{AddedHeaders, CallBody, EndpointStage, Exchange, Step};
use crate::wire::http1::parse::{self, HeadLimits};
use crate::wire::{HeaderBlock, Peer, Reply};

pub fn block(feature: &dyn Feature, value: &Value) -> Block {
    let namespace = feature.namespace();
    let text = json!({"version": 3, "endpoints": [], "extra_config": {namespace: value}});
    let service = crate::config::parse("krakend.json", text.to_string().as_bytes(), &[])
        .expect("a configuration")
        .service;
    service.extra_config.get(namespace).expect("the block").clone()
}

/// The stage that a block makes at the service, and what is told of it.
pub fn compile(
    feature: &dyn Feature,
    value: &Value,
) -> (Option<Box<dyn EndpointStage>>, Result<(), Fallback>) {
    let mut draft = ServiceDraft::default();
    let told = feature.compile(&block(feature, value), &mut Site::Service(&mut draft));
    (draft.stages.pop().map(|(_, build)| build(&Log::silent())), told)
}

#[track_caller]
pub fn stage(feature: &dyn Feature, value: &Value) -> Box<dyn EndpointStage> {
    let (stage, told) = compile(feature, value);
    if let Err(Fallback::Skip(problem)) = told {
        let is_warning = !problem.is_fatal(false);
        assert!(is_warning, "{problem}");
    }
    stage.expect("a stage")
}

/// The problem that a block has.
#[track_caller]
pub fn problem(feature: &dyn Feature, value: &Value) -> Problem {
    match compile(feature, value).1 {
        Err(Fallback::Skip(problem) | Fallback::Refuse(problem)) => problem,
        other => panic!("{value}: {other:?}"),
    }
}

/// What a client gets whose request goes through the stage, and would have `inner` behind it. `Host: h` is added.
pub fn ask(stage: &dyn EndpointStage, line: &str, headers: &[(&str, &str)], inner: Reply) -> Reply {
    ask_over(false, stage, line, headers, inner)
}

pub fn ask_over(
    is_tls: bool,
    stage: &dyn EndpointStage,
    line: &str,
    headers: &[(&str, &str)],
    inner: Reply,
) -> Reply {
    let mut text = format!("{line} HTTP/1.1\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        text.push_str("Host: h\r\n");
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    let mut head = RequestHead::with_bytes(text.into_bytes());
    let limits = HeadLimits { bytes_max: 65_536, headers_max: 100, uri_bytes_max: 65_536 };
    parse::request(&mut head, &limits).expect("a request");
    let peer = Peer::new(([127, 0, 0, 1], 4000).into(), is_tls);
    let mut decoded = Vec::new();
    let mut exchange = Exchange {
        head: &head,
        peer: &peer,
        path: path::decode(head.path(), &mut decoded).expect("a path"),
        params: &RouteParams::default(),
        body: CallBody::Empty,
        client: ClientIp::Peer(peer.address.ip()),
        deadline: Tick::NEVER,
        log: &Log::silent(),
        claims: None,
        added: AddedHeaders::default(),
        watch: None,
    };
    let mut reply = match stage.on_request(&mut exchange) {
        Ok(Step::Next) => inner,
        Ok(Step::Done(reply)) => reply,
        Ok(Step::Wait(_)) => panic!("nothing to wait for"),
        Err(failure) => Reply::empty(failure.status()),
    };
    stage.on_reply(&exchange, &mut reply);
    reply
}

/// A reply with one header line, of this status.
pub fn inner(status: u16) -> Reply {
    let mut reply = Reply::empty(status);
    reply.headers.push(b"X-Inner", b"1");
    reply
}

/// The lines of a reply without their ends.
pub fn lines(block: &HeaderBlock) -> Vec<String> {
    String::from_utf8_lossy(block.as_bytes()).lines().map(str::to_owned).collect()
}
