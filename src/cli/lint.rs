//! `check --lint`: compares the configuration with a schema, and `schema`, which prints the built-in one.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::config::{Document, Problem, lint, registry};
use crate::control::fetch::fetch;

use super::args::Check;
use super::run::tell;
use super::terminal::{Colour, Terminal};

/// Getting a schema, with all that it refers to.
const TIME_MAX: Duration = Duration::from_secs(10);
const SCHEMA_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Schemas that a schema refers to.
const REFERENCES_MAX: usize = 500;

const TITLE: &str = "ERROR linting the configuration file:";

/// Whether the configuration fits the schema that was asked for; tells what does not.
pub fn lint(document: &Document, options: &Check, terminal: &Terminal) -> bool {
    let findings = match &options.lint_schema {
        Some(address) => with_schema_of(document, address),
        None => lint::with_own_schema(document),
    };
    match findings {
        Ok(problems) if problems.is_empty() => true,
        Ok(problems) => {
            tell(TITLE, &problems, terminal);
            false
        }
        Err(why) => {
            terminal.line(format_args!("{} {why}", terminal.paint(Colour::Red, TITLE)));
            false
        }
    }
}

/// Prints the built-in schema.
pub fn schema() -> ExitCode {
    let text = serde_json::to_string_pretty(&registry::schema()).unwrap_or_default();
    print_out(&text)
}

/// A closed pipe is the reader's wish, not a failure.
fn print_out(text: &str) -> ExitCode {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout().lock(), "{text}");
    ExitCode::SUCCESS
}

fn with_schema_of(document: &Document, address: &str) -> Result<Vec<Problem>, String> {
    let references = References { started: Instant::now(), count: AtomicUsize::new(0) };
    let base = if is_url(address) {
        address.to_owned()
    } else {
        let path = fs::canonicalize(address).unwrap_or_else(|_| Path::new(address).to_owned());
        url::Url::from_file_path(path).map_or_else(|()| address.to_owned(), |url| url.to_string())
    };
    let schema = references.read(address).map_err(|why| format!("schema {address}: {why}"))?;
    lint::with_schema(document, &schema, &base, references)
        .map_err(|why| format!("schema {address}: {why}"))
}

fn is_url(address: &str) -> bool {
    address.starts_with("http://") || address.starts_with("https://")
}

/// Gets schemas from files and servers.
struct References {
    started: Instant,
    count: AtomicUsize,
}

impl References {
    fn read(&self, address: &str) -> Result<Value, String> {
        if self.count.fetch_add(1, Ordering::Relaxed) > REFERENCES_MAX {
            return Err(format!("it refers to more than {REFERENCES_MAX} others"));
        }
        let bytes = if is_url(address) {
            let left = TIME_MAX.saturating_sub(self.started.elapsed());
            fetch(address, left, SCHEMA_BYTES_MAX)?
        } else {
            file(Path::new(address)).map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
                _ => error.to_string(),
            })?
        };
        serde_json::from_slice(&bytes).map_err(|error| format!("the schema is no JSON: {error}"))
    }
}

fn file(path: &Path) -> std::io::Result<Vec<u8>> {
    if fs::metadata(path)?.len() > SCHEMA_BYTES_MAX as u64 {
        return Err(std::io::Error::other("the file is too large"));
    }
    fs::read(path)
}

impl jsonschema::Retrieve for References {
    fn retrieve(
        &self,
        uri: &jsonschema::Uri<String>,
    ) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        let address = uri.as_str();
        let path = url::Url::parse(address).ok().filter(|url| url.scheme() == "file");
        let path = path.and_then(|url| url.to_file_path().ok());
        let address = path.map_or_else(|| address.to_owned(), |path| path.display().to_string());
        self.read(&address).map_err(|why| format!("{address}: {why}").into())
    }
}
