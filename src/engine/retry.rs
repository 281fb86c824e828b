//! Sending a call again that failed: what may be repeated, after which pause, and whether the budget allows it.

use super::Gateway;
use super::hosts::Failed;
use crate::message::head::Framing;
use crate::net::clock::{self, Tick};
use crate::net::task;
use crate::plan::backend::BackendPlan;
use crate::plan::resilience::RetryRules;
use crate::shared::hosts::{HostGroup, Member};
use crate::shared::meter::{Counter, Meter};
use crate::shared::metric;
use crate::stage::{Call, CallBody};
use crate::upstream::UpstreamError;
use crate::wire::http1::client::{Response, Upload};

/// How long the rest of an answer may take that nobody wants, so that its connection can be used again.
const DROP_MS: u64 = 50;

/// What an exchange gave.
pub(super) type Sent = Result<(Box<Response>, Option<Upload>), UpstreamError>;

/// Why a call is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// There was no connection, so nothing was sent.
    Connect,
    /// The connection ended before the head of an answer.
    Reset,
    Timeout,
    Status,
}

/// The attempts of one call.
#[derive(Default)]
pub(super) struct Attempts {
    /// Those that have ended.
    pub(super) ended: u64,
    pub(super) failed: Failed,
}

/// What this core counts of retries.
pub(super) struct RetryCounters {
    by_reason: [Counter; 4],
    refused: Counter,
}

impl RetryCounters {
    pub(super) fn new(meter: &Meter) -> RetryCounters {
        let reasons = ["connect", "reset", "timeout", "status"];
        RetryCounters {
            by_reason: reasons
                .map(|reason| meter.counter(metric::RETRIES.name, &[("reason", reason)])),
            refused: meter.counter(metric::REFUSED_RETRIES.name, &[]),
        }
    }

    fn count(&self, reason: Reason) {
        if let Some(counter) = self.by_reason.get(reason as usize) {
            counter.increment();
        }
    }
}

impl Gateway {
    /// After which pause in milliseconds a call is sent again; `None`: it is not.
    pub(super) fn repeats(
        &self,
        backend: &BackendPlan,
        call: &Call<'_>,
        reason: Reason,
        attempts: &mut Attempts,
    ) -> Option<u64> {
        let retry = backend.retry.as_ref()?;
        attempts.ended += 1;
        if attempts.ended >= retry.rules.attempts_max {
            return None;
        }
        let pause_ms = pause_ms(&retry.rules, attempts.ended, self.next_random());
        let now = clock::now();
        if call.deadline.since_ms(now) <= pause_ms {
            return None;
        }
        let counters = self.retries.as_ref();
        if !retry.budget.take(now.as_ms()) {
            counters.inspect(|counters| counters.refused.increment());
            return None;
        }
        counters.inspect(|counters| counters.count(reason));
        Some(pause_ms)
    }
}

/// What a backend that minds failures does before it sends anything; true: the body must be kept.
pub(super) fn begin(backend: &BackendPlan, call: &Call<'_>) -> bool {
    let Some(retry) = &backend.retry else { return false };
    retry.budget.note_call(clock::now().as_ms());
    keeps_body(&retry.rules, &call.method, &call.body)
}

/// Why a call may be sent again; `None`: it may not, or need not.
pub(super) fn reason(
    backend: &BackendPlan,
    call: &Call<'_>,
    can_resend: bool,
    sent: &Sent,
) -> Option<Reason> {
    let rules = &backend.retry.as_ref()?.rules;
    reason_of(rules, &call.method, can_resend, Outcome::of(sent))
}

/// The deadline of one attempt.
pub(super) fn try_deadline(backend: &BackendPlan, deadline: Tick) -> Tick {
    match backend.retry.as_ref().map_or(0, |retry| retry.rules.try_ms) {
        0 => deadline,
        try_ms => deadline.min(clock::now().plus_ms(try_ms)),
    }
}

/// Lets go of a failed attempt, and waits.
pub(super) async fn pause(sent: Sent, pause_ms: u64) {
    if let Ok((mut response, _)) = sent {
        response.arm(clock::now().plus_ms(DROP_MS));
        super::fetch::drop_body(&mut response).await;
    }
    if pause_ms > 0 {
        task::sleep_ms(pause_ms).await;
    }
}

/// Tells a group how an exchange with one of its members ended, where that says something about the member.
pub(super) fn note(group: &HostGroup, member: Option<&Member>, call: &Call<'_>, sent: &Sent) {
    let Some(member) = member else { return };
    let is_failure = match sent {
        Ok((response, _)) => group.is_failure(response.head.status),
        Err(UpstreamError::TimedOut) if is_uploading(&call.body) => return,
        Err(
            UpstreamError::ClientBody
            | UpstreamError::ClientBodyTooLarge
            | UpstreamError::Overloaded(_)
            | UpstreamError::Scheme(_),
        ) => return,
        Err(_) => true,
    };
    group.note(member, is_failure, clock::now().as_ms());
}

/// The client has not sent all of its body: who is late is not known.
fn is_uploading(body: &CallBody) -> bool {
    matches!(body, CallBody::Stream(incoming) if !incoming.is_done())
}

/// What an exchange gave, as far as it matters here.
#[derive(Clone, Copy)]
enum Outcome<'s> {
    Failed(&'s UpstreamError),
    Answered(u16),
}

impl Outcome<'_> {
    fn of(sent: &Sent) -> Outcome<'_> {
        match sent {
            Ok((response, _)) => Outcome::Answered(response.head.status),
            Err(error) => Outcome::Failed(error),
        }
    }
}

/// Why a call may be sent again. What the host may have seen is repeated only where the method allows it (RFC 9110
/// section 9.2.2) and the body is still there.
fn reason_of(
    rules: &RetryRules,
    method: &str,
    can_resend: bool,
    sent: Outcome<'_>,
) -> Option<Reason> {
    let is_repeatable = can_resend && rules.methods.iter().any(|listed| listed == method);
    match sent {
        Outcome::Failed(
            UpstreamError::Connect(..) | UpstreamError::Resolve(_) | UpstreamError::Handshake(_),
        ) => Some(Reason::Connect),
        _ if !is_repeatable => None,
        Outcome::Failed(
            UpstreamError::Closed | UpstreamError::Truncated | UpstreamError::Io(_),
        ) => Some(Reason::Reset),
        Outcome::Failed(UpstreamError::TimedOut) => Some(Reason::Timeout),
        Outcome::Failed(_) => None,
        Outcome::Answered(status) => {
            rules.statuses.binary_search(&status).is_ok().then_some(Reason::Status)
        }
    }
}

/// The pause after so many attempts: anything up to a bound that doubles, so that calls that failed together do not come
/// back together.
fn pause_ms(rules: &RetryRules, ended: u64, draw: u64) -> u64 {
    let doublings = u32::try_from(ended.saturating_sub(1)).unwrap_or(u32::MAX).min(20);
    let most_ms = (rules.backoff_ms << doublings).min(rules.backoff_max_ms);
    draw % (most_ms + 1)
}

/// Whether a body that is streamed is kept, so that it can be sent again: a short one of a method that is repeated.
fn keeps_body(rules: &RetryRules, method: &str, body: &CallBody) -> bool {
    let CallBody::Stream(incoming) = body else { return false };
    let is_short =
        matches!(incoming.framing(), Framing::Length(length) if length <= rules.body_bytes_max);
    is_short && rules.methods.iter().any(|listed| listed == method)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::shared::retry_budget::Rules;

    fn rules() -> RetryRules {
        RetryRules {
            attempts_max: 3,
            methods: vec!["GET".to_owned(), "PUT".to_owned()],
            statuses: vec![502, 503],
            try_ms: 0,
            backoff_ms: 25,
            backoff_max_ms: 250,
            budget: Rules { percent: 20, min_per_s: 3 },
            body_bytes_max: 1000,
        }
    }

    #[test]
    fn what_the_host_may_have_seen_is_repeated_only_for_listed_methods() {
        let error = |kind: io::ErrorKind| io::Error::from(kind);
        let refused = || error(io::ErrorKind::ConnectionRefused);
        let address = "127.0.0.1:1".parse().expect("an address");
        let (any, listed) = ([true; 4], [true, false, true, false]);
        for (sent, expected, allowed) in [
            (UpstreamError::Connect(address, refused()), Reason::Connect, any),
            (UpstreamError::Resolve("a".into()), Reason::Connect, any),
            (UpstreamError::Closed, Reason::Reset, listed),
            (UpstreamError::Truncated, Reason::Reset, listed),
            (UpstreamError::Io(refused()), Reason::Reset, listed),
            (UpstreamError::TimedOut, Reason::Timeout, listed),
            (UpstreamError::ClientBody, Reason::Reset, [false; 4]),
            (UpstreamError::MalformedBody, Reason::Reset, [false; 4]),
        ] {
            for (method, is_allowed) in ["GET", "POST", "PUT", "PATCH"].into_iter().zip(allowed) {
                let found = reason_of(&rules(), method, true, Outcome::Failed(&sent));
                assert_eq!(found, is_allowed.then_some(expected), "{method} {sent}");
            }
        }
        let status = |method, status| reason_of(&rules(), method, true, Outcome::Answered(status));
        assert_eq!(status("GET", 503), Some(Reason::Status));
        assert_eq!(
            (status("GET", 500), status("GET", 200), status("POST", 503)),
            (None, None, None)
        );
    }

    #[test]
    fn a_body_that_is_gone_is_repeated_only_where_nothing_was_sent() {
        let closed = Outcome::Failed(&UpstreamError::Closed);
        assert_eq!(reason_of(&rules(), "PUT", false, closed), None);
        let unknown = UpstreamError::Resolve("a".into());
        let unknown = Outcome::Failed(&unknown);
        assert_eq!(reason_of(&rules(), "PUT", false, unknown), Some(Reason::Connect));
    }

    #[test]
    fn pauses_double_up_to_the_longest_one() {
        let longest = |ended| (0..1000).map(|draw| pause_ms(&rules(), ended, draw)).max();
        assert_eq!([1, 2, 3, 4, 5, 100].map(longest), [25, 50, 100, 200, 250, 250].map(Some));
        assert_eq!(pause_ms(&rules(), 1, 26), 0, "any pause up to that");
        let none = RetryRules { backoff_ms: 0, backoff_max_ms: 0, ..rules() };
        assert_eq!(pause_ms(&none, 3, 12_345), 0);
    }
}
