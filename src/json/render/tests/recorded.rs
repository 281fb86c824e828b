//! The recorded conformance cases, as far as one backend's body and an encoding decide the answer.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::plain;
use crate::json::render::{Render, collection};
use crate::json::{Map, Value, rss, xml};

/// The project's cases, or those in the folder that `SHOAL_CASES` names.
fn cases() -> PathBuf {
    let ours = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/cases"));
    match std::env::var("SHOAL_CASES") {
        Err(_) => ours.to_path_buf(),
        Ok(_) if ours.is_dir() => ours.to_path_buf(),
        Ok(folder) => folder.into(),
    }
}

#[test]
fn recorded_answers_come_out_the_same_in_every_encoding() {
    let mut count = 0;
    let mut wrong = Vec::new();
    for group in std::fs::read_dir(cases()).expect("the folder of cases") {
        let group = group.expect("a folder").path();
        for file in std::fs::read_dir(group).expect("a folder of cases") {
            let file = file.expect("a file").path();
            let text = std::fs::read_to_string(&file).expect("a case");
            // A case about depth is too deep for the reader here.
            let Ok(case) = serde_json::from_str::<Json>(&text) else { continue };
            for exchange in case["exchanges"].as_array().into_iter().flatten() {
                let Some(found) = replay(&case, exchange) else { continue };
                count += 1;
                let wanted = expected(exchange);
                if found != wanted {
                    wrong.push(format!(
                        "{} {}: found {found:?}\n  wanted {wanted:?}",
                        file.display(),
                        exchange["name"]
                    ));
                }
            }
        }
    }
    println!("{count} exchanges replayed");
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= 50, "only {count} exchanges could be replayed");
}

/// Status, content type and body; a JSON body with its members sorted.
#[derive(Debug, PartialEq)]
struct Answer {
    status: u64,
    content_type: String,
    body: String,
}

fn expected(exchange: &Json) -> Answer {
    let expect = &exchange["expect"];
    let content_type = expect["headers"]["content-type"][0].as_str().unwrap_or_default().to_owned();
    let body = match expect["text"].as_str() {
        Some(text) => text.to_owned(),
        None => expect["json"].to_string(),
    };
    let body = if content_type.starts_with("application/json") { sorted(&body) } else { body };
    Answer { status: expect["status"].as_u64().unwrap_or_default(), content_type, body }
}

fn sorted(body: &str) -> String {
    plain::write(&plain::read(body))
}

/// What comes of an exchange; nothing where more than one backend's body and an encoding have a say.
fn replay(case: &Json, exchange: &Json) -> Option<Answer> {
    const OTHERS: [&str; 8] = [
        "extra_config",
        "target",
        "allow",
        "deny",
        "mapping",
        "input_headers",
        "input_query_strings",
        "method",
    ];
    let request = &exchange["request"];
    let path = request["path"].as_str()?;
    let endpoints = case["config"]["endpoints"].as_array()?;
    let endpoint = endpoints.iter().find(|endpoint| endpoint["endpoint"] == path)?;
    let [backend] = endpoint["backend"].as_array()?.as_slice() else { return None };
    let is_plain = |value: &Json| OTHERS.iter().all(|name| value.get(name).is_none());
    if !is_plain(endpoint)
        || !is_plain(backend)
        || request["method"] != "GET"
        || case["config"].get("extra_config").is_some()
    {
        return None;
    }
    let encoding = backend["encoding"].as_str();
    let output =
        endpoint["output_encoding"].as_str().or(case["config"]["output_encoding"].as_str());
    let render = match Render::named(output.unwrap_or("json"), encoding) {
        Render::Negotiate => Render::negotiate(accept(request).as_deref().map(str::as_bytes)),
        Render::NoOp => return None,
        render => render,
    };
    if render == Render::Json && !matches!(encoding, Some("xml" | "rss" | "string" | "XML")) {
        return None;
    }
    let route = &case["upstream"]["routes"][format!("GET {}", backend["url_pattern"].as_str()?)];
    let body = upstream_body(route)?;
    let is_collection = backend["is_collection"] == true;
    let Ok(data) = decode(&encoding.unwrap_or("json").to_lowercase(), is_collection, &body)? else {
        return Some(Answer { status: 500, content_type: String::new(), body: String::new() });
    };
    let data = match backend["group"].as_str() {
        Some(group) => Map::from([(group.to_owned(), Value::Object(data))]),
        None => data,
    };
    Some(Answer {
        status: 200,
        content_type: render.content_type()?.to_owned(),
        body: written(render, data),
    })
}

fn written(render: Render, data: Map) -> String {
    match render {
        Render::Json => sorted(&plain::write(&Value::Object(data))),
        Render::JsonCollection => {
            collection(Some(&data)).map_or("[]".into(), |list| sorted(&plain::write(list)))
        }
        _ => {
            let mut out = Vec::new();
            render.render_map(Some(&data), &mut out);
            String::from_utf8(out).expect("text")
        }
    }
}

fn accept(request: &Json) -> Option<String> {
    let headers = request["headers"].as_array()?;
    let accept = headers.iter().find(|header| header[0] == "Accept")?;
    accept[1].as_str().map(str::to_owned)
}

fn upstream_body(route: &Json) -> Option<Vec<u8>> {
    if route["status"].as_u64().is_some_and(|status| status != 200)
        || route.is_null()
        || route.is_array()
        || route.get("delay_ms").is_some()
    {
        return None;
    }
    if let Some(raw) = route["raw"].as_str() {
        // A character is a byte here.
        let bytes: Vec<u8> =
            raw.chars().filter_map(|character| u8::try_from(u32::from(character)).ok()).collect();
        let start = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        return Some(bytes[start + 4..].to_vec());
    }
    match &route["body"] {
        Json::Null => Some(Vec::new()),
        Json::String(text) => Some(text.as_bytes().to_vec()),
        other => Some(other.to_string().into_bytes()),
    }
}

/// The backend's data, or that there is none; nothing for what is not an encoding's matter.
fn decode(encoding: &str, is_collection: bool, body: &[u8]) -> Option<Result<Map, ()>> {
    let wrapped = |name: &str, value| Map::from([(name.to_owned(), value)]);
    let text = String::from_utf8_lossy(body).into_owned();
    Some(match encoding {
        "xml" => match xml::decode(body) {
            Ok(map) if is_collection => Ok(wrapped("collection", Value::Object(map))),
            other => other.map_err(drop),
        },
        "rss" => rss::decode(body).map_err(drop),
        "string" => Ok(wrapped("content", Value::String(text))),
        // Bodies that are not JSON are another test's matter.
        "json" if serde_json::from_str::<Json>(&text).is_ok() => match plain::read(&text) {
            Value::Object(map) if !is_collection => Ok(map),
            list @ Value::Array(_) if is_collection => Ok(wrapped("collection", list)),
            Value::Null => return None,
            _ => Err(()),
        },
        _ => return None,
    })
}
