//! Modifiers around a call, from the block in the configuration to what the upstream and the client would see.

use std::rc::Rc;

use serde_json::{Value, json};

use super::*;
use crate::config::problem::{Problem, Severity};
use crate::config::{self};
use crate::message::forwarded::ClientIp;
use crate::message::head::RequestHead;
use crate::message::route_params::RouteParams;
use crate::plan::feature::BackendDraft;
use crate::shared::log::Log;
use crate::stage::{AddedHeaders, CallBody, Exchange, Header, Headers, Notes, Url};
use crate::wire::Peer;

fn compiled(block: &Value) -> (Option<Box<dyn CallStage>>, Option<Problem>) {
    let file = json!({"version": 3, "endpoints": [{"endpoint": "/a", "backend": [{"host": ["http://up"],
        "url_pattern": "/a", "extra_config": {"modifier/martian": block}}]}]});
    let loaded =
        config::parse("krakend.json", file.to_string().as_bytes(), &[]).expect("a configuration");
    let backend = &loaded.service.endpoints[0].backend[0];
    let block = backend.extra_config.get("modifier/martian").expect("a block");
    let mut draft = BackendDraft::default();
    let problem = match Martian.compile(block, &mut Site::Backend(&mut draft)) {
        Err(Fallback::Skip(problem)) => Some(problem),
        Ok(()) => None,
        other => panic!("{other:?}"),
    };
    (draft.stages.first().map(|(_, build)| build()), problem)
}

/// What upstream and client would see, as text.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    url: String,
    host: Option<String>,
    headers: String,
    body: String,
    status: u16,
    answer_headers: String,
    answer: String,
    failure: String,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a block around a call to `http://up:81/a%20b?q=1&r=2` that is answered with 200.
fn exchange(block: &Value, headers: &[(&'static str, &'static str)]) -> Seen {
    let (stage, problem) = compiled(block);
    let stage = stage.unwrap_or_else(|| panic!("{problem:?}"));
    let head = RequestHead::default();
    let peer = Peer::new(([127, 0, 0, 1], 4000).into(), false);
    let params = RouteParams::default();
    let exchange = Exchange {
        head: &head,
        peer: &peer,
        path: b"/a",
        params: &params,
        body: CallBody::Bytes(Rc::new(b"sent".to_vec())),
        client: ClientIp::Peer(peer.address.ip()),
        deadline: clock::now().plus_ms(2_000),
        log: &Log::silent(),
        claims: None,
        added: AddedHeaders::default(),
        watch: None,
    };
    let mut lines = Headers::new();
    lines
        .extend(headers.iter().map(|(name, value)| Header::new(name.as_bytes(), value.as_bytes())));
    let target = b"/a%20b?q=1&r=2".to_vec();
    let mut call = Call {
        exchange: &exchange,
        method: "GET".into(),
        url: Url { is_tls: false, authority: "up:81".into(), target },
        host: None,
        headers: lines.into_vec().into(),
        body: exchange.body.clone(),
        extra_params: &[],
        deadline: exchange.deadline,
        pattern_range: 0..6,
        notes: Notes::default(),
        span: 0,
    };
    let mut returned = nothing();
    returned.headers.push(b"X-Up", b"one");
    returned.headers.push(b"Set-Cookie", b"s=1; Path=/");
    returned.body = Some(Body::Bytes(b"original".to_vec()));
    let mut outcome: Outcome = match stage.before(&mut call) {
        Ok(Step::Next) => returned.into(),
        Ok(Step::Done(outcome)) => outcome,
        Ok(Step::Wait(_)) => panic!("nothing to wait for"),
        Err(failure) => failure.into(),
    };
    let failed = match stage.after(&mut call, &mut outcome) {
        Ok(Step::Wait(_)) => panic!("nothing to wait for"),
        Ok(_) => None,
        Err(failure) => Some(failure),
    };
    if let Some(failure) = failed {
        outcome = failure.into();
    }
    let lines = call.headers.iter();
    let lines = lines.map(|line| format!("{}: {}", text(&line.name), text(&line.value)));
    let mut seen = Seen {
        url: call.url.text(),
        host: call.host.as_deref().map(str::to_owned),
        headers: lines.collect::<Vec<_>>().join("\n"),
        body: match &call.body {
            CallBody::Bytes(bytes) => text(bytes),
            _ => String::new(),
        },
        failure: outcome.failure.map(|failure| failure.message.clone()).unwrap_or_default(),
        ..Seen::default()
    };
    if let Some(answer) = outcome.answer {
        seen.status = answer.status;
        seen.answer_headers = text(answer.headers.as_bytes()).trim_end().replace("\r\n", "\n");
        if let Some(Body::Bytes(bytes)) = &answer.body {
            seen.answer = text(bytes);
        }
    }
    seen
}

fn set(name: &str, value: &str) -> Value {
    json!({"header.Modifier": {"scope": ["request"], "name": name, "value": value}})
}

fn append(name: &str, value: &str) -> Value {
    json!({"header.Append": {"scope": ["request"], "name": name, "value": value}})
}

#[test]
fn headers_of_requests_are_set_added_copied_and_removed() {
    let seen = exchange(&set("x-a", "set"), &[("X-A", "one"), ("X-A", "two")]);
    assert_eq!(seen.headers, "X-A: set");
    let seen = exchange(&append("x-a", "more"), &[("X-A", "one")]);
    assert_eq!(seen.headers, "X-A: one\nX-A: more");
    let copy = json!({"header.Copy": {"from": "x-none", "to": "X-B"}});
    let seen = exchange(&copy, &[]);
    assert_eq!(seen.headers, "X-B: ");
    assert!(seen.answer_headers.ends_with("\nX-B:") || seen.answer_headers.ends_with("\nX-B: "));
    let remove = json!({"header.Blacklist": {"names": ["x-up", "X-A"], "SCOPE": null}});
    let seen = exchange(&remove, &[("x-a", "1"), ("X-B", "2")]);
    assert_eq!((&*seen.headers, &*seen.answer_headers), ("X-B: 2", "Set-Cookie: s=1; Path=/"));
}

#[test]
fn the_framing_is_not_for_modifiers_and_the_host_is_a_header_of_its_own() {
    for name in ["Content-Length", "transfer-encoding", "Connection"] {
        let seen = exchange(&set(name, "7"), &[]);
        assert_eq!((&*seen.headers, &*seen.failure), ("", ""), "{name}");
    }
    assert_eq!(exchange(&set("Host", "other.example"), &[]).host.as_deref(), Some("other.example"));
    assert_eq!(exchange(&set("Host", "two words"), &[]).failure, "http: invalid Host header");
    let length =
        json!({"header.Copy": {"scope": ["request"], "from": "Content-Length", "to": "X-L"}});
    assert_eq!(exchange(&length, &[]).headers, "X-L: 4");
    let seen = exchange(&append("Host", "b"), &[]);
    assert_eq!(seen.failure, "proxyutil: illegal header multiple: Host");
}

#[test]
fn an_identifier_is_made_unless_there_is_one() {
    let block = json!({"header.Id": {"scope": ["request"]}});
    let seen = exchange(&block, &[]);
    let id = seen.headers.strip_prefix("X-Krakend-Id: ").expect("a header");
    assert_eq!((id.len(), id.get(14..15)), (36, Some("4")));
    assert_eq!(exchange(&block, &[("X-Krakend-Id", "mine")]).headers, "X-Krakend-Id: mine");
}

#[test]
fn bodies_are_replaced_and_answers_cut_by_range() {
    let block = json!({"body.Modifier": {"contentType": "a/b", "body": "MDEyMzQ1Njc4OQ=="}});
    let seen = exchange(&block, &[("Content-Type", "x/y"), ("Content-Encoding", "gzip")]);
    assert_eq!((&*seen.headers, &*seen.body), ("Content-Type: a/b", "0123456789"));
    assert_eq!((seen.status, &*seen.answer), (200, "0123456789"));
    assert!(seen.answer_headers.ends_with("Content-Type: a/b"));
    let seen = exchange(&block, &[("Range", "bytes=2-4")]);
    assert_eq!((seen.status, &*seen.answer), (206, "234"));
    assert!(seen.answer_headers.ends_with("Content-Range: bytes 2-4/10"));
    let seen = exchange(&block, &[("Range", "bytes=4-2")]);
    assert_eq!((seen.status, &*seen.answer), (416, ""));
    let seen = exchange(&block, &[("Range", "bytes=0-0,9-9")]);
    assert_eq!(seen.status, 206);
    assert!(seen.answer_headers.contains("Content-Type: multipart/byteranges; boundary="));
    assert!(exchange(&block, &[("Range", "bytes=-3")]).failure.contains("invalid syntax"));
}

#[test]
fn cookies_are_added_and_asked_for() {
    let block = json!({"cookie.Modifier": {"name": "c", "value": "v", "expires": "2030-01-02T03:04:05+01:00"}});
    let seen = exchange(&block, &[("Cookie", "a=b")]);
    assert_eq!(seen.headers, "Cookie: a=b; c=v");
    assert!(
        seen.answer_headers.ends_with("Set-Cookie: c=v; Expires=Wed, 02 Jan 2030 02:04:05 GMT")
    );
    let block = json!({"cookie.Filter": {"name": "s", "value": "",
        "modifier": {"header.Modifier": {"name": "X-S", "value": "yes"}},
        "else": {"header.Modifier": {"name": "X-S", "value": "no"}}}});
    let seen = exchange(&block, &[("Cookie", "a=b; t=1")]);
    assert!(seen.headers.ends_with("X-S: no") && seen.answer_headers.ends_with("X-S: yes"));
}

#[test]
fn urls_change_and_the_host_header_stays() {
    let block = json!({"querystring.Modifier": {"name": "a", "value": "x y"}});
    assert_eq!(exchange(&block, &[]).url, "http://up:81/a%20b?a=x+y&q=1&r=2");
    let block = json!({"url.Modifier": {"scheme": "https", "host": "other:9", "path": "/ä", "query": "z=1"}});
    let seen = exchange(&block, &[]);
    assert_eq!(seen.url, "https://other:9/%C3%A4?z=1");
    assert_eq!(seen.host.as_deref(), Some("up:81"));
    for (members, url) in [
        (json!({"port": 99}), "http://up:99/a%20b?q=1&r=2"),
        (json!({"remove": true}), "http://up/a%20b?q=1&r=2"),
        (json!({"defaultForScheme": true}), "http://up:80/a%20b?q=1&r=2"),
    ] {
        let seen = exchange(&json!({"port.Modifier": members}), &[]);
        assert_eq!((&*seen.url, seen.host.as_deref()), (url, Some("up:81")));
    }
}

#[test]
fn the_stash_keeps_the_url_for_both_ways() {
    let block = json!({"fifo.Group": {"modifiers": [
        {"stash.Modifier": {"headerName": "X-Was"}},
        {"url.Modifier": {"path": "/after"}}]}});
    let seen = exchange(&block, &[]);
    assert_eq!(seen.headers, "X-Was: http://up:81/a%20b?q=1&r=2");
    assert_eq!(seen.url, "http://up:81/after?q=1&r=2");
    assert!(seen.answer_headers.ends_with("X-Was: http://up:81/a%20b?q=1&r=2"));
}

#[test]
fn filters_choose_by_what_they_ask() {
    let holds = |name: &str, mut members: Value, headers: &[(&'static str, &'static str)]| {
        members["modifier"] = set("X-Then", "1");
        if !matches!(name, "header.RegexFilter" | "port.Filter") {
            members["else"] = set("X-Else", "1");
        }
        exchange(&json!({name: members}), headers).headers.contains("X-Then")
    };
    let by_header = json!({"name": "x-a", "value": "yes"});
    assert!(holds("header.Filter", by_header.clone(), &[("X-A", "no"), ("X-A", "yes")]));
    assert!(!holds("header.Filter", by_header, &[]));
    let regex = json!({"header": "X-A", "regex": "^v[0-9]+$"});
    assert!(holds("header.RegexFilter", regex.clone(), &[("X-A", "v12")]));
    assert!(!holds("header.RegexFilter", regex, &[("X-A", "w")]));
    for (name, value, is_met) in
        [("q", "1", true), ("q", "", true), ("q", ".*", false), ("x", "", false)]
    {
        let members = json!({"name": name, "value": value});
        assert_eq!(holds("querystring.Filter", members, &[]), is_met, "{name}={value}");
    }
    for (members, is_met) in [
        (json!({}), true),
        (json!({"path": "/a b"}), true),
        (json!({"path": "/a%20b"}), false),
        (json!({"scheme": "https"}), false),
        (json!({"host": "*"}), true),
        (json!({"host": "up"}), false),
        (json!({"query": "q=1&r=2"}), true),
    ] {
        assert_eq!(holds("url.Filter", members.clone(), &[]), is_met, "{members}");
    }
    assert!(holds("url.RegexFilter", json!({"regex": "^http://up.*r=2$"}), &[]));
    assert!(holds("port.Filter", json!({"port": 81}), &[]));
    assert!(!holds("port.Filter", json!({"port": 80}), &[]));
}

#[test]
fn groups_run_in_order_and_gather_errors() {
    let entry = |priority: i64, value: &str| json!({"priority": priority, "modifier": append("X-P", value)});
    let block =
        json!({"priority.Group": {"modifiers": [entry(1, "a"), entry(9, "b"), entry(1, "c")]}});
    assert_eq!(exchange(&block, &[]).headers, "X-P: b\nX-P: c\nX-P: a");
    let broken = append("Host", "b");
    for (gathers, failure, headers) in [
        (
            true,
            "proxyutil: illegal header multiple: Host\nproxyutil: illegal header multiple: Host",
            "X-A: 1",
        ),
        (false, "proxyutil: illegal header multiple: Host", ""),
    ] {
        let block = json!({"fifo.Group": {"aggregateErrors": gathers,
            "modifiers": [broken, set("X-A", "1"), broken]}});
        let seen = exchange(&block, &[]);
        assert_eq!((&*seen.failure, &*seen.headers), (failure, headers));
    }
}

#[test]
fn scopes_bound_what_a_modifier_does() {
    let block =
        |scope: Value| json!({"header.Modifier": {"name": "X-A", "value": "1", "scope": scope}});
    let both = |seen: &Seen| (seen.headers.contains("X-A"), seen.answer_headers.contains("X-A"));
    for (scope, is_seen) in [
        (json!(null), (true, true)),
        (json!([]), (false, false)),
        (json!(["request"]), (true, false)),
        (json!(["response", "request"]), (true, true)),
    ] {
        assert_eq!(both(&exchange(&block(scope.clone()), &[])), is_seen, "{scope}");
    }
    // The scope of a group counts for all that is in it.
    let group = json!({"fifo.Group": {"scope": ["response"], "modifiers": [block(json!(null))]}});
    assert_eq!(both(&exchange(&group, &[])), (false, true));
    assert_eq!(exchange(&json!({"status.Modifier": {"statusCode": 418}}), &[]).status, 418);
}

#[test]
fn what_cannot_be_used_is_named_with_its_place() {
    let long = json!({"header.Modifier": {"name": "X", "value": "1"}, "header.Append": {}});
    for (block, what) in [
        (json!([]), "must be an object"),
        (json!({}), "there must be one modifier, and there are 0"),
        (long, "there must be one modifier, and there are 2"),
        (json!({"header.Frobnicate": {}}), "header.Frobnicate is no modifier"),
        (json!({"skip.RoundTrip": {}}), "skip.RoundTrip is no modifier"),
        (json!({"header.Modifier": {"name": "X", "scope": ["all"]}}), "\"all\" is no scope"),
        (
            json!({"status.Modifier": {"statusCode": 200, "scope": ["request"]}}),
            "cannot do the scope request",
        ),
        (json!({"header.Modifier": {"name": "X", "value": 1}}), "value must be a text"),
        (json!({"header.Modifier": {"name": "X Y"}}), "is no name of a header"),
        (json!({"body.Modifier": {"body": "?"}}), "no base64"),
        (json!({"url.RegexFilter": {"regex": "(", "modifier": {}}}), "is no pattern"),
        (json!({"url.Filter": {"path": "/"}}), "modifier is missing"),
        (
            json!({"url.Filter": {"path": "/", "modifier": set("X", "1"), "else": null}}),
            "must be an object",
        ),
        (json!({"port.Modifier": {"port": 1, "remove": true}}), "needs one of"),
        (
            json!({"stash.Modifier": {"headerName": "X", "scope": ["response"]}}),
            "needs the scope request",
        ),
        (json!({"cookie.Modifier": {"name": "c", "expires": "soon"}}), "RFC 3339"),
    ] {
        let (stage, problem) = compiled(&block);
        let problem = problem.expect("a problem");
        assert!(problem.what.contains(what), "{block}: {}", problem.what);
        assert!(stage.is_none() && problem.severity == Severity::Lenient && problem.hint.is_some());
    }
    let inner = json!({"fifo.Group": {"modifiers": [set("X", "1"), {"nothing": {}}]}});
    let place = compiled(&inner).1.expect("a problem").place;
    assert!(place.path.ends_with("modifier/martian.fifo.Group.modifiers[1].nothing"), "{place}");
}

#[test]
fn what_can_only_fail_is_named_and_fails() {
    for block in [
        json!({"url.Verifier": {"path": "/"}}),
        json!({"querystring.Verifier": {"name": "q"}}),
        json!({"status.Verifier": {"statusCode": 200}}),
        json!({"status.Modifier": {"statusCode": 99}}),
        json!({"url.Modifier": {"scheme": "gopher"}}),
        json!({"url.Modifier": {"query": "a b"}}),
    ] {
        assert_eq!(compiled(&block).1.map(|problem| problem.severity), Some(Severity::Lenient));
        assert_ne!(exchange(&block, &[]).failure, "", "{block}");
    }
    let (stage, problem) = compiled(&json!({"header.Copy": {"from": "A", "to": "B", "form": ""}}));
    assert!(stage.is_some());
    assert_eq!(problem.expect("a warning").severity, Severity::Warn);
    let (_, problem) = compiled(&json!({"header.Verifier": {"name": "A"}}));
    assert_eq!(problem.expect("a warning").severity, Severity::Warn);
}
