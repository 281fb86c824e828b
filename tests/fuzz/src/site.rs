//! A block of one feature around an endpoint and its backend, and a request to try it with.

use std::rc::Rc;

use shoal::config::{self, Block};
use shoal::message::forwarded::ClientIp;
use shoal::message::head::RequestHead;
use shoal::message::route_params::RouteParams;
use shoal::shared::log::Log;
use shoal::stage::{AddedHeaders, Call, CallBody, Exchange, Header, Notes, Url, clock};
use shoal::wire::Peer;
use shoal::wire::http1::parse::{self, HeadLimits, Progress};

const LIMITS: HeadLimits =
    HeadLimits { bytes_max: 64 * 1024, headers_max: 100, uri_bytes_max: 8 * 1024 };

/// The block as a configuration has it; nothing for what is no configuration.
pub fn block(namespace: &str, text: &str) -> Option<Block> {
    let file = format!(
        r#"{{"version": 3, "endpoints": [{{"endpoint": "/item/{{id}}", "backend": [{{"host": ["http://up"],
        "url_pattern": "/v1", "extra_config": {{"{namespace}": {text}}}}}]}}]}}"#
    );
    let loaded = config::parse("krakend.json", file.as_bytes(), &[]).ok()?;
    let backend = loaded.service.endpoints.first()?.backend.first()?;
    backend.extra_config.get(namespace).cloned()
}

/// A request as a client may send it: `GET /item/7?a=b&c=d` with header lines, or without those that it may not send.
pub fn head(lines: &[u8]) -> RequestHead {
    let raw = |lines: &[u8]| {
        let start = b"GET /item/7?a=b&c=d HTTP/1.1\r\nHost: h\r\n";
        RequestHead::with_bytes([start, lines, b"\r\n\r\n"].concat())
    };
    let mut head = raw(lines);
    if parse::request(&mut head, &LIMITS) != Ok(Progress::Complete) {
        head = raw(b"X-A: b");
        assert_eq!(parse::request(&mut head, &LIMITS), Ok(Progress::Complete));
    }
    head
}

/// Shows the request on its way to the pipe, and its call to a backend.
pub fn with_call<T>(head: &RequestHead, run: impl FnOnce(&mut Call<'_>) -> T) -> T {
    let peer = Peer::new(([127, 0, 0, 1], 4000).into(), false);
    let mut params = RouteParams::default();
    params.ranges.push((6, 7));
    let log = Log::silent();
    let exchange = Exchange {
        head,
        peer: &peer,
        path: b"/item/7",
        params: &params,
        body: CallBody::Bytes(Rc::new(b"sent".to_vec())),
        client: ClientIp::Peer(peer.address.ip()),
        deadline: clock::now().plus_ms(2_000),
        log: &log,
        claims: None,
        added: AddedHeaders::default(),
        watch: None,
    };
    let headers: Vec<Header<'_>> =
        head.headers().iter().map(|(name, value)| Header::new(name, value)).collect();
    let mut call = Call {
        exchange: &exchange,
        method: "GET".into(),
        url: Url {
            is_tls: false,
            authority: "up:81".into(),
            target: b"/v1%20?q=1&r=2&a=b".to_vec(),
        },
        host: None,
        headers: headers.into(),
        body: exchange.body.clone(),
        extra_params: &[],
        deadline: exchange.deadline,
        pattern_range: 0..14,
        notes: Notes::default(),
        span: 0,
    };
    run(&mut call)
}
