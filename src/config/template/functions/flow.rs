//! Functions that decide: defaults, the first that is not empty, one of two, and giving up.

use gotmpl::Value;

use super::{ANY, Function, function};

pub const TABLE: &[Function] = &[
    function("all", 0, ANY, |args| Ok(Value::Bool(args.all().iter().all(Value::is_truthy)))),
    function("any", 0, ANY, |args| Ok(Value::Bool(args.all().iter().any(Value::is_truthy)))),
    function("coalesce", 0, ANY, |args| {
        Ok(args.all().iter().find(|value| value.is_truthy()).cloned().unwrap_or(Value::Nil))
    }),
    function("default", 1, ANY, |args| {
        let is_given = args.get(1).is_truthy();
        Ok(args.get(usize::from(is_given)).clone())
    }),
    function("empty", 1, 1, |args| Ok(Value::Bool(!args.get(0).is_truthy()))),
    function("fail", 1, 1, |args| Err(args.text(0)?.to_owned())),
    function("hello", 0, 0, |_| Ok(Value::String("Hello!".into()))),
    function("ternary", 3, 3, |args| Ok(args.get(usize::from(!args.boolean(2)?)).clone())),
];
