//! Lines as JSON: the two looks that the original has for logstash.

use super::go_layout::GoLayout;
use super::{Line, LineFormat};

/// `format: logstash` of `telemetry/logging`.
pub struct Logstash {
    layout: GoLayout,
}

/// `telemetry/logstash`: a member more, and the prefix as the module.
pub struct LogstashRecord {
    layout: GoLayout,
    host: String,
    module: String,
}

// === impl Logstash ===

impl Default for Logstash {
    fn default() -> Self {
        Self { layout: GoLayout::parse("2006-01-02T15:04:05.000-07:00") }
    }
}

impl LineFormat for Logstash {
    fn append(&mut self, line: &Line<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"@timestamp\":\"");
        self.layout.append(line.local, out);
        out.extend_from_slice(b"\", \"@version\": 1, \"level\": \"");
        out.extend_from_slice(line.level.name().as_bytes());
        out.extend_from_slice(b"\", \"message\": ");
        append_json(line.message, out);
        out.extend_from_slice(b", \"module\": \"KRAKEND\"}\n");
    }
}

// === impl LogstashRecord ===

impl LogstashRecord {
    /// The module is `KRAKEND` where there is no prefix.
    pub fn new(host: &str, prefix: &str) -> Self {
        Self {
            layout: GoLayout::parse("2006-01-02T15:04:05.000000-07:00"),
            host: host.to_owned(),
            module: if prefix.is_empty() { "KRAKEND" } else { prefix }.to_owned(),
        }
    }
}

impl LineFormat for LogstashRecord {
    fn append(&mut self, line: &Line<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"@timestamp\":\"");
        self.layout.append(line.local, out);
        out.extend_from_slice(b"\",\"@version\":1,\"host\":");
        append_json(&self.host, out);
        out.extend_from_slice(b",\"level\":\"");
        out.extend_from_slice(line.level.name().as_bytes());
        out.extend_from_slice(b"\",\"message\":");
        append_json(line.message, out);
        out.extend_from_slice(b",\"module\":");
        append_json(&self.module, out);
        out.extend_from_slice(b"}\n");
    }
}

/// Appends a text as JSON.
pub(super) fn append_json(text: &str, out: &mut Vec<u8>) {
    // Neither a text nor a vector can fail.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::log::Level;
    use crate::shared::log::local_time::{LocalClock, LocalTime};
    use std::time::{Duration, UNIX_EPOCH};

    fn shown(format: &mut dyn LineFormat, message: &str) -> String {
        let at = UNIX_EPOCH + Duration::from_micros(1_769_871_845_095_123);
        let mut clock = LocalClock::default();
        let of_zone = clock.local(at);
        let utc = of_zone.second.to_utc().fixed_offset();
        let local = LocalTime { second: utc, ..of_zone.clone() };
        let mut out = Vec::new();
        format.append(&Line { at, local: &local, level: Level::Error, message }, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn each_line_is_a_document_whatever_the_message_is() {
        let line = shown(&mut Logstash::default(), "[ENDPOINT: /a] \"b\"\n");
        assert_eq!(
            line,
            "{\"@timestamp\":\"2026-01-31T15:04:05.095+00:00\", \"@version\": 1, \"level\": \"ERROR\", \"message\": \"[ENDPOINT: /a] \\\"b\\\"\\n\", \"module\": \"KRAKEND\"}\n"
        );
        serde_json::from_str::<serde_json::Value>(&line).expect("JSON");
        let line = shown(&mut LogstashRecord::new("a-host", "[LS]"), "x");
        assert_eq!(
            line,
            "{\"@timestamp\":\"2026-01-31T15:04:05.095123+00:00\",\"@version\":1,\"host\":\"a-host\",\"level\":\"ERROR\",\"message\":\"x\",\"module\":\"[LS]\"}\n"
        );
        assert!(
            shown(&mut LogstashRecord::new("h", ""), "x").ends_with("\"module\":\"KRAKEND\"}\n")
        );
    }
}
