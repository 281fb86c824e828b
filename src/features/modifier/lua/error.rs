//! From what went wrong in a script to the failure of its request, worded as the original words it.
//!
//! Follows krakend-lua, errors.go and sourcemap.go, and binder, error.go (specification, sections 2.12 and 2.26). The
//! C library's own messages become those of gopher-lua as far as they tell enough.

use std::borrow::Cow;

use super::limits::{NO_MEMORY, OUT_OF_TIME};
use super::operators::not_a_table;
use crate::stage::{Cause, Failure};

/// What stands between the parts of a `custom_error`.
pub const SEPARATOR: &str = " || ";

/// Which lines of joined sources belong to which file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceMap {
    pieces: Vec<(String, i64)>,
}

impl SourceMap {
    /// Adds a piece of code. Line ends around it are not counted, so that later files can be off by a line, as in the original.
    pub fn add(&mut self, name: String, text: &[u8]) {
        let start = text.iter().position(|&byte| byte != b'\n').unwrap_or(text.len());
        let end = text.iter().rposition(|&byte| byte != b'\n').map_or(start, |last| last + 1);
        let lines = memchr::memchr_iter(b'\n', &text[start..end]).count();
        self.pieces.push((name, i64::try_from(lines).unwrap_or(i64::MAX - 1) + 1));
    }

    /// The file and the line in it. A line of a script is looked for in the sources first, as in the original.
    fn find(&self, line: i64) -> Option<(&str, i64)> {
        let mut count = 0i64;
        self.pieces.iter().find_map(|(name, lines)| {
            count = count.saturating_add(*lines);
            (count >= line).then(|| (name.as_str(), lines - (count - line)))
        })
    }
}

/// Where an error came from: the code, to look something up in, and where its lines belong.
pub struct Origin<'a> {
    pub map: SourceMap,
    /// The piece that ran first, then the others.
    pub texts: [&'a [u8]; 2],
}

/// The failure that a script's error is for the request.
pub fn failure(error: &mlua::Error, origin: &Origin<'_>) -> Failure {
    match error {
        mlua::Error::SyntaxError { message, .. } => of_syntax(message, origin),
        mlua::Error::MemoryError(_) => Failure::new(Cause::Refused(500), NO_MEMORY),
        error => of_text(&text_of(error), origin),
    }
}

pub fn out_of_time() -> Failure {
    Failure::new(Cause::Deadline, format!("lua: {OUT_OF_TIME}"))
}

/// The message of an error as a script sees it: with its position, without the trace of calls.
pub fn text_of(error: &mlua::Error) -> String {
    match error {
        mlua::Error::CallbackError { cause, .. } => text_of(cause),
        mlua::Error::RuntimeError(message) => message
            .split_once("\nstack traceback:")
            .map_or(message.as_str(), |(text, _)| text)
            .to_owned(),
        mlua::Error::SyntaxError { message, .. } => message.clone(),
        mlua::Error::MemoryError(_) => NO_MEMORY.to_owned(),
        other => other.to_string(),
    }
}

fn of_text(text: &str, origin: &Origin<'_>) -> Failure {
    let (line, message) = split_position(text);
    let message = as_gopher(message, |name| origin.key_indexed(name, line));
    let mut parts = message.split(SEPARATOR);
    let first = parts.next().unwrap_or_default();
    let Some(code) = parts.next() else {
        let located = origin.map.find(line.unwrap_or(0)).filter(|_| line.is_some());
        return plain(
            located.map_or_else(
                || first.to_owned(),
                |(name, line)| format!("{first} ({name}:L{line})"),
            ),
        );
    };
    let code = code.parse().unwrap_or(500);
    if code == -1 {
        return plain(first.to_owned());
    }
    let failure = Failure::new(Cause::Refused(status(code)), first);
    failure.typed(parts.next().map(ToOwned::to_owned))
}

fn plain(message: String) -> Failure {
    Failure::new(Cause::Refused(500), message)
}

/// What the client gets for a code: Go's server keeps its 200 for none, and breaks off at what is no status.
fn status(code: i64) -> u16 {
    match code {
        ..=0 => 200,
        100..=999 => u16::try_from(code).unwrap_or(500),
        _ => 500,
    }
}

/// `'=' expected near 'a'` is `'a': parse error` for gopher-lua.
fn of_syntax(message: &str, origin: &Origin<'_>) -> Failure {
    let (line, what) = split_position(message);
    let (line, what) = match what.rsplit_once(" near ") {
        Some((_, "'<eof>'")) => (0, "parse error at EOF".to_owned()),
        Some((_, token)) => (line.unwrap_or(0), format!("{token}: parse error")),
        None => (line.unwrap_or(0), what.to_owned()),
    };
    plain(
        origin
            .map
            .find(line)
            .map_or_else(|| what.clone(), |(name, line)| format!("{what} ({name}:L{line})")),
    )
}

/// Takes `<string>:3: ` off a message.
fn split_position(text: &str) -> (Option<i64>, &str) {
    let mut parts = text.splitn(3, ':');
    let line = parts.nth(1).and_then(|line| line.parse().ok());
    match (line, parts.next()) {
        (Some(line), Some(message)) => (Some(line), message.trim_matches(' ')),
        (line, _) => (line, text),
    }
}

/// A message of the C library in the words of gopher-lua. `key_of` finds what was looked up in a value of this name.
fn as_gopher(message: &str, key_of: impl Fn(Option<&str>) -> Option<String>) -> Cow<'_, str> {
    let fixed = [
        ("attempt to call ", "attempt to call a non-function object"),
        ("attempt to get length of ", "__len undefined"),
        ("'for' initial value ", "for statement init must be a number"),
        ("'for' limit ", "for statement limit must be a number"),
        ("'for' step ", "for statement step must be a number"),
        ("C stack overflow", "stack overflow"),
        ("error in error handling", "stack overflow"),
    ];
    if let Some((_, other)) = fixed.iter().find(|(start, _)| message.starts_with(start)) {
        return Cow::Borrowed(other);
    }
    if message.starts_with("attempt to index a non-table object") {
        return Cow::Borrowed(message);
    }
    if let Some(rest) = message.strip_prefix("attempt to index ") {
        let kind = culprit_type(rest);
        return match key_of(quoted(rest)) {
            Some(key) => Cow::Owned(not_a_table(kind, &key)),
            None => Cow::Owned(format!("attempt to index a non-table object({kind})")),
        };
    }
    if let Some(rest) = message.strip_prefix("attempt to concatenate ") {
        let kind = culprit_type(rest);
        return Cow::Owned(format!("cannot perform concat operation between {kind} and {kind}"));
    }
    if let Some(kind) = message
        .strip_prefix("attempt to compare two ")
        .and_then(|rest| rest.strip_suffix(" values"))
    {
        return Cow::Owned(format!("attempt to compare {kind} with {kind}"));
    }
    if message.starts_with("bad argument #")
        && let Some(name) = quoted(message)
    {
        let unquoted = message.replacen(&format!("'{name}'"), name, 1);
        return Cow::Owned(unquoted.replace("got no value", "got nil"));
    }
    Cow::Borrowed(message)
}

/// `nil` of `local 'x' (a nil value)` and of `a nil value`.
fn culprit_type(description: &str) -> &str {
    let kind = description.rsplit_once("a ").map_or(description, |(_, kind)| kind);
    kind.trim_end_matches(')').trim_end_matches(" value")
}

/// What stands in the first quotes.
fn quoted(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once('\'')?;
    rest.split_once('\'').map(|(name, _)| name)
}

impl Origin<'_> {
    /// The C library does not say what was looked up in a nil: the line of the code does.
    fn key_indexed(&self, name: Option<&str>, line: Option<i64>) -> Option<String> {
        let index = usize::try_from(line?.checked_sub(1)?).ok()?;
        self.texts.iter().find_map(|text| {
            let line = text.split(|&byte| byte == b'\n').nth(index)?;
            let line = String::from_utf8_lossy(line);
            match name {
                Some(name) => key_behind(&line, name).map(ToOwned::to_owned),
                // The value of a call or of another look-up: the last one on the line, as the chain broke there.
                None => [")", "]"]
                    .iter()
                    .find_map(|end| last_key_behind(&line, end))
                    .map(ToOwned::to_owned),
            }
        })
    }
}

/// `key` of the first `name.key`, `name:key`, `name['key']` or `name[key]` on a line.
fn key_behind<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let is_name = |character: char| character.is_alphanumeric() || character == '_';
    line.match_indices(name).find_map(|(at, _)| {
        let before = line.get(..at)?;
        if before.ends_with(is_name) { None } else { key_at(line.get(at + name.len()..)?) }
    })
}

fn last_key_behind<'l>(line: &'l str, end: &str) -> Option<&'l str> {
    line.match_indices(end).filter_map(|(at, _)| key_at(line.get(at + end.len()..)?)).last()
}

/// The key of a look-up that begins here.
fn key_at(text: &str) -> Option<&str> {
    let text = text.trim_start();
    if let Some(rest) = text.strip_prefix(['.', ':']) {
        // Two dots are no look-up.
        let rest = Some(rest.trim_start()).filter(|rest| !rest.starts_with('.'))?;
        return name_at(rest);
    }
    let inner = text.strip_prefix('[')?.trim_start();
    match inner.strip_prefix(['\'', '"']) {
        Some(quoted) => quoted.split(['\'', '"']).next(),
        None => inner
            .split(']')
            .next()
            .map(str::trim)
            .filter(|key| key.bytes().all(|byte| byte.is_ascii_digit())),
    }
}

fn name_at(text: &str) -> Option<&str> {
    let end = text
        .find(|character: char| !(character.is_alphanumeric() || character == '_'))
        .unwrap_or(text.len());
    text.get(..end).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin<'_> {
        let mut map = SourceMap::default();
        map.add("pre-script".into(), text.as_bytes());
        Origin { map, texts: [text.as_bytes(), b""] }
    }

    fn message(error: &str, code: &str) -> String {
        failure(&mlua::Error::RuntimeError(error.into()), &origin(code)).into_details().message
    }

    fn syntax(error: &str) -> String {
        let error = mlua::Error::SyntaxError { message: error.into(), incomplete_input: false };
        failure(&error, &origin("a\nb\nc")).into_details().message
    }

    #[test]
    fn runtime_errors_name_file_and_line() {
        assert_eq!(
            message("<string>:2: boom\nstack traceback:\n\t[C]: in ?", "a\nb"),
            "boom (pre-script:L2)"
        );
        assert_eq!(message("boom", "a"), "boom");
        assert_eq!(message("<string>:1: a: b", "a"), "a: b (pre-script:L1)");
    }

    #[test]
    fn a_custom_error_has_a_status_and_a_content_type() {
        let of = |text: &str| failure(&mlua::Error::RuntimeError(text.into()), &origin("x"));
        let plain = of("<string>:1: no || -1");
        assert_eq!((plain.status(), plain.message.as_str()), (500, "no"));
        let coded = of("<string>:1: no || 418");
        assert_eq!(
            (coded.status(), coded.message.as_str(), &coded.content_type),
            (418, "no", &None)
        );
        let typed = of("<string>:1: {} || 404 || application/json");
        assert_eq!(
            (typed.status(), typed.content_type.as_deref()),
            (404, Some("application/json"))
        );
        assert_eq!(of("<string>:1: a || b").status(), 500);
        assert_eq!([0, -5, 99, 1000, 451].map(status), [200, 200, 500, 500, 451]);
    }

    #[test]
    fn syntax_errors_name_the_token() {
        assert_eq!(syntax("<string>:2: '=' expected near 'a'"), "'a': parse error (pre-script:L2)");
        assert_eq!(
            syntax("<string>:3: unexpected symbol near '<eof>'"),
            "parse error at EOF (pre-script:L0)"
        );
    }

    #[test]
    fn messages_are_those_of_gopher_lua() {
        let one = |text: &str, code: &str| message(&format!("<string>:1: {text}"), code);
        assert_eq!(
            one("attempt to call global 'f' (a nil value)", "f()"),
            "attempt to call a non-function object (pre-script:L1)"
        );
        for (name, code, key) in [
            ("global 'reqw' (a nil value)", "reqw:body(req:body())", "body"),
            ("local 'x' (a nil value)", "local xx = x.y", "y"),
            ("field 'a' (a nil value)", "t.a['k'] = 1", "k"),
            ("a nil value", "f(x):get('a'):get('b')", "get"),
        ] {
            let expected = format!(
                "attempt to index a non-table object(nil) with key '{key}' (pre-script:L1)"
            );
            assert_eq!(one(&format!("attempt to index {name}"), code), expected);
        }
        assert_eq!(
            one("attempt to compare two nil values", ""),
            "attempt to compare nil with nil (pre-script:L1)"
        );
        assert_eq!(
            one("bad argument #1 to 'type' (value expected)", ""),
            "bad argument #1 to type (value expected) (pre-script:L1)"
        );
        assert_eq!(
            one("bad argument #1 to 'rep' (string expected, got no value)", ""),
            "bad argument #1 to rep (string expected, got nil) (pre-script:L1)"
        );
    }

    #[test]
    fn lines_of_joined_sources_belong_to_their_files() {
        let mut map = SourceMap::default();
        map.add("a.lua".into(), b"1\n2\n3");
        map.add("b.lua".into(), b"\n1\n2\n");
        map.add("pre-script".into(), b"x");
        assert_eq!(map.find(3), Some(("a.lua", 3)));
        assert_eq!(map.find(5), Some(("b.lua", 2)));
        assert_eq!(map.find(6), Some(("pre-script", 1)));
        assert_eq!(map.find(7), None);
        assert_eq!(map.find(0), Some(("a.lua", 0)));
    }
}
