//! docs/troubleshooting.md against the code: every message that it quotes is one that the program prints.

use std::fs;
use std::path::Path;

use super::{assert_none, sources};

/// The headings whose first column quotes messages.
const HEADINGS: &[&str] = &["## The start", "## While it runs", "## Calls to upstreams"];

#[test]
fn quoted_messages_stand_in_the_source() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/troubleshooting.md");
    let page = fs::read_to_string(path).expect("the page can be read");
    let code = code();
    let mut findings = Vec::new();
    let mut quoted = 0;
    for heading in HEADINGS {
        let start = page.find(&format!("\n{heading}\n"));
        let start = start.unwrap_or_else(|| panic!("no heading {heading:?}")) + heading.len() + 2;
        let section = &page[start..];
        let section = &section[..section.find("\n## ").unwrap_or(section.len())];
        for message in section.lines().filter_map(message) {
            quoted += 1;
            // What changes is not in the source; a piece of a letter or two says nothing.
            for piece in message.split('…').filter(|piece| piece.trim().len() > 2) {
                if !code.contains(piece.trim()) {
                    findings.push(format!("{heading}: {piece:?} of {message:?}"));
                }
            }
        }
    }
    assert!(quoted > 20, "only {quoted} messages found, so the search is broken");
    assert_none("the program prints no such message", findings);
}

/// The message of a row.
fn message(row: &str) -> Option<&str> {
    let (message, _) = row.strip_prefix("| `")?.split_once("` |")?;
    Some(message)
}

/// All code, texts that span lines made one.
fn code() -> String {
    let mut all = String::new();
    for source in sources() {
        let mut continues = false;
        for (_, line) in source.code() {
            let line = if continues { line.trim_start() } else { line };
            continues = line.ends_with('\\');
            all.push_str(line.strip_suffix('\\').unwrap_or(line));
            if !continues {
                all.push('\n');
            }
        }
    }
    all
}
