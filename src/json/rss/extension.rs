//! Elements of other namespaces: kept whole, and the well-known ones (Dublin Core, iTunes) once more by name.

use std::collections::BTreeMap;

use super::feed::Members;
use super::pull::{Event, Pull};
use crate::json::Value;
use crate::json::xml::EncodingError;

pub struct Extension {
    pub name: String,
    pub value: String,
    pub attributes: BTreeMap<String, String>,
    pub children: Elements,
}

pub type Elements = BTreeMap<String, Vec<Extension>>;

/// Elements by the prefix of their namespace.
pub type Extensions = BTreeMap<String, Elements>;

/// Namespaces that have one name, whatever a feed calls them.
const NAMESPACES: [(&str, &str); 53] = [
    ("http://backend.userland.com/blogChannelModule", "blogChannel"),
    ("http://backend.userland.com/creativeCommonsRssModule", "creativeCommons"),
    ("http://creativecommons.org/ns#license", "cc"),
    ("http://cyber.law.harvard.edu/rss/creativeCommonsRssModule.html", "creativeCommons"),
    ("http://example.com/DTDs/PodCast-1.0.dtd", "itunes"),
    ("http://freshmeat.net/rss/fm/", "fm"),
    ("http://hacks.benhammersley.com/rss/streaming/", "str"),
    ("http://madskills.com/public/xml/rss/module/pingback/", "pingback"),
    ("http://madskills.com/public/xml/rss/module/trackback/", "trackback"),
    ("http://media.tangent.org/rss/1.0/", "audio"),
    ("http://my.theinfo.org/changed/1.0/rss/", "cp"),
    ("http://podlove.org/simple-chapters", "psc"),
    ("http://postneo.com/icbm/", "icbm"),
    ("http://prismstandard.org/namespaces/1.2/basic/", "prism"),
    ("http://purl.org/dc/elements/1.1/", "dc"),
    ("http://purl.org/dc/terms/", "dcterms"),
    ("http://purl.org/rss/1.0/modules/aggregation/", "ag"),
    ("http://purl.org/rss/1.0/modules/annotate/", "annotate"),
    ("http://purl.org/rss/1.0/modules/company", "co"),
    ("http://purl.org/rss/1.0/modules/content/", "content"),
    ("http://purl.org/rss/1.0/modules/email/", "email"),
    ("http://purl.org/rss/1.0/modules/event/", "ev"),
    ("http://purl.org/rss/1.0/modules/image/", "image"),
    ("http://purl.org/rss/1.0/modules/link/", "l"),
    ("http://purl.org/rss/1.0/modules/reference/", "ref"),
    ("http://purl.org/rss/1.0/modules/richequiv/", "reqv"),
    ("http://purl.org/rss/1.0/modules/search/", "search"),
    ("http://purl.org/rss/1.0/modules/servicestatus/", "ss"),
    ("http://purl.org/rss/1.0/modules/slash/", "slash"),
    ("http://purl.org/rss/1.0/modules/subscription/", "sub"),
    ("http://purl.org/rss/1.0/modules/syndication/", "sy"),
    ("http://purl.org/rss/1.0/modules/taxonomy/", "taxo"),
    ("http://purl.org/rss/1.0/modules/textinput/", "ti"),
    ("http://purl.org/rss/1.0/modules/threading/", "thr"),
    ("http://purl.org/rss/1.0/modules/wiki/", "wiki"),
    ("http://rssnamespace.org/feedburner/ext/1.0", "feedburner"),
    ("http://schemas.pocketsoap.com/rss/myDescModule/", "szf"),
    ("http://schemas.xmlsoap.org/soap/envelope/", "soap"),
    ("http://search.yahoo.com/mrss", "media"),
    ("http://search.yahoo.com/mrss/", "media"),
    ("http://web.resource.org/cc/", "cc"),
    ("http://webns.net/mvcb/", "admin"),
    ("http://wellformedweb.org/commentAPI/", "wfw"),
    ("http://www.georss.org/georss", "georss"),
    ("http://www.itunes.com/DTDs/PodCast-1.0.dtd", "itunes"),
    ("http://www.opengis.net/gml", "gml"),
    ("http://www.w3.org/1999/02/22-rdf-syntax-ns#", "rdf"),
    ("http://www.w3.org/1999/xhtml", "xhtml"),
    ("http://www.w3.org/1999/xlink", "xlink"),
    ("http://www.w3.org/2000/01/rdf-schema#", "rdfs"),
    ("http://www.w3.org/2003/01/geo/wgs84_pos#", "geo"),
    ("http://www.w3.org/XML/1998/namespace", "xml"),
    ("http://xmlns.com/foaf/0.1/", "foaf"),
];

/// Whether the start tag that was read last belongs to another namespace than the feed's own.
pub fn is_extension(pull: &Pull<'_>) -> bool {
    match pull.prefix(pull.space.trim()) {
        Some(prefix) => !matches!(prefix, "" | "rss" | "rdf" | "content"),
        None => !pull.space.is_empty(),
    }
}

/// Reads an element of another namespace and puts it among the others.
pub fn parse(extensions: &mut Extensions, pull: &mut Pull<'_>) -> Result<(), EncodingError> {
    let prefix = prefix(pull).to_owned();
    let extension = element(pull)?;
    extensions.entry(prefix).or_default().entry(pull.name.clone()).or_default().push(extension);
    Ok(())
}

fn prefix<'p>(pull: &'p Pull<'_>) -> &'p str {
    let space = pull.space.as_str();
    let known = NAMESPACES.iter().find(|(known, _)| *known == space);
    known.map(|(_, prefix)| *prefix).or_else(|| pull.prefix(space)).unwrap_or(space)
}

/// Reads an element with its children. The depth is bounded where tokens come from, but an element that is
/// open waits here on a list, not on the stack.
fn element(pull: &mut Pull<'_>) -> Result<Extension, EncodingError> {
    pull.expect(Event::Start, "*")?;
    let mut open = vec![start(pull)];
    loop {
        match pull.next()? {
            Event::Start => open.push(start(pull)),
            Event::Text => {
                if let Some(element) = open.last_mut() {
                    element.value.push_str(&pull.text);
                }
            }
            Event::End => {
                let Some(mut element) = open.pop() else { continue };
                element.value = trimmed(element.value);
                pull.expect(Event::End, &element.name)?;
                match open.last_mut() {
                    Some(parent) => {
                        parent.children.entry(element.name.clone()).or_default().push(element);
                    }
                    None => return Ok(element),
                }
            }
            _ => {}
        }
    }
}

fn start(pull: &Pull<'_>) -> Extension {
    let attribute = |attribute: &crate::json::xml::Attribute| {
        (attribute.name.local.clone(), attribute.value.clone())
    };
    Extension {
        name: pull.name.clone(),
        value: String::new(),
        attributes: pull.attributes.iter().map(attribute).collect(),
        children: BTreeMap::new(),
    }
}

fn trimmed(text: String) -> String {
    if text.trim().len() == text.len() { text } else { text.trim().to_owned() }
}

/// All the texts of the elements of a name.
pub fn texts(elements: Option<&Elements>, name: &str) -> Vec<String> {
    let list = elements.and_then(|elements| elements.get(name));
    list.into_iter().flatten().map(|element| element.value.clone()).collect()
}

/// The text of the first element of a name, when there is one.
pub fn first(elements: Option<&Elements>, name: &str) -> Option<String> {
    elements?.get(name)?.first().map(|element| element.value.clone())
}

/// The address of the first iTunes image.
pub fn itunes_image(elements: Option<&Elements>) -> Option<String> {
    let url = elements?.get("image")?.first()?.attributes.get("href")?.clone();
    (!url.is_empty()).then_some(url)
}

/// The iTunes categories and, behind each, its first subcategory.
pub fn itunes_categories(elements: Option<&Elements>) -> Vec<String> {
    let text = |element: &Extension| element.attributes.get("text").cloned().unwrap_or_default();
    let mut categories = Vec::new();
    for category in elements.and_then(|elements| elements.get("category")).into_iter().flatten() {
        categories.push(text(category));
        let inner = category.children.get("category").and_then(|inner| inner.first());
        categories.extend(inner.map(text));
    }
    categories
}

pub fn dublin_core(elements: &Elements) -> Value {
    const NAMES: [&str; 16] = [
        "title",
        "creator",
        "author",
        "subject",
        "description",
        "publisher",
        "contributor",
        "date",
        "type",
        "format",
        "identifier",
        "source",
        "language",
        "relation",
        "coverage",
        "rights",
    ];
    let mut members = Members::default();
    for name in NAMES {
        members.texts(name, texts(Some(elements), name));
    }
    members.finish()
}

pub fn itunes_item(elements: &Elements) -> Value {
    const BEFORE_IMAGE: [&str; 7] =
        ["author", "block", "duration", "explicit", "keywords", "subtitle", "summary"];
    const AFTER_IMAGE: [&str; 5] =
        ["isClosedCaptioned", "episode", "season", "order", "episodeType"];
    let mut members = Members::default();
    for name in BEFORE_IMAGE {
        members.text(name, first(Some(elements), name).unwrap_or_default());
    }
    members.text("image", itunes_image(Some(elements)).unwrap_or_default());
    for name in AFTER_IMAGE {
        members.text(name, first(Some(elements), name).unwrap_or_default());
    }
    members.finish()
}
