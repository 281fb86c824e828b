use serde_json::{Value, json};

use super::super::testing::{ask, ask_over, inner, lines, problem, stage};
use super::*;

fn text(reply: &Reply) -> &[u8] {
    match &reply.body {
        Body::Bytes(bytes) => bytes,
        Body::Static(bytes) => bytes,
        _ => b"",
    }
}

/// The lines of an answer to `GET /` with these headers.
fn answer(block: &Value, headers: &[(&str, &str)]) -> Vec<String> {
    let stage = stage(&Http, block);
    let reply = ask(&*stage, "GET /", headers, inner(200));
    assert_eq!(reply.status, 200);
    lines(&reply.headers)
}

fn status_for_host(block: &Value, headers: &[(&str, &str)]) -> u16 {
    ask(&*stage(&Http, block), "GET /", headers, inner(200)).status
}

#[test]
fn headers_come_before_all_that_is_there() {
    let block = json!({"frame_deny": true, "content_type_nosniff": true, "browser_xss_filter": true,
        "content_security_policy": "default-src 'self'\n", "referrer_policy": "same-origin",
        "sts_seconds": 10, "sts_include_subdomains": true, "force_sts_header": true});
    let expected = [
        "Strict-Transport-Security: max-age=10; includeSubDomains",
        "X-Frame-Options: DENY",
        "X-Content-Type-Options: nosniff",
        "X-XSS-Protection: 1; mode=block",
        "Content-Security-Policy: default-src 'self'",
        "Referrer-Policy: same-origin",
        "X-Inner: 1",
    ];
    assert_eq!(answer(&block, &[]), expected);
    assert_eq!(answer(&json!({}), &[]), ["X-Inner: 1"]);
    let custom = json!({"frame_deny": true, "custom_frame_options_value": "SAMEORIGIN"});
    assert_eq!(answer(&custom, &[]), ["X-Frame-Options: SAMEORIGIN", "X-Inner: 1"]);
}

#[test]
fn an_inner_error_keeps_the_headers() {
    let stage = stage(&Http, &json!({"frame_deny": true, "allowed_hosts": ["h"]}));
    for status in [500, 301] {
        let reply = ask(&*stage, "GET /", &[], inner(status));
        assert_eq!(lines(&reply.headers), ["X-Frame-Options: DENY", "X-Inner: 1"]);
    }
}

#[test]
fn every_answer_has_a_nonce_of_its_own() {
    let stage = stage(&Http, &json!({"content_security_policy": "a $NONCE; b $NONCE; c 100%"}));
    let nonce = |reply: Reply| {
        let line = lines(&reply.headers).remove(0);
        let policy = line.strip_prefix("Content-Security-Policy: a 'nonce-").unwrap().to_owned();
        let (nonce, rest) = policy.split_once('\'').unwrap();
        assert_eq!(rest, format!("; b 'nonce-{nonce}'; c 100%"));
        assert_eq!(nonce.len(), 22, "16 bytes in base64 without padding");
        nonce.to_owned()
    };
    let first = nonce(ask(&*stage, "GET /", &[], inner(200)));
    assert_ne!(first, nonce(ask(&*stage, "GET /", &[], inner(200))));
}

#[test]
fn hosts_are_compared_with_port_and_without_case() {
    let block = json!({"allowed_hosts": ["api.test", "Shop.Test:8080"]});
    for (host, expected) in [
        ("api.test", 200),
        ("API.test", 200),
        ("shop.test:8080", 200),
        ("shop.test", 500),
        ("api.test:80", 500),
        ("x.api.test", 500),
        ("", 500),
    ] {
        assert_eq!(status_for_host(&block, &[("Host", host)]), expected, "{host}");
    }
}

#[test]
fn a_bad_host_gets_nothing_but_the_message() {
    let block = json!({"allowed_hosts": ["a"], "frame_deny": true, "sts_seconds": 1,
        "force_sts_header": true});
    let reply = ask(&*stage(&Http, &block), "GET /", &[("Host", "b")], inner(200));
    assert_eq!((reply.status, text(&reply)), (500, &b"Bad Host\n"[..]));
    let expected = ["Content-Type: text/plain; charset=utf-8", "X-Content-Type-Options: nosniff"];
    assert_eq!(lines(&reply.headers), expected);
}

#[test]
fn patterns_are_anchored_as_a_whole_line() {
    let block = json!({"allowed_hosts": ["(.*\\.)?shop\\.test", "api-\\d+"],
        "allowed_hosts_are_regex": true});
    for (host, expected) in [
        ("shop.test", 200),
        ("eu.shop.test", 200),
        ("eu.SHOP.test", 500),
        ("shop.test.evil", 500),
        ("api-42", 200),
        ("api-42:8080", 500),
    ] {
        assert_eq!(status_for_host(&block, &[("Host", host)]), expected, "{host}");
    }
    // The original puts its anchors round the text, not round the alternatives.
    let open = json!({"allowed_hosts": ["a|b"], "allowed_hosts_are_regex": true});
    assert_eq!(status_for_host(&open, &[("Host", "a.evil")]), 200);
    assert_eq!(status_for_host(&open, &[("Host", "x.a")]), 500);
    let problem = problem(&Http, &open);
    assert!(!problem.is_fatal(false) && problem.what.contains("^a|b$"), "{problem}");
}

#[test]
fn the_first_proxy_header_that_holds_something_names_the_host() {
    let block = json!({"allowed_hosts": ["good"], "host_proxy_headers": ["X-First", "X-Second"]});
    for (headers, expected) in [
        (&[("Host", "good")][..], 200),
        (&[("Host", "bad"), ("X-Second", "good")], 200),
        (&[("Host", "good"), ("X-Second", "bad")], 500),
        (&[("Host", "bad"), ("X-Second", "bad"), ("X-First", "GOOD")], 200),
        (&[("Host", "bad"), ("X-Second", "good"), ("X-First", "")], 200),
        (&[("Host", "bad"), ("X-First", "good"), ("X-First", "bad")], 200),
    ] {
        assert_eq!(status_for_host(&block, headers), expected, "{headers:?}");
    }
}

#[test]
fn plain_requests_are_sent_to_https() {
    let block = json!({"ssl_redirect": true, "ssl_proxy_headers": {"X-Proto": "https"}});
    let with_host = json!({"ssl_redirect": true, "ssl_host": "secure.test:8443"});
    for (block, line, headers, location) in [
        (&block, "GET /", &[][..], "https://h/"),
        (&block, "GET /a%20b?x=1&y=%2F", &[("Host", "h:80")], "https://h:80/a%20b?x=1&y=%2F"),
        (&block, "GET //evil.test/", &[], "https://h//evil.test/"),
        (&block, "POST /?", &[("X-Proto", "HTTPS")], "https://h/?"),
        (&with_host, "HEAD /a", &[], "https://secure.test:8443/a"),
    ] {
        let reply = ask(&*stage(&Http, block), line, headers, inner(200));
        assert_eq!(reply.status, 301);
        let location_line = format!("Location: {location}");
        assert!(lines(&reply.headers).contains(&location_line), "{line}");
        let has_type = lines(&reply.headers)[0] == "Content-Type: text/html; charset=utf-8";
        assert_eq!(has_type, !line.starts_with("POST"));
        let page =
            format!("<a href=\"{}\">Moved Permanently</a>.\n\n", location.replace('&', "&amp;"));
        let expected = if line.starts_with("GET") { page.as_bytes() } else { b"" };
        assert_eq!(text(&reply), expected);
    }
    let reply = ask(&*stage(&Http, &block), "GET /", &[("X-Proto", "https")], inner(200));
    assert_eq!(reply.status, 200);
    let reply = ask(&*stage(&Http, &block), "GET https://h/", &[], inner(200));
    assert_eq!(reply.status, 200);
    let reply = ask_over(true, &*stage(&Http, &block), "GET /", &[], inner(200));
    assert_eq!(reply.status, 200);
}

#[test]
fn sts_is_sent_over_tls_or_when_it_is_forced() {
    let block = json!({"sts_seconds": 60.9, "ssl_proxy_headers": {"X-Proto": "https"}});
    let sts = "Strict-Transport-Security: max-age=60";
    assert_eq!(answer(&block, &[]), ["X-Inner: 1"]);
    assert_eq!(answer(&block, &[("X-Proto", "https")]), [sts, "X-Inner: 1"]);
    let reply = ask_over(true, &*stage(&Http, &block), "GET /", &[], inner(200));
    assert_eq!(lines(&reply.headers), [sts, "X-Inner: 1"]);
}

#[test]
fn development_turns_off_hosts_redirect_and_sts() {
    let block = json!({"is_development": true, "allowed_hosts": ["a"], "ssl_redirect": true,
        "sts_seconds": 1, "force_sts_header": true, "frame_deny": true});
    assert_eq!(answer(&block, &[]), ["X-Frame-Options: DENY", "X-Inner: 1"]);
}

#[test]
fn what_is_wrong_has_its_place() {
    for (block, path, is_final) in [
        (json!({"frame_deny": "true"}), "frame_deny", false),
        (json!({"sts_seconds": "60"}), "sts_seconds", false),
        (json!({"sts_seconds": -1}), "sts_seconds", false),
        (json!({"ssl_proxy_headers": {"a/b": 1}}), "ssl_proxy_headers.a/b", false),
        (json!({"ssl_proxy_headers": []}), "ssl_proxy_headers", false),
        (json!({"referrer_policy": 1}), "referrer_policy", false),
        (
            json!({"allowed_hosts": ["a", "("], "allowed_hosts_are_regex": true}),
            "allowed_hosts[1]",
            true,
        ),
    ] {
        let problem = problem(&Http, &block);
        assert!(problem.is_fatal(false), "{problem}");
        assert_eq!(problem.is_fatal(true), is_final, "{problem}");
        assert!(problem.place.path.ends_with(path), "{problem}");
    }
    let pins = problem(&Http, &json!({"hpkp_public_key": "x"}));
    assert!(!pins.is_fatal(false));
}
