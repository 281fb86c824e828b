//! Functions with moments and durations, in Go's layouts. A moment is kept as the text that Go prints for it.

use chrono::{DateTime, FixedOffset, Local, NaiveDateTime, TimeDelta, Utc};
use gotmpl::Value;

use super::super::value::string;
use super::{Answer, Args, Function, function};
use crate::config::values::{Millis, parse_duration};
use crate::json::go_time;

type Moment = DateTime<FixedOffset>;

/// How Go prints a moment, and how chrono reads that.
const PRINTED: &str = "%Y-%m-%d %H:%M:%S%.f %z";

pub const TABLE: &[Function] = &[
    function("ago", 1, 1, |args| {
        let passed = now().signed_duration_since(moment(args.get(0)));
        Ok(string(go_duration(passed.num_seconds().saturating_mul(1_000_000_000))))
    }),
    function("date", 2, 2, |args| formatted(args.text(0)?, args.get(1), "Local")),
    function("dateInZone", 3, 3, |args| formatted(args.text(0)?, args.get(1), args.text(2)?)),
    function("dateModify", 2, 2, modify),
    function("date_in_zone", 3, 3, |args| formatted(args.text(0)?, args.get(1), args.text(2)?)),
    function("date_modify", 2, 2, modify),
    function("duration", 1, 1, |args| {
        let seconds = match args.get(0) {
            Value::Int(seconds) => *seconds,
            Value::String(text) => text.parse().unwrap_or(0),
            _ => 0,
        };
        Ok(string(go_duration(seconds.saturating_mul(1_000_000_000))))
    }),
    function("durationRound", 1, 1, |args| {
        let ns = match args.get(0) {
            Value::Int(ns) => *ns,
            Value::String(text) => match read(text) {
                Some(moment) => now().signed_duration_since(moment).num_nanoseconds().unwrap_or(0),
                None => parse_duration(text).unwrap_or(0),
            },
            _ => 0,
        };
        Ok(string(rounded(ns.unsigned_abs())))
    }),
    function("htmlDate", 1, 1, |args| formatted("2006-01-02", args.get(0), "Local")),
    function("htmlDateInZone", 2, 2, |args| formatted("2006-01-02", args.get(0), args.text(1)?)),
    function("mustDateModify", 2, 2, |args| {
        parse_duration(args.text(0)?)?;
        modify(args)
    }),
    function("mustToDate", 2, 2, to_date),
    function("must_date_modify", 2, 2, |args| {
        parse_duration(args.text(0)?)?;
        modify(args)
    }),
    function("now", 0, 0, |_| Ok(printed(now()))),
    function("toDate", 2, 2, |args| {
        args.text(0)?;
        args.text(1)?;
        Ok(to_date(args).unwrap_or_else(|_| string("0001-01-01 00:00:00 +0000 UTC")))
    }),
    function("unixEpoch", 1, 1, |args| Ok(string(moment(args.get(0)).timestamp().to_string()))),
];

fn now() -> Moment {
    Local::now().fixed_offset()
}

fn printed(moment: Moment) -> Value {
    let fraction = moment.format("%.f").to_string();
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    let zone = zone_name(&moment);
    string(format!(
        "{}{fraction} {} {zone}",
        moment.format("%Y-%m-%d %H:%M:%S"),
        moment.format("%z")
    ))
}

fn zone_name(moment: &Moment) -> String {
    if moment.offset().local_minus_utc() == 0 {
        "UTC".to_owned()
    } else {
        moment.format("%z").to_string()
    }
}

fn read(text: &str) -> Option<Moment> {
    let (text, _zone) = text.rsplit_once(' ')?;
    DateTime::parse_from_str(text, PRINTED).ok()
}

/// Seconds since 1970, a moment, or else now.
fn moment(value: &Value) -> Moment {
    let found = match value {
        Value::Int(seconds) => DateTime::from_timestamp(*seconds, 0).map(|at| at.fixed_offset()),
        Value::String(text) => read(text),
        _ => None,
    };
    found.unwrap_or_else(now)
}

fn modify(args: &Args<'_>) -> Answer {
    let at = moment(args.get(1));
    let ns = parse_duration(args.text(0)?).unwrap_or(0);
    Ok(printed(at.checked_add_signed(TimeDelta::nanoseconds(ns)).unwrap_or(at)))
}

fn to_date(args: &Args<'_>) -> Answer {
    let (layout, text) = (args.text(0)?, args.text(1)?);
    let parsed = go_time::parse(layout, text).and_then(|moment| moment.to_utc().rfc3339());
    let parsed = parsed.and_then(|text| DateTime::parse_from_rfc3339(&text).ok());
    let parsed =
        parsed.ok_or_else(|| format!("parsing time {text:?} as {layout:?}: cannot parse"))?;
    // Without a zone in the layout the text means local time.
    if layout.contains("MST") || layout.contains("-07") || layout.contains("Z07") {
        return Ok(printed(parsed));
    }
    let local: NaiveDateTime = parsed.naive_utc();
    Ok(printed(local.and_local_timezone(Local).earliest().map_or(parsed, |at| at.fixed_offset())))
}

fn formatted(layout: &str, value: &Value, zone: &str) -> Answer {
    let at = moment(value);
    let at = match zone {
        "Local" => at.with_timezone(&Local).fixed_offset(),
        "UTC" | "" | "Etc/UTC" | "GMT" => at.with_timezone(&Utc).fixed_offset(),
        other => {
            return Err(format!("the time zone {other:?} is not known: use \"UTC\" or \"Local\""));
        }
    };
    Ok(string(in_layout(layout, &at)))
}

/// The elements of a layout, longer ones first, and their form for chrono.
const ELEMENTS: &[(&str, &str)] = &[
    ("2006", "%Y"),
    ("January", "%B"),
    ("Monday", "%A"),
    ("Z07:00", "Z:"),
    ("Z0700", "Z"),
    ("-07:00", "%:z"),
    ("-0700", "%z"),
    ("Jan", "%b"),
    ("Mon", "%a"),
    ("MST", "MST"),
    ("002", "%j"),
    ("-07", "-07"),
    ("01", "%m"),
    ("02", "%d"),
    ("_2", "%e"),
    ("03", "%I"),
    ("04", "%M"),
    ("05", "%S"),
    ("06", "%y"),
    ("15", "%H"),
    ("PM", "%p"),
    ("pm", "%P"),
    ("1", "%-m"),
    ("2", "%-d"),
    ("3", "%-I"),
    ("4", "%-M"),
    ("5", "%-S"),
];

fn in_layout(layout: &str, at: &Moment) -> String {
    let mut out = String::new();
    let mut rest = layout;
    while let Some(first) = rest.chars().next() {
        if let Some((length, text)) = fraction(rest, at) {
            out.push_str(&text);
            rest = rest.get(length..).unwrap_or_default();
            continue;
        }
        match ELEMENTS.iter().find(|(element, _)| rest.starts_with(element)) {
            Some((element, form)) => {
                out.push_str(&match *form {
                    "MST" => zone_name(at),
                    "-07" => at.format("%z").to_string().chars().take(3).collect(),
                    "Z" | "Z:" if at.offset().local_minus_utc() == 0 => "Z".to_owned(),
                    "Z" => at.format("%z").to_string(),
                    "Z:" => at.format("%:z").to_string(),
                    form => at.format(form).to_string(),
                });
                rest = rest.get(element.len()..).unwrap_or_default();
            }
            None => {
                out.push(first);
                rest = rest.get(first.len_utf8()..).unwrap_or_default();
            }
        }
    }
    out
}

/// `.000` or `.999`, with a point or a comma: how long it is, and what stands for it.
fn fraction(layout: &str, at: &Moment) -> Option<(usize, String)> {
    let digits = layout.strip_prefix(['.', ','])?;
    let kind = digits.chars().next().filter(|digit| matches!(digit, '0' | '9'))?;
    let count = digits.chars().take_while(|digit| *digit == kind).count();
    if digits.chars().nth(count).is_some_and(|next| next.is_ascii_digit()) {
        return None;
    }
    let ns = format!("{:09}", at.timestamp_subsec_nanos());
    let shown = ns.get(..count.min(9)).unwrap_or_default();
    let separator = layout.get(..1).unwrap_or_default();
    let text = match kind {
        '0' => format!("{separator}{shown}"),
        _ => match shown.trim_end_matches('0') {
            "" => String::new(),
            shown => format!("{separator}{shown}"),
        },
    };
    Some((count + 1, text))
}

fn go_duration(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    format!("{sign}{}", Millis::from_ns(ns.unsigned_abs()))
}

/// The largest unit alone: `3d`, `2mo`.
fn rounded(ns: u64) -> String {
    const HOUR: u64 = 3_600_000_000_000;
    let units = [
        (HOUR * 24 * 365, "y"),
        (HOUR * 24 * 30, "mo"),
        (HOUR * 24, "d"),
        (HOUR, "h"),
        (HOUR / 60, "m"),
        (HOUR / 3600, "s"),
    ];
    let unit = units.iter().find(|(unit, _)| ns > *unit);
    unit.map_or_else(|| "0s".to_owned(), |(unit, name)| format!("{}{name}", ns / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_filled_in() {
        let at = DateTime::parse_from_rfc3339("2026-01-02T15:04:05.120+02:00").expect("a moment");
        for (layout, expected) in [
            ("2006-01-02T15:04:05Z07:00", "2026-01-02T15:04:05+02:00"),
            ("Mon, 2 Jan 06 3:04 PM -0700", "Fri, 2 Jan 26 3:04 PM +0200"),
            ("15h04m05.000s", "15h04m05.120s"),
            ("05.999999", "05.12"),
            ("January _2 (002)", "January  2 (002)"),
        ] {
            assert_eq!(in_layout(layout, &at), expected, "{layout}");
        }
    }

    #[test]
    fn a_moment_survives_its_text() {
        let at = DateTime::parse_from_rfc3339("2026-01-02T15:04:05.120Z").expect("a moment");
        let text = printed(at);
        assert_eq!(text.to_string(), "2026-01-02 15:04:05.12 +0000 UTC");
        assert_eq!(moment(&text), at);
        assert_eq!(rounded(3 * 86_400_000_000_000), "3d");
    }
}
