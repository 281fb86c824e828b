//! A table of the places that allocate, from the backtraces of the counted thread.

use std::backtrace::Backtrace;
use std::collections::HashMap;

/// Rows of the table; the rest is small.
const ROWS_MAX: usize = 40;

#[derive(Default)]
struct Row {
    times: usize,
    bytes: usize,
}

/// Prints for each place, most frequent first, how often one of the `requests` allocates there, and how many bytes.
pub fn print(places: Vec<(usize, Backtrace)>, requests: u32) {
    let mut rows: HashMap<String, Row> = HashMap::new();
    for (bytes, trace) in places {
        let row = rows.entry(place(&trace.to_string())).or_default();
        row.times += 1;
        row.bytes += bytes;
    }
    let mut rows: Vec<_> = rows.into_iter().collect();
    rows.sort_by(|(place, row), (other_place, other)| {
        other.times.cmp(&row.times).then_with(|| place.cmp(other_place))
    });
    let each = |count: usize| count as f64 / f64::from(requests);
    println!("\n| times | bytes | place |\n|---|---|---|");
    for (place, Row { times, bytes }) in rows.into_iter().take(ROWS_MAX) {
        println!("| {:.2} | {:.0} | {place} |", each(times), each(bytes));
    }
}

/// The innermost lines of this project in a backtrace, and the function of another crate that they called, if any.
fn place(trace: &str) -> String {
    let mut lines = trace.lines().map(str::trim).peekable();
    let mut called = None;
    let mut own = Vec::new();
    while let Some(line) = lines.next() {
        let Some((_, function)) = line.split_once(": ") else { continue };
        let at = lines.next_if(|next| next.starts_with("at ")).map_or("", |at| &at[3..]);
        if let Some(at) = at.strip_prefix("./src/") {
            own.push(format!("src/{}", at.rsplit_once(':').map_or(at, |(at, _)| at)));
        } else if own.is_empty() && !is_of_the_library(function) && !at.starts_with("./tests/") {
            called.get_or_insert_with(|| function.to_owned());
        }
        if own.len() == 3 {
            break;
        }
    }
    let called = called.map_or(String::new(), |called| format!(" ({called})"));
    format!("{}{called}", own.join(" < "))
}

fn is_of_the_library(function: &str) -> bool {
    let function = function.trim_start_matches('<');
    ["alloc::", "core::", "std::", "__rust", "allocations::", "hashbrown::"]
        .iter()
        .any(|start| function.starts_with(start))
}
