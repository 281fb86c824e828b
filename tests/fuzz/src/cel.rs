//! CEL: any expression is refused or made within its budget, and conditions are joined as the language says.

use serde_json::{Map, Value};
use shoal::features::validation::cel::Cel;
use shoal::json::{Decoder, JsonRules};
use shoal::message::query::Allowed;
use shoal::plan::feature::{EndpointDraft, Feature, Site};
use shoal::stage::{Answer, Claims, Outcome, PipeCall};

use crate::{Bounded, Input, site};

/// Conditions inside each other; deeper ones are refused.
const DEPTH_MAX: u8 = 8;
/// The answer that the conditions ask.
const ASKED: &str = r#"{"a": "x", "n": 5, "l": ["x", "y"]}"#;

/// The first byte chooses: `expression NUL answer NUL header lines`, perhaps twice, or a condition that is made of the
/// bytes.
pub fn cel(input: &[u8]) {
    let _bounded = Bounded::start();
    let mut input = Input(input);
    let flags = input.byte();
    if flags & 1 == 0 {
        let Ok(text) = std::str::from_utf8(input.until(0)) else { return };
        let body = input.until(0);
        let verdict = judged(text, body, input.0);
        // The same input, the same verdict, unless it asks for the time.
        if flags & 2 != 0 && !text.contains("now") {
            assert_eq!(judged(text, body, input.0), verdict, "{text}");
        }
    } else {
        let (text, expected) = condition(&mut input, 0);
        let text = format!("has(resp_data.a) && ({text})");
        if let Some(verdict) = judged(&text, ASKED.as_bytes(), b"") {
            assert_eq!(verdict.after, expected == Some(true), "{text}");
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    before: bool,
    after: bool,
    admits: bool,
}

/// What becomes of a request whose answer has this body; nothing where the expression is refused.
fn judged(text: &str, body: &[u8], lines: &[u8]) -> Option<Verdict> {
    let entries = Value::from_iter([Map::from_iter([("check_expr".to_owned(), text.into())])]);
    let block = site::block("validation/cel", &entries.to_string())?;
    let mut draft =
        EndpointDraft { param_names: vec!["id".to_owned()], ..EndpointDraft::default() };
    let _ = Cel.compile(&block, &mut Site::Endpoint(&mut draft));
    if draft.pipe_stages.is_empty() && draft.claim_rules.is_empty() {
        return None;
    }
    let claims = serde_json::from_slice(body).unwrap_or_default();
    let admits = draft.claim_rules.admit(&Claims::new(claims), None);
    let Some((_, build)) = draft.pipe_stages.first() else {
        return Some(Verdict { before: true, after: true, admits });
    };
    let stage = build();
    let decoded =
        Decoder::named("json", false).decode_by(JsonRules::default(), body.to_vec(), false);
    let (before, after) = site::with_call(&site::head(lines), |call| {
        let (exchange, headers) = (call.exchange, &call.headers[..]);
        let call = PipeCall { exchange, headers, query: &Allowed::All };
        let before = stage.before(&call).is_ok();
        let after = decoded.ok().is_none_or(|data| {
            let mut outcome: Outcome = Answer::of_data(data, true).into();
            stage.after(&call, &mut outcome).is_ok()
        });
        (before, after)
    });
    Some(Verdict { before, after, admits })
}

/// A condition, and what it comes to: nothing is an error.
fn condition(input: &mut Input<'_>, depth: u8) -> (String, Option<bool>) {
    let byte = if depth < DEPTH_MAX { input.byte() } else { 0 };
    let mut two = || (condition(input, depth + 1), condition(input, depth + 1));
    match byte % 16 {
        0 => ("true".to_owned(), Some(true)),
        1 => ("false".to_owned(), Some(false)),
        2 => ("resp_data.missing == 'x'".to_owned(), None),
        3 => ("resp_data.a == 'x'".to_owned(), Some(true)),
        4 => ("resp_data.n == '6'".to_owned(), Some(false)),
        5 => ("int(resp_data.n) / 0 == 1".to_owned(), None),
        6 => ("'y' in resp_data.l".to_owned(), Some(true)),
        7 => {
            let (text, value) = condition(input, depth + 1);
            (format!("!({text})"), value.map(|value| !value))
        }
        8 => {
            let (text, value) = condition(input, depth + 1);
            // For each of two.
            (format!("resp_data.l.all(i, {text})"), value)
        }
        9 => {
            let (text, value) = condition(input, depth + 1);
            (format!("resp_data.l.exists(i, {text})"), value)
        }
        10 => {
            let (text, first) = condition(input, depth + 1);
            let ((then, second), (otherwise, third)) =
                (condition(input, depth + 1), condition(input, depth + 1));
            let value = first.and_then(|first| if first { second } else { third });
            (format!("(({text}) ? ({then}) : ({otherwise}))"), value)
        }
        11..=13 => {
            let ((left, first), (right, second)) = two();
            let value = match (first, second) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            };
            (format!("(({left}) && ({right}))"), value)
        }
        _ => {
            let ((left, first), (right, second)) = two();
            let value = match (first, second) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            };
            (format!("(({left}) || ({right}))"), value)
        }
    }
}
