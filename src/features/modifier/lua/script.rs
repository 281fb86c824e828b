//! `Script`: a block of Lua as it was configured, with its source files.
//!
//! Follows krakend-lua, config.go and sourcemap.go (specification, section 2.26).

use std::path::Path;

use md5::{Digest, Md5};
use mlua::chunk::ChunkMode;
use mlua::{Lua, LuaOptions, StdLib};
use serde_json::Value;

use super::error::SourceMap;
use crate::config::extra::Block;
use crate::config::problem::{Place, Problem};
use crate::plan::feature::Fallback;

/// The members of a block.
pub const MEMBERS: &[&str] =
    &["allow_open_libs", "live", "md5", "post", "pre", "skip_next", "sources"];
/// What gopher-lua calls every piece of code that it is given as a text.
pub const CHUNK_NAME: &str = "=<string>";

/// Lua code to be run around something.
#[derive(Debug, Default)]
pub struct Script {
    pub sources: Vec<Source>,
    pub pre: String,
    pub post: String,
    /// Read the sources again for each request.
    pub is_live: bool,
    /// All of the standard libraries, not just the harmless ones.
    pub open_libs: bool,
    /// Answer by the script alone.
    pub skip_next: bool,
}

/// A file of Lua code.
#[derive(Clone, Debug)]
pub struct Source {
    /// As the configuration names it.
    pub path: String,
    /// `None`: it could not be read, or is read anew each time.
    pub text: Option<Vec<u8>>,
}

/// A source that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingSource(pub String);

impl Script {
    /// Reads a block and the files that it names. Beside the script comes what is wrong with it: the original serves
    /// with such a script, and fails its requests.
    ///
    /// # Errors
    /// [`Fallback::Skip`] where the original serves without it.
    pub fn read(block: &Block) -> Result<(Self, Option<Problem>), Fallback> {
        let Some(members) = block.value.as_object() else {
            return Err(Fallback::Skip(Problem::lenient(
                block.place.clone(),
                "a script is an object",
            )));
        };
        let mut problems = Vec::new();
        let mut read = Reader { block, members, problems: &mut problems };
        let mut script = Self {
            pre: read.text("pre"),
            post: read.text("post"),
            is_live: read.flag("live"),
            open_libs: read.flag("allow_open_libs"),
            skip_next: read.flag("skip_next"),
            sources: Vec::new(),
        };
        let paths = read.paths();
        for (index, path) in paths {
            let place = block.place_at(&format!("/sources/{index}"));
            let text = read_source(&path).map_err(|error| {
                problems.push(missing(place, &path, &error));
            });
            script.sources.push(Source { path, text: text.ok().filter(|_| !script.is_live) });
        }
        if !script.is_live {
            script.check_sums(block)?;
        }
        problems.extend(script.check_syntax(block));
        Ok((script, problems.into_iter().next()))
    }

    /// The sources as one piece of code, which is how the original runs them, and where its lines come from.
    ///
    /// # Errors
    /// [`MissingSource`] names the first one that there is not.
    pub fn joined_sources(&self) -> Result<(Vec<u8>, SourceMap), MissingSource> {
        let mut joined = Vec::new();
        let mut map = SourceMap::default();
        for (index, source) in self.sources.iter().enumerate() {
            let live;
            let text = match &source.text {
                Some(text) => text,
                None if self.is_live => {
                    live = read_source(&source.path)
                        .map_err(|_| MissingSource(source.path.clone()))?;
                    &live
                }
                None => return Err(MissingSource(source.path.clone())),
            };
            if index > 0 {
                joined.push(b'\n');
            }
            joined.extend_from_slice(text);
            map.add(base_name(&source.path), text);
        }
        Ok((joined, map))
    }

    /// Whether the code may ask for a body; those that pass through are kept in memory only then.
    pub fn may_read_body(&self) -> bool {
        let mentions = |text: &[u8]| memchr::memmem::find(text, b"body").is_some();
        let sources = self.sources.iter();
        mentions(self.post.as_bytes())
            || sources.into_iter().any(|source| source.text.as_deref().is_none_or(mentions))
    }

    /// The original serves without the script when a sum is wrong, and says so on the debug level only.
    fn check_sums(&self, block: &Block) -> Result<(), Fallback> {
        let Some(sums) = block.value.get("md5").and_then(Value::as_object) else { return Ok(()) };
        for (path, wanted) in sums {
            let place = block.place_at("/md5");
            let text = self.sources.iter().find(|source| source.path == *path);
            let text = text.and_then(|source| source.text.as_deref()).unwrap_or_default();
            let sum = hex(&Md5::digest(text));
            if wanted.as_str() != Some(&sum) {
                let problem = Problem::lenient(
                    place,
                    format!("the MD5 sum of {path} is {sum}, not {wanted}"),
                );
                return Err(Fallback::Skip(problem.hint("--lenient serves without the script")));
            }
        }
        Ok(())
    }

    fn check_syntax(&self, block: &Block) -> Option<Problem> {
        let lua = Lua::new_with(StdLib::NONE, LuaOptions::default()).ok()?;
        let fault = |name: &str, text: &[u8]| {
            let chunk = lua.load(text).set_name(format!("={name}")).set_mode(ChunkMode::Text);
            match chunk.into_function() {
                Err(mlua::Error::SyntaxError { message, .. }) => Some(message),
                _ => None,
            }
        };
        let mut faults = self.sources.iter().enumerate().filter_map(|(index, source)| {
            let message = fault(&source.path, source.text.as_deref()?)?;
            Some((format!("/sources/{index}"), message))
        });
        let found = faults.next().or_else(|| {
            let joined = self.joined_sources().map(|(text, _)| text).unwrap_or_default();
            let parts = [
                ("/sources", "sources", joined.as_slice()),
                ("/pre", "pre", self.pre.as_bytes()),
                ("/post", "post", self.post.as_bytes()),
            ];
            parts
                .iter()
                .find_map(|(pointer, name, text)| Some(((*pointer).to_owned(), fault(name, text)?)))
        });
        found.map(|(pointer, message)| {
            Problem::lenient(block.place_at(&pointer), message)
                .hint("--lenient starts, and fails the requests that run it")
        })
    }
}

/// Reads the members of a block as the original does: what has another type counts as absent.
struct Reader<'a> {
    block: &'a Block,
    members: &'a serde_json::Map<String, Value>,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn text(&mut self, name: &str) -> String {
        self.member(name, "a text", Value::as_str).map(ToOwned::to_owned).unwrap_or_default()
    }

    fn flag(&mut self, name: &str) -> bool {
        self.member(name, "true or false", Value::as_bool).unwrap_or_default()
    }

    /// The paths with their places in the list.
    fn paths(&mut self) -> Vec<(usize, String)> {
        let list =
            self.member("sources", "a list of texts", Value::as_array).cloned().unwrap_or_default();
        let mut paths = Vec::new();
        for (index, path) in list.iter().enumerate() {
            match path.as_str() {
                Some(path) => paths.push((index, path.to_owned())),
                None => self.complain(&format!("sources/{index}"), "a text"),
            }
        }
        paths
    }

    fn member<T>(
        &mut self,
        name: &str,
        wanted: &str,
        read: fn(&'a Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.members.get(name).filter(|value| !value.is_null())?;
        let found = read(value);
        if found.is_none() {
            self.complain(name, wanted);
        }
        found
    }

    fn complain(&mut self, name: &str, wanted: &str) {
        let problem = Problem::lenient(
            self.block.place_at(&format!("/{name}")),
            format!("{name} must be {wanted}"),
        );
        self.problems.push(problem.hint("--lenient starts without it"));
    }
}

fn missing(place: Place, path: &str, error: &std::io::Error) -> Problem {
    let problem = Problem::lenient(place, format!("the Lua source {path} cannot be read: {error}"));
    problem.hint("--lenient starts, and fails the requests that need it")
}

/// Reads a file of code.
// Small files that the kernel keeps in memory; while requests run, only where `live` or a script asks for it.
#[allow(clippy::disallowed_methods)]
pub fn read_source(path: &str) -> std::io::Result<Vec<u8>> {
    std::fs::read(path)
}

fn base_name(path: &str) -> String {
    Path::new(path)
        .file_name()
        .map_or_else(|| path.to_owned(), |name| name.to_string_lossy().into_owned())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        use std::fmt::Write;
        let _ = write!(text, "{byte:02x}");
        text
    })
}
