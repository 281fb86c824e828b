//! `check --compat`: of each option of a configuration, whether it works here as in the original.

mod differences;
mod enterprise;
mod judge;
mod verdict;

use std::path::Path;
use std::process::ExitCode;

use crate::config;

use super::args::Format;
use super::run::{NO_CONFIG, tell_problems};
use super::terminal::{Colour, Terminal};
use super::{FAILED, with_leniency};
use verdict::{Report, State};

/// Runs the command: 1 when an option is missing or refused. Leniency would hide what is asked for, so it plays no part.
pub fn compat(
    path: Option<&Path>,
    format: Format,
    env: Vec<(String, String)>,
    terminal: &Terminal,
) -> ExitCode {
    let Some(path) = path else {
        terminal.line(terminal.paint(Colour::Red, NO_CONFIG));
        return ExitCode::from(FAILED);
    };
    let loaded = match config::load(path, &with_leniency(env, true)) {
        Ok(loaded) => loaded,
        Err(problems) => {
            tell_problems(&problems, terminal);
            return ExitCode::from(FAILED);
        }
    };
    let report = Report::of(&path.display().to_string(), judge::verdicts(&loaded));
    let out = Terminal::stdout();
    match format {
        Format::Text => write(&report, &out),
        Format::Json => match serde_json::to_string_pretty(&report) {
            Ok(json) => out.line(json),
            Err(error) => terminal.line(format_args!("ERROR {error}")),
        },
    }
    if report.is_good() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}

fn write(report: &Report, out: &Terminal) {
    for verdict in &report.options {
        let state = out.paint(colour(verdict.state), format_args!("{:9}", verdict.state.name()));
        let times =
            if verdict.count > 1 { format!("  ({} times)", verdict.count) } else { String::new() };
        out.line(format_args!("{state} {}  {}{times}", verdict.option, verdict.first));
        for why in &verdict.why {
            out.line(format_args!("          {why}"));
        }
    }
    out.line(format_args!(
        "{}: {} options: {} honoured, {} differ, {} without effect, {} missing, {} refused",
        report.file,
        report.total,
        report.honoured,
        report.differs,
        report.ignored,
        report.missing,
        report.refused
    ));
}

fn colour(state: State) -> Colour {
    match state {
        State::Honoured => Colour::Green,
        State::Ignored => Colour::Plain,
        State::Differs => Colour::Yellow,
        State::Missing | State::Refused => Colour::Red,
    }
}

#[cfg(test)]
mod tests;
