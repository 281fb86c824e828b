//! `run`: loads the configuration and hands it to the server.

use std::process::ExitCode;

use crate::config::{self, Loaded, Problem, Service, Severity};
use crate::server;

use super::args::{Demo, Run};
use super::terminal::{Colour, Terminal};
use super::{FAILED, UNUSABLE, with_leniency};

pub const NO_CONFIG: &str =
    "no configuration: give its path with --config, or see all options with --help";
const PARSE_ERROR: &str = "ERROR parsing the configuration file:";

pub fn run(options: &Run, env: Vec<(String, String)>, terminal: &Terminal) -> ExitCode {
    let Some(path) = &options.config else {
        terminal.line(NO_CONFIG);
        return ExitCode::SUCCESS;
    };
    let env = with_leniency(env, options.lenient);
    match config::load(path, &env) {
        Ok(loaded) => {
            tell_warnings(&loaded.warnings, terminal);
            start(options, loaded, config::is_lenient(&env), terminal)
        }
        Err(problems) => {
            tell_problems(&problems, terminal);
            ExitCode::from(UNUSABLE)
        }
    }
}

fn start(options: &Run, loaded: Loaded, is_lenient: bool, terminal: &Terminal) -> ExitCode {
    let mut service: Service = loaded.service;
    service.debug_endpoint |= options.debug > 0;
    if let Some(port) = options.port.filter(|port| *port != 0) {
        let Ok(port) = u16::try_from(port) else {
            terminal.line(format_args!("ERROR listen tcp: address {port}: invalid port"));
            return ExitCode::from(FAILED);
        };
        service.port = port;
    }
    if service.port == 0 {
        return ExitCode::from(FAILED); // the configuration's number is no port, and has been told of
    }
    let options = server::Options { debug: options.debug, lenient: is_lenient };
    finish(server::start(&service, options), terminal)
}

pub fn demo(options: &Demo, terminal: &Terminal) -> ExitCode {
    finish(server::demo(options.port), terminal)
}

fn finish(result: Result<(), server::StartError>, terminal: &Terminal) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal.line(format_args!("ERROR {error}"));
            ExitCode::from(FAILED)
        }
    }
}

/// Writes all problems of a configuration that is refused.
pub fn tell_problems(problems: &[Problem], terminal: &Terminal) {
    let title = terminal.paint(Colour::Red, PARSE_ERROR);
    if let [problem] = problems {
        terminal.line(format_args!("{title} {problem}"));
        return;
    }
    terminal.line(format_args!("{title} {} problems", problems.len()));
    for problem in problems {
        let prefix = if problem.severity == Severity::Warn { "warning: " } else { "" };
        terminal.line(format_args!("{prefix}{problem}"));
    }
}

/// Writes what does not stand in the way of the start.
pub fn tell_warnings(warnings: &[Problem], terminal: &Terminal) {
    for problem in warnings {
        let title = match problem.severity {
            Severity::Warn => terminal.paint(Colour::Yellow, "WARNING"),
            Severity::Lenient | Severity::Refuse => terminal.paint(Colour::Red, "ERROR (let pass)"),
        };
        terminal.line(format_args!("{title} {problem}"));
    }
}
