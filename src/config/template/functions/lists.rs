//! Functions that work on lists.

use gotmpl::Value;

use super::super::value::{list, string, strings, to_i64};
use super::kinds::texts;
use super::strings::bounded;
use super::{ANY, Answer, Args, Function, function};

pub const TABLE: &[Function] = &[
    function("append", 2, 2, append),
    function("chunk", 2, 2, chunk),
    function("compact", 1, 1, compact),
    function("concat", 0, ANY, concat),
    function("first", 1, 1, first),
    function("has", 2, 2, has),
    function("initial", 1, 1, initial),
    function("join", 2, 2, join),
    function("last", 1, 1, last),
    function("list", 0, ANY, |args| Ok(list(args.all().to_vec()))),
    function("mustAppend", 2, 2, append),
    function("mustChunk", 2, 2, chunk),
    function("mustCompact", 1, 1, compact),
    function("mustFirst", 1, 1, first),
    function("mustHas", 2, 2, has),
    function("mustInitial", 1, 1, initial),
    function("mustLast", 1, 1, last),
    function("mustPrepend", 2, 2, prepend),
    function("mustPush", 2, 2, append),
    function("mustRest", 1, 1, rest),
    function("mustReverse", 1, 1, reverse),
    function("mustSlice", 1, ANY, slice),
    function("mustUniq", 1, 1, uniq),
    function("mustWithout", 1, ANY, without),
    function("prepend", 2, 2, prepend),
    function("push", 2, 2, append),
    function("rest", 1, 1, rest),
    function("reverse", 1, 1, reverse),
    function("slice", 1, ANY, slice),
    function("sortAlpha", 1, 1, |args| {
        let mut sorted = texts(args.get(0));
        sorted.sort_unstable();
        Ok(strings(sorted))
    }),
    function("tuple", 0, ANY, |args| Ok(list(args.all().to_vec()))),
    function("uniq", 1, 1, uniq),
    function("without", 1, ANY, without),
];

fn join(args: &Args<'_>) -> Answer {
    let (separator, texts) = (args.text(0)?, texts(args.get(1)));
    let separators = separator.len().saturating_mul(texts.len());
    bounded(texts.iter().map(String::len).sum::<usize>().saturating_add(separators))?;
    Ok(string(texts.join(separator)))
}

fn append(args: &Args<'_>) -> Answer {
    Ok(list([args.list(0)?, &[args.get(1).clone()]].concat()))
}

fn prepend(args: &Args<'_>) -> Answer {
    Ok(list([&[args.get(1).clone()], args.list(0)?].concat()))
}

fn chunk(args: &Args<'_>) -> Answer {
    let size = args.count(0)?.max(1);
    Ok(list(args.list(1)?.chunks(size).map(|part| list(part.to_vec())).collect()))
}

fn compact(args: &Args<'_>) -> Answer {
    Ok(list(args.list(0)?.iter().filter(|value| value.is_truthy()).cloned().collect()))
}

fn concat(args: &Args<'_>) -> Answer {
    let mut all = Vec::new();
    for index in 0..args.len() {
        all.extend_from_slice(args.list(index)?);
    }
    Ok(list(all))
}

fn first(args: &Args<'_>) -> Answer {
    Ok(args.list(0)?.first().cloned().unwrap_or(Value::Nil))
}

fn last(args: &Args<'_>) -> Answer {
    Ok(args.list(0)?.last().cloned().unwrap_or(Value::Nil))
}

fn rest(args: &Args<'_>) -> Answer {
    Ok(match args.list(0)? {
        [] => Value::Nil,
        [_, rest @ ..] => list(rest.to_vec()),
    })
}

fn initial(args: &Args<'_>) -> Answer {
    Ok(match args.list(0)? {
        [] => Value::Nil,
        [initial @ .., _] => list(initial.to_vec()),
    })
}

fn has(args: &Args<'_>) -> Answer {
    if matches!(args.get(1), Value::Nil) {
        return Ok(Value::Bool(false));
    }
    Ok(Value::Bool(args.list(1)?.contains(args.get(0))))
}

fn reverse(args: &Args<'_>) -> Answer {
    Ok(list(args.list(0)?.iter().rev().cloned().collect()))
}

fn uniq(args: &Args<'_>) -> Answer {
    let mut unique: Vec<Value> = Vec::new();
    for value in args.list(0)? {
        if !unique.contains(value) {
            unique.push(value.clone());
        }
    }
    Ok(list(unique))
}

fn without(args: &Args<'_>) -> Answer {
    let left_out = args.from(1);
    let kept = args.list(0)?.iter().filter(|value| !left_out.contains(value));
    Ok(list(kept.cloned().collect()))
}

fn slice(args: &Args<'_>) -> Answer {
    let values = args.list(0)?;
    if values.is_empty() {
        return Ok(Value::Nil);
    }
    let bound = |index: usize, default: usize| -> Result<usize, String> {
        if args.len() <= index {
            return Ok(default);
        }
        let number = to_i64(args.get(index));
        usize::try_from(number).map_err(|_| out_of_range(number, values.len()))
    };
    let (start, end) = (bound(1, 0)?, bound(2, values.len())?);
    let part = values.get(start..end);
    part.map(|part| list(part.to_vec()))
        .ok_or_else(|| out_of_range(to_i64(args.get(1)), values.len()))
}

fn out_of_range(index: i64, length: usize) -> String {
    format!("slice bounds out of range: {index} with {length} entries")
}
