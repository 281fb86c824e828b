//! Who is refused while Redis is away, and what is wrong with a block.

use crate::config;
use crate::control::redis::Stores;
use crate::features;
use crate::message::forwarded::ClientIp;
use crate::message::head::RequestHead;
use crate::message::route_params::RouteParams;
use crate::plan::{self, Plan};
use crate::shared::log::Log;
use crate::stage::{AddedHeaders, CallBody, EndpointStage, Exchange, Step, clock};
use crate::wire::{Peer, Reply};

fn compiled(block: &str, is_lenient: bool) -> Result<Plan, String> {
    let text = format!(
        r#"{{"version": 3, "extra_config": {{"redis": {{"connection_pools": [{{"name": "r", "address": "h:1"}}]}}}},
        "endpoints": [{{"endpoint": "/t", "backend": [{{"host": ["http://up"], "url_pattern": "/"}}],
        "extra_config": {{"qos/ratelimit/router/redis": {block}, "shoal/ratelimit": {{"headers": true}}}}}}]}}"#
    );
    let loaded = config::parse("krakend.json", text.as_bytes(), &[]).expect("a configuration");
    match plan::compile(&loaded.service, features::ALL, is_lenient) {
        Ok(compiled) => Ok(compiled.plan),
        Err(problems) => Err(problems[0].to_string()),
    }
}

/// A request's status, 200 where it passes, and what it is told.
fn request(stage: &dyn EndpointStage, client: &str) -> (u16, String) {
    let mut head = RequestHead::default();
    head.push_header(b"X-Client", client.as_bytes());
    let peer = Peer::new(([127, 0, 0, 1], 4000).into(), false);
    let params = RouteParams::default();
    let mut exchange = Exchange {
        head: &head,
        peer: &peer,
        path: b"/t",
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
    (reply.status, String::from_utf8_lossy(reply.headers.as_bytes()).into_owned())
}

fn statuses(plan: &Plan, count: usize) -> Vec<u16> {
    let stage = (plan.endpoints[0].stages[0])();
    (0..count).map(|_| request(&*stage, "a").0).collect()
}

#[test]
fn a_node_limits_by_what_it_knows_and_tells_where_clients_stand() {
    let block = r#"{"connection_name": "r", "max_rate": 1, "capacity": 3, "every": "1h",
        "client_max_rate": 1, "client_capacity": 2, "strategy": "header", "key": "X-Client"}"#;
    let plan = compiled(block, false).expect("right");
    let stage = (plan.endpoints[0].stages[0])();
    let (status, told) = request(&*stage, "a");
    assert_eq!(status, 200);
    assert!(told.contains("RateLimit-Limit: 2\r\nRateLimit-Remaining: 1\r\n"), "{told}");
    assert_eq!(request(&*stage, "a").0, 200);
    let (status, told) = request(&*stage, "a");
    assert_eq!(status, 429);
    assert!(told.contains("RateLimit-Remaining: 0") && told.contains("Retry-After: 36"), "{told}");
    assert_eq!(request(&*stage, "b").0, 200);
    assert_eq!(request(&*stage, "c").0, 503, "the endpoint has no more");
}

#[test]
fn without_redis_all_are_refused_or_each_node_limits_alone() {
    for (block, away) in [
        (r#"{"connection_name": "r", "max_rate": 2}"#, [503, 503, 503]),
        (r#"{"connection_pool": "r", "max_rate": 2, "on_failure_allow": true}"#, [200, 200, 503]),
        (r#"{"connection_name": "r", "client_max_rate": 2, "strategy": "ip"}"#, [429, 429, 429]),
    ] {
        let plan = compiled(block, false).expect("right");
        let store = plan.common.get::<Stores>().find("r").expect("a connection");
        store.link.set_lost(true);
        assert_eq!(statuses(&plan, 3), away, "{block}");
        store.link.set_lost(false);
        assert_eq!(statuses(&plan, 1)[0] == 200, away[0] != 200, "{block}");
    }
}

#[test]
fn what_makes_no_sense_is_named() {
    for (block, place) in [
        (r#"{"max_rate": 1}"#, "connection_name is missing"),
        (r#"{"connection_name": "x", "max_rate": 1}"#, "known are: r"),
        (r#"{"connection_name": "r", "client_max_rate": 1, "strategy": "jwt"}"#, "strategy"),
        (r#"{"connection_name": "r", "max_rate": 1, "every": "1"}"#, "every"),
    ] {
        let told = compiled(block, false).err().unwrap_or_else(|| panic!("{block} is right"));
        assert!(told.contains(place) && told.contains("hint"), "{block}: {told}");
        let lenient = compiled(block, true).expect("lenient");
        assert!(lenient.endpoints[0].stages.is_empty(), "as in the original");
    }
}
