//! Functions that work on maps. Those that change one in place are in `state.rs`.

use std::sync::Arc;

use gotmpl::Value;

use super::super::value::{self, Members, list, map, string, strings};
use super::{ANY, Answer, Args, Function, function};

pub const TABLE: &[Function] = &[
    function("dict", 0, ANY, |args| {
        let pair = |pair: &[Value]| {
            let key = pair.first().map(value::text).unwrap_or_default();
            (Arc::from(key), pair.get(1).cloned().unwrap_or_else(|| string("")))
        };
        Ok(map(args.all().chunks(2).map(pair).collect()))
    }),
    function("dig", 3, ANY, dig),
    function("get", 2, 2, |args| {
        Ok(args.members(0)?.get(args.text(1)?).cloned().unwrap_or_else(|| string("")))
    }),
    function("hasKey", 2, 2, |args| Ok(Value::Bool(args.members(0)?.contains_key(args.text(1)?)))),
    function("keys", 0, ANY, |args| {
        let mut keys = Vec::new();
        for index in 0..args.len() {
            keys.extend(args.members(index)?.keys().map(|key| String::from(&**key)));
        }
        Ok(strings(keys))
    }),
    function("omit", 1, ANY, |args| {
        let names = names(args)?;
        let kept = args.members(0)?.iter().filter(|(key, _)| !names.contains(&&***key));
        Ok(map(kept.map(|(key, value)| (Arc::clone(key), value.clone())).collect()))
    }),
    function("pick", 1, ANY, |args| {
        let names = names(args)?;
        let kept = args.members(0)?.iter().filter(|(key, _)| names.contains(&&***key));
        Ok(map(kept.map(|(key, value)| (Arc::clone(key), value.clone())).collect()))
    }),
    function("pluck", 1, ANY, |args| {
        let key = args.text(0)?;
        let mut found = Vec::new();
        for index in 1..args.len() {
            found.extend(args.members(index)?.get(key).cloned());
        }
        Ok(list(found))
    }),
    function("values", 1, 1, |args| Ok(list(args.members(0)?.values().cloned().collect()))),
];

fn names<'a>(args: &Args<'a>) -> Result<Vec<&'a str>, String> {
    (1..args.len()).map(|index| args.text(index)).collect()
}

/// `dig "a" "b" default map`: what stands at a path, or the default.
fn dig(args: &Args<'_>) -> Answer {
    let (path, default) = (args.len() - 2, args.get(args.len() - 2));
    let mut found = args.get(args.len() - 1);
    for index in 0..path {
        let Value::Map(members) = found else {
            return Err(format!("{} is no map", value::type_name(found)));
        };
        match members.get(args.text(index)?) {
            Some(member) => found = member,
            None => return Ok(default.clone()),
        }
    }
    Ok(found.clone())
}

/// The first map with what the other has and it lacks or has empty, or with `overwrites` with all of it; maps within
/// are merged in the same way.
pub fn merged(into: &Members, from: &Members, overwrites: bool) -> Members {
    let mut result = into.clone();
    for (key, theirs) in from {
        let ours = into.get(key);
        match (ours, theirs) {
            (Some(Value::Map(ours)), Value::Map(theirs)) => {
                result.insert(Arc::clone(key), map(merged(ours, theirs, overwrites)));
            }
            (_, Value::Nil) => {}
            (Some(ours), _) if ours.is_truthy() && !overwrites => {}
            _ => {
                result.insert(Arc::clone(key), theirs.clone());
            }
        }
    }
    result
}

pub fn without_key(members: &Members, key: &str) -> Members {
    let mut result = members.clone();
    result.remove(key);
    result
}
