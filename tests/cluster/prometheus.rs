//! A real Prometheus that scrapes the nodes.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::lab::{METRICS_PORT, address};
use crate::harness::client::try_get;
use crate::harness::eventually;

const PORT: u16 = 9090;
/// Scrapes come every half second; a sum that has not changed over several of them is the last.
const QUIET: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Prometheus(Child);

impl Prometheus {
    /// Scrapes the first `nodes` nodes.
    pub fn start(folder: &Path, nodes: usize) -> Prometheus {
        let targets: Vec<String> = (1..=nodes)
            .map(|node| format!("\"{}\"", SocketAddr::new(address(node).ip(), METRICS_PORT)))
            .collect();
        let config = format!(
            "global: {{scrape_interval: 500ms, scrape_timeout: 400ms}}\nscrape_configs:\n- job_name: shoal\n  \
             static_configs:\n  - targets: [{}]\n",
            targets.join(", ")
        );
        let file = folder.join("prometheus.yml");
        fs::write(&file, config).unwrap();
        let log = File::create(folder.join("prometheus.log")).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("prometheus").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{PORT}"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("prometheus: scripts/install-tools has it");
        let prometheus = Prometheus(child);
        eventually("every node is scraped", PATIENCE, || ask("sum(up)") == Some(nodes as u64));
        prometheus
    }

    /// How often the endpoint has answered on all nodes together, once that does not change any more.
    #[expect(clippy::unused_self, reason = "it must be running")]
    pub fn settled_sum(&self) -> u64 {
        let (mut last, mut since) = (None, Instant::now());
        let end = Instant::now() + PATIENCE;
        while since.elapsed() < QUIET && Instant::now() < end {
            let sum = ask("sum(http_server_duration_count%7Bhttp_route=%22/answer%22%7D)");
            if sum != last {
                (last, since) = (sum, Instant::now());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        last.unwrap_or_default()
    }
}

/// The first value of the answer, as Prometheus writes numbers.
fn ask(query: &str) -> Option<u64> {
    let address = SocketAddr::from(([127, 0, 0, 1], PORT));
    let answer = try_get(address, &format!("/api/v1/query?query={query}")).ok()?;
    // It has to start, and says so.
    let answer = (answer.status() == 200).then(|| answer.json())?;
    answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
