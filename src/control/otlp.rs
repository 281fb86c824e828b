//! OTLP: handing traces and metrics to a collector, over HTTP or gRPC, in bounded time and memory.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message;
use tokio::time::{Instant, sleep, timeout};
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::http_client::{HttpClient, HttpSettings, TlsTrust};
use super::task::{BoxFuture, Task, TaskEnv, TaskError, within};
use crate::shared::log::Log;
use crate::shared::meter::Meter;
use crate::shared::metric::DROPPED_SPANS;
use crate::shared::outbox::Inbox;

const CONTENT_TYPE: &str = "application/x-protobuf";
const USER_AGENT: &str = concat!("OTel-OTLP-Exporter-Rust/shoal-", env!("CARGO_PKG_VERSION"));
/// One attempt.
const ATTEMPT: Duration = Duration::from_secs(10);
/// The first pause before another attempt; each is twice as long.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// After so long a batch is given up.
const DELIVERY: Duration = Duration::from_secs(30);
/// The last attempt, while the process stops.
const LAST_ATTEMPT: Duration = Duration::from_millis(700);
/// How often waiting spans are looked for: looking costs the cores nothing, waking does.
const LOOK: Duration = Duration::from_millis(100);
/// Spans wait for others for so long.
const FLUSH: Duration = Duration::from_secs(1);
/// Spans in one request.
const BATCH_MAX: usize = 512;
/// Trouble is logged so often.
const REPORT: Duration = Duration::from_mins(1);
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Where a collector listens, and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector {
    /// Appears in the log and in labels.
    pub name: String,
    /// `http://host:port`.
    pub origin: String,
    pub is_http: bool,
    /// Sent with each request.
    pub headers: Vec<(String, String)>,
}

/// What a batch of spans looks like to a collector.
pub type EncodeSpans<T> = Arc<dyn Fn(&[Arc<[T]>]) -> ExportTraceServiceRequest + Send + Sync>;
/// What the meter holds, for a collector.
pub type Gather = Arc<dyn Fn(&Meter) -> ExportMetricsServiceRequest + Send + Sync>;

/// Sends the cores' spans.
pub struct SpanExporter<T> {
    task: String,
    collector: Collector,
    inbox: Inbox<Arc<[T]>>,
    encode: EncodeSpans<T>,
}

/// Sends the metrics, each period.
pub struct MetricExporter {
    task: String,
    collector: Collector,
    period: Duration,
    gather: Gather,
}

/// A connection to a collector.
enum Client {
    Http(Box<HttpClient>, Collector),
    Grpc {
        traces: Box<TraceServiceClient<Channel>>,
        metrics: Box<MetricsServiceClient<Channel>>,
        headers: Vec<(AsciiMetadataKey, AsciiMetadataValue)>,
    },
}

enum Load {
    Traces(ExportTraceServiceRequest),
    Metrics(ExportMetricsServiceRequest),
}

/// Why a load did not arrive.
enum Trouble {
    /// It may do so later, at the soonest after this time.
    Passing(String, Option<Duration>),
    Lasting(String),
}

/// Says what is wrong, but not over and over.
struct Reporter {
    log: Log,
    name: String,
    last: Option<Instant>,
    unsaid: u64,
}

// === impl SpanExporter, MetricExporter ===

impl<T> SpanExporter<T> {
    pub fn new(collector: Collector, inbox: Inbox<Arc<[T]>>, encode: EncodeSpans<T>) -> Self {
        SpanExporter { task: format!("otlp traces {}", collector.name), collector, inbox, encode }
    }

    /// Takes what waits, until there is enough for one request.
    fn take(&mut self, batch: &mut Vec<Arc<[T]>>) -> usize {
        let mut count: usize = batch.iter().map(|spans| spans.len()).sum();
        while count < BATCH_MAX {
            let Some(spans) = self.inbox.try_next() else { break };
            count += spans.len();
            batch.push(spans);
        }
        count
    }
}

impl<T: Send + Sync + 'static> Task for SpanExporter<T> {
    fn name(&self) -> &str {
        &self.task
    }

    fn has_last_words(&self) -> bool {
        true
    }

    fn run(&mut self, mut env: TaskEnv) -> BoxFuture<'_, Result<(), TaskError>> {
        Box::pin(async move {
            let mut client = Client::new(&self.collector)?;
            let dropped =
                env.meter.counter(DROPPED_SPANS.name, &[("exporter", &self.collector.name)]);
            let mut reporter = Reporter::new(&env.log, &self.collector);
            let mut batch = Vec::new();
            let mut flushed = Instant::now();
            let mut is_stopping = false;
            loop {
                let count = self.take(&mut batch);
                if !is_stopping && count < BATCH_MAX && (count == 0 || flushed.elapsed() < FLUSH) {
                    tokio::select! {
                        () = sleep(LOOK) => {}
                        () = env.stopping() => is_stopping = true,
                    }
                }
                dropped.add(self.inbox.take_dropped());
                if is_stopping {
                    loop {
                        let count = self.take(&mut batch);
                        if count == 0 {
                            return Ok(());
                        }
                        let load = Load::Traces((self.encode)(&batch));
                        batch.clear();
                        if !client.send_last(load).await {
                            dropped.add(count as u64);
                            return Ok(());
                        }
                    }
                }
                let count: usize = batch.iter().map(|spans| spans.len()).sum();
                if count == 0 || (count < BATCH_MAX && flushed.elapsed() < FLUSH) {
                    continue;
                }
                let load = Load::Traces((self.encode)(&batch));
                let delivered = tokio::select! {
                    delivered = client.deliver(&load) => Some(delivered),
                    () = env.stopping() => None,
                };
                match delivered {
                    Some(Ok(())) => {}
                    Some(Err(why)) => {
                        dropped.add(count as u64);
                        reporter.say(format_args!("{count} spans were not delivered: {why}"));
                    }
                    None => {
                        is_stopping = true;
                        continue;
                    }
                }
                batch.clear();
                flushed = Instant::now();
            }
        })
    }
}

impl MetricExporter {
    pub fn new(collector: Collector, period_s: u64, gather: Gather) -> Self {
        let task = format!("otlp metrics {}", collector.name);
        MetricExporter { task, collector, period: Duration::from_secs(period_s.max(1)), gather }
    }
}

impl Task for MetricExporter {
    fn name(&self) -> &str {
        &self.task
    }

    fn has_last_words(&self) -> bool {
        true
    }

    fn run(&mut self, mut env: TaskEnv) -> BoxFuture<'_, Result<(), TaskError>> {
        Box::pin(async move {
            let mut client = Client::new(&self.collector)?;
            let mut reporter = Reporter::new(&env.log, &self.collector);
            let mut due = Instant::now() + self.period;
            loop {
                let is_stopping = tokio::select! {
                    () = tokio::time::sleep_until(due) => false,
                    () = env.stopping() => true,
                };
                let load = Load::Metrics((self.gather)(&env.meter));
                if is_stopping {
                    client.send_last(load).await;
                    return Ok(());
                }
                let delivered = tokio::select! {
                    delivered = client.deliver(&load) => Some(delivered),
                    () = env.stopping() => None,
                };
                if let Some(Err(why)) = delivered {
                    reporter.say(format_args!("metrics were not delivered: {why}"));
                }
                due = (due + self.period).max(Instant::now());
            }
        })
    }
}

// === impl Client ===

impl Client {
    fn new(collector: &Collector) -> Result<Client, TaskError> {
        if collector.is_http {
            let settings = HttpSettings {
                user_agent: USER_AGENT,
                timeout: ATTEMPT,
                body_bytes_max: ANSWER_BYTES_MAX,
                tls: TlsTrust::default(),
            };
            let client = HttpClient::new(&settings).map_err(TaskError::new)?;
            return Ok(Client::Http(Box::new(client), collector.clone()));
        }
        let endpoint = Endpoint::from_shared(collector.origin.clone()).map_err(TaskError::new)?;
        let endpoint = endpoint.user_agent(USER_AGENT).map_err(TaskError::new)?;
        let channel = endpoint.connect_timeout(ATTEMPT).timeout(ATTEMPT).connect_lazy();
        let headers = collector.headers.iter().filter_map(|(name, value)| {
            let name = name.to_ascii_lowercase();
            Some((AsciiMetadataKey::from_bytes(name.as_bytes()).ok()?, value.parse().ok()?))
        });
        Ok(Client::Grpc {
            traces: Box::new(TraceServiceClient::new(channel.clone())),
            metrics: Box::new(MetricsServiceClient::new(channel)),
            headers: headers.collect(),
        })
    }

    /// Tries again, later and later, as long as a collector says that this helps.
    async fn deliver(&mut self, load: &Load) -> Result<(), String> {
        let end = Instant::now() + DELIVERY;
        let mut pause = PAUSE_FIRST;
        loop {
            let late = || Trouble::Passing(format!("no answer within {ATTEMPT:?}"), None);
            let sent = timeout(ATTEMPT, self.send(load)).await.unwrap_or_else(|_| Err(late()));
            let (why, after) = match sent {
                Ok(()) => return Ok(()),
                Err(Trouble::Lasting(why)) => return Err(why),
                Err(Trouble::Passing(why, after)) => (why, after),
            };
            let wait = after.unwrap_or(pause).max(pause);
            if Instant::now() + wait > end {
                return Err(why);
            }
            sleep(wait).await;
            pause *= 2;
        }
    }

    /// Once, and not for long; whether it arrived.
    async fn send_last(&mut self, load: Load) -> bool {
        within(LAST_ATTEMPT, self.send(&load)).await.is_some_and(|sent| sent.is_ok())
    }

    async fn send(&mut self, load: &Load) -> Result<(), Trouble> {
        match self {
            Client::Http(client, collector) => post(client, collector, load).await,
            Client::Grpc { traces, metrics, headers } => match load {
                Load::Traces(load) => {
                    let request = with_headers(load.clone(), headers);
                    traces.export(request).await.map(drop).map_err(|status| of_status(&status))
                }
                Load::Metrics(load) => {
                    let request = with_headers(load.clone(), headers);
                    metrics.export(request).await.map(drop).map_err(|status| of_status(&status))
                }
            },
        }
    }
}

async fn post(client: &HttpClient, collector: &Collector, load: &Load) -> Result<(), Trouble> {
    let (path, body) = match load {
        Load::Traces(load) => ("/v1/traces", load.encode_to_vec()),
        Load::Metrics(load) => ("/v1/metrics", load.encode_to_vec()),
    };
    let url = format!("{}{path}", collector.origin);
    let answer = client.post_bytes(&url, CONTENT_TYPE, &collector.headers, body).await;
    let answer = answer.map_err(|error| Trouble::Passing(error.to_string(), None))?;
    let why = format!("{url} answered {}", answer.status);
    match answer.status {
        200..=299 => Ok(()),
        429 | 502..=504 => {
            Err(Trouble::Passing(why, answer.retry_after_s.map(Duration::from_secs)))
        }
        _ => Err(Trouble::Lasting(why)),
    }
}

fn with_headers<L>(load: L, headers: &[(AsciiMetadataKey, AsciiMetadataValue)]) -> Request<L> {
    let mut request = Request::new(load);
    for (name, value) in headers {
        request.metadata_mut().insert(name.clone(), value.clone());
    }
    request
}

/// As OTLP says which of gRPC's codes pass.
fn of_status(status: &Status) -> Trouble {
    let why = format!("{}: {}", status.code(), status.message());
    match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Trouble::Passing(why, None),
        _ => Trouble::Lasting(why),
    }
}

// === impl Reporter ===

impl Reporter {
    fn new(log: &Log, collector: &Collector) -> Reporter {
        Reporter { log: log.clone(), name: collector.name.clone(), last: None, unsaid: 0 }
    }

    fn say(&mut self, what: impl Display) {
        if self.last.is_some_and(|last| last.elapsed() < REPORT) {
            self.unsaid += 1;
            return;
        }
        let (name, unsaid) = (&self.name, std::mem::take(&mut self.unsaid));
        self.last = Some(Instant::now());
        let more =
            if unsaid == 0 { String::new() } else { format!(" ({unsaid} times more before)") };
        self.log.error(format_args!("[SERVICE: OpenTelemetry] {name:?}: {what}{more}"));
    }
}
