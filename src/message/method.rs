//! `Method`: what a request asks for, as one small value.

use crate::message::headers::Span;

/// A request method. Names are case-sensitive (RFC 9110 section 9.1): `get` is not `GET`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    Connect,
    Trace,
    /// Any other token; the span finds it in the head's buffer.
    Other(Span),
}

impl Method {
    /// The method of a token that stands at `span` of its buffer.
    pub fn of(token: &[u8], span: Span) -> Method {
        Method::standard(token).unwrap_or(Method::Other(span))
    }

    /// One of the nine methods of RFC 9110 and RFC 5789.
    pub fn standard(token: &[u8]) -> Option<Method> {
        Some(match token {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"PATCH" => Method::Patch,
            b"DELETE" => Method::Delete,
            b"OPTIONS" => Method::Options,
            b"CONNECT" => Method::Connect,
            b"TRACE" => Method::Trace,
            _ => return None,
        })
    }

    /// The token; `bytes` is the buffer that the head was read into.
    pub fn name(self, bytes: &[u8]) -> &[u8] {
        match self {
            Method::Get => b"GET",
            Method::Head => b"HEAD",
            Method::Post => b"POST",
            Method::Put => b"PUT",
            Method::Patch => b"PATCH",
            Method::Delete => b"DELETE",
            Method::Options => b"OPTIONS",
            Method::Connect => b"CONNECT",
            Method::Trace => b"TRACE",
            Method::Other(span) => span.of(bytes),
        }
    }

    /// Whether sending it twice does no more than sending it once (RFC 9110 section 9.2.2): may be retried.
    pub fn is_idempotent(self) -> bool {
        !matches!(self, Method::Post | Method::Patch | Method::Connect | Method::Other(_))
    }

    /// Whether its meaning lies in a body, so that an empty one is announced as `Content-Length: 0`.
    pub fn has_body_semantics(self) -> bool {
        matches!(self, Method::Post | Method::Put | Method::Patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_names_come_back_as_they_were() {
        for name in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"]
        {
            assert_eq!(
                Method::standard(name.as_bytes()).map(|method| method.name(b"")),
                Some(name.as_bytes())
            );
        }
    }

    #[test]
    fn case_makes_another_method() {
        let span = Span::new(2, 5);
        let method = Method::of(b"get", span);
        assert_eq!(method, Method::Other(span));
        assert_eq!(method.name(b"__get__"), b"get");
    }

    #[test]
    fn post_patch_and_unknown_methods_are_not_repeated() {
        for (method, idempotent, body) in [
            (Method::Get, true, false),
            (Method::Put, true, true),
            (Method::Delete, true, false),
            (Method::Post, false, true),
            (Method::Patch, false, true),
            (Method::Other(Span::default()), false, false),
        ] {
            assert_eq!(
                (method.is_idempotent(), method.has_body_semantics()),
                (idempotent, body),
                "{method:?}"
            );
        }
    }
}
