use super::*;
use crate::config;
use crate::features;
use crate::plan;
use crate::shared::meter::Meter;
use crate::stage::ids::{BackendId, EndpointId};

const ENDPOINTS: &str = r#"[
    {"endpoint": "/item/{id}", "backend": [{"host": ["http://up"], "url_pattern": "/up/{id}/x"}]},
    {"endpoint": "/item/{id}", "method": "POST",
     "backend": [{"host": ["http://up"], "url_pattern": "/ok?m=1"},
                 {"host": ["http://up"], "url_pattern": "/up/{id}/x", "group": "g"}]}]"#;

fn compiled(block: &str, is_lenient: bool) -> Result<Plan, Vec<Problem>> {
    let text = format!(
        r#"{{"version": 3, "endpoints": {ENDPOINTS}, "extra_config": {{"telemetry/metrics": {block}}}}}"#
    );
    let loaded = config::parse("krakend.json", text.as_bytes(), &[]).expect("right");
    plan::compile(&loaded.service, features::ALL, is_lenient).map(|compiled| compiled.plan)
}

fn timed(ns: u64) -> Timed {
    Timed { began_ns: 1, ended_ns: 1 + ns }
}

fn object(stats: &Stats) -> Value {
    let text = page::write(&stats.now().expect("collected"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn requests_are_counted_under_the_names_of_the_original() {
    let plan = compiled("{}", false).expect("right");
    let watcher = plan.watchers[0](&plan, &Meter::default());
    let stats = plan.common.get::<Stats>();
    let before = object(&stats);
    assert_eq!(
        before["krakend.proxy.requests.layer.pipe.name./item/:id.complete.true.error.false"],
        0
    );
    let endpoint = EndpointId(1);
    watcher.entered(endpoint);
    let end = End { is_complete: true, ..End::default() };
    let backend = BackendId { endpoint, place: 1 };
    watcher.called(&Called { backend, headers: &[], end, timed: timed(2_000), spanned: None });
    let end = End::canceled();
    let backend = BackendId { endpoint, place: 0 };
    watcher.called(&Called { backend, headers: &[], end, timed: timed(3_000), spanned: None });
    watcher.piped(&Piped { endpoint, headers: &[], end, timed: timed(4_000), spanned: None });
    watcher.served(&Served {
        route: Route::Endpoint(endpoint),
        method: b"POST",
        status: 206,
        body_bytes: 77,
        headers: None,
        client: ([127, 0, 0, 1], 1).into(),
        is_tls: false,
        is_cut: false,
        timed: timed(5_000),
        trace: None,
    });
    let now = object(&stats);
    for (name, value) in [
        ("router.connected", 1.0),
        ("router.connected-total", 0.0),
        ("router.disconnected", 1.0),
        ("router.response./item/:id.status.206.count", 1.0),
        ("router.response./item/:id.size.99-percentile", 77.0),
        ("router.response./item/:id.time.max", 5_000.0),
        ("proxy.requests.layer.backend.name./up/{{.Id}}/x.complete.true.error.false", 1.0),
        ("proxy.requests.layer.backend.name./ok?m=1.complete.false.error.true", 1.0),
        ("proxy.latency.layer.pipe.name./item/:id.complete.false.error.true.mean", 4_000.0),
        ("service.runtime.NumGoroutine", 0.0),
        ("service.debug.ReadGCStats.one-minute", 0.0),
    ] {
        let shown = now[format!("krakend.{name}")].as_f64();
        assert_eq!(shown, Some(value), "{name}");
    }
    assert!(now["memstats"]["Sys"].as_u64() > Some(0) && now["cmdline"].is_array());
    stats.end_period();
    let later = object(&stats);
    assert_eq!(later["krakend.router.connected-total"], 1);
    assert_eq!(later["krakend.router.connected-gauge"], 1);
    assert_eq!(later["krakend.router.connected"], 0);
    assert_eq!(later["krakend.router.response./item/:id.time.count"], 0);
    assert_eq!(later["krakend.router.response./item/:id.status.206.count"], 1);
}

#[test]
fn what_is_switched_off_has_no_names() {
    let block = r#"{"router_disabled": true, "proxy_disabled": true, "backend_disabled": true}"#;
    let plan = compiled(block, false).expect("right");
    let watcher = plan.watchers[0](&plan, &Meter::default());
    watcher.entered(EndpointId(0));
    let page = page::write(&plan.common.get::<Stats>().now().expect("collected"));
    assert!(!page.contains("response.") && !page.contains("krakend.proxy."), "{page}");
    assert!(page.contains("\"krakend.router.connected\": 0,"), "{page}");
}

#[test]
fn what_makes_no_sense_is_named() {
    for (block, place, is_lenient_right) in [
        ("[]", "telemetry/metrics", true),
        (r#"{"collection_time": "soon"}"#, "collection_time", true),
        (r#"{"collection_time": "0s"}"#, "collection_time", false),
        (r#"{"collection_time": 5}"#, "collection_time", false),
        (r#"{"listen_address": "nowhere"}"#, "listen_address", true),
        (r#"{"listen_address": 8090}"#, "listen_address", true),
        (r#"{"router_disabled": "yes"}"#, "router_disabled", true),
    ] {
        let problems = compiled(block, false).err().unwrap_or_else(|| panic!("{block} is right"));
        assert!(problems[0].place.path.ends_with(place), "{block}: {}", problems[0]);
        assert_eq!(compiled(block, true).is_ok(), is_lenient_right, "{block}");
    }
}

#[test]
fn addresses_are_read_as_go_reads_them() {
    for (text, expected) in [
        (":8090", Some("[::]:8090")),
        ("localhost:1", Some("127.0.0.1:1")),
        ("10.0.0.1:9", Some("10.0.0.1:9")),
        ("[::1]:9", Some("[::1]:9")),
        ("8090", None),
        ("host:8090", None),
        (":99999", None),
    ] {
        let address = go_address(text).map(|address| address.to_string());
        assert_eq!(address.as_deref(), expected, "{text}");
    }
}
