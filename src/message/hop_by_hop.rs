//! The only list of headers that never cross the gateway, for both directions (RFC 9110 section 7.6.1).
//!
//! What is not listed crosses, as it does in the original: also TE, Via and a client's Keep-Alive.

use crate::message::headers::{Headers, Marks, elements, is_same_word};

/// Whether a client's header may go to an upstream.
pub fn crosses_to_upstream(headers: Headers<'_>, name: &[u8]) -> bool {
    !is_of_the_connection(name) && !is_of_the_request(name) && !named_by_connection(headers, name)
}

/// Whether an upstream's header may go to a client.
pub fn crosses_to_client(headers: Headers<'_>, name: &[u8]) -> bool {
    !is_of_the_connection(name) && !is(name, "keep-alive") && !named_by_connection(headers, name)
}

/// Headers that are about one connection, or that frame one message: each side gets our own. With an underscore,
/// the framing ones mean nothing to HTTP, but servers in the manner of CGI read both as the same.
pub fn is_of_the_connection(name: &[u8]) -> bool {
    match name.len() {
        7 => is(name, "upgrade") || is(name, "trailer"),
        10 => is(name, "connection"),
        14 => {
            is(name, "content-length") || is(name, "http2-settings") || is(name, "content_length")
        }
        16 => is(name, "proxy-connection"),
        17 => is(name, "transfer-encoding") || is(name, "transfer_encoding"),
        _ => false,
    }
}

/// Headers of a request that the gateway has dealt with: an upstream gets its own Host, and its body at once.
fn is_of_the_request(name: &[u8]) -> bool {
    match name.len() {
        4 => is(name, "host"),
        6 => is(name, "expect"),
        _ => false,
    }
}

/// Whether a `Connection` header of the same message names this one.
pub fn named_by_connection(headers: Headers<'_>, name: &[u8]) -> bool {
    let marks = headers.marks();
    if !marks.has(Marks::CONNECTION) {
        return false;
    }
    // Mostly it says `close` or `keep-alive`, and nothing but Keep-Alive is named by that.
    if !marks.has(Marks::CONNECTION_NAMES) && !is(name, "keep-alive") && !is(name, "close") {
        return false;
    }
    headers
        .named("connection")
        .any(|value| elements(value).any(|element| element.eq_ignore_ascii_case(name)))
}

fn is(name: &[u8], other: &str) -> bool {
    is_same_word(name, other.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::head::RequestHead;

    fn with_connection(value: Option<&[u8]>) -> RequestHead {
        let mut head = RequestHead::default();
        if let Some(value) = value {
            head.push_header(b"Connection", value);
            head.marks.add(Marks::CONNECTION_NAMES);
        }
        head
    }

    #[test]
    fn te_via_and_keep_alive_go_up_unless_they_are_named() {
        let head = with_connection(None);
        for name in [
            &b"TE"[..],
            b"Via",
            b"Keep-Alive",
            b"Upgrade-Insecure-Requests",
            b"X-A",
            b"Proxy-Authorization",
        ] {
            assert!(crosses_to_upstream(head.headers(), name), "{name:?}");
        }
        let head = with_connection(Some(b"te, keep-alive , X-a"));
        for name in [&b"TE"[..], b"Keep-Alive", b"X-A"] {
            assert!(!crosses_to_upstream(head.headers(), name), "{name:?}");
        }
        assert!(crosses_to_upstream(head.headers(), b"Via"));
    }

    #[test]
    fn framing_and_connection_headers_cross_in_no_direction() {
        let head = with_connection(None);
        for name in [
            &b"Connection"[..],
            b"proxy-connection",
            b"Transfer-Encoding",
            b"UPGRADE",
            b"Content-Length",
            b"Trailer",
            b"HTTP2-Settings",
            b"Content_Length",
            b"transfer_encoding",
        ] {
            assert!(!crosses_to_upstream(head.headers(), name), "{name:?}");
            assert!(!crosses_to_client(head.headers(), name), "{name:?}");
        }
    }

    #[test]
    fn host_and_expect_stay_with_the_client_and_keep_alive_with_the_upstream() {
        let head = with_connection(None);
        assert!(!crosses_to_upstream(head.headers(), b"Host"));
        assert!(!crosses_to_upstream(head.headers(), b"expect"));
        assert!(!crosses_to_client(head.headers(), b"Keep-Alive"));
        assert!(crosses_to_client(head.headers(), b"Via"));
    }

    #[test]
    fn a_plain_keep_alive_names_only_keep_alive() {
        let mut head = RequestHead::default();
        head.push_header(b"Connection", b"keep-alive");
        assert!(named_by_connection(head.headers(), b"Keep-Alive"));
        assert!(!named_by_connection(head.headers(), b"X-A"));
    }
}
