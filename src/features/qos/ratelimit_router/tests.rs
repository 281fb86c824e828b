//! Limits from the block in the configuration to who is refused, and how.

use super::*;
use crate::config::{self, Problem};
use crate::message::forwarded::ClientIp;
use crate::message::head::RequestHead;
use crate::message::route_params::RouteParams;
use crate::plan::feature::EndpointDraft;
use crate::plan::limits::RateLimitOptions;
use crate::shared::log::Log;
use crate::stage::{AddedHeaders, CallBody, EndpointStage, Exchange, Step};
use crate::wire::{Peer, Reply};

/// Compiles a block at the endpoint `/t/{tenant}`.
fn compiled(
    block: &str,
    rate_limits: RateLimitOptions,
) -> (Option<Box<dyn EndpointStage>>, Option<Problem>) {
    let file = format!(
        r#"{{"version": 3, "endpoints": [{{"endpoint": "/t/{{tenant}}", "backend": [{{"host": ["http://up"],
        "url_pattern": "/"}}], "extra_config": {{"qos/ratelimit/router": {block}}}}}]}}"#
    );
    let loaded = config::parse("krakend.json", file.as_bytes(), &[]).expect("a configuration");
    let extra = &loaded.service.endpoints[0].extra_config;
    let block = extra.get("qos/ratelimit/router").expect("a block");
    let param_names = vec!["tenant".to_owned()];
    let mut draft = EndpointDraft { param_names, rate_limits, ..EndpointDraft::default() };
    let problem = match RateLimitRouter.compile(block, &mut Site::Endpoint(&mut draft)) {
        Err(Fallback::Skip(problem)) => Some(problem),
        Ok(()) => None,
        other => panic!("{other:?}"),
    };
    (draft.stages.first().map(|(_, build)| build()), problem)
}

fn stage(block: &str) -> Box<dyn EndpointStage> {
    let (stage, problem) = compiled(block, RateLimitOptions::default());
    assert_eq!(problem, None, "{block}");
    stage.expect("a stage")
}

/// A request's status, and the headers that the stage adds; 200 where it passes.
fn request(stage: &dyn EndpointStage, headers: &[(&str, &str)], tenant: &str) -> (u16, String) {
    let mut head = RequestHead::default();
    for (name, value) in headers {
        head.push_header(name.as_bytes(), value.as_bytes());
    }
    let peer = Peer::new(([127, 0, 0, 1], 4000).into(), false);
    let path = format!("/t/{tenant}");
    let ranges = [(3, u32::try_from(path.len()).unwrap())].into_iter().collect();
    let params = RouteParams { ranges, cleaned: None };
    let mut exchange = Exchange {
        head: &head,
        peer: &peer,
        path: path.as_bytes(),
        params: &params,
        body: CallBody::Empty,
        client: ClientIp::Peer(peer.address.ip()),
        deadline: clock::now().plus_ms(1000),
        log: &Log::silent(),
        claims: None,
        added: AddedHeaders::default(),
        watch: None,
    };
    let mut reply = match stage.on_request(&mut exchange).expect("no failure") {
        Step::Next => Reply::empty(200),
        Step::Done(reply) => reply,
        Step::Wait(_) => panic!("nothing to wait for"),
    };
    stage.on_reply(&exchange, &mut reply);
    let lines = String::from_utf8_lossy(reply.headers.as_bytes()).into_owned();
    (reply.status, lines)
}

fn statuses(stage: &dyn EndpointStage, headers: &[&[(&str, &str)]]) -> Vec<u16> {
    headers.iter().map(|headers| request(stage, headers, "t1").0).collect()
}

#[test]
fn the_client_is_asked_first_and_pays_also_where_the_endpoint_is_empty() {
    let stage = stage(
        r#"{"max_rate": 1, "every": "1h", "capacity": 2, "client_max_rate": 1, "client_capacity": 2,
            "strategy": "header", "key": "x-key"}"#,
    );
    let (a, b, c) = (&[("X-Key", "a")][..], &[("X-Key", "b")][..], &[("X-Key", "c")][..]);
    assert_eq!(statuses(&*stage, &[a, b, c, c, c]), [200, 200, 503, 503, 429]);
    assert_eq!(statuses(&*stage, &[&[], &[("X-Key", "")]]), [429, 429], "nobody to count for");
}

#[test]
fn refusals_are_bare_and_headers_come_only_where_they_are_asked_for() {
    let block = r#"{"max_rate": 1, "every": "1h", "capacity": 2}"#;
    let plain = stage(block);
    let all: Vec<_> = (0..3).map(|_| request(&*plain, &[], "t")).collect();
    assert_eq!(all, [(200, String::new()), (200, String::new()), (503, String::new())]);

    let options = RateLimitOptions { headers: Some(true), clients_max: None };
    let told = compiled(block, options).0.expect("a stage");
    let (status, lines) = request(&*told, &[], "t");
    assert_eq!(status, 200);
    assert!(
        lines.starts_with(
            "RateLimit-Limit: 2\r\nRateLimit-Remaining: 1\r\nRateLimit-Reset: 3600\r\n"
        )
    );
    request(&*told, &[], "t");
    let (status, lines) = request(&*told, &[], "t");
    assert_eq!(status, 503);
    assert!(lines.contains("RateLimit-Remaining: 0\r\n"), "{lines}");
    assert!(lines.ends_with("Retry-After: 3600\r\n"), "{lines}");
}

#[test]
fn clients_are_told_apart_by_parameter_and_by_address() {
    let by_param =
        stage(r#"{"client_max_rate": 1, "every": "1h", "strategy": "PARAM", "key": "tenant"}"#);
    let tenants: Vec<u16> =
        ["a", "a", "b"].iter().map(|tenant| request(&*by_param, &[], tenant).0).collect();
    assert_eq!(tenants, [200, 429, 200]);
    let by_ip =
        stage(r#"{"client_max_rate": 1, "every": "1h", "strategy": "ip", "key": "X-Real"}"#);
    let from = |value| [("X-Real", value)];
    let requests: [&[(&str, &str)]; 5] = [
        &from("198.51.100.2"),
        &from("198.51.100.2:9, 10.0.0.1"),
        &from("nobody"),
        &[],
        &from("::1"),
    ];
    assert_eq!(statuses(&*by_ip, &requests), [200, 429, 200, 429, 429]);
}

/// Each block with what is said of it, and the statuses of three requests in a lenient start.
#[test]
fn what_makes_no_sense_is_named_and_leniently_read_as_the_original_does() {
    for (block, place, said, lenient) in [
        ("7", "", "must be an object", None),
        (r#"{"max_rate": "5"}"#, "max_rate", "must be a number", None),
        (r#"{"max_rate": -1}"#, "max_rate", "is negative", None),
        (r#"{"max_rate": 1, "capacity": 1.5}"#, "capacity", "whole number", Some([200, 503, 503])),
        (r#"{"max_rate": 1, "capacity": -1}"#, "capacity", "whole number", Some([200, 200, 200])),
        (r#"{"max_rate": 1, "every": 5}"#, "every", "no duration", Some([200, 503, 503])),
        (r#"{"max_rate": 1, "every": "1ms"}"#, "every", "less than", Some([200, 503, 503])),
        (r#"{"client_max_rate": 1, "strategy": "cookie"}"#, "strategy", "told apart", None),
        (r#"{"client_max_rate": 1}"#, "router", "told apart", None),
        (
            r#"{"client_max_rate": 1, "strategy": "header"}"#,
            "strategy",
            "needs a key",
            Some([429, 429, 429]),
        ),
        (
            r#"{"client_max_rate": 1, "strategy": "param", "key": "Tenant"}"#,
            "key",
            "no parameter",
            Some([429, 429, 429]),
        ),
        (r#"{"max_rate": 1, "num_shards": "x"}"#, "num_shards", "number", Some([200, 503, 503])),
        (
            r#"{"max_rate": 1, "cleanup_period": 1}"#,
            "cleanup_period",
            "duration",
            Some([200, 503, 503]),
        ),
    ] {
        let (stage, problem) = compiled(block, RateLimitOptions::default());
        let problem = problem.unwrap_or_else(|| panic!("{block}: no problem"));
        assert!(problem.is_fatal(false) && !problem.is_fatal(true), "{block}");
        assert!(problem.place.path.ends_with(place), "{block}: {}", problem.place.path);
        assert!(problem.what.contains(said), "{block}: {}", problem.what);
        let got = stage.map(|stage| [(); 3].map(|()| request(&*stage, &[], "t").0));
        assert_eq!(got, lenient, "{block}");
    }
}

#[test]
fn nothing_to_limit_is_no_stage() {
    for block in ["{}", r#"{"max_rate": 0, "capacity": 1}"#, r#"{"strategy": "ip"}"#] {
        let (stage, problem) = compiled(block, RateLimitOptions::default());
        assert!(stage.is_none() && problem.is_none(), "{block}");
    }
}
