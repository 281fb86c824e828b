use super::*;
use crate::config;
use crate::features;
use crate::plan;

fn node(text: &str) -> Node {
    let loaded = config::parse("krakend.json", text.as_bytes(), &[]).expect("right");
    let compiled = plan::compile(&loaded.service, features::ALL, true).expect("right");
    let meter = Meter::default();
    let labels = |state| [("upstream", "http://up.test:80"), ("state", state)];
    meter.gauge(metric::UPSTREAM_CONNECTIONS.name, &labels("idle")).set(3);
    meter.gauge(metric::UPSTREAM_CONNECTIONS.name, &labels("busy")).set(2);
    Node {
        serving: Published::new(Serving { plan: Arc::new(compiled.plan), feeds: Vec::new() }),
        meter,
        driver: "io_uring".into(),
        workers: 2,
        problems: Published::new(vec!["krakend.json:1:2  <x>".into()]),
        started: Instant::now(),
    }
}

const CONFIG: &str = r#"{"version": 3, "port": 8080, "endpoints": [{"endpoint": "/a/{id}", "backend": [
    {"host": ["http://up.test"], "url_pattern": "/b/{id}", "extra_config": {
        "qos/circuit-breaker": {"interval": 60, "timeout": 10, "max_errors": 1}}}]},
    {"endpoint": "/w", "backend": [{"host": ["http://one.test", "http://two.test"], "url_pattern": "/w", "extra_config": {
        "shoal/health-check": {}, "shoal/outlier-detection": {"consecutive_failures": 1, "slow_return": "0s"}}}]}]}"#;

fn asked(path: &str, accept: &str) -> Asked {
    Asked { path: path.into(), query: String::new(), accept: accept.into() }
}

#[test]
fn programs_get_the_facts_as_json() {
    let node = node(CONFIG);
    let page = page(&asked("/__admin.json", ""), &node).expect("there");
    assert_eq!(page.content_type, "application/json");
    let facts: serde_json::Value = serde_json::from_slice(&page.body).expect("JSON");
    assert_eq!(facts["endpoints"][0]["path"], "/a/:id");
    assert_eq!(facts["endpoints"][0]["backends"][0]["hosts"][0], "http://up.test");
    assert_eq!(facts["breakers"][0]["state"], "closed");
    assert_eq!(facts["breakers"][0]["name"], "GET /a/{id} backend[0]");
    assert_eq!(facts["limits"].as_array().map(Vec::len), Some(17));
    assert_eq!(facts["workers"], 2);
}

#[test]
fn people_get_a_page_in_which_nothing_is_markup_that_is_none() {
    let node = node(CONFIG);
    let page = page(&asked("/__admin", "text/html"), &node).expect("there");
    let text = String::from_utf8(page.body).expect("text");
    for part in ["/a/:id", "GET /a/{id} backend[0]", "closed", "&lt;x&gt;", "resident memory"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    assert!(!text.contains("<x>") && !text.contains("http-equiv") && !text.contains("<script"));
}

#[test]
fn the_same_path_serves_both_and_no_other_is_served() {
    let node = node(CONFIG);
    let of = |path, accept| page(&asked(path, accept), &node).map(|page| page.content_type);
    assert_eq!(of("/__admin", "application/json"), Some("application/json"));
    assert_eq!(of("/__admin/", "*/*"), Some("text/html; charset=utf-8"));
    assert_eq!(of("/__administrator", ""), None);
    assert_eq!(of("/", ""), None);
}

#[test]
fn hosts_that_are_watched_are_shown_with_their_states() {
    let node = node(CONFIG);
    let group = node.serving.latest().plan.groups[0].0.clone();
    let (member, _) = group.members(1)[1].clone();
    group.note(&member, true, clock::now().as_ms());
    let shown = |path, accept| page(&asked(path, accept), &node).expect("there").body;
    let facts: serde_json::Value =
        serde_json::from_slice(&shown("/__admin.json", "")).expect("JSON");
    let hosts = facts["hosts"].as_array().expect("a list");
    let states: Vec<_> = hosts.iter().map(|host| (&host["origin"], &host["state"])).collect();
    assert_eq!(
        format!("{states:?}"),
        r#"[(String("http://one.test"), String("up")), (String("http://two.test"), String("ejected"))]"#
    );
    assert_eq!((&hosts[1]["ejections"], &hosts[0]["checks_passed"]), (&1.into(), &0.into()));
    let text = String::from_utf8(shown("/__admin", "")).expect("text");
    assert!(text.contains("<td class=\"bad\">ejected for "), "{text}");
}

#[test]
fn connections_of_all_cores_are_added() {
    let facts = upstreams(&node(CONFIG).meter);
    assert_eq!((facts[0].idle, facts[0].busy), (0, 0), "gauges that nobody holds are gone");
}

#[test]
fn long_times_are_told_in_two_units() {
    assert_eq!(uptime_text(59), "59 s");
    assert_eq!(uptime_text(3_661), "1 h 1 min");
    assert_eq!(uptime_text(90_000), "1 d 1 h");
}
