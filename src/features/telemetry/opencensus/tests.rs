use super::*;
use crate::config;
use crate::features;
use crate::message::head::RequestHead;
use crate::plan::{self, Plan};
use crate::stage::ids::{BackendId, EndpointId};
use crate::stage::watch::{Connecting, Exchanged, Route, Served, Spanned, Timed, Trace};

const ENDPOINTS: &str = r#"[{"endpoint": "/item/{id}",
    "extra_config": {"telemetry/opencensus": {"path_aggregation": "off"}},
    "backend": [{"host": ["http://up"], "url_pattern": "/up/{id}"}]}]"#;

fn compiled(block: &str, is_lenient: bool) -> Result<Plan, Vec<Problem>> {
    let text = format!(
        r#"{{"version": 3, "endpoints": {ENDPOINTS}, "extra_config": {{"telemetry/opencensus": {block}}}}}"#
    );
    let loaded = config::parse("krakend.json", text.as_bytes(), &[]).expect("right");
    plan::compile(&loaded.service, features::ALL, is_lenient).map(|compiled| compiled.plan)
}

#[test]
fn what_is_not_offered_is_refused_by_name() {
    for (block, place, told) in [
        (r#"{"exporters": {"jaeger": {}}}"#, "exporters.jaeger", "jaeger is not offered"),
        (r#"{"exporters": {"datadog": {}}}"#, "exporters.datadog", "telemetry/opentelemetry"),
        (r#"{"exporters": {"smoke": {}}}"#, "exporters.smoke", "there is no exporter smoke"),
        (r#"{"sample_rate": 101}"#, "sample_rate", "0 to 100"),
        (r#"{"sample_rate": "1"}"#, "opencensus", "invalid type"),
        (r#"{"exporters": {"zipkin": {"collector_url": "x"}}}"#, "collector_url", "no URL"),
        (r#"{"exporters": {"influxdb": {"address": "x"}}}"#, "address", "no URL"),
    ] {
        let problems = compiled(block, false).err().unwrap_or_else(|| panic!("{block} is right"));
        assert!(problems[0].place.path.ends_with(place), "{block}: {}", problems[0]);
        assert!(problems[0].to_string().contains(told), "{block}: {}", problems[0]);
        assert!(compiled(block, true).is_ok(), "{block}");
    }
    assert!(compiled(r#"{"exporters": {"logger": {}}}"#, false).is_ok());
}

/// What the watcher of a plan with these settings makes of a request.
fn census(sample_rate: i64, spans: Option<crate::shared::outbox::Outbox<span::Span>>) -> Census {
    let plan = compiled("{}", false).expect("right");
    let settings = Settings {
        layers: options::Layers::default(),
        sample_rate,
        tags: views::Tags { path: true, ..views::Tags::default() },
        logs_spans: false,
    };
    let paths = plan.common.get::<Paths>();
    Census::new(&plan, &settings, &paths, &Meter::default(), spans, None)
}

fn head(headers: &[(&str, &str)]) -> RequestHead {
    let mut head = RequestHead::with_bytes(Vec::new());
    for (name, value) in headers {
        head.push_header(name.as_bytes(), value.as_bytes());
    }
    head
}

fn trace_of(census: &Census, headers: &[(&str, &str)]) -> Trace {
    let route = Route::Endpoint(EndpointId(0));
    census.trace(&head(headers), b"/item/1", route).expect("each has one")
}

#[test]
fn a_trace_goes_on_or_begins() {
    let census = census(100, None);
    let begun = trace_of(&census, &[]);
    assert!(begun.is_sampled && begun.parent.is_none() && begun.id != [0; 16]);
    let begun_again = trace_of(&census, &[]);
    assert_ne!(begun.id, begun_again.id);
    let went_on = trace_of(
        &census,
        &[
            ("X-B3-TraceId", "463ac35c9f6413ad48485a3953bb6124"),
            ("X-B3-SpanId", "a2fb4a1d1a96d312"),
        ],
    );
    assert_eq!(b3::hex(&went_on.id), "463ac35c9f6413ad48485a3953bb6124");
    assert_eq!(went_on.parent, Some(0xa2fb_4a1d_1a96_d312));
    let mut lines = Vec::new();
    let backend = BackendId { endpoint: EndpointId(0), place: 0 };
    census.propagate(&went_on, backend, 5, &mut lines);
    let lines = String::from_utf8(lines).expect("text");
    assert!(lines.contains("X-B3-TraceId: 463ac35c9f6413ad48485a3953bb6124\r\n"), "{lines}");
    assert!(lines.contains("X-B3-SpanId: 0000000000000005\r\n"), "{lines}");
    assert!(census.trace(&head(&[]), b"/x", Route::NotFound).is_none());
}

#[test]
fn spans_are_handed_over_and_never_waited_for() {
    let (sender, mut inbox) = outbox(2);
    let census = census(100, Some(sender));
    let trace = trace_of(&census, &[("Content-Length", "12"), ("User-Agent", "me")]);
    let timed = Timed { began_ns: 1_000_000, ended_ns: 3_500_000 };
    let backend = BackendId { endpoint: EndpointId(0), place: 0 };
    census.exchanged(&Exchanged {
        backend,
        method: "GET",
        authority: "up",
        target: b"/up/1?a=2",
        is_tls: true,
        headers: &[],
        status: 404,
        response: None,
        failure: None,
        is_canceled: false,
        is_timed_out: false,
        timed,
        request_bytes: None,
        response_bytes: Some(9),
        connecting: Connecting::default(),
        spanned: Some(Spanned { trace: &trace, span: 8, parent: 7 }),
    });
    for _ in 0..5 {
        census.served(&Served {
            route: Route::Endpoint(EndpointId(0)),
            method: b"GET",
            status: 200,
            body_bytes: 3,
            headers: None,
            client: ([127, 0, 0, 1], 1).into(),
            is_tls: false,
            is_cut: false,
            timed,
            trace: Some(&trace),
        });
    }
    let call = inbox.try_next().expect("a span").to_json(None);
    assert_eq!((&call["name"], &call["kind"]), (&"/up/1".into(), &"CLIENT".into()));
    assert_eq!(call["tags"]["http.url"], "https://up/up/1?a=2");
    assert_eq!(call["parentId"], "0000000000000007");
    assert_eq!((&call["tags"]["error"], &call["duration"]), (&"NOT_FOUND".into(), &2500.into()));
    let request = inbox.try_next().expect("a span").to_json(None);
    assert_eq!((&request["name"], &request["kind"]), (&"/item/:id".into(), &"SERVER".into()));
    assert_eq!(request["tags"]["http.user_agent"], "me");
    assert!(request["tags"].get("request bytes").is_none() && request.get("parentId").is_none());
    assert!(inbox.try_next().is_none());
    assert_eq!(inbox.take_dropped(), 4, "the box was full");
}
