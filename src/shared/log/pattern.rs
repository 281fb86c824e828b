//! Lines by a pattern of the library that the original logs with: `%{time:15:04:05} %{level:.4s} %{message}`.

use std::fmt;
use std::io::Write;
use std::sync::LazyLock;

use regex::Regex;

use super::go_layout::GoLayout;
use super::verb::Verb;
use super::{Level, Line, LineFormat};

/// What a line looks like in the original where its configuration does not say.
const DEFAULT: &str =
    " %{time:2006/01/02 - 15:04:05.000} %{color}▶ %{level}%{color:reset} %{message}";

/// `%{module}`: the original's lines all come from one.
const MODULE: &str = "KRAKEND";

/// The layout of `%{time}` alone.
const TIME: &str = "2006-01-02T15:04:05.999Z07:00";

static VARIABLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"%\{([a-z]+)(?::(.*?[^\\]))?\}").expect("a constant that compiles")
});

/// A pattern, taken apart once.
#[derive(Clone, Debug)]
pub struct Pattern {
    parts: Vec<Part>,
    /// Begins each line.
    prefix: String,
    has_colours: bool,
    /// `%{id}`: how many lines there were.
    number: u64,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatternError {
    NoVariable,
    Unknown(String),
    Layout { variable: String, layout: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Time(GoLayout),
    Colour(Colour),
    Value(Value, Verb),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Level,
    Id,
    Pid,
    Program,
    Module,
    Message,
    /// Where in the program the line was written; nobody knows, and Go shows question marks then.
    File,
    Function,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Colour {
    Plain,
    Bold,
    Reset,
}

// === impl Pattern ===

impl Pattern {
    /// [`DEFAULT`], taken apart.
    pub fn usual() -> Pattern {
        Pattern::parse(DEFAULT).expect("a constant that is a pattern")
    }

    /// # Errors
    /// [`PatternError`]: the original ends with a panic at its start then.
    pub fn parse(pattern: &str) -> Result<Pattern, PatternError> {
        let mut parts = Vec::new();
        let mut done = 0;
        for found in VARIABLE.captures_iter(pattern) {
            let Some(whole) = found.get(0) else { continue };
            push_text(&pattern[done..whole.start()], &mut parts);
            let name = found.get(1).map_or("", |name| name.as_str());
            parts.push(Part::parse(name, found.get(2).map(|layout| layout.as_str()))?);
            done = whole.end();
        }
        if parts.iter().all(|part| matches!(part, Part::Text(_))) {
            return Err(PatternError::NoVariable);
        }
        push_text(&pattern[done..], &mut parts);
        Ok(Pattern { parts, prefix: String::new(), has_colours: true, number: 0 })
    }

    /// Begins each line with this text.
    #[must_use]
    pub fn prefixed(self, prefix: &str) -> Pattern {
        Pattern { prefix: prefix.to_owned(), ..self }
    }

    /// Leaves the colours out.
    #[must_use]
    pub fn without_colours(self) -> Pattern {
        Pattern { has_colours: false, ..self }
    }

    /// Variables that always show question marks.
    pub fn shows_unknown(&self) -> bool {
        let is_unknown =
            |part: &Part| matches!(part, Part::Value(Value::File | Value::Function, _));
        self.parts.iter().any(is_unknown)
    }

    fn append_part(&self, part: &Part, line: &Line<'_>, out: &mut Vec<u8>) {
        match part {
            Part::Text(text) => out.extend_from_slice(text.as_bytes()),
            Part::Time(layout) => layout.append(line.local, out),
            Part::Colour(colour) if self.has_colours => colour.append(line.level, out),
            Part::Colour(_) => {}
            Part::Value(value, verb) => match value {
                Value::Level => verb.append_named(line.level.name(), number(line.level), out),
                Value::Id => verb.append_number(self.number, out),
                Value::Pid => verb.append_number(u64::from(std::process::id()), out),
                Value::Program => verb.append_text(&program(), out),
                Value::Module => verb.append_text(MODULE, out),
                Value::Message => verb.append_text(line.message, out),
                Value::File => verb.append_text("???:0", out),
                Value::Function => verb.append_text("???", out),
            },
        }
    }
}

impl LineFormat for Pattern {
    fn append(&mut self, line: &Line<'_>, out: &mut Vec<u8>) {
        self.number += 1;
        let start = out.len();
        out.extend_from_slice(self.prefix.as_bytes());
        for part in &self.parts {
            self.append_part(part, line, out);
        }
        // Go's logger adds a line end unless the line brings one.
        if out.len() == start || out.last() != Some(&b'\n') {
            out.push(b'\n');
        }
    }
}

fn push_text(text: &str, parts: &mut Vec<Part>) {
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
}

/// The library's number of a level.
fn number(level: Level) -> u64 {
    match level {
        Level::Critical => 0,
        Level::Error => 1,
        Level::Warning => 2,
        Level::Info => 4,
        Level::Debug => 5,
    }
}

/// The name that the program was started by.
pub fn program() -> String {
    let path = std::env::args_os().next().unwrap_or_default();
    let name = std::path::Path::new(&path).file_name().map(|name| name.to_string_lossy());
    name.map_or_else(|| "shoal".to_owned(), std::borrow::Cow::into_owned)
}

// === impl Part, Colour ===

impl Part {
    fn parse(name: &str, layout: Option<&str>) -> Result<Part, PatternError> {
        let (value, usual) = match name {
            "time" => return Ok(Part::Time(GoLayout::parse(layout.unwrap_or(TIME)))),
            "color" => {
                return Ok(Part::Colour(match layout {
                    Some("bold") => Colour::Bold,
                    Some("reset") => Colour::Reset,
                    _ => Colour::Plain,
                }));
            }
            // Its layout is a depth, not a verb.
            "callpath" => return Ok(Part::Value(Value::Function, Verb::TEXT)),
            "level" => (Value::Level, "s"),
            "id" => (Value::Id, "d"),
            "pid" => (Value::Pid, "d"),
            "program" => (Value::Program, "s"),
            "module" => (Value::Module, "s"),
            "message" => (Value::Message, "s"),
            "longfile" | "shortfile" => (Value::File, "s"),
            "longpkg" | "shortpkg" | "longfunc" | "shortfunc" => (Value::Function, "s"),
            _ => return Err(PatternError::Unknown(name.to_owned())),
        };
        let layout = layout.unwrap_or(usual);
        let is_number = matches!(value, Value::Id | Value::Pid);
        let fits = |verb: &Verb| match value {
            Value::Level => true,
            _ => verb.fits(is_number),
        };
        let verb = Verb::parse(layout).filter(fits);
        let error =
            || PatternError::Layout { variable: name.to_owned(), layout: layout.to_owned() };
        verb.map(|verb| Part::Value(value, verb)).ok_or_else(error)
    }
}

impl Colour {
    fn append(self, level: Level, out: &mut Vec<u8>) {
        let number = match level {
            _ if self == Colour::Reset => return out.extend_from_slice(b"\x1b[0m"),
            Level::Critical => 35,
            Level::Error => 31,
            Level::Warning => 33,
            Level::Debug => 36,
            Level::Info => return,
        };
        let bold = if self == Colour::Bold { ";1" } else { "" };
        // Writing to a vector cannot fail.
        let _ = write!(out, "\x1b[{number}{bold}m");
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PatternError::NoVariable => f.write_str("has no variable such as %{message}"),
            PatternError::Unknown(name) => write!(f, "has the unknown variable %{{{name}}}"),
            PatternError::Layout { variable, layout } => {
                write!(f, "cannot show %{{{variable}}} as {layout:?}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::log::local_time::LocalClock;
    use std::time::{Duration, UNIX_EPOCH};

    fn shown(pattern: Pattern, level: Level) -> String {
        let mut pattern = pattern;
        let at = UNIX_EPOCH + Duration::from_millis(1_769_871_845_095);
        let mut clock = LocalClock::default();
        let line = Line { at, local: clock.local(at), level, message: "all is \"well\"" };
        let mut out = Vec::new();
        pattern.append(&line, &mut out);
        String::from_utf8(out).expect("text")
    }

    fn parsed(pattern: &str) -> Pattern {
        Pattern::parse(pattern).expect("a pattern")
    }

    #[test]
    fn variables_are_replaced_and_shown_as_their_verb_says() {
        let pid = std::process::id();
        for (pattern, level, expected) in [
            ("%{level} %{module} :: %{message}", Level::Info, "INFO KRAKEND :: all is \"well\"\n"),
            (
                "%{level:.4s}|%{level:-8s}|%{level:8v}|%{level:d}",
                Level::Error,
                "ERRO|ERROR   |   ERROR|1\n",
            ),
            ("%{id:03d} %{id} %{message:.3s}", Level::Debug, "001 1 all\n"),
            ("%{message:q}%{module:x}", Level::Debug, "\"all is \\\"well\\\"\"4b52414b454e44\n"),
            ("%{message}\n", Level::Debug, "all is \"well\"\n"),
            ("%{longfile} %{shortfunc} %{callpath:3}x", Level::Debug, "???:0 ??? ???x\n"),
            (
                "%{color}a%{color:bold}b%{color:reset}c",
                Level::Error,
                "\x1b[31ma\x1b[31;1mb\x1b[0mc\n",
            ),
            ("%{color}a%{color:bold}b%{color:reset}c", Level::Info, "ab\x1b[0mc\n"),
            ("%{color}%{color:bold}", Level::Critical, "\x1b[35m\x1b[35;1m\n"),
        ] {
            assert_eq!(shown(parsed(pattern), level), expected, "{pattern}");
        }
        assert_eq!(shown(parsed("%{pid}"), Level::Info), format!("{pid}\n"));
        assert!(parsed("%{message} %{shortfile}").shows_unknown());
        assert!(!parsed(DEFAULT).shows_unknown());
    }

    #[test]
    fn the_usual_line_is_the_originals() {
        let line = shown(parsed(DEFAULT).prefixed("[MINE]"), Level::Error);
        let (date, rest) = line.split_once('▶').expect("the mark");
        assert!(date.starts_with("[MINE] 20") && date.ends_with(".095 \x1b[31m"), "{date:?}");
        assert_eq!(date.len(), "[MINE] 2026/01/31 - 15:04:05.095 \x1b[31m".len());
        assert_eq!(rest, " ERROR\x1b[0m all is \"well\"\n");
        let plain = shown(parsed(DEFAULT).without_colours(), Level::Error);
        assert!(plain.ends_with(".095 ▶ ERROR all is \"well\"\n"), "{plain:?}");
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        for (pattern, expected) in [
            ("", "has no variable such as %{message}"),
            ("message", "has no variable such as %{message}"),
            ("%{Message}", "has no variable such as %{message}"),
            ("%{msg}", "has the unknown variable %{msg}"),
            ("%{pid:s}", "cannot show %{pid} as \"s\""),
            ("%{message:d}", "cannot show %{message} as \"d\""),
            ("%{level:]}", "cannot show %{level} as \"]\""),
            ("%{message:%s}", "cannot show %{message} as \"%s\""),
        ] {
            let error = Pattern::parse(pattern).expect_err(pattern);
            assert_eq!(error.to_string(), expected, "{pattern}");
        }
    }

    #[test]
    fn lines_are_numbered() {
        let mut pattern = parsed("%{id}");
        let at = UNIX_EPOCH;
        let mut clock = LocalClock::default();
        let line = Line { at, local: clock.local(at), level: Level::Info, message: "x" };
        let mut out = Vec::new();
        (0..3).for_each(|_| pattern.append(&line, &mut out));
        assert_eq!(out, b"1\n2\n3\n");
    }
}
