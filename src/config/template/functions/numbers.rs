//! Functions that calculate and count.

use gotmpl::Value;

use super::super::value::{list, string, to_f64, to_i64};
use super::{ANY, Answer, Args, COUNT_MAX, Function, function};

pub const TABLE: &[Function] = &[
    function("add", 0, ANY, |args| {
        Ok(Value::Int(args.all().iter().map(to_i64).fold(0, i64::wrapping_add)))
    }),
    function("add1", 1, 1, |args| Ok(Value::Int(to_i64(args.get(0)).wrapping_add(1)))),
    function("add1f", 1, 1, |args| decimal(&[args.get(0).clone(), Value::Int(1)], |a, b| a + b)),
    function("addf", 0, ANY, |args| match args.len() {
        0 => Ok(Value::Float(0.0)),
        _ => decimal(args.all(), |a, b| a + b),
    }),
    function("biggest", 1, ANY, |args| extreme(args, i64::max)),
    function("ceil", 1, 1, |args| Ok(Value::Float(to_f64(args.get(0)).ceil()))),
    function("div", 2, 2, |args| {
        let quotient = to_i64(args.get(0)).checked_div(to_i64(args.get(1)));
        quotient.map(Value::Int).ok_or_else(division)
    }),
    function("divf", 1, ANY, |args| match decimal(args.all(), |a, b| a / b)? {
        Value::Float(_) => Ok(Value::Float(quotient(args))),
        other => Ok(other),
    }),
    function("floor", 1, 1, |args| Ok(Value::Float(to_f64(args.get(0)).floor()))),
    function("max", 1, ANY, |args| extreme(args, i64::max)),
    function("maxf", 1, ANY, |args| extreme_float(args, f64::max)),
    function("min", 1, ANY, |args| extreme(args, i64::min)),
    function("minf", 1, ANY, |args| extreme_float(args, f64::min)),
    function("mod", 2, 2, |args| {
        let rest = to_i64(args.get(0)).checked_rem(to_i64(args.get(1)));
        rest.map(Value::Int).ok_or_else(division)
    }),
    function("mul", 1, ANY, |args| {
        Ok(Value::Int(args.all().iter().map(to_i64).fold(1, i64::wrapping_mul)))
    }),
    function("mulf", 1, ANY, |args| decimal(args.all(), |a, b| a * b)),
    function("round", 2, 3, round),
    function("seq", 0, ANY, seq),
    function("sub", 2, 2, |args| {
        Ok(Value::Int(to_i64(args.get(0)).wrapping_sub(to_i64(args.get(1)))))
    }),
    function("subf", 1, ANY, |args| decimal(args.all(), |a, b| a - b)),
    function("until", 1, 1, |args| {
        let count = args.int(0)?;
        whole_list(&steps(0, count, if count < 0 { -1 } else { 1 })?)
    }),
    function("untilStep", 3, 3, |args| {
        whole_list(&steps(args.int(0)?, args.int(1)?, args.int(2)?)?)
    }),
];

fn division() -> String {
    "integer divide by zero".to_owned()
}

fn extreme(args: &Args<'_>, pick: fn(i64, i64) -> i64) -> Answer {
    let picked = args.all().iter().map(to_i64).reduce(pick);
    Ok(Value::Int(picked.unwrap_or(0)))
}

fn extreme_float(args: &Args<'_>, pick: fn(f64, f64) -> f64) -> Answer {
    let picked = args.all().iter().map(to_f64).reduce(pick);
    Ok(Value::Float(picked.unwrap_or(0.0)))
}

/// Go calculates these with decimals, so that 0.1 and 0.2 are 0.3: what a double adds behind the fifteenth digit is
/// cut off.
fn decimal(values: &[Value], operation: fn(f64, f64) -> f64) -> Answer {
    let result = values.iter().map(to_f64).reduce(operation).unwrap_or(0.0);
    if result.is_nan() || result.is_infinite() {
        return Err("decimal division by 0".to_owned());
    }
    Ok(Value::Float(format!("{result:.14e}").parse().unwrap_or(result)))
}

/// Divisions keep sixteen places.
fn quotient(args: &Args<'_>) -> f64 {
    let quotient = args.all().iter().map(to_f64).reduce(|a, b| a / b).unwrap_or(0.0);
    format!("{quotient:.16}").parse().unwrap_or(quotient)
}

/// Half away from the floor, to so many places; the third argument says from where on upwards.
fn round(args: &Args<'_>) -> Answer {
    let places = i32::try_from(args.int(1)?).map_err(|_| "too many places".to_owned())?;
    let round_on = if args.len() > 2 { to_f64(args.get(2)) } else { 0.5 };
    let power = 10_f64.powi(places);
    let digit = power * to_f64(args.get(0));
    let rounded = if digit.fract() >= round_on { digit.ceil() } else { digit.floor() };
    Ok(Value::Float(rounded / power))
}

fn whole_list(numbers: &[i64]) -> Answer {
    Ok(list(numbers.iter().map(|number| Value::Int(*number)).collect()))
}

fn steps(start: i64, stop: i64, step: i64) -> Result<Vec<i64>, String> {
    let mut numbers = Vec::new();
    let is_down = stop < start;
    if step == 0 || is_down != (step < 0) {
        return Ok(numbers);
    }
    let mut at = start;
    while if is_down { at > stop } else { at < stop } {
        if numbers.len() >= COUNT_MAX {
            return Err(format!("more than {COUNT_MAX} numbers"));
        }
        numbers.push(at);
        let Some(next) = at.checked_add(step) else { break };
        at = next;
    }
    Ok(numbers)
}

/// Like the command of the shell: `seq 5`, `seq 2 5`, `seq 0 2 10`.
fn seq(args: &Args<'_>) -> Answer {
    let numbers = match args.len() {
        1 => {
            let end = args.int(0)?;
            let step = if end < 1 { -1 } else { 1 };
            steps(1, end.saturating_add(step), step)?
        }
        2 => {
            let (start, end) = (args.int(0)?, args.int(1)?);
            let step = if end < start { -1 } else { 1 };
            steps(start, end.saturating_add(step), step)?
        }
        3 => {
            let (start, step, end) = (args.int(0)?, args.int(1)?, args.int(2)?);
            if end < start && step > 0 {
                Vec::new()
            } else {
                steps(start, end.saturating_add(if end < start { -1 } else { 1 }), step)?
            }
        }
        _ => Vec::new(),
    };
    let texts: Vec<_> = numbers.iter().map(i64::to_string).collect();
    Ok(string(texts.join(" ")))
}
