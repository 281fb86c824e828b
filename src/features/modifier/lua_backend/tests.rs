//! Scripts around a call, from the block in the configuration to what the upstream and the client would see.

use super::*;
use crate::config::{self, Problem};
use crate::message::forwarded::ClientIp;
use crate::message::head::RequestHead;
use crate::message::route_params::RouteParams;
use crate::plan::feature::BackendDraft;
use crate::shared::log::Log;
use crate::stage::{AddedHeaders, CallBody, Exchange, Header, Headers, Notes, Url, clock};
use crate::wire::{HeaderBlock, Peer};

/// Compiles a block, at a backend of an endpoint with the parameter `id`.
fn compiled(block: &str) -> (Option<Box<dyn CallStage>>, Option<Problem>) {
    let file = format!(
        r#"{{"version": 3, "endpoints": [{{"endpoint": "/item/{{id}}", "backend": [{{"host": ["http://up"],
        "url_pattern": "/v1/{{id}}", "extra_config": {{"modifier/lua-backend": {block}}}}}]}}]}}"#
    );
    let loaded = config::parse("krakend.json", file.as_bytes(), &[]).expect("a configuration");
    let backend = &loaded.service.endpoints[0].backend[0];
    let block = backend.extra_config.get("modifier/lua-backend").expect("a block");
    let mut draft =
        BackendDraft { param_keys: Arc::from(["Id".into()]), ..BackendDraft::default() };
    let problem = match LuaBackend.compile(block, &mut Site::Backend(&mut draft)) {
        Err(Fallback::Skip(problem)) => Some(problem),
        Ok(()) => None,
        other => panic!("{other:?}"),
    };
    (draft.stages.first().map(|(_, build)| build()), problem)
}

fn stage(members: &serde_json::Value) -> Box<dyn CallStage> {
    let (stage, problem) = compiled(&members.to_string());
    assert_eq!(problem, None);
    stage.expect("a stage")
}

/// What a call became, as text.
#[derive(Debug, Default)]
struct Seen {
    method: String,
    url: String,
    headers: String,
    body: String,
}

/// Runs a whole call: `before`, then `after` with this answer. Gives what the upstream and what the client would see.
fn exchange(stage: &dyn CallStage, answer: Box<Answer>) -> (Seen, Outcome) {
    let steps = [("Resp0_name".to_owned(), "anna".to_owned())];
    let head = RequestHead::default();
    let peer = Peer::new(([127, 0, 0, 1], 4000).into(), false);
    let params = RouteParams { ranges: [(6, 9)].into_iter().collect(), cleaned: None };
    let exchange = Exchange {
        head: &head,
        peer: &peer,
        path: b"/item/a b",
        params: &params,
        body: CallBody::Bytes(Rc::new(b"sent".to_vec())),
        client: ClientIp::Peer(peer.address.ip()),
        deadline: clock::now().plus_ms(2_000),
        log: &Log::silent(),
        claims: None,
        added: AddedHeaders::default(),
        watch: None,
    };
    let target = b"/prefix/v1/a%20b?fix=1&q=2&q=3".to_vec();
    let mut headers = Headers::new();
    headers.extend([
        Header::new(b"x-in", b"one"),
        Header::new(b"X-In", b"two"),
        Header::new(b"User-Agent", b"agent"),
    ]);
    let mut call = Call {
        exchange: &exchange,
        method: "GET".into(),
        url: Url { is_tls: false, authority: "up:81".into(), target },
        host: None,
        headers: headers.into_vec().into(),
        body: exchange.body.clone(),
        extra_params: &steps,
        deadline: exchange.deadline,
        pattern_range: 7..22,
        notes: Notes::default(),
        span: 0,
    };
    let mut outcome = match stage.before(&mut call) {
        Ok(Step::Next) => answer.into(),
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
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let lines = call
        .headers
        .iter()
        .map(|header| format!("{}: {}", text(&header.name), text(&header.value)));
    let seen = Seen {
        method: call.method.to_string(),
        url: call.url.text(),
        headers: lines.collect::<Vec<_>>().join("\n"),
        body: match &call.body {
            CallBody::Bytes(bytes) => text(bytes),
            _ => String::new(),
        },
    };
    (seen, outcome)
}

fn data(json: &str) -> Box<Answer> {
    let document =
        crate::json::Decoder::named("json", false).decode(json.as_bytes().to_vec(), false).unwrap();
    Answer::of_data(document, true)
}

fn raw(body: &[u8]) -> Box<Answer> {
    let mut headers = HeaderBlock::default();
    headers.push(b"x-up", b"1");
    headers.push(b"Content-Type", b"text/plain");
    Box::new(Answer { headers, status: 201, body: Some(Body::Bytes(body.to_vec())), ..*data("{}") })
}

fn with_pre(code: &str) -> Seen {
    let (seen, outcome) = exchange(&*stage(&serde_json::json!({"pre": code})), data("{}"));
    assert_eq!(outcome.failure, None, "{code}");
    seen
}

/// What `pre` says by `custom_error`.
fn said(expression: &str) -> String {
    let code = format!("local r = request.load() custom_error('=' .. tostring({expression}))");
    // A message without anything in it would lose its separator, as it does in the original.
    failure(&serde_json::json!({"pre": code})).into_details().message.split_off(1)
}

fn failure(members: &serde_json::Value) -> Failure {
    exchange(&*stage(members), data("{}")).1.failure.expect("a failure")
}

fn with_post(code: &str, answer: Box<Answer>) -> Box<Answer> {
    let (_, outcome) = exchange(&*stage(&serde_json::json!({"post": code})), answer);
    assert_eq!(outcome.failure, None, "{code}");
    outcome.answer.expect("an answer")
}

/// The data that a script makes of this.
fn changed(json: &str, code: &str) -> String {
    let answer = with_post(&format!("local d = response.load():data() {code}"), data(json));
    let mut out = Vec::new();
    answer.data.write_json(&mut out);
    String::from_utf8(out).unwrap()
}

// === the request ===

#[test]
fn a_script_reads_all_of_a_request() {
    for (expression, text) in [
        ("r:method()", "GET"),
        ("r:path()", "/v1/a b?fix=1"),
        ("r:query()", "q=2&q=3"),
        ("r:url()", "http://up:81/prefix/v1/a%20b?fix=1&q=2&q=3"),
        ("r:params('Id')", "a b"),
        ("r:params('id')", ""),
        ("r:params('Resp0_name')", "anna"),
        ("r:params():len()", "2"),
        ("r:params():get('Id')", "a b"),
        ("r:headers('X-In')", "one"),
        ("r:headers('x-IN')", "one"),
        ("r:headers('X-None')", ""),
        ("r:headerList('x-in'):len()", "2"),
        ("r:headerList('X-In'):get(1)", "two"),
        ("r:headers():get('X-In'):get(1)", "two"),
        ("r:body() .. r:body()", "sentsent"),
    ] {
        assert_eq!(said(expression), text, "{expression}");
    }
}

#[test]
fn method_url_headers_and_body_reach_the_upstream() {
    let seen = with_pre(
        "local r = request.load() r:method('post') r:headers('x-new', 5) r:headers('X-In', nil) r:body('other') \
         local l = luaList.new() l:set(0, 'a') l:set(1, 'b') r:headerList('x-list', l)",
    );
    assert_eq!((seen.method.as_str(), seen.body.as_str()), ("POST", "other"));
    assert_eq!(seen.headers, "User-Agent: agent\nX-New: 5\nX-List: a\nX-List: b");
    let seen = with_pre("request.load():url('http://other:99/moved?k=1#part')");
    assert_eq!(seen.url, "http://other:99/moved?k=1");
}

#[test]
fn path_query_and_params_come_too_late_but_read_back() {
    let code = "local r = request.load() r:path('/p') r:query('b=2&a=1 2') r:params('Id', 7)";
    assert_eq!(with_pre(code).url, "http://up:81/prefix/v1/a%20b?fix=1&q=2&q=3");
    let code =
        format!("{code} custom_error(r:path() .. ' ' .. r:query() .. ' ' .. r:params('Id'))");
    assert_eq!(failure(&serde_json::json!({"pre": code})).into_details().message, "/p a=1+2&b=2 7");
}

#[test]
fn what_cannot_be_sent_fails_before_anything_is() {
    for (code, message) in [
        ("request.load():url('/no/host')", "Get \"/no/host\": unsupported protocol scheme \"\""),
        (
            "request.load():url('ftp://h/x')",
            "Get \"ftp://h/x\": unsupported protocol scheme \"ftp\"",
        ),
        ("request.load():method('a b')", "net/http: invalid method \"A B\""),
    ] {
        assert_eq!(failure(&serde_json::json!({"pre": code})).into_details().message, message);
    }
    for code in [
        "request.load():headers('X-A', 'a\\r\\nX-B: c')",
        "request.load():headers('bad name', 'a')",
    ] {
        let message = failure(&serde_json::json!({"pre": code})).into_details().message;
        assert!(message.contains("net/http: invalid header field"), "{message}");
    }
}

#[test]
fn headers_that_frame_the_message_are_the_clients_business() {
    let seen = with_pre(
        "local r = request.load() r:headers('Host', 'x') r:headers('Content-Length', '9') r:headers('Transfer-Encoding', 'chunked')",
    );
    assert_eq!(seen.headers, "X-In: one\nX-In: two\nUser-Agent: agent");
}

#[test]
fn post_sees_the_request_as_pre_left_it() {
    let members = serde_json::json!({"pre": "request.load():headers('X-A', 'b')", "post": "custom_error(request.load():headers('X-A'))"});
    assert_eq!(failure(&members).message, "b");
}

// === the response ===

#[test]
fn data_is_read_and_written() {
    let item =
        r#"{"n":1,"s":"hello","o":{"list":["a","b","c"]},"z":null,"big":12345678901234567890}"#;
    for (code, json) in [
        ("d:set('n', d:get('n') + 1) d:del('o') d:del('z') d:del('big')", r#"{"n":2,"s":"hello"}"#),
        (
            "for _, k in ipairs({'n', 's', 'o', 'z'}) do d:del(k) end",
            r#"{"big":12345678901234567890}"#,
        ),
        (
            "local o = d:get('o') o:set('deep', o:get('list'):get(1)) for _, k in ipairs({'n', 's', 'z', 'big'}) do d:del(k) end",
            r#"{"o":{"deep":"b","list":["a","b","c"]}}"#,
        ),
        (
            "d:set('k', d:keys()) for _, k in ipairs({'n', 's', 'o', 'z', 'big'}) do d:del(k) end",
            r#"{"k":["big","n","o","s","z"]}"#,
        ),
        (
            "d:set('r', type(d:get('z')) .. d:len() .. tostring(d:keyExists('z')) .. tostring(d:keyExists('y'))) for _, k in ipairs({'n', 's', 'o', 'z', 'big'}) do d:del(k) end",
            r#"{"r":"userdata5truefalse"}"#,
        ),
    ] {
        assert_eq!(changed(item, code), json, "{code}");
    }
}

#[test]
fn native_tables_become_objects_at_the_top_and_lists_below() {
    for (code, json) in [
        (
            "d:set('t', {a = 1, b = {2, 3}, c = 'x', d = false, e = 1.5})",
            r#"{"t":{"a":1,"b":[2,3],"c":"x","d":false,"e":1.5}}"#,
        ),
        ("d:set('t', {'x', 'y'})", r#"{"t":{"1":"x","2":"y"}}"#),
        ("d:set('t', {})", r#"{"t":{}}"#),
        ("d:set('t', {e = {}})", r#"{"t":{"e":null}}"#),
        ("d:set('t', {l = {[3] = 'c', [1] = 'a'}, f = print})", r#"{"t":{"l":["a","c"]}}"#),
        ("d:set('t', {l = {1, x = 2}})", r#"{"t":{"l":{"1":1,"x":2}}}"#),
        (
            "local t = luaTable.new() t:set('k', luaNil.new()) d:set('t', {t = t})",
            r#"{"t":{"t":{"k":null}}}"#,
        ),
        ("d:set('n', nil) d:set('f', print)", "{}"),
        ("d:set('x', 1e21) d:set('y', 1e-7)", r#"{"x":1e+21,"y":1e-7}"#),
    ] {
        assert_eq!(changed("{}", code), json, "{code}");
    }
}

#[test]
fn lists_behave_as_slices_of_go() {
    let body = r#"{"l":["a","b","c"]}"#;
    for (code, json) in [
        ("local l = d:get('l') l:set(0, l:get(0) .. '!') l:del(1)", r#"{"l":["a!","c",null]}"#),
        ("local l = d:get('l') l:del(1) d:set('l', l)", r#"{"l":["a","c"]}"#),
        ("local l = d:get('l') l:set(4, 'e')", r#"{"l":["a","b","c"]}"#),
        ("local l = d:get('l') l:set(4, 'e') d:set('l', l)", r#"{"l":["a","b","c",null,"e"]}"#),
        ("local l = d:get('l') l:set(-1, 'x') l:del(9)", r#"{"l":["a","b","c"]}"#),
        (
            "local l = luaList.new() l:set(0, {1}) l:set(1, true) d:set('l', l)",
            r#"{"l":[{"1":1},true]}"#,
        ),
    ] {
        assert_eq!(changed(body, code), json, "{code}");
    }
}

#[test]
fn an_answer_that_is_only_read_keeps_its_bytes() {
    assert_eq!(
        changed(r#"{ "b" : 1.50, "a":"\u0041" }"#, "local x = d:get('a') .. d:get('b')"),
        r#"{ "b" : 1.50, "a":"\u0041" }"#
    );
}

#[test]
fn no_data_becomes_an_empty_object_even_without_a_script() {
    for members in [serde_json::json!({}), serde_json::json!({"post": "local x = 1"})] {
        let (_, outcome) = exchange(&*stage(&members), Answer::of_data(Document::null(), true));
        assert!(!outcome.answer.unwrap().data.is_null());
    }
}

#[test]
fn completeness_status_headers_and_body_are_read_and_written() {
    let code = "local r = response.load() \
        r:headers('X-Was', r:statusCode() .. ' ' .. tostring(r:isComplete()) .. ' ' .. r:headers('X-Up') .. '<' .. r:headers('x-up') .. '>') \
        r:headers('x-up', nil) r:statusCode(203) r:isComplete(false) r:body(r:body() .. '!')";
    let answer = with_post(code, raw(b"body"));
    assert_eq!((answer.status, answer.is_complete), (203, false));
    assert_eq!(answer.headers.as_bytes(), b"Content-Type: text/plain\r\nX-Was: 201 true 1<>\r\n");
    assert!(matches!(answer.body, Some(Body::Bytes(bytes)) if bytes == b"body!"));
}

#[test]
fn a_decoded_answer_has_no_status_and_no_body() {
    let answer = with_post(
        "local r = response.load() r:data():set('v', r:statusCode() .. '|' .. r:body())",
        data("{}"),
    );
    assert_eq!(answer.data.get("v"), Some(crate::json::Value::String("0|".into())));
    assert!(answer.body.is_none());
}

#[test]
fn a_body_that_no_script_looks_at_is_left_alone() {
    let answer = with_post("response.load():headers('X-A', 'b')", raw(b"bytes"));
    assert!(matches!(answer.body, Some(Body::Bytes(bytes)) if bytes == b"bytes"));
    assert_eq!((answer.status, answer.is_complete), (201, true));
}

#[test]
fn statuses_that_no_server_can_send_fail() {
    let of = |code: i64| {
        let members = serde_json::json!({"post": format!("response.load():statusCode({code})")});
        exchange(&*stage(&members), raw(b"")).1
    };
    assert_eq!(of(0).answer.map(|answer| answer.status), Some(200));
    assert_eq!(of(1000).failure.map(|failure| failure.status()), Some(500));
}

#[test]
fn error_details_are_a_table_with_all_members() {
    let mut document = Document::empty();
    let details =
        vec![("http_status_code", crate::json::Value::Number(crate::json::Number::Int(404)))];
    document.set("error_x", crate::json::Value::Struct(details));
    let mut answer = Answer::of_data(document, false);
    answer.status = 404;
    let code = "local r = response.load() local e = r:data():get('error_x') \
        r:data():set('v', e:get('http_status_code') .. e:get('http_body') .. e:get('name') .. e:len() .. r:statusCode())";
    assert_eq!(
        with_post(code, answer).data.get("v"),
        Some(crate::json::Value::String("404x4404".into()))
    );
}

// === the course of a call ===

#[test]
fn skip_next_answers_by_the_script_alone() {
    let members = serde_json::json!({"skip_next": true, "post": "local r = response.load() r:data():set('made', true) r:isComplete(true)"});
    let (_, outcome) = exchange(&*stage(&members), data(r#"{"from":"upstream"}"#));
    let answer = outcome.answer.unwrap();
    assert!(answer.is_complete);
    assert_eq!(answer.data.get("made"), Some(crate::json::Value::Bool(true)));
    assert_eq!(answer.data.len(), 1);
    let (_, bare) =
        exchange(&*stage(&serde_json::json!({"skip_next": true})), data(r#"{"from":"upstream"}"#));
    let bare = bare.answer.unwrap();
    assert!(bare.data.is_empty() && !bare.data.is_null() && !bare.is_complete);
}

#[test]
fn post_does_not_run_where_the_call_failed() {
    let stage = stage(
        &serde_json::json!({"pre": "custom_error('first', 403)", "post": "custom_error('second', 404)"}),
    );
    let failure = exchange(&*stage, data("{}")).1.failure.unwrap();
    assert_eq!((failure.status(), failure.message.as_str()), (403, "first"));
}

#[test]
fn custom_errors_carry_status_and_content_type() {
    let failure = failure(&serde_json::json!({"post": "custom_error('after all', 404, 'text/x')"}));
    assert_eq!(failure.status(), 404);
    assert_eq!(failure.content_type.as_deref(), Some("text/x"));
}

#[test]
fn data_that_refers_to_itself_fails_the_request() {
    let failure =
        failure(&serde_json::json!({"post": "local d = response.load():data() d:set('self', d)"}));
    assert_eq!(failure.message, "lua: the data is nested too deeply");
}

#[test]
fn an_error_in_any_hook_leaves_the_next_call_unharmed() {
    for hook in ["pre", "post"] {
        let code = "first = (first or 0) + 1 if request.load():body() == 'sent' then while true do end end";
        let stage = stage(
            &serde_json::json!({hook: code.replace("while true do end", "local x = nil + first")}),
        );
        for _ in 0..3 {
            let failure = exchange(&*stage, data("{}")).1.failure.unwrap();
            assert!(
                failure.message.starts_with("cannot perform add operation between nil and number"),
                "{failure:?}"
            );
        }
    }
}

#[test]
fn a_live_source_is_read_for_each_call() {
    let path = std::env::temp_dir().join(format!("shoal-live-{}.lua", std::process::id()));
    std::fs::write(&path, "function v() return 'one' end").unwrap();
    let members = serde_json::json!({"sources": [path], "live": true, "pre": "custom_error(v())"});
    let stage = stage(&members);
    let message = || exchange(&*stage, data("{}")).1.failure.unwrap().into_details().message;
    assert_eq!(message(), "one");
    std::fs::write(&path, "function v() return 'two' end").unwrap();
    assert_eq!(message(), "two");
    std::fs::remove_file(&path).unwrap();
    let gone = format!("lua: unable to load required source {}", path.display());
    assert_eq!(message(), gone);
}

// === the configuration ===

#[test]
fn what_cannot_be_run_stops_the_start_and_names_its_place() {
    for (block, place, what, is_installed) in [
        (
            r#"{"sources": ["none.lua"]}"#,
            "sources[0]",
            "the Lua source none.lua cannot be read",
            true,
        ),
        (r#"{"pre": "local x ="}"#, "pre", "pre:1: unexpected symbol near '<eof>'", true),
        (r#"{"post": "a\nb c"}"#, "post", "post:2: '=' expected near 'b'", true),
        (r#"{"pre": 5}"#, "pre", "pre must be a text", true),
        (r#"{"sources": "a.lua"}"#, "sources", "sources must be a list of texts", true),
        (r#"{"live": "yes"}"#, "live", "live must be true or false", true),
        (
            r#"{"md5": {"none.lua": "0"}}"#,
            "md5",
            "the MD5 sum of none.lua is d41d8cd98f00b204e9800998ecf8427e",
            false,
        ),
        ("[]", "modifier/lua-backend", "a script is an object", false),
    ] {
        let (stage, problem) = compiled(block);
        let problem = problem.expect(block);
        assert!(problem.what.starts_with(what), "{block}: {}", problem.what);
        assert!(problem.place.path.ends_with(place), "{block}: {}", problem.place.path);
        assert_eq!(stage.is_some(), is_installed, "{block}");
        assert!(!problem.is_fatal(true) && problem.is_fatal(false));
    }
}

#[test]
fn a_lenient_start_fails_the_requests_of_a_broken_script() {
    let (stage, _) = compiled(r#"{"sources": ["none.lua"], "pre": "local x = 1"}"#);
    let failure = exchange(&*stage.unwrap(), data("{}")).1.failure.unwrap();
    assert_eq!(
        (failure.status(), failure.message.as_str()),
        (500, "lua: unable to load required source none.lua")
    );
    let (stage, _) = compiled(r#"{"pre": "local x = 1\nlokal y = 2()"}"#);
    let failure = exchange(&*stage.unwrap(), data("{}")).1.failure.unwrap();
    assert_eq!(failure.message, "'y': parse error (pre-script:L2)");
}
