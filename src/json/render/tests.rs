//! What the renders choose, and whole answers against recordings and against the libraries of the original.

mod golden;
mod plain;
mod recorded;

use super::{Render, collection};
use crate::json::{Map, Value};

#[test]
fn a_known_output_encoding_is_taken_by_its_exact_name() {
    for (name, render) in [
        ("json", Render::Json),
        ("json-collection", Render::JsonCollection),
        ("string", Render::Text),
        ("xml", Render::Xml),
        ("yaml", Render::Yaml),
        ("negotiate", Render::Negotiate),
        ("no-op", Render::NoOp),
    ] {
        assert_eq!(Render::named(name, Some("string")), render);
    }
}

#[test]
fn an_unknown_output_encoding_falls_back_to_the_sole_backends_encoding_then_to_json() {
    for name in ["fast-json", "JSON", "NO-OP", "bogus", ""] {
        assert_eq!(Render::named(name, None), Render::Json);
        assert_eq!(Render::named(name, Some("string")), Render::Text);
        assert_eq!(Render::named(name, Some("xml")), Render::Xml);
        assert_eq!(Render::named(name, Some("no-op")), Render::NoOp);
        // Decoders without a render of their name, or not spelt like one.
        for encoding in ["rss", "safejson", "XML", "fast-json"] {
            assert_eq!(Render::named(name, Some(encoding)), Render::Json);
        }
    }
}

#[test]
fn the_first_entry_of_accept_that_fits_wins_whatever_its_quality() {
    for (accept, render) in [
        ("", Render::Json),
        ("application/json", Render::Json),
        ("application/xml", Render::Xml),
        ("application/x-yaml", Render::Yaml),
        ("text/plain", Render::Yaml),
        ("text/*", Render::Yaml),
        ("*/*", Render::Json),
        ("application/*", Render::Json),
        ("text/html", Render::Json),
        ("text/xml", Render::Json),
        ("application/yaml", Render::Json),
        ("APPLICATION/XML", Render::Json),
        ("application/xml, application/json", Render::Xml),
        ("application/xml;q=0.1, application/json;q=0.9", Render::Xml),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Render::Xml),
        (" ,, application/xml", Render::Xml),
        ("application/xml ; q=1", Render::Xml),
        (";q=1,application/xml", Render::Xml),
        // Beginnings of an offer fit, longer names do not.
        ("application/x", Render::Xml),
        ("application/x-", Render::Yaml),
        ("t", Render::Yaml),
        ("application/xml2", Render::Json),
    ] {
        assert_eq!(Render::negotiate(Some(accept.as_bytes())), render, "{accept}");
    }
    assert_eq!(Render::negotiate(None), Render::Json);
}

#[test]
fn the_string_render_writes_a_text_under_content_and_nothing_else() {
    let text = |value: Value| {
        let mut out = Vec::new();
        Render::Text.render_map(Some(&Map::from([("content".into(), value)])), &mut out);
        String::from_utf8(out).expect("text")
    };
    assert_eq!(text(Value::String("a <b>\n".into())), "a <b>\n");
    assert_eq!(text(Value::Bool(true)), "");
    let mut out = Vec::new();
    Render::Text.render_map(None, &mut out);
    assert!(out.is_empty());
}

#[test]
fn a_collection_is_whatever_stands_under_that_name() {
    let data = Map::from([("collection".into(), Value::Null)]);
    assert_eq!(collection(Some(&data)), Some(&Value::Null));
    assert_eq!(collection(Some(&Map::new())), None);
    assert_eq!(collection(None), None);
}
