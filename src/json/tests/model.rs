//! Random documents and edits against a model that is as simple as possible: `serde_json` values.

use serde_json::{Map, Value};

use super::{Random, decoded, meaning, written};
use crate::json::{Edit, EditSpec};

const ROUNDS: u64 = 1_500;

type Object = Map<String, Value>;

/// The rules of spec 2.16, one after another.
fn edited(mut object: Object, spec: &EditSpec) -> Value {
    if !spec.target.is_empty() {
        for part in spec.target.split('.') {
            object = match object.remove(part) {
                Some(Value::Object(inner)) => inner,
                _ => return grouped(Object::new(), spec),
            };
        }
    }
    if spec.allow.is_empty() {
        spec.deny.iter().for_each(|path| deny(&mut object, path));
    } else {
        object = allowed(&object, &allow_tree(&spec.allow));
    }
    for (from, to) in &spec.mapping {
        if let Some(value) = object.get(from).cloned() {
            object.insert(to.split('.').next().unwrap().to_owned(), value);
            object.remove(from);
        }
    }
    grouped(object, spec)
}

fn grouped(object: Object, spec: &EditSpec) -> Value {
    if spec.group.is_empty() { object.into() } else { serde_json::json!({ &spec.group: object }) }
}

/// `true` for the end of a path, an object for a branch.
fn allow_tree(paths: &[String]) -> Object {
    let mut tree = Object::new();
    for path in paths {
        let parts: Vec<_> = path.split('.').collect();
        let (last, parents) = parts.split_last().unwrap();
        let mut at = &mut tree;
        for part in parents {
            let entry = at.entry(*part).or_insert_with(|| Object::new().into());
            if !entry.is_object() {
                *entry = Object::new().into();
            }
            at = entry.as_object_mut().unwrap();
        }
        at.insert((*last).to_owned(), true.into());
    }
    tree
}

fn allowed(object: &Object, tree: &Object) -> Object {
    let mut kept = Object::new();
    for (key, value) in object {
        match (tree.get(key), value) {
            (Some(Value::Bool(_)), value) => _ = kept.insert(key.clone(), value.clone()),
            (Some(Value::Object(below)), Value::Object(inner)) => {
                let inner = allowed(inner, below);
                if !inner.is_empty() {
                    kept.insert(key.clone(), inner.into());
                }
            }
            _ => {}
        }
    }
    kept
}

fn deny(object: &mut Object, path: &str) {
    match path.split_once('.') {
        None => _ = object.remove(path),
        Some((first, rest)) => {
            if let Some(Value::Object(inner)) = object.get_mut(first) {
                deny(inner, rest);
            }
        }
    }
}

#[test]
fn what_is_decoded_and_written_again_means_the_same() {
    for seed in 0..ROUNDS {
        let body = Random(seed).object();
        let document = decoded(&body);
        assert_eq!(meaning(&written(&document)), meaning(&body), "seed {seed}: {body}");
        let tree = crate::json::Document::from_map(document.to_map());
        assert_eq!(meaning(&written(&tree)), meaning(&body), "through a tree, seed {seed}: {body}");
    }
}

#[test]
fn edits_do_what_the_model_does() {
    for seed in 0..ROUNDS {
        let mut random = Random(seed);
        let (body, spec) = (random.object(), random.edit());
        let Value::Object(object) = meaning(&body) else { panic!("no object") };
        let wanted = edited(object, &spec);
        let edit = Edit::compile(&spec);
        let mut document = decoded(&body);
        edit.apply(&mut document).unwrap();
        assert_eq!(meaning(&written(&document)), wanted, "seed {seed}: {spec:?} {body}");
        // The same on values that never were text.
        let mut tree = crate::json::Document::from_map(decoded(&body).to_map());
        edit.apply(&mut tree).unwrap();
        assert_eq!(meaning(&written(&tree)), wanted, "as a tree, seed {seed}: {spec:?} {body}");
        assert_eq!(document.is_empty(), wanted.as_object().unwrap().is_empty());
    }
}

#[test]
fn merging_edited_documents_lets_the_later_key_win() {
    for seed in 0..ROUNDS {
        let mut random = Random(seed);
        let mut wanted = Object::new();
        let mut merged = crate::json::Document::null();
        for _ in 0..=random.below(3) {
            let (body, spec) = (random.object(), random.edit());
            let Value::Object(object) = meaning(&body) else { panic!("no object") };
            let Value::Object(object) = edited(object, &spec) else { panic!("no object") };
            wanted.extend(object);
            let mut document = decoded(&body);
            Edit::compile(&spec).apply(&mut document).unwrap();
            merged.merge(document);
        }
        assert_eq!(meaning(&written(&merged)), Value::Object(wanted), "seed {seed}");
    }
}
