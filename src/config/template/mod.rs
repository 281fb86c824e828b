//! Flexible configuration: a configuration that is a Go template, with settings, partials and further templates.

mod dicts;
mod functions;
mod natives;
pub mod source_map;
mod state;
mod structure;
mod tree;
mod value;

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gotmpl::{Template, TemplateError, Value};

use super::problem::{Place, Problem};
use super::{keys, source, variable};
use natives::World;
use source_map::{SourceFile, SourceMap};
pub use state::Limits;
use state::{Output, State};
use value::Members;

/// A configuration that came out of a template.
pub struct Rendered {
    /// Tells the format: where the result was written, or a name of ours.
    pub name: String,
    pub origin: Arc<SourceMap>,
}

/// Why there is no result.
pub enum Failure {
    /// Settings or folders that cannot be read: nothing is started.
    Refused(Vec<Problem>),
    /// The template failed: the original then reads the file as it is.
    Template(Problem),
}

/// A file of settings or of templates larger than this is refused.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Whether the environment asks for templates: `FC_ENABLE` has any text, even `false`.
pub fn is_asked_for(env: &[(String, String)]) -> bool {
    !folder(env, "FC_ENABLE").is_empty()
}

fn folder<'e>(env: &'e [(String, String)], name: &str) -> &'e str {
    variable(env, name).unwrap_or_default()
}

/// Renders the text of a file. `FC_SETTINGS`, `FC_TEMPLATES` and `FC_PARTIALS` name folders; `FC_OUT` a file that gets
/// the result.
pub fn render(file: &str, text: &[u8], env: &[(String, String)]) -> Result<Rendered, Failure> {
    render_within(Limits::default(), file, text, env)
}

/// The same, with limits of the caller's.
pub fn render_within(
    limits: Limits,
    file: &str,
    text: &[u8],
    env: &[(String, String)],
) -> Result<Rendered, Failure> {
    let mut problems = Vec::new();
    let settings = settings(folder(env, "FC_SETTINGS"), &mut problems);
    let mut sources = vec![SourceFile {
        file: file.into(),
        name: last_part(file),
        text: String::from_utf8_lossy(text).into_owned(),
    }];
    sources.extend(templates(folder(env, "FC_TEMPLATES"), &mut problems));
    if !problems.is_empty() {
        return Err(Failure::Refused(problems));
    }
    let (text, sources, state) =
        executed(limits, sources, settings, env).map_err(Failure::Template)?;
    let out = folder(env, "FC_OUT");
    if !out.is_empty() {
        fs::write(out, &text).map_err(|error| {
            let problem =
                Problem::refuse(Place::of_file(out), format!("open {out}: {}", reason(&error)));
            Failure::Refused(vec![
                problem.hint("FC_OUT names the file that gets the rendered configuration"),
            ])
        })?;
    }
    let name = if out.is_empty() { format!("{file}.json") } else { out.to_owned() };
    let origin = Arc::new(SourceMap::new(text.into_bytes(), sources, state.take_marks()));
    Ok(Rendered { name, origin })
}

fn last_part(path: &str) -> String {
    Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn executed(
    limits: Limits,
    sources: Vec<SourceFile>,
    settings: Value,
    env: &[(String, String)],
) -> Result<(String, Vec<SourceFile>, Arc<State>), Problem> {
    let names = natives::names();
    let known: Vec<&str> =
        names.iter().copied().chain(functions::LEFT_OUT.iter().copied()).collect();
    let named = tree::parse(&sources, &known).map_err(|failure| {
        let place = Place::of_file(&sources[failure.source].file);
        let place =
            place.at(source::lines::small(failure.line), source::lines::small(failure.column));
        let problem = Problem::lenient(place, format!("template: {}", failure.what));
        let meant = failure.function.and_then(|name| keys::nearest(&name, &names));
        let hint = meant.map(|meant| format!("did you mean {meant:?}?")).or(failure.hint);
        Problem { hint, ..problem }
    })?;
    let state = Arc::new(State::new(limits));
    let world = World { partials: PathBuf::from(folder(env, "FC_PARTIALS")), env: env.to_vec() };
    let mut template = Template::new("config").funcs(natives::functions(&state, world));
    let mut defined: Vec<String> = Vec::new();
    for (name, body) in named {
        template = template.add_parse_tree(&name, body);
        defined.push(name);
    }
    let mut output = Output::new(Arc::clone(&state));
    let main = sources.first().map(|source| source.name.as_str()).unwrap_or_default();
    match template.execute_template_fmt(&mut output, main, &settings) {
        Ok(()) => Ok((output.text, sources, state)),
        Err(error) => Err(execution_problem(&error, &sources, &output, &defined)),
    }
}

fn execution_problem(
    error: &TemplateError,
    sources: &[SourceFile],
    output: &Output,
    defined: &[String],
) -> Problem {
    let here = output.here();
    let place = sources.get(here.source).map_or_else(Place::default, |source| {
        let (line, column) = source::lines::Lines::new(source.text.as_bytes()).locate(here.offset);
        Place::of_file(&source.file).at(line, column)
    });
    let what = match error {
        TemplateError::Exec(message) => message.clone(),
        TemplateError::Write => output.too_large(),
        TemplateError::RecursionLimit => {
            "templates call each other more than 200 levels deep".to_owned()
        }
        TemplateError::UndefinedTemplate(name) => format!("template {name:?} not defined"),
        other => other.to_string(),
    };
    let problem = Problem::lenient(place, format!("template: {what}"));
    match error {
        TemplateError::UndefinedTemplate(name) => {
            let defined: Vec<&str> = defined.iter().map(String::as_str).collect();
            match keys::nearest(name, &defined) {
                Some(meant) => problem.hint(format!("did you mean {meant:?}?")),
                None => problem.hint(
                    "templates come from FC_TEMPLATES, in files that end in .tmpl, and from define",
                ),
            }
        }
        _ => problem,
    }
}

/// The files of a folder with an ending, by name.
fn files(folder: &str, variable: &str, ending: &str, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    if folder.is_empty() {
        return Vec::new();
    }
    let mut files = Vec::new();
    match fs::read_dir(folder) {
        Ok(entries) => files.extend(entries.filter_map(|entry| Some(entry.ok()?.path()))),
        Err(error) => {
            let problem = Problem::refuse(
                Place::of_file(folder),
                format!("open {folder}: {}", reason(&error)),
            );
            problems.push(problem.hint(format!("{variable} names a folder")));
        }
    }
    files.retain(|file| file.to_string_lossy().ends_with(ending));
    files.sort();
    files
}

fn content(file: &Path, problems: &mut Vec<Problem>) -> Option<Vec<u8>> {
    let name = file.display().to_string();
    let report =
        |error| Problem::refuse(Place::of_file(&name), format!("open {name}: {}", reason(&error)));
    read(file, FILE_BYTES_MAX).map_err(|error| problems.push(report(error))).ok()
}

/// The whole file, if it is not larger than that. What says nothing of its size, such as a device, is measured in reading.
fn read(file: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(file)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::other("the file is too large"));
    }
    Ok(bytes)
}

/// `{{ .service.port }}` is the key `port` of `service.json`.
fn settings(folder: &str, problems: &mut Vec<Problem>) -> Value {
    let mut all = Members::new();
    for file in files(folder, "FC_SETTINGS", ".json", problems) {
        let Some(bytes) = content(&file, problems) else { continue };
        let name = file.display().to_string();
        match source::read(&name, &bytes) {
            Ok(node) => {
                let stem = last_part(&name);
                let stem = stem.strip_suffix(".json").unwrap_or(&stem);
                all.insert(Arc::from(stem), value::from_node(&node));
            }
            Err(error) => {
                let place = Place::of_file(&name).at(error.line, error.column);
                let is_object_missing =
                    error.hint.as_deref().is_some_and(|hint| hint.contains("one object"));
                let problem = Problem::refuse(place, error.what);
                problems.push(match error.hint {
                    Some(_) if is_object_missing => {
                        problem.hint("settings are objects: { \"name\": … }")
                    }
                    hint => Problem { hint, ..problem },
                });
            }
        }
    }
    value::map(all)
}

fn templates(folder: &str, problems: &mut Vec<Problem>) -> Vec<SourceFile> {
    let mut sources = Vec::new();
    for file in files(folder, "FC_TEMPLATES", ".tmpl", problems) {
        if let Some(bytes) = content(&file, problems) {
            let path = file.display().to_string();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            sources.push(SourceFile { name: last_part(&path), file: path.into(), text });
        }
    }
    sources
}

/// The system's words for the usual reasons, without its numbers.
pub fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "is a directory".to_owned(),
        io::ErrorKind::NotADirectory => "not a directory".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
