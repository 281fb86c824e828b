//! The registry of options against the features, and the reference that is made of it.

use std::fs;
use std::path::Path;

use shoal::config::registry;
use shoal::features;
use shoal::plan::feature::Scope;

use super::assert_none;

/// The word of a scope in the names of the registry's objects.
fn word(scope: Scope) -> &'static str {
    match scope {
        Scope::Service => "service",
        Scope::Endpoint => "endpoint",
        Scope::Backend => "backend",
    }
}

#[test]
fn every_feature_has_its_members_in_the_registry() {
    let mut findings = Vec::new();
    for feature in features::ALL {
        for scope in feature.scopes() {
            let object = format!("{}@{}", feature.namespace(), word(*scope));
            let Some(members) = feature.members(*scope) else { continue };
            if registry::of_object(&object).is_empty() {
                findings.push(format!("{object} is not in src/config/registry"));
                continue;
            }
            let keys = registry::keys_of(&object);
            let only = |some: &[&str], others: &[&str]| -> Vec<String> {
                some.iter()
                    .filter(|key| !others.contains(*key))
                    .map(|key| (*key).to_owned())
                    .collect()
            };
            for key in only(members, &keys) {
                findings.push(format!(
                    "{object}: {key} is a member of the feature and not in the registry"
                ));
            }
            for key in only(&keys, members) {
                findings.push(format!(
                    "{object}: {key} is in the registry and no member of the feature"
                ));
            }
        }
    }
    assert_none("src/config/registry and the features differ", findings);
}

#[test]
fn every_namespace_is_in_the_registry() {
    let mut findings = Vec::new();
    for feature in features::ALL {
        let is_known = |scope: &Scope| {
            !registry::of_object(&format!("{}@{}", feature.namespace(), word(*scope))).is_empty()
        };
        let is_agents = !registry::of_object(&format!("{}@agent", feature.namespace())).is_empty();
        if !is_agents && !feature.scopes().iter().any(is_known) {
            findings.push(feature.namespace().to_owned());
        }
    }
    assert_none("these namespaces are not in src/config/registry", findings);
}

/// `SHOAL_BLESS=1` writes the page.
#[test]
fn the_reference_is_made_of_the_registry() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let made = registry::reference();
    if std::env::var_os("SHOAL_BLESS").is_some() {
        fs::write(&path, &made).expect("the page can be written");
    }
    let page = fs::read_to_string(&path).expect("the page can be read");
    let differs = page.lines().zip(made.lines()).position(|(page, made)| page != made);
    let line = differs.unwrap_or_else(|| page.lines().count().min(made.lines().count()));
    let at = |text: &str| text.lines().nth(line).unwrap_or_default().to_owned();
    assert!(
        page == made,
        "docs/configuration.md:{}: the page has\n  {}\nand the registry\n  {}\nedit src/config/registry and run with SHOAL_BLESS=1",
        line + 1,
        at(&page),
        at(&made)
    );
}
