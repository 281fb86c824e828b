//! docs/configuration.md against the code: every key that is read has its row, and every row a reader.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;
use shoal::features;
use shoal::plan::feature::Scope;

use super::{Source, assert_none, sources};

type Keys = BTreeSet<String>;

/// Headings of the reference, and the file of `src/config` that reads the keys below them.
const LEVELS: &[(&[&str], &str)] = &[
    (&["## Root", "### Clients", "### Upstreams", UNBUILT_PARTS], "config/defaults.rs"),
    (&["## Endpoints"], "config/endpoint.rs"),
    (&["## Backends"], "config/backend.rs"),
];
const UNBUILT_PARTS: &str = "### Parts of the root that are not built";
/// The headings whose rows are the members of objects that are read by a table.
const SHAPED: &[&str] = &["### `tls` at the root", "### `client_tls` at the root"];
/// Where the tables of objects that are kept as JSON stand.
const SHAPES: &[&str] = &["config/shape.rs", "config/agent.rs"];

static CODE: LazyLock<Regex> = LazyLock::new(|| regex("`([^`]+)`"));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant that compiles")
}

fn found(pattern: &Regex, text: &str) -> Keys {
    pattern.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

/// The code of one file without comments and tests.
fn code(sources: &[Source], path: &str) -> String {
    let source = sources.iter().find(|source| source.path == path);
    bare(source.unwrap_or_else(|| panic!("src/{path} is gone: mend this test")))
}

fn bare(source: &Source) -> String {
    source.code().flat_map(|(_, line)| [line, "\n"]).collect()
}

/// The reference, cut at its headings.
struct Reference {
    text: String,
}

impl Reference {
    fn read() -> Reference {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
        Reference { text: fs::read_to_string(path).expect("the reference can be read") }
    }

    /// What stands below a heading, up to the next one.
    fn section(&self, heading: &str) -> &str {
        let start = self.text.find(&format!("\n{heading}\n"));
        let start = start.unwrap_or_else(|| panic!("no heading {heading:?} in the reference"));
        let body = &self.text[start + heading.len() + 2..];
        &body[..body.find("\n#").unwrap_or(body.len())]
    }

    /// The names in the first column of the tables below a heading.
    fn rows(&self, heading: &str) -> Keys {
        let rows = self.section(heading).lines().filter_map(|line| line.strip_prefix("| "));
        rows.flat_map(|row| found(&CODE, row.split('|').next().unwrap_or_default())).collect()
    }
}

/// Says of both sets what only one has.
fn compare(heading: &str, rows: &Keys, read: &Keys, findings: &mut Vec<String>) {
    assert!(!read.is_empty(), "{heading}: no reader found, so the search is broken");
    let said = |key: &String, what: &str| format!("{heading}: {key} {what}");
    findings.extend(read.difference(rows).map(|key| said(key, "is read and has no row")));
    findings.extend(rows.difference(read).map(|key| said(key, "has a row and is not read")));
}

#[test]
fn the_reference_names_every_key_and_no_other() {
    let sources = sources();
    let reference = Reference::read();
    let mut findings = Vec::new();
    levels(&sources, &reference, &mut findings);
    shapes(&sources, &reference, &mut findings);
    blocks(&sources, &reference, &mut findings);
    variables(&sources, &reference, &mut findings);
    flags(&sources, &reference, &mut findings);
    assert_none("docs/configuration.md and the code differ", findings);
}

fn levels(sources: &[Source], reference: &Reference, findings: &mut Vec<String>) {
    let readers =
        found(&regex(r"pub fn (\w+)\(&mut self, key: &"), &code(sources, "config/fields.rs"));
    let names = readers.into_iter().collect::<Vec<_>>().join("|");
    let reading = regex(&format!(r#"\.(?:{names})\(\s*"(\w+)""#));
    for (headings, file) in LEVELS {
        let code = code(sources, file);
        let mut read = found(&reading, &code);
        if code.contains(".extra_config()") {
            read.insert("extra_config".to_owned());
        }
        let mut rows: Keys = headings.iter().flat_map(|heading| reference.rows(heading)).collect();
        if *file == "config/defaults.rs" {
            rows.extend(without_effect(reference));
        }
        compare(headings[0], &rows, &read, findings);
    }
}

/// The keys of the root that are listed in a sentence.
fn without_effect(reference: &Reference) -> Keys {
    let list = reference.section("### Upstreams").split_once("without effect:");
    found(&CODE, list.expect("the sentence is there").1)
}

fn shapes(sources: &[Source], reference: &Reference, findings: &mut Vec<String>) {
    let member = regex(r#"Member\(\s*"(\w+)""#);
    let read = SHAPES.iter().flat_map(|file| found(&member, &code(sources, file))).collect();
    let rows = reference.section(UNBUILT_PARTS).lines().filter_map(|line| line.strip_prefix("| "));
    let inside = rows.flat_map(|row| found(&CODE, row.split('|').nth(1).unwrap_or_default()));
    let shaped = SHAPED.iter().flat_map(|heading| reference.rows(heading));
    let last = |key: String| key.rsplit('.').next().unwrap_or_default().to_owned();
    compare(UNBUILT_PARTS, &inside.chain(shaped.map(last)).collect(), &read, findings);
}

/// The namespaces of the registry, and what their blocks may hold.
fn blocks(sources: &[Source], reference: &Reference, findings: &mut Vec<String>) {
    let registry = code(sources, "features/mod.rs");
    let unbuilt = found(&regex(r#"unbuilt\("([^"]+)""#), &registry);
    let not_built = "### Known and not built";
    let listed =
        found(&CODE, reference.section(not_built).rsplit("\n\n").next().unwrap_or_default());
    compare(not_built, &listed, &unbuilt, findings);

    let (mut inner, mut below) = (Keys::new(), Keys::new());
    for feature in features::ALL.iter().filter(|feature| !unbuilt.contains(feature.namespace())) {
        for scope in [Scope::Service, Scope::Endpoint, Scope::Backend] {
            let Some(members) =
                feature.members(scope).filter(|_| feature.scopes().contains(&scope))
            else {
                continue;
            };
            let heading = format!("### `{}` at {}", feature.namespace(), scope.name());
            let (outer, deeper): (Keys, Keys) =
                reference.rows(&heading).into_iter().partition(|key| !key.contains('.'));
            let members = members.iter().map(|member| (*member).to_owned()).collect();
            compare(&heading, &outer, &members, findings);
            let last = |key: &String| key.rsplit('.').next().unwrap_or_default().to_owned();
            below.extend(deeper.iter().map(last));
            inner.extend(outer.iter().chain(&deeper).map(last));
            // `error_body` has its two keys in its own row.
            inner.extend(found(&regex(r"`error_body\.(\d+)`"), reference.section(&heading)));
        }
    }
    let decoded = decoded(sources);
    for key in decoded.difference(&inner) {
        findings.push(format!("a block's key {key} is decoded and has no row"));
    }
    for key in below.difference(&decoded) {
        findings.push(format!("a block's key {key} has a row and is not decoded"));
    }
}

/// The fields of the structs that blocks are decoded into.
fn decoded(sources: &[Source]) -> Keys {
    let structs = regex(r"(?s)derive\([^)]*Deserialize[^)]*\)\][^{;]*struct \w+ \{(.*?)\n\}");
    let field = regex(r#"(?m)(?:rename = "([^"]+)"\)\]\s*)?^\s*(?:pub )?(\w+): "#);
    let mut keys = Keys::new();
    let places = ["features/", "plan/"];
    for source in sources.iter().filter(|source| source.is_in(&places)) {
        let text = bare(source);
        for body in structs.captures_iter(&text) {
            let fields = field.captures_iter(&body[1]);
            keys.extend(fields.filter_map(|field| {
                field.get(1).or(field.get(2)).map(|name| name.as_str().to_owned())
            }));
        }
    }
    keys
}

fn variables(sources: &[Source], reference: &Reference, findings: &mut Vec<String>) {
    let variable = regex(r#""((?:SHOAL|KRAKEND|FC|NO|USAGE|OTEL)_[A-Z_]*)""#);
    let code = sources.iter().flat_map(Source::code).map(|(_, line)| line);
    let read: Keys = code.flat_map(|line| found(&variable, line)).collect();
    let rows = reference.rows("## Environment");
    let rows = rows.into_iter().map(|name| name.trim_end_matches('…').to_owned()).collect();
    compare("## Environment", &rows, &read, findings);
}

/// The long flags; clap makes them of the fields' names where no other is given.
fn flags(sources: &[Source], reference: &Reference, findings: &mut Vec<String>) {
    let code = code(sources, "cli/args.rs");
    let commands = regex(r"(?s)pub struct (\w+) \{(.*?)\n\}");
    let flag = regex(r"(?s)#\[arg\((.*?)\)\]\s*pub (\w+):");
    let is_long = regex(r"\blong\b");
    let named = regex(r#"\blong = "([^"]+)""#);
    let mut read = Keys::new();
    for command in commands.captures_iter(&code) {
        let flags = flag.captures_iter(&command[2]).filter(|flag| is_long.is_match(&flag[1]));
        read.extend(flags.map(|flag| match named.captures(&flag[1]) {
            Some(name) => format!("--{}", &name[1]),
            None => format!("--{}", flag[2].replace('_', "-")),
        }));
    }
    let rows = reference.rows("## Command line").into_iter().filter(|flag| flag.starts_with("--"));
    compare("## Command line", &rows.collect(), &read, findings);
}
