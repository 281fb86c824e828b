//! The bodies that the JSON measurements read: about 10 KiB each, from dense to sparse.

use serde_json::Value;

/// A body to measure with.
pub struct Sample {
    pub name: &'static str,
    pub body: String,
}

/// The order of magnitude of real answers: a list of records with numbers, texts, flags and nested objects.
pub fn records(bytes: usize) -> Sample {
    let mut items = String::new();
    let mut i = 0;
    while items.len() < bytes - 700 {
        let comma = if i > 0 { "," } else { "" };
        items += &format!(
            r#"{comma}{{"id":{},"sku":"SKU-{:06}","name":"Article number {i}","price":{}.{:02},"stock":{},"tags":["new","sale","t{}"],"dimensions":{{"w":{},"h":{},"d":{}}},"active":{},"note":null}}"#,
            1000 + i,
            i * 37,
            10 + i * 3,
            i % 100,
            i * 7 % 500,
            i % 9,
            i % 40,
            i % 30,
            i % 20,
            i % 3 == 0
        );
        i += 1;
    }
    let body = format!(
        r#"{{"id":4711,"name":"catalogue","status":"ok","total":{i},"page":1,"owner":{{"id":7,"email":"a@b.example","team":"blue"}},"links":{{"self":"https://api.example.com/v1/items?page=1","next":"https://api.example.com/v1/items?page=2"}},"updated":"2026-11-23T08:58:30Z","items":[{items}]}}"#
    );
    Sample { name: "records", body }
}

/// Few, long texts, some of them with escapes.
pub fn texts(bytes: usize) -> Sample {
    let paragraph =
        r#"The quick brown fox jumps over the lazy dog, \"quoted\" and with a line end.\n"#;
    let mut posts = String::new();
    let mut i = 0;
    while posts.len() < bytes - 400 {
        posts += &format!(
            r#"{}{{"id":{i},"title":"Post {i}","text":"{}"}}"#,
            if i > 0 { "," } else { "" },
            paragraph.repeat(6)
        );
        i += 1;
    }
    Sample {
        name: "texts",
        body: format!(
            r#"{{"id":1,"name":"blog","status":"ok","owner":{{"email":"x@y.example"}},"posts":[{posts}]}}"#
        ),
    }
}

/// Hardly anything but structure and numbers.
pub fn numbers(bytes: usize) -> Sample {
    let mut points = String::new();
    let mut i = 0u64;
    while points.len() < bytes - 120 {
        points += &format!(
            "{}[{}.{:04},{}.{:03},{i}]",
            if i > 0 { "," } else { "" },
            i % 180,
            i * 7919 % 10_000,
            i % 90,
            i * 104_729 % 1000
        );
        i += 1;
    }
    Sample {
        name: "numbers",
        body: format!(r#"{{"id":2,"name":"track","status":"ok","points":[{points}]}}"#),
    }
}

/// The same records with line ends and indentation.
pub fn indented(bytes: usize) -> Sample {
    let value: Value = serde_json::from_str(&records(bytes * 10 / 16).body).unwrap();
    Sample { name: "indented", body: serde_json::to_string_pretty(&value).unwrap() }
}

/// The sample that the targets were quoted for, rebuilt from what is known of it: exactly 10,240 bytes, a few fields, a
/// list of entries, and a `pad` that makes up the size. Go's `encoding/json` makes about 1,800 allocations of one.
pub fn catalogue() -> Sample {
    const BYTES: usize = 10_240;
    const PAD_BYTES_MIN: usize = 200;
    let mut body = r#"{"id":4711,"name":"Ada Example","email":"ada@example.com","status":"active","user":{"id":7,"email":"ada@example.com","roles":["reader","writer"]},"owner":{"id":7,"team":"blue"},"items":["#.to_owned();
    for i in 0.. {
        let item = format!(
            r#"{}{{"id":{},"name":"Article number {i}","price":{}.{:02},"tags":["new","sale"],"active":true,"note":"In stock again from Monday on"}}"#,
            if i > 0 { "," } else { "" },
            1000 + i,
            10 + i,
            i % 100
        );
        if body.len() + item.len() + PAD_BYTES_MIN > BYTES {
            break;
        }
        body += &item;
    }
    Sample { name: "catalogue", body: padded(body + "],", BYTES) }
}

/// A few fields and one long text: as sparse as a body can be.
pub fn sparse() -> Sample {
    let fields = r#"{"id":4711,"name":"catalogue","status":"ok","owner":{"id":7,"team":"blue"},"#;
    Sample { name: "sparse", body: padded(fields.to_owned(), 10_240) }
}

/// Ends an object with a text that makes up for what is missing of `bytes`.
fn padded(mut body: String, bytes: usize) -> String {
    body += r#""pad":""#;
    body += &"x".repeat(bytes - body.len() - 2);
    body += "\"}";
    body
}

/// A few hundred bytes, as most answers have.
pub fn small() -> Sample {
    Sample { name: "small", body: r#"{"id":4711,"name":"catalogue","status":"ok","total":12,"page":1,"owner":{"id":7,"email":"a@b.example","team":"blue"},"links":{"self":"https://api.example.com/v1/items?page=1","next":"https://api.example.com/v1/items?page=2"},"updated":"2026-11-23T08:58:30Z","tags":["a","b","c"],"price":12.50,"ok":true}"#.to_owned() }
}
