//! OpenTelemetry as a collector and a Prometheus server see it: traces over two nodes, metrics, and collectors that fail.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;
use serde_json::{Value, json};

use crate::harness::client::{Client, try_get};
use crate::harness::{
    Gateway, Reply, Upstream, endpoint, eventually, eventually_some, free_port, no_op,
};

const SOON: Duration = Duration::from_secs(15);

/// A collector of the test's own, which decodes with the official types.
#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<(String, Span)>>>,
    metrics: Arc<Mutex<Vec<Metric>>>,
    /// The first so many requests are turned away as one does that is busy.
    busy: Arc<Mutex<usize>>,
}

impl Collector {
    fn start(is_grpc: bool) -> (Collector, u16) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        listener.set_nonblocking(true).expect("as tokio wants it");
        let port = listener.local_addr().expect("an address").port();
        let collector = Collector::default();
        let shared = collector.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("listens");
                while let Ok((stream, _)) = listener.accept().await {
                    let collector = shared.clone();
                    tokio::spawn(async move {
                        let service = service_fn(move |request| {
                            let collector = collector.clone();
                            async move { collector.answer(request, is_grpc).await }
                        });
                        let stream = TokioIo::new(stream);
                        if is_grpc {
                            let server =
                                hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                            let _ = server.serve_connection(stream, service).await;
                        } else {
                            let server = hyper::server::conn::http1::Builder::new();
                            let _ = server.serve_connection(stream, service).await;
                        }
                    });
                }
            });
        });
        (collector, port)
    }

    async fn answer(
        self,
        request: Request<Incoming>,
        is_grpc: bool,
    ) -> Result<
        Response<http_body_util::combinators::BoxBody<Bytes, std::convert::Infallible>>,
        hyper::Error,
    > {
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await?.to_bytes();
        let is_busy = {
            let mut busy = self.busy.lock().expect("free");
            let is_busy = *busy > 0;
            *busy = busy.saturating_sub(1);
            is_busy
        };
        if is_busy {
            // 14 is UNAVAILABLE.
            let response = Response::builder().header("grpc-status", "14");
            let response = if is_grpc {
                response.header("content-type", "application/grpc")
            } else {
                response.status(503)
            };
            return Ok(response.body(Full::default().boxed()).expect("a response"));
        }
        // Behind gRPC's five bytes of framing.
        let message = if is_grpc { body.slice(5..) } else { body };
        if path.contains("race") {
            let load = ExportTraceServiceRequest::decode(message).expect("spans");
            for resource in load.resource_spans {
                let attributes = resource.resource.expect("a resource").attributes;
                let name = attributes.iter().find(|one| one.key == "service.name");
                let name = text(name.and_then(|one| one.value.clone()?.value));
                let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
                let mut all = self.spans.lock().expect("free");
                all.extend(spans.map(|span| (name.clone(), span)));
            }
        } else {
            let load = ExportMetricsServiceRequest::decode(message).expect("metrics");
            let scopes = load.resource_metrics.into_iter().flat_map(|one| one.scope_metrics);
            *self.metrics.lock().expect("free") = scopes.flat_map(|scope| scope.metrics).collect();
        }
        if !is_grpc {
            return Ok(Response::new(Full::default().boxed()));
        }
        let mut trailers = hyper::HeaderMap::new();
        trailers.insert("grpc-status", hyper::header::HeaderValue::from_static("0"));
        // An empty message, and the status behind it.
        let body = Full::new(Bytes::from_static(&[0; 5]));
        let body = body.with_trailers(async move { Some(Ok(trailers)) }).boxed();
        let response = Response::builder().header("content-type", "application/grpc");
        Ok(response.body(body).expect("a response"))
    }

    fn spans(&self) -> Vec<(String, Span)> {
        self.spans.lock().expect("free").clone()
    }

    fn metric(&self, name: &str) -> Option<Metric> {
        self.metrics.lock().expect("free").iter().find(|metric| metric.name == name).cloned()
    }
}

fn text(value: Option<Any>) -> String {
    match value {
        Some(Any::StringValue(text)) => text,
        Some(Any::IntValue(number)) => number.to_string(),
        Some(Any::BoolValue(flag)) => flag.to_string(),
        other => format!("{other:?}"),
    }
}

fn attribute(span: &Span, key: &str) -> String {
    let found = span.attributes.iter().find(|one| one.key == key);
    text(found.and_then(|one| one.value.clone()?.value))
}

fn telemetry(port: u16, is_grpc: bool) -> Value {
    json!({"telemetry/opentelemetry": {
        "metric_reporting_period": 1,
        "exporters": {"otlp": [
            {"name": "o", "host": "127.0.0.1", "port": port, "use_http": !is_grpc},
        ]},
    }})
}

fn node(name: &str, path: &str, host: &str, pattern: &str, extra: &Value) -> Gateway {
    Gateway::start(json!({
        "name": name,
        "endpoints": [
            endpoint(path, &[json!({"url_pattern": pattern, "host": [host]})]),
            endpoint("/dead", &[json!({"url_pattern": "/", "host": ["http://127.0.0.1:11"]})]),
        ],
        "extra_config": extra,
    }))
}

/// Two nodes behind one another, and what the collector makes of a request.
fn one_trace(is_grpc: bool, turned_away: usize) {
    let (collector, port) = Collector::start(is_grpc);
    *collector.busy.lock().expect("free") = turned_away;
    let upstream = Upstream::start();
    upstream.on("/data", Reply::json(json!({"a": 1})));
    let extra = telemetry(port, is_grpc);
    let inner = node("inner", "/inner/{id}", &upstream.url(), "/data", &extra);
    let inner_url = format!("http://{}", inner.address());
    let outer = node("outer", "/outer/{id}", &inner_url, "/inner/{id}", &extra);
    assert_eq!(outer.get("/outer/7").status(), 200);
    eventually("both nodes tell their spans", SOON, || collector.spans().len() >= 10);
    let spans = collector.spans();
    assert_eq!(spans.len(), 10, "{spans:#?}");
    let trace = &spans[0].1.trace_id;
    assert!(spans.iter().all(|(_, span)| span.trace_id == *trace && span.trace_id.len() == 16));
    let find = |node: &str, kind: SpanKind, stage: &str, name: &str| {
        let mut all = spans.iter().filter(|(of, span)| {
            of == node
                && span.kind == kind as i32
                && attribute(span, "krakend.stage") == stage
                && span.name == name
        });
        let found = all.next().unwrap_or_else(|| panic!("{node} {stage} {name}: {spans:#?}"));
        assert!(all.next().is_none(), "{node} {stage} stands twice");
        &found.1
    };
    let mut around: Vec<u8> = Vec::new();
    let read = "http.client.response.read.tracker";
    for (of, path, route, pattern) in [
        ("outer", "/outer/7", "/outer/:id", "/inner/:id"),
        ("inner", "/inner/7", "/inner/:id", "/data"),
    ] {
        for (kind, stage, name) in [
            (SpanKind::Server, "global", path),
            (SpanKind::Internal, "proxy", route),
            (SpanKind::Internal, "backend", pattern),
            (SpanKind::Client, "backend-request", pattern),
            (SpanKind::Internal, "backend-request", read),
        ] {
            let span = find(of, kind, stage, name);
            assert_eq!(span.parent_span_id, around, "{of} {stage} {name}");
            assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
            if name != read {
                assert_eq!(attribute(span, "http.response.status_code"), "200", "{of} {stage}");
                around.clone_from(&span.span_id);
            }
        }
        let global = find(of, SpanKind::Server, "global", path);
        assert_eq!(attribute(global, "http.route"), route);
        assert_eq!(attribute(global, "url.full"), path);
        assert_eq!(global.status.as_ref().map(|status| status.code), Some(1));
        let proxy = find(of, SpanKind::Internal, "proxy", route);
        assert_eq!(attribute(proxy, "complete"), "true");
    }
    let exchange = find("inner", SpanKind::Client, "backend-request", "/data");
    assert_eq!(attribute(exchange, "url.full"), format!("{}/data", upstream.url()));
    eventually("metrics come", SOON, || collector.metric("http.server.duration").is_some());
    let Some(Data::Histogram(histogram)) = collector.metric("http.server.duration").unwrap().data
    else {
        panic!("a histogram")
    };
    let point = &histogram.data_points[0];
    assert_eq!((point.count, point.bucket_counts.len()), (1, point.explicit_bounds.len() + 1));
}

#[test]
fn two_nodes_are_one_trace_over_http() {
    one_trace(false, 0);
}

#[test]
fn two_nodes_are_one_trace_over_grpc() {
    one_trace(true, 0);
}

#[test]
fn a_collector_that_is_busy_is_asked_again() {
    one_trace(false, 2);
    one_trace(true, 2);
}

#[test]
fn a_failure_is_an_error_and_the_last_spans_are_flushed() {
    let (collector, port) = Collector::start(false);
    let upstream = Upstream::start();
    let mut gateway = node("n", "/x", &upstream.url(), "/x", &telemetry(port, false));
    assert_eq!(gateway.get("/dead").status(), 500);
    gateway.terminate();
    gateway.wait(Duration::from_secs(10));
    let spans = collector.spans();
    assert_eq!(spans.len(), 4, "{spans:#?}");
    let exchange = spans.iter().find(|(_, span)| span.kind == SpanKind::Client as i32).unwrap();
    let status = exchange.1.status.as_ref().expect("a status");
    assert_eq!(status.code, 2);
    assert!(status.message.contains("127.0.0.1:11"), "{status:?}");
    assert_eq!(exchange.1.events[0].name, "exception");
    let stage = |wanted: &str| {
        let mut all = spans.iter().map(|(_, span)| span);
        all.find(|span| attribute(span, "krakend.stage") == wanted).unwrap()
    };
    assert!(attribute(stage("proxy"), "error").contains("127.0.0.1:11"));
    assert_eq!(attribute(stage("backend"), "http.response.status_code"), "500");
    assert_eq!(attribute(stage("global"), "http.response.status_code"), "500");
}

/// The 99th of a hundred times.
fn p99(client: &mut Client, requests: usize) -> Duration {
    let mut took: Vec<Duration> = (0..requests)
        .map(|_| {
            let began = Instant::now();
            assert_eq!(client.get("/x").expect("an answer").status(), 200);
            began.elapsed()
        })
        .collect();
    took.sort_unstable();
    took[requests * 99 / 100]
}

#[test]
fn dead_and_slow_collectors_cost_neither_time_nor_memory() {
    let upstream = Upstream::start();
    upstream.on("/x", Reply::json(json!({"a": 1})));
    // Takes connections and says nothing.
    let slow = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let slow_port = slow.local_addr().expect("an address").port();
    let bare = node("bare", "/x", &upstream.url(), "/x", &json!({}));
    let dead = node("dead", "/x", &upstream.url(), "/x", &telemetry(1, true));
    let slow = node("slow", "/x", &upstream.url(), "/x", &telemetry(slow_port, false));
    let mut clients = [&bare, &dead, &slow].map(|gateway| Client::connect(gateway.address()));
    for client in &mut clients {
        p99(client, 1500);
    }
    let before = [dead.anonymous_kib(), slow.anonymous_kib()];
    // The best of several turns: what else runs on the machine hits all of them.
    let mut best = [Duration::MAX; 3];
    for _ in 0..6 {
        for (client, best) in clients.iter_mut().zip(&mut best) {
            *best = (*best).min(p99(client, 500));
        }
    }
    let bound = best[0] * 3 + Duration::from_millis(2);
    assert!(best[1] < bound && best[2] < bound, "{best:?}");
    let after = [dead.anonymous_kib(), slow.anonymous_kib()];
    for (before, after) in before.iter().zip(after) {
        assert!(after < before + 16 * 1024, "{before} KiB became {after} KiB");
    }
}

/// Where a tool of Prometheus is; tests that need it fail only where tools are required.
fn is_installed(tool: &str) -> bool {
    let asked = Command::new(tool).arg("--version").output();
    let is_there = asked.is_ok_and(|answer| answer.status.success());
    assert!(
        is_there || std::env::var_os("SHOAL_SOAK_TOOLS").is_none_or(|value| value != "required"),
        "{tool} is missing: scripts/install-tools prometheus"
    );
    if !is_there {
        eprintln!("{tool} is not installed: nothing was tested with it");
    }
    is_there
}

struct Prometheus {
    child: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Prometheus {
    fn start(targets: &[u16]) -> Prometheus {
        let port = free_port();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("prometheus-{port}"));
        fs::create_dir_all(&folder).expect("a folder");
        let targets: Vec<String> = targets.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let file = folder.join("prometheus.yml");
        let config = json!({
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [{"job_name": "shoal", "static_configs": [{"targets": targets}]}],
        });
        fs::write(&file, config.to_string()).expect("JSON is YAML, too");
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus runs");
        Prometheus { child, address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), folder }
    }

    /// What a query finds; `None` where it is not understood.
    fn query(&self, query: &str) -> Option<Vec<Value>> {
        let escape = |text: String, byte| text + &format!("%{byte:02X}");
        let escaped = query.bytes().fold(String::new(), escape);
        let answer = try_get(self.address, &format!("/api/v1/query?query={escaped}")).ok()?;
        let answer: Value = serde_json::from_slice(&answer.body).ok()?;
        (answer["status"] == "success")
            .then(|| answer["data"]["result"].as_array().cloned().unwrap_or_default())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Every query of the dashboard, with what Grafana would put in.
fn dashboard_queries() -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/grafana/shoal.json");
    let text = fs::read_to_string(path).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let queries = panels.iter().flat_map(|panel| {
        let title = panel["title"].as_str().expect("a title");
        panel["targets"].as_array().into_iter().flatten().map(move |target| {
            let query = target["expr"].as_str().expect("a query");
            let query = query.replace("$__rate_interval", "30s");
            let query = query.replace("$job", ".*").replace("$instance", ".*");
            (title.to_owned(), query)
        })
    });
    queries.collect()
}

#[test]
fn prometheus_scrapes_two_nodes_and_answers_the_dashboard() {
    if !is_installed("prometheus") {
        return;
    }
    let upstream = Upstream::start();
    upstream.on("/x", Reply::json(json!({"a": 1})));
    let ports = [free_port(), free_port()];
    let nodes = ports.map(|port| {
        let exporters = json!({
            "prometheus": [{"name": "p", "host": "127.0.0.1", "port": port, "process_metrics": true}],
            // Nobody listens there: spans are dropped, and the page says so.
            "otlp": [{"name": "o", "host": "127.0.0.1", "port": 1}],
        });
        let extra = json!({"telemetry/opentelemetry": {"exporters": exporters}});
        node("n", "/x", &upstream.url(), "/x", &extra)
    });
    let prometheus = Prometheus::start(&ports);
    eventually("both are up", Duration::from_secs(40), || {
        for node in &nodes {
            assert_eq!(node.get("/x").status(), 200);
            assert_eq!(node.get("/dead").status(), 500);
            assert_eq!(node.get("/nowhere").status(), 404);
        }
        std::thread::sleep(Duration::from_millis(200));
        let found =
            prometheus.query("sum by (instance) (rate(http_server_duration_count[10s])) > 0");
        found.is_some_and(|found| found.len() == 2)
    });
    let queries = dashboard_queries();
    assert!(queries.len() > 20);
    let mut empty = Vec::new();
    for (title, query) in &queries {
        let found = prometheus.query(query);
        let found = found.unwrap_or_else(|| panic!("{title}: {query} is not understood"));
        if found.is_empty() {
            empty.push((title, query));
        }
    }
    assert!(empty.is_empty(), "these find nothing: {empty:#?}");
    let found = prometheus.query("http_server_duration_count{http_route=\"404 Not Found\"}");
    assert_eq!(found.map(|found| found.len()), Some(2));
}

#[test]
fn promtool_accepts_the_page_and_the_alerts() {
    if !is_installed("promtool") {
        return;
    }
    let upstream = Upstream::start();
    upstream.on("/x", Reply::json(json!({"a": 1})));
    for convention in ["", "1.27"] {
        let port = free_port();
        let extra = json!({"telemetry/opentelemetry": {
            "layers": {"global": {"semantic_convention": convention}},
            "exporters": {"prometheus": [
                {"name": "p", "host": "127.0.0.1", "port": port, "process_metrics": true},
            ]},
        }});
        let gateway = node("n", "/x", &upstream.url(), "/x", &extra);
        assert_eq!(gateway.get("/x").status(), 200);
        assert_eq!(gateway.get("/dead").status(), 500);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let page = eventually_some("a page", SOON, || try_get(address, "/metrics").ok());
        assert!(page.text().contains("http_server_"));
        let complaints = promtool(&["check", "metrics"], &page.body);
        assert_eq!(complaints, Ok(String::new()), "{}", page.text());
    }
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/prometheus");
    let file = |name: &str| rules.join(name).display().to_string();
    let checked = promtool(&["check", "rules", &file("alerts.yml")], b"");
    assert!(checked.is_ok(), "{checked:?}");
    let tested = promtool(&["test", "rules", &file("alerts.test.yml")], b"");
    assert!(tested.is_ok(), "{tested:?}");
}

/// What it complains of (`check metrics`), or its output where it fails.
fn promtool(arguments: &[&str], input: &[u8]) -> Result<String, String> {
    use std::io::Write;
    let mut child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs");
    child.stdin.take().expect("a pipe").write_all(input).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let all = text(&output.stdout) + &text(&output.stderr);
    if output.status.success() { Ok(text(&output.stderr)) } else { Err(all) }
}

#[test]
fn labels_are_bounded_whatever_clients_send() {
    let upstream = Upstream::start();
    upstream.on("/x", Reply::json(json!({"a": 1})));
    let port = free_port();
    let extra = json!({"telemetry/opentelemetry": {"exporters": {"prometheus": [
        {"name": "p", "host": "127.0.0.1", "port": port},
    ]}}});
    let gateway = node("n", "/x", &upstream.url(), "/x", &extra);
    for number in 0..50 {
        let mut client = Client::connect(gateway.address());
        let head =
            format!("BREW{number} /no/{number} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        client.write(head.as_bytes()).expect("sent");
        assert_eq!(client.read("GET").expect("an answer").status(), 404);
    }
    let page = eventually_some("all are measured", SOON, || {
        metrics(port).filter(|page| counted(page, "_OTHER") == 50)
    });
    let of_requests = |line: &&str| line.starts_with("http_server_duration_count");
    let unknown = page.lines().filter(of_requests).filter(|line| line.contains("_OTHER"));
    assert_eq!(unknown.count(), 1, "{page}");
}

/// The page of a Prometheus exporter.
fn metrics(port: u16) -> Option<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    try_get(address, "/metrics").ok().map(|page| page.text())
}

/// The requests that were measured under a label.
fn counted(page: &str, label: &str) -> u64 {
    let of_requests = |line: &&str| line.starts_with("http_server_duration_count");
    let labelled = page.lines().filter(of_requests).filter(|line| line.contains(label));
    labelled.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

#[test]
fn layers_are_measured_from_their_own_beginning_to_their_own_end() {
    const SLOW: Duration = Duration::from_millis(600);
    let upstream = Upstream::start();
    upstream.on("/slow", Reply::json(json!({"a": 1})).delay(SLOW));
    upstream.on("/late", Reply::json(json!({"text": "x".repeat(40)})).drip(30, SLOW));
    upstream.on("/fast", Reply::json(json!({"b": 1})));
    let port = free_port();
    let call = |path: &str| json!({"host": [upstream.url()], "url_pattern": path});
    let mut sequence = endpoint("/sequence", &[call("/slow"), call("/fast")]);
    sequence["extra_config"] = json!({"proxy": {"sequential": true}});
    let exporter = json!({"name": "p", "host": "127.0.0.1", "port": port});
    let gateway = Gateway::start(json!({
        "endpoints": [
            no_op("GET", "/slow", &upstream.url()),
            endpoint("/late", &[call("/late")]),
            endpoint("/both", &[call("/fast"), call("/slow")]),
            sequence,
        ],
        "extra_config": {"telemetry/opentelemetry": {"exporters": {"prometheus": [exporter]}}},
    }));
    let paths = ["/slow", "/late", "/both", "/sequence"];
    for path in paths {
        assert_eq!(gateway.get(path).status(), 200, "{path}");
    }
    // A request is measured once its answer has gone out.
    let page = eventually_some("all are measured", SOON, || {
        let page = metrics(port)?;
        let is_measured = |path: &&str| counted(&page, &format!("http_route=\"{path}\"")) == 1;
        paths.iter().all(is_measured).then_some(page)
    });
    let seconds = |metric: &str, labels: &[&str]| -> f64 {
        let start = format!("{metric}_sum");
        let fits = |line: &&str| {
            line.starts_with(&start) && labels.iter().all(|label| line.contains(label))
        };
        let found: Vec<&str> = page.lines().filter(fits).collect();
        let [line] = found[..] else { panic!("{metric} {labels:?}: {found:?} in\n{page}") };
        line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
    };
    let check = |endpoint: &str, metric: &str, pattern: &str, is_slow: bool| {
        let route = format!("http_route=\"{pattern}\"");
        let of = format!("krakend_endpoint_route=\"{endpoint}\"");
        let labels = [&*route, &*of];
        let is_call = metric.contains("backend") || metric.contains("client");
        let took = seconds(metric, if is_call { &labels } else { &labels[..1] });
        let range = if is_slow { 0.595..10.0 } else { 0.0..0.5 };
        assert!(range.contains(&took), "{metric} of {pattern} for {endpoint}: {took} s");
    };
    for path in paths {
        check(path, "http_server_duration", path, true);
        check(path, "krakend_proxy_duration", path, true);
    }
    for (path, pattern, exchange_is_slow, call_is_slow) in [
        ("/slow", "/slow", true, true),
        ("/late", "/late", false, true),
        ("/both", "/fast", false, false),
        ("/both", "/slow", true, true),
        ("/sequence", "/slow", true, true),
        ("/sequence", "/fast", false, false),
    ] {
        check(path, "http_client_duration", pattern, exchange_is_slow);
        check(path, "krakend_backend_duration", pattern, call_is_slow);
    }
}
