//! `Call`: a request on its way to one backend, and the `Answer` that comes back.

use std::borrow::Cow;
use std::ops::Range;
use std::rc::Rc;

use smallvec::SmallVec;

use super::exchange::Exchange;
use super::failure::Failure;
use super::notes::Notes;
use super::watch::SpanId;
use crate::json::Document;
use crate::message::head::Framing;
use crate::message::query::Allowed;
use crate::net::clock::Tick;
use crate::upstream::Url;
use crate::wire::http1::client::Upload;
use crate::wire::{Body, HeaderBlock, Incoming};

/// One header line.
#[derive(Clone, Debug)]
pub struct Header<'x> {
    pub name: Cow<'x, [u8]>,
    pub value: Cow<'x, [u8]>,
}

impl<'x> Header<'x> {
    pub fn new(name: &'x [u8], value: &'x [u8]) -> Header<'x> {
        Header { name: Cow::Borrowed(name), value: Cow::Borrowed(value) }
    }
}

/// Header lines for upstreams, borrowed from the client's request or from the plan wherever possible.
pub type Headers<'x> = SmallVec<[Header<'x>; 8]>;

/// The body of a call. Only one call of an exchange can have the stream.
#[derive(Clone)]
pub enum CallBody {
    Empty,
    /// As it comes from the client, never held whole.
    Stream(Rc<Incoming>),
    /// Kept in memory, because several calls or a stage need it.
    Bytes(Rc<Vec<u8>>),
}

impl CallBody {
    /// How long it is, where that is known before it is sent.
    pub fn bytes_known(&self) -> Option<u64> {
        match self {
            CallBody::Empty => Some(0),
            CallBody::Bytes(bytes) => Some(bytes.len() as u64),
            CallBody::Stream(incoming) => match incoming.framing() {
                Framing::Length(length) => Some(length),
                _ => None,
            },
        }
    }

    /// True when there is certainly nothing to send.
    pub fn is_empty(&self) -> bool {
        match self {
            CallBody::Empty => true,
            CallBody::Stream(_) => false,
            CallBody::Bytes(bytes) => bytes.is_empty(),
        }
    }
}

/// A request on its way into an endpoint's pipe.
pub struct PipeCall<'x> {
    pub exchange: &'x Exchange<'x>,
    /// What the endpoint forwards, with the gateway's own.
    pub headers: &'x [Header<'x>],
    /// What of the client's query passes on.
    pub query: &'x Allowed,
}

/// A request to one backend while its stages look at it.
pub struct Call<'x> {
    pub exchange: &'x Exchange<'x>,
    pub method: Cow<'x, str>,
    /// Where it goes. A stage that sends it elsewhere must have a reason.
    pub url: Url,
    /// What the Host header says, where that is not the URL's authority.
    pub host: Option<Rc<str>>,
    /// Those of the endpoint, unless the backend or a stage has others.
    pub headers: Cow<'x, [Header<'x>]>,
    pub body: CallBody,
    /// Parameters that earlier calls of a sequence gave, beside those of the path, under their internal names.
    pub extra_params: &'x [(String, String)],
    pub deadline: Tick,
    /// Where in the target the backend's own pattern stands; behind it comes what of the client's query passes on.
    pub pattern_range: Range<usize>,
    pub notes: Notes,
    /// The span of the call, the parent of those of its exchanges; 0 without a trace.
    pub span: SpanId,
}

impl Call<'_> {
    /// What became of the backend's `url_pattern`.
    pub fn pattern(&self) -> &[u8] {
        self.url.target.get(self.pattern_range.clone()).unwrap_or_default()
    }

    /// The client's query as far as it passes on.
    pub fn client_query(&self) -> &[u8] {
        let query = self.url.target.get(self.pattern_range.end..).unwrap_or_default();
        query.strip_prefix(b"?").or_else(|| query.strip_prefix(b"&")).unwrap_or(query)
    }
}

/// What came back from a backend or from a whole pipe.
pub struct Answer {
    pub data: Document,
    pub is_complete: bool,
    /// The upstream's status; it reaches the client only where the answer passes through.
    pub status: u16,
    /// Headers for the client: an upstream's own where the answer passes through.
    pub headers: HeaderBlock,
    /// The upstream's body where the answer passes through.
    pub body: Option<Body>,
    /// What of the client's body is still on its way to the upstream.
    pub upload: Option<Upload>,
}

impl Answer {
    pub fn of_data(data: Document, is_complete: bool) -> Box<Answer> {
        Box::new(Answer {
            data,
            is_complete,
            status: 200,
            headers: HeaderBlock::default(),
            body: None,
            upload: None,
        })
    }

    /// What of an answer is merged with others: its data.
    #[must_use]
    pub fn data_alone(mut self: Box<Self>) -> Box<Answer> {
        self.status = 200;
        self.headers = HeaderBlock::default();
        self.body = None;
        self.upload = None;
        self
    }
}

/// The original returns an answer, an error, or both: a partial answer keeps the error for the log. It goes up through
/// all layers, so it is two pointers.
#[derive(Default)]
pub struct Outcome {
    pub answer: Option<Box<Answer>>,
    pub failure: Option<Failure>,
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Outcome {
        Outcome { answer: None, failure: Some(failure) }
    }
}

impl From<Box<Answer>> for Outcome {
    fn from(answer: Box<Answer>) -> Outcome {
        Outcome { answer: Some(answer), failure: None }
    }
}

impl From<Result<Box<Answer>, Failure>> for Outcome {
    fn from(result: Result<Box<Answer>, Failure>) -> Outcome {
        match result {
            Ok(answer) => answer.into(),
            Err(failure) => failure.into(),
        }
    }
}
