//! Bodies and answers with what the original's own libraries (mxj 2.7, goccy/go-yaml 1.19, gofeed 1.2) made
//! of them, a JSON record a line: `kind`, `in`, then `out` or `err`.

use super::plain;
use crate::json::{go_time, rss, xml, yaml};

/// Records from a file named by `SHOAL_GOLDEN`, else the ones of the project.
fn records() -> String {
    let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/encodings/records.jsonl");
    let file = std::env::var("SHOAL_GOLDEN").unwrap_or_else(|_| ours.to_owned());
    std::fs::read_to_string(file).expect("golden records")
}

#[test]
fn every_golden_record_comes_out_the_same() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in records().lines() {
        let record: serde_json::Value = serde_json::from_str(line).expect("a record a line");
        let field = |name: &str| record[name].as_str().unwrap_or_default();
        let found = answer(field("kind"), &body(&record));
        let wanted = if field("err").is_empty() {
            Ok(field("out").to_owned())
        } else {
            Err(field("err").to_owned())
        };
        count += 1;
        // Messages are those of the original only as far as they need no knowledge of its insides.
        let same = match (&found, &wanted) {
            (Err(_), Err(_)) => true,
            (found, wanted) => found == wanted,
        };
        if !same {
            wrong.push(format!("{line}\n   found {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {count} records differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn no_body_that_is_cut_off_or_damaged_can_panic() {
    for line in
        records().lines().filter(|line| line.contains("xml-decode") || line.contains("\"rss\""))
    {
        let record: serde_json::Value = serde_json::from_str(line).expect("a record a line");
        let body = body(&record);
        for (at, replacement) in
            (0..body.len()).step_by(3).zip([0, b'<', b'&', 0xff, b'"', b'>'].iter().cycle())
        {
            let mut damaged = body.clone();
            damaged[at] = *replacement;
            for body in [&body[..at], &damaged] {
                drop(xml::decode(body));
                drop(rss::decode(body));
            }
        }
    }
}

/// What messages are missed, for the curious: not all of them can be the original's.
#[test]
#[ignore = "messages are a best effort"]
fn messages_are_the_originals() {
    let mut same = 0;
    let mut count = 0;
    for line in records().lines() {
        let record: serde_json::Value = serde_json::from_str(line).expect("a record a line");
        let wanted = record["err"].as_str().unwrap_or_default();
        if let (false, Err(found)) =
            (wanted.is_empty(), answer(record["kind"].as_str().unwrap_or_default(), &body(&record)))
        {
            count += 1;
            if found == wanted {
                same += 1;
            } else {
                println!("{}\n   found  {found}\n   wanted {wanted}", record["in"]);
            }
        }
    }
    println!("{same} of {count} messages are the same");
}

fn body(record: &serde_json::Value) -> Vec<u8> {
    match record["b64"].as_str() {
        Some(text) => base64(text),
        None => record["in"].as_str().unwrap_or_default().as_bytes().to_vec(),
    }
}

fn answer(kind: &str, body: &[u8]) -> Result<String, String> {
    let text = || String::from_utf8_lossy(body).into_owned();
    let map = |map| plain::write(&crate::json::Value::Object(map));
    let written = |encode: fn(Option<&crate::json::Map>, &mut Vec<u8>)| {
        let mut out = Vec::new();
        encode(Some(&plain::read_map(&text())), &mut out);
        String::from_utf8(out).expect("text")
    };
    match kind {
        "xml-decode" => xml::decode(body).map(map).map_err(|error| error.message),
        "rss" => rss::decode(body).map(map).map_err(|error| error.message),
        "xml-encode" => Ok(written(xml::encode)),
        "yaml" => Ok(written(yaml::encode)),
        "time" => {
            let text = text();
            let (layout, value) = text.split_once('|').expect("a layout and a value");
            Ok(go_time::parse(layout, value)
                .and_then(|moment| moment.rfc3339())
                .unwrap_or_default())
        }
        other => panic!("no such kind of record: {other}"),
    }
}

fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    let mut bits = 0_u32;
    let mut count = 0;
    for digit in text.bytes().filter(|digit| *digit != b'=') {
        let number = DIGITS.iter().position(|known| *known == digit).expect("base64");
        bits = bits << 6 | u32::try_from(number).expect("six bits");
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).expect("eight bits"));
        }
    }
    bytes
}
