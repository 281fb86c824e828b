//! `OtelWatcher`: one core's eye on requests: it measures them, begins their traces, and notes their spans.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::Settings;
use super::layout::Layout;
use super::measures::{Measures, endpoint_of, kind_of};
use super::propagation::Origin;
use super::span::{Attribute, Attributes, Place, SpanRecord, SpanStatus, push_headers};
use crate::message::head::{Framing, RequestHead};
use crate::message::status;
use crate::shared::meter::Meter;
use crate::shared::outbox::Outbox;
use crate::stage::Header;
use crate::stage::ids::{BackendId, EndpointId};
use crate::stage::watch::{
    BodyRead, Called, End, Exchanged, Piped, Route, Served, SpanId, Spanned, Timed, Trace, Watcher,
};

/// So many spans wait on a core, at most, for the request that they belong to.
const WAITING_MAX: usize = 128;

/// The spans of a request, for all exporters.
pub type Spans = Arc<[SpanRecord]>;

pub struct OtelWatcher {
    settings: Arc<Settings>,
    layout: Arc<Layout>,
    measures: Option<Measures>,
    outboxes: Vec<Outbox<Spans>>,
    waiting: RefCell<Vec<SpanRecord>>,
    random: Cell<u64>,
}

impl OtelWatcher {
    pub fn new(
        settings: &Arc<Settings>,
        layout: Arc<Layout>,
        meter: &Meter,
        outboxes: Vec<Outbox<Spans>>,
    ) -> OtelWatcher {
        let measures =
            settings.measures.then(|| Measures::new(settings.clone(), layout.clone(), meter));
        OtelWatcher {
            settings: settings.clone(),
            layout,
            measures,
            outboxes,
            waiting: RefCell::default(),
            random: Cell::new(super::seed()),
        }
    }

    /// xorshift64*: never zero.
    fn next_random(&self) -> u64 {
        let mut state = self.random.get();
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        self.random.set(state);
        state.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// As the original samples: by the caller where it has sampled or not, by the id where a trace begins.
    fn is_sampled(&self, id: &[u8; 16], parent: Option<bool>) -> bool {
        let Some(rate) = self.settings.sample_rate else { return true };
        if let Some(is_sampled) = parent {
            return is_sampled;
        }
        let (_, low) = id.split_at(8);
        let low = low.iter().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte)) >> 1;
        (low as f64) < rate * 9_223_372_036_854_775_808.0
    }

    fn note(&self, place: Place, trace: &Trace, ids: (SpanId, SpanId), timed: Timed, what: What) {
        let (span, parent) = ids;
        let state = trace.passed_on.iter().find(|(name, _)| *name == "tracestate");
        let state = state.map_or_else(Box::default, |(_, value)| {
            String::from_utf8_lossy(value).into_owned().into_boxed_str()
        });
        let What { name, attributes, status } = what;
        let record = SpanRecord {
            place,
            trace_id: trace.id,
            span,
            parent,
            timed,
            name,
            attributes,
            status,
            state,
        };
        let is_full = {
            let mut waiting = self.waiting.borrow_mut();
            waiting.push(record);
            waiting.len() >= WAITING_MAX
        };
        if is_full {
            self.hand_over();
        }
    }

    fn hand_over(&self) {
        let waiting = self.waiting.take();
        if waiting.is_empty() {
            return;
        }
        let spans: Spans = waiting.into();
        for outbox in &self.outboxes {
            outbox.send(spans.clone());
        }
    }

    fn layer(
        &self,
        place: Place,
        spanned: &Spanned<'_>,
        timed: Timed,
        end: &End<'_>,
        reported: Option<(&[String], &mut dyn Iterator<Item = &Header<'_>>)>,
    ) {
        let mut attributes = of_end(end);
        if let Some((skipped, headers)) = reported {
            let lines = headers.map(|header| (&*header.name, &*header.value));
            push_headers(&mut attributes, "http.request.header.", lines, skipped);
            if let Some(answer) = end.answer {
                let lines = answer.headers.iter();
                push_headers(&mut attributes, "http.response.header.", lines, skipped);
            }
        }
        let what = What { name: "".into(), attributes, status: SpanStatus::Unset };
        self.note(place, spanned.trace, (spanned.span, spanned.parent), timed, what);
    }
}

/// What there is to say of a span.
struct What {
    name: Box<str>,
    attributes: Attributes,
    status: SpanStatus,
}

fn of_end(end: &End<'_>) -> Attributes {
    let (is_error, is_canceled) = kind_of(end);
    let mut attributes = Attributes::with_capacity(8);
    if is_canceled {
        attributes.push((Cow::Borrowed("canceled"), Attribute::Flag(true)));
    } else if is_error && let Some(failure) = end.failure {
        let text = Attribute::Text(failure.message.as_str().into());
        attributes.push((Cow::Borrowed("error"), text));
    }
    let status = match end.answer {
        _ if is_error || is_canceled => Some(500),
        Some(answer) => Some(i64::from(answer.status)),
        None => None,
    };
    if let Some(status) = status {
        let key = Cow::Borrowed("http.response.status_code");
        attributes.push((key, Attribute::Number(status)));
    }
    attributes.push((Cow::Borrowed("complete"), Attribute::Flag(end.is_complete)));
    attributes
}

fn recorded(spanned: Option<Spanned<'_>>) -> Option<Spanned<'_>> {
    spanned.filter(|spanned| spanned.trace.is_recorded)
}

impl Watcher for OtelWatcher {
    fn served(&self, told: &Served<'_>) {
        if let Some(measures) = &self.measures {
            measures.served(told);
        }
        let Some(trace) = told.trace.filter(|trace| trace.is_recorded) else { return };
        if !self.settings.global.disable_traces {
            self.note_served(told, trace);
        }
        self.hand_over();
    }

    fn piped(&self, told: &Piped<'_>) {
        if let Some(measures) = &self.measures {
            measures.piped(told);
        }
        let Some(spanned) = recorded(told.spanned) else { return };
        let Some(layout) = self.layout.endpoint(told.endpoint) else { return };
        if !self.has_pipe_span(told.endpoint) {
            return;
        }
        let pipe = &layout.pipe;
        let mut headers = told.headers.iter();
        let reported = pipe.report_headers.then_some((&*pipe.skip_headers, &mut headers as _));
        self.layer(Place::Proxy(told.endpoint), &spanned, told.timed, &told.end, reported);
    }

    fn called(&self, told: &Called<'_>) {
        if let Some(measures) = &self.measures {
            measures.called(told);
        }
        let Some(spanned) = recorded(told.spanned) else { return };
        let Some((_, layout)) = self.layout.backend(told.backend) else { return };
        if !self.has_call_span(told.backend) {
            return;
        }
        let passes = |header: &&Header<'_>| match &layout.headers {
            None => true,
            Some(listed) => {
                listed.iter().any(|listed| listed.as_bytes().eq_ignore_ascii_case(&header.name))
            }
        };
        let mut headers = told.headers.iter().filter(passes);
        let traces = &layout.traces;
        let reported = traces.report_headers.then_some((&*traces.skip_headers, &mut headers as _));
        self.layer(Place::Backend(told.backend), &spanned, told.timed, &told.end, reported);
    }

    fn exchanged(&self, told: &Exchanged<'_>) {
        if let Some(measures) = &self.measures {
            measures.exchanged(told);
        }
        if let Some(spanned) = recorded(told.spanned) {
            self.note_exchanged(told, &spanned);
        }
    }

    fn body_read(&self, told: &BodyRead<'_>) {
        if let Some(measures) = &self.measures {
            measures.body_read(told);
        }
        let Some(spanned) = recorded(told.spanned) else { return };
        let Some((endpoint, layout)) = self.layout.backend(told.backend) else { return };
        if endpoint.is_skipped || !layout.traces.read_payload {
            return;
        }
        let took = told.timed.ended_ns.saturating_sub(told.timed.began_ns);
        let attributes = vec![
            (Cow::Borrowed("http.client.response.read.size"), Attribute::count(told.bytes)),
            (Cow::Borrowed("http.client.response.read.time"), Attribute::seconds(took)),
        ];
        let status = if told.is_broken {
            SpanStatus::Error("the body broke off".into())
        } else {
            SpanStatus::Good
        };
        let what = What { name: "".into(), attributes, status };
        let ids = (spanned.span, spanned.parent);
        self.note(Place::Read(told.backend), spanned.trace, ids, told.timed, what);
    }

    fn skips(&self, path: &[u8]) -> bool {
        self.settings.skipped.iter().any(|skipped| skipped.as_bytes() == path)
    }

    fn has_pipe_span(&self, id: EndpointId) -> bool {
        let layout = self.layout.endpoint(id);
        layout.is_some_and(|layout| !layout.is_skipped && !layout.pipe.disable_traces)
    }

    fn has_call_span(&self, id: BackendId) -> bool {
        let layout = self.layout.backend(id);
        layout.is_some_and(|(endpoint, one)| !endpoint.is_skipped && !one.traces.disable_stage)
    }

    fn trace(&self, head: &RequestHead, path: &[u8], _route: Route) -> Option<Trace> {
        if self.outboxes.is_empty() || self.skips(path) {
            return None;
        }
        let global = &self.settings.global;
        let origin = if global.disable_propagation {
            Origin::default()
        } else {
            self.settings.propagators.extract(head)
        };
        let mut id = [0; 16];
        match &origin.parent {
            Some((parent, _, _)) => id = *parent,
            None => {
                let (high, low) = id.split_at_mut(8);
                high.copy_from_slice(&self.next_random().to_be_bytes());
                low.copy_from_slice(&self.next_random().to_be_bytes());
            }
        }
        let parent = origin.parent.map(|(_, span, _)| span);
        let is_sampled = self.is_sampled(&id, origin.parent.map(|(_, _, is_sampled)| is_sampled));
        let has_room = self.outboxes.iter().any(Outbox::has_room);
        if is_sampled && !has_room {
            self.outboxes.iter().for_each(Outbox::count_dropped);
        }
        let has_own = !global.disable_traces;
        let mut trace = Trace {
            id,
            parent,
            span: if has_own { self.next_random() } else { parent.unwrap_or(0) },
            is_sampled,
            is_recorded: is_sampled && has_room,
            wants_answer_headers: has_own && global.report_headers && is_sampled,
            passed_on: origin.passed_on,
            ..Trace::default()
        };
        if trace.is_recorded && has_own {
            self.note_request(head, path, &mut trace);
        }
        Some(trace)
    }

    fn propagate(&self, trace: &Trace, id: BackendId, span: SpanId, lines: &mut Vec<u8>) {
        let Some((endpoint, layout)) = self.layout.backend(id) else { return };
        // The original tells an upstream only of spans that it records.
        if trace.is_sampled && !endpoint.is_skipped && layout.traces.has_exchanges() {
            self.settings.propagators.inject(trace, span, lines);
        }
    }
}

impl OtelWatcher {
    /// What will be said of the request, noted while its head is there.
    fn note_request(&self, head: &RequestHead, path: &[u8], trace: &mut Trace) {
        let lossy = |bytes: &[u8]| -> Box<str> { String::from_utf8_lossy(bytes).into() };
        trace.noted = vec![
            ("url.path", lossy(path)),
            ("url.full", lossy(head.target())),
            ("server.address", lossy(head.host())),
            ("http.request.method", lossy(head.method_name())),
        ];
        let length = match head.framing {
            Framing::Length(length) => Some(length),
            Framing::Empty => Some(0),
            _ => None,
        };
        if let Some(length) = length {
            trace.noted.push(("http.request.body.size", length.to_string().into()));
        }
        if let Some(agent) = head.header("user-agent").filter(|agent| !agent.is_empty()) {
            trace.noted.push(("user_agent.original", lossy(agent)));
        }
        if self.settings.global.report_headers {
            let lines = head.headers().iter().map(|(name, value)| (lossy(name), lossy(value)));
            trace.noted_headers = lines.collect();
        }
    }

    fn note_served(&self, told: &Served<'_>, trace: &Trace) {
        let id = endpoint_of(told.route);
        let mut attributes = Attributes::with_capacity(16);
        let mut name: Box<str> = "".into();
        for (key, value) in &trace.noted {
            let value = match *key {
                "url.path" => {
                    name.clone_from(value);
                    continue;
                }
                "http.request.body.size" => Attribute::Number(value.parse().unwrap_or(0)),
                _ => Attribute::Text(value.clone()),
            };
            attributes.push((Cow::Borrowed(*key), value));
        }
        let client = Attribute::Text(told.client.to_string().into());
        attributes.push((Cow::Borrowed("client.address"), client));
        let global = &self.settings.global;
        if global.report_headers {
            let asked = trace.noted_headers.iter();
            let asked = asked.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            push_headers(&mut attributes, "http.request.header.", asked, &global.skip_headers);
        }
        let route = match id.and_then(|id| self.layout.endpoint(id)) {
            Some(endpoint) => endpoint.route.clone(),
            None => format!("{} {}", told.status, status::reason(told.status)).into(),
        };
        attributes.push((Cow::Borrowed("http.route"), Attribute::Text(route)));
        let status = Attribute::Number(i64::from(told.status));
        attributes.push((Cow::Borrowed("http.response.status_code"), status));
        let size = Attribute::count(told.body_bytes);
        attributes.push((Cow::Borrowed("http.response.body.size"), size));
        if let Some(headers) = told.headers {
            let lines = headers.iter();
            push_headers(&mut attributes, "http.response.header.", lines, &global.skip_headers);
        }
        let status = if told.is_cut {
            SpanStatus::Error("the client was gone before it had all".into())
        } else {
            SpanStatus::Good
        };
        let what = What { name, attributes, status };
        let ids = (trace.span, trace.parent.unwrap_or(0));
        self.note(Place::Global(id), trace, ids, told.timed, what);
    }

    fn note_exchanged(&self, told: &Exchanged<'_>, spanned: &Spanned<'_>) {
        let Some((endpoint, layout)) = self.layout.backend(told.backend) else { return };
        let traces = &layout.traces;
        if endpoint.is_skipped || !traces.has_exchanges() {
            return;
        }
        let scheme = if told.is_tls { "https" } else { "http" };
        let target = String::from_utf8_lossy(told.target);
        let mut attributes = Attributes::with_capacity(16);
        let mut push = |key: &'static str, value| attributes.push((Cow::Borrowed(key), value));
        let url = format!("{scheme}://{}{target}", told.authority);
        push("url.full", Attribute::Text(url.into()));
        push("server.address", Attribute::Text(told.authority.into()));
        push("http.request.method", Attribute::Text(told.method.into()));
        if let Some(bytes) = told.request_bytes {
            push("http.request.body.size", Attribute::count(bytes));
        }
        let agent = told.headers.iter().find(|one| one.name.eq_ignore_ascii_case(b"user-agent"));
        if let Some(agent) = agent.filter(|agent| !agent.value.is_empty()) {
            push("user_agent.original", Attribute::text(&agent.value));
        }
        let status = if told.status == 0 {
            let why = match told.failure {
                Some(failure) => failure.message.as_str(),
                None if told.is_canceled => "context canceled",
                None => "",
            };
            SpanStatus::Error(why.into())
        } else {
            push("http.response.status_code", Attribute::Number(i64::from(told.status)));
            let size = told.response_bytes.map_or(Attribute::Number(-1), Attribute::count);
            push("http.response.body.size", size);
            let took = told.timed.ended_ns.saturating_sub(told.timed.began_ns);
            push("response-duration", Attribute::seconds(took));
            if traces.detailed_connection {
                push("get-conn-duration", Attribute::seconds(told.connecting.got_after_ns));
                push("dns-duration", Attribute::seconds(told.connecting.names_ns));
                push("tls-duration", Attribute::seconds(told.connecting.tls_ns));
            }
            SpanStatus::Good
        };
        if traces.report_headers {
            let asked = told.headers.iter().map(|header| (&*header.name, &*header.value));
            push_headers(&mut attributes, "http.request.header.", asked, &traces.skip_headers);
            if let Some(response) = told.response {
                let lines = response.headers().iter();
                let skipped = &traces.skip_headers;
                push_headers(&mut attributes, "http.response.header.", lines, skipped);
            }
        }
        let what = What { name: "".into(), attributes, status };
        let ids = (spanned.span, spanned.parent);
        self.note(Place::Exchange(told.backend), spanned.trace, ids, told.timed, what);
    }
}

impl Drop for OtelWatcher {
    fn drop(&mut self) {
        self.hand_over();
    }
}
