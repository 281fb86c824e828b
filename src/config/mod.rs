//! The configuration file: read, overridden by the environment, checked, completed; every mistake told at once.
//!
//! Nothing here touches the world but the one file: no other file, no name look-up, no socket.

mod agent;
mod aliases;
mod backend;
mod defaults;
mod endpoint;
mod env;
pub mod extra;
mod fields;
pub mod go_regex;
mod headers;
pub mod host;
pub mod keys;
mod params;
pub mod problem;
pub mod service;
pub mod shape;
mod source;
pub mod values;

use std::path::Path;
use std::sync::Arc;

pub use extra::{Block, ExtraConfig};
pub use host::{Address, Host, HostName, Scheme};
pub use problem::{Place, Problem, Severity};
pub use service::{Backend, ClientOptions, Endpoint, ServerOptions, Service};
pub use values::{Millis, parse_duration, parse_int};

use fields::{Fields, Found, Report};

/// A configuration that can be started, and what is worth saying about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub service: Service,
    /// Warnings, and lenient problems when `SHOAL_LENIENT` lets them pass; in the order of the file.
    pub warnings: Vec<Problem>,
}

/// Reads the file; `env` are the process's variables (`KRAKEND_*`, `FC_ENABLE`, `SHOAL_LENIENT`).
///
/// With one problem that stands in the way, all problems are given, warnings included.
pub fn load(path: &Path, env: &[(String, String)]) -> Result<Loaded, Vec<Problem>> {
    let file = path.display().to_string();
    match std::fs::read(path) {
        Ok(bytes) => parse(&file, &bytes, env),
        Err(error) => Err(vec![unreadable(&file, &error)]),
    }
}

/// [`load`] for a text that has been read already; the ending of `file` tells the format.
pub fn parse(file: &str, bytes: &[u8], env: &[(String, String)]) -> Result<Loaded, Vec<Problem>> {
    let file: Arc<str> = file.into();
    let place = Place { file: Arc::clone(&file), ..Place::default() };
    let report = Report::default();
    if variable(env, "FC_ENABLE").is_some_and(|value| !value.is_empty()) {
        let problem = Problem::lenient(
            place.clone(),
            "FC_ENABLE is set, but flexible configuration is not built yet",
        );
        report.push(problem.hint("render the template first and start with the result"));
    }
    let mut root = match source::read(&file, bytes) {
        Ok(root) => root,
        Err(error) => {
            let problem = Problem::refuse(place.at(error.line, error.column), error.what);
            report.push(Problem { hint: error.hint, ..problem });
            return Err(report.into_problems());
        }
    };
    let mut problems = Vec::new();
    keys::duplicates(&root, &place, &mut problems);
    report.extend(problems);
    env::apply(&mut root, env);
    let place = place.at(root.line, root.column);
    let service = Fields::new(&report, Found { node: &root, place }).map(defaults::read);
    finish(service, report.into_problems(), is_lenient(env))
}

/// Whether the environment asks for leniency: `SHOAL_LENIENT` is there and neither empty nor `0` nor `false`.
pub fn is_lenient(env: &[(String, String)]) -> bool {
    variable(env, "SHOAL_LENIENT").is_some_and(|value| !matches!(value, "" | "0" | "false"))
}

fn variable<'a>(env: &'a [(String, String)], name: &str) -> Option<&'a str> {
    env.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn finish(
    service: Option<Service>,
    mut problems: Vec<Problem>,
    is_lenient: bool,
) -> Result<Loaded, Vec<Problem>> {
    problems.sort_by_key(|problem| (problem.place.line, problem.place.column));
    match service {
        Some(service) if !problems.iter().any(|problem| problem.is_fatal(is_lenient)) => {
            Ok(Loaded { service, warnings: problems })
        }
        _ => Err(problems),
    }
}

fn unreadable(file: &str, error: &std::io::Error) -> Problem {
    let reason = match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        std::io::ErrorKind::IsADirectory => "is a directory".to_owned(),
        _ => error.to_string(),
    };
    Problem::refuse(Place::of_file(file), format!("open {file}: {reason}"))
}

#[cfg(test)]
mod tests;
