//! What becomes of XML documents, rule by rule.

use super::decode;
use crate::json::Value;
use crate::json::xml::DEPTH_MAX;

fn text(text: &str) -> Value {
    Value::String(text.into())
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(members.map(|(key, value)| (key.to_owned(), value)).into_iter().collect())
}

fn decoded(body: &str) -> Value {
    Value::Object(decode(body.as_bytes()).expect(body))
}

fn message(body: &[u8]) -> String {
    decode(body).expect_err("no XML").message
}

#[test]
fn the_roots_name_is_the_only_key_and_text_is_trimmed() {
    assert_eq!(
        decoded("\n <r>\n <k> v \n</k> </r>\n"),
        object([("r", object([("k", text("v"))]))])
    );
    assert_eq!(decoded("<r>1.50</r>"), object([("r", text("1.50"))]));
    assert_eq!(decoded("<r>\u{a0}</r>"), object([("r", text("\u{a0}"))]));
}

#[test]
fn an_empty_element_is_an_empty_text() {
    for body in ["<r/>", "<r></r>", "<r> \n</r>", "<r ><!-- c --></r >"] {
        assert_eq!(decoded(body), object([("r", text(""))]), "{body}");
    }
}

#[test]
fn attributes_get_a_hyphen_and_lose_their_prefix() {
    let both = object([("-id", text("1")), ("-ns", text("u")), ("#text", text("v"))]);
    assert_eq!(decoded(r#"<n:x xmlns:ns="u" n:id='1'>v</n:x>"#), object([("x", both)]));
    assert_eq!(
        decoded(r#"<x a=" &lt;&#x41; "/>"#),
        object([("x", object([("-a", text(" <A "))]))])
    );
    assert_eq!(decoded(r#"<x a="1" a="2"/>"#), object([("x", object([("-a", text("2"))]))]));
}

#[test]
fn elements_that_repeat_become_a_list() {
    let list = Value::Array(vec![text("1"), object([("-i", text("2"))]), text("")]);
    assert_eq!(decoded(r#"<r><k>1</k><k i="2"/><k/></r>"#), object([("r", object([("k", list)]))]));
}

#[test]
fn of_several_texts_the_one_before_the_first_child_counts_else_the_last() {
    let mixed = object([("#text", text("a")), ("b", text("c"))]);
    assert_eq!(decoded("<m>a<b>c</b>d</m>"), object([("m", mixed)]));
    let behind = object([("#text", text("e")), ("b", text("c"))]);
    assert_eq!(decoded("<m><b>c</b>d<!-- x -->e</m>"), object([("m", behind)]));
    assert_eq!(decoded("<m>a<![CDATA[b]]></m>"), object([("m", text("b"))]));
}

#[test]
fn sections_and_entities_are_resolved_and_line_breaks_made_one() {
    assert_eq!(decoded("<r><![CDATA[<raw>&]]></r>"), object([("r", text("<raw>&"))]));
    assert_eq!(
        decoded("<r>&lt;&gt;&amp;&apos;&quot;&#65;&#x1F600;</r>"),
        object([("r", text("<>&'\"A😀"))])
    );
    assert_eq!(decoded("<r>a\r\nb\rc</r>"), object([("r", text("a\nb\nc"))]));
}

#[test]
fn what_stands_round_the_root_is_not_looked_at() {
    let r = object([("r", text("x"))]);
    for body in [
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- c --><r>x</r>",
        "<!DOCTYPE r [<!ENTITY e \"x\">]><r>x</r>",
        "\u{feff}<r>x</r>",
        "words <r>x</r>",
        "<r>x</r><s>y</s>",
        "<r>x</r></broken",
    ] {
        assert_eq!(decoded(body), r, "{body}");
    }
}

#[test]
fn a_charset_that_the_declaration_names_is_converted() {
    let body = b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><r>caf\xe9</r>";
    assert_eq!(decode(body).expect("latin"), decode("<r>café</r>".as_bytes()).expect("UTF-8"));
    let body = b"<?xml version='1.0' encoding='Shift_JIS'?><r>\x93\xfa\x96{</r>";
    assert_eq!(decode(body).expect("Shift_JIS"), decode("<r>日本</r>".as_bytes()).expect("UTF-8"));
}

#[test]
fn the_messages_are_the_originals() {
    for (body, wanted) in [
        ("", "EOF"),
        ("{\"a\":1}", "EOF"),
        (
            "<a><b></a>",
            "xml.Decoder.Token() - XML syntax error on line 1: element <b> closed by </a>",
        ),
        ("<a>\n<b>", "xml.Decoder.Token() - XML syntax error on line 2: unexpected EOF"),
        ("<a", "xml.Decoder.Token() - XML syntax error on line 1: unexpected EOF"),
        ("</a>", "xml.Decoder.Token() - XML syntax error on line 1: unexpected end element </a>"),
        (
            "<a>&foo;</a>",
            "xml.Decoder.Token() - XML syntax error on line 1: invalid character entity &foo;",
        ),
        (
            "<a>a & b</a>",
            "xml.Decoder.Token() - XML syntax error on line 1: invalid character entity & (no semicolon)",
        ),
        (
            "<a b></a>",
            "xml.Decoder.Token() - XML syntax error on line 1: attribute name without = in element",
        ),
        (
            "<a b=c/>",
            "xml.Decoder.Token() - XML syntax error on line 1: unquoted or missing attribute value in element",
        ),
        (
            "<a>]]></a>",
            "xml.Decoder.Token() - XML syntax error on line 1: unescaped ]]> not in CDATA section",
        ),
        (
            "<a>\u{1}</a>",
            "xml.Decoder.Token() - XML syntax error on line 1: illegal character code U+0001",
        ),
        ("<1/>", "xml.Decoder.Token() - XML syntax error on line 1: invalid XML name: 1"),
        (
            "<?xml version=\"1.1\"?><a/>",
            "xml.Decoder.Token() - xml: unsupported version \"1.1\"; only version 1.0 is supported",
        ),
        (
            "<?xml version=\"1.0\" encoding=\"nope\"?><a/>",
            "xml.Decoder.Token() - xml: opening charset \"nope\": unsupported charset: \"nope\"",
        ),
    ] {
        assert_eq!(message(body.as_bytes()), wanted, "{body}");
    }
    assert_eq!(
        message(b"<a>\xff</a>"),
        "xml.Decoder.Token() - XML syntax error on line 1: invalid UTF-8"
    );
}

#[test]
fn entities_of_the_document_are_never_expanded() {
    let bomb = r#"<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><r>&b;</r>"#;
    assert!(message(bomb.as_bytes()).ends_with("invalid character entity &b;"));
}

#[test]
fn the_depth_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    assert!(decode(nested(DEPTH_MAX).as_bytes()).is_ok());
    assert!(message(nested(DEPTH_MAX + 1).as_bytes()).contains("more than 1000 elements"));
    assert!(message("<a>".repeat(1_000_000).as_bytes()).contains("more than 1000 elements"));
}
