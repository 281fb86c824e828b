//! `Verdict`: what became of one option, and `Report`: what became of all.

use serde::Serialize;

/// From good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As in the original.
    Honoured,
    /// Nobody reads it, the original neither.
    Ignored,
    /// It works, and somewhere otherwise.
    Differs,
    /// It is known and not there.
    Missing,
    /// Its value stops the start.
    Refused,
}

/// One option, wherever it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub state: State,
    /// `endpoints[].backend[].url_pattern`.
    pub option: String,
    pub count: usize,
    /// Where it stands first: `krakend.json:12:5`.
    pub first: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct Report {
    pub file: String,
    /// Different options, as the other counts.
    pub total: usize,
    pub honoured: usize,
    pub differs: usize,
    pub ignored: usize,
    pub missing: usize,
    pub refused: usize,
    /// The worst first, else in the order of the file.
    pub options: Vec<Verdict>,
}

// === impl State ===

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Honoured => "honoured",
            State::Ignored => "no effect",
            State::Differs => "differs",
            State::Missing => "missing",
            State::Refused => "refused",
        }
    }
}

// === impl Report ===

impl Report {
    pub fn of(file: &str, mut options: Vec<Verdict>) -> Report {
        options.sort_by_key(|verdict| std::cmp::Reverse(verdict.state));
        let count = |state| options.iter().filter(|verdict| verdict.state == state).count();
        Report {
            file: file.to_owned(),
            total: options.len(),
            honoured: count(State::Honoured),
            differs: count(State::Differs),
            ignored: count(State::Ignored),
            missing: count(State::Missing),
            refused: count(State::Refused),
            options,
        }
    }

    /// Whether the gateway would start and leave out nothing.
    pub fn is_good(&self) -> bool {
        self.missing == 0 && self.refused == 0
    }
}
