//! The tasks that send: spans to Zipkin, and views to InfluxDB or to the log.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use super::span::Span;
use super::views;
use crate::control::http_client::{HttpClient, HttpSettings, SettingsError, TlsTrust};
use crate::control::influx::Influx;
use crate::control::task::within;
use crate::control::{BoxFuture, Task, TaskEnv, TaskError};
use crate::shared::log::{Level, Log};
use crate::shared::meter::Meter;
use crate::shared::outbox::Inbox;

/// Between two looks at what waits.
const PAUSE: Duration = Duration::from_millis(500);
/// Spans of one message.
const BATCH: usize = 100;
/// One message, with its answer.
const TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Who the spans are of; `None` where nothing is known.
pub(super) struct Local(Option<Value>);

/// Sends spans to Zipkin. What it does not take is dropped: a span that is late is of no use.
pub(super) struct Zipkin {
    url: String,
    local: Local,
    inbox: Inbox<Span>,
    client: HttpClient,
}

/// Tells of the views once a period.
pub(super) struct Reporter {
    pub views: Meter,
    pub period: Duration,
    pub influx: Option<Influx>,
    /// The name of this node in InfluxDB.
    pub instance: String,
    pub logs: bool,
    /// Ask whether InfluxDB is there before anything is sent.
    pub pings: bool,
}

impl Local {
    pub fn new(service: &str, ip: &str, port: u16) -> Local {
        let mut local = Map::new();
        if !service.is_empty() {
            local.insert("serviceName".into(), service.into());
        }
        match ip.parse::<IpAddr>() {
            Ok(ip) if ip.is_ipv4() => drop(local.insert("ipv4".into(), ip.to_string().into())),
            Ok(ip) => drop(local.insert("ipv6".into(), ip.to_string().into())),
            Err(_) => {}
        }
        if port > 0 {
            local.insert("port".into(), port.into());
        }
        Local((!local.is_empty()).then_some(Value::Object(local)))
    }
}

// === impl Zipkin ===

impl Zipkin {
    pub fn new(url: String, local: Local, inbox: Inbox<Span>) -> Result<Zipkin, SettingsError> {
        let client = HttpClient::new(&HttpSettings {
            user_agent: "Go-http-client/1.1",
            timeout: TIMEOUT,
            body_bytes_max: ANSWER_BYTES_MAX,
            tls: TlsTrust::default(),
        })?;
        Ok(Zipkin { url, local, inbox, client })
    }

    /// Sends what waits, message by message.
    async fn send(&mut self, log: &Log) {
        loop {
            let spans: Vec<Value> = std::iter::from_fn(|| self.inbox.try_next())
                .take(BATCH)
                .map(|span| span.to_json(self.local.0.as_ref()))
                .collect();
            let count = spans.len();
            if count == 0 {
                break;
            }
            let body = Value::Array(spans).to_string().into_bytes();
            let sent = self.client.post_bytes(&self.url, "application/json", &[], body).await;
            let why = match sent {
                Ok(answer) if (200..300).contains(&answer.status) => continue,
                Ok(answer) => format!("its status is {}", answer.status),
                Err(error) => error.to_string(),
            };
            log.warning(format_args!(
                "[SERVICE: OpenCensus] Zipkin did not take {count} spans, they are dropped: {why}"
            ));
            break;
        }
        if let dropped @ 1.. = self.inbox.take_dropped() {
            log.warning(format_args!(
                "[SERVICE: OpenCensus] {dropped} spans are dropped: Zipkin is too slow"
            ));
        }
    }
}

impl Task for Zipkin {
    fn name(&self) -> &'static str {
        "OpenCensus: zipkin"
    }

    fn has_last_words(&self) -> bool {
        true
    }

    fn run(&mut self, mut env: TaskEnv) -> BoxFuture<'_, Result<(), TaskError>> {
        Box::pin(async move {
            while within(PAUSE, env.stopping()).await.is_none() {
                self.send(&env.log).await;
            }
            self.send(&env.log).await;
            Ok(())
        })
    }
}

// === impl Reporter ===

impl Reporter {
    async fn report(&mut self, log: &Log) {
        if let Some(influx) = &mut self.influx {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let now_s = now.map_or(0, |since| since.as_secs());
            let lines = views::lines(&self.views, &self.instance, now_s);
            influx.write(lines, log).await;
        }
        if self.logs && log.is_enabled(Level::Debug) {
            for reading in self.views.readings() {
                let (labels, value) = (&reading.labels, &reading.value);
                log.debug(format_args!("{} {labels:?} {value:?}", reading.name));
            }
        }
    }
}

impl Task for Reporter {
    fn name(&self) -> &'static str {
        "OpenCensus: views"
    }

    fn has_last_words(&self) -> bool {
        true
    }

    fn run(&mut self, mut env: TaskEnv) -> BoxFuture<'_, Result<(), TaskError>> {
        Box::pin(async move {
            if let Some(influx) = self.influx.as_ref().filter(|_| self.pings)
                && let Err(why) = influx.ping().await
            {
                let log = &env.log;
                log.error(format_args!("[SERVICE: OpenCensus] cannot ping InfluxDB: {why}"));
            }
            while within(self.period, env.stopping()).await.is_none() {
                self.report(&env.log).await;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_endpoint_has_what_is_known_of_it() {
        assert_eq!(Local::new("", "", 0).0, None);
        let local = Local::new("zip", "10.0.0.1", 8080);
        assert_eq!(local.0, Some(json!({"serviceName": "zip", "ipv4": "10.0.0.1", "port": 8080})));
        assert_eq!(Local::new("", "::1", 0).0, Some(json!({"ipv6": "::1"})));
    }
}
