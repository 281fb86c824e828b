//! Decoding, editing and merging JSON against the same on serde_json's trees.

use serde_json::{Map, Value};
use shoal::json::{Decoder, Document, Edit, EditSpec};

use crate::Input;

/// Names that edits use; documents of the seeds and the dictionary have the same.
const NAMES: [&str; 16] = [
    "a",
    "b",
    "c",
    "a.b",
    "a.b.c",
    "b.a",
    "a.c",
    "",
    ".",
    "a.",
    "aé",
    "\u{1}",
    "\"",
    "aaaaaaaaa.b",
    "aaaaaaaaa",
    "b.b.b",
];

type Object = Map<String, Value>;

fn name(input: &mut Input<'_>) -> String {
    NAMES[usize::from(input.byte()) % NAMES.len()].to_owned()
}

fn names(input: &mut Input<'_>) -> Vec<String> {
    (0..input.byte() % 4).map(|_| name(input)).collect()
}

fn spec(input: &mut Input<'_>) -> EditSpec {
    let flags = input.byte();
    let mut spec = EditSpec::default();
    if flags & 1 != 0 {
        spec.target = name(input);
    }
    if flags & 2 != 0 {
        spec.allow = names(input);
    }
    if flags & 4 != 0 {
        spec.deny = names(input);
    }
    if flags & 8 != 0 {
        spec.mapping = names(input).into_iter().map(|from| (from, name(input))).collect();
        spec.mapping.sort();
        spec.mapping.dedup_by(|later, first| later.0 == first.0);
    }
    if flags & 16 != 0 {
        spec.group = name(input);
    }
    spec
}

/// What an allow or deny list says below one name; `Some(None)`: the name itself.
#[derive(Clone, Debug, Default)]
struct Tree(Vec<(String, Option<Tree>)>);

impl Tree {
    fn of(paths: &[String], deepens: bool) -> Tree {
        let mut tree = Tree::default();
        for path in paths {
            let steps: Vec<&str> = path.split('.').collect();
            tree.insert(&steps, deepens);
        }
        tree
    }

    fn insert(&mut self, steps: &[&str], deepens: bool) {
        let Some((first, rest)) = steps.split_first() else { return };
        if self.find(first).is_none() {
            self.0.push(((*first).to_owned(), Some(Tree::default())));
        }
        let found = self.0.iter_mut().find(|(name, _)| name == first);
        let (_, branch) = found.expect("it was put there");
        match branch {
            branch if rest.is_empty() => *branch = None,
            None if !deepens => {}
            branch => branch.get_or_insert_default().insert(rest, deepens),
        }
    }

    fn find(&self, name: &str) -> Option<&Option<Tree>> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, branch)| branch)
    }
}

fn allow(object: &Object, tree: &Tree) -> Object {
    let mut kept = Object::new();
    for (name, value) in object {
        match (tree.find(name), value) {
            (Some(None), value) => drop(kept.insert(name.clone(), value.clone())),
            (Some(Some(below)), Value::Object(inner)) => {
                let inner = allow(inner, below);
                if !inner.is_empty() {
                    kept.insert(name.clone(), Value::Object(inner));
                }
            }
            _ => {}
        }
    }
    kept
}

fn deny(object: &Object, tree: &Tree) -> Object {
    let mut kept = Object::new();
    for (name, value) in object {
        match (tree.find(name), value) {
            (Some(None), _) => {}
            (Some(Some(below)), Value::Object(inner)) => {
                kept.insert(name.clone(), Value::Object(deny(inner, below)));
            }
            (_, value) => drop(kept.insert(name.clone(), value.clone())),
        }
    }
    kept
}

/// What the edits make of an object.
fn edited(mut object: Object, spec: &EditSpec) -> Object {
    if !spec.target.is_empty() {
        for step in spec.target.split('.') {
            object = match object.remove(step) {
                Some(Value::Object(inner)) => inner,
                _ => {
                    object = Object::new();
                    break;
                }
            };
        }
    }
    if !spec.allow.is_empty() {
        object = allow(&object, &Tree::of(&spec.allow, true));
    } else if !spec.deny.is_empty() {
        object = deny(&object, &Tree::of(&spec.deny, false));
    }
    let mut mapping = spec.mapping.clone();
    mapping.sort();
    for (from, to) in &mapping {
        let to = to.split('.').next().unwrap_or_default();
        if let Some(value) = object.remove(from)
            && from != to
        {
            object.insert(to.to_owned(), value);
        }
    }
    if !spec.group.is_empty() {
        let inner = std::mem::take(&mut object);
        object.insert(spec.group.clone(), Value::Object(inner));
    }
    object
}

/// Our document and the model's, both decoded and edited; nothing when the model cannot read the body.
fn both(body: &[u8], spec: &EditSpec) -> Option<(Document, Object)> {
    let ours = Decoder::Json.decode(body.to_vec(), false);
    let Ok(Value::Object(model)) = serde_json::from_slice(body) else { return None };
    let mut ours = ours.unwrap_or_else(|error| panic!("valid JSON refused: {error}"));
    Edit::compile(spec).apply(&mut ours).expect("no flatmap");
    Some((ours, edited(model, spec)))
}

/// Two bodies, edited and merged: `spec body NUL spec body`.
pub fn json(input: &[u8]) {
    let mut input = Input(input);
    let (first, second) = (spec(&mut input), spec(&mut input));
    let (one, two) = (input.until(0), input.0);
    for decoder in [Decoder::Safe, Decoder::JsonCollection] {
        let Ok(document) = decoder.decode(one.to_vec(), false) else { continue };
        let mut text = Vec::new();
        document.write_json(&mut text);
        check_text(&text);
    }
    let Some((mut ours, mut model)) = both(one, &first) else { return };
    compare(&ours, &model);
    let Some((later, later_model)) = both(two, &second) else { return };
    compare(&later, &later_model);
    ours.merge(later);
    model.extend(later_model);
    compare(&ours, &model);
}

/// What is written is JSON, whatever came in. The model knows neither numbers of any size nor any depth.
fn check_text(text: &[u8]) {
    if let Err(error) = serde_json::from_slice::<Value>(text) {
        let error = error.to_string();
        let is_beyond =
            ["number out of range", "recursion limit"].iter().any(|known| error.contains(known));
        assert!(is_beyond, "{error}: {}", text.escape_ascii());
    }
}

fn compare(ours: &Document, model: &Object) {
    let mut text = Vec::new();
    ours.write_json(&mut text);
    let read: Value = serde_json::from_slice(&text)
        .unwrap_or_else(|error| panic!("{error}: {}", text.escape_ascii()));
    assert_eq!(read, Value::Object(model.clone()), "{}", text.escape_ascii());
    // The other way out: values instead of spans.
    let mut values = Vec::new();
    shoal::json::write_value(&shoal::json::Value::Object(ours.to_map()), &mut values);
    let read: Value = serde_json::from_slice(&values).expect("JSON");
    assert_eq!(read, Value::Object(model.clone()), "{}", values.escape_ascii());
}
