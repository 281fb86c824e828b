//! The configuration reference, `docs/configuration.md`, as text.

use super::{Entry, Section, sections};

/// The whole page.
pub fn reference() -> String {
    let shown = sections().iter().filter(|section| section.built);
    let parts: Vec<String> = shown.flat_map(parts).collect();
    parts.join("\n\n") + "\n"
}

/// Heading, text, table, text: what there is of them.
fn parts(section: &Section) -> Vec<String> {
    let mut parts = vec![
        section.heading.clone(),
        section.before.clone(),
        table(section),
        section.after.clone(),
    ];
    for part in &mut parts {
        part.truncate(part.trim_end().len());
    }
    parts.retain(|part| !part.is_empty());
    parts
}

fn table(section: &Section) -> String {
    let shown: Vec<&Entry> = section.options.iter().filter(|entry| !entry.hidden).collect();
    if shown.is_empty() {
        return String::new();
    }
    let last = if section.last_column.is_empty() { "a wrong value" } else { &section.last_column };
    let mut lines = vec![
        row(&["key", "type", "default", "meaning", last]),
        "| --- | --- | --- | --- | --- |".to_owned(),
    ];
    lines.extend(shown.into_iter().map(|entry| {
        let keys: Vec<String> = entry.keys.iter().map(|key| format!("`{key}`")).collect();
        row(&[&keys.join(", "), &entry.type_text, &entry.default, &entry.meaning, &entry.wrong])
    }));
    lines.join("\n")
}

fn row(cells: &[&str]) -> String {
    let mut row = "|".to_owned();
    for cell in cells {
        if !cell.is_empty() {
            row.push(' ');
            row.push_str(cell);
        }
        row.push_str(" |");
    }
    row
}
