//! Times the JSON steps of an aggregated answer, against other libraries doing the same; counts allocations.
//!
//! `cargo bench --bench json`. Each figure is the best of many short rounds (the others were disturbed), in nanoseconds a
//! call, beside an assertion that the result is right.
#![allow(unsafe_code, reason = "an allocator that counts cannot be written without")]
#![allow(clippy::unwrap_used, reason = "a measurement may fail where it stands")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::time::Instant;

use serde_json::Value;
use shoal::json::{Decoder, Document, Edit, EditSpec};
use simd_json::{Buffers, Node};

const ROUNDS: usize = 41;
const ROUND_NS: u128 = 4_000_000;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is passed on to the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `alloc` above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the pointer came from `alloc` above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A body to measure with.
struct Sample {
    name: &'static str,
    body: String,
}

/// The best time of a call, and the allocations of one.
fn measured(mut call: impl FnMut()) -> (f64, u64) {
    for _ in 0..200 {
        call();
    }
    let before = ALLOCATIONS.with(Cell::get);
    call();
    let allocations = ALLOCATIONS.with(Cell::get) - before;
    let start = Instant::now();
    (0..50).for_each(|_| call());
    let calls = (ROUND_NS / (start.elapsed().as_nanos() / 50).max(1)).max(10);
    let times = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        (0..calls).for_each(|_| call());
        start.elapsed().as_nanos() as f64 / calls as f64
    });
    (times.fold(f64::INFINITY, f64::min), allocations)
}

/// The order of magnitude of real answers: a list of records with numbers, texts, flags and nested objects.
fn records(bytes: usize) -> Sample {
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
fn texts(bytes: usize) -> Sample {
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
fn numbers(bytes: usize) -> Sample {
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
fn indented(bytes: usize) -> Sample {
    let value: Value = serde_json::from_str(&records(bytes * 10 / 16).body).unwrap();
    Sample { name: "indented", body: serde_json::to_string_pretty(&value).unwrap() }
}

fn line(name: &str, bytes: usize, (ns, allocations): (f64, u64), ours: f64) {
    println!("| {name} | {ns:.0} | {:.2} | {allocations} | {:.1} |", bytes as f64 / ns, ns / ours);
}

fn table(title: &str) {
    println!("\n### {title}\n\n| | ns | GB/s | allocations | times ours |\n|---|---|---|---|---|");
}

// === validate ===

fn validate(sample: &Sample) {
    let body = sample.body.as_bytes();
    table(&format!("validate, {} ({} bytes)", sample.name, body.len()));
    // The body is handed over, as the gateway does; taking it back keeps the copy out of the figure.
    let mut spare = Some(body.to_vec());
    let ours = measured(|| {
        let document = Decoder::Json.decode(spare.take().unwrap(), false).unwrap();
        assert!(document.len() >= 4);
        spare = black_box(document).into_bodies().next();
    });
    line("shoal", body.len(), ours, ours.0);
    let sonic = measured(|| {
        _ = black_box(sonic_rs::from_slice::<sonic_rs::LazyValue<'_>>(black_box(body)).unwrap());
    });
    line("sonic-rs LazyValue", body.len(), sonic, ours.0);
    let serde = measured(|| {
        _ = black_box(serde_json::from_slice::<serde::de::IgnoredAny>(black_box(body)).unwrap());
    });
    line("serde_json IgnoredAny", body.len(), serde, ours.0);
    // simd-json writes into its input: the copy is measured as well, and told apart.
    let mut copy = Vec::new();
    let mut buffers = Buffers::default();
    let simd = measured(|| {
        copy.clear();
        copy.extend_from_slice(body);
        _ = black_box(simd_json::to_tape_with_buffers(&mut copy, &mut buffers).unwrap());
    });
    line("simd-json tape (with its copy)", body.len(), simd, ours.0);
    let tree =
        measured(|| _ = black_box(serde_json::from_slice::<Value>(black_box(body)).unwrap()));
    line("serde_json Value", body.len(), tree, ours.0);
}

// === merge ===

/// Two documents with the same edit each, put under `a` and `b`.
fn merge(sample: &Sample, title: &str, allow: &[&str], deny: &[&str]) {
    let body = sample.body.as_bytes();
    table(&format!("{title}, two of {} ({} bytes)", sample.name, body.len()));
    let strings = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let edit = |group: &str| {
        Edit::compile(&EditSpec {
            allow: strings(allow),
            deny: strings(deny),
            group: group.into(),
            ..EditSpec::default()
        })
    };
    let (first, second) = (edit("a"), edit("b"));
    let mut spare = [body.to_vec(), body.to_vec()];
    let mut out = Vec::new();
    let ours = measured(|| {
        out.clear();
        let mut merged = answer(std::mem::take(&mut spare[0]), &first);
        merged.merge(answer(std::mem::take(&mut spare[1]), &second));
        out.reserve(merged.json_len_hint());
        merged.write_json(&mut out);
        let mut bodies = merged.into_bodies().filter(|body| body.len() > 500);
        spare = [bodies.next().unwrap(), bodies.next().unwrap()];
    });
    line("shoal", body.len() * 2, ours, ours.0);
    let wanted = serde_merge(body, allow, deny);
    assert_same(&out, &wanted);

    let mut theirs = Vec::new();
    let sonic = measured(|| theirs = sonic_merge(body, allow, deny));
    assert_same(&theirs, &wanted);
    line("sonic-rs (checked lazy members)", body.len() * 2, sonic, ours.0);
    let mut buffers = Buffers::default();
    let mut copy = Vec::new();
    let simd = measured(|| theirs = simd_merge(body, allow, deny, &mut copy, &mut buffers));
    assert_same(&theirs, &wanted);
    line("simd-json tape (with its copy)", body.len() * 2, simd, ours.0);
    let serde = measured(|| theirs = serde_merge(body, allow, deny));
    line("serde_json Value", body.len() * 2, serde, ours.0);
}

/// Numbers count by value, for not everybody keeps their text.
fn assert_same(have: &[u8], wanted: &[u8]) {
    fn plain(value: &mut Value) {
        match value {
            Value::Number(number) => *value = number.as_f64().into(),
            Value::Array(list) => list.iter_mut().for_each(plain),
            Value::Object(object) => object.values_mut().for_each(plain),
            _ => {}
        }
    }
    let read = |text| {
        let mut value = serde_json::from_slice(text).unwrap();
        plain(&mut value);
        value
    };
    assert!(read(have) == read(wanted), "another result");
}

fn answer(body: Vec<u8>, edit: &Edit) -> Document {
    let mut document = Decoder::Json.decode(body, false).unwrap();
    edit.apply(&mut document).unwrap();
    document
}

/// What the lists say about a top-level key.
fn is_kept(key: &str, allow: &[&str], deny: &[&str]) -> bool {
    if allow.is_empty() { !deny.contains(&key) } else { allow.contains(&key) }
}

fn serde_merge(body: &[u8], allow: &[&str], deny: &[&str]) -> Vec<u8> {
    let mut merged = serde_json::Map::new();
    for group in ["a", "b"] {
        let Value::Object(mut object) = serde_json::from_slice(body).unwrap() else {
            panic!("no object")
        };
        object.retain(|key, _| is_kept(key, allow, deny));
        merged.insert(group.to_owned(), Value::Object(object));
    }
    serde_json::to_vec(&merged).unwrap()
}

/// Writes `"key":value,` for what is kept, from whoever can name raw text.
fn write_group<'t>(
    group: &str,
    members: impl Iterator<Item = (impl AsRef<str>, impl AsRef<str> + 't)>,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(
        format!("{}\"{group}\":{{", if out.is_empty() { "{" } else { "," }).as_bytes(),
    );
    for (i, (key, raw)) in members.enumerate() {
        out.extend_from_slice(if i > 0 { b",\"" } else { b"\"" });
        out.extend_from_slice(key.as_ref().as_bytes());
        out.extend_from_slice(b"\":");
        out.extend_from_slice(raw.as_ref().as_bytes());
    }
    out.push(b'}');
}

fn sonic_merge(body: &[u8], allow: &[&str], deny: &[&str]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() * 2);
    for group in ["a", "b"] {
        let members = sonic_rs::to_object_iter(body)
            .map(Result::unwrap)
            .filter(|(key, _)| is_kept(key, allow, deny));
        write_group(
            group,
            members.map(|(key, value)| (key, value.as_raw_str().to_owned())),
            &mut out,
        );
    }
    out.push(b'}');
    out
}

/// The tape says where strings are, not where values end: what is kept has to be written again.
fn simd_merge(
    body: &[u8],
    allow: &[&str],
    deny: &[&str],
    copy: &mut Vec<u8>,
    buffers: &mut Buffers,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() * 2);
    for group in ["a", "b"] {
        copy.clear();
        copy.extend_from_slice(body);
        let tape = simd_json::to_tape_with_buffers(copy, buffers).unwrap();
        out.extend_from_slice(
            format!("{}\"{group}\":{{", if out.is_empty() { "{" } else { "," }).as_bytes(),
        );
        let Node::Object { len, .. } = tape.0[0] else { panic!("no object") };
        let (mut at, mut is_first) = (1, true);
        for _ in 0..len {
            let Node::String(key) = tape.0[at] else { panic!("no key") };
            let value = at + 1;
            at = value + extent(&tape.0[value]);
            if is_kept(key, allow, deny) {
                out.extend_from_slice(if is_first { b"" } else { b"," });
                is_first = false;
                write_node(&tape.0, at - extent(&tape.0[value]) - 1, &mut out);
                out.push(b':');
                write_node(&tape.0, value, &mut out);
            }
        }
        out.push(b'}');
    }
    out.push(b'}');
    out
}

/// How many places of the tape a value takes.
fn extent(node: &Node<'_>) -> usize {
    match node {
        Node::Object { count, .. } | Node::Array { count, .. } => count + 1,
        _ => 1,
    }
}

fn write_node(tape: &[Node<'_>], at: usize, out: &mut Vec<u8>) {
    match tape[at] {
        Node::String(text) => shoal::json::write_string(text, out),
        Node::Static(simd_json::StaticNode::I64(number)) => {
            out.extend_from_slice(number.to_string().as_bytes());
        }
        Node::Static(simd_json::StaticNode::U64(number)) => {
            out.extend_from_slice(number.to_string().as_bytes());
        }
        Node::Static(simd_json::StaticNode::F64(number)) => {
            out.extend_from_slice(number.to_string().as_bytes());
        }
        Node::Static(simd_json::StaticNode::Bool(flag)) => {
            out.extend_from_slice(if flag { b"true" } else { b"false" });
        }
        Node::Static(simd_json::StaticNode::Null) => out.extend_from_slice(b"null"),
        Node::Object { len, .. } => {
            out.push(b'{');
            let mut next = at + 1;
            for i in 0..len {
                out.extend_from_slice(if i > 0 { b"," } else { b"" });
                write_node(tape, next, out);
                out.push(b':');
                write_node(tape, next + 1, out);
                next += 1 + extent(&tape[next + 1]);
            }
            out.push(b'}');
        }
        Node::Array { len, .. } => {
            out.push(b'[');
            let mut next = at + 1;
            for i in 0..len {
                out.extend_from_slice(if i > 0 { b"," } else { b"" });
                write_node(tape, next, out);
                next += extent(&tape[next]);
            }
            out.push(b']');
        }
    }
}

fn main() {
    let size = 10 * 1024;
    let samples = [records(size), texts(size), numbers(size), indented(size)];
    samples.iter().for_each(validate);
    validate(&Sample { name: "small", body: r#"{"id":4711,"name":"catalogue","status":"ok","total":12,"page":1,"owner":{"id":7,"email":"a@b.example","team":"blue"},"links":{"self":"https://api.example.com/v1/items?page=1","next":"https://api.example.com/v1/items?page=2"},"updated":"2026-11-23T08:58:30Z","tags":["a","b","c"],"price":12.50,"ok":true}"#.to_owned() });
    validate(&records(1024 * 1024));
    for sample in &samples[..2] {
        merge(sample, "merge, 3 fields allowed each", &["id", "name", "owner"], &[]);
        merge(sample, "merge, 1 field denied each", &[], &["owner"]);
    }
}
