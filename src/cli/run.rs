//! `run`: loads the configuration and hands it to the server.

use std::path::Path;
use std::process::ExitCode;

use crate::config::{self, Loaded, Problem, Service, Severity};
use crate::control::files::Seen;
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
    let watched = if options.watch { config::files(path, &env) } else { Vec::new() };
    let watched = Seen::now(watched);
    match config::load(path, &env) {
        Ok(loaded) => {
            tell_warnings(&loaded.warnings, terminal);
            start(options, path, loaded, env, watched, terminal)
        }
        Err(problems) => {
            tell_problems(&problems, terminal);
            ExitCode::from(UNUSABLE)
        }
    }
}

/// What the command line says over the file.
#[derive(Clone, Copy)]
struct Changes {
    debug: bool,
    port: Option<u16>,
}

impl Changes {
    fn apply(self, service: &mut Service) {
        service.debug_endpoint |= self.debug;
        service.port = self.port.unwrap_or(service.port);
    }
}

fn start(
    options: &Run,
    path: &Path,
    loaded: Loaded,
    env: Vec<(String, String)>,
    watched: Seen,
    terminal: &Terminal,
) -> ExitCode {
    let mut changes = Changes { debug: options.debug > 0, port: None };
    if let Some(port) = options.port.filter(|port| *port != 0) {
        let Ok(port) = u16::try_from(port) else {
            terminal.line(format_args!("ERROR listen tcp: address {port}: invalid port"));
            return ExitCode::from(FAILED);
        };
        changes.port = Some(port);
    }
    let mut service: Service = loaded.service;
    changes.apply(&mut service);
    if service.port == 0 {
        return ExitCode::from(FAILED); // the configuration's number is no port, and has been told of
    }
    let (debug, lenient) = (options.debug, config::is_lenient(&env));
    let options = server::Options { debug, lenient, watched };
    let path = path.to_owned();
    let reread = Box::new(move || {
        let loaded = config::load(&path, &env)?;
        let mut service = loaded.service;
        changes.apply(&mut service);
        Ok((service, loaded.warnings))
    });
    finish(server::start(&service, options, reread), terminal)
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
    tell(PARSE_ERROR, problems, terminal);
}

/// Writes problems under a title.
pub fn tell(title: &str, problems: &[Problem], terminal: &Terminal) {
    terminal.line(format_args!("{} {}", terminal.paint(Colour::Red, title), told(problems)));
}

/// One problem goes into the line of its title; several are counted there and follow.
pub fn told(problems: &[Problem]) -> String {
    if let [problem] = problems {
        return problem.to_string();
    }
    let mut text = format!("{} problems", problems.len());
    for problem in problems {
        let prefix = if problem.severity == Severity::Warn { "warning: " } else { "" };
        text.push_str(&format!("\n{prefix}{problem}"));
    }
    text
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
