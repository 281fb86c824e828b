//! What one core keeps to while it runs a plan, and what it counts where a bound is reached.

use std::cell::Cell;
use std::rc::Rc;

use crate::json::DecodeError;
use crate::plan::limits::Bounds;
use crate::shared::refusals::{Bound, Refusals};
use crate::stage::{Cause, Failure};
use crate::upstream::{Overload, UpstreamError};
use crate::wire::http1::parse::ParseError;

/// The bounds that bodies and copies meet, as plain numbers, and the core's counters.
pub struct Limiter {
    pub kept_body_bytes_max: usize,
    pub decoded_body_bytes_max: usize,
    shadows_max: usize,
    shadows: Rc<Cell<usize>>,
    refusals: Rc<Refusals>,
}

/// A copy of a request on its way to shadow backends; dropping it ends the count.
pub struct Shadow(Rc<Cell<usize>>);

impl Limiter {
    pub fn new(bounds: &Bounds, refusals: Rc<Refusals>) -> Limiter {
        Limiter {
            kept_body_bytes_max: bounds.kept_body_bytes_max,
            decoded_body_bytes_max: bounds.decoded_body_bytes_max,
            shadows_max: bounds.shadows_max,
            shadows: Rc::default(),
            refusals,
        }
    }

    #[cold]
    pub fn count(&self, bound: Bound) {
        self.refusals.count(bound);
    }

    /// A place for one copy more; `None`: it would be one too many.
    pub fn cast_shadow(&self) -> Option<Shadow> {
        let count = self.shadows.get();
        if count >= self.shadows_max {
            self.count(Bound::Shadows);
            return None;
        }
        self.shadows.set(count + 1);
        Some(Shadow(self.shadows.clone()))
    }

    /// Copies that are under way.
    pub fn shadows(&self) -> usize {
        self.shadows.get()
    }

    #[cold]
    pub fn answer_too_large(&self) -> Failure {
        self.count(Bound::DecodedBodyBytes);
        let bytes_max = self.decoded_body_bytes_max;
        Failure::new(Cause::Undecodable, format!("the body is larger than {bytes_max} bytes"))
    }

    #[cold]
    pub fn request_too_large(&self, bound: Bound) -> Failure {
        self.count(bound);
        Failure::new(Cause::BodyTooLarge, "the request's body is too large")
    }

    /// Counts a failed exchange, if it failed at a bound.
    #[cold]
    pub fn note_exchange(&self, error: &UpstreamError) {
        let bound = match error {
            UpstreamError::ClientBodyTooLarge => Bound::RequestBodyBytes,
            UpstreamError::Malformed(ParseError::HeadTooLarge) => Bound::UpstreamHeadBytes,
            UpstreamError::Malformed(ParseError::TooManyHeaders) => Bound::UpstreamHeaders,
            UpstreamError::Overloaded(Overload::Waiting) => Bound::WaitingPerHost,
            UpstreamError::Overloaded(Overload::Hosts) => Bound::Hosts,
            UpstreamError::Overloaded(Overload::Questions) => Bound::Questions,
            UpstreamError::Overloaded(Overload::Descriptors) => Bound::CallDescriptors,
            _ => return,
        };
        self.count(bound);
    }

    /// Counts an answer that could not be decoded, if that was for a bound.
    #[cold]
    pub fn note_decoding(&self, error: &DecodeError) {
        if error.is_too_deep() {
            self.count(Bound::JsonDepth);
        } else if error.is_trailing() {
            self.count(Bound::JsonTrailing);
        }
    }

    /// Counts a message that was refused before it was a request.
    #[cold]
    pub fn note_refusal(&self, status: u16, why: &str) {
        let bound = match status {
            413 => Bound::RequestBodyBytes,
            414 => Bound::UriBytes,
            431 if why == ParseError::TooManyHeaders.reason() => Bound::Headers,
            431 => Bound::HeadBytes,
            _ => return,
        };
        self.count(bound);
    }
}

impl Drop for Shadow {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
