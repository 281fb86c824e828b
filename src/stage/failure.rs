//! `Failure`: why there is no answer, and the one table from causes to statuses (specification, section 2.12).

use std::ops::Deref;

/// What went wrong, for counters, breakers and the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The upstream could not be reached or broke off.
    Unreachable,
    /// The deadline of the call or of the endpoint passed.
    Deadline,
    /// The upstream answered with a status that is no success.
    Status(u16),
    /// The same, where the endpoint passes the upstream's status on.
    StatusPassedOn(u16),
    /// The upstream's body is not what its encoding says, or is too large.
    Undecodable,
    /// The target of a backend cannot be built from this request.
    BadUrl,
    /// No host is known for the backend.
    NoHost,
    /// A response manipulation cannot be applied.
    Manipulation,
    /// The client's body is too large to be kept in memory.
    BodyTooLarge,
    /// The client broke its request off.
    ClientGone,
    /// The pipe of this endpoint could not be built.
    Unbuilt,
    /// Too much is going on.
    Overloaded,
    /// The backend's rate limit lets no more calls through.
    RateLimited,
    /// The backend's circuit breaker lets no calls through.
    CircuitOpen,
    /// A stage refused, with a status of its own.
    Refused(u16),
    /// Several backends failed.
    Merged,
}

impl Cause {
    /// The status that the client gets. The original knows no 502 and no 504.
    pub fn status(self) -> u16 {
        match self {
            Cause::StatusPassedOn(status) | Cause::Refused(status) => status,
            Cause::BodyTooLarge => 413,
            Cause::Overloaded => 503,
            Cause::ClientGone => 400,
            Cause::Unreachable
            | Cause::Deadline
            | Cause::Status(_)
            | Cause::Undecodable
            | Cause::BadUrl
            | Cause::NoHost
            | Cause::Manipulation
            | Cause::Unbuilt
            | Cause::RateLimited
            | Cause::CircuitOpen
            | Cause::Merged => 500,
        }
    }
}

/// A failed call or request. One pointer, because most calls do not fail and all of them carry the room for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(Box<Details>);

/// What is known of a failure. The text goes to the log, and to the client where `return_error_msg` asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    pub cause: Cause,
    pub message: String,
    /// The content type of `message`, when it is an upstream's body.
    pub content_type: Option<String>,
    /// The single messages behind a merged one.
    pub parts: Vec<String>,
}

impl Deref for Failure {
    type Target = Details;
    fn deref(&self) -> &Details {
        &self.0
    }
}

impl Failure {
    pub fn new(cause: Cause, message: impl Into<String>) -> Failure {
        let message = message.into();
        Failure(Box::new(Details { cause, message, content_type: None, parts: Vec::new() }))
    }

    /// The same, with the content type of its text.
    #[must_use]
    pub fn typed(mut self, content_type: Option<String>) -> Failure {
        self.0.content_type = content_type;
        self
    }

    pub fn into_details(self) -> Details {
        *self.0
    }

    pub fn status(&self) -> u16 {
        self.cause.status()
    }

    /// What is left when every backend failed: the messages in the order in which they came.
    pub fn merged(failures: Vec<Failure>) -> Failure {
        let parts: Vec<String> = failures.into_iter().map(|failure| failure.0.message).collect();
        let mut failure = Failure::new(Cause::Merged, parts.join("\n"));
        failure.0.parts = parts;
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_of_a_backend_is_a_500_unless_its_status_is_passed_on() {
        for cause in [
            Cause::Unreachable,
            Cause::Deadline,
            Cause::Status(404),
            Cause::Undecodable,
            Cause::Merged,
        ] {
            assert_eq!(cause.status(), 500);
        }
        assert_eq!(Cause::StatusPassedOn(404).status(), 404);
    }

    #[test]
    fn merged_failures_keep_their_messages_in_order() {
        let both = Failure::merged(vec![
            Failure::new(Cause::Status(404), "a"),
            Failure::new(Cause::Deadline, "b"),
        ]);
        assert_eq!(both.message, "a\nb");
        assert_eq!(both.parts, ["a", "b"]);
        assert_eq!(both.status(), 500);
    }
}
