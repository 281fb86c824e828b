//! The recorded behaviour against the real binary, once on each driver.
//!
//! The recordings and their runner are in tests/conformance; its areas.txt says which areas are finished and which
//! checks are excepted. Arguments filter by case file: `cargo test --test conformance -- routing/redirects`.
//! This is a program of its own, not a list of `#[test]`s, so that the runner's output is seen as it comes.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// Suites at once: most of their time is waiting.
const JOBS: &str = "6";
/// Case files that may be tried once more with the machine to themselves: what they say of times was recorded that way.
const TRIED_AGAIN_MAX: usize = 3;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        println!("conformance: test");
        return ExitCode::SUCCESS;
    }
    let filters: Vec<String> =
        arguments.into_iter().filter(|argument| !argument.starts_with('-')).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let areas = Areas::read(&folder.join("areas.txt"));
    let files = areas.files(&folder, &filters);
    if files.is_empty() {
        println!("\ntest result: ok. 0 passed; 0 failed; no case file matches {filters:?}");
        return ExitCode::SUCCESS;
    }
    let mut failed = 0;
    for pass in passes() {
        println!("\nconformance on {}: {} case files", pass.name, files.len());
        let mut outcome = run(&folder, &pass, &files, &areas, JOBS);
        if (1..=TRIED_AGAIN_MAX).contains(&outcome.failed_files.len()) {
            let failed: Vec<PathBuf> =
                std::mem::take(&mut outcome.failed_files).into_iter().collect();
            println!("\nonce more, one after another: {failed:?}");
            let again = run(&folder, &pass, &failed, &areas, "1");
            println!(
                "{} of {} failures were those of a busy machine",
                outcome.failed.saturating_sub(again.failed),
                outcome.failed
            );
            outcome.passed += outcome.failed.saturating_sub(again.failed);
            outcome.failed = again.failed;
        }
        println!(
            "test result: {}. {} passed; {} failed; {} excepted (conformance on {})",
            if outcome.failed == 0 { "ok" } else { "FAILED" },
            outcome.passed,
            outcome.failed,
            outcome.excepted,
            pass.name
        );
        failed += outcome.failed;
    }
    ExitCode::from(u8::from(failed > 0))
}

/// One run over all cases with one way to start the gateway.
struct Pass {
    name: &'static str,
    binary: PathBuf,
    driver: &'static str,
}

fn passes() -> Vec<Pass> {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_shoal"));
    let binary = std::env::var_os("SHOAL_BINARY").map_or_else(|| built.clone(), PathBuf::from);
    let mut passes = Vec::new();
    match io_uring::IoUring::new(8) {
        Ok(_) => passes.push(Pass { name: "io_uring", binary: binary.clone(), driver: "io_uring" }),
        Err(error) => {
            println!("io_uring is not allowed here ({error}): only the epoll driver is tested");
        }
    }
    passes.push(Pass { name: "epoll", binary: binary.clone(), driver: "epoll" });
    if cfg!(debug_assertions) && binary != built {
        // The binary under test is an optimised one; this pass has the assertions that it lacks.
        passes.push(Pass {
            name: "the build with debug assertions",
            binary: built,
            driver: "auto",
        });
    }
    passes
}

#[derive(Default)]
struct Outcome {
    passed: usize,
    failed: usize,
    excepted: usize,
    failed_files: BTreeSet<PathBuf>,
}

/// Runs the recorded cases and shows the runner's lines; exceptions turn from failures into notes.
fn run(folder: &Path, pass: &Pass, files: &[PathBuf], areas: &Areas, jobs: &str) -> Outcome {
    let mut runner = Command::new("python3")
        .arg(folder.join("run.py"))
        .arg("--gateway")
        .arg(gateway(pass))
        .args(["--jobs", jobs, "-v"])
        .args(files)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    let mut outcome = Outcome::default();
    let mut met = BTreeSet::new();
    let (mut file, mut is_shown) = (String::new(), true);
    for line in BufReader::new(runner.stdout.take().expect("it was asked for")).lines() {
        let line = line.expect("the runner writes UTF-8");
        if let Some(label) = line.strip_prefix("ok   ").or_else(|| line.strip_prefix("FAIL ")) {
            label
                .split(": ")
                .next()
                .unwrap_or(label)
                .trim_start_matches("cases/")
                .clone_into(&mut file);
            is_shown = true;
            println!("{line}");
        } else if line.starts_with("     ok   ") {
            outcome.passed += 1;
        } else if let Some(check) = line.strip_prefix("     FAIL ") {
            let exception = areas.exception(&file, check);
            is_shown = exception.is_none();
            if let Some(index) = exception {
                met.insert(index);
                outcome.excepted += 1;
                println!("     excepted {check}: {}", areas.exceptions[index].reason);
            } else {
                outcome.failed += 1;
                outcome
                    .failed_files
                    .extend(files.iter().find(|path| path.ends_with(&file)).cloned());
                println!("{line}");
            }
        } else if is_shown && line.starts_with("          ") {
            println!("{line}"); // what was wrong with the check above
        }
    }
    let status = runner.wait().expect("a child can be waited for");
    if outcome.passed + outcome.failed + outcome.excepted == 0
        || status.code().is_none_or(|code| code > 1)
    {
        println!("the runner did not do its work ({status})");
        outcome.failed += 1;
        outcome.failed_files.clear();
    }
    let ran = |name: &str| files.iter().any(|file| file.ends_with(name));
    for (index, exception) in areas.exceptions.iter().enumerate() {
        if !met.contains(&index) && ran(&exception.file) {
            println!(
                "note: {} | {} passes now: areas.txt can lose the line",
                exception.file, exception.check
            );
        }
    }
    outcome
}

/// The runner gives the gateway an environment of its own, so the driver is set by a script in between.
fn gateway(pass: &Pass) -> OsString {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!(
        "shoal-{}-{}",
        pass.driver,
        std::process::id()
    ));
    let binary = fs::canonicalize(&pass.binary)
        .unwrap_or_else(|error| panic!("the gateway's binary {}: {error}", pass.binary.display()));
    let script =
        format!("#!/bin/sh\nSHOAL_DRIVER={} exec '{}' \"$@\"\n", pass.driver, binary.display());
    fs::write(&path, script).expect("the build directory can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("our own file");
    path.into()
}

struct Exception {
    file: String,
    check: String,
    reason: String,
}

/// areas.txt: what is finished and what is excepted.
struct Areas {
    names: Vec<String>,
    exceptions: Vec<Exception>,
}

impl Areas {
    fn read(path: &Path) -> Self {
        let text =
            fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut areas = Self { names: Vec::new(), exceptions: Vec::new() };
        for line in
            text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            if let Some(name) = line.strip_prefix("area ") {
                areas.names.push(name.trim().to_owned());
                continue;
            }
            let parts: Vec<&str> =
                line.strip_prefix("except ").unwrap_or("").splitn(3, '|').map(str::trim).collect();
            let [file, check, reason] = parts[..] else {
                panic!("{}: no rule: {line}", path.display())
            };
            assert!(!reason.is_empty(), "{}: an exception needs a reason: {line}", path.display());
            areas.exceptions.push(Exception {
                file: file.into(),
                check: check.into(),
                reason: reason.into(),
            });
        }
        areas
    }

    /// The case files of the finished areas, and our own.
    fn files(&self, folder: &Path, filters: &[String]) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for area in &self.names {
            let before = files.len();
            collect(&folder.join("cases").join(area), &mut files);
            assert!(files.len() > before, "areas.txt names {area}, which has no case files");
        }
        collect(&folder.join("own"), &mut files);
        files.retain(|file| {
            filters.is_empty()
                || filters.iter().any(|filter| file.to_string_lossy().contains(filter.as_str()))
        });
        files
    }

    fn exception(&self, file: &str, check: &str) -> Option<usize> {
        self.exceptions.iter().position(|exception| {
            exception.file == file && (exception.check == check || exception.check == "*")
        })
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
}
