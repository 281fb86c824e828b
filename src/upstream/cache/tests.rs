//! What is kept, for whom, and what becomes of it.

use super::*;

type Lines<'h> = &'h [(&'h str, &'h str)];

fn bytes(lines: Lines<'_>) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
    lines.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))
}

fn asked(lines: Lines<'_>) -> Asked<'_> {
    let headers: Vec<_> = bytes(lines).collect();
    let credentials = lines.iter().find(|(name, _)| *name == "Authorization");
    Asked::new(headers, credentials.map(|(_, value)| value.as_bytes()))
}

const AGE: (&str, &str) = ("Cache-Control", "max-age=60");

/// Each answer with a request, whether it is kept for everybody, and whether the original keeps it.
#[test]
fn what_is_meant_for_one_client_is_not_kept_unless_one_asks_for_it() {
    let cases: [(Lines<'_>, Lines<'_>, bool, bool); 9] = [
        (&[], &[AGE], true, true),
        (&[], &[("Cache-Control", "private, max-age=60")], false, true),
        (&[], &[AGE, ("Cache-Control", "Private")], false, true),
        (&[], &[AGE, ("Set-Cookie", "a=1")], false, true),
        (&[], &[AGE, ("Vary", "Accept, *")], false, true),
        (&[("Authorization", "Bearer x")], &[AGE], false, true),
        (&[("Authorization", "Bearer x")], &[("Cache-Control", "public, max-age=60")], true, true),
        (&[], &[("Cache-Control", "no-store, max-age=60")], false, false),
        (&[("Cache-Control", "no-store")], &[AGE], false, false),
    ];
    for (request, answer, for_all, as_original) in cases {
        for (rule, expected) in [(false, for_all), (true, as_original)] {
            let cache = HttpCache::new(None, rule);
            let got = cache.may_keep(&asked(request), 200, bytes(answer));
            assert_eq!(got, expected, "{request:?} {answer:?} {rule}");
        }
    }
    for status in [103, 206, 304] {
        let cache = HttpCache::new(None, true);
        assert!(!cache.may_keep(&asked(&[]), status, bytes(&[AGE])), "{status}");
    }
}

#[test]
fn the_gateways_own_credentials_are_nobodys() {
    let cache = HttpCache::new(None, false);
    let sent: Vec<(&[u8], &[u8])> = vec![(b"Authorization", b"Bearer of the gateway")];
    let asked = Asked::new(sent.clone(), Some(b"Bearer of the client"));
    assert!(cache.may_keep(&asked, 200, bytes(&[AGE])));
    let url = |target: &[u8]| Url { is_tls: false, authority: "a".into(), target: target.to_vec() };
    let name = cache.name("GET", &url(b"/\xfe"), None);
    assert_ne!(name, cache.name("GET", &url(b"/\xfe"), Some("x")));
    assert_ne!(name, cache.name("GET", &url(b"/\xff"), None));
    assert_ne!(name, cache.name("HEAD", &url(b"/\xfe"), None));
    assert_ne!(name, cache.with_rule(true).name("GET", &url(b"/\xfe"), None));
}

#[test]
fn one_variant_is_kept_and_given_to_requests_that_agree() {
    let german = asked(&[("accept-language", "de"), ("X", "1")]);
    let kept = Kept::new(&german, 200, bytes(&[AGE, ("Vary", "Accept-Language, X-None")]), false);
    assert!(kept.fits(&german));
    assert!(kept.fits(&asked(&[("Accept-Language", "de")])));
    assert!(!kept.fits(&asked(&[("Accept-Language", "en")])));
    assert!(!kept.fits(&asked(&[("Accept-Language", "de"), ("Accept-Language", "en")])));
    assert!(!kept.fits(&asked(&[])));
    assert!(!kept.fits(&asked(&[("Accept-Language", "de"), ("X-None", "1")])));
}

#[test]
fn a_304_renews_the_headers_and_leaves_the_body() {
    let all = asked(&[]);
    let old = [("ETag", "\"1\""), ("X-A", "old"), ("Content-Type", "text/plain")];
    let mut kept = Kept::new(&all, 200, bytes(&old), false);
    kept.body = b"body".to_vec();
    assert!(kept.is_of_use());
    let news = [("x-a", "new"), ("X-B", "b"), ("Content-Length", "0"), AGE];
    let kept = kept.validated(&all, bytes(&news));
    assert_eq!((kept.status, &*kept.body), (200, &b"body"[..]));
    assert_eq!(kept.header(b"X-A"), Some(&b"new"[..]));
    assert_eq!(kept.header(b"x-b"), Some(&b"b"[..]));
    assert_eq!(kept.header(b"etag"), Some(&b"\"1\""[..]));
    assert_eq!(kept.header(b"content-length"), None);
    assert!(kept.headers.has_content_type);
}

#[test]
fn an_unpacked_body_has_no_coding() {
    let headers = [("Content-Encoding", "gzip"), ("Content-Type", "text/plain")];
    let kept = Kept::new(&asked(&[]), 200, bytes(&headers), true);
    assert_eq!(kept.header(b"content-encoding"), None);
    assert!(!kept.headers.has_content_encoding && !kept.is_of_use());
}
