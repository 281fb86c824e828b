//! What one evaluation may cost: loops over an answer pay for each value they touch, and end when nothing is left.
//!
//! The crate has no limit of its own. So an expression is rewritten when it is compiled: what a loop goes over, and what
//! is compared, called or collected inside of one, passes through a function that takes its weight off the budget.

use std::cell::Cell;

use cel::ExecutionError;
use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, operators};
use cel::common::types::{CelBytes, CelList, CelMap, CelString};
use cel::common::value::{CowVal, Val};

/// No name that an expression could contain.
pub const FUNCTION: &str = "@pay";
/// Values that the checks of one list may touch in loops for one request, in all.
pub const UNITS_MAX: u64 = 1_000_000;
/// Text of this length weighs as much as one more value.
const UNIT_BYTES: usize = 64;

thread_local! {
    static UNITS_LEFT: Cell<u64> = const { Cell::new(0) };
}

/// Begins the checks of one list.
pub fn refill() {
    UNITS_LEFT.set(UNITS_MAX);
}

/// Whether a loop was ended. What `||` and `&&` made of that is no result.
pub fn is_spent() -> bool {
    UNITS_LEFT.get() == 0
}

/// Takes a value's weight off, and gives the value back.
pub fn pay<'b, 'v>(mut arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let value = arguments.pop().ok_or_else(ExecutionError::missing_argument_or_target)?;
    let left = UNITS_LEFT.get();
    let weight = weight(&*value, left);
    UNITS_LEFT.set(left.saturating_sub(weight));
    if weight >= left {
        return Err(ExecutionError::function_error("a loop", "it takes too long"));
    }
    Ok(value)
}

/// How many values it is made of. Counts no further than to `most`.
fn weight(value: &dyn Val, most: u64) -> u64 {
    let mut sum = 1;
    if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        sum += (text.inner().len() / UNIT_BYTES) as u64;
    } else if let Some(bytes) = value.downcast_ref::<CelBytes<'_>>() {
        sum += (bytes.inner().len() / UNIT_BYTES) as u64;
    } else if let Some(list) = value.downcast_ref::<CelList<'_>>() {
        for element in list.inner() {
            if sum >= most {
                break;
            }
            sum += weight(&**element, most - sum);
        }
    } else if let Some(map) = value.downcast_ref::<CelMap<'_>>() {
        for (key, member) in map.inner() {
            if sum >= most {
                break;
            }
            sum += 1 + weight(key.inner(), most) + weight(&**member, most - sum);
        }
    }
    sum
}

/// Puts the payments into an expression.
pub fn meter(expression: &mut IdedExpr) {
    meter_at(expression, false);
}

fn meter_at(expression: &mut IdedExpr, in_loop: bool) {
    match &mut expression.expr {
        Expr::Comprehension(of) => {
            meter_at(&mut of.iter_range, in_loop);
            charge(&mut of.iter_range);
            meter_at(&mut of.accu_init, in_loop);
            // The interpreter knows the usual loops by their shape, which stays as it is.
            meter_at(&mut of.loop_step, true);
            meter_at(&mut of.result, in_loop);
        }
        Expr::Call(call) => {
            let pays = in_loop && touches_values(&call.func_name);
            let target = call.target.iter_mut().map(|target| &mut **target);
            for part in target.chain(&mut call.args) {
                meter_at(part, in_loop);
                if pays {
                    charge(part);
                }
            }
        }
        Expr::List(list) => {
            for element in &mut list.elements {
                meter_at(element, in_loop);
                if in_loop {
                    charge(element);
                }
            }
        }
        Expr::Map(map) => {
            for entry in &mut map.entries {
                let EntryExpr::MapEntry(entry) = &mut entry.expr else { continue };
                for part in [&mut entry.key, &mut entry.value] {
                    meter_at(part, in_loop);
                    if in_loop {
                        charge(part);
                    }
                }
            }
        }
        Expr::Select(select) => meter_at(&mut select.operand, in_loop),
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) => {}
    }
}

/// Whether a call may look at all of its arguments.
fn touches_values(name: &str) -> bool {
    !matches!(
        name,
        operators::CONDITIONAL
            | operators::LOGICAL_AND
            | operators::LOGICAL_OR
            | operators::LOGICAL_NOT
            | operators::NOT_STRICTLY_FALSE
            | operators::INDEX
    )
}

/// Lets a part of an expression pay, unless it has paid or costs nothing.
fn charge(part: &mut IdedExpr) {
    let is_free = match &part.expr {
        Expr::Literal(_) | Expr::List(_) | Expr::Map(_) => true,
        Expr::Ident(name) => name.starts_with('@'),
        _ => false,
    };
    if !is_free {
        let id = part.id;
        let paid = IdedExpr { id, expr: std::mem::take(&mut part.expr) };
        part.expr =
            Expr::Call(CallExpr { func_name: FUNCTION.to_owned(), target: None, args: vec![paid] });
    }
}
