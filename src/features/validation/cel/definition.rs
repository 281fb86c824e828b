//! `Definition`: a block's expressions, each in the lists that its text names.
//!
//! Follows krakend-cel (specification, section 2.35): a list is chosen by a word somewhere in the text, and what cannot
//! be used falls out of its list, or takes the lists with it.

use super::checks::Checks;
use super::expression::{Expression, Fault, with_room};
use super::interpreter;
use crate::config::extra::Block;
use crate::config::keys;
use crate::config::problem::{Place, Problem};

const MEMBERS: &[&str] = &["check_expr", "mod_expr"];

/// The checks of one block.
#[derive(Debug, Default)]
pub struct Definition {
    /// Before the call.
    pub before: Checks,
    /// After it.
    pub after: Checks,
    /// Of the claims of a token.
    pub claims: Checks,
    /// Where the first check of claims stands.
    pub claims_at: Option<Place>,
}

/// The moments at which checks are made.
const LISTS: [(&str, &str); 3] =
    [("req", "of the request"), ("resp", "of the answer"), ("JWT", "of the token's claims")];
const BEFORE: usize = 0;
const AFTER: usize = 1;
const CLAIMS: usize = 2;

#[derive(Default)]
struct Reader {
    lists: [Vec<Expression>; 3],
    /// An expression of the list does not parse: the original makes none of them.
    broken: [bool; 3],
    claims_at: Option<Place>,
    problems: Vec<Problem>,
}

// === impl Definition ===

impl Definition {
    /// Reads a block. `prefix` is how its lines begin in the log.
    pub fn read(block: &Block, prefix: &str) -> (Definition, Vec<Problem>) {
        let mut reader = Reader::default();
        if let Some(texts) = texts(block, &mut reader.problems) {
            for (text, place) in texts {
                reader.add(&text, &place);
            }
        }
        let Reader { lists: [mut before, mut after, mut claims], broken, claims_at, problems } =
            reader;
        // The original reads the first two lists together.
        if broken[BEFORE] || broken[AFTER] {
            before.clear();
            after.clear();
        }
        if broken[CLAIMS] {
            claims.clear();
        }
        let definition = Definition {
            before: Checks::new(format!("{prefix}[pre]"), "Evaluator", before),
            after: Checks::new(format!("{prefix}[post]"), "Evaluator", after),
            claims_at: claims_at.filter(|_| !claims.is_empty()),
            claims: Checks::new(prefix.to_owned(), "Rejecter", claims),
        };
        (definition, problems)
    }
}

// === impl Reader ===

impl Reader {
    fn add(&mut self, text: &str, place: &Place) {
        let lists: Vec<usize> =
            (0..LISTS.len()).filter(|list| text.contains(LISTS[*list].0)).collect();
        if lists.is_empty() {
            self.problems.extend(never_made(text, place));
            return;
        }
        let names: Vec<&str> = lists.iter().map(|list| LISTS[*list].1).collect();
        let mut first = match Expression::compile(text) {
            Ok(expression) => Some(expression),
            Err(fault) => {
                self.problems.push(unusable(&fault, &names, place));
                if !matches!(fault, Fault::Types(_)) {
                    lists.iter().for_each(|list| self.broken[*list] = true);
                }
                return;
            }
        };
        if let Some(expression) = &first {
            self.problems.extend(useless(expression, &lists, &names, place));
        }
        for list in lists {
            // Compiled again for a second list: few need it.
            if let Some(expression) = first.take().or_else(|| Expression::compile(text).ok()) {
                self.lists[list].push(expression);
            }
            if list == CLAIMS {
                self.claims_at.get_or_insert_with(|| place.clone());
            }
        }
    }
}

/// The expressions of a block and where they stand; `None` where the original reads none of it.
fn texts(block: &Block, problems: &mut Vec<Problem>) -> Option<Vec<(String, Place)>> {
    let unread = |place: Place, what: &str| {
        Problem::lenient(place, what)
            .hint("write [{\"check_expr\": \"…\"}]; --lenient makes no check of this block")
    };
    if block.value.is_null() {
        return None;
    }
    let Some(entries) = block.entries() else {
        problems.push(unread(block.place.clone(), "this must be a list of objects"));
        return None;
    };
    let mut texts = Vec::new();
    let mut is_readable = true;
    for entry in &entries {
        let Some(members) = entry.value.as_object() else {
            is_readable &= entry.value.is_null();
            problems.push(unread(entry.place.clone(), "this must be an object"));
            continue;
        };
        for (name, value) in members {
            let place = entry.place_at(&format!("/{}", name.replace('~', "~0").replace('/', "~1")));
            let is_check = name.eq_ignore_ascii_case("check_expr");
            if !is_check && !name.eq_ignore_ascii_case("mod_expr") {
                problems.extend(keys::unknown(name, MEMBERS, place));
                continue;
            }
            match value.as_str() {
                Some(text) if is_check => texts.push((text.to_owned(), place)),
                Some(_) => problems.push(Problem::warn(place, "mod_expr has no effect")),
                None => {
                    is_readable &= value.is_null();
                    problems.push(unread(place, "this must be a text"));
                }
            }
        }
        if !members.keys().any(|name| name.eq_ignore_ascii_case("check_expr")) {
            let problem = Problem::lenient(entry.place.clone(), "check_expr is missing");
            problems.push(problem.hint("without it the entry checks nothing"));
        }
    }
    is_readable.then_some(texts)
}

fn unusable(fault: &Fault, names: &[&str], place: &Place) -> Problem {
    let what = format!("the expression cannot be used: {fault}");
    match fault {
        Fault::TooLarge => Problem::refuse(place.clone(), what).hint("split it into several"),
        Fault::Syntax(_) => Problem::lenient(place.clone(), what)
            .hint(format!("--lenient makes no check {} in this block", names.join(" and "))),
        Fault::Types(_) => {
            Problem::lenient(place.clone(), what).hint("--lenient leaves this one out")
        }
    }
}

/// An expression in no list; one that is true whatever comes is harmless.
fn never_made(text: &str, place: &Place) -> Option<Problem> {
    let is_always_true = with_room(|| {
        Expression::compile(text).is_ok_and(|expression| {
            expression.is_constant()
                && interpreter::hold(&expression, &interpreter::new_context()).is_ok()
        })
    });
    (is_always_true != Some(true)).then(|| {
        Problem::lenient(place.clone(), "the expression names none of req_…, resp_… and JWT")
            .hint("--lenient never makes the check")
    })
}

/// An expression that no request can satisfy.
fn useless(
    expression: &Expression,
    lists: &[usize],
    names: &[&str],
    place: &Place,
) -> Option<Problem> {
    if !expression.may_hold() {
        let what = format!("the expression gives {}, so it is never true", expression.result);
        return Some(Problem::lenient(place.clone(), what).hint("compare it with something"));
    }
    let others = super::checker::VARIABLES.iter().find(|name| {
        let own = LISTS.iter().position(|(word, _)| is_of(name, word));
        own.is_some() && lists.iter().any(|list| own != Some(*list)) && expression.names(name)
    })?;
    let what = format!(
        "the expression is among the checks {}, and {others} is not there each time: it fails",
        names.join(" and ")
    );
    Some(Problem::lenient(place.clone(), what).hint("split it into one expression for each"))
}

/// Whether a variable belongs to the list with this word.
fn is_of(name: &str, word: &str) -> bool {
    name.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}
