//! Writes an answer as YAML, with the quoting and the indentation of the original's writer.
//!
//! The rules are those of goccy/go-yaml: block style, two blanks a level, lists not indented below their
//! key, text quoted when another reader could take it for something else, text of several lines as a
//! literal block. Numbers of a body are text there and so are quoted when they look like numbers to it.

use std::fmt::Write as _;

use crate::json::go_float;
use crate::json::go_quote::quote;
use crate::json::go_time;
use crate::json::{Map, Number, Value};

/// Blanks a level.
const STEP: usize = 2;

/// Words that other readers of YAML take for null or a truth value.
const RESERVED: [&str; 26] = [
    "null", "Null", "NULL", "~", "true", "True", "TRUE", "false", "False", "FALSE", "y", "Y",
    "yes", "Yes", "YES", "n", "N", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF",
];

/// Layouts of texts that would be read as a moment.
const MOMENTS: [&str; 5] = [
    "2006-01-02T15:04:05.999999999Z07:00",
    "2006-01-02t15:04:05.999999999Z07:00",
    "2006-01-02 15:04:05",
    "2006-01-02",
    "15:4",
];

/// First member of the details of a failed backend, which the original holds one level deeper.
const ERROR_STATUS: &str = "http_status_code";

/// Writes `data`, without data an empty mapping.
pub fn encode(data: Option<&Map>, out: &mut Vec<u8>) {
    let mut text = String::new();
    match data {
        Some(map) if !map.is_empty() => Writer { text: &mut text, open: Vec::new() }.document(map),
        _ => text.push_str("{}"),
    }
    text.push('\n');
    out.extend_from_slice(text.as_bytes());
}

struct Writer<'t, 'v> {
    text: &'t mut String,
    /// Mappings and lists that are not written to their end: a tree of any depth needs no recursion.
    open: Vec<Open<'v>>,
}

struct Open<'v> {
    entries: Entries<'v>,
    level: Level,
    /// The first entry goes on in the line of the dash that stands before it.
    inline: bool,
}

enum Entries<'v> {
    Map(std::collections::btree_map::Iter<'v, String, Value>),
    Struct(std::slice::Iter<'v, (&'static str, Value)>),
    /// The details of a failed backend: one entry that holds the members themselves.
    Details(Option<&'v [(&'static str, Value)]>),
    List(std::slice::Iter<'v, Value>),
}

/// Where a line begins: what mappings add, and what lists add to lines that are not their entry's first.
#[derive(Clone, Copy)]
struct Level {
    mappings: usize,
    lists: usize,
}

/// What a literal block stands in: lists and mappings treat its blank lines differently.
#[derive(Clone, Copy, PartialEq)]
enum Holder {
    Mapping,
    List,
}

// === impl Level ===

impl Level {
    fn within_mapping(self) -> Self {
        Self { mappings: self.mappings + STEP, lists: self.lists }
    }
}

// === impl Writer ===

impl<'v> Writer<'_, 'v> {
    fn document(&mut self, map: &'v Map) {
        let level = Level { mappings: 0, lists: 0 };
        self.open.push(Open { entries: Entries::Map(map.iter()), level, inline: true });
        while let Some(top) = self.open.last_mut() {
            let (level, inline) = (top.level, std::mem::take(&mut top.inline));
            let entry = match &mut top.entries {
                Entries::Map(entries) => {
                    entries.next().map(|(key, value)| (key.as_str(), value, false))
                }
                Entries::Struct(entries) => {
                    entries.next().map(|(key, value)| (*key, value, key.ends_with("Parsed")))
                }
                Entries::Details(members) => {
                    if let Some(members) = members.take() {
                        self.details(members, level, inline);
                    } else {
                        self.open.pop();
                    }
                    continue;
                }
                Entries::List(entries) => {
                    if let Some(value) = entries.next() {
                        self.element(value, level, inline);
                    } else {
                        self.open.pop();
                    }
                    continue;
                }
            };
            match entry {
                Some((key, value, is_moment)) => self.member(key, value, is_moment, level, inline),
                None => drop(self.open.pop()),
            }
        }
    }

    fn member(&mut self, key: &str, value: &'v Value, is_moment: bool, level: Level, inline: bool) {
        self.key(key, level, inline);
        match value.untyped() {
            // A moment is no text to the original, so it is not quoted.
            Value::String(text) if is_moment => {
                self.text.push(' ');
                self.text.push_str(text);
            }
            Value::Array(list) if !list.is_empty() => self.open(Entries::List(list.iter()), level),
            _ => {
                if let Some(entries) = members(value) {
                    self.open(entries, level.within_mapping());
                } else {
                    self.text.push(' ');
                    self.scalar(value, level, Holder::Mapping);
                }
            }
        }
    }

    fn details(&mut self, details: &'v [(&'static str, Value)], level: Level, inline: bool) {
        self.key("httpresponseerror", level, inline);
        self.open(Entries::Struct(details.iter()), level.within_mapping());
    }

    fn key(&mut self, key: &str, level: Level, inline: bool) {
        self.start_line(level, inline);
        self.string(key, level, Holder::Mapping);
        self.text.push(':');
    }

    fn element(&mut self, value: &'v Value, level: Level, inline: bool) {
        self.start_line(level, inline);
        self.text.push_str("- ");
        let level = Level { mappings: level.mappings, lists: level.lists + STEP };
        let entries = match value.untyped() {
            Value::Array(list) if !list.is_empty() => Some(Entries::List(list.iter())),
            _ => members(value),
        };
        match entries {
            Some(entries) => self.open.push(Open { entries, level, inline: true }),
            None => self.scalar(value, level, Holder::List),
        }
    }

    fn open(&mut self, entries: Entries<'v>, level: Level) {
        self.open.push(Open { entries, level, inline: false });
    }

    fn start_line(&mut self, level: Level, inline: bool) {
        if !inline {
            self.text.push('\n');
            self.blanks(level.mappings + level.lists);
        }
    }

    fn blanks(&mut self, count: usize) {
        self.text.extend(std::iter::repeat_n(' ', count));
    }

    fn scalar(&mut self, value: &Value, level: Level, holder: Holder) {
        match value.untyped() {
            Value::Null => self.text.push_str("null"),
            Value::Bool(truth) => self.text.push_str(if *truth { "true" } else { "false" }),
            Value::Number(Number::Text(text)) => self.string(text, level, holder),
            Value::Number(Number::Float(number)) => self.text.push_str(&float(*number)),
            Value::Number(Number::Int(number)) => {
                let _ = write!(self.text, "{number}");
            }
            Value::String(text) => self.string(text, level, holder),
            Value::Array(_) => self.text.push_str("[]"),
            Value::Object(_) | Value::Struct(_) | Value::Typed(_) => self.text.push_str("{}"),
        }
    }

    fn string(&mut self, text: &str, level: Level, holder: Holder) {
        if needs_quotes(text) {
            quote(text, self.text);
        } else if text.contains(line_break(text)) {
            self.literal(text, level, holder);
        } else {
            self.text.push_str(text);
        }
    }

    /// A text of several lines: a header that tells how it ends, then its lines, indented.
    fn literal(&mut self, text: &str, level: Level, holder: Holder) {
        let line_break = line_break(text);
        self.text.push_str(match text.strip_suffix(line_break) {
            Some(rest) if rest.ends_with(line_break) => "|+",
            Some(_) => "|",
            None => "|-",
        });
        let indent = " ".repeat(level.mappings + STEP);
        let next_line = format!("{line_break}{indent}");
        let body = format!("{indent}{}", text.replace(line_break, &next_line));
        let body = body.strip_suffix(next_line.as_str()).unwrap_or(&body);
        let body = body.strip_suffix(indent.as_str()).unwrap_or(body);
        self.text.push_str(line_break.trim_end_matches('\n'));
        if line_break.ends_with('\n') {
            self.lines(body, &indent, level, holder);
        } else {
            self.text.push_str(body);
        }
    }

    /// Lines of a block, each with what the lists round it add.
    fn lines(&mut self, body: &str, indent: &str, level: Level, holder: Holder) {
        // The list that holds the text itself adds nothing, but empties blank lines.
        let (lists, is_blank): (usize, fn(&str, &str) -> bool) = match holder {
            Holder::Mapping => (level.lists, |line, _| line.is_empty()),
            Holder::List => (level.lists - STEP, |line, indent| line.is_empty() || line == indent),
        };
        for line in body.split('\n') {
            self.text.push('\n');
            if !is_blank(line, indent) {
                self.blanks(lists);
                self.text.push_str(line);
            }
        }
    }
}

/// The entries of a mapping that has any.
fn members(value: &Value) -> Option<Entries<'_>> {
    match value.untyped() {
        Value::Object(map) if !map.is_empty() => Some(Entries::Map(map.iter())),
        Value::Struct(members) => match members.first() {
            Some((ERROR_STATUS, _)) => Some(Entries::Details(Some(members))),
            Some(_) => Some(Entries::Struct(members.iter())),
            None => None,
        },
        _ => None,
    }
}

/// A float always looks like one: `1.0`.
fn float(number: f64) -> String {
    if number.is_nan() {
        return ".nan".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { ".inf" } else { "-.inf" }.into();
    }
    let mut text = go_float::shortest(number);
    if !text.contains(['.', 'e']) {
        text.push_str(".0");
    }
    text
}

/// Which line break a text uses.
fn line_break(text: &str) -> &'static str {
    let feeds = text.matches('\n').count();
    let returns = text.matches('\r').count();
    let pairs = text.matches("\r\n").count();
    if feeds == pairs && returns == pairs {
        "\r\n"
    } else if returns > feeds {
        "\r"
    } else {
        "\n"
    }
}

/// Whether a text would be read as something else than itself.
fn needs_quotes(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return true;
    };
    if text == "-" || RESERVED.contains(&text) || is_number(text) {
        return true;
    }
    if matches!(
        first,
        b'*' | b'&'
            | b'['
            | b'{'
            | b'}'
            | b']'
            | b','
            | b'!'
            | b'|'
            | b'>'
            | b'%'
            | b'\''
            | b'"'
            | b'@'
            | b' '
            | b'`'
    ) || matches!(last, b':' | b' ')
    {
        return true;
    }
    if first.is_ascii_digit() && MOMENTS.iter().any(|layout| go_time::parse(layout, text).is_some())
    {
        return true;
    }
    bytes.contains(&b'#')
        || bytes.contains(&b'\\')
        || bytes.windows(2).any(|pair| matches!(pair, [b':' | b'-', b' ']))
}

/// What the original's writer takes for a number: `1`, `-0x1f`, `1_000`, `0o17`, `1.5e3`, but neither `1e3`
/// nor `08`.
fn is_number(text: &str) -> bool {
    if text.starts_with('_') || text.matches('.').count() > 1 {
        return false;
    }
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    let unsigned = unsigned.strip_prefix('-').unwrap_or(unsigned).replace('_', "");
    let (digits, base) = if let Some(digits) = unsigned.strip_prefix("0x") {
        (digits, 16)
    } else if let Some(digits) = unsigned.strip_prefix("0o") {
        (digits, 8)
    } else if let Some(digits) = unsigned.strip_prefix("0b") {
        (digits, 2)
    } else if unsigned.contains('.') {
        let sign = if text.starts_with('-') { "-" } else { "" };
        return format!("{sign}{unsigned}").parse::<f64>().is_ok();
    } else if unsigned.len() > 1 && unsigned.starts_with('0') {
        (unsigned.as_str(), 8)
    } else {
        (unsigned.as_str(), 10)
    };
    !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(base))
}

#[cfg(test)]
mod tests;
