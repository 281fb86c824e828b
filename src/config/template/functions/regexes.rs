//! Functions with regular expressions, in Go's syntax.

use gotmpl::Value;
use regex::{NoExpand, Regex};

use super::super::value::{string, strings};
use super::strings::bounded;
use super::{Answer, Args, Function, function};
use crate::config::go_regex::go_regex;

pub const TABLE: &[Function] = &[
    function("mustRegexFind", 2, 2, find),
    function("mustRegexFindAll", 3, 3, find_all),
    function("mustRegexMatch", 2, 2, |args| {
        Ok(Value::Bool(compiled(args)?.is_match(args.text(1)?)))
    }),
    function("mustRegexReplaceAll", 3, 3, replace_all),
    function("mustRegexReplaceAllLiteral", 3, 3, replace_literally),
    function("mustRegexSplit", 3, 3, split),
    function("regexFind", 2, 2, find),
    function("regexFindAll", 3, 3, find_all),
    function("regexMatch", 2, 2, |args| {
        // A pattern that is none fits nothing; only the `must` form tells of it.
        let text = args.text(1)?;
        args.text(0)?;
        Ok(Value::Bool(compiled(args).is_ok_and(|regex| regex.is_match(text))))
    }),
    function("regexQuoteMeta", 1, 1, |args| {
        let mut out = String::new();
        for character in args.text(0)?.chars() {
            if r"\.+*?()|[]{}^$".contains(character) {
                out.push('\\');
            }
            out.push(character);
        }
        Ok(string(out))
    }),
    function("regexReplaceAll", 3, 3, replace_all),
    function("regexReplaceAllLiteral", 3, 3, replace_literally),
    function("regexSplit", 3, 3, split),
];

fn compiled(args: &Args<'_>) -> Result<Regex, String> {
    let pattern = args.text(0)?;
    go_regex(pattern).map_err(|error| format!("error parsing regexp: {error}: `{pattern}`"))
}

/// Below zero: all of them.
fn limit(args: &Args<'_>) -> Result<usize, String> {
    Ok(usize::try_from(args.int(2)?).unwrap_or(usize::MAX))
}

fn find(args: &Args<'_>) -> Answer {
    let found = compiled(args)?;
    Ok(string(found.find(args.text(1)?).map_or("", |found| found.as_str())))
}

fn find_all(args: &Args<'_>) -> Answer {
    let (regex, limit) = (compiled(args)?, limit(args)?);
    Ok(strings(regex.find_iter(args.text(1)?).take(limit).map(|found| found.as_str())))
}

fn replace_all(args: &Args<'_>) -> Answer {
    let (regex, text, new) = (compiled(args)?, args.text(1)?, args.text(2)?);
    // Each `$` may put in the whole of what it fits, and all of these together are no longer than the text.
    let groups = new.matches('$').count().saturating_mul(text.len());
    bounded_replacement(&regex, text, new, groups)?;
    Ok(string(regex.replace_all(text, new)))
}

fn replace_literally(args: &Args<'_>) -> Answer {
    let (regex, text, new) = (compiled(args)?, args.text(1)?, args.text(2)?);
    bounded_replacement(&regex, text, new, 0)?;
    Ok(string(regex.replace_all(text, NoExpand(new))))
}

fn bounded_replacement(regex: &Regex, text: &str, new: &str, more: usize) -> Result<(), String> {
    let all_new = regex.find_iter(text).count().saturating_mul(new.len());
    bounded(text.len().saturating_add(all_new).saturating_add(more))
}

fn split(args: &Args<'_>) -> Answer {
    let (regex, limit) = (compiled(args)?, limit(args)?);
    if limit == 0 {
        return Ok(strings(Vec::<String>::new()));
    }
    Ok(strings(regex.splitn(args.text(1)?, limit)))
}
