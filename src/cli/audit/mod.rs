//! `audit`: judges a configuration by the original's 52 rules and writes what it finds.

mod facts;
mod report;
mod rules;

use std::path::Path;
use std::process::ExitCode;

use crate::config::{self, Service};

use super::FAILED;
use super::args::Audit;
use super::run::{NO_CONFIG, tell_problems};
use super::terminal::{Colour, Terminal};
use rules::{RULES, Rule};

/// Runs the command: 0 when nothing was found, 1 otherwise.
pub fn audit(options: &Audit, env: &[(String, String)], terminal: &Terminal) -> ExitCode {
    let Some(path) = options.config.as_deref() else {
        return fail(terminal, NO_CONFIG);
    };
    let service = match config::load(path, env) {
        Ok(loaded) => loaded.service,
        Err(problems) => {
            tell_problems(&problems, terminal);
            return ExitCode::from(FAILED);
        }
    };
    let ignored = match ignored(options.ignore.as_deref(), options.ignore_file.as_deref()) {
        Ok(ignored) => ignored,
        Err(why) => return fail(terminal, &why),
    };
    let severities = list(&options.severity);
    let found = findings(&service, &ignored, &severities);
    let format = options.format.as_deref().filter(|format| !format.is_empty());
    let (text, result) = report::render(format, &found, terminal);
    terminal.write(&text);
    match result {
        Err(why) => fail(terminal, &why),
        Ok(()) if found.is_empty() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::from(FAILED),
    }
}

/// The rules that fire. Severities and identifiers are compared letter by letter; one that is none matches nothing.
fn findings(service: &Service, ignored: &[String], severities: &[String]) -> Vec<&'static Rule> {
    let is_wanted = |rule: &&Rule| {
        !ignored.iter().any(|id| id == rule.id)
            && severities.iter().any(|severity| severity == rule.severity)
    };
    RULES.iter().filter(is_wanted).filter(|rule| (rule.fires)(service)).collect()
}

/// The rules to leave out: those of the flag, and the lines of the file.
fn ignored(listed: Option<&str>, file: Option<&Path>) -> Result<Vec<String>, String> {
    let mut ids = list(listed.unwrap_or(""));
    if let Some(file) = file {
        let text = std::fs::read_to_string(file).map_err(|error| {
            format!("ERROR reading the ignore file {}: {error}", file.display())
        })?;
        ids.extend(text.lines().map(without_blanks).filter(|line| !line.is_empty()));
    }
    Ok(ids)
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(without_blanks).collect()
}

fn without_blanks(text: &str) -> String {
    text.replace(' ', "")
}

fn fail(terminal: &Terminal, what: &str) -> ExitCode {
    terminal.line(terminal.paint(Colour::Red, what));
    ExitCode::from(FAILED)
}

#[cfg(test)]
mod tests;
