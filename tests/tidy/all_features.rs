//! config/all-features.json: every option that is built stands in it, and all of it is right.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use shoal::config::registry::{self, Section};
use shoal::config::{self, lint};
use shoal::{features, plan};

use super::assert_none;

const FILE: &str = "config/all-features.json";

/// Options that cannot stand in an example without a warning, or at all.
const LEFT_OUT: &[(&str, &str, &str)] = &[
    ("backend", "timeout", "has no effect, and the start warns of it"),
    ("security/http@service", "hpkp_public_key", "has no effect, and the start warns of it"),
    ("validation/cel@endpoint", "mod_expr", "has no effect, and the start warns of it"),
    ("validation/cel@backend", "mod_expr", "has no effect, and the start warns of it"),
    (
        "redis@service",
        "connection_pools[].tls.client_certs",
        "needs files with a key, of which there are none here",
    ),
    (
        "redis@service",
        "connection_pools[].tls.client_certs[].certificate",
        "needs files with a key, of which there are none here",
    ),
    (
        "redis@service",
        "connection_pools[].tls.client_certs[].private_key",
        "needs files with a key, of which there are none here",
    ),
    ("redis@service", "clusters", "is refused because it is not built"),
    ("telemetry/logging@service", "backend", "is told, and is refused because it is not built"),
    ("telemetry/opentelemetry@endpoint", "backend", "is told, and has no effect there"),
    ("telemetry/opentelemetry@backend", "proxy", "is told, and has no effect there"),
    ("telemetry/opentelemetry@backend", "global", "is told, and has no effect there"),
];

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE)
}

fn text() -> String {
    fs::read_to_string(path()).expect("the example can be read")
}

/// The members of a list; nothing else has any.
fn each(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Where an object of the registry stands in the file.
fn instances<'f>(file: &'f Value, object: &str) -> Vec<&'f Value> {
    let endpoints: Vec<&Value> = each(&file["endpoints"]).collect();
    let backends = endpoints.iter().flat_map(|endpoint| each(&endpoint["backend"]));
    match object.rsplit_once('@') {
        None => match object {
            "root" => vec![file],
            "endpoint" => endpoints,
            "backend" => backends.collect(),
            part => file.get(part).into_iter().collect(),
        },
        Some((namespace, scope)) => {
            let levels: Vec<&Value> = match scope {
                "service" => vec![file],
                "endpoint" => endpoints,
                "backend" => backends.collect(),
                other => panic!("blocks at {other} are not looked for: mend this test"),
            };
            let blocks = levels.iter().filter_map(|level| level["extra_config"].get(namespace));
            // Some blocks are lists of what the registry describes.
            blocks
                .flat_map(|block| {
                    block.as_array().map_or_else(|| vec![block], |all| all.iter().collect())
                })
                .collect()
        }
    }
}

/// Whether a key of the registry, `exporters.otlp[].name`, is there.
fn has(object: &Value, key: &str) -> bool {
    let (name, rest) = key.split_once('.').map_or((key, None), |(name, rest)| (name, Some(rest)));
    let (name, is_list) = name.strip_suffix("[]").map_or((name, false), |name| (name, true));
    let Some(value) = object.get(name) else { return false };
    match rest {
        None => true,
        Some(rest) if is_list => each(value).any(|entry| has(entry, rest)),
        Some(rest) => has(value, rest),
    }
}

/// All keys of a section, those that it shares with another object included.
fn keys(section: &Section) -> Vec<&str> {
    let shared = match section.same_as.as_str() {
        "" => Vec::new(),
        other => registry::of_object(other).into_iter().flat_map(keys).collect(),
    };
    let own = section.options.iter().flat_map(|entry| &entry.keys).map(String::as_str);
    shared.into_iter().chain(own).collect()
}

#[test]
fn every_built_option_is_in_the_example() {
    let file: Value = serde_json::from_str(&text()).expect("the example is JSON");
    let mut findings = Vec::new();
    let mut seen = 0;
    let built = registry::sections().iter().filter(|section| section.built);
    for section in built.filter(|section| !section.object.is_empty()) {
        let object = section.object.as_str();
        let places = instances(&file, object);
        for key in keys(section) {
            let is_left_out = LEFT_OUT.iter().any(|(of, name, _)| (*of, *name) == (object, key));
            match places.iter().any(|place| has(place, key)) {
                false if !is_left_out => findings.push(format!("{object}: no {key}")),
                true if is_left_out => {
                    findings.push(format!("{object}: {key} is listed as left out"));
                }
                _ => seen += 1,
            }
        }
    }
    for (object, key, _) in LEFT_OUT {
        if !registry::of_object(object).into_iter().any(|section| keys(section).contains(key)) {
            findings.push(format!("{object}: {key} is listed as left out and no option"));
        }
    }
    assert!(seen > 350, "only {seen} options are looked at, so the search is broken");
    assert_none(&format!("{FILE} and src/config/registry differ"), findings);
}

/// The file is read as `check --lint` reads it, once more with its encryption switched on.
#[test]
fn the_example_is_right() {
    let plain = text();
    let encrypted = plain.replace("\"disabled\": true", "\"disabled\": false");
    assert_ne!(plain, encrypted, "the example has no tls.disabled any more");
    for text in [plain, encrypted] {
        // Its files are named from the repository's root.
        let loaded = config::parse(FILE, text.as_bytes(), &[]).expect("it can be read");
        let mut problems = loaded.warnings;
        match plan::compile(&loaded.service, features::ALL, false) {
            Ok(compiled) => problems.extend(compiled.warnings),
            Err(found) => problems.extend(found),
        }
        problems.extend(lint::with_own_schema(&loaded.document).expect("the schema compiles"));
        let problems = problems.iter().map(ToString::to_string).collect();
        assert_none(&format!("{FILE} has problems"), problems);
    }
}
