//! The configuration file: read, overridden by the environment, checked, completed; every mistake told at once.
//!
//! Nothing here touches the world but this file, and the folders of a template: no name look-up, no socket.

mod agent;
mod aliases;
mod backend;
mod defaults;
mod endpoint;
mod env;
pub mod extra;
mod fields;
pub mod go_regex;
pub mod headers;
pub mod host;
pub mod keys;
pub mod lint;
mod params;
pub mod problem;
pub mod registry;
pub mod service;
pub mod shape;
mod source;
pub mod template;
pub mod values;
pub mod written;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use extra::{Block, ExtraConfig};
pub use host::{Address, Host, HostName, Scheme};
pub use problem::{Place, Problem, Severity};
pub use service::{Backend, ClientOptions, Endpoint, ServerOptions, Service};
pub use values::{Millis, parse_duration, parse_int};

use fields::{Fields, Found, Report};
pub use written::Document;

/// A configuration that can be started, and what is worth saying about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub service: Service,
    /// The file as it was written, or rendered, before the environment replaced anything.
    pub document: Document,
    /// Warnings, and lenient problems when `SHOAL_LENIENT` lets them pass; in the order of the file.
    pub warnings: Vec<Problem>,
}

/// Reads the file; `env` are the process's variables (`KRAKEND_*`, `FC_*`, `SHOAL_LENIENT`). With `FC_ENABLE` the file is
/// a template.
///
/// With one problem that stands in the way, all problems are given, warnings included.
pub fn load(path: &Path, env: &[(String, String)]) -> Result<Loaded, Vec<Problem>> {
    let file = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| vec![unreadable(&file, &error)])?;
    if !template::is_asked_for(env) {
        return parse(&file, &bytes, env);
    }
    match template::render(&file, &bytes, env) {
        Ok(rendered) => {
            let place =
                Place { origin: Some(Arc::clone(&rendered.origin)), ..Place::of_file(&file) };
            read(&rendered.name, place, rendered.origin.rendered(), env)
        }
        Err(template::Failure::Refused(problems)) => Err(problems),
        Err(template::Failure::Template(problem)) => read_raw(&file, &bytes, env, problem),
    }
}

/// The file as it is, because its template failed: the original does so, and mostly fails a second time.
fn read_raw(
    file: &str,
    bytes: &[u8],
    env: &[(String, String)],
    failure: Problem,
) -> Result<Loaded, Vec<Problem>> {
    let is_fatal = failure.is_fatal(is_lenient(env));
    match parse(file, bytes, env) {
        Ok(mut loaded) => {
            loaded.warnings.insert(0, failure);
            if is_fatal { Err(loaded.warnings) } else { Ok(loaded) }
        }
        Err(mut problems) => {
            if let [problem] = problems.as_mut_slice() {
                problem.hint =
                    Some("the file was read as it is, because its template failed".to_owned());
            }
            problems.insert(0, failure);
            Err(problems)
        }
    }
}

/// [`load`] for a text that has been read already and is no template; the ending of `file` tells the format.
pub fn parse(file: &str, bytes: &[u8], env: &[(String, String)]) -> Result<Loaded, Vec<Problem>> {
    read(file, Place::of_file(file), bytes, env)
}

/// The ending of `name` tells the format; `place` says where the text is from.
fn read(
    name: &str,
    place: Place,
    bytes: &[u8],
    env: &[(String, String)],
) -> Result<Loaded, Vec<Problem>> {
    let report = Report::default();
    let mut root = match source::read(name, bytes) {
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
    let place = place.at(root.line, root.column);
    let document = Document::new(root.clone(), place.clone());
    env::apply(&mut root, env);
    let service = Fields::new(&report, Found { node: &root, place }).map(defaults::read);
    finish(service, document, report.into_problems(), is_lenient(env))
}

/// What the configuration is made of, for whoever looks whether it has changed: the file itself, and with flexible
/// configuration its folders and what is in them now.
pub fn files(path: &Path, env: &[(String, String)]) -> Vec<PathBuf> {
    let mut files = vec![path.to_owned()];
    if variable(env, "FC_ENABLE").is_none_or(str::is_empty) {
        return files;
    }
    for name in ["FC_SETTINGS", "FC_PARTIALS", "FC_TEMPLATES"] {
        let Some(folder) = variable(env, name).filter(|folder| !folder.is_empty()) else {
            continue;
        };
        files.push(folder.into());
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        files.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
    }
    files
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
    document: Document,
    mut problems: Vec<Problem>,
    is_lenient: bool,
) -> Result<Loaded, Vec<Problem>> {
    problems.sort_by_key(|problem| (problem.place.line, problem.place.column));
    match service {
        Some(service) if !problems.iter().any(|problem| problem.is_fatal(is_lenient)) => {
            Ok(Loaded { service, document, warnings: problems })
        }
        _ => Err(problems),
    }
}

fn unreadable(file: &str, error: &std::io::Error) -> Problem {
    Problem::refuse(Place::of_file(file), format!("open {file}: {}", template::reason(error)))
}

#[cfg(test)]
mod tests;
