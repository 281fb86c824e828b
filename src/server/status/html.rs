//! The facts as one HTML page that needs nothing else: no script, no picture, no other file.

use std::fmt::{Display, Write};

use super::{EndpointFact, Facts, HostFact, now_text, uptime_text};

/// Follows the reader's choice of light or dark; tables scroll by themselves on a narrow screen.
const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1d2733; --dim: #5b6875; --ground: #f6f7f9; --card: #fff; --line: #dde2e8;
  --good: #14713d; --bad: #b3261e; --warn: #8a5a00; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e3e8ee; --dim: #97a3b0; --ground: #12171d; --card: #1a2129; --line: #2c3641;
    --good: #5fd08c; --bad: #ff8a80; --warn: #f0b95a; }
}
* { box-sizing: border-box; }
body { margin: 0; padding: 1.5rem; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 75rem; margin: 0 auto; }
h1 { font-size: 1.4rem; margin: 0 0 1rem; }
h2 { font-size: 1.05rem; margin: 1.75rem 0 .5rem; }
.tiles { display: grid; gap: .75rem; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); }
.tile, .table { background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
.tile { padding: .6rem .9rem; }
.tile b { display: block; font-size: 1.05rem; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.tile span, footer, .none { color: var(--dim); font-size: .85rem; }
.table { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .4rem .9rem; border-bottom: 1px solid var(--line); }
tr:last-child td { border-bottom: 0; }
th { color: var(--dim); font-weight: 600; font-size: .85rem; white-space: nowrap; }
td.number { width: 12rem; font-variant-numeric: tabular-nums; }
code { font: .9em ui-monospace, monospace; white-space: nowrap; }
.good { color: var(--good); } .bad { color: var(--bad); } .warn { color: var(--warn); }
pre { margin: 0; padding: .6rem .9rem; white-space: pre-wrap; overflow-wrap: anywhere; }
footer { margin-top: 2rem; }
";

/// A text in its place in a page: what would be markup is not.
struct Escaped<T>(T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for letter in self.0.to_string().chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

pub fn page(facts: &Facts) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Shoal status</title><style>{STYLE}</style></head><body><main>\n<h1>Shoal {}</h1>\n",
        Escaped(facts.version)
    );
    tiles(&mut out, facts);
    problems(&mut out, facts);
    endpoints(&mut out, &facts.endpoints);
    let upstreams = facts.upstreams.iter().map(|upstream| {
        [code(&upstream.origin), number(upstream.idle), number(upstream.busy)].concat()
    });
    table(&mut out, "Upstreams", &["Host", "Idle connections", "Busy connections"], upstreams);
    let hosts = facts.hosts.iter().map(host);
    let heads = ["Host", "State", "Ejections", "Checks passed", "Checks failed"];
    table(&mut out, "Hosts that are watched", &heads, hosts);
    let breakers = facts.breakers.iter().map(|breaker| {
        let class = match breaker.state {
            "closed" => "good",
            "open" => "bad",
            _ => "warn",
        };
        format!("{}<td class=\"{class}\">{}</td>", code(&breaker.name), Escaped(breaker.state))
    });
    table(&mut out, "Circuit breakers", &["Breaker", "State"], breakers);
    let limits = facts.limits.iter().map(|limit| {
        let value = limit.value.map_or_else(|| cell("default"), number);
        [code(limit.name), value].concat()
    });
    table(&mut out, "Limits", &["Option of shoal/limits", "Value"], limits);
    let counters = facts
        .counters
        .iter()
        .map(|counter| [code(counter.name), cell(&counter.labels), number(counter.value)].concat());
    table(&mut out, "What was refused", &["Counter", "Labels", "Count"], counters);
    let _ = writeln!(
        out,
        "<footer>{}. The same for programs: <a href=\"/__admin.json\">/__admin.json</a></footer>\n</main></body></html>",
        Escaped(now_text())
    );
    out
}

fn host(host: &HostFact) -> String {
    let class = match host.state {
        "up" => "good",
        "returning" => "warn",
        _ => "bad",
    };
    let more = match (host.ejected_ms, host.share_percent) {
        (Some(left_ms), _) => format!(" for {left_ms} ms"),
        (_, Some(percent)) => format!(" with {percent} % of its share"),
        _ => String::new(),
    };
    let count = |count: Option<u64>| count.map_or_else(|| cell("not checked"), number);
    [
        code(&host.origin),
        format!("<td class=\"{class}\">{}{more}</td>", Escaped(host.state)),
        number(host.ejections),
        count(host.checks_passed),
        count(host.checks_failed),
    ]
    .concat()
}

fn tiles(out: &mut String, facts: &Facts) {
    let mib = facts.memory.resident_bytes / (1024 * 1024);
    let tiles = [
        ("uptime", uptime_text(facts.uptime_s)),
        ("listens on", facts.listen.clone()),
        ("driver", facts.driver.clone()),
        ("workers", facts.workers.to_string()),
        ("resident memory", format!("{mib} MiB")),
        ("open descriptors", facts.memory.descriptors.to_string()),
        ("client connections", facts.client_connections.to_string()),
        ("requests in flight", facts.requests_in_flight.to_string()),
        ("process", facts.pid.to_string()),
    ];
    out.push_str("<div class=\"tiles\">\n");
    for (name, value) in tiles {
        let _ =
            writeln!(out, "<div class=\"tile\"><b>{}</b><span>{name}</span></div>", Escaped(value));
    }
    out.push_str("</div>\n");
}

fn problems(out: &mut String, facts: &Facts) {
    out.push_str("<h2>Configuration</h2>\n");
    if facts.problems.is_empty() {
        out.push_str("<p class=\"good\">No problem was found.</p>\n");
    }
    for problem in &facts.problems {
        let _ = writeln!(
            out,
            "<div class=\"table\"><pre class=\"warn\">{}</pre></div>",
            Escaped(problem)
        );
    }
}

fn endpoints(out: &mut String, endpoints: &[EndpointFact]) {
    let rows = endpoints.iter().map(|endpoint| {
        let mut backends = String::new();
        for backend in &endpoint.backends {
            let mark = match (backend.is_shadow, backend.is_cached) {
                (true, _) => " (shadow)",
                (_, true) => " (cached)",
                _ => "",
            };
            let _ = write!(
                backends,
                "<div>{} <code>{}</code> at <code>{}</code>{mark}</div>",
                Escaped(&backend.method),
                Escaped(&backend.pattern),
                Escaped(backend.hosts.join(", "))
            );
        }
        let sealed = endpoint.sealed.map_or_else(String::new, |status| {
            format!("<div class=\"bad\">answers everything with {status}</div>")
        });
        format!(
            "{}<td><code>{}</code>{sealed}</td>{}<td>{backends}</td>",
            cell(&endpoint.method),
            Escaped(&endpoint.path),
            number(endpoint.timeout_ms),
        )
    });
    table(out, "Endpoints", &["Method", "Path", "Timeout, ms", "Backends"], rows);
}

fn table(
    out: &mut String,
    title: &str,
    heads: &[&str],
    rows: impl ExactSizeIterator<Item = String>,
) {
    let _ = writeln!(out, "<h2>{title}</h2>");
    if rows.len() == 0 {
        out.push_str("<p class=\"none\">none</p>\n");
        return;
    }
    out.push_str("<div class=\"table\"><table><tr>");
    for head in heads {
        let _ = write!(out, "<th>{head}</th>");
    }
    out.push_str("</tr>\n");
    for row in rows {
        let _ = writeln!(out, "<tr>{row}</tr>");
    }
    out.push_str("</table></div>\n");
}

fn cell(text: &str) -> String {
    format!("<td>{}</td>", Escaped(text))
}

fn code(text: &str) -> String {
    format!("<td><code>{}</code></td>", Escaped(text))
}

fn number(value: impl Display) -> String {
    format!("<td class=\"number\">{value}</td>")
}
