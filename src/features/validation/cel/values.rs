//! Requests, answers and claims as expressions see them: the original's types, not JSON's.

use std::borrow::Cow;
use std::collections::HashMap;

use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString,
};
use cel::common::value::Val;
use chrono::Local;

use crate::json;
use crate::message::headers::is_token_byte;

/// A value that an expression can be given.
pub type Boxed = Box<dyn Val>;

pub fn of_text(text: &[u8]) -> Boxed {
    Box::new(CelString::from(String::from_utf8_lossy(text).into_owned()))
}

pub fn of_bool(yes: bool) -> Boxed {
    Box::new(CelBool::from(yes))
}

pub fn of_int(number: i64) -> Boxed {
    Box::new(CelInt::from(number))
}

/// Name → text; of equal names the last counts.
pub fn of_texts<'p>(pairs: impl Iterator<Item = (&'p str, &'p [u8])>) -> Boxed {
    of_members(pairs.map(|(name, text)| (name.to_owned(), of_text(text))))
}

/// Name → all its values in their order.
pub fn of_lists<'p>(pairs: impl Iterator<Item = (Cow<'p, [u8]>, Cow<'p, [u8]>)>) -> Boxed {
    let mut lists: HashMap<String, Vec<Boxed>> = HashMap::new();
    for (name, value) in pairs {
        let name = String::from_utf8_lossy(&name).into_owned();
        lists.entry(name).or_default().push(of_text(&value));
    }
    of_members(lists.into_iter().map(|(name, list)| (name, of_list(list))))
}

/// The same for header lines, by their canonical names.
pub fn of_headers<'h>(lines: impl Iterator<Item = (&'h [u8], &'h [u8])>) -> Boxed {
    of_lists(lines.map(|(name, value)| (canonical(name), Cow::Borrowed(value))))
}

/// Data of an answer: numbers of a body are the text that stood there.
pub fn of_data(value: &json::Value) -> Boxed {
    match value {
        json::Value::Null => Box::new(CelNull),
        json::Value::Bool(yes) => of_bool(*yes),
        json::Value::Number(json::Number::Text(text)) => of_text(text.as_bytes()),
        json::Value::Number(json::Number::Float(number)) => Box::new(CelDouble::from(*number)),
        json::Value::Number(json::Number::Int(number)) => of_int(*number),
        json::Value::String(text) => of_text(text.as_bytes()),
        json::Value::Array(list) => of_list(list.iter().map(of_data).collect()),
        json::Value::Object(map) => of_map(map),
        json::Value::Struct(members) => {
            of_members(members.iter().map(|(name, member)| ((*name).to_owned(), of_data(member))))
        }
        json::Value::Typed(held) => of_data(held),
    }
}

pub fn of_map(map: &json::Map) -> Boxed {
    of_members(map.iter().map(|(name, member)| (name.clone(), of_data(member))))
}

/// Claims of a token: every number is a double.
pub fn of_claim(value: &serde_json::Value) -> Boxed {
    match value {
        serde_json::Value::Null => Box::new(CelNull),
        serde_json::Value::Bool(yes) => of_bool(*yes),
        serde_json::Value::Number(number) => {
            Box::new(CelDouble::from(number.as_f64().unwrap_or_default()))
        }
        serde_json::Value::String(text) => of_text(text.as_bytes()),
        serde_json::Value::Array(list) => of_list(list.iter().map(of_claim).collect()),
        serde_json::Value::Object(members) => of_claims(members),
    }
}

pub fn of_claims(members: &serde_json::Map<String, serde_json::Value>) -> Boxed {
    of_members(members.iter().map(|(name, member)| (name.clone(), of_claim(member))))
}

/// The time as the original writes it: RFC 3339, with as many digits of the milliseconds as say something.
pub fn now() -> Boxed {
    let now = Local::now();
    let milliseconds = format!("{:03}", now.timestamp_subsec_millis().min(999));
    let digits = milliseconds.trim_end_matches('0');
    let dot = if digits.is_empty() { "" } else { "." };
    let zone = match now.offset().local_minus_utc() {
        0 => "Z".to_owned(),
        _ => now.format("%:z").to_string(),
    };
    let text = format!("{}{dot}{digits}{zone}", now.format("%Y-%m-%dT%H:%M:%S"));
    Box::new(CelString::from(text))
}

fn of_list(list: Vec<Boxed>) -> Boxed {
    Box::new(CelList::from(list))
}

fn of_members(members: impl Iterator<Item = (String, Boxed)>) -> Boxed {
    let members = members.map(|(name, member)| (CelMapKey::from(name), member));
    Box::new(CelMap::from(members.collect::<HashMap<_, _>>()))
}

/// `x-one` as Go writes it, `X-One`; what is no name stays as it is.
fn canonical(name: &[u8]) -> Cow<'_, [u8]> {
    if !name.iter().all(|&byte| is_token_byte(byte)) {
        return Cow::Borrowed(name);
    }
    let mut is_first = true;
    let letters = name.iter().map(|byte| {
        let letter = if is_first { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() };
        is_first = *byte == b'-';
        letter
    });
    Cow::Owned(letters.collect())
}
