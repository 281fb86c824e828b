//! The same merges with other libraries, written as one would to be fast with each.

use serde_json::Value;
use simd_json::{Buffers, Node};

/// What is asked of a merge: a group for each document, and what is kept of it.
#[derive(Clone, Copy)]
pub struct Lists<'l> {
    pub groups: &'l [&'l str],
    /// All that is kept, unless empty.
    pub allow: &'l [&'l str],
    pub deny: &'l [&'l str],
}

/// Numbers count by value, for not everybody keeps their text.
pub fn assert_same(have: &[u8], wanted: &[u8]) {
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

/// What the lists say about a top-level key.
fn is_kept(key: &str, allow: &[&str], deny: &[&str]) -> bool {
    if allow.is_empty() { !deny.contains(&key) } else { allow.contains(&key) }
}

pub fn serde_merge(body: &[u8], Lists { groups, allow, deny }: Lists<'_>) -> Vec<u8> {
    let mut merged = serde_json::Map::new();
    for group in groups {
        let Value::Object(mut object) = serde_json::from_slice(body).unwrap() else {
            panic!("no object")
        };
        object.retain(|key, _| is_kept(key, allow, deny));
        merged.insert((*group).to_owned(), Value::Object(object));
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

pub fn sonic_merge(body: &[u8], Lists { groups, allow, deny }: Lists<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() * groups.len());
    for group in groups {
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
pub fn simd_merge(
    body: &[u8],
    Lists { groups, allow, deny }: Lists<'_>,
    copy: &mut Vec<u8>,
    buffers: &mut Buffers,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() * groups.len());
    for group in groups {
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
