//! XML bodies and feeds: trees that every encoder can write.

use shoal::json::{Map, Value, write_value};

fn written(map: &Map) {
    let mut text = Vec::new();
    write_value(&Value::Object(map.clone()), &mut text);
    if let Err(error) = serde_json::from_slice::<serde_json::Value>(&text) {
        let error = error.to_string();
        assert!(error.contains("recursion limit"), "{error}: {}", text.escape_ascii());
    }
    for encode in [shoal::json::xml::encode, shoal::json::yaml::encode] {
        let mut text = Vec::new();
        encode(Some(map), &mut text);
        assert!(std::str::from_utf8(&text).is_ok());
    }
}

/// An XML body.
pub fn xml(input: &[u8]) {
    if let Ok(map) = shoal::json::xml::decode(input) {
        written(&map);
    }
}

/// A feed of any kind.
pub fn rss(input: &[u8]) {
    if let Ok(map) = shoal::json::rss::decode(input) {
        written(&map);
    }
}
