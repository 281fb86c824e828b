use super::*;

fn decoded(raw: &str) -> Result<String, String> {
    let mut out = Vec::new();
    match decode(raw.as_bytes(), &mut out) {
        Ok(path) => Ok(String::from_utf8_lossy(path).into_owned()),
        Err(bad) => Err(bad.to_string()),
    }
}

fn target(raw: &str) -> Result<String, String> {
    let mut out = Vec::new();
    write_target(raw.as_bytes(), &mut out).map_err(|bad| bad.to_string())?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

#[test]
fn a_path_without_escapes_is_not_copied() {
    let raw = b"/a/b+c";
    let mut out = Vec::new();
    assert_eq!(decode(raw, &mut out).unwrap().as_ptr(), raw.as_ptr());
    assert!(out.is_empty());
}

#[test]
fn escapes_are_decoded_once_and_broken_ones_refused() {
    assert_eq!(decoded("/a%20b%2Fc%2fd+e").unwrap(), "/a b/c/d+e");
    assert_eq!(decoded("/%2541").unwrap(), "/%41");
    assert_eq!(decoded("/a%").unwrap_err(), "invalid URL escape \"%\"");
    assert_eq!(decoded("/a%2").unwrap_err(), "invalid URL escape \"%2\"");
    assert_eq!(decoded("/%2x/%").unwrap_err(), "invalid URL escape \"%2x\"");
    assert_eq!(decoded("/%+1").unwrap_err(), "invalid URL escape \"%+1\"");
}

#[test]
fn a_path_goes_out_as_it_stands_unless_a_byte_of_it_must_be_encoded() {
    assert_eq!(target("/a!b$c'd(e)*,;:@[x]%2f").unwrap(), "/a!b$c'd(e)*,;:@[x]%2f");
    assert_eq!(target("/a b!%2f").unwrap(), "/a%20b%21/");
    assert_eq!(target("/caf\u{e9}").unwrap(), "/caf%C3%A9");
    assert_eq!(target("/{{.Id}}").unwrap(), "/%7B%7B.Id%7D%7D");
    assert_eq!(target("").unwrap(), "/");
    assert_eq!(target("?a").unwrap(), "/?a");
    assert_eq!(target("/..//./a").unwrap(), "/..//./a");
}

#[test]
fn the_query_stays_raw_and_the_fragment_goes() {
    assert_eq!(target("/a?b=%zz|\u{e9}?c#d").unwrap(), "/a?b=%zz|\u{e9}?c");
    assert_eq!(target("/a?#?").unwrap(), "/a?");
    assert_eq!(target("/a#\x01").unwrap(), "/a");
    assert_eq!(target("/a?x= y ").unwrap(), "/a?x=%20y%20");
    assert_eq!(target("/a#%z").unwrap_err(), "invalid URL escape \"%z\"");
    assert_eq!(target("/a\n").unwrap_err(), "net/url: invalid control character in URL");
    assert_eq!(target("/a?\x7f").unwrap_err(), "net/url: invalid control character in URL");
}

#[test]
fn a_request_target_is_a_path_an_absolute_url_or_a_star() {
    let parse = |raw: &'static str| RequestTarget::parse(b"GET", raw.as_bytes()).unwrap();
    let plain = parse("/a#b?c?d");
    assert_eq!((plain.path, plain.query), (&b"/a#b"[..], Some(&b"c?d"[..])));
    assert_eq!(parse("//a/b").path, b"//a/b");
    assert_eq!(parse("/?").query, Some(&b""[..]));
    assert_eq!(parse("*").path, b"*");
    let absolute = parse("HTTP://user:p%40@Host:80/x?y");
    assert_eq!((absolute.scheme, absolute.host()), (&b"HTTP"[..], &b"Host:80"[..]));
    assert_eq!((absolute.path, absolute.query), (&b"/x"[..], Some(&b"y"[..])));
    assert_eq!(parse("http://[::1]:80").path, b"");
    let connect = RequestTarget::parse(b"CONNECT", b"host:443").unwrap();
    assert_eq!((connect.authority, connect.path), (&b"host:443"[..], &b""[..]));
}

#[test]
fn what_go_refuses_as_a_request_target_is_refused() {
    let refused = [
        "", "a/b", "?x", "/a%2", "/a\x01", "/?\x7f", ":x", "http://h:8x/", "http://[::1/", "http://a b/", "http://%41/",
        "http://[1.2.3.4]/", "http://h/%g0",
    ];
    for raw in refused {
        assert!(RequestTarget::parse(b"GET", raw.as_bytes()).is_err(), "{raw:?}");
    }
}

#[test]
fn texts_are_quoted_as_go_quotes_them() {
    assert_eq!(quote(b"a\"\\\n\x01\x7f\xff\xc3\xa9 \xc2\xa0"), "\"a\\\"\\\\\\n\\x01\\x7f\\xff\u{e9} \\u00a0\"");
}

#[test]
fn a_decoded_path_prefers_the_way_it_was_written() {
    let like = |path: &str, raw: &str| {
        let mut out = Vec::new();
        encode_like(path.as_bytes(), raw.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(like("/a/b", "/a%2Fb"), "/a%2Fb");
    assert_eq!(like("/a/c", "/a%2Fb"), "/a/c");
    assert_eq!(like("/a b", "/a b"), "/a%20b");
    assert_eq!(like("*", "*"), "*");
}
