//! How Go prints a `float64` with `%v`: the shortest digits that read back, `1e+06` from a million on.

/// Decimal exponents outside this range are written with `e`: strconv's rule for `g` with the shortest
/// precision.
const PLAIN_EXPONENTS: std::ops::Range<i32> = -4..6;

/// The text of `fmt.Sprint(number)`.
#[must_use]
pub fn shortest(number: f64) -> String {
    if number.is_nan() {
        return "NaN".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    // Rust's `e` form has the shortest digits too: `-1.25e-7`.
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if PLAIN_EXPONENTS.contains(&exponent) {
        return number.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::shortest;

    #[test]
    fn a_million_and_more_or_a_ten_thousandth_and_less_get_an_exponent() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (999_999.0, "999999"),
            (1e6, "1e+06"),
            (123_456_789.0, "1.23456789e+08"),
            (1e21, "1e+21"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (-2.5, "-2.5"),
            (1e300, "1e+300"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(shortest(number), text);
        }
    }
}
