//! Flexible configuration: a text without actions stays as it is; others end in time, and say where they went wrong.

use std::time::Duration;

use shoal::config::template::{self, Failure, Limits};

use crate::Bounded;

const FILE: &str = "krakend.tmpl";
/// Smaller than those of a start, so that the loops that a fuzzer likes to write do not take all the time.
const LIMITS: Limits =
    Limits { steps_max: 20_000, time_max: Duration::from_secs(5), result_bytes_max: 1024 * 1024 };

pub fn flexible(input: &[u8]) {
    let _bounded = Bounded::start();
    let env = [("FC_ENABLE", "1"), ("A", "b")].map(|(name, value)| (name.into(), value.into()));
    match template::render_within(LIMITS, FILE, input, &env) {
        Ok(found) => {
            let rendered = found.origin.rendered();
            assert!(rendered.len() <= LIMITS.result_bytes_max);
            let text = String::from_utf8_lossy(input);
            let is_plain = !text.contains("{{");
            assert!(!is_plain || rendered == text.as_bytes(), "a text has changed");
            for (line, column) in [(1, 1), (1, 9), (2, 3), (40, 80)] {
                let found = found.origin.locate(line, column);
                let lines = text.split('\n').count();
                assert!(found.is_none_or(|(file, at, _)| &**file == FILE && at as usize <= lines));
            }
        }
        Err(Failure::Refused(problems)) => panic!("there is nothing to refuse: {problems:?}"),
        Err(Failure::Template(problem)) => {
            assert!(problem.to_string().contains(FILE), "a problem without its file: {problem}");
        }
    }
}
