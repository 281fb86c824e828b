//! `check-plugin` and `test-plugin`: Go plugins cannot be loaded, and these commands say what to use in their place.

use std::path::Path;
use std::process::ExitCode;

use super::FAILED;
use super::args::{CheckPlugin, TestPlugin};
use super::terminal::{Colour, Terminal};

/// Why no plugin works here.
const WHY: &str = "Go plugins cannot be loaded: they are part of a Go program, and Shoal is none.";
/// What a plugin of one's own becomes.
const INSTEAD: &str = "In place of a plugin of your own: a script (modifier/lua-backend, see docs/lua.md), \
    a built-in component (see docs/configuration.md), or a service of your own behind the gateway.";

/// Plugins that many use, and what does the same here. Names are compared with the file's.
const KNOWN: &[(&str, &str)] = &[
    ("basic-auth", "auth/validator with tokens; passwords are not checked by the gateway"),
    ("bot", "security/bot-detector"),
    ("circuit", "qos/circuit-breaker"),
    ("content-replacer", "modifier/lua-backend"),
    ("cors", "security/cors"),
    ("geoip", "a proxy in front that sets a header, which input_headers passes on"),
    ("http-logger", "telemetry/logging"),
    ("http-proxy", "host of the backend: name the proxied service itself"),
    ("ip-filter", "a firewall, or a proxy in front"),
    ("jwk-aggregator", "auth/validator with a list of validators"),
    ("jwt", "auth/validator"),
    ("oauth", "auth/client-credentials"),
    ("rate", "qos/ratelimit/router and qos/ratelimit/proxy"),
    ("response-schema-validator", "modifier/lua-backend"),
    ("static-filesystem", "a backend with a file server"),
    ("url-rewrite", "endpoint and url_pattern"),
    ("virtualhost", "one gateway for each host, or a proxy in front"),
    ("wildcard", "path parameters, as in /files/{name}"),
];

pub fn check_plugin(options: &CheckPlugin, terminal: &Terminal) -> ExitCode {
    if let Err(error) = std::fs::File::open(&options.sum) {
        return fail(terminal, &[&format!("open {}: {error}", options.sum.display())]);
    }
    let mut lines = vec![WHY.to_owned()];
    lines.push(format!(
        "There is nothing to compare {} with: no module of Go is built in.",
        options.sum.display()
    ));
    if let Some(go) = &options.go {
        lines.push(format!("Go {go} makes no difference."));
    }
    if let Some(libc) = &options.libc {
        lines.push(format!("The C library {libc} makes no difference."));
    }
    if options.format {
        lines.push("No command would mend it.".to_owned());
    }
    lines.push(INSTEAD.to_owned());
    fail(terminal, &lines)
}

pub fn test_plugin(options: &TestPlugin, terminal: &Terminal) -> ExitCode {
    if options.files.is_empty() {
        return fail(terminal, &["no plugin: give the paths of the files to try"]);
    }
    let kinds =
        [(options.server, "SERVER"), (options.client, "CLIENT"), (options.modifier, "MODIFIER")];
    if !kinds.iter().any(|(is_asked, _)| *is_asked) {
        return fail(
            terminal,
            &["no kind of plugin: give one or more of --server, --client, --modifier"],
        );
    }
    let mut lines = Vec::new();
    for file in &options.files {
        for (_, kind) in kinds.iter().filter(|(is_asked, _)| *is_asked) {
            lines.push(format!("[KO] {kind}\t{}: {}", file.display(), fate(file)));
        }
    }
    for file in &options.files {
        lines.extend(instead(file).map(|hint| format!("{}: use {hint}", file.display())));
    }
    lines.push(WHY.to_owned());
    lines.push(INSTEAD.to_owned());
    fail(terminal, &lines)
}

fn fate(file: &Path) -> &'static str {
    if file.exists() { "not loaded" } else { "no such file" }
}

/// What to use in place of a plugin whose file is named after what it does.
fn instead(file: &Path) -> Option<&'static str> {
    let name = file.file_stem()?.to_str()?.to_ascii_lowercase().replace('_', "-");
    KNOWN.iter().find(|(known, _)| name.contains(known)).map(|(_, hint)| *hint)
}

fn fail(terminal: &Terminal, lines: &[impl AsRef<str>]) -> ExitCode {
    for line in lines {
        terminal.line(terminal.paint(Colour::Red, line.as_ref()));
    }
    ExitCode::from(FAILED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features;

    #[test]
    fn plugins_are_known_by_their_files_names() {
        let hint = |file: &str| instead(Path::new(file));
        assert_eq!(hint("/plugins/Basic_Auth.so"), hint("basic-auth.so"));
        assert!(hint("krakend-cors.so").is_some_and(|hint| hint == "security/cors"));
        assert_eq!(hint("mine.so"), None);
    }

    #[test]
    fn hints_name_components_that_are_there() {
        let words = KNOWN.iter().flat_map(|(_, hint)| hint.split([' ', ';', ',']));
        for word in words.chain(INSTEAD.split([' ', ',', '('])) {
            let folder = word.split('/').next().unwrap_or("");
            if ["auth", "qos", "security", "modifier", "telemetry"].contains(&folder) {
                let is_known = features::ALL.iter().any(|feature| feature.namespace() == word);
                assert!(is_known, "{word} is no namespace");
            }
        }
    }
}
