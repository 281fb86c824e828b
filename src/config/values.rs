//! Values with a grammar of their own: Go's durations, whole numbers and truth values in text.

use std::fmt;
use std::time::Duration;

/// A length of time of the configuration, exact to the nanosecond as the original keeps it; never negative.
///
/// Most readers want whole milliseconds; `cache_ttl` wants whole seconds, so that `500ms` is 0 of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis {
    ns: u64,
}

const US: u64 = 1_000;
const MS: u64 = 1_000 * US;
const S: u64 = 1_000 * MS;

// === impl Millis ===

impl Millis {
    pub const ZERO: Self = Self { ns: 0 };

    pub const fn from_ns(ns: u64) -> Self {
        Self { ns }
    }

    pub const fn from_ms(ms: u64) -> Self {
        Self { ns: ms.saturating_mul(MS) }
    }

    pub const fn from_s(s: u64) -> Self {
        Self { ns: s.saturating_mul(S) }
    }

    pub const fn as_ns(self) -> u64 {
        self.ns
    }

    /// Whole milliseconds, rounded down.
    pub const fn as_ms(self) -> u64 {
        self.ns / MS
    }

    /// Whole seconds, rounded down.
    pub const fn as_s(self) -> u64 {
        self.ns / S
    }

    pub const fn as_duration(self) -> Duration {
        Duration::from_nanos(self.ns)
    }

    pub const fn is_zero(self) -> bool {
        self.ns == 0
    }
}

/// As Go prints a `time.Duration`: `1h2m0.5s`, `1.5ms`, `0s`.
impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = self.ns;
        match ns {
            0 => f.write_str("0s"),
            1..US => write!(f, "{ns}ns"),
            US..MS => write!(f, "{}µs", decimal(ns, US)),
            MS..S => write!(f, "{}ms", decimal(ns, MS)),
            _ => {
                let minutes = ns / (60 * S);
                if minutes >= 60 {
                    write!(f, "{}h", minutes / 60)?;
                }
                if minutes > 0 {
                    write!(f, "{}m", minutes % 60)?;
                }
                write!(f, "{}s", decimal(ns % (60 * S), S))
            }
        }
    }
}

/// `ns / unit` without trailing zeros.
fn decimal(ns: u64, unit: u64) -> String {
    let fraction = format!("{:0width$}", ns % unit, width = unit.ilog10() as usize);
    let text = format!("{}.{fraction}", ns / unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Go's `time.ParseDuration`, in nanoseconds, with its messages.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    let (is_negative, unsigned) = split_sign(text);
    if unsigned == "0" {
        return Ok(0);
    }
    let ns = sum_of_units(text, unsigned)?;
    if is_negative {
        return 0_i64.checked_sub_unsigned(ns).ok_or_else(|| invalid_duration(text));
    }
    i64::try_from(ns).map_err(|_| invalid_duration(text))
}

/// Whether there is a minus, and what follows the sign.
fn split_sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(unsigned) => (true, unsigned),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn sum_of_units(text: &str, unsigned: &str) -> Result<u64, String> {
    let (mut rest, mut total) = (unsigned, 0_u64);
    if rest.is_empty() {
        return Err(invalid_duration(text));
    }
    while !rest.is_empty() {
        let number_len =
            rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        let (number, after) = rest.split_at(number_len);
        if number.is_empty() || number == "." || number.matches('.').count() > 1 {
            return Err(invalid_duration(text));
        }
        let unit_len =
            after.bytes().take_while(|byte| !byte.is_ascii_digit() && *byte != b'.').count();
        // A digit or a dot ends the unit, so the cut is never inside a character.
        let (unit, next) = after.split_at(unit_len);
        let Some(unit_ns) = unit_ns(unit) else {
            let what = if unit.is_empty() {
                "missing unit".to_owned()
            } else {
                format!("unknown unit {unit:?}")
            };
            return Err(format!("time: {what} in duration {text:?}"));
        };
        total = scale(number, unit_ns)
            .and_then(|ns| total.checked_add(ns))
            .ok_or_else(|| invalid_duration(text))?;
        rest = next;
    }
    Ok(total)
}

fn invalid_duration(text: &str) -> String {
    format!("time: invalid duration {text:?}")
}

fn unit_ns(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => US,
        "ms" => MS,
        "s" => S,
        "m" => 60 * S,
        "h" => 3600 * S,
        _ => return None,
    })
}

/// `1.25` of a unit in nanoseconds, rounded down. A fraction is cut after 18 digits, which no unit can notice.
fn scale(number: &str, unit_ns: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
    let fraction = fraction.get(..fraction.len().min(18))?;
    let parts = if fraction.is_empty() { 0 } else { fraction.parse::<u128>().ok()? };
    let fraction_ns =
        parts * u128::from(unit_ns) / 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    whole.checked_mul(unit_ns)?.checked_add(u64::try_from(fraction_ns).ok()?)
}

/// Go's `strconv.ParseInt(text, 0, 64)`: a sign, a base prefix, underscores between digits.
pub fn parse_int(text: &str) -> Result<i64, &'static str> {
    let (is_negative, unsigned) = split_sign(text);
    let lower = unsigned.to_ascii_lowercase();
    let prefixed =
        [("0x", 16), ("0o", 8), ("0b", 2), ("0", 8)].into_iter().find_map(|(prefix, radix)| {
            lower
                .strip_prefix(prefix)
                .filter(|digits| !digits.is_empty())
                .map(|digits| (radix, digits))
        });
    let (radix, digits) = prefixed.unwrap_or((10, &lower));
    // Underscores may follow a prefix, but not begin a decimal number or end any.
    let is_separated = !digits.ends_with('_')
        && !digits.contains("__")
        && (radix != 10 || !digits.starts_with('_'));
    let digits = digits.replace('_', "");
    if !is_separated || digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err("invalid syntax");
    }
    let magnitude = i128::from_str_radix(&digits, radix).map_err(|_| "value out of range")?;
    i64::try_from(if is_negative { -magnitude } else { magnitude })
        .map_err(|_| "value out of range")
}

/// Go's `strconv.ParseBool`.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_sums_of_numbers_with_units() {
        for (text, ns) in [
            ("0", 0),
            ("300ms", 300_000_000),
            ("1h2m3.5s", 3_723_500_000_000),
            ("1.5µs", 1500),
            ("1μs", 1000),
            ("2us7ns", 2007),
            (".5s", 500_000_000),
            ("5.s", 5_000_000_000),
            ("+1s", 1_000_000_000),
            ("-1.5h", -5_400_000_000_000),
            ("0.3333333333333333333h", 1_199_999_999_999),
            ("-9223372036854775808ns", i64::MIN),
        ] {
            assert_eq!(parse_duration(text), Ok(ns), "{text}");
        }
    }

    #[test]
    fn wrong_durations_have_gos_text() {
        for (text, expected) in [
            ("", "time: invalid duration \"\""),
            ("soon", "time: invalid duration \"soon\""),
            ("10", "time: missing unit in duration \"10\""),
            ("1s2", "time: missing unit in duration \"1s2\""),
            ("5x", "time: unknown unit \"x\" in duration \"5x\""),
            ("1é", "time: unknown unit \"é\" in duration \"1é\""),
            (".s", "time: invalid duration \".s\""),
            ("1..2s", "time: invalid duration \"1..2s\""),
            ("9999999999h", "time: invalid duration \"9999999999h\""),
            ("9223372036854775808ns", "time: invalid duration \"9223372036854775808ns\""),
            ("1 s", "time: unknown unit \" s\" in duration \"1 s\""),
        ] {
            assert_eq!(parse_duration(text), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_duration_prints_as_go_prints_it() {
        for (ns, expected) in [
            (0, "0s"),
            (1, "1ns"),
            (1500, "1.5µs"),
            (300_000_000, "300ms"),
            (1_500_000_000, "1.5s"),
            (60_000_000_000, "1m0s"),
            (3_600_000_000_000, "1h0m0s"),
            (3_723_500_000_000, "1h2m3.5s"),
        ] {
            assert_eq!(Millis::from_ns(ns).to_string(), expected);
        }
    }

    #[test]
    fn half_a_second_is_no_whole_second() {
        let ttl = Millis::from_ms(500);
        assert_eq!((ttl.as_ms(), ttl.as_s(), ttl.is_zero()), (500, 0, false));
    }

    #[test]
    fn whole_numbers_may_have_a_base_and_underscores() {
        for (text, expected) in [
            ("8080", Ok(8080)),
            ("-5", Ok(-5)),
            ("0x1F", Ok(31)),
            ("017", Ok(15)),
            ("0b101", Ok(5)),
            ("8_080", Ok(8080)),
            ("0x_1", Ok(1)),
            ("0", Ok(0)),
            ("", Err("invalid syntax")),
            ("_1", Err("invalid syntax")),
            ("1_", Err("invalid syntax")),
            ("08", Err("invalid syntax")),
            ("http", Err("invalid syntax")),
            ("3.7", Err("invalid syntax")),
            ("9223372036854775808", Err("value out of range")),
            ("-9223372036854775808", Ok(i64::MIN)),
        ] {
            assert_eq!(parse_int(text), expected, "{text}");
        }
    }
}
