//! A value of a block as Go's `%+v` shows it.

use std::fmt;

use serde_json::Value;

pub struct GoValue<'a>(pub &'a Value);

impl fmt::Display for GoValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Null => f.write_str("<nil>"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Number(number) => f.write_str(&float(number.as_f64().unwrap_or(0.0))),
            Value::String(text) => f.write_str(text),
            Value::Array(list) => {
                let texts: Vec<_> = list.iter().map(|value| GoValue(value).to_string()).collect();
                write!(f, "[{}]", texts.join(" "))
            }
            Value::Object(members) => {
                let mut texts: Vec<_> = members
                    .iter()
                    .map(|(key, value)| format!("{key}:{}", GoValue(value)))
                    .collect();
                texts.sort();
                write!(f, "map[{}]", texts.join(" "))
            }
        }
    }
}

/// The shortest digits, with an exponent of two digits or more below 1e-4 and from 1e6 on.
fn float(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 || (1e-4..1e6).contains(&magnitude) {
        return value.to_string();
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_shown_as_go_shows_them() {
        for (value, expected) in [
            (json!({"b": [1, 2.5, "x"], "a": null}), "map[a:<nil> b:[1 2.5 x]]"),
            (json!(true), "true"),
            (json!(1e21), "1e+21"),
            (json!(0.00001), "1e-05"),
            (json!(1_000_000), "1e+06"),
        ] {
            assert_eq!(GoValue(&value).to_string(), expected);
        }
    }
}
