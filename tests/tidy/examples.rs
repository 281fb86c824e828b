//! The files of config/ that others read: each is what its ending says, and the manifests fit the configuration in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use granit_parser::{Event, Parser};
use serde_json::{Map, Value};
use shoal::{config, features, plan};

use super::assert_none;

pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

/// All files below `folder` with one of these endings, but templates, which are no YAML yet.
fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("config can be read") {
        let path = entry.expect("config can be read").path();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !path.ends_with("templates") {
                found.extend(files(&path, endings));
            }
        } else if endings.contains(&ending) {
            found.push(path);
        }
    }
    found
}

pub(super) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All documents of a YAML file; every scalar is a text. Aliases are not looked for.
pub(super) fn yaml(text: &str) -> Result<Vec<Value>, String> {
    let (mut documents, mut open) = (Vec::new(), Vec::new());
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|error| error.to_string())?;
        let whole = match event {
            Event::Scalar(text, ..) => Some(Value::from(text.as_ref())),
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                let is_map = matches!(event, Event::MappingStart(..));
                open.push((is_map, Vec::new()));
                None
            }
            Event::MappingEnd | Event::SequenceEnd => open
                .pop()
                .map(|(is_map, parts)| if is_map { object(parts) } else { Value::Array(parts) }),
            Event::Alias(_) => return Err("an alias".to_owned()),
            _ => None,
        };
        match (whole, open.last_mut()) {
            (Some(value), Some((_, parts))) => parts.push(value),
            (Some(value), None) => documents.push(value),
            (None, _) => {}
        }
    }
    Ok(documents)
}

/// Keys and values in turn.
fn object(parts: Vec<Value>) -> Value {
    let pairs = parts.chunks_exact(2);
    let named =
        pairs.map(|pair| (pair[0].as_str().unwrap_or_default().to_owned(), pair[1].clone()));
    Value::Object(named.collect::<Map<_, _>>())
}

#[test]
fn every_file_can_be_read() {
    let mut findings = Vec::new();
    let json = files(&folder(), &["json"]);
    let manifests = files(&folder(), &["yaml", "yml"]);
    assert!(json.len() >= 5 && manifests.len() >= 2, "the examples are gone");
    for path in json {
        if let Err(error) = serde_json::from_str::<Value>(&read(&path)) {
            findings.push(format!("{}: {error}", path.display()));
        }
    }
    for path in manifests {
        match yaml(&read(&path)) {
            Ok(documents) if documents.iter().all(Value::is_object) && !documents.is_empty() => {}
            Ok(_) => findings.push(format!("{}: not all documents are objects", path.display())),
            Err(error) => findings.push(format!("{}: {error}", path.display())),
        }
    }
    assert_none("these files of config/ cannot be read", findings);
}

/// The manifests of one kind.
pub(super) fn manifest(documents: &[Value], kind: &str) -> Value {
    let found = documents.iter().find(|document| document["kind"] == kind);
    found.unwrap_or_else(|| panic!("kubernetes.yaml has no {kind}")).clone()
}

pub(super) fn number(value: &Value) -> u64 {
    let text = value.as_str().unwrap_or_default();
    text.parse().unwrap_or_else(|_| panic!("{value} is no number"))
}

/// Probes, ports and times of the manifests against the configuration that they hold.
#[test]
fn kubernetes_asks_for_what_the_node_has() {
    let documents = yaml(&read(&folder().join("deploy/kubernetes.yaml"))).expect("it is YAML");
    let map = manifest(&documents, "ConfigMap");
    let text = map["data"]["krakend.json"].as_str().expect("the configuration is there");
    let loaded = config::parse("krakend.json", text.as_bytes(), &[]).expect("it can be read");
    let compiled = plan::compile(&loaded.service, features::ALL, false);
    let compiled = compiled.unwrap_or_else(|problems| panic!("{}", problems[0]));
    let warnings = loaded.warnings.iter().chain(&compiled.warnings);
    assert_none("its configuration has problems", warnings.map(ToString::to_string).collect());

    let plan = compiled.plan;
    let deployment = manifest(&documents, "Deployment");
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let ports = container["ports"].as_array().expect("a list");
    let port = |name: &str| {
        let found = ports.iter().find(|port| port["name"] == name);
        number(&found.unwrap_or_else(|| panic!("no port {name}"))["containerPort"])
    };
    assert_eq!(port("http"), u64::from(plan.listen.port));
    let scraped = loaded.service.extra_config.get("telemetry/opentelemetry");
    let scraped = &scraped.expect("it is measured").value["exporters"]["prometheus"][0]["port"];
    assert_eq!(scraped.as_u64(), Some(port("metrics")));

    let grace_ms = number(&pod["terminationGracePeriodSeconds"]) * 1000;
    let (lame_duck_ms, drain_ms) = (plan.listen.lame_duck_ms, plan.listen.drain_ms);
    assert!(
        drain_ms > 0 && grace_ms > lame_duck_ms + drain_ms,
        "{grace_ms} {lame_duck_ms} {drain_ms}"
    );
    let ready = &container["readinessProbe"];
    assert_eq!(ready["httpGet"]["path"], "/__ready");
    // Two looks that fail, and the way of the news to all proxies.
    let noticed_ms = number(&ready["periodSeconds"]) * number(&ready["failureThreshold"]) * 1000;
    assert!(lame_duck_ms > noticed_ms, "{lame_duck_ms} {noticed_ms}");
    for probe in ["livenessProbe", "startupProbe"] {
        assert_eq!(container[probe]["httpGet"]["path"], "/__health", "{probe}");
    }
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], "true");
    assert_eq!(pod["securityContext"]["runAsNonRoot"], "true");

    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    let selectors = [
        manifest(&documents, "Service")["spec"]["selector"].clone(),
        manifest(&documents, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"].clone(),
        deployment["spec"]["selector"]["matchLabels"].clone(),
    ];
    for selector in selectors {
        for (name, value) in selector.as_object().expect("labels") {
            assert_eq!(&labels[name], value, "the label {name}");
        }
    }
    let scaled = &manifest(&documents, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"];
    assert_eq!(*scaled, deployment["metadata"]["name"]);
}

/// Where nginx is installed, it says itself whether its recipe is right.
#[test]
fn nginx_takes_its_recipe() {
    let recipe = read(&folder().join("deploy/nginx.conf"));
    // The names are those of somebody else's network.
    let recipe = (1..=4).fold(recipe, |recipe, node| {
        recipe.replace(&format!(" node{node}:8080"), &format!(" 127.0.0.1:{}", 8080 + node))
    });
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tidy-nginx");
    fs::create_dir_all(&place).expect("a folder can be made");
    let file = place.join("nginx.conf");
    fs::write(&file, recipe).expect("a file can be written");
    let program = if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" };
    let alone = "pid nginx.pid; error_log stderr;";
    let asked = Command::new(program)
        .arg("-t")
        .arg("-p")
        .arg(&place)
        .args(["-g", alone, "-c"])
        .arg(&file)
        .output();
    let Ok(answer) = asked else {
        println!("nginx is not installed: nothing was tried");
        return;
    };
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
}

/// The configurations that a page shows are such, and say nothing that has no effect.
#[test]
fn configurations_of_the_page_on_hosts_that_fail_are_right() {
    let page = folder().with_file_name("docs").join("resilience.md");
    let text = read(&page);
    let examples: Vec<&str> =
        text.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 4, "the examples are gone");
    let mut findings = Vec::new();
    for example in examples {
        let loaded = config::parse("krakend.json", example.as_bytes(), &[]);
        let loaded = loaded.unwrap_or_else(|problems| panic!("{}\n{example}", problems[0]));
        findings.extend(loaded.warnings.iter().map(ToString::to_string));
        match plan::compile(&loaded.service, features::ALL, false) {
            Ok(compiled) => findings.extend(compiled.warnings.iter().map(ToString::to_string)),
            Err(problems) => findings.extend(problems.iter().map(ToString::to_string)),
        }
    }
    assert_none("examples of docs/resilience.md have problems", findings);
}
