//! `Rule`: one modifier of a definition as plain data, shared by all cores.

use regex::Regex;

use super::cookie::Cookie;
use super::file_tree::FileTree;
use crate::config::headers::canonical;

/// A whole definition.
#[derive(Debug)]
pub struct Program {
    pub root: Rule,
    /// What its `static.Modifier`s serve, in the order of their numbers.
    pub trees: Vec<FileTree>,
}

/// A modifier, and when it runs.
#[derive(Debug)]
pub struct Rule {
    pub action: Action,
    pub on_request: bool,
    pub on_response: bool,
}

#[derive(Debug)]
pub enum Action {
    SetHeader(Name, Vec<u8>),
    AppendHeader(Name, Vec<u8>),
    CopyHeader {
        from: Name,
        to: Name,
    },
    RemoveHeaders(Vec<Name>),
    /// A header that identifies the request, unless it has one.
    Identify(Name),
    ReplaceBody(NewBody),
    AddCookie(Cookie),
    SetQuery {
        name: Vec<u8>,
        value: Vec<u8>,
    },
    ChangeUrl(UrlParts),
    ChangePort(PortChange),
    /// Keeps the URL in a header.
    Stash(Name),
    SetStatus(u16),
    /// A file in place of the upstream, of the tree with this number.
    Serve(usize),
    /// What looks and changes nothing.
    Nothing,
    /// What fails every request that reaches it.
    Fail(String),
    Filter {
        condition: Condition,
        then: Box<Rule>,
        otherwise: Option<Box<Rule>>,
    },
    /// Several in their order. Errors end it, or are gathered to its end.
    Group {
        rules: Vec<Rule>,
        gathers_errors: bool,
    },
}

/// A header's name, and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// As Go writes it.
    pub text: Box<[u8]>,
    pub kind: NameKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    Plain,
    Host,
    Length,
    /// Of the connection and of the framing, which are the gateway's business.
    Framing,
}

#[derive(Debug)]
pub struct NewBody {
    pub content_type: Vec<u8>,
    pub bytes: Vec<u8>,
}

/// Parts of a URL; an empty one stands for any, or for the one that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UrlParts {
    pub scheme: String,
    pub host: String,
    /// Decoded.
    pub path: String,
    /// As it is sent.
    pub query: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortChange {
    Use(u16),
    DefaultOfScheme,
    Remove,
}

/// What a filter asks.
#[derive(Debug)]
pub enum Condition {
    /// A header has this value.
    Header(Name, Vec<u8>),
    /// The first value of the request's header matches.
    HeaderMatches(Name, Regex),
    /// A cookie has this value; an empty one stands for any.
    Cookie {
        name: Vec<u8>,
        value: Vec<u8>,
    },
    /// The same of the query.
    Query {
        name: Vec<u8>,
        value: Vec<u8>,
    },
    Url(UrlParts),
    UrlMatches(Regex),
    Port(i64),
}

// === impl Name ===

impl Name {
    pub fn new(name: &str) -> Name {
        let text = canonical(name);
        let kind = match text.as_str() {
            "Host" => NameKind::Host,
            "Content-Length" => NameKind::Length,
            "Transfer-Encoding" | "Trailer" | "Connection" | "Upgrade" | "Proxy-Connection"
            | "Keep-Alive" | "Http2-Settings" => NameKind::Framing,
            _ => NameKind::Plain,
        };
        Name { text: text.into_bytes().into(), kind }
    }

    pub fn is(&self, other: &[u8]) -> bool {
        self.text.eq_ignore_ascii_case(other)
    }
}
