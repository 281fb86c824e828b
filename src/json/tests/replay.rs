//! The recorded cases of endpoints with one backend: its body, decoded and edited, must be what clients got.

use std::path::PathBuf;

use serde_json::Value;

use super::{meaning, written};
use crate::json::{self, Decoder, Document, Edit, EditSpec, FlatmapOp, tree};

/// What a case needs from this folder: how to read, how to edit, which render.
struct Call<'c> {
    decoder: Decoder,
    edit: Edit,
    output: &'c str,
    body: Vec<u8>,
}

fn folder() -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let places = [root.join("tests/conformance/cases"), root.join("../shared/conformance/cases")];
    std::env::var_os("SHOAL_CASES")
        .map(PathBuf::from)
        .into_iter()
        .chain(places)
        .find(|folder| folder.is_dir())
}

fn text<'v>(object: &'v Value, key: &str) -> &'v str {
    object[key].as_str().unwrap_or_default()
}

fn texts(value: &Value) -> Vec<String> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|text| text.as_str().map(str::to_owned))
        .collect()
}

/// The values of `{x}` if the path fits the pattern.
fn fit(pattern: &str, path: &str) -> Option<Vec<(String, String)>> {
    let (pattern, path): (Vec<_>, Vec<_>) =
        (pattern.split('/').collect(), path.split('/').collect());
    let mut values = Vec::new();
    for (wanted, have) in pattern.iter().zip(&path) {
        if wanted.starts_with('{') {
            values.push(((*wanted).to_owned(), (*have).to_owned()));
        } else if wanted != have {
            return None;
        }
    }
    (pattern.len() == path.len()).then_some(values)
}

fn flatmap(extra: &Value) -> Option<Vec<FlatmapOp>> {
    let Value::Object(blocks) = extra else { return Some(Vec::new()) };
    let proxy = extra.get("proxy").and_then(Value::as_object)?;
    if blocks.len() != 1 || proxy.keys().any(|key| key != "flatmap_filter") {
        return None;
    }
    let operation =
        |op: &Value| FlatmapOp { kind: text(op, "type").to_owned(), args: texts(&op["args"]) };
    Some(proxy["flatmap_filter"].as_array()?.iter().map(operation).collect())
}

/// `None`: the exchange needs other parts of the gateway.
fn call<'c>(case: &'c Value, exchange: &Value) -> Option<Call<'c>> {
    let request = &exchange["request"];
    if request["method"] != "GET" || exchange.get("times").is_some() {
        return None;
    }
    let endpoints = case["config"]["endpoints"].as_array()?;
    let (endpoint, values) = endpoints.iter().find_map(|endpoint| {
        Some((endpoint, fit(text(endpoint, "endpoint"), text(request, "path"))?))
    })?;
    let [backend] = endpoint["backend"].as_array()?.as_slice() else { return None };
    // An unknown render is the one named like the backend's encoding.
    let output = endpoint
        .get("output_encoding")
        .unwrap_or(&case["config"]["output_encoding"])
        .as_str()
        .unwrap_or_default();
    let output = match (output, text(backend, "encoding")) {
        ("fast-json" | "bogus", encoding @ ("string" | "yaml")) => encoding,
        ("fast-json" | "bogus", _) => "json",
        (output, _) => output,
    };
    flatmap(&endpoint["extra_config"])?;
    if !matches!(output, "" | "json" | "json-collection" | "string")
        || matches!(text(backend, "encoding"), "xml" | "rss")
    {
        return None;
    }
    let path =
        values.iter().fold(text(backend, "url_pattern").to_owned(), |path, (name, value)| {
            path.replace(name, value)
        });
    let route = &case["upstream"]["routes"][format!("GET {path}")];
    if !matches!(route["status"].as_u64(), Some(200 | 201))
        || route.get("drop").is_some()
        || route.get("delay_ms").is_some()
    {
        return None;
    }
    let is_packed =
        route["headers"].as_array().into_iter().flatten().any(|pair| pair[0] == "Content-Encoding");
    let body = match &route["body"] {
        _ if is_packed => return None,
        Value::Null => String::new(),
        Value::String(body) => body.clone(),
        other => other.to_string(),
    };
    let mapping = backend["mapping"].as_object().into_iter().flatten();
    let spec = EditSpec {
        target: text(backend, "target").to_owned(),
        allow: texts(&backend["allow"]),
        deny: texts(&backend["deny"]),
        mapping: mapping
            .map(|(from, to)| (from.clone(), to.as_str().unwrap().to_owned()))
            .collect(),
        group: text(backend, "group").to_owned(),
        flatmap: flatmap(&backend["extra_config"])?,
    };
    let decoder = Decoder::named(text(backend, "encoding"), backend["is_collection"] == true);
    Some(Call { decoder, edit: Edit::compile(&spec), output, body: body.into_bytes() })
}

/// The case files are read by our own reader: one of them is nested deeper than `serde_json` goes.
fn plain(value: json::Value) -> Value {
    match value {
        json::Value::Null | json::Value::Struct(_) | json::Value::Typed(_) => Value::Null,
        json::Value::Bool(flag) => flag.into(),
        json::Value::Number(number) => {
            let mut text = Vec::new();
            json::write_value(&json::Value::Number(number), &mut text);
            serde_json::from_slice(&text).unwrap()
        }
        json::Value::String(text) => text.into(),
        json::Value::Array(list) => list.into_iter().map(plain).collect(),
        json::Value::Object(map) => {
            map.into_iter().map(|(key, value)| (key, plain(value))).collect()
        }
    }
}

fn rendered(document: &Document, output: &str) -> String {
    match output {
        "json-collection" => {
            let mut out = Vec::new();
            if document.write_member("collection", &mut out) {
                String::from_utf8(out).unwrap()
            } else {
                "[]".to_owned()
            }
        }
        "string" => match document.get("content") {
            Some(json::Value::String(text)) => text,
            _ => String::new(),
        },
        _ => written(document),
    }
}

fn check(name: &str, call: &Call<'_>, expect: &Value) {
    let document = call.decoder.decode(call.body.clone(), false).map(|mut document| {
        call.edit.apply(&mut document).unwrap();
        document
    });
    let Ok(document) = document else {
        assert_eq!(expect["status"], 500, "{name}: {document:?}");
        return;
    };
    assert_eq!(expect["status"], 200, "{name}: {document:?}");
    let have = rendered(&document, call.output);
    match (expect.get("json"), expect["text"].as_str()) {
        (Some(json), _) => assert_eq!(&plain(tree::parse(have.as_bytes())), json, "{name}"),
        (None, Some(text)) if call.output == "string" => assert_eq!(have, text, "{name}"),
        (None, Some(text)) if !text.is_empty() && !text.contains("1e400") => {
            assert_eq!(meaning(&have), meaning(text), "{name}");
        }
        _ => {}
    }
    let is_complete = expect["headers"]["x-krakend-completed"][0] == "true";
    assert_eq!(!document.is_empty(), is_complete, "{name}: completed");
}

#[test]
fn bodies_of_recorded_cases_are_decoded_and_edited_as_recorded() {
    let Some(folder) = folder() else {
        println!("left out: no recorded cases (set SHOAL_CASES)");
        return;
    };
    let mut compared = 0;
    for file in ["transform", "encoding", "proxy"]
        .iter()
        .flat_map(|part| std::fs::read_dir(folder.join(part)).unwrap())
    {
        let path = file.unwrap().path();
        let case = plain(tree::parse(&std::fs::read(&path).unwrap()));
        for exchange in case["exchanges"].as_array().into_iter().flatten() {
            if let Some(call) = call(&case, exchange) {
                check(
                    &format!("{}: {}", path.display(), text(exchange, "name")),
                    &call,
                    &exchange["expect"],
                );
                compared += 1;
            }
        }
    }
    println!("{compared} recorded answers compared");
    assert!(compared >= 150, "only {compared} recorded answers compared");
}
