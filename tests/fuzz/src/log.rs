//! Lines of the logs: nothing that a client sends can end a line, a quotation or a JSON text.

use std::time::{Duration, UNIX_EPOCH};

use shoal::shared::log::{
    AccessFormat, AccessPattern, AccessRecord, GelfFormat, Gin, Level, Line, LineFormat, LocalTime,
    Logstash, LogstashRecord, Pattern, Transport,
};

use crate::Input;

/// `pattern LF pattern of the access log LF values, NUL between them`
pub fn log(input: &[u8]) {
    let mut input = Input(input);
    let (lines, access) = (input.until(b'\n'), input.until(b'\n'));
    let values: Vec<&[u8]> = input.0.split(|&byte| byte == 0).collect();
    let message = String::from_utf8_lossy(input.0);
    if let Ok(pattern) = std::str::from_utf8(lines) {
        line(pattern, &message);
    }
    json(&message);
    let value = |index: usize| values.get(index).copied().unwrap_or_default();
    if let Ok(pattern) = std::str::from_utf8(access) {
        access_line(pattern, value);
    }
    let mut out = Vec::new();
    Gin.append(&record(value, 0), &LocalTime::default(), &mut out);
    assert_eq!(count(&out, b'\n'), 1, "{}", out.escape_ascii());
}

fn count(text: &[u8], wanted: u8) -> usize {
    text.iter().filter(|byte| **byte == wanted).count()
}

fn record<'v>(value: impl Fn(usize) -> &'v [u8], fields: usize) -> AccessRecord {
    // The address is one of a header that was read as such, or the peer's; the method is a token.
    let of_fields = (0..fields).map(|index| Some(value(index + 1).into()));
    AccessRecord {
        at: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        latency: Duration::from_micros(1_234),
        status: 200,
        client: b"192.0.2.1"[..].into(),
        method: b"GET"[..].into(),
        path: value(0).into(),
        errors: Box::default(),
        fields: of_fields.collect(),
    }
}

fn access_line<'v>(text: &str, value: impl Fn(usize) -> &'v [u8]) {
    let Ok(mut pattern) = AccessPattern::parse(text, "p", "") else { return };
    let fields = pattern.fields().len();
    let local = LocalTime::default();
    let (mut out, mut plain) = (Vec::new(), Vec::new());
    pattern.append(&record(value, fields), &local, &mut out);
    pattern.append(&record(|_| b"x", fields), &local, &mut plain);
    assert_eq!(out.last(), Some(&b'\n'));
    assert_eq!(count(&out, b'\n'), count(&plain, b'\n'), "{}", out.escape_ascii());
    // A backslash of the pattern itself is its author's.
    if !text.contains('\\') {
        assert_eq!(quotes(&out), quotes(&plain), "{}", out.escape_ascii());
    }
    if !text.contains("%{") {
        let line = [text.as_bytes(), b"\n"].concat();
        assert_eq!(out, if text.ends_with('\n') { text.as_bytes() } else { &line });
    }
}

/// Quotation marks that no backslash stands before.
fn quotes(text: &[u8]) -> usize {
    let (mut quotes, mut is_escaped) = (0, false);
    for byte in text {
        quotes += usize::from(*byte == b'"' && !is_escaped);
        is_escaped = *byte == b'\\' && !is_escaped;
    }
    quotes
}

fn at<'l>(local: &'l LocalTime, message: &'l str) -> Line<'l> {
    Line {
        at: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        local,
        level: Level::Warning,
        message,
    }
}

fn line(text: &str, message: &str) {
    let Ok(mut pattern) = Pattern::parse(text) else { return };
    let local = LocalTime::default();
    let mut out = Vec::new();
    pattern.append(&at(&local, message), &mut out);
    assert_eq!(out.last(), Some(&b'\n'));
    assert!(std::str::from_utf8(&out).is_ok());
}

fn json(message: &str) {
    let local = LocalTime::default();
    let formats: [Box<dyn LineFormat>; 3] = [
        Box::new(Logstash::default()),
        Box::new(LogstashRecord::new("h", "p")),
        Box::new(GelfFormat::new("h", "", Transport::Udp)),
    ];
    for (index, mut format) in formats.into_iter().enumerate() {
        let mut out = Vec::new();
        format.append(&at(&local, message), &mut out);
        let read: serde_json::Value = serde_json::from_slice(&out).expect("it is JSON");
        let is_gelf = index == 2;
        if is_gelf {
            let (short, whole) = (read["short_message"].as_str(), read["full_message"].as_str());
            let expected = message.trim();
            assert!(whole == Some(expected) || short == Some(expected) || expected.is_empty());
        } else {
            assert_eq!(read["message"].as_str(), Some(message));
            assert_eq!(count(&out, b'\n'), 1);
        }
    }
}
