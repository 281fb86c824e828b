use super::fetch::{FetchError, Token};
use crate::control::http_client::HttpAnswer;

fn read(status: u16, content_type: &str, body: &str) -> Result<Token, FetchError> {
    Token::of_answer(&HttpAnswer {
        retry_after_s: None,
        status,
        content_type: content_type.to_owned(),
        body: body.as_bytes().to_vec(),
    })
}

fn header(content_type: &str, body: &str) -> String {
    read(200, content_type, body).map_or_else(|error| error.to_string(), |t| t.header.to_string())
}

#[test]
fn types_are_written_as_their_schemes_are() {
    for (kind, expected) in [
        ("bearer", "Bearer t"),
        ("BEARER", "Bearer t"),
        ("mac", "MAC t"),
        ("basic", "Basic t"),
        ("Custom", "Custom t"),
        ("", "Bearer t"),
    ] {
        let body = format!(r#"{{"access_token":"t","token_type":"{kind}"}}"#);
        assert_eq!(header("application/json", &body), expected);
    }
}

#[test]
fn forms_are_answers_too() {
    let body = "access_token=a%2Bb&token_type=bearer&expires_in=60";
    assert_eq!(header("application/x-www-form-urlencoded; charset=utf-8", body), "Bearer a+b");
    assert_eq!(header("text/plain", body), "Bearer a+b");
}

#[test]
fn a_token_is_kept_until_ten_seconds_before_its_end() {
    let fresh = |expires_in: &str| {
        let body = format!(r#"{{"access_token":"t","expires_in":{expires_in}}}"#);
        read(200, "application/json", &body).expect("a token").is_fresh()
    };
    assert!(fresh("3600") && fresh("\"3600\"") && fresh("null") && fresh("0") && fresh("12"));
    assert!(!fresh("10") && !fresh("1") && !fresh("-5"));
}

#[test]
fn what_is_no_token_is_refused() {
    let json = "application/json";
    for (status, body) in [
        (401, r#"{"access_token":"t"}"#),
        (302, r#"{"access_token":"t"}"#),
        (200, "{}"),
        (200, "no json"),
        (200, r#"{"access_token":""}"#),
        (200, r#"{"access_token":5}"#),
        (200, r#"{"access_token":"t","error":"invalid_client"}"#),
        (200, r#"{"access_token":"t","expires_in":"soon"}"#),
        (200, r#"{"access_token":"t\r\nX-Other: 1"}"#),
    ] {
        assert!(read(status, json, body).is_err(), "{status} {body}");
    }
}
