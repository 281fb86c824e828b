//! Spans and series as OTLP has them.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue,
};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

use super::instruments::{Instrument, READ_SIZE, READ_SIZE_SUM, READ_TIME, READ_TIME_SUM};
use super::layout::Layout;
use super::options::fixed;
use super::span::{Attribute, Place, SpanRecord, SpanStatus};
use super::watcher::Spans;
use super::{SCOPE, Settings};
use crate::shared::meter::{Labels, Meter, Reading, Value};
use crate::shared::metric;
use crate::stage::clock;

// === Traces ===

pub fn traces(settings: &Settings, layout: &Layout, batch: &[Spans]) -> ExportTraceServiceRequest {
    // Cores note the monotonic clock.
    let offset_ns = unix_ns().saturating_sub(clock::monotonic_ns());
    let records = batch.iter().flat_map(|spans| spans.iter());
    let spans = records.map(|record| span(settings, layout, record, offset_ns)).collect();
    let scope_spans = ScopeSpans { scope: Some(scope()), spans, ..ScopeSpans::default() };
    let resource_spans = ResourceSpans {
        resource: Some(resource(settings)),
        scope_spans: vec![scope_spans],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest { resource_spans: vec![resource_spans] }
}

fn span(settings: &Settings, layout: &Layout, record: &SpanRecord, offset_ns: u64) -> Span {
    let (name, kind, mut attributes) = named(settings, layout, record);
    for (key, value) in &record.attributes {
        put(&mut attributes, key, any(value));
    }
    let ended_ns = record.timed.ended_ns.saturating_add(offset_ns);
    let (status, events) = match &record.status {
        SpanStatus::Unset => (None, Vec::new()),
        SpanStatus::Good => (Some((StatusCode::Ok, String::new())), Vec::new()),
        SpanStatus::Error(why) => {
            let message = text("exception.message", why);
            let event = Event {
                time_unix_nano: ended_ns,
                name: "exception".to_owned(),
                attributes: vec![message],
                ..Event::default()
            };
            (Some((StatusCode::Error, why.to_string())), vec![event])
        }
    };
    Span {
        trace_id: record.trace_id.to_vec(),
        span_id: record.span.to_be_bytes().to_vec(),
        parent_span_id: match record.parent {
            0 => Vec::new(),
            parent => parent.to_be_bytes().to_vec(),
        },
        trace_state: record.state.to_string(),
        flags: 1,
        name,
        kind: kind as i32,
        start_time_unix_nano: record.timed.began_ns.saturating_add(offset_ns),
        end_time_unix_nano: ended_ns,
        attributes,
        events,
        status: status.map(|(code, message)| Status { code: code as i32, message }),
        ..Span::default()
    }
}

/// What the plan knows of a span.
fn named(
    settings: &Settings,
    layout: &Layout,
    record: &SpanRecord,
) -> (String, SpanKind, Vec<KeyValue>) {
    let mut attributes = Vec::with_capacity(16);
    let (name, kind) = match record.place {
        Place::Global(id) => {
            attributes.push(text("krakend.stage", "global"));
            push_fixed(&mut attributes, fixed(&settings.global.traces_static_attributes));
            if let Some(endpoint) = id.and_then(|id| layout.endpoint(id)) {
                push_fixed(&mut attributes, fixed(&endpoint.traces_attributes));
            }
            (record.name.to_string(), SpanKind::Server)
        }
        Place::Proxy(id) => {
            let Some(endpoint) = layout.endpoint(id) else {
                return (String::new(), SpanKind::Internal, attributes);
            };
            attributes.push(text("http.request.method", &endpoint.method));
            attributes.push(text("http.route", &endpoint.route));
            push_fixed(&mut attributes, fixed(&endpoint.pipe.traces_static_attributes));
            put(&mut attributes, "krakend.stage", string("proxy"));
            (endpoint.route.to_string(), SpanKind::Internal)
        }
        Place::Backend(id) | Place::Exchange(id) | Place::Read(id) => {
            let Some((endpoint, backend)) = layout.backend(id) else {
                return (String::new(), SpanKind::Internal, attributes);
            };
            push_fixed(&mut attributes, backend.labels(endpoint).into_iter());
            push_fixed(&mut attributes, fixed(&backend.traces.static_attributes));
            let is_stage = matches!(record.place, Place::Backend(_));
            let stage = if is_stage { "backend" } else { "backend-request" };
            put(&mut attributes, "krakend.stage", string(stage));
            match record.place {
                Place::Exchange(_) => (backend.pattern.to_string(), SpanKind::Client),
                Place::Read(_) => {
                    ("http.client.response.read.tracker".to_owned(), SpanKind::Internal)
                }
                _ => (backend.pattern.to_string(), SpanKind::Internal),
            }
        }
    };
    (name, kind, attributes)
}

// === Metrics ===

pub fn metrics(settings: &Settings, meter: &Meter) -> ExportMetricsServiceRequest {
    let mut metrics: Vec<Metric> = Vec::new();
    let now_ns = unix_ns();
    for reading in meter.readings() {
        if let Some(known) = Instrument::named(reading.name) {
            let unit = known.unit(settings.is_new);
            push(&mut metrics, settings, known.name, known.help, unit, &reading, now_ns);
            if let Some((sum, as_count)) = sum_of(&reading) {
                let unit = sum.unit(settings.is_new);
                push(&mut metrics, settings, sum.name, sum.help, unit, &as_count, now_ns);
            }
        } else if let Some(known) = metric::ALL.iter().find(|known| known.name == reading.name) {
            push(&mut metrics, settings, known.name, known.help, "", &reading, now_ns);
        }
    }
    let scope_metrics = ScopeMetrics { scope: Some(scope()), metrics, ..ScopeMetrics::default() };
    let resource_metrics = ResourceMetrics {
        resource: Some(resource(settings)),
        scope_metrics: vec![scope_metrics],
        ..ResourceMetrics::default()
    };
    ExportMetricsServiceRequest { resource_metrics: vec![resource_metrics] }
}

/// The counter that the original keeps beside a histogram, of the same sum. Seconds come as a histogram without counts.
pub fn sum_of(reading: &Reading) -> Option<(&'static Instrument, Reading)> {
    let Value::Histogram { sum, .. } = &reading.value else { return None };
    let instrument = match reading.name {
        name if name == READ_SIZE.name => &READ_SIZE_SUM,
        name if name == READ_TIME.name => &READ_TIME_SUM,
        _ => return None,
    };
    let value = Value::Histogram { bounds: &[], counts: Vec::new(), sum: *sum };
    let labels = reading.labels.clone();
    Some((instrument, Reading { name: instrument.name, labels, value }))
}

fn push(
    metrics: &mut Vec<Metric>,
    settings: &Settings,
    name: &str,
    help: &str,
    unit: &str,
    reading: &Reading,
    now_ns: u64,
) {
    let began_ns = settings.started_ns;
    let number = |value| NumberDataPoint {
        attributes: attributes_of(&reading.labels),
        start_time_unix_nano: began_ns,
        time_unix_nano: now_ns,
        value: Some(value),
        ..NumberDataPoint::default()
    };
    let cumulative = AggregationTemporality::Cumulative as i32;
    let sum = |point| {
        Data::Sum(Sum {
            data_points: vec![point],
            aggregation_temporality: cumulative,
            is_monotonic: true,
        })
    };
    let data = match &reading.value {
        Value::Counter(count) => sum(number(Number::AsInt(count.cast_signed()))),
        Value::Histogram { counts, sum: total, .. } if counts.is_empty() => {
            sum(number(Number::AsDouble(*total)))
        }
        Value::Gauge(value) => {
            Data::Gauge(Gauge { data_points: vec![number(Number::AsInt(*value))] })
        }
        Value::Histogram { bounds, counts, sum } => Data::Histogram(Histogram {
            data_points: vec![HistogramDataPoint {
                attributes: attributes_of(&reading.labels),
                start_time_unix_nano: began_ns,
                time_unix_nano: now_ns,
                count: counts.iter().sum::<u64>(),
                sum: Some(*sum),
                bucket_counts: counts.clone(),
                explicit_bounds: bounds.to_vec(),
                ..HistogramDataPoint::default()
            }],
            aggregation_temporality: cumulative,
        }),
    };
    match metrics.iter_mut().rev().take(2).find(|metric| metric.name == name) {
        Some(metric) => join(metric.data.as_mut(), data),
        None => metrics.push(Metric {
            name: name.to_owned(),
            description: help.to_owned(),
            unit: unit.to_owned(),
            data: Some(data),
            ..Metric::default()
        }),
    }
}

/// One more point of the same metric.
fn join(all: Option<&mut Data>, one: Data) {
    match (all, one) {
        (Some(Data::Sum(all)), Data::Sum(one)) => all.data_points.extend(one.data_points),
        (Some(Data::Gauge(all)), Data::Gauge(one)) => all.data_points.extend(one.data_points),
        (Some(Data::Histogram(all)), Data::Histogram(one)) => {
            all.data_points.extend(one.data_points);
        }
        _ => {}
    }
}

/// Numbers and flags have their own types.
fn attributes_of(labels: &Labels) -> Vec<KeyValue> {
    let typed = labels.iter().map(|(name, value)| {
        let number = || value.parse().map(Any::IntValue).ok();
        let flag = || value.parse().map(Any::BoolValue).ok();
        let typed = match &**name {
            "http.response.status_code" | "server.port" => number(),
            "error" | "canceled" | "complete" => flag(),
            _ => None,
        };
        pair(name, typed.unwrap_or_else(|| string(value)))
    });
    typed.collect()
}

// === Both ===

fn resource(settings: &Settings) -> Resource {
    let attributes = settings.resource.iter().map(|(key, value)| text(key, value)).collect();
    Resource { attributes, ..Resource::default() }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope { name: SCOPE.to_owned(), ..InstrumentationScope::default() }
}

fn push_fixed<'l>(all: &mut Vec<KeyValue>, labels: impl Iterator<Item = (&'l str, &'l str)>) {
    for (key, value) in labels {
        put(all, key, string(value));
    }
}

/// The last value of a key counts.
fn put(all: &mut Vec<KeyValue>, key: &str, value: Any) {
    match all.iter_mut().find(|one| one.key == key) {
        Some(one) => one.value = Some(AnyValue { value: Some(value) }),
        None => all.push(pair(key, value)),
    }
}

fn pair(key: &str, value: Any) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    pair(key, string(value))
}

fn string(value: &str) -> Any {
    Any::StringValue(value.to_owned())
}

fn any(value: &Attribute) -> Any {
    match value {
        Attribute::Text(value) => string(value),
        Attribute::Number(value) => Any::IntValue(*value),
        Attribute::Float(value) => Any::DoubleValue(*value),
        Attribute::Flag(value) => Any::BoolValue(*value),
        Attribute::Texts(values) => {
            let values = values.iter().map(|value| AnyValue { value: Some(string(value)) });
            Any::ArrayValue(ArrayValue { values: values.collect() })
        }
    }
}

pub fn unix_ns() -> u64 {
    u64::try_from(clock::unix_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::instruments::TIMES;
    use super::*;

    #[test]
    fn points_of_one_metric_are_together_and_typed() {
        let meter = Meter::default();
        let labels = |status| [("http.response.status_code", status), ("error", "true")];
        let one = meter.histogram("krakend.proxy.duration", &labels("200"), TIMES);
        let two = meter.histogram("krakend.proxy.duration", &labels("500"), TIMES);
        one.record(0.03);
        two.record(20.0);
        let read = meter.histogram(READ_TIME.name, &[], TIMES);
        read.record(0.5);
        let _foreign = meter.counter("somebody.else", &[]);
        let request = metrics(&Settings::default(), &meter);
        let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
        let names: Vec<&str> = metrics.iter().map(|metric| metric.name.as_str()).collect();
        let (hist, sum) = ("http.client.response.read.time-hist", "http.client.response.read.time");
        assert_eq!(names, [hist, sum, "krakend.proxy.duration"]);
        let Some(Data::Histogram(histogram)) = &metrics[2].data else { panic!("a histogram") };
        assert_eq!(histogram.data_points.len(), 2);
        let point = &histogram.data_points[1];
        assert_eq!((point.count, point.sum), (1, Some(20.0)));
        assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
        let values: Vec<_> = point.attributes.iter().filter_map(|one| one.value.clone()).collect();
        assert_eq!(values[0].value, Some(Any::IntValue(500)));
        assert_eq!(values[1].value, Some(Any::BoolValue(true)));
        let Some(Data::Sum(sum)) = &metrics[1].data else { panic!("a sum") };
        assert_eq!(sum.data_points[0].value, Some(Number::AsDouble(0.5)));
    }
}
