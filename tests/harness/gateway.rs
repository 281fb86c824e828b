//! The gateway under test as a process of its own, with a configuration, a port and a log.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{self, Response};
use super::process::{self, Signal};
use super::{eventually, eventually_some, free_port};

/// A gateway that does not answer by then has not started.
const START_LIMIT: Duration = Duration::from_secs(10);
/// What a gateway gets to end by itself when a test is over.
const STOP_LIMIT: Duration = Duration::from_secs(2);
/// Another process may take a port between our look and the gateway's bind.
const START_ATTEMPTS: usize = 3;

/// The binary under test: `SHOAL_BINARY`, or the one that cargo built for the tests.
pub fn binary() -> PathBuf {
    let path =
        std::env::var_os("SHOAL_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_shoal").into());
    std::fs::canonicalize(&path).unwrap_or_else(|error| {
        panic!("the gateway's binary {}: {error}", Path::new(&path).display())
    })
}

/// The kernel interface that the gateway's cores wait on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    IoUring,
    Epoll,
}

impl Driver {
    pub fn name(self) -> &'static str {
        match self {
            Self::IoUring => "io_uring",
            Self::Epoll => "epoll",
        }
    }

    /// The drivers that this kernel, and the container's seccomp profile, allow. Says so when one is missing.
    pub fn available() -> Vec<Self> {
        match io_uring::IoUring::new(8) {
            Ok(_) => vec![Self::IoUring, Self::Epoll],
            Err(error) => {
                eprintln!(
                    "io_uring is not allowed here ({error}): only the epoll driver is tested"
                );
                vec![Self::Epoll]
            }
        }
    }
}

/// A pass-through endpoint: `host` gets the same method and path, every header and the whole query.
pub fn no_op(method: &str, path: &str, host: &str) -> Value {
    json!({
        "endpoint": path, "method": method, "output_encoding": "no-op",
        "input_headers": ["*"], "input_query_strings": ["*"],
        "backend": [{"host": [host], "url_pattern": path, "encoding": "no-op"}]
    })
}

/// A GET endpoint that decodes the JSON answers of these backends (objects as in the configuration).
pub fn endpoint(path: &str, backends: &[Value]) -> Value {
    json!({"endpoint": path, "backend": backends})
}

/// How to start a gateway, when the defaults do not do.
pub struct Builder {
    config: Value,
    env: Vec<(&'static str, String)>,
    address: IpAddr,
    arguments: Vec<&'static str>,
}

impl Builder {
    /// Uses so many cores.
    pub fn workers(self, count: usize) -> Self {
        self.env("SHOAL_WORKERS", &count.to_string())
    }

    pub fn driver(self, driver: Driver) -> Self {
        self.env("SHOAL_DRIVER", driver.name())
    }

    pub fn env(mut self, name: &'static str, value: &str) -> Self {
        self.env.push((name, value.to_owned()));
        self
    }

    /// Adds a word to the command line.
    pub fn argument(mut self, argument: &'static str) -> Self {
        self.arguments.push(argument);
        self
    }

    /// Listens on this address instead of 127.0.0.1.
    pub fn address(mut self, address: IpAddr) -> Self {
        self.address = address;
        self
    }

    /// Starts the gateway and waits until it answers; fails the test with its log when it does not.
    #[track_caller]
    pub fn start(self) -> Gateway {
        let mut log = String::new();
        for _ in 0..START_ATTEMPTS {
            match self.try_start() {
                Ok(gateway) => return gateway,
                Err(output) => log = output,
            }
            if !log.contains("in use") {
                break;
            }
        }
        panic!("the gateway did not start; its output:\n{log}");
    }

    fn try_start(&self) -> Result<Gateway, String> {
        let directory = Directory::new();
        let address = SocketAddr::new(self.address, free_port());
        let file = directory.path.join("krakend.json");
        let text = completed(&self.config, address);
        std::fs::write(&file, text).expect("the configuration can be written");
        let mut command = command(&directory.path);
        command
            .args(["run", "-c"])
            .arg(&file)
            .args(&self.arguments)
            .envs(self.env.iter().map(|(name, value)| (*name, value)));
        Gateway::launch(command, directory, address)
    }
}

/// A running gateway; ends with the value.
pub struct Gateway {
    child: Child,
    address: SocketAddr,
    directory: Directory,
    asked_to_end: bool,
    ready_after: Duration,
}

impl Gateway {
    /// Starts the gateway with this configuration; `version`, `port`, `listen_ip` and a timeout of 5 s are filled in.
    #[track_caller]
    pub fn start(config: Value) -> Self {
        Self::with(config).start()
    }

    /// Starts the demo.
    #[track_caller]
    pub fn demo() -> Self {
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), free_port());
        let directory = Directory::new();
        let mut command = command(&directory.path);
        command.args(["demo", "-p", &address.port().to_string()]);
        Self::launch(command, directory, address)
            .unwrap_or_else(|log| panic!("the demo did not start:\n{log}"))
    }

    /// Starts the process and waits until it answers; its output when it does not.
    fn launch(
        mut command: Command,
        directory: Directory,
        address: SocketAddr,
    ) -> Result<Self, String> {
        let log = File::create(directory.path.join("log")).expect("the log can be made");
        command.stdout(log.try_clone().expect("a descriptor is free")).stderr(log);
        let began = Instant::now();
        let child = command.spawn().expect("the gateway's binary runs");
        let ready_after = Duration::ZERO;
        let mut gateway = Self { child, address, directory, asked_to_end: false, ready_after };
        if gateway.is_ready() {
            gateway.ready_after = began.elapsed();
            return Ok(gateway);
        }
        gateway.asked_to_end = true;
        Err(gateway.log())
    }

    pub fn with(config: Value) -> Builder {
        Builder {
            config,
            env: Vec::new(),
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            arguments: Vec::new(),
        }
    }

    fn is_ready(&mut self) -> bool {
        let end = Instant::now() + START_LIMIT;
        while Instant::now() < end {
            if self.child.try_wait().expect("a child can be asked").is_some() {
                return false;
            }
            if TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).is_ok()
                && client::try_get(self.address, "/__health").is_ok()
            {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    /// Waits until all of it has started: a core may answer while another has not opened all that it will hold.
    #[track_caller]
    pub fn wait_until_ready(&self) {
        eventually("it is ready", START_LIMIT, || self.get("/__ready").status() == 200);
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How long it took from its start to its first answer.
    pub fn ready_after(&self) -> Duration {
        self.ready_after
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// One GET on a connection of its own.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        client::get(self.address, path)
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.directory.path.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub fn resident_kib(&self) -> u64 {
        process::resident_kib(self.pid())
    }

    /// Heap and stacks: what grows by what the gateway keeps. Code that runs for the first time grows the rest.
    pub fn anonymous_kib(&self) -> u64 {
        process::anonymous_kib(self.pid())
    }

    pub fn descriptors(&self) -> usize {
        process::descriptors(self.pid())
    }

    pub fn sockets(&self) -> usize {
        process::sockets(self.pid())
    }

    /// Puts another configuration in the place of its own, as an editor does: the new file takes the old one's name.
    pub fn rewrite(&self, config: &Value) {
        self.rewrite_text(&completed(config, self.address));
    }

    /// The same for a text that need not be right.
    pub fn rewrite_text(&self, text: &str) {
        let (file, beside) =
            (self.directory.path.join("krakend.json"), self.directory.path.join("new"));
        std::fs::write(&beside, text).expect("the configuration can be written");
        std::fs::rename(beside, file).expect("the configuration can be replaced");
    }

    /// Asks it to read its configuration again.
    pub fn hang_up(&self) {
        process::signal(self.pid(), Signal::Hangup);
    }

    /// Asks it to end, as an operator does.
    pub fn terminate(&mut self) {
        self.asked_to_end = true;
        process::signal(self.pid(), Signal::Terminate);
    }

    /// Whether nobody takes connections at its address any more.
    pub fn has_stopped_listening(&self) -> bool {
        TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).is_err()
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_some()
    }

    /// Waits for its end; fails the test when it is not there within `limit`.
    #[track_caller]
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        self.asked_to_end = true;
        let child = &mut self.child;
        eventually_some("the gateway ends", limit, || {
            child.try_wait().expect("a child can be asked")
        })
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let ended = self.child.try_wait().ok().flatten();
        if ended.is_none() {
            process::signal(self.pid(), Signal::Terminate);
            let end = Instant::now() + STOP_LIMIT;
            while matches!(self.child.try_wait(), Ok(None)) {
                if Instant::now() > end {
                    drop(self.child.kill());
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        if std::thread::panicking() {
            let log = self.log();
            let from = log.char_indices().rev().nth(3_000).map_or(0, |(place, _)| place);
            eprintln!("the end of the gateway's log:\n{}", &log[from..]);
        } else if let Some(status) = ended
            && !self.asked_to_end
        {
            panic!("the gateway died during the test ({status}); its log:\n{}", self.log());
        }
    }
}

/// A configuration with what every test wants alike.
fn completed(config: &Value, address: SocketAddr) -> String {
    let mut whole = json!({
        "version": 3, "port": address.port(), "listen_ip": address.ip().to_string(), "timeout": "5s"
    });
    let all = whole.as_object_mut().expect("made as an object");
    all.extend(config.as_object().expect("a configuration is an object").clone());
    whole.to_string()
}

/// Runs the binary to its end with these arguments; returns the exit status and all it wrote.
pub fn run(files: &[(&str, &str)], arguments: &[&str]) -> (ExitStatus, String) {
    let directory = Directory::new();
    for (name, text) in files {
        std::fs::write(directory.path.join(name), text).expect("the file can be written");
    }
    let log = File::create(directory.path.join("log")).expect("the log can be made");
    let mut command = command(&directory.path);
    command.args(arguments).stdout(log.try_clone().expect("a descriptor is free")).stderr(log);
    let mut child = command.spawn().expect("the gateway's binary runs");
    let end = Instant::now() + START_LIMIT;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child can be asked") {
            break Some(status);
        }
        if Instant::now() > end {
            drop(child.kill());
            drop(child.wait());
            break None;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let output = std::fs::read(directory.path.join("log")).unwrap_or_default();
    let output = String::from_utf8_lossy(&output).into_owned();
    let status = status
        .unwrap_or_else(|| panic!("{arguments:?} did not end within {START_LIMIT:?}:\n{output}"));
    (status, output)
}

/// The binary with an environment that no setting of the developer's shell reaches, but the driver's.
fn command(directory: &Path) -> Command {
    let mut command = Command::new(binary());
    command.current_dir(directory).stdin(Stdio::null()).env_clear().env("HOME", directory);
    for name in ["PATH", "SHOAL_DRIVER"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// A directory of this gateway's own, removed at the end.
struct Directory {
    path: PathBuf,
}

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("gateway-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).expect("the build directory can be written");
        Self { path }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.path));
    }
}
