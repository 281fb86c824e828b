//! Lines of the access log by a pattern: `%{clientIP} "%{method} %{path}" %{statusCode}`.

use std::fmt;
use std::io::Write;

use super::access::AccessRecord;
use super::go_layout::GoLayout;
use super::{AccessFormat, LocalTime};

/// `access_log_format`: `default`.
pub const DEFAULT: &str = "%{prefix} %{time} [AccessLog] |%{statusCode}| %{latencyMs} | %{clientIP} | %{method} %{path}\n";
/// The Common Log Format of Apache's server.
pub const HTTPD_COMMON: &str = "%{clientIP} - - [%{time:02/Jan/2006:15:04:05 -0700}] \"%{method} %{uri} %{proto}\" %{statusCode} -\n";
/// The Combined Log Format.
pub const HTTPD_COMBINED: &str = "%{clientIP} - - [%{time:02/Jan/2006:15:04:05 -0700}] \"%{method} %{uri} %{proto}\" %{statusCode} - \"%{header.Referer}\" \"%{header.User-Agent}\"\n";
pub const JSON: &str = "{\"prefix\":\"%{prefix}\", \"time\":\"%{time}\", \"status_code\":%{statusCode}, \"latency\":\"%{latency}\", \"client_ip\":\"%{clientIP}\", \"method\":\"%{method}\", \"path\":\"%{path}\"}\n";

/// The layout of `%{time}` alone.
const TIME: &str = "2006/01/02 - 15:04:05.000";

/// A pattern, taken apart once.
#[derive(Clone, Debug)]
pub struct AccessPattern {
    parts: Vec<Part>,
    prefix: String,
    /// Stands where there is no value.
    no_value: String,
    fields: Vec<Field>,
}

/// What a pattern may want to know of a request beside what every record has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// By its name in lower case.
    Header(Box<str>),
    Host,
    Scheme,
    Protocol,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownVariable(pub String);

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Time(GoLayout),
    Prefix,
    Status,
    LatencyMs,
    LatencyS,
    Client,
    Method,
    Path,
    Query,
    Uri,
    /// By the index of the record's field.
    Field(usize),
}

// === impl AccessPattern ===

impl AccessPattern {
    /// # Errors
    /// The pattern's first variable that nobody knows.
    pub fn parse(pattern: &str, prefix: &str, no_value: &str) -> Result<Self, UnknownVariable> {
        let (mut parts, mut fields) = (Vec::new(), Vec::new());
        let mut rest = pattern;
        while let Some((text, behind)) = rest.split_once("%{") {
            let Some((variable, behind)) = behind.split_once('}') else { break };
            parts.push(Part::Text(text.to_owned()));
            parts.push(Part::parse(variable, &mut fields)?);
            rest = behind;
        }
        parts.push(Part::Text(rest.to_owned()));
        let no_value = if no_value.is_empty() { "-" } else { no_value };
        Ok(Self { parts, prefix: prefix.to_owned(), no_value: no_value.to_owned(), fields })
    }

    /// What the records must bring, in this order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    fn append_part(
        &self,
        part: &Part,
        record: &AccessRecord,
        local: &LocalTime,
        out: &mut Vec<u8>,
    ) {
        let path_len = memchr::memchr(b'?', &record.path).unwrap_or(record.path.len());
        let (path, query) = record.path.split_at(path_len);
        // Writing to a vector cannot fail.
        let _ = match part {
            Part::Text(text) => out.write_all(text.as_bytes()),
            Part::Prefix => out.write_all(self.prefix.as_bytes()),
            Part::Status => write!(out, "{}", record.status),
            Part::LatencyMs => write!(out, "{:.3}", record.latency.as_secs_f64() * 1e3),
            Part::LatencyS => write!(out, "{:.3}", record.latency.as_secs_f64()),
            Part::Time(layout) => return layout.append(local, out),
            Part::Client => return self.append_value(&record.client, out),
            Part::Method => return self.append_value(&record.method, out),
            Part::Path => return self.append_value(path, out),
            Part::Query => return self.append_value(query.get(1..).unwrap_or_default(), out),
            Part::Uri => return self.append_value(&record.path, out),
            Part::Field(index) => {
                let value = record.fields.get(*index).and_then(Option::as_deref);
                return self.append_value(value.unwrap_or_default(), out);
            }
        };
    }

    /// What a client has sent can neither end the line nor a quotation.
    fn append_value(&self, value: &[u8], out: &mut Vec<u8>) {
        if value.is_empty() {
            return out.extend_from_slice(self.no_value.as_bytes());
        }
        for char in String::from_utf8_lossy(value).chars() {
            let _ = match char {
                '"' | '\\' => write!(out, "\\{char}"),
                _ if char.is_control() => write!(out, "\\u{:04x}", u32::from(char)),
                _ => write!(out, "{char}"),
            };
        }
    }
}

impl AccessFormat for AccessPattern {
    fn append(&mut self, record: &AccessRecord, local: &LocalTime, out: &mut Vec<u8>) {
        for part in &self.parts {
            self.append_part(part, record, local, out);
        }
        if out.last() != Some(&b'\n') {
            out.push(b'\n');
        }
    }
}

// === impl Part ===

impl Part {
    fn parse(variable: &str, fields: &mut Vec<Field>) -> Result<Part, UnknownVariable> {
        if let Some(header) = variable.strip_prefix("header.") {
            return Ok(Part::field(Field::Header(header.to_ascii_lowercase().into()), fields));
        }
        if let Some(layout) = variable.strip_prefix("time:") {
            return Ok(Part::Time(GoLayout::parse(match layout {
                "kitchen" => "3:04PM",
                "rfc3339" => "2006-01-02T15:04:05Z07:00",
                layout => layout,
            })));
        }
        Ok(match variable {
            "time" => Part::Time(GoLayout::parse(TIME)),
            "prefix" => Part::Prefix,
            "statusCode" => Part::Status,
            "latencyMs" => Part::LatencyMs,
            "latency" => Part::LatencyS,
            "clientIP" => Part::Client,
            "method" => Part::Method,
            "path" => Part::Path,
            "query" => Part::Query,
            "uri" => Part::Uri,
            "host" => Part::field(Field::Host, fields),
            "scheme" => Part::field(Field::Scheme, fields),
            "proto" => Part::field(Field::Protocol, fields),
            _ => return Err(UnknownVariable(variable.to_owned())),
        })
    }

    fn field(field: Field, fields: &mut Vec<Field>) -> Part {
        let known = fields.iter().position(|known| *known == field);
        Part::Field(known.unwrap_or_else(|| {
            fields.push(field);
            fields.len() - 1
        }))
    }
}

impl fmt::Display for UnknownVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "has the unknown variable %{{{}}}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    fn shown(pattern: &str, values: &[Option<&[u8]>]) -> String {
        let mut pattern = AccessPattern::parse(pattern, "[P]", "").expect("a pattern");
        assert_eq!(pattern.fields().len(), values.len());
        let record = AccessRecord {
            at: SystemTime::UNIX_EPOCH,
            latency: Duration::from_nanos(1_234_567),
            status: 404,
            client: b"10.0.0.1".as_slice().into(),
            method: b"GET".as_slice().into(),
            path: b"/a/b?c=d".as_slice().into(),
            errors: Box::default(),
            fields: values.iter().map(|value| value.map(Into::into)).collect(),
        };
        let mut out = Vec::new();
        pattern.append(&record, &LocalTime::default(), &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn patterns_show_what_they_name() {
        for (pattern, values, expected) in [
            (
                DEFAULT,
                &[][..],
                "[P] 1970/01/01 - 00:00:00.000 [AccessLog] |404| 1.235 | 10.0.0.1 | GET /a/b\n",
            ),
            (
                HTTPD_COMMON,
                &[Some(&b"HTTP/1.1"[..])],
                "10.0.0.1 - - [01/Jan/1970:00:00:00 +0000] \"GET /a/b?c=d HTTP/1.1\" 404 -\n",
            ),
            (
                HTTPD_COMBINED,
                &[Some(b"HTTP/1.1"), None, Some(b"a\"b\x1b")],
                "10.0.0.1 - - [01/Jan/1970:00:00:00 +0000] \"GET /a/b?c=d HTTP/1.1\" 404 - \"-\" \"a\\\"b\\u001b\"\n",
            ),
            (
                JSON,
                &[],
                "{\"prefix\":\"[P]\", \"time\":\"1970/01/01 - 00:00:00.000\", \"status_code\":404, \"latency\":\"0.001\", \"client_ip\":\"10.0.0.1\", \"method\":\"GET\", \"path\":\"/a/b\"}\n",
            ),
            (
                "%{time:kitchen} %{scheme}://%{host}%{path} %{host} %{query} %{open",
                &[Some(b"https"), Some(b"h")],
                "12:00AM https://h/a/b h c=d %{open\n",
            ),
        ] {
            assert_eq!(shown(pattern, values), expected);
        }
    }

    #[test]
    fn headers_are_asked_for_once_and_in_lower_case() {
        let pattern = AccessPattern::parse("%{header.X-A} %{header.x-a} %{proto}", "", "none");
        let fields = pattern.expect("a pattern").fields().to_vec();
        assert_eq!(fields, [Field::Header("x-a".into()), Field::Protocol]);
        let error = AccessPattern::parse("%{jwt.sub}", "", "").expect_err("unknown");
        assert_eq!(error.to_string(), "has the unknown variable %{jwt.sub}");
    }
}
