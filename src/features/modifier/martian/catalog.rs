//! All modifiers that a definition may name.

/// All modifiers, with their members beside `scope`.
pub const MODIFIERS: &[(&str, &[&str])] = &[
    ("body.Modifier", &["contentType", "body"]),
    ("cookie.Filter", &["name", "value", "modifier", "else"]),
    (
        "cookie.Modifier",
        &["name", "value", "path", "domain", "expires", "secure", "httpOnly", "maxAge"],
    ),
    ("fifo.Group", &["modifiers", "aggregateErrors"]),
    ("header.Append", &["name", "value"]),
    ("header.Blacklist", &["names"]),
    ("header.Copy", &["from", "to"]),
    ("header.Filter", &["name", "value", "modifier", "else"]),
    ("header.Id", &["header"]),
    ("header.Modifier", &["name", "value"]),
    ("header.RegexFilter", &["header", "regex", "modifier"]),
    ("header.Verifier", &["name", "value"]),
    ("port.Filter", &["port", "modifier"]),
    ("port.Modifier", &["port", "defaultForScheme", "remove"]),
    ("priority.Group", &["modifiers"]),
    ("querystring.Filter", &["name", "value", "modifier", "else"]),
    ("querystring.Modifier", &["name", "value"]),
    ("querystring.Verifier", &["name", "value"]),
    ("stash.Modifier", &["headerName"]),
    ("static.Modifier", &["rootPath", "explicitPaths"]),
    ("status.Modifier", &["statusCode"]),
    ("status.Verifier", &["statusCode"]),
    ("url.Filter", &["scheme", "host", "path", "query", "modifier", "else"]),
    ("url.Modifier", &["scheme", "host", "path", "query"]),
    ("url.RegexFilter", &["regex", "modifier", "else"]),
    ("url.Verifier", &["scheme", "host", "path", "query"]),
];
