//! What a plain YAML scalar is: go-yaml v3's resolve.go.

use crate::config::source::node::{NodeValue, Number};
use crate::config::values::parse_int;

pub fn resolve(text: &str) -> NodeValue {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return NodeValue::Null,
        "true" | "True" | "TRUE" => return NodeValue::Bool(true),
        "false" | "False" | "FALSE" => return NodeValue::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return float(f64::NEG_INFINITY),
        _ => {}
    }
    if !text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
        return NodeValue::Text(text.to_owned());
    }
    timestamp(text)
        .map(NodeValue::Text)
        .or_else(|| number(text))
        .unwrap_or_else(|| NodeValue::Text(text.to_owned()))
}

fn float(value: f64) -> NodeValue {
    NodeValue::Number(Number::Float(value), "float64")
}

fn number(text: &str) -> Option<NodeValue> {
    let plain = text.replace('_', "");
    match parse_int(&plain) {
        Ok(value) => return Some(NodeValue::Number(Number::Int(value), "int")),
        // Twice as far without a sign; whatever is no whole number may still have a fraction.
        Err("value out of range") => {
            if let Ok(value) = plain.parse() {
                return Some(NodeValue::Number(Number::Uint(value), "uint64"));
            }
        }
        Err(_) => {}
    }
    if !is_float(&plain) {
        return None;
    }
    plain.parse().ok().map(float)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)))
        }
        None => (unsigned, None),
    };
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    is_digits(whole)
        && is_digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && is_digits(exponent))
}

/// A date, with or without a time, as Go prints a `time.Time` in JSON (RFC 3339).
fn timestamp(text: &str) -> Option<String> {
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (text.get(..at)?, Some((text.as_bytes().get(at)?, text.get(at + 1..)?))),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if year.len() != 4 || parts.next().is_some() {
        return None;
    }
    let (year, month, day) = (digits(year, 9999)?, digits(month, 12)?, digits(day, 31)?);
    let (clock, zone) = match time {
        None => ("00:00:00".to_owned(), "Z".to_owned()),
        Some((b' ', clock)) => (clock_of(clock)?, "Z".to_owned()),
        Some((_, rest)) => {
            let at = rest.find(['Z', '+', '-'])?;
            (clock_of(rest.get(..at)?)?, zone_of(rest.get(at..)?)?)
        }
    };
    (month > 0 && day > 0).then(|| format!("{year:04}-{month:02}-{day:02}T{clock}{zone}"))
}

fn digits(text: &str, max: u32) -> Option<u32> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|value| is_digits && *value <= max)
}

/// `15:4:5.250` → `15:04:05.25`
fn clock_of(text: &str) -> Option<String> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let mut parts = clock.split(':');
    let (hour, minute, second) =
        (digits(parts.next()?, 23)?, digits(parts.next()?, 59)?, digits(parts.next()?, 59)?);
    if parts.next().is_some() || fraction.len() > 9 {
        return None;
    }
    digits(fraction, u32::MAX)?;
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    Some(format!("{hour:02}:{minute:02}:{second:02}{dot}{fraction}"))
}

fn zone_of(text: &str) -> Option<String> {
    if text == "Z" {
        return Some(text.to_owned());
    }
    let (hour, minute) = text.get(1..)?.split_once(':')?;
    let is_right = hour.len() == 2
        && minute.len() == 2
        && digits(hour, 24).is_some()
        && digits(minute, 59).is_some();
    is_right
        .then(|| if matches!(text, "+00:00" | "-00:00") { "Z".to_owned() } else { text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_become_the_text_that_go_prints() {
        for (text, expected) in [
            ("2020-01-02", Some("2020-01-02T00:00:00Z")),
            ("2020-1-2 3:4:5.500", Some("2020-01-02T03:04:05.5Z")),
            ("2020-01-02T03:04:05Z", Some("2020-01-02T03:04:05Z")),
            ("2020-01-02t03:04:05+02:00", Some("2020-01-02T03:04:05+02:00")),
            ("2020-13-01", None),
            ("10.0.0.1", None),
            ("1-2-3", None),
            ("-2020-01-02", None),
        ] {
            assert_eq!(timestamp(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn addresses_and_versions_stay_text() {
        for text in [
            "10.0.0.1", "1.2.3", "1e", "-", "+", ".", "..", "0xZZ", "1a", "8080:80", "300ms",
            "infinity", "nan", "-inf",
        ] {
            assert_eq!(resolve(text), NodeValue::Text(text.to_owned()), "{text}");
        }
    }
}
