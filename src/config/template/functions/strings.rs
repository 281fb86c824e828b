//! Functions that cut, join and search texts.

use std::sync::Arc;

use gotmpl::Value;

use super::super::value::{map, quoted, string, strings, text};
use super::{ANY, Answer, Args, Function, function};

/// The largest text that a function may make.
pub const TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;

pub const TABLE: &[Function] = &[
    function("cat", 0, ANY, |args| Ok(string(given(args).join(" ").trim()))),
    function("contains", 2, 2, |args| Ok(Value::Bool(args.text(1)?.contains(args.text(0)?)))),
    function("hasPrefix", 2, 2, |args| Ok(Value::Bool(args.text(1)?.starts_with(args.text(0)?)))),
    function("hasSuffix", 2, 2, |args| Ok(Value::Bool(args.text(1)?.ends_with(args.text(0)?)))),
    function("indent", 2, 2, |args| indent(args, "")),
    function("lower", 1, 1, |args| Ok(string(args.text(0)?.to_lowercase()))),
    function("nindent", 2, 2, |args| indent(args, "\n")),
    function("nospace", 1, 1, |args| {
        Ok(string(args.text(0)?.chars().filter(|c| !c.is_whitespace()).collect::<String>()))
    }),
    function("quote", 0, ANY, |args| {
        let quoted: Vec<_> = given(args).iter().map(|text| quoted(text)).collect();
        Ok(string(quoted.join(" ")))
    }),
    function("repeat", 2, 2, repeat),
    function("replace", 3, 3, replace),
    function("split", 2, 2, |args| Ok(numbered(parts(args.text(1)?, args.text(0)?, usize::MAX)))),
    function("splitList", 2, 2, |args| {
        Ok(strings(parts(args.text(1)?, args.text(0)?, usize::MAX)))
    }),
    function("splitn", 3, 3, |args| {
        let count = usize::try_from(args.int(1)?).unwrap_or(usize::MAX);
        Ok(numbered(parts(args.text(2)?, args.text(0)?, count)))
    }),
    function("squote", 0, ANY, |args| {
        let quoted: Vec<_> = given(args).iter().map(|text| format!("'{text}'")).collect();
        Ok(string(quoted.join(" ")))
    }),
    function("substr", 3, 3, substring),
    function("trim", 1, 1, |args| Ok(string(args.text(0)?.trim()))),
    function("trimAll", 2, 2, trim_all),
    function("trimPrefix", 2, 2, |args| {
        let text = args.text(1)?;
        Ok(string(text.strip_prefix(args.text(0)?).unwrap_or(text)))
    }),
    function("trimSuffix", 2, 2, |args| {
        let text = args.text(1)?;
        Ok(string(text.strip_suffix(args.text(0)?).unwrap_or(text)))
    }),
    function("trimall", 2, 2, trim_all),
    function("trunc", 2, 2, trunc),
    function("upper", 1, 1, |args| Ok(string(args.text(0)?.to_uppercase()))),
];

/// The texts of the arguments that are something.
fn given(args: &Args<'_>) -> Vec<String> {
    args.all().iter().filter(|value| !matches!(value, Value::Nil)).map(text).collect()
}

/// Refuses to make a text of this length.
pub fn bounded(bytes: usize) -> Result<(), String> {
    if bytes > TEXT_BYTES_MAX {
        return Err(format!("the text would be longer than {TEXT_BYTES_MAX} bytes"));
    }
    Ok(())
}

fn indent(args: &Args<'_>, before: &str) -> Answer {
    let (width, text) = (args.count(0)?, args.text(1)?);
    let lines = text.matches('\n').count() + 1;
    bounded(width.saturating_mul(lines))?;
    let pad = " ".repeat(width);
    Ok(string(format!("{before}{pad}{}", text.replace('\n', &format!("\n{pad}")))))
}

fn repeat(args: &Args<'_>) -> Answer {
    let (count, text) = (args.count(0)?, args.text(1)?);
    bounded(count.saturating_mul(text.len()))?;
    Ok(string(text.repeat(count)))
}

fn replace(args: &Args<'_>) -> Answer {
    let (old, new, text) = (args.text(0)?, args.text(1)?, args.text(2)?);
    bounded(text.len().saturating_add(text.matches(old).count().saturating_mul(new.len())))?;
    Ok(string(text.replace(old, new)))
}

fn trim_all(args: &Args<'_>) -> Answer {
    let cut = args.text(0)?;
    Ok(string(args.text(1)?.trim_matches(|c| cut.contains(c))))
}

/// Go's `strings.SplitN`: an empty separator splits into characters.
fn parts<'t>(text: &'t str, separator: &str, count: usize) -> Vec<&'t str> {
    if count == 0 {
        return Vec::new();
    }
    if !separator.is_empty() {
        return text.splitn(count, separator).collect();
    }
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if parts.len() + 1 == count {
            break;
        }
        let (head, tail) = rest.split_at(first.len_utf8());
        parts.push(head);
        rest = tail;
    }
    if !rest.is_empty() {
        parts.push(rest);
    }
    parts
}

/// `{_0: …, _1: …}`
fn numbered(parts: Vec<&str>) -> Value {
    let name = |(index, part)| (Arc::from(format!("_{index}")), string(part));
    map(parts.into_iter().enumerate().map(name).collect())
}

/// Bytes, as Go counts; a character that is cut becomes U+FFFD.
fn bytes(text: &str, start: usize, end: usize) -> Answer {
    let part = text.as_bytes().get(start..end);
    let part = part.ok_or_else(|| {
        format!("slice bounds out of range: {start}:{end} with length {}", text.len())
    })?;
    Ok(string(String::from_utf8_lossy(part)))
}

fn substring(args: &Args<'_>) -> Answer {
    let (start, end, text) = (args.int(0)?, args.int(1)?, args.text(2)?);
    let end_or = |default: usize| usize::try_from(end).unwrap_or(default);
    match usize::try_from(start) {
        Err(_) => bytes(
            text,
            0,
            usize::try_from(end).map_err(|_| "slice bounds out of range".to_owned())?,
        ),
        Ok(start) => bytes(text, start, end_or(text.len()).min(text.len())),
    }
}

fn trunc(args: &Args<'_>) -> Answer {
    let (count, text) = (args.int(0)?, args.text(1)?);
    let size = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if size >= text.len() {
        return Ok(string(text));
    }
    if count < 0 { bytes(text, text.len() - size, text.len()) } else { bytes(text, 0, size) }
}
