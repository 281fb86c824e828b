//! `Question<Q, A>`: a core asks the control side something and awaits the answer on its own executor.
//!
//! The answer wakes the core from another thread, which needs monoio's `sync` feature. Questions that are
//! asked and not yet answered are counted; above the bound the next one fails at once, so a stalled
//! control side costs errors and never memory. Equal questions are not joined here: the answering side
//! knows better which ones are equal.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::sync::{mpsc, oneshot};

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// Too many questions are open already.
    Overloaded,
    /// The answering side gave up on it or has stopped.
    Dropped,
}

/// The asking end. Every core has a clone.
pub struct Question<Q, A> {
    queue: mpsc::UnboundedSender<Asked<Q, A>>,
    open: Arc<AtomicUsize>,
    open_max: usize,
}

/// The answer to come. Dropping it is how one stops waiting.
#[derive(Debug)]
#[must_use = "an answer arrives only when it is awaited"]
pub struct Answer<A>(oneshot::Receiver<A>);

/// The answering end: one task of the control side.
pub struct Questions<Q, A>(mpsc::UnboundedReceiver<Asked<Q, A>>);

/// One question, to be answered once. Dropped without an answer, the asker gets [`Unanswered::Dropped`].
pub struct Asked<Q, A> {
    pub question: Q,
    reply: oneshot::Sender<A>,
    open: OpenQuestion,
}

/// Counts one open question for as long as it lives.
struct OpenQuestion(Arc<AtomicUsize>);

/// A door for at most `open_max` unanswered questions at a time.
pub fn question<Q, A>(open_max: usize) -> (Question<Q, A>, Questions<Q, A>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let question = Question { queue: sender, open: Arc::new(AtomicUsize::new(0)), open_max };
    (question, Questions(receiver))
}

// === impl Question ===

impl<Q, A> Question<Q, A> {
    /// Asks. The question is on its way when this returns, also if the answer is never awaited.
    pub fn ask(&self, question: Q) -> Result<Answer<A>, Unanswered> {
        let open = OpenQuestion(Arc::clone(&self.open));
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.open_max {
            return Err(Unanswered::Overloaded);
        }
        let (reply, answer) = oneshot::channel();
        let asked = Asked { question, reply, open };
        self.queue.send(asked).map_err(|_| Unanswered::Dropped)?;
        Ok(Answer(answer))
    }
}

impl<Q, A> Clone for Question<Q, A> {
    fn clone(&self) -> Self {
        let open = Arc::clone(&self.open);
        Self { queue: self.queue.clone(), open, open_max: self.open_max }
    }
}

// === impl Answer ===

impl<A> Future for Answer<A> {
    type Output = Result<A, Unanswered>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map_err(|_| Unanswered::Dropped)
    }
}

// === impl Questions ===

impl<Q, A> Questions<Q, A> {
    /// The next question; `None` once nobody is left who could ask.
    pub async fn next(&mut self) -> Option<Asked<Q, A>> {
        self.0.recv().await
    }

    /// The next question, if one waits already.
    pub fn try_next(&mut self) -> Option<Asked<Q, A>> {
        self.0.try_recv().ok()
    }
}

// === impl Asked ===

impl<Q, A> Asked<Q, A> {
    pub fn answer(self, answer: A) {
        // Whoever asked may have gone since; then the answer is of no use to anyone.
        let _ = self.reply.send(answer);
        drop(self.open);
    }

    /// Whether the asker has gone, so that the work can be saved.
    pub fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }
}

// === impl OpenQuestion ===

impl Drop for OpenQuestion {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

// === impl Unanswered ===

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Overloaded => "too many open questions to the control thread",
            Self::Dropped => "the control thread gave no answer",
        })
    }
}

impl std::error::Error for Unanswered {}

#[cfg(test)]
mod tests;
