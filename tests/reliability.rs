//! Strictness and faults: the scripts of tests/reliability against the real binary, on each driver.
//!
//! `h1_strict.py` sends ambiguous messages from either side and judges what comes out at the other; `faults.py` breaks
//! clients, upstreams, names and descriptors; `jwt_attack.py` forges tokens. Each run has a network namespace of its own, so its ports are free.
//! Arguments choose: `cargo test --test reliability -- strict`, `-- faults`, `-- tokens`. This is a program of its own, not a list
//! of `#[test]`s, so that the scripts' output is seen as it comes.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread::JoinHandle;

/// The scripts bound every wait of their own; this is for the day when one does not.
const STRICT_LIMIT_S: &str = "300";
const FAULTS_LIMIT_S: &str = "420";
const TOKENS_LIMIT_S: &str = "120";
/// Attempts at a fault that fails.
const ATTEMPTS: usize = 3;
/// Verdicts of a case that fail it: nothing may be misread, hang, or be refused wrongly.
const STRICT_FAILURES: &str = "DANGEROUS,SUSPECT,HANG,OVERSTRICT,LENIENT";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        println!("strict: test\nfaults: test\ntokens: test");
        return ExitCode::SUCCESS;
    }
    let filters: Vec<&String> =
        arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let is_chosen = |name: &str| filters.is_empty() || filters.iter().any(|f| name.contains(*f));
    if !namespaces_are_allowed() {
        println!("no namespaces here (unshare -n -m): the reliability scripts were not run");
        println!("\ntest result: ok. 0 passed; 0 failed; not allowed here (reliability)");
        return ExitCode::SUCCESS;
    }
    let mut failed = 0;
    if is_chosen("strict") {
        // Nearly all of the time is waiting, and no latency is judged: all drivers at once.
        let runs: Vec<Run> = drivers().iter().map(|driver| Run::strict(driver)).collect();
        failed += runs.into_iter().map(Run::finish).sum::<usize>();
    }
    if is_chosen("faults") {
        for driver in drivers() {
            failed += faults(driver);
        }
    }
    if is_chosen("tokens") {
        if python_has("cryptography") {
            failed += drivers().iter().map(|driver| Run::tokens(driver).finish()).sum::<usize>();
        } else {
            println!("\nPython has no package `cryptography` here: forged tokens were not sent");
        }
    }
    ExitCode::from(u8::from(failed > 0))
}

fn python_has(package: &str) -> bool {
    let import = format!("import {package}");
    let status = Command::new("python3").args(["-c", &import]).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn drivers() -> &'static [&'static str] {
    match io_uring::IoUring::new(8) {
        Ok(_) => &["io_uring", "epoll"],
        Err(error) => {
            println!("io_uring is not allowed here ({error}): only the epoll driver is tested");
            &["epoll"]
        }
    }
}

fn namespaces_are_allowed() -> bool {
    Command::new("unshare")
        .args(["-n", "-m", "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs all faults; what fails is tried again by itself, since some cases judge latency on a machine that is shared, by a
/// script that is busy itself.
fn faults(driver: &'static str) -> usize {
    let run = Run::faults(driver, None);
    let label = run.label.clone();
    let (mut passed, mut failures) = run.lines();
    for _ in 1..ATTEMPTS {
        let names: Vec<&str> =
            failures.iter().filter_map(|line| line.split_whitespace().nth(2)).collect();
        if names.is_empty() {
            break;
        }
        println!("once more on {driver}: {}", names.join(", "));
        let (mended, still) = Run::faults(driver, Some(&names.join(","))).lines();
        // A script that died has no verdicts: what it was to try has failed.
        if mended + still.len() == names.len() {
            passed += mended;
            failures = still;
        }
    }
    report(&label, passed, failures.len())
}

fn report(label: &str, passed: usize, failed: usize) -> usize {
    // A script that died has no verdicts.
    let failed = if passed == 0 { failed.max(1) } else { failed };
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!("test result: {verdict}. {passed} passed; {failed} failed ({label})");
    failed
}

/// One script at work.
struct Run {
    label: String,
    child: Child,
    lines: JoinHandle<Vec<String>>,
}

impl Run {
    fn strict(driver: &'static str) -> Self {
        // The script's own exit status counts: it knows how many cases there are.
        let script = format!(
            "ip link set lo up && python3 -B lab.py start sut && \
             timeout {STRICT_LIMIT_S} python3 -B h1_strict.py --name sut --port 19084 --routed -v \
             --corpus own,resp --fail-on {STRICT_FAILURES}; status=$?; python3 -B lab.py stop sut; exit $status"
        );
        let mut command = Command::new("unshare");
        command.args(["-n", "bash", "-c", &script]);
        Self::start(format!("strictness on {driver}"), driver, command)
    }

    fn faults(driver: &'static str, only: Option<&str>) -> Self {
        let mut command = Command::new("timeout");
        command.args([FAULTS_LIMIT_S, "python3", "-B", "faults.py", "--name", "sut"]);
        if let Some(only) = only {
            command.args(["--only", only]);
        }
        Self::start(format!("faults on {driver}"), driver, command)
    }

    fn tokens(driver: &'static str) -> Self {
        let script = format!(
            "ip link set lo up && timeout {TOKENS_LIMIT_S} python3 -B jwt_attack.py --bin \"$SUT\" --name sut"
        );
        let mut command = Command::new("unshare");
        command.args(["-n", "bash", "-c", &script]);
        Self::start(format!("forged tokens on {driver}"), driver, command)
    }

    fn start(label: String, driver: &'static str, mut command: Command) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reliability");
        let lab = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("reliability-{driver}-{}", std::process::id()));
        std::fs::create_dir_all(&lab).expect("the build directory can be written");
        println!("\n{label}");
        let mut child = command
            .current_dir(folder)
            .env("SUT", binary())
            .env("SHOAL_DRIVER", driver)
            .env("SHOAL_LENIENT", "1") // the scripts' configuration names features that are not built
            .env("LAB_DIR", &lab)
            .env("PYTHONUNBUFFERED", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the script's interpreter runs");
        let output = child.stdout.take().expect("it was asked for");
        let lines = std::thread::spawn(move || shown(output));
        Self { label, child, lines }
    }

    /// Passed cases, and the lines of those that failed.
    fn lines(mut self) -> (usize, Vec<String>) {
        drop(self.child.wait());
        let lines = self.lines.join().expect("the reader does not panic");
        let passed = lines.iter().filter(|line| line.starts_with("PASS ")).count();
        (passed, lines.into_iter().filter(|line| line.starts_with("FAIL ")).collect())
    }

    /// Waits for a run whose last line is `N passed, M failed`.
    fn finish(mut self) -> usize {
        let status = self.child.wait().expect("a child can be waited for");
        let lines = self.lines.join().expect("the reader does not panic");
        let counts = lines.iter().rev().find_map(|line| {
            let (passed, rest) = line.split_once(" passed, ")?;
            Some((passed.parse().ok()?, rest.split_once(" failed")?.0.parse().ok()?))
        });
        let (passed, failed) = counts.unwrap_or((0, 1));
        report(&self.label, passed, failed.max(usize::from(!status.success())))
    }
}

/// Shows what a script says as it comes; of the strictness cases only those that are not as they should be.
fn shown(output: impl Read) -> Vec<String> {
    let mut lines = Vec::new();
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        if !line.starts_with("OK ") {
            println!("{line}");
        }
        lines.push(line);
    }
    lines
}

/// The binary under test: `SHOAL_BINARY`, or the one that cargo built for the tests.
fn binary() -> PathBuf {
    let path =
        std::env::var_os("SHOAL_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_shoal").into());
    std::fs::canonicalize(&path).unwrap_or_else(|error| {
        panic!("the gateway's binary {}: {error}", Path::new(&path).display())
    })
}
