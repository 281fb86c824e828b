//! `Expression`: one check, parsed and looked through once at the start.

use std::fmt;

use cel::common::ast::{EntryExpr, Expr, IdedExpr};

use super::budget;
use super::checker::Checker;
use super::interpreter;
use super::types::Type;

/// The longest expression: what is nested in it must fit on a core's stack.
pub const BYTES_MAX: usize = 4096;
/// What is nested in a text of this length fits on any stack.
const SHORT_BYTES: usize = 128;
const STACK_BYTES: usize = 64 * 1024 * 1024;
/// The deepest tree, payments and all: a core's stack bears more than twice of it without optimization.
const DEPTH_MAX: usize = 100;

/// A check, ready to be made. All cores share it.
#[derive(Debug)]
pub struct Expression {
    pub(super) tree: IdedExpr,
    /// What it gives, as far as that is known beforehand.
    pub result: Type,
}

/// Why there is no check.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    TooLarge,
    Syntax(String),
    Types(String),
}

// === impl Expression ===

impl Expression {
    /// # Errors
    /// [`Fault`]: the original would not take it either, but for what is too large.
    pub fn compile(text: &str) -> Result<Expression, Fault> {
        if text.len() > BYTES_MAX {
            return Err(Fault::TooLarge);
        }
        let mut tree = parsed_apart(text)?;
        let result = Checker::default().type_of(&tree).map_err(Fault::Types)?;
        budget::meter(&mut tree);
        if depth(&tree) > DEPTH_MAX {
            return Err(Fault::TooLarge);
        }
        Ok(Expression { tree, result })
    }

    /// Whether the name stands in it.
    pub fn names(&self, variable: &str) -> bool {
        self.tree.references().has_variable(variable)
    }

    /// Whether it names anything that a request could change.
    pub fn is_constant(&self) -> bool {
        let references = self.tree.references();
        references.variables().iter().all(|name| super::checker::variable(name).is_none())
    }

    pub fn may_hold(&self) -> bool {
        self.result.agrees(&Type::Bool)
    }
}

// === impl Fault ===

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::TooLarge => write!(f, "it is longer than {BYTES_MAX} bytes, or too deep"),
            Fault::Syntax(why) => write!(f, "it does not parse: {why}"),
            Fault::Types(why) => write!(f, "{why}"),
        }
    }
}

/// Parses on a stack that what is nested in a longer text cannot fill.
fn parsed_apart(text: &str) -> Result<IdedExpr, Fault> {
    if text.len() <= SHORT_BYTES {
        return parsed(text);
    }
    with_room(|| parsed(text)).unwrap_or(Err(Fault::TooLarge))
}

/// Runs this on a large stack; `None` where there is no thread to be had.
pub fn with_room<T: Send>(run: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(STACK_BYTES);
        let thread = builder.spawn_scoped(scope, run);
        thread.ok()?.join().ok()
    })
}

fn parsed(text: &str) -> Result<IdedExpr, Fault> {
    let tree = interpreter::parse(text).map_err(Fault::Syntax)?;
    if depth(&tree) > DEPTH_MAX { Err(Fault::TooLarge) } else { Ok(tree) }
}

fn depth(expression: &IdedExpr) -> usize {
    let deepest = match &expression.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => 0,
        Expr::Call(call) => {
            let target = call.target.iter().map(|target| depth(target));
            target.chain(call.args.iter().map(depth)).max().unwrap_or(0)
        }
        Expr::Select(select) => depth(&select.operand),
        Expr::List(list) => list.elements.iter().map(depth).max().unwrap_or(0),
        Expr::Map(map) => map.entries.iter().map(|entry| of_entry(&entry.expr)).max().unwrap_or(0),
        Expr::Struct(of) => of.entries.iter().map(|entry| of_entry(&entry.expr)).max().unwrap_or(0),
        Expr::Comprehension(of) => {
            [&of.iter_range, &of.accu_init, &of.loop_cond, &of.loop_step, &of.result]
                .into_iter()
                .map(depth)
                .max()
                .unwrap_or(0)
        }
    };
    deepest + 1
}

fn of_entry(entry: &EntryExpr) -> usize {
    match entry {
        EntryExpr::StructField(field) => depth(&field.value),
        EntryExpr::MapEntry(entry) => depth(&entry.key).max(depth(&entry.value)),
    }
}
