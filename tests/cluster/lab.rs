//! A bridge, the balancer and the upstream on it, and each node at the end of a cable of its own.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::client::try_get;
use crate::harness::gateway::binary;
use crate::harness::process::{self, Signal};
use crate::harness::{Gate, Reply, Upstream, eventually, eventually_some};

pub const NODES: usize = 4;
const PORT: u16 = 8080;
/// Of each node's page for Prometheus.
pub const METRICS_PORT: u16 = 9091;
/// What every request is answered.
pub const BODY: &str = "{\"answer\":42}";

/// Addresses: the bridge has .1, node 1 has .11.
pub fn address(node: usize) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::new(10, 77, 0, 10 + u8::try_from(node).unwrap()).into(), PORT)
}

pub fn balancer() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], PORT))
}

/// Makes the network, which ends with this process.
pub fn prepare() {
    // Names of namespaces are files, which would outlive this mount namespace otherwise.
    fs::create_dir_all("/run/netns").expect("root may");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "none", "/run/netns"]).status();
    assert!(mounted.is_ok_and(|status| status.success()), "no tmpfs on /run/netns");
    ip("link set lo up");
    ip("link add br0 type bridge");
    ip("addr add 10.77.0.1/24 dev br0");
    ip("link set br0 up");
    for node in 1..=NODES {
        ip(&format!("netns add n{node}"));
        ip(&format!("link add v{node} type veth peer name eth0 netns n{node}"));
        ip(&format!("link set v{node} master br0 up"));
        ip(&format!("-n n{node} addr add {}/24 dev eth0", address(node).ip()));
        ip(&format!("-n n{node} link set eth0 up"));
        ip(&format!("-n n{node} link set lo up"));
    }
}

fn ip(words: &str) {
    let answer = Command::new("ip").args(words.split(' ')).output().expect("iproute2 is there");
    assert!(answer.status.success(), "ip {words}: {}", String::from_utf8_lossy(&answer.stderr));
}

/// Whether nginx stands in front of the nodes, in the place of `HAProxy`.
pub fn is_nginx() -> bool {
    std::env::var("SHOAL_CLUSTER_BALANCER").is_ok_and(|name| name == "nginx")
}

/// What a scenario wants of the lab.
#[derive(Clone, Copy)]
pub struct Setting {
    /// Nodes at the beginning.
    pub nodes: usize,
    /// Whether the balancer repeats a request that a node did not answer, as its recipe says.
    pub retries: bool,
}

/// The balancer, with its recipe and the addresses of this network.
fn start_balancer(folder: &Path, retries: bool) -> Child {
    let is_nginx = is_nginx();
    let (name, recipe) = match is_nginx {
        true => ("nginx", include_str!("../../config/deploy/nginx.conf")),
        false => ("haproxy", include_str!("../../config/deploy/haproxy.cfg")),
    };
    let mut recipe = recipe.to_owned();
    for node in 1..=NODES {
        recipe = recipe.replace(&format!(" node{node}:{PORT}"), &format!(" {}", address(node)));
    }
    if !retries {
        // What is left is the balancer's own: it tries again where no connection was made.
        let whole = recipe.len();
        let others = recipe.lines().filter(|line| !line.trim_start().starts_with("retry-on"));
        recipe = others.collect::<Vec<_>>().join("\n") + "\n";
        assert!(recipe.len() + 10 < whole, "the recipe names no retries");
    }
    let file = folder.join("balancer");
    fs::write(&file, recipe).unwrap();
    let log = File::create(folder.join("balancer.log")).unwrap();
    let installed = format!("/usr/sbin/{name}");
    let program = if Path::new(&installed).exists() { &*installed } else { name };
    let mut command = Command::new(program);
    if is_nginx {
        // One process, which ends with the lab.
        let alone = "daemon off; master_process off; pid nginx.pid; error_log stderr;";
        command.arg("-p").arg(folder).args(["-g", alone, "-c"]);
    } else {
        command.args(["-db", "-f"]);
    }
    command.arg(&file).stdout(log.try_clone().unwrap()).stderr(log);
    command.spawn().unwrap_or_else(|error| panic!("{name}: {error}; scripts/install-tools has it"))
}

/// A balancer, the upstream, and those nodes that run.
pub struct Lab {
    folder: PathBuf,
    upstream: Upstream,
    balancer: Child,
    nodes: [Option<Node>; NODES],
    /// Requests that came by each node.
    counts: Counts,
    /// Questions of the lab itself, which the balancer passed on.
    probes: AtomicU64,
}

/// A number for each node.
#[derive(Clone, Default)]
pub struct Counts(Arc<[AtomicU64; NODES]>);

impl Counts {
    fn add(&self, node: usize) {
        self.0[node - 1].fetch_add(1, Ordering::Relaxed);
    }

    pub fn all(&self) -> [u64; NODES] {
        std::array::from_fn(|index| self.0[index].load(Ordering::Relaxed))
    }
}

struct Node {
    child: Child,
    /// The process that serves, which is another one after a takeover.
    pid: u32,
}

impl Lab {
    /// Starts everything, and waits until the balancer sees the nodes.
    pub fn start(setting: Setting) -> Lab {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cluster");
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).unwrap();
        let upstream = Upstream::start_at(SocketAddr::from(([10, 77, 0, 1], 9000)));
        let started = start_balancer(&folder, setting.retries);
        let mut lab = Lab {
            folder,
            upstream,
            balancer: started,
            nodes: [const { None }; NODES],
            counts: Counts::default(),
            probes: AtomicU64::new(0),
        };
        lab.answer_with(None);
        (1..=setting.nodes).for_each(|node| lab.start_node(node));
        eventually("the balancer serves", Duration::from_secs(10), || {
            let is_served =
                try_get(balancer(), "/answer").is_ok_and(|answer| answer.status() == 200);
            lab.probes.fetch_add(u64::from(is_served), Ordering::Relaxed);
            is_served
        });
        settle();
        lab
    }

    /// Answers from now on at once, or when the gate is opened; gives the counts of requests since then, by node.
    pub fn answer_with(&self, gate: Option<&Gate>) -> Counts {
        let mut reply = Reply::text(BODY).header("Content-Type", "application/json");
        if let Some(gate) = gate {
            reply = reply.held_by(gate);
        }
        let (counts, since) = (self.counts.clone(), Counts::default());
        let ours = since.clone();
        self.upstream.forget_requests().on_each("/answer", move |seen, _| {
            let node = seen.target.rsplit('=').next().and_then(|node| node.parse::<usize>().ok());
            let node = node.expect("nodes say who they are");
            [&counts, &ours].into_iter().for_each(|counts| counts.add(node));
            reply.clone()
        });
        since
    }

    /// Requests that came by each node so far.
    pub fn counts(&self) -> [u64; NODES] {
        self.counts.all()
    }

    /// What the lab asked beside the clients.
    pub fn probes(&self) -> u64 {
        self.probes.load(Ordering::Relaxed)
    }

    /// Starts a node and waits until it is ready.
    pub fn start_node(&mut self, node: usize) {
        self.write_config(node, 0);
        let log = File::options().create(true).append(true).open(self.file(node, "log")).unwrap();
        let child = Command::new("ip")
            .args(["netns", "exec", &format!("n{node}")])
            .arg(binary())
            .args(["run", "-c"])
            .arg(self.file(node, "json"))
            .env("SHOAL_WORKERS", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let pid = child.id();
        self.nodes[node - 1] = Some(Node { child, pid });
        eventually("the node is ready", Duration::from_secs(10), || {
            try_get(address(node), "/__ready").is_ok_and(|answer| answer.status() == 200)
        });
    }

    /// Writes a node's configuration with so many more endpoints.
    pub fn write_config(&self, node: usize, more: usize) {
        let endpoint = |path: &str| {
            json!({
                "endpoint": path, "output_encoding": "no-op",
                "backend": [{"url_pattern": format!("/answer?node={node}"), "encoding": "no-op"}],
            })
        };
        let mut endpoints: Vec<Value> = vec![endpoint("/answer")];
        endpoints.extend((0..more).map(|number| endpoint(&format!("/more/{number}"))));
        let config = json!({
            "version": 3, "port": PORT, "timeout": "5s", "host": ["http://10.77.0.1:9000"],
            "endpoints": endpoints,
            "extra_config": {
                "router": {"disable_access_log": true},
                "telemetry/opentelemetry": {"exporters": {"prometheus": [
                    {"name": "page", "host": address(node).ip().to_string(), "port": METRICS_PORT},
                ]}},
                "shoal/drain": {"lame_duck": "1500ms"},
            },
        });
        let beside = self.file(node, "new");
        fs::write(&beside, config.to_string()).unwrap();
        fs::rename(beside, self.file(node, "json")).unwrap();
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn file(&self, node: usize, ending: &str) -> PathBuf {
        self.folder.join(format!("node{node}.{ending}"))
    }

    pub fn log(&self, node: usize) -> String {
        fs::read_to_string(self.file(node, "log")).unwrap_or_default()
    }

    fn node(&mut self, node: usize) -> &mut Node {
        self.nodes[node - 1].as_mut().expect("it runs")
    }

    /// Asks a node to end, and waits until it has; its exit status is asserted.
    pub fn stop_node(&mut self, node: usize) {
        process::signal(self.node(node).pid, Signal::Terminate);
        let status = self.node(node).child.wait().unwrap();
        assert!(status.success(), "{status}:\n{}", self.log(node));
        self.nodes[node - 1] = None;
    }

    /// Has a node's program take over from itself, as a new version does, and waits until the old process has ended.
    pub fn replace_node(&mut self, node: usize) {
        process::signal(self.node(node).pid, Signal::User2);
        let pid = eventually_some("the new process serves", Duration::from_secs(10), || {
            let log = self.log(node);
            let line = log.lines().rfind(|line| line.contains("serves in our place"))?;
            line.split_once("process ")?.1.split(' ').next()?.parse().ok()
        });
        let status = self.node(node).child.wait().unwrap();
        assert!(status.success(), "{status}:\n{}", self.log(node));
        self.node(node).pid = pid;
    }

    pub fn kill_node(&mut self, node: usize) {
        self.node(node).child.kill().unwrap();
        drop(self.node(node).child.wait());
        self.nodes[node - 1] = None;
    }

    pub fn signal_node(&mut self, node: usize, signal: Signal) {
        process::signal(self.node(node).pid, signal);
    }

    /// Leaves a node no descriptor beside those it has; or gives it enough again.
    pub fn starve_node(&mut self, node: usize, is_starved: bool) {
        let pid = self.node(node).pid;
        match is_starved {
            true => process::starve_of_descriptors(pid),
            false => process::limit_descriptors(pid, 4096),
        }
    }

    /// How many requests the upstream has seen.
    pub fn seen(&self) -> usize {
        self.upstream.requests()
    }
}

/// Pulls a node's cable, or plugs it in again.
pub fn set_link(node: usize, is_up: bool) {
    ip(&format!("link set v{node} {}", if is_up { "up" } else { "down" }));
}

/// Waits until no connection to or from a node is open at its end.
pub fn wait_until_closed(node: usize) {
    eventually("its connections are closed", Duration::from_secs(5), || {
        let table = Command::new("ip")
            .args(["netns", "exec", &format!("n{node}"), "cat", "/proc/net/tcp"])
            .output()
            .expect("iproute2 is there");
        let table = String::from_utf8(table.stdout).expect("text");
        // The fourth word is the state, 1 is an open connection.
        let mut states = table.lines().map(|line| line.split_whitespace().nth(3));
        states.next().is_some() && !states.any(|state| state == Some("01"))
    });
}

/// Lets the balancer look twice at every node.
pub fn settle() {
    std::thread::sleep(Duration::from_millis(1200));
}

impl Drop for Lab {
    fn drop(&mut self) {
        for node in self.nodes.iter_mut().flatten() {
            process::signal(node.pid, Signal::Kill);
            drop(node.child.kill());
            drop(node.child.wait());
        }
        drop(self.balancer.kill());
        drop(self.balancer.wait());
        (1..=NODES).for_each(|node| set_link(node, true));
    }
}
