//! `Checker`: the static types of an expression, so that what cannot mean anything is found at the start.
//!
//! The crate interprets without looking at types first; cel-go, which the original uses, does look.

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue};

use super::overloads::{NoOverload, Overloads};
use super::types::Type;

/// The type of what expressions may name.
pub fn variable(name: &str) -> Option<Type> {
    let texts = || Type::map(Type::String, Type::list(Type::String));
    Some(match name {
        "now" | "req_method" | "req_path" => Type::String,
        "req_params" => Type::map(Type::String, Type::String),
        "req_headers" | "req_querystring" | "resp_metadata_headers" => texts(),
        "resp_completed" => Type::Bool,
        "resp_metadata_status" => Type::Int,
        "resp_data" | "JWT" => Type::map(Type::String, Type::Dyn),
        _ => return None,
    })
}

/// All of them.
pub const VARIABLES: &[&str] = &[
    "now",
    "req_method",
    "req_path",
    "req_params",
    "req_headers",
    "req_querystring",
    "resp_completed",
    "resp_metadata_status",
    "resp_metadata_headers",
    "resp_data",
    "JWT",
];

/// Names that stand for a type.
const TYPE_NAMES: &[&str] =
    &["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];

/// The variables of loops around what is looked at, the innermost last.
#[derive(Default)]
pub struct Checker {
    scope: Vec<(String, Type)>,
}

// === impl Checker ===

impl Checker {
    /// The type of an expression.
    ///
    /// # Errors
    /// What does not go together, in the words of cel-go where it has some.
    pub fn type_of(&mut self, expression: &IdedExpr) -> Result<Type, String> {
        match &expression.expr {
            Expr::Unspecified => Err("an expression is missing".to_owned()),
            Expr::Literal(literal) => Ok(of_literal(literal)),
            Expr::Ident(name) => self.of_name(name),
            Expr::Select(select) => {
                if let Some(name) = qualified_type(expression) {
                    return Ok(name);
                }
                let value = match self.type_of(&select.operand)? {
                    Type::Map(_, value) => *value,
                    Type::Dyn | Type::Free => Type::Dyn,
                    other => {
                        return Err(format!("type '{other}' does not support field selection"));
                    }
                };
                Ok(if select.test { Type::Bool } else { value })
            }
            Expr::Call(call) => self.of_call(call),
            Expr::List(list) => {
                let mut joined = Type::Free;
                for element in &list.elements {
                    joined = joined.join(self.type_of(element)?);
                }
                Ok(Type::list(joined))
            }
            Expr::Map(map) => {
                let (mut keys, mut values) = (Type::Free, Type::Free);
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
                    keys = keys.join(self.type_of(&entry.key)?);
                    values = values.join(self.type_of(&entry.value)?);
                }
                Ok(Type::map(keys, values))
            }
            Expr::Comprehension(comprehension) => self.of_comprehension(comprehension),
            Expr::Struct(message) => {
                Err(format!("undeclared reference to '{}'", message.type_name))
            }
        }
    }

    fn of_name(&self, name: &str) -> Result<Type, String> {
        let plain = name.trim_start_matches('.');
        let of_loop = self.scope.iter().rev().find(|(known, _)| known == name);
        of_loop
            .map(|(_, of_loop)| of_loop.clone())
            .or_else(|| variable(plain))
            .or_else(|| TYPE_NAMES.contains(&plain).then_some(Type::Type))
            .ok_or_else(|| format!("undeclared reference to '{name}'"))
    }

    fn of_call(&mut self, call: &CallExpr) -> Result<Type, String> {
        let mut arguments = Vec::with_capacity(call.args.len() + 1);
        for argument in call.target.iter().map(|target| &**target).chain(&call.args) {
            arguments.push(self.type_of(argument)?);
        }
        let all = Overloads::standard();
        let name = call.func_name.as_str();
        let is_method = call.target.is_some();
        all.result(name, is_method, &arguments).map_err(|error| {
            if error == NoOverload::UnknownName && !all.has(name) {
                return format!("undeclared reference to '{name}'");
            }
            let mut given: Vec<String> = arguments.iter().map(Type::to_string).collect();
            let target = if is_method { format!("{}.", given.remove(0)) } else { String::new() };
            let given = given.join(", ");
            format!("found no matching overload for '{name}' applied to '{target}({given})'")
        })
    }

    fn of_comprehension(&mut self, of: &ComprehensionExpr) -> Result<Type, String> {
        let element = match self.type_of(&of.iter_range)? {
            Type::List(element) => *element,
            Type::Map(key, _) => *key,
            Type::Dyn | Type::Free => Type::Dyn,
            other => {
                return Err(format!(
                    "expression of type '{other}' cannot be range of a comprehension"
                ));
            }
        };
        let element = if element == Type::Free { Type::Dyn } else { element };
        let start = self.type_of(&of.accu_init)?;
        let depth = self.scope.len();
        self.scope.push((of.accu_var.clone(), start));
        self.scope.push((of.iter_var.clone(), element));
        let checked = self.of_loop(of, depth);
        self.scope.truncate(depth);
        checked
    }

    fn of_loop(&mut self, of: &ComprehensionExpr, accu: usize) -> Result<Type, String> {
        let goes_on = self.type_of(&of.loop_cond)?;
        let step = self.type_of(&of.loop_step)?;
        if !goes_on.agrees(&Type::Bool) {
            return Err(format!("found no matching overload for a loop while '({goes_on})'"));
        }
        // What a list that began empty holds is known by now.
        self.scope[accu].1 = step;
        self.type_of(&of.result)
    }
}

fn of_literal(literal: &LiteralValue) -> Type {
    match literal {
        LiteralValue::Boolean(_) => Type::Bool,
        LiteralValue::Bytes(_) => Type::Bytes,
        LiteralValue::Double(_) => Type::Double,
        LiteralValue::Int(_) => Type::Int,
        LiteralValue::Null => Type::Null,
        LiteralValue::String(_) => Type::String,
        LiteralValue::UInt(_) => Type::Uint,
    }
}

/// `google.protobuf.Timestamp` and its like, with which `type(…)` is compared.
fn qualified_type(expression: &IdedExpr) -> Option<Type> {
    let Expr::Select(last) = &expression.expr else { return None };
    let Expr::Select(middle) = &last.operand.expr else { return None };
    let Expr::Ident(first) = &middle.operand.expr else { return None };
    let is_known = first == "google"
        && middle.field == "protobuf"
        && matches!(last.field.as_str(), "Timestamp" | "Duration");
    (is_known && !last.test).then_some(Type::Type)
}
