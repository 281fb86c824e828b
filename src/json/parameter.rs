//! `{resp0_a.b}`: a value of an earlier answer as text for a later request (spec 2.18).

use std::fmt::Write as _;

use crate::json::document::Document;
use crate::json::go_float;
use crate::json::value::{Map, Number, Value};

/// The text of the value at a dot path, or `None` if there is none.
///
/// Like the original, a step that is missing or no object ends the walk, and the last segment is then looked up in the
/// object reached so far: `items.0.id` gives the `id` next to the list `items`.
#[must_use]
pub fn parameter(document: &Document, path: &[impl AsRef<str>]) -> Option<String> {
    let (last, steps) = path.split_last()?;
    let mut reached: Option<Map> = None;
    let get = |reached: &Option<Map>, key: &str| match reached {
        None => document.get(key),
        Some(map) => map.get(key).cloned(),
    };
    for step in steps {
        match get(&reached, step.as_ref()) {
            Some(Value::Object(map)) => reached = Some(map),
            _ => break,
        }
    }
    get(&reached, last.as_ref()).map(|value| text(&value))
}

/// Lists are joined by commas, a double is written as 32 bits with an exponent, everything else as Go prints it.
fn text(value: &Value) -> String {
    match value {
        Value::Array(list) => list.iter().map(printed).collect::<Vec<_>>().join(","),
        Value::Number(Number::Float(number)) => short_float(*number),
        other => printed(other),
    }
}

fn printed(value: &Value) -> String {
    let mut out = String::new();
    print(value, &mut out);
    out
}

/// Go's `%v`.
fn print(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("<nil>"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::String(text) => out.push_str(text),
        Value::Number(Number::Text(text)) => out.push_str(text),
        Value::Number(Number::Int(number)) => _ = write!(out, "{number}"),
        Value::Number(Number::Float(number)) => out.push_str(&go_float::shortest(*number)),
        Value::Array(list) => print_list("[", list.iter().map(|value| (None, value)), ']', out),
        Value::Object(map) => {
            print_list(
                "map[",
                map.iter().map(|(key, value)| (Some(key.as_str()), value)),
                ']',
                out,
            );
        }
        Value::Struct(members) => {
            print_list("{", members.iter().map(|(_, value)| (None, value)), '}', out);
        }
        Value::Typed(held) => print(held, out),
    }
}

fn print_list<'v>(
    start: &str,
    values: impl Iterator<Item = (Option<&'v str>, &'v Value)>,
    end: char,
    out: &mut String,
) {
    out.push_str(start);
    for (i, (key, value)) in values.enumerate() {
        if i > 0 {
            out.push(' ');
        }
        if let Some(key) = key {
            out.push_str(key);
            out.push(':');
        }
        print(value, out);
    }
    out.push(end);
}

/// `strconv.FormatFloat(number, 'E', -1, 32)`.
#[allow(clippy::cast_possible_truncation)]
fn short_float(number: f64) -> String {
    let short = number as f32;
    if !short.is_finite() {
        return go_float::shortest(f64::from(short));
    }
    let text = format!("{short:E}");
    let (digits, exponent) = text.split_once('E').unwrap_or((&text, "0"));
    // Go writes a sign and at least two digits.
    let (sign, exponent) =
        exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{digits}E{sign}{exponent:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Decoder;

    const BODY: &str = r#"{"int":12,"big":12345678901234567890,"float":1.50,"exp":1e3,"neg":-0,"true":true,"null":null,
        "empty":"","list":["a",1,true,null],"emptylist":[],"obj":{"k":1,"a":{"z":[1,[2,"b"]]}},"uni":"é x",
        "deep":{"er":{"v":"found"}},"items":[{"id":7}],"id":"root"}"#;

    fn of_body(path: &str) -> Option<String> {
        let document = Decoder::Json.decode(BODY.into(), false).unwrap();
        parameter(&document, &path.split('.').collect::<Vec<_>>())
    }

    #[test]
    fn values_of_a_body_become_text_as_the_original_makes_them() {
        let cases = [
            ("int", "12"),
            ("big", "12345678901234567890"),
            ("float", "1.50"),
            ("exp", "1e3"),
            ("neg", "-0"),
            ("true", "true"),
            ("null", "<nil>"),
            ("empty", ""),
            ("list", "a,1,true,<nil>"),
            ("emptylist", ""),
            ("obj", "map[a:map[z:[1 [2 b]]] k:1]"),
            ("uni", "é x"),
            ("deep.er.v", "found"),
            ("deep.er", "map[v:found]"),
        ];
        for (path, text) in cases {
            assert_eq!(of_body(path).as_deref(), Some(text), "{path}");
        }
    }

    #[test]
    fn a_missing_value_has_no_text() {
        assert_eq!(of_body("missing"), None);
        assert_eq!(of_body("deep.missing"), None);
        assert_eq!(parameter(&Document::null(), &["x"]), None);
        assert_eq!(parameter(&Document::empty(), &[] as &[&str]), None);
    }

    #[test]
    fn a_step_that_is_no_object_ends_the_walk_and_the_last_segment_is_looked_up_there() {
        assert_eq!(of_body("items.0.id").as_deref(), Some("root"));
        assert_eq!(of_body("missing.id").as_deref(), Some("root"));
        assert_eq!(of_body("deep.nothing.er").as_deref(), Some("map[v:found]"));
        assert_eq!(of_body("deep.id"), None);
    }

    #[test]
    fn a_double_is_written_with_32_bits_and_an_exponent_but_plainly_within_a_list() {
        let float = |number| Value::Number(Number::Float(number));
        let mut document = Document::empty();
        document.set("f", float(1_234.5));
        document.set("tiny", float(1e-5));
        document.set("third", float(1.0 / 3.0));
        document.set("huge", float(1e300));
        document.set("list", Value::Array(vec![float(1.5), float(1e6)]));
        document.set("code", Value::Number(Number::Int(404)));
        let cases = [
            ("f", "1.2345E+03"),
            ("tiny", "1E-05"),
            ("third", "3.3333334E-01"),
            ("huge", "+Inf"),
            ("list", "1.5,1e+06"),
            ("code", "404"),
        ];
        for (key, text) in cases {
            assert_eq!(parameter(&document, &[key]).as_deref(), Some(text), "{key}");
        }
    }
}
