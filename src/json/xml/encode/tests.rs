//! How trees are written as XML, rule by rule.

use super::encode;
use crate::json::{Map, Number, Value};

fn text(text: &str) -> Value {
    Value::String(text.into())
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(map(members))
}

fn map<const N: usize>(members: [(&str, Value); N]) -> Map {
    members.map(|(key, value)| (key.to_owned(), value)).into_iter().collect()
}

fn number(text: &str) -> Value {
    Value::Number(Number::Text(text.into()))
}

fn written<const N: usize>(members: [(&str, Value); N]) -> String {
    let mut out = Vec::new();
    encode(Some(&map(members)), &mut out);
    String::from_utf8(out).expect("text")
}

#[test]
fn one_key_with_a_scalar_or_a_map_is_the_root() {
    assert_eq!(written([("a", number("1"))]), "<a>1</a>");
    assert_eq!(written([("a", object([("b", text("x"))]))]), "<a><b>x</b></a>");
    assert_eq!(written([("a", Value::Null)]), "<a/>");
    assert_eq!(written([("a", Value::Array(vec![]))]), "<a/>");
}

#[test]
fn several_keys_or_none_or_a_list_of_scalars_get_a_root_called_doc() {
    assert_eq!(
        written([("b", number("2.0")), ("a", Value::Bool(true))]),
        "<doc><a>true</a><b>2.0</b></doc>"
    );
    assert_eq!(written([]), "<doc/>");
    let list = Value::Array(vec![text("a"), number("1")]);
    assert_eq!(
        written([("collection", list)]),
        "<doc><collection>a</collection><collection>1</collection></doc>"
    );
    let mut out = Vec::new();
    encode(None, &mut out);
    assert_eq!(out, b"<doc/>");
}

#[test]
fn a_list_of_maps_alone_is_several_roots() {
    let list = Value::Array(vec![object([("id", number("1"))]), object([("id", number("2"))])]);
    assert_eq!(
        written([("collection", list)]),
        "<collection><id>1</id></collection><collection><id>2</id></collection>"
    );
}

#[test]
fn keys_with_a_hyphen_are_attributes_and_text_has_its_own_key() {
    let r = object([
        ("-id", text("7")),
        ("#text", text("t & u")),
        ("k", object([("-a", number("1")), ("b", number("2"))])),
    ]);
    assert_eq!(written([("r", r)]), "<r id=\"7\">t &amp; u<k a=\"1\"><b>2</b></k></r>");
    assert_eq!(written([("r", object([("-a", Value::Bool(true))]))]), "<r a=\"true\"/>");
    assert_eq!(written([("r", object([("#text", text(""))]))]), "<r></r>");
    assert_eq!(written([("r", object([("-", text("x"))]))]), "<r><->x</-></r>");
}

#[test]
fn lists_repeat_their_element_also_lists_of_lists() {
    let list = Value::Array(vec![
        Value::Array(vec![number("1"), number("2")]),
        Value::Array(vec![]),
        Value::Null,
    ]);
    assert_eq!(
        written([("a", list), ("b", Value::Null)]),
        "<doc><a>1</a><a>2</a><a/><a/><b/></doc>"
    );
}

#[test]
fn five_characters_are_escaped() {
    assert_eq!(written([("a", text("<&>\"'é\n"))]), "<a>&lt;&amp;&gt;&quot;&apos;é\n</a>");
}

#[test]
fn numbers_are_printed_as_what_they_are() {
    let list =
        vec![number("1e2"), Value::Number(Number::Float(1e6)), Value::Number(Number::Int(-3))];
    assert_eq!(written([("n", Value::Array(list))]), "<doc><n>1e2</n><n>1e+06</n><n>-3</n></doc>");
}

#[test]
fn an_attribute_that_is_no_scalar_leaves_nothing() {
    for value in [Value::Null, Value::Array(vec![]), object([])] {
        let mut out = b"before".to_vec();
        encode(Some(&map([("a", text("x")), ("b", object([("-c", value)]))])), &mut out);
        assert_eq!(out, b"before");
    }
}

#[test]
fn a_tree_under_the_text_key_is_printed_as_go_does() {
    let tree = Value::Array(vec![number("1"), object([("b", Value::Null), ("a", text("<"))])]);
    assert_eq!(written([("r", object([("#text", tree)]))]), "<r>[1 map[a:< b:<nil>]]</r>");
}

#[test]
fn the_details_of_a_failed_backend_are_their_structs_xml_as_text() {
    let details = Value::Struct(vec![
        ("http_status_code", Value::Number(Number::Int(404))),
        ("http_body", text("<\"no\">\n")),
    ]);
    assert_eq!(
        written([("error_x", details)]),
        "<error_x>&lt;NamedHTTPResponseError&gt;&lt;Code&gt;404&lt;/Code&gt;&lt;Msg&gt;&amp;lt;&amp;#34;no&amp;#34;\
         &amp;gt;&amp;#xA;&lt;/Msg&gt;&lt;Enc&gt;&lt;/Enc&gt;&lt;/NamedHTTPResponseError&gt;</error_x>"
    );
}

#[test]
fn a_deep_tree_is_written_whole() {
    let mut value = text("x");
    for _ in 0..400 {
        value = Value::Array(vec![object([("a", value)])]);
    }
    let mut out = Vec::new();
    encode(Some(&map([("a", value)])), &mut out);
    assert_eq!(out.len(), 401 * "<a></a>".len() + 1);
}
