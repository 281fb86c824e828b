//! What installs Shoal says the same everywhere: chart and manifests, units, the package's files, the image.

use std::fs;
use std::path::Path;

use serde_json::Value;
use shoal::{config, features, plan};

use super::assert_none;
use super::examples::{folder, manifest, number, read, yaml};

fn text(name: &str) -> String {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
}

fn chart(name: &str) -> Value {
    let file = folder().join("deploy/helm/shoal").join(name);
    let mut documents = yaml(&read(&file)).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(documents.len(), 1, "{name}");
    documents.remove(0)
}

fn manifests() -> Vec<Value> {
    yaml(&read(&folder().join("deploy/kubernetes.yaml"))).expect("it is YAML")
}

/// The plan of a configuration that has no problems.
fn compiled(name: &str, text: &str) -> plan::Plan {
    let loaded = config::parse(name, text.as_bytes(), &[])
        .unwrap_or_else(|problems| panic!("{name}: {}", problems[0]));
    let compiled = plan::compile(&loaded.service, features::ALL, false)
        .unwrap_or_else(|problems| panic!("{name}: {}", problems[0]));
    let warnings = loaded.warnings.iter().chain(&compiled.warnings).map(ToString::to_string);
    assert_none(&format!("{name} has problems"), warnings.collect());
    compiled.plan
}

#[test]
fn the_version_is_the_same_everywhere() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(chart("Chart.yaml")["appVersion"], version);
    assert!(text("config/debian/changelog").starts_with(&format!("shoal ({version}-")));
    assert!(text("config/deploy/Containerfile").contains(&format!("ARG VERSION={version}\n")));
    let image = &manifest(&manifests(), "Deployment")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(image["image"], format!("registry.example/shoal:{version}"));
}

/// The chart with its defaults is what the manifests are.
#[test]
fn chart_and_manifests_decide_alike() {
    let (values, documents) = (chart("values.yaml"), manifests());
    let of = |kind: &str| manifest(&documents, kind)["spec"].clone();
    let written = manifest(&documents, "ConfigMap")["data"]["krakend.json"].clone();
    let parsed = |text: &Value| -> Value {
        serde_json::from_str(text.as_str().expect("a text")).expect("it is JSON")
    };
    assert_eq!(parsed(&values["config"]["inline"]), parsed(&written));

    let pod = of("Deployment")["template"]["spec"].clone();
    let container = &pod["containers"][0];
    for probe in ["readiness", "liveness", "startup"] {
        for (name, value) in container[format!("{probe}Probe")].as_object().expect("a probe") {
            let wanted = if name == "httpGet" { continue } else { &values["probes"][probe][name] };
            assert_eq!(value, wanted, "{probe} {name}");
        }
    }
    assert_eq!(container["env"][0]["value"], values["workers"]);
    assert_eq!(container["resources"]["requests"]["cpu"], values["workers"]);
    assert_eq!(container["resources"]["limits"], values["resources"]["limits"]);
    assert_eq!(pod["securityContext"]["runAsUser"], values["runAsUser"]);
    let spread = &pod["topologySpreadConstraints"][0];
    for name in ["topologyKey", "maxSkew", "whenUnsatisfiable"] {
        assert_eq!(spread[name], values["topologySpread"][0][name]);
    }

    let (scaler, scaling) = (of("HorizontalPodAutoscaler"), &values["autoscaling"]);
    assert_eq!(scaler["minReplicas"], scaling["minReplicas"]);
    assert_eq!(scaler["maxReplicas"], scaling["maxReplicas"]);
    let target = &scaler["metrics"][0]["resource"]["target"]["averageUtilization"];
    assert_eq!(*target, scaling["cpuUtilizationPercent"]);
    let budget = of("PodDisruptionBudget");
    assert_eq!(budget["maxUnavailable"], values["podDisruptionBudget"]["maxUnavailable"]);

    let plan = compiled("krakend.json", written.as_str().expect("a text"));
    let spare_ms = number(&values["drain"]["spareSeconds"]) * 1000;
    let grace_ms = number(&pod["terminationGracePeriodSeconds"]) * 1000;
    assert_eq!(grace_ms, plan.listen.lame_duck_ms + plan.listen.drain_ms + spare_ms);
    let existing = &values["config"]["existing"];
    assert_eq!(number(&existing["port"]), u64::from(plan.listen.port));
    assert_eq!(existing["readyPath"], container["readinessProbe"]["httpGet"]["path"]);
    assert_eq!(existing["lameDuck"], format!("{}s", plan.listen.lame_duck_ms / 1000));
    assert_eq!(existing["maxShutdownWaitTime"], format!("{}s", plan.listen.drain_ms / 1000));
}

/// Every value is in the schema, and the schema has no others.
#[test]
fn the_charts_schema_knows_its_values() {
    let schema = read(&folder().join("deploy/helm/shoal/values.schema.json"));
    let schema: Value = serde_json::from_str(&schema).expect("it is JSON");
    let mut findings = Vec::new();
    differing(&schema, &chart("values.yaml"), "", &mut findings);
    assert_none("values.yaml and values.schema.json differ", findings);
}

fn differing(schema: &Value, value: &Value, path: &str, findings: &mut Vec<String>) {
    let (Some(options), Some(values)) = (schema["properties"].as_object(), value.as_object())
    else {
        return;
    };
    for (name, value) in values {
        match options.get(name) {
            Some(option) => differing(option, value, &format!("{path}.{name}"), findings),
            None => findings.push(format!("the schema lacks {path}.{name}")),
        }
    }
    // Kinds of requests that the defaults do not make, and what a parent chart would hand down.
    let unset = [".global", ".resources.claims"];
    let missing = options.keys().map(|name| (name, format!("{path}.{name}")));
    let missing = missing
        .filter(|(name, path)| !values.contains_key(*name) && !unset.contains(&path.as_str()));
    findings.extend(missing.map(|(_, path)| format!("values.yaml lacks {path}")));
}

#[test]
fn instances_are_hardened_as_the_one_service_is() {
    let unit = |name: &str| text(&format!("config/systemd/{name}"));
    let alone = unit("shoal.service").replace("/etc/shoal/krakend.json", "/etc/shoal/%i.json");
    let own = ["Description=", "RuntimeDirectory=", "EnvironmentFile=-/etc/default/shoal-%i", "#"];
    let shared = |text: &str| {
        let lines = text.lines().filter(|line| !own.iter().any(|own| line.starts_with(own)));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let instance = unit("shoal@.service");
    assert_eq!(shared(&alone), shared(&instance));
    assert!(instance.contains("\nRuntimeDirectory=shoal-%i\n"));
    assert!(alone.lines().filter(|line| line.starts_with("Protect")).count() >= 8);
}

/// The configurations that these units and packages come with end before systemd's patience does.
#[test]
fn the_service_manager_waits_for_a_drain() {
    let unit = text("config/systemd/shoal.service");
    let stop = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec="));
    let stop_ms = stop.and_then(|text| text.parse::<u64>().ok()).expect("it is set") * 1000;
    for file in ["config/production.json", "config/debian/krakend.json"] {
        let listen = compiled(file, &text(file)).listen;
        assert!(listen.drain_ms > 0 && listen.lame_duck_ms + listen.drain_ms < stop_ms, "{file}");
    }
}

#[test]
fn the_package_starts_on_loopback() {
    let file = "config/debian/krakend.json";
    let written: Value = serde_json::from_str(&text(file)).expect("it is JSON");
    assert_eq!(written["listen_ip"], "127.0.0.1");
    let hosts = written["endpoints"][0]["backend"][0]["host"].as_array().expect("a list");
    let plan = compiled(file, &text(file));
    assert_eq!(hosts[0], format!("http://127.0.0.1:{}", plan.listen.port), "it asks itself");
}

/// Source and place of each file of the package.
fn assets() -> Vec<(String, String)> {
    let manifest: toml::Value = toml::from_str(&text("Cargo.toml")).expect("it is TOML");
    let assets = manifest["package"]["metadata"]["deb"]["assets"].as_array().expect("a list");
    let part = |value: &toml::Value| value.as_str().expect("a text").to_owned();
    assets.iter().map(|asset| (part(&asset[0]), part(&asset[1]))).collect()
}

#[test]
fn the_package_has_its_files() {
    let assets = assets();
    let package = text("scripts/package");
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut findings = Vec::new();
    for (source, _) in &assets {
        let made = source.strip_prefix("target/package/");
        // What scripts/package makes, it names; patterns stand for the files of a folder.
        let (place, name) = source.rsplit_once('/').unwrap_or((".", source));
        let is_there = match made {
            Some("man/*.1") => package.contains("--out \"$made/man\""),
            Some(made) => package.contains(&format!(">\"$made/{made}\"")),
            None if source == "target/release/shoal" => true,
            None if name.contains('*') => {
                fs::read_dir(top.join(place)).is_ok_and(|mut it| it.next().is_some())
            }
            None => top.join(source).exists(),
        };
        if !is_there {
            findings.push(source.clone());
        }
    }
    assert_none("these files of the package are nowhere", findings);

    // What the units and the documentation name must be where they look for it.
    let place = |wanted: &str| {
        assets.iter().any(|(source, place)| {
            let name = source.rsplit('/').next().unwrap_or(source);
            let whole = if place.ends_with('/') { format!("{place}{name}") } else { place.clone() };
            format!("/{whole}") == wanted
        })
    };
    for wanted in ["/usr/bin/shoal", "/etc/shoal/krakend.json", "/etc/default/shoal"] {
        assert!(place(wanted), "{wanted}");
        assert!(text("config/systemd/shoal.service").contains(wanted), "{wanted}");
    }
    for entry in fs::read_dir(folder().join("systemd")).expect("units") {
        let name = entry.expect("a unit").file_name().into_string().expect("UTF-8");
        assert!(place(&format!("/usr/lib/systemd/system/{name}")), "{name}");
    }
    let named = "/usr/share/doc/shoal/examples/production.json";
    assert!(place(named) && text("config/debian/krakend.json").contains(named));
}

#[test]
fn the_image_needs_no_rights() {
    let recipe = text("config/deploy/Containerfile");
    let last = recipe.rsplit("\nFROM ").next().expect("a stage");
    let pod = manifest(&manifests(), "Deployment")["spec"]["template"]["spec"].clone();
    let user = number(&pod["securityContext"]["runAsUser"]);
    let lines = [
        format!("USER {user}:{user}"),
        "STOPSIGNAL SIGTERM".to_owned(),
        "ENTRYPOINT [\"/usr/bin/shoal\"]".to_owned(),
        "CMD [\"run\", \"-c\", \"/etc/shoal/krakend.json\"]".to_owned(),
    ];
    for wanted in &lines {
        assert!(last.lines().any(|line| line == wanted), "{wanted}");
    }
    let rust = format!("docker.io/library/rust:{}-", env!("CARGO_PKG_RUST_VERSION"));
    assert!(recipe.contains(&rust), "{rust}");
}
