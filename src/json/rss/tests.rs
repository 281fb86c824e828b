//! What becomes of feeds of every kind, rule by rule.

use super::decode;
use crate::json::{Map, Value};

fn feed(body: &str) -> Map {
    decode(body.as_bytes()).expect(body)
}

fn text(text: &str) -> Value {
    Value::String(text.into())
}

/// The first item's members by name.
fn item(body: &str) -> Vec<(&'static str, Value)> {
    match feed(body).remove("items") {
        Some(Value::Array(mut items)) => match items.swap_remove(0) {
            Value::Struct(members) => members,
            other => panic!("no struct: {other:?}"),
        },
        other => panic!("no items: {other:?}"),
    }
}

fn rss_item(members: &str) -> Vec<(&'static str, Value)> {
    item(&format!(
        "<rss xmlns:dc='http://purl.org/dc/elements/1.1/' xmlns:itunes='http://www.itunes.com/DTDs/PodCast-1.0.dtd' \
         xmlns:content='http://purl.org/rss/1.0/modules/content/'><channel><item>{members}</item></channel></rss>"
    ))
}

fn atom_entry(members: &str) -> Vec<(&'static str, Value)> {
    item(&format!("<feed xmlns='http://www.w3.org/2005/Atom'><entry>{members}</entry></feed>"))
}

#[test]
fn the_root_or_a_brace_tells_the_kind() {
    for (body, kind) in [
        ("<rss><channel/></rss>", "rss"),
        ("<RDF/>", "rss"),
        ("\u{feff}\n<?xml version='1.0'?><feed/>", "atom"),
        ("{\"k\":\"v\"}", "json"),
    ] {
        assert_eq!(feed(body)["type"], text(kind));
    }
    for body in ["", "plain", "[1]", "\"a\"", "{", "<html><body/></html>", "<", "<rss"] {
        assert_eq!(decode(body.as_bytes()).expect_err(body).message, "Failed to detect feed type");
    }
}

#[test]
fn a_feed_has_all_its_keys_but_an_image_only_where_there_is_one() {
    let keys: Vec<String> = feed("{}").into_keys().collect();
    assert_eq!(
        keys,
        [
            "author",
            "categories",
            "copyright",
            "custom",
            "description",
            "items",
            "language",
            "published",
            "title",
            "type",
            "updated"
        ]
    );
    let with_image = feed("<rss><channel><image><title>x</title></image></channel></rss>");
    assert_eq!(with_image["img_url"], text(""));
}

#[test]
fn lists_and_maps_that_are_missing_are_null_in_json_and_empty_in_yaml() {
    let empty = feed("<rss/>");
    for (name, in_yaml) in [("categories", "categories: []\n"), ("custom", "custom: {}\n")] {
        assert_eq!(empty[name].shown(), &Value::Null);
        let mut yaml = Vec::new();
        let map = Map::from([(name.to_owned(), empty[name].clone())]);
        crate::json::render::Render::Yaml.render_map(Some(&map), &mut yaml);
        assert_eq!(String::from_utf8(yaml).unwrap(), in_yaml);
    }
}

#[test]
fn an_items_members_keep_their_order_and_leave_out_what_is_empty() {
    let members = rss_item(
        "<guid>g</guid><title>T</title><link>http://a/1</link><category>k</category><description/>",
    );
    let names: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["title", "link", "links", "guid", "categories"]);
}

#[test]
fn people_are_taken_apart() {
    for (written, name, email) in [
        ("me@a.example (Me)", Some("Me"), Some("me@a.example")),
        ("Me (me@a.example)", Some("Me"), Some("me@a.example")),
        ("Me", Some("Me"), None),
        ("me@a.example", None, Some("me@a.example")),
        ("(?)", None, None),
    ] {
        let mut person = Vec::new();
        person.extend(name.map(|name| ("name", text(name))));
        person.extend(email.map(|email| ("email", text(email))));
        let person = Value::Struct(person);
        let members = rss_item(&format!("<author>{written}</author>"));
        assert_eq!(
            members,
            [("author", person.clone()), ("authors", Value::Array(vec![person]))],
            "{written}"
        );
    }
}

#[test]
fn dates_keep_their_text_and_are_read_in_many_forms() {
    for (written, parsed) in [
        ("Tue, 03 Jan 2023 00:00:00 GMT", Some("2023-01-03T00:00:00Z")),
        ("Tue, 3 Jan 2023 01:00:00 +0200", Some("2023-01-02T23:00:00Z")),
        ("2023-01-03T10:00:00.5-01:00", Some("2023-01-03T11:00:00.5Z")),
        ("2023-01-03", Some("2023-01-03T00:00:00Z")),
        ("02/01/2023", Some("2023-01-02T00:00:00Z")),
        ("01/13/2023", Some("2023-01-13T00:00:00Z")),
        // By an early layout names of zones say nothing, by a late one some do.
        ("Tue, 03 Jan 2023 00:00:00 EST", Some("2023-01-03T00:00:00Z")),
        ("Tue, 3 Jan 2023 00:00:00 EST", Some("2023-01-03T05:00:00Z")),
        ("Thu, 31 Feb 2023 00:00:00 GMT", None),
        ("soon", None),
    ] {
        let members = rss_item(&format!("<pubDate>{written}</pubDate>"));
        let mut wanted = vec![("published", text(written))];
        wanted.extend(parsed.map(|parsed| ("publishedParsed", text(parsed))));
        assert_eq!(members, wanted);
    }
}

#[test]
fn text_may_be_sections_entities_or_markup() {
    for (written, wanted) in [
        ("&lt;b&gt;x&lt;/b&gt;", "<b>x</b>"),
        ("<b>x</b> &amp; y", "<b>x</b> & y"),
        ("<![CDATA[<p>&amp;</p>]]>", "<p>&amp;</p>"),
        ("before <![CDATA[in]]> behind", "in behind"),
        ("r&eacute;sum&eacute; &hellip;&#150;", "résumé …–"),
        ("&copyx;", "©x;"),
        ("a & b; &lt;", "a & b; &lt;"),
    ] {
        assert_eq!(
            rss_item(&format!("<title>{written}</title>")),
            [("title", text(wanted))],
            "{written}"
        );
    }
}

#[test]
fn dublin_core_and_itunes_fill_gaps_and_are_shown_in_full() {
    let members = rss_item(
        "<dc:title>D</dc:title><dc:creator>C</dc:creator><dc:date>2023-01-03T00:00:00+01:00</dc:date>\
         <itunes:keywords>a, b</itunes:keywords><itunes:image href='http://i'/><content:encoded>full</content:encoded>",
    );
    let member = |name: &str| {
        members.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    };
    assert_eq!(member("title"), Some(text("D")));
    assert_eq!(member("author"), Some(Value::Struct(vec![("name", text("C"))])));
    assert_eq!(member("publishedParsed"), Some(text("2023-01-03T00:00:00+01:00")));
    assert_eq!(member("categories"), Some(Value::Array(vec![text("a"), text(" b")])));
    assert_eq!(member("image"), Some(Value::Struct(vec![("url", text("http://i"))])));
    assert_eq!(
        member("itunesExt"),
        Some(Value::Struct(vec![("keywords", text("a, b")), ("image", text("http://i"))]))
    );
    assert!(member("dcExt").is_some() && member("extensions").is_some());
}

#[test]
fn unknown_members_of_an_item_are_custom() {
    let custom = Value::Object(Map::from([("Price".to_owned(), text("3"))]));
    assert_eq!(rss_item("<Price>3</Price>"), [("custom", custom)]);
}

#[test]
fn rdf_has_its_items_beside_the_channel() {
    let body = "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' xmlns='http://purl.org/rss/1.0/'>\
                <channel><title>T</title></channel><item><title>I</title></item><image><url>u</url></image></rdf:RDF>";
    assert_eq!(feed(body)["img_url"], text("u"));
    assert_eq!(item(body), [("title", text("I"))]);
}

#[test]
fn an_entry_without_a_publication_date_was_published_when_updated() {
    let members = atom_entry("<updated>2023-01-02T00:00:00+01:00</updated>");
    let moment = text("2023-01-01T23:00:00Z");
    let written = text("2023-01-02T00:00:00+01:00");
    assert_eq!(
        members,
        [
            ("updated", written.clone()),
            ("updatedParsed", moment.clone()),
            ("published", written),
            ("publishedParsed", moment)
        ]
    );
}

#[test]
fn links_of_an_entry_are_sorted_by_their_relation() {
    let members = atom_entry(
        "<link rel='self' href='s'/><link href='a'/><link rel='enclosure' href='e' type='t' length='1'/>\
         <link rel='edit' href='x'/>",
    );
    let enclosure =
        Value::Struct(vec![("url", text("e")), ("length", text("1")), ("type", text("t"))]);
    assert_eq!(
        members,
        [
            ("link", text("a")),
            ("links", Value::Array(vec![text("s"), text("a")])),
            ("enclosures", Value::Array(vec![enclosure]))
        ]
    );
}

#[test]
fn atom_text_is_read_by_its_type() {
    for (written, wanted) in [
        ("<title type='html'>&lt;b&gt;x&lt;/b&gt;</title>", "<b>x</b>"),
        (
            "<title type='xhtml'><div xmlns='http://www.w3.org/1999/xhtml'><p>x<br/>'y'</p></div></title>",
            "<p>x<br/>&#39;y&#39;</p>",
        ),
        ("<title type='xhtml'><p>a</p><p>b</p></title>", "<p>a</p><p>b</p>"),
        ("<title type='image/png'>aGVsbG8=</title>", "hello"),
        ("<title type='image/png'>no base64</title>", "no base64"),
    ] {
        assert_eq!(atom_entry(written), [("title", text(wanted))], "{written}");
    }
}

#[test]
fn addresses_are_relative_to_the_base_until_an_element_ends() {
    let entry = |members: &str| {
        item(&format!(
            "<feed xmlns='http://www.w3.org/2005/Atom' xml:base='http://a/b/c?d'><entry>{members}</entry></feed>"
        ))
    };
    let link =
        |address: &str| [("link", text(address)), ("links", Value::Array(vec![text(address)]))];
    assert_eq!(entry("<link href='../e?f#g'/>"), link("http://a/b/e?f#g"));
    assert_eq!(entry("<summary/><link href='e'/>"), link("e"));
}

#[test]
fn a_json_feed_is_as_old_as_its_first_item() {
    let body = r#"{"title":"T","items":[{"id":"1","date_published":"2023-01-02T00:00:00+01:00","attachments":
        [{"url":"u","mime_type":"m","duration_in_seconds":5}]}]}"#;
    assert_eq!(feed(body)["published"], text("2023-01-02T00:00:00+01:00"));
    let enclosure =
        Value::Struct(vec![("url", text("u")), ("length", text("5")), ("type", text("m"))]);
    assert_eq!(
        item(body),
        [
            ("published", text("2023-01-02T00:00:00+01:00")),
            ("publishedParsed", text("2023-01-02T00:00:00+01:00")),
            ("guid", text("1")),
            ("enclosures", Value::Array(vec![enclosure]))
        ]
    );
}

#[test]
fn known_members_of_a_json_feed_must_have_the_right_type() {
    for body in [
        r#"{"title":1}"#,
        r#"{"items":{}}"#,
        r#"{"items":[{"id":1}]}"#,
        r#"{"author":"x"}"#,
        r#"{"items":[null]}"#,
    ] {
        assert!(decode(body.as_bytes()).is_err(), "{body}");
    }
    assert_eq!(feed(r#"{"title":null,"items":null,"Language":"de"}"#)["language"], text("de"));
}

#[test]
fn mistakes_that_can_be_mended_are() {
    let body = "<rss><channel><title>a & b &foo;<b>c</title><link>x</link><item><guid isPermaLink=false>g</item></channel></rss>";
    assert_eq!(feed(body)["title"], text("a & b &foo;<b>c</title>"));
    assert_eq!(
        decode(b"<rss><channel>").expect_err("cut off").message,
        "XML syntax error on line 1: unexpected EOF"
    );
}

#[test]
fn deep_extensions_are_refused() {
    let body = format!("<rss><channel>{}", "<x:y>".repeat(100_000));
    assert!(decode(body.as_bytes()).is_err());
}
