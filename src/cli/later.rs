//! Commands of the original whose work is not built yet: they understand their flags, say so, and fail.

use std::path::Path;
use std::process::ExitCode;

use crate::config;

use super::FAILED;
use super::args::{Audit, CheckPlugin, TestPlugin};
use super::run::{NO_CONFIG, tell_problems};
use super::terminal::{Colour, Terminal};

pub fn audit(options: &Audit, env: &[(String, String)], terminal: &Terminal) -> ExitCode {
    match options.config.as_deref() {
        None => fail(terminal, NO_CONFIG),
        Some(path) => match config::load(path, env) {
            Ok(_) => fail(terminal, &format!("audit is not built yet: {}", path.display())),
            Err(problems) => {
                tell_problems(&problems, terminal);
                ExitCode::from(FAILED)
            }
        },
    }
}

pub fn check_plugin(options: &CheckPlugin, terminal: &Terminal) -> ExitCode {
    fail(terminal, &format!("check-plugin is not built yet: {}", options.sum.display()))
}

pub fn test_plugin(options: &TestPlugin, terminal: &Terminal) -> ExitCode {
    if options.files.is_empty() {
        return fail(terminal, "no plugin: give the paths of the files to try");
    }
    if !(options.server || options.client || options.modifier) {
        return fail(
            terminal,
            "no kind of plugin: give one or more of --server, --client, --modifier",
        );
    }
    let files: Vec<_> = options.files.iter().map(|file| described(file)).collect();
    fail(terminal, &format!("test-plugin is not built yet: {}", files.join(", ")))
}

fn described(file: &Path) -> String {
    let absent = if file.exists() { "" } else { " (no such file)" };
    format!("{}{absent}", file.display())
}

fn fail(terminal: &Terminal, what: &str) -> ExitCode {
    terminal.line(terminal.paint(Colour::Red, what));
    ExitCode::from(FAILED)
}
