//! Functions that need the rendering or the world: changing maps, files of partials, variables, and what the trees
//! call where the engine alone would not do as Go does.

use std::path::PathBuf;
use std::sync::Arc;

use gotmpl::{FuncMap, Template, TemplateError, Value};

use super::functions::{Answer, Args, LEFT_OUT, TABLES, check_count, cleaned, merged, without_key};

use super::dicts;
use super::state::State;
use super::value::{self, string};

/// The names that trees call; no template can write them.
pub const AT: &str = "#at";
pub const BOUNDED: &str = "#bounded";
pub const LIVE: &str = "#live";
pub const NOTHING: &str = "#nothing";
pub const PATH: &str = "#path";
pub const SHOW: &str = "#show";

/// Functions that change a map in place.
pub const CHANGING: &[&str] =
    &["merge", "mergeOverwrite", "mustMerge", "mustMergeOverwrite", "set", "unset"];
/// Functions that look at everything within a value.
const DEEP: &[&str] = &[
    "deepCopy",
    "deepEqual",
    "marshal",
    "mustDeepCopy",
    "mustToJson",
    "mustToPrettyJson",
    "mustToRawJson",
    "print",
    "printf",
    "println",
    "quote",
    "squote",
    "cat",
    "join",
    "toJson",
    "toPrettyJson",
    "toRawJson",
    "toString",
];
/// Functions of the engine itself.
const BUILT_IN: &[&str] = &[
    "and", "call", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne", "not", "or",
    "urlquery",
];

/// The largest text, and the longest list, that a variable may hold.
const TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;
const ENTRIES_MAX: usize = 1_000_000;
/// A partial larger than this is none.
const PARTIAL_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What functions may see of the world.
pub struct World {
    pub partials: PathBuf,
    pub env: Vec<(String, String)>,
}

/// Every name that a template may call.
pub fn names() -> Vec<&'static str> {
    let tables = TABLES.iter().flat_map(|table| table.iter()).map(|function| function.name);
    let natives = ["env", "expandenv", "include", "print", "printf", "println"];
    tables.chain(natives).chain(CHANGING.iter().copied()).chain(BUILT_IN.iter().copied()).collect()
}

/// All functions, for the engine.
pub fn functions(state: &Arc<State>, world: World) -> FuncMap {
    let mut map = FuncMap::new();
    for function in TABLES.iter().flat_map(|table| table.iter()) {
        add(&mut map, state, function.name, |_, values| function.call(values));
    }
    for name in LEFT_OUT {
        add(&mut map, state, name, |_, _| {
            Err("this function is left out: make secrets elsewhere and pass them in with env"
                .to_owned())
        });
    }
    changing(&mut map, state);
    for_trees(&mut map, state);
    let world = Arc::new(world);
    let seen = Arc::clone(&world);
    add(&mut map, state, "include", move |_, values| {
        check_count("include", 1, 1, values.len())?;
        Ok(string(partial(&seen, Args::new(values).text(0)?)))
    });
    let seen = Arc::clone(&world);
    add(&mut map, state, "env", move |_, values| {
        check_count("env", 1, 1, values.len())?;
        Ok(string(variable(&seen, Args::new(values).text(0)?)))
    });
    add(&mut map, state, "expandenv", move |_, values| {
        check_count("expandenv", 1, 1, values.len())?;
        Ok(string(expanded(&world, Args::new(values).text(0)?)))
    });
    add(&mut map, state, "print", |_, values| Ok(string(printed(values))));
    add(&mut map, state, "printf", |_, values| formatted(values));
    add(&mut map, state, "println", |_, values| {
        let texts: Vec<_> = values.iter().map(value::text).collect();
        Ok(string(texts.join(" ") + "\n"))
    });
    map
}

/// Adds a function that gets its maps as they are now and whose error names it.
fn add(
    map: &mut FuncMap,
    state: &Arc<State>,
    name: &'static str,
    run: impl Fn(&State, &[Value]) -> Answer + Send + Sync + 'static,
) {
    let (state, is_deep) = (Arc::clone(state), DEEP.contains(&name));
    let named = move |error: String| match name.strip_prefix('#') {
        Some(_) => TemplateError::Exec(error),
        None => TemplateError::Exec(format!("error calling {name}: {error}")),
    };
    let call = move |values: &[Value]| {
        let values: Vec<Value> = {
            let dicts = state.dicts();
            let live =
                |value| if is_deep { dicts.deeply_live(value) } else { Ok(dicts.live(value)) };
            values.iter().map(live).collect::<Result<_, _>>().map_err(named)?
        };
        run(&state, &values).map_err(named)
    };
    map.insert(name.to_owned(), Arc::new(call));
}

fn changing(map: &mut FuncMap, state: &Arc<State>) {
    add(map, state, "set", |state, values| {
        check_count("set", 3, 3, values.len())?;
        let (args, key) = (Args::new(values), Args::new(values).text(1)?);
        dicts::check(args.get(2))?;
        change(state, values, |members| {
            members.insert(Arc::from(key), args.get(2).clone());
        })
    });
    add(map, state, "unset", |state, values| {
        check_count("unset", 2, 2, values.len())?;
        let key = Args::new(values).text(1)?;
        change(state, values, |members| *members = without_key(members, key))
    });
    for (name, overwrites) in [
        ("merge", false),
        ("mustMerge", false),
        ("mergeOverwrite", true),
        ("mustMergeOverwrite", true),
    ] {
        add(map, state, name, move |state, values| {
            check_count(name, 1, usize::MAX, values.len())?;
            let args = Args::new(values);
            let mut result = args.members(0)?.clone();
            for index in 1..args.len() {
                dicts::check(args.get(index))?;
                result = merged(&result, args.members(index)?, overwrites);
            }
            change(state, values, |members| *members = result)
        });
    }
}

/// Changes the first argument, and gives it back.
fn change(state: &State, values: &[Value], change: impl FnOnce(&mut value::Members)) -> Answer {
    match values.first() {
        Some(Value::Map(members)) => {
            state.dicts().change(members, change)?;
            Ok(Value::Map(Arc::clone(members)))
        }
        other => {
            let got = other.map_or("nothing", value::type_name);
            Err(format!("wrong type for value; expected map[string]interface {{}}; got {got}"))
        }
    }
}

fn for_trees(map: &mut FuncMap, state: &Arc<State>) {
    add(map, state, AT, |state, values| {
        let position = values.first().map_or(0, value::to_i64);
        state.step(u64::try_from(position).unwrap_or(0)).map(|()| string(""))
    });
    add(map, state, NOTHING, |_, _| Ok(Value::Nil));
    add(map, state, LIVE, |_, values| Ok(values.first().cloned().unwrap_or(Value::Nil)));
    add(map, state, BOUNDED, |_, values| match values.first() {
        Some(Value::String(text)) if text.len() > TEXT_BYTES_MAX => {
            Err(format!("the text is longer than {TEXT_BYTES_MAX} bytes"))
        }
        Some(Value::List(entries)) if entries.len() > ENTRIES_MAX => {
            Err(format!("the list is longer than {ENTRIES_MAX} entries"))
        }
        Some(value) => dicts::check(value).map(|()| value.clone()),
        None => Ok(Value::Nil),
    });
    add(map, state, PATH, |state, values| {
        let (mut at, names) = match values {
            [at, names @ ..] => (at.clone(), names),
            [] => return Ok(Value::Nil),
        };
        for name in names {
            at = member(&at, &name.to_string())?;
            at = state.dicts().live(&at);
        }
        Ok(at)
    });
    add(map, state, SHOW, |state, values| {
        let value = values.first().cloned().unwrap_or(Value::Nil);
        Ok(string(match &value {
            Value::Nil => "<no value>".to_owned(),
            value => value::text(&state.dicts().deeply_live(value)?),
        }))
    });
}

fn member(value: &Value, name: &str) -> Answer {
    match value {
        Value::Map(members) => Ok(members.get(name).cloned().unwrap_or(Value::Nil)),
        Value::Nil => Ok(Value::Nil),
        other => Err(format!("can't evaluate field {name} in type {}", value::type_name(other))),
    }
}

/// The text of a partial; one that cannot be read is empty, as in the original.
fn partial(world: &World, name: &str) -> String {
    let folder = world.partials.display();
    let is_given = !world.partials.as_os_str().is_empty();
    let path = PathBuf::from(cleaned(&if is_given {
        format!("{folder}/{name}")
    } else {
        name.to_owned()
    }));
    let bytes = super::read(&path, PARTIAL_BYTES_MAX).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn variable<'w>(world: &'w World, name: &str) -> &'w str {
    world.env.iter().rev().find(|(known, _)| known == name).map_or("", |(_, value)| value)
}

/// `$NAME` and `${NAME}` in a text; what is not set is empty.
fn expanded(world: &World, text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(rest.get(..at).unwrap_or_default());
        rest = rest.get(at + 1..).unwrap_or_default();
        if let Some((name, tail)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            out.push_str(variable(world, name));
            rest = tail;
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        if end == 0 {
            out.push('$');
            continue;
        }
        let (name, tail) = rest.split_at(end);
        out.push_str(variable(world, name));
        rest = tail;
    }
    out + rest
}

/// Go's `Sprint`: a blank between two values neither of which is a text.
fn printed(values: &[Value]) -> String {
    let mut out = String::new();
    for (index, value) in values.iter().enumerate() {
        let is_text = |value: &Value| matches!(value, Value::String(_));
        if index > 0 && !is_text(value) && !values.get(index - 1).is_some_and(is_text) {
            out.push(' ');
        }
        out.push_str(&value::text(value));
    }
    out
}

/// Go's `Sprintf`: the engine's own, with numbers and types as Go shows them.
fn formatted(values: &[Value]) -> Answer {
    let Some(Value::String(format)) = values.first() else {
        return Err("wrong type for value; expected string".to_owned());
    };
    let mut arguments = values.get(1..).unwrap_or_default().to_vec();
    let mut out = String::new();
    let mut rest: &str = format;
    let mut index = 0;
    while let Some(at) = rest.find('%') {
        let (before, directive) = rest.split_at(at);
        let end = directive
            .get(1..)
            .and_then(|flags| flags.find(|c: char| !"+-# 0123456789.".contains(c)));
        let end = end.map_or(directive.len(), |end| end + 1);
        let (flags, tail) = directive.split_at(end);
        let verb = tail.chars().next().unwrap_or_default();
        out.push_str(before);
        let argument = arguments.get_mut(index);
        let shown = argument.as_deref().and_then(|argument| shown_as_text(verb, argument));
        match (shown, argument) {
            (Some(text), Some(argument)) => {
                *argument = string(text);
                out.push_str(&flags.replace(['+', '#'], ""));
                out.push('s');
            }
            _ => {
                out.push_str(flags);
                out.extend((verb != '\0').then_some(verb));
            }
        }
        index += usize::from(verb != '%');
        rest = tail.get(verb.len_utf8()..).unwrap_or_default();
    }
    out.push_str(rest);
    let names: Vec<String> = (0..arguments.len()).map(|index| format!("a{index}")).collect();
    let mut data: value::Members =
        names.iter().map(|name| Arc::from(name.as_str())).zip(arguments).collect();
    data.insert(Arc::from("f"), string(out));
    let call: String = names.iter().map(|name| format!(" .{name}")).collect();
    let template = Template::new("printf").parse(&format!("{{{{ printf .f{call} }}}}"));
    let result = template.and_then(|template| template.execute_to_string(&value::map(data)));
    result.map(string).map_err(|error| error.to_string())
}

/// What the engine would show in another way than Go.
fn shown_as_text(verb: char, argument: &Value) -> Option<String> {
    match (verb, argument) {
        ('T', value) => Some(value::type_name(value).to_owned()),
        ('v', Value::Float(_) | Value::List(_) | Value::Map(_)) => Some(value::text(argument)),
        ('d' | 'x' | 'c', Value::Float(_)) => {
            Some(format!("%!{verb}(float64={})", value::text(argument)))
        }
        _ => None,
    }
}
