//! `LoggingPlan`: what the blocks about the log say, before anything is opened.

use crate::config::problem::{Place, Problem};
use crate::shared::log::{AccessPattern, Facility, Level, Pattern};

/// All of them, as far as they are there.
#[derive(Default)]
pub struct LoggingPlan {
    /// `telemetry/logging`. `None`: the plain log, with everything.
    pub lines: Option<LinesPlan>,
    /// `telemetry/logging` stands there and cannot be used: what the original says then.
    pub failure: Option<String>,
    /// `telemetry/logstash`, and where it stands.
    pub logstash: Option<Place>,
    pub gelf: Option<GelfPlan>,
    /// What the original says of a `telemetry/gelf` that it cannot use.
    pub gelf_failure: Option<String>,
}

/// `telemetry/logging`.
pub struct LinesPlan {
    pub level: Level,
    pub prefix: String,
    pub to_stdout: bool,
    pub to_syslog: Option<Facility>,
    pub look: Look,
    /// `None`: the look of gin.
    pub access: Option<AccessPattern>,
}

/// How lines look on standard output.
pub enum Look {
    Default,
    Logstash,
    Custom(Pattern),
}

/// `telemetry/gelf`.
pub struct GelfPlan {
    /// `host:port`
    pub address: String,
    pub over_tcp: bool,
    pub place: Place,
}

impl LoggingPlan {
    /// Blocks that do less than they say, because another one is missing.
    pub fn warnings(&self) -> Vec<Problem> {
        if self.lines.is_some() || self.failure.is_some() {
            return Vec::new();
        }
        let hint = "add telemetry/logging with a level";
        let logstash = self.logstash.iter().map(|place| {
            let what = "telemetry/logstash has no effect without telemetry/logging";
            Problem::lenient(place.clone(), what).hint(hint)
        });
        let gelf = self.gelf.iter().map(|gelf| {
            let what = "telemetry/gelf gets the access log only, without telemetry/logging";
            Problem::warn(gelf.place.clone(), what).hint(hint)
        });
        logstash.chain(gelf).collect()
    }
}
