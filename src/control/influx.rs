//! `Influx`: points as lines of InfluxDB's protocol, and the server of version 1 that they are written to.

use std::collections::VecDeque;
use std::fmt::Write;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use url::Url;

use super::http_client::{HttpClient, HttpSettings, SettingsError, TlsTrust};
use crate::shared::log::Log;

/// Batches that wait for a server that does not answer, together.
const WAITING_BYTES_MAX: usize = 16 * 1024 * 1024;
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// As much of an answer as a log line shows.
const SHOWN_MAX: usize = 200;

/// Points that are written together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    text: String,
    points: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Field {
    Integer(u64),
    Float(f64),
}

/// Which server, and how it is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InfluxSettings {
    /// `http://host:port`, perhaps with a path.
    pub address: Url,
    pub username: String,
    pub password: String,
    pub database: String,
    /// Empty: the database's own.
    pub retention: String,
    pub timeout: Duration,
    /// Batches that are kept while the server does not take them; above that the oldest are dropped.
    pub waiting_max: usize,
}

/// The server.
pub struct Influx {
    client: HttpClient,
    ping: String,
    write: String,
    /// The Authorization header, where there is one.
    headers: Vec<(String, String)>,
    waiting: VecDeque<Lines>,
    waiting_max: usize,
    /// Points that were dropped and not yet told of.
    dropped: usize,
}

/// Why a batch was not taken.
enum Refusal {
    /// It may be taken later.
    Later(String),
    /// It will never be.
    Never(String),
}

// === impl Lines ===

impl Lines {
    /// One point. Tags without a value and points without a field do not exist in the protocol; they are left out.
    pub fn point(
        &mut self,
        measurement: &str,
        tags: &[(&str, &str)],
        fields: &[(&str, Field)],
        at_s: u64,
    ) {
        if fields.is_empty() {
            return;
        }
        let text = &mut self.text;
        push_escaped(text, measurement, &[',', ' ']);
        let mut tags: Vec<_> = tags.iter().filter(|(_, value)| !value.is_empty()).collect();
        tags.sort_unstable();
        for (name, value) in tags {
            text.push(',');
            push_escaped(text, name, &[',', ' ', '=']);
            text.push('=');
            push_escaped(text, value, &[',', ' ', '=']);
        }
        let mut fields: Vec<_> = fields.iter().collect();
        fields.sort_unstable_by_key(|(name, _)| *name);
        let mut separator = ' ';
        for (name, value) in fields {
            text.push(separator);
            push_escaped(text, name, &[',', ' ', '=']);
            let _ = match value {
                Field::Integer(value) => write!(text, "={value}i"),
                Field::Float(value) if value.is_finite() => write!(text, "={value}"),
                Field::Float(_) => write!(text, "=0"),
            };
            separator = ',';
        }
        let _ = writeln!(text, " {at_s}");
        self.points += 1;
    }

    pub fn as_text(&self) -> &str {
        &self.text
    }
}

/// A line break would begin another point.
fn push_escaped(text: &mut String, value: &str, special: &[char]) {
    for letter in value.chars() {
        if special.contains(&letter) {
            text.push('\\');
        }
        text.push(if letter == '\n' || letter == '\r' { '_' } else { letter });
    }
}

// === impl Influx ===

impl Influx {
    /// # Errors
    /// The client could not be made.
    pub fn new(settings: &InfluxSettings) -> Result<Influx, SettingsError> {
        let client = HttpClient::new(&HttpSettings {
            user_agent: "InfluxDBClient",
            timeout: settings.timeout,
            body_bytes_max: ANSWER_BYTES_MAX,
            tls: TlsTrust::default(),
        })?;
        let InfluxSettings { username, password, .. } = settings;
        let user = format!("{username}:{password}");
        let basic =
            || ("Authorization".to_owned(), format!("Basic {}", BASE64_STANDARD.encode(user)));
        let headers = (!username.is_empty()).then(basic).into_iter().collect();
        Ok(Influx {
            client,
            ping: url(settings, "ping", &[("wait_for_leader", "1s")]),
            write: url(
                settings,
                "write",
                &[
                    ("consistency", ""),
                    ("db", &settings.database),
                    ("precision", "s"),
                    ("rp", &settings.retention),
                ],
            ),
            headers,
            waiting: VecDeque::new(),
            waiting_max: settings.waiting_max,
            dropped: 0,
        })
    }

    /// Whether the server is there.
    ///
    /// # Errors
    /// Why not.
    pub async fn ping(&self) -> Result<(), String> {
        match self.client.get(&self.ping).await {
            Ok(answer) if matches!(answer.status, 200 | 204) => Ok(()),
            Ok(answer) => Err(format!("its status is {}", answer.status)),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Writes a batch, and what has waited for the server before it.
    pub async fn write(&mut self, lines: Lines, log: &Log) {
        if lines.points > 0 && !self.attempt(lines, log).await {
            return;
        }
        while let Some(lines) = self.waiting.pop_front() {
            if !self.attempt(lines, log).await {
                break;
            }
        }
    }

    /// Tells whether the server takes more.
    async fn attempt(&mut self, lines: Lines, log: &Log) -> bool {
        let points = lines.points;
        match self.post(&lines).await {
            Ok(()) => {
                log.info(format_args!("{points} datapoints sent to Influx"));
                true
            }
            Err(Refusal::Never(why)) => {
                log.error(format_args!("writing to influx: {why}; {points} points are dropped"));
                true
            }
            Err(Refusal::Later(why)) => {
                log.error(format_args!("writing to influx: {why}"));
                self.keep(lines);
                if let dropped @ 1.. = std::mem::take(&mut self.dropped) {
                    log.warning(format_args!("{dropped} points for influx are dropped"));
                }
                false
            }
        }
    }

    async fn post(&self, lines: &Lines) -> Result<(), Refusal> {
        let (content_type, body) = ("text/plain; charset=utf-8", lines.text.clone().into_bytes());
        let sent = self.client.post_bytes(&self.write, content_type, &self.headers, body).await;
        let answer = sent.map_err(|error| Refusal::Later(error.to_string()))?;
        let why = || {
            let body = String::from_utf8_lossy(&answer.body);
            let shown: String = body.trim().chars().take(SHOWN_MAX).collect();
            format!("its status is {}: {shown}", answer.status)
        };
        match answer.status {
            200 | 204 => Ok(()),
            400 | 413 => Err(Refusal::Never(why())),
            _ => Err(Refusal::Later(why())),
        }
    }

    /// The newest batches are kept, within the bounds.
    fn keep(&mut self, lines: Lines) {
        self.waiting.push_back(lines);
        let mut bytes: usize = self.waiting.iter().map(|lines| lines.text.len()).sum();
        while self.waiting.len() > self.waiting_max || bytes > WAITING_BYTES_MAX {
            let Some(oldest) = self.waiting.pop_front() else { break };
            bytes -= oldest.text.len();
            self.dropped += oldest.points;
        }
    }
}

/// An address that the client can write to.
pub fn address(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

fn url(settings: &InfluxSettings, name: &str, query: &[(&str, &str)]) -> String {
    let mut url = settings.address.clone();
    if !settings.username.is_empty() {
        // Two users would be two Authorization headers.
        let _ = url.set_username("").and_then(|()| url.set_password(None));
    }
    let path = format!("{}/{name}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url.query_pairs_mut().clear().extend_pairs(query);
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> InfluxSettings {
        InfluxSettings {
            address: Url::parse("http://127.0.0.1:8086/base/").expect("right"),
            username: "u".into(),
            password: "p".into(),
            database: "my db".into(),
            retention: String::new(),
            timeout: Duration::from_secs(1),
            waiting_max: 2,
        }
    }

    fn lines(points: usize) -> Lines {
        let mut lines = Lines::default();
        (0..points).for_each(|_| lines.point("m", &[], &[("f", Field::Integer(1))], 1));
        lines
    }

    #[test]
    fn a_point_is_a_line() {
        let mut lines = Lines::default();
        lines.point(
            "router.response-time",
            &[("name", "/a b,c=d"), ("host", "h"), ("none", "")],
            &[("p0.99", Field::Float(1.5)), ("max", Field::Integer(7))],
            1_700_000_000,
        );
        lines.point("nothing", &[("a", "b")], &[], 1);
        lines.point("odd", &[("a", "b\nc")], &[("f", Field::Float(f64::NAN))], 1);
        assert_eq!(
            lines.as_text(),
            "router.response-time,host=h,name=/a\\ b\\,c\\=d max=7i,p0.99=1.5 1700000000\n\
             odd,a=b_c f=0 1\n"
        );
        assert_eq!(lines.points, 2);
    }

    #[test]
    fn addresses_are_those_of_the_original() {
        let influx = Influx::new(&settings()).expect("right");
        let write = "http://127.0.0.1:8086/base/write?consistency=&db=my+db&precision=s&rp=";
        assert_eq!(influx.write, write);
        assert_eq!(influx.ping, "http://127.0.0.1:8086/base/ping?wait_for_leader=1s");
        assert_eq!(influx.headers, [("Authorization".to_owned(), "Basic dTpw".to_owned())]);
    }

    #[test]
    fn the_oldest_are_dropped_and_counted() {
        let mut influx = Influx::new(&settings()).expect("right");
        (1..=4).for_each(|points| influx.keep(lines(points)));
        assert_eq!((influx.waiting.len(), influx.dropped), (2, 3));
        influx.waiting_max = 0;
        influx.keep(lines(1));
        assert_eq!((influx.waiting.len(), influx.dropped), (0, 11));
    }
}
