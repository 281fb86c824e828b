//! `RequestHead`: the head of one request to an upstream, in the form in which it is sent.

use crate::message::head::Framing;
use crate::message::headers::is_same_word;
use crate::stage::Header;
use crate::upstream::Url;
use crate::wire::http1::client::OutgoingBody;
use crate::wire::http1::encode;

/// The User-Agent of a call whose own was filtered out, as Go's client sends it.
const BARE_USER_AGENT: &[u8] = b"Go-http-client/1.1";

/// The head of one request to an upstream.
pub(super) struct RequestHead<'a> {
    pub method: &'a str,
    pub url: &'a Url,
    /// In place of the URL's authority.
    pub host: Option<&'a str>,
    pub headers: &'a [Header<'a>],
    pub authorization: Option<&'a str>,
    pub referer: Option<&'a str>,
    pub drops_secrets: bool,
    pub drops_body_headers: bool,
    pub trace_lines: &'a [u8],
    pub ask_for_gzip: bool,
    pub keep_alive: bool,
}

impl RequestHead<'_> {
    /// Writes it in wire form; true when the gateway itself asked for a packed answer.
    pub fn write(&self, body: &OutgoingBody, out: &mut Vec<u8>) -> bool {
        encode::request_line(out, self.method.as_bytes(), &self.url.target);
        encode::header(out, b"Host", self.host.unwrap_or(&self.url.authority).as_bytes());
        let mut seen = Seen::default();
        for Header { name, value } in self.headers {
            if self.is_dropped(name) {
                continue;
            }
            seen.note(name);
            // Go sends no User-Agent at all where it was set to nothing.
            if !(value.is_empty() && name.eq_ignore_ascii_case(b"user-agent")) {
                encode::header(out, name, value);
            }
        }
        if !seen.user_agent {
            encode::header(out, b"User-Agent", BARE_USER_AGENT);
        }
        if let Some(authorization) = self.authorization.filter(|_| !seen.authorization) {
            encode::header(out, b"Authorization", authorization.as_bytes());
        }
        if let Some(referer) = self.referer.filter(|_| !seen.referer) {
            encode::header(out, b"Referer", referer.as_bytes());
        }
        let ask =
            self.ask_for_gzip && !seen.accept_encoding && !seen.range && self.method != "HEAD";
        if ask {
            out.extend_from_slice(b"Accept-Encoding: gzip\r\n");
        }
        out.extend_from_slice(self.trace_lines);
        if !self.keep_alive {
            encode::header(out, b"Connection", b"close");
        }
        self.frame(body, out);
        out.extend_from_slice(b"\r\n");
        ask
    }

    fn frame(&self, body: &OutgoingBody, out: &mut Vec<u8>) {
        match body {
            OutgoingBody::Empty if matches!(self.method, "POST" | "PUT" | "PATCH") => {
                encode::content_length(out, 0);
            }
            OutgoingBody::Empty => {}
            OutgoingBody::Bytes(bytes) => encode::content_length(out, bytes.len() as u64),
            OutgoingBody::Stream { incoming, .. } => match incoming.framing() {
                Framing::Length(length) => encode::content_length(out, length),
                _ => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            },
        }
    }

    fn is_dropped(&self, name: &[u8]) -> bool {
        let is = |other: &str| is_same_word(name, other.as_bytes());
        (!self.trace_lines.is_empty() && names_line(self.trace_lines, name))
            || (self.drops_secrets
                && (is("authorization") || is("cookie") || is("cookie2") || is("www-authenticate")))
            || (self.drops_body_headers
                && (is("content-type")
                    || is("content-encoding")
                    || is("content-language")
                    || is("content-location")))
    }
}

/// Whether one of these header lines has that name.
fn names_line(lines: &[u8], name: &[u8]) -> bool {
    lines.split(|byte| *byte == b'\n').any(|line| {
        line.get(name.len()) == Some(&b':') && line[..name.len()].eq_ignore_ascii_case(name)
    })
}

/// Headers whose presence changes what the gateway adds.
#[derive(Default)]
struct Seen {
    user_agent: bool,
    authorization: bool,
    referer: bool,
    accept_encoding: bool,
    range: bool,
}

impl Seen {
    fn note(&mut self, name: &[u8]) {
        let is = |other: &str| is_same_word(name, other.as_bytes());
        match name.len() {
            5 => self.range |= is("range"),
            7 => self.referer |= is("referer"),
            10 => self.user_agent |= is("user-agent"),
            13 => self.authorization |= is("authorization"),
            15 => self.accept_encoding |= is("accept-encoding"),
            _ => {}
        }
    }
}
