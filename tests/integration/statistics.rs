//! What is counted and sent: a real InfluxDB gets its points, and collectors that are dead or slow disturb nobody.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::client::{Client, try_get};
use crate::harness::{Gateway, Reply, Upstream, endpoint, eventually, eventually_some, free_port};

const PATIENCE: Duration = Duration::from_secs(20);

/// InfluxDB, version 1, with a folder and ports of its own.
struct InfluxDb {
    child: Child,
    folder: PathBuf,
    address: SocketAddr,
}

impl InfluxDb {
    /// `None`: it is not installed.
    fn start() -> Option<InfluxDb> {
        let version = Command::new("influxd").arg("version").output();
        if !version.is_ok_and(|version| version.status.success()) {
            assert!(
                std::env::var_os("SHOAL_SOAK_TOOLS").is_none_or(|value| value != "required"),
                "influxd is missing: scripts/install-tools influxd"
            );
            return None;
        }
        let name = format!("influxdb-{}", std::process::id());
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).expect("the build directory can be written");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let root = folder.display();
        let config = format!(
            "reporting-disabled = true\nbind-address = \"127.0.0.1:{}\"\n\
             [meta]\ndir = \"{root}/meta\"\n\
             [data]\ndir = \"{root}/data\"\nwal-dir = \"{root}/wal\"\n\
             [monitor]\nstore-enabled = false\n\
             [http]\nbind-address = \"{address}\"\nlog-enabled = false\n",
            free_port()
        );
        let file = folder.join("influxdb.conf");
        std::fs::write(&file, config).expect("the build directory can be written");
        let log = std::fs::File::create(folder.join("log")).expect("a log");
        let child = Command::new("influxd")
            .args(["run", "-config"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("influxd runs");
        let server = InfluxDb { child, folder, address };
        eventually("InfluxDB is there", PATIENCE, || {
            try_get(address, "/ping").is_ok_and(|answer| answer.status() == 204)
        });
        Some(server)
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Through InfluxDB's own language; spaces are written as `+`.
    fn query(&self, method: &str, query: &str) -> Value {
        let mut client = Client::connect(self.address);
        let path = format!("/query?db=counted&q={query}");
        client.send(method, &path, &[], None).expect("asked");
        client.read(method).expect("an answer").json()
    }

    /// The values of the newest row, by their columns.
    fn last(&self, query: &str) -> Option<serde_json::Map<String, Value>> {
        let answer = self.query("GET", &query.replace(' ', "+"));
        let series = answer["results"][0]["series"][0].clone();
        let (columns, values) = (series["columns"].as_array()?, series["values"].as_array()?);
        let row = values.last()?.as_array()?;
        let names = columns.iter().filter_map(|name| name.as_str().map(str::to_owned));
        Some(names.zip(row.iter().cloned()).collect())
    }
}

impl Drop for InfluxDb {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn configuration(upstream: &Upstream, extra: &Value) -> Value {
    json!({
        "host": [upstream.url()],
        "endpoints": [endpoint("/item/{id}", &[json!({"url_pattern": "/ok"})])],
        "extra_config": extra,
    })
}

fn upstream() -> Upstream {
    let upstream = Upstream::start();
    upstream.on("/ok", Reply::json(json!({"a": 1})));
    upstream
}

#[test]
fn influxdb_takes_the_points() {
    let Some(influx) = InfluxDb::start() else {
        eprintln!("InfluxDB is not installed: no point was written");
        return;
    };
    influx.query("POST", "CREATE+DATABASE+counted");
    let upstream = upstream();
    let stats = free_port();
    let gateway = Gateway::start(configuration(
        &upstream,
        &json!({
            "telemetry/metrics": {
                "collection_time": "200ms", "listen_address": format!("127.0.0.1:{stats}")
            },
            "telemetry/influx": {"address": influx.url(), "ttl": "200ms", "db": "counted"},
        }),
    ));
    for id in 0..5 {
        assert_eq!(gateway.get(&format!("/item/{id}")).status(), 200);
    }
    let total = "SELECT last(total) AS total FROM requests WHERE layer='pipe' AND complete='true' AND error='false'";
    eventually("all are counted", PATIENCE, || {
        influx.last(total).is_some_and(|row| row["total"] == 5)
    });
    let names = [
        "requests,complete=true,error=false,host=",
        "layer=backend,name=/ok",
        "responses,host=",
        "name=/item/:id,status=200",
        "router,direction=in",
        "router.response-size,host=",
        "router.response-time,host=",
        "debug,host=",
        "runtime,host=",
        "service.runtime.MemStats.PauseNs,host=",
    ];
    // Histograms are of one period, and those of a period without requests are not sent.
    eventually("every series is there", PATIENCE, || {
        assert_eq!(gateway.get("/item/7").status(), 200);
        let series = influx.query("GET", "SHOW+SERIES").to_string();
        names.iter().all(|name| series.contains(name))
    });
    // A series is known a moment before its first values are.
    let first = |query: &str| eventually_some("a row", PATIENCE, || influx.last(query));
    let time = first("SELECT * FROM \"router.response-time\"");
    assert!(time["max"].as_u64() > Some(10_000), "nanoseconds: {time:?}");
    assert!(time["p0.99"].as_f64() >= time["p0.1"].as_f64(), "{time:?}");
    let memory = first("SELECT * FROM runtime");
    assert!(memory["MemStats.Sys"].as_u64() > Some(1_000_000), "{memory:?}");
    let page = try_get(SocketAddr::from(([127, 0, 0, 1], stats)), "/__stats").expect("a page");
    let page = page.json();
    let count = page["krakend.router.response./item/:id.status.200.count"].as_u64();
    assert!(count > Some(5), "{count:?}");
    assert!(!gateway.log().contains("ERROR"), "{}", gateway.log());
}

/// The time that most of so many requests take, one after another.
fn usual_time(gateway: &Gateway, count: usize) -> Duration {
    let mut client = Client::connect(gateway.address());
    let mut times: Vec<Duration> = (0..count)
        .map(|id| {
            let began = Instant::now();
            let answer = client.get(&format!("/item/{id}")).expect("an answer");
            assert_eq!(answer.status(), 200);
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[count / 2]
}

#[test]
fn a_collector_that_is_silent_costs_neither_time_nor_memory() {
    let upstream = upstream();
    // Takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = format!("http://{}", silent.local_addr().expect("an address"));
    let dead = format!("http://127.0.0.1:{}", free_port());
    let gateway = Gateway::start(configuration(
        &upstream,
        &json!({
            "telemetry/metrics": {"collection_time": "100ms", "endpoint_disabled": true},
            "telemetry/influx": {"address": dead, "ttl": "100ms", "buffer_size": 3},
            "telemetry/opencensus": {
                "sample_rate": 100, "reporting_period": 1,
                "exporters": {
                    "zipkin": {"collector_url": format!("{silent}/api/v2/spans")},
                    "influxdb": {"address": silent, "db": "x", "timeout": "1s"},
                },
            },
        }),
    ));
    let quiet = Gateway::start(configuration(&upstream, &json!({})));
    // Until all that is kept for the collectors is full: four spans a request, ten thousand are kept.
    usual_time(&gateway, 3000);
    let before = gateway.anonymous_kib();
    let (watched, unwatched) = (usual_time(&gateway, 3000), usual_time(&quiet, 3000));
    let grown = gateway.anonymous_kib().saturating_sub(before);
    assert!(grown < 4 * 1024, "{grown} KiB more after {before} KiB");
    let bound = unwatched * 3 + Duration::from_millis(1);
    assert!(watched < bound, "{watched:?} with silent collectors, {unwatched:?} without any");
    let told = eventually_some("the log tells of it", PATIENCE, || {
        let log = gateway.log();
        (log.contains("writing to influx") && log.contains("spans are dropped")).then_some(log)
    });
    assert!(told.contains("points for influx are dropped"), "{told}");
}
