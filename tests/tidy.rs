//! House rules that neither the compiler nor a lint checks: who may import whom, and what stands where.
//!
//! The tables are the rules; src/ARCHITECTURE.md explains them.

/// The example of all options has all options.
#[path = "tidy/all_features.rs"]
mod all_features;
/// The configuration reference names what the code reads.
#[path = "tidy/configuration.rs"]
mod configuration;
/// What installs Shoal says the same everywhere.
#[path = "tidy/deploy.rs"]
mod deploy;
/// The other files of config/ can be read by those they are for.
#[path = "tidy/examples.rs"]
mod examples;
/// The registry of options names what the features read.
#[path = "tidy/registry.rs"]
mod registry;
/// The page of messages quotes what the code prints.
#[path = "tidy/troubleshooting.rs"]
mod troubleshooting;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Which folders of src a folder may import. `main.rs` and `lib.rs` are free.
const ARROWS: &[(&str, &[&str])] = &[
    ("message", &[]),
    ("json", &[]),
    ("config", &["json"]),
    ("shared", &[]),
    ("net", &["shared"]),
    ("wire", &["net", "message", "json"]),
    ("upstream", &["wire", "net", "message", "shared"]),
    ("stage", &["upstream", "wire", "net", "message", "json", "shared"]),
    ("control", &["shared", "config"]),
    ("plan", &["stage", "control", "upstream", "config", "message", "json", "shared"]),
    ("engine", &["plan", "stage", "upstream", "wire", "net", "message", "json", "shared"]),
    ("features", &["plan", "stage", "control", "config", "wire", "message", "json", "shared"]),
    (
        "server",
        &[
            "features", "engine", "plan", "control", "stage", "upstream", "wire", "net", "shared",
            "config", "json", "message",
        ],
    ),
    ("cli", &["server", "plan", "control", "config", "features", "message"]),
];

/// Words that may stand only in files whose path starts with one of these.
const PLACES: &[(&str, &[&str])] = &[
    ("monoio", &["net/", "wire/", "upstream/", "server/core.rs"]),
    ("tokio", &["control/", "shared/"]),
    ("unsafe", &["net/", "json/", "wire/http1/parse/scan/"]),
];

/// What would hold up a core, or let one core wait for another, and the folders that cores run.
const DATA_PLANE: &[&str] =
    &["message/", "json/", "net/", "wire/", "upstream/", "stage/", "engine/"];
const BANNED_THERE: &[(&str, &[&str])] = &[
    ("std::fs", &["net/driver.rs", "net/memory.rs"]),
    ("thread::sleep", &[]),
    ("to_socket_addrs", &[]),
    ("Instant::now", &["net/clock.rs"]),
    ("Mutex", &[]),
    ("RwLock", &[]),
    ("yield_now", &[]),
];

/// Never, anywhere in src.
const BANNED: &[&str] = &["todo!", "unimplemented!", "dbg!"];

struct Source {
    /// Relative to src, with `/`.
    path: String,
    text: String,
}

impl Source {
    fn folder(&self) -> &str {
        self.path.split_once('/').map_or("", |(folder, _)| folder)
    }

    fn is_test_file(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// Lines of code with their numbers: no comments, and no test module at the end of the file.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = if self.is_test_file() {
            0
        } else {
            self.text.find("#[cfg(test)]\nmod ").unwrap_or(self.text.len())
        };
        self.text[..end].lines().enumerate().map(|(index, line)| (index + 1, without_comment(line)))
    }

    fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path.starts_with(place))
    }
}

fn without_comment(line: &str) -> &str {
    let code = line.trim_start();
    if code.starts_with("//") {
        return "";
    }
    // `//` in a text, as in a URL, follows a colon.
    line.match_indices("//")
        .find(|(place, _)| !line[..*place].ends_with(':'))
        .map_or(line, |(place, _)| &line[..place])
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    collect(&root(), "", &mut sources);
    assert!(!sources.is_empty(), "no sources found");
    sources
}

fn collect(folder: &Path, prefix: &str, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("src can be read") {
        let entry = entry.expect("src can be read");
        let name = entry.file_name().into_string().expect("names are UTF-8");
        let path = format!("{prefix}{name}");
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{path}/"), sources);
        } else if is_rust(&name) {
            let text = fs::read_to_string(entry.path()).expect("sources are UTF-8");
            sources.push(Source { path, text });
        }
    }
}

fn is_rust(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "rs")
}

#[track_caller]
fn assert_none(rule: &str, mut findings: Vec<String>) {
    findings.sort();
    assert!(findings.is_empty(), "{rule}:\n  {}\n", findings.join("\n  "));
}

/// Whether `word` stands in `line` and is not part of a longer name.
fn has_word(line: &str, word: &str) -> bool {
    let is_name = |character: char| character.is_alphanumeric() || character == '_';
    line.match_indices(word).any(|(place, _)| {
        !line[..place].ends_with(is_name) && !line[place + word.len()..].starts_with(is_name)
    })
}

#[test]
fn imports_follow_the_arrows() {
    let mut findings = Vec::new();
    for source in sources().iter().filter(|source| !source.folder().is_empty()) {
        let Some((_, allowed)) = ARROWS.iter().find(|(folder, _)| *folder == source.folder())
        else {
            findings.push(format!("src/{}: a folder without a row in the table", source.path));
            continue;
        };
        for (index, line) in source.text.lines().enumerate() {
            for (place, _) in without_comment(line).match_indices("crate::") {
                let rest = &line[place + "crate::".len()..];
                let name: String =
                    rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if name != source.folder() && !allowed.contains(&name.as_str()) {
                    findings.push(format!("src/{}:{}: {}", source.path, index + 1, line.trim()));
                }
            }
        }
    }
    assert_none("these imports are against the arrows", findings);
}

#[test]
fn features_do_not_know_each_other() {
    let mut findings = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| source.folder() == "features" && source.path != "features/mod.rs")
    {
        let own = own_feature_folder(&source.path);
        for (index, line) in source.text.lines().enumerate() {
            let line = without_comment(line);
            let own_part =
                own.as_ref().is_some_and(|own| line.contains(&format!("crate::features::{own}")));
            if line.contains("crate::features::") && !own_part {
                findings.push(format!("src/{}:{}: {}", source.path, index + 1, line.trim()));
            }
        }
    }
    assert_none("features meet in the exchange, they do not import each other", findings);
}

/// `auth::jwk` for a file of the folder features/auth/jwk: the parts of one feature.
fn own_feature_folder(path: &str) -> Option<String> {
    let inner = path.strip_prefix("features/")?;
    let (folder, _) = inner.rsplit_once('/')?;
    folder.contains('/').then(|| folder.replace('/', "::"))
}

#[test]
fn words_stand_only_in_their_places() {
    let mut findings = Vec::new();
    for source in &sources() {
        for (line_number, line) in source.code() {
            for (word, _) in
                PLACES.iter().filter(|(word, places)| has_word(line, word) && !source.is_in(places))
            {
                findings.push(format!(
                    "{word} in src/{}:{line_number}: {}",
                    source.path,
                    line.trim()
                ));
            }
        }
    }
    assert_none("these words have their places", findings);
}

#[test]
fn cores_neither_block_nor_lock() {
    let mut findings = Vec::new();
    for source in sources().iter().filter(|source| source.is_in(DATA_PLANE)) {
        for (line_number, line) in source.code() {
            for (word, _) in BANNED_THERE
                .iter()
                .filter(|(word, free)| has_word(line, word) && !source.is_in(free))
            {
                findings.push(format!(
                    "{word} in src/{}:{line_number}: {}",
                    source.path,
                    line.trim()
                ));
            }
        }
    }
    assert_none("nothing on a core's path may block or lock", findings);
}

#[test]
fn nothing_is_left_unfinished_or_unwrapped() {
    let mut findings = Vec::new();
    for source in &sources() {
        for (line_number, line) in source.code() {
            let banned = BANNED.iter().copied().find(|word| line.contains(word));
            if let Some(word) = banned.or_else(|| line.contains(".unwrap()").then_some("unwrap()"))
            {
                findings.push(format!(
                    "{word} in src/{}:{line_number}: {}",
                    source.path,
                    line.trim()
                ));
            }
        }
        for (index, line) in source.text.lines().enumerate() {
            if line.trim() == "#[ignore]" {
                findings.push(format!(
                    "ignore without a reason in src/{}:{}",
                    source.path,
                    index + 1
                ));
            }
        }
    }
    assert_none("unfinished or careless", findings);
}

#[test]
fn every_file_says_what_it_is() {
    let opens_well =
        |text: &str| text.starts_with("//! ") || text.starts_with("#![doc = include_str!(");
    let findings =
        sources().into_iter().filter(|source| !source.is_test_file() && !opens_well(&source.text));
    assert_none(
        "these files do not open with a sentence",
        findings.map(|s| format!("src/{}", s.path)).collect(),
    );
}

#[test]
fn every_file_belongs_to_a_module() {
    let sources = sources();
    let declared: BTreeSet<String> = sources.iter().flat_map(declared_modules).collect();
    let is_root = |path: &str| path == "lib.rs" || path == "main.rs";
    let findings =
        sources.iter().filter(|source| !is_root(&source.path) && !declared.contains(&source.path));
    assert_none(
        "these files are compiled by nobody",
        findings.map(|s| format!("src/{}", s.path)).collect(),
    );
}

/// The files that the `mod` lines of a source name, in both spellings.
fn declared_modules(source: &Source) -> Vec<String> {
    let is_root = matches!(source.path.as_str(), "lib.rs" | "main.rs");
    let folder = match source.path.strip_suffix("/mod.rs") {
        _ if is_root => String::new(),
        Some(folder) => format!("{folder}/"),
        None => format!("{}/", source.path.trim_end_matches(".rs")),
    };
    let mut files = Vec::new();
    for line in source.text.lines().map(without_comment) {
        let words = line.trim().strip_suffix(';').and_then(|line| line.rsplit_once("mod "));
        if let Some((before, name)) = words
            && (before.is_empty() || before.starts_with("pub") || before.ends_with(' '))
        {
            let name = name.trim_start_matches("r#");
            files.push(format!("{folder}{name}.rs"));
            files.push(format!("{folder}{name}/mod.rs"));
        }
    }
    files
}

#[test]
fn every_namespace_has_the_file_of_its_name() {
    let mut findings = Vec::new();
    let sources = sources();
    let registry = sources.iter().find(|source| source.path == "features/mod.rs");
    for source in sources.iter().filter(|source| source.folder() == "features") {
        for namespace in namespaces(&source.text) {
            let expected = file_of(namespace);
            if source.path != "features/mod.rs" && source.path != expected {
                findings.push(format!(
                    "{namespace} lives in src/{} and belongs into src/{expected}",
                    source.path
                ));
            }
            let module =
                expected.trim_start_matches("features/").trim_end_matches(".rs").replace('/', "::");
            if registry.is_some_and(|registry| !registry.text.contains(&format!("{module}::"))) {
                findings.push(format!("{namespace} is not in the registry of src/features/mod.rs"));
            }
        }
    }
    assert_none("a feature's file has its namespace's name", findings);
}

/// What the `fn namespace` functions of a file return.
fn namespaces(text: &str) -> impl Iterator<Item = &str> {
    text.split("fn namespace(").skip(1).filter_map(|rest| {
        let body = rest.split_once('{')?.1;
        body[..body.find('}')?].split('"').nth(1)
    })
}

/// `qos/ratelimit/router` → `features/qos/ratelimit_router.rs`.
fn file_of(namespace: &str) -> String {
    let name = namespace.replace('-', "_");
    match name.split_once('/') {
        Some((folder, rest)) => {
            let folder = if folder == "async" { "async_" } else { folder };
            format!("features/{folder}/{}.rs", rest.replace('/', "_"))
        }
        None => format!("features/{name}.rs"),
    }
}

#[test]
fn files_that_the_architecture_names_exist() {
    let path = root().join("ARCHITECTURE.md");
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = text.split('`').skip(1).step_by(2).filter(|name| {
        is_rust(name) && !name.contains(char::is_whitespace) && !name.contains(['*', '<', '{'])
    });
    let findings = names.filter(|name| !root().join(name).exists() && !top.join(name).exists());
    assert_none(
        "ARCHITECTURE.md names files that do not exist",
        findings.map(str::to_owned).collect(),
    );
}
