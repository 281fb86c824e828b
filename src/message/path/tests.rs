use super::target::cut;
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
        "",
        "a/b",
        "?x",
        "/a%2",
        "/a\x01",
        "/?\x7f",
        ":x",
        "http://h:8x/",
        "http://[::1/",
        "http://a b/",
        "http://%41/",
        "http://[1.2.3.4]/",
        "http://h/%g0",
    ];
    for raw in refused {
        assert!(RequestTarget::parse(b"GET", raw.as_bytes()).is_err(), "{raw:?}");
    }
}

#[test]
fn texts_are_quoted_as_go_quotes_them() {
    assert_eq!(
        quote(b"a\"\\\n\x01\x7f\xff\xc3\xa9 \xc2\xa0"),
        "\"a\\\"\\\\\\n\\x01\\x7f\\xff\u{e9} \\u00a0\""
    );
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

/// Replays what Go and gin made of random urls, queries, request targets, parameters and client addresses.
///
/// `T text target` (`!error` if refused), `P value error`, `Q query names result`, `R method target path query host`
/// (`B` if refused), `C trusted flags peer forwarded-for real-ip app-engine address`. Texts are percent-encoded, a
/// percent sign alone is the empty text, lists have commas, `-` is none.
#[test]
fn random_urls_are_read_as_go_reads_them() {
    let golden = include_str!("../../../tests/golden/routes/urls.txt");
    for line in golden.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let (made, wanted) = match fields[0] {
            "T" => (made_target(&bytes(fields[1])), fields[2].to_owned()),
            "P" => (made_check(&bytes(fields[1])), fields[2].to_owned()),
            "Q" => (made_query(&bytes(fields[1]), fields[2]), fields[3].to_owned()),
            "R" => (made_request(fields[1], &bytes(fields[2])), fields[3..].join(" ")),
            _ => (made_address(&fields), fields[7].to_owned()),
        };
        assert_eq!(made, wanted, "{line}");
    }
}

fn made_target(raw: &[u8]) -> String {
    let mut out = Vec::new();
    match write_target(raw, &mut out) {
        Ok(()) => written(&out),
        // Go's sentence names the url, which is without its fragment unless the fragment is to blame.
        Err(bad) => {
            let name = |url: &[u8]| format!("parse {}: {bad}", quote(&[b"http://h", url].concat()));
            let (before, _) = cut(raw, b'#');
            let path_is_fine = check_escapes(cut(before, b'?').0).is_ok()
                && !before.iter().any(|&byte| is_control(byte));
            format!("!{}", written(name(if path_is_fine { raw } else { before }).as_bytes()))
        }
    }
}

fn made_check(value: &[u8]) -> String {
    let text = super::super::parameter::check(value)
        .map_or_else(|bad| bad.to_string(), |()| String::new());
    written(text.as_bytes())
}

fn made_query(raw: &[u8], names: &str) -> String {
    use super::super::query::{Allowed, forward};
    let mut out = Vec::new();
    forward(raw, &Allowed::by_endpoint(&texts(names)), None, &mut out);
    written(&out)
}

fn made_request(method: &str, raw: &[u8]) -> String {
    let Ok(target) = RequestTarget::parse(method.as_bytes(), raw) else { return "B".into() };
    let mut out = Vec::new();
    let path = written(decode(target.path, &mut out).unwrap());
    let query = target.query.map_or_else(|| "-".to_owned(), written);
    // Go decodes the host, which we send on and compare as it stands.
    let mut host = Vec::new();
    let host = written(decode(target.host(), &mut host).unwrap());
    format!("{path} {query} {host}")
}

fn made_address(fields: &[&str]) -> String {
    use super::super::forwarded::{ClientIpRules, Trusted};
    let rules = ClientIpRules {
        trusted: Trusted::parse(&texts(fields[1])),
        forwarded_by_client_ip: fields[2].contains('f'),
        app_engine: fields[2].contains('a'),
        ..ClientIpRules::default()
    };
    let lists = [("X-Forwarded-For", 4), ("X-Real-Ip", 5), ("X-Appengine-Remote-Addr", 6)];
    let headers = lists.map(|(name, field)| (name, texts(fields[field])));
    let values = |name: &str| {
        let list = headers.iter().find(|(known, _)| *known == name).map(|(_, list)| list.iter());
        list.unwrap().map(String::as_bytes)
    };
    written(rules.client_ip(fields[3].parse().unwrap(), values).to_string().as_bytes())
}

fn texts(list: &str) -> Vec<String> {
    let texts = list.split(',').filter(|_| list != "-");
    texts.map(|text| String::from_utf8(bytes(text)).unwrap()).collect()
}

fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    if text != "%" {
        out = decode(text.as_bytes(), &mut out).unwrap().to_vec();
    }
    out
}

fn written(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "%".into();
    }
    let kept = b"/._~-:*\\@!$&'(),;=+?";
    let write = |&byte: &u8| match byte {
        _ if byte.is_ascii_alphanumeric() || kept.contains(&byte) => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    bytes.iter().map(write).collect()
}
