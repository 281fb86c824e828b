//! `Overloads`: the operators and functions of CEL's standard library, by the types of what they are given.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::types::{Bindings, Type};

/// One a line: name, arguments, result. A dot before the name marks what is called on its first argument.
const STANDARD: &str = "
_?_:_(bool, A, A) A
_&&_(bool, bool) bool
_||_(bool, bool) bool
!_(bool) bool
@not_strictly_false(bool) bool
_==_(A, A) bool
_!=_(A, A) bool
_<_(bool, bool) bool
_<_(int, int) bool
_<_(uint, uint) bool
_<_(double, double) bool
_<_(string, string) bool
_<_(bytes, bytes) bool
_<_(timestamp, timestamp) bool
_<_(duration, duration) bool
_+_(int, int) int
_+_(uint, uint) uint
_+_(double, double) double
_+_(string, string) string
_+_(bytes, bytes) bytes
_+_(list(A), list(A)) list(A)
_+_(timestamp, duration) timestamp
_+_(duration, timestamp) timestamp
_+_(duration, duration) duration
_-_(int, int) int
_-_(uint, uint) uint
_-_(double, double) double
_-_(timestamp, timestamp) duration
_-_(timestamp, duration) timestamp
_-_(duration, duration) duration
_*_(int, int) int
_*_(uint, uint) uint
_*_(double, double) double
_/_(int, int) int
_/_(uint, uint) uint
_/_(double, double) double
_%_(int, int) int
_%_(uint, uint) uint
-_(int) int
-_(double) double
_[_](list(A), int) A
_[_](map(A, B), A) B
@in(A, list(A)) bool
@in(A, map(A, B)) bool
size(string) int
size(bytes) int
size(list(A)) int
size(map(A, B)) int
.size(string) int
.size(bytes) int
.size(list(A)) int
.size(map(A, B)) int
.contains(string, string) bool
.endsWith(string, string) bool
.startsWith(string, string) bool
.matches(string, string) bool
matches(string, string) bool
bool(bool) bool
bool(string) bool
bytes(bytes) bytes
bytes(string) bytes
double(double) double
double(int) double
double(uint) double
double(string) double
duration(duration) duration
duration(string) duration
dyn(A) dyn
int(int) int
int(uint) int
int(double) int
int(string) int
int(timestamp) int
int(duration) int
uint(uint) uint
uint(int) uint
uint(double) uint
uint(string) uint
string(string) string
string(bool) string
string(int) string
string(uint) string
string(double) string
string(bytes) string
string(timestamp) string
string(duration) string
timestamp(timestamp) timestamp
timestamp(string) timestamp
timestamp(int) timestamp
type(A) type
.getFullYear(timestamp) int
.getFullYear(timestamp, string) int
.getMonth(timestamp) int
.getMonth(timestamp, string) int
.getDayOfYear(timestamp) int
.getDayOfYear(timestamp, string) int
.getDayOfMonth(timestamp) int
.getDayOfMonth(timestamp, string) int
.getDate(timestamp) int
.getDate(timestamp, string) int
.getDayOfWeek(timestamp) int
.getDayOfWeek(timestamp, string) int
.getHours(timestamp) int
.getHours(timestamp, string) int
.getHours(duration) int
.getMinutes(timestamp) int
.getMinutes(timestamp, string) int
.getMinutes(duration) int
.getSeconds(timestamp) int
.getSeconds(timestamp, string) int
.getSeconds(duration) int
.getMilliseconds(timestamp) int
.getMilliseconds(timestamp, string) int
.getMilliseconds(duration) int
";

struct Overload {
    arguments: Vec<Type>,
    result: Type,
}

/// By name; that of a method begins with a dot.
pub struct Overloads(HashMap<&'static str, Vec<Overload>>);

/// Why a call means nothing.
#[derive(Debug, PartialEq, Eq)]
pub enum NoOverload {
    UnknownName,
    WrongTypes,
}

// === impl Overloads ===

impl Overloads {
    pub fn standard() -> &'static Overloads {
        static READ: LazyLock<Overloads> = LazyLock::new(|| Overloads::read(STANDARD));
        &READ
    }

    fn read(text: &'static str) -> Overloads {
        let mut all = Overloads(HashMap::new());
        for line in text.lines() {
            let Some((name, rest)) = line.split_once('(') else { continue };
            let (mut arguments, mut rest) = (Vec::new(), rest);
            while !rest.starts_with(')') {
                let (argument, behind) = read_type(rest);
                arguments.push(argument);
                rest = behind.trim_start_matches([',', ' ']);
            }
            let (result, _) = read_type(rest.trim_start_matches([')', ' ']));
            all.0.entry(name).or_default().push(Overload { arguments, result });
        }
        all
    }

    /// The type of what a call gives.
    ///
    /// # Errors
    /// There is no such name, or none of the overloads takes these arguments.
    pub fn result(
        &self,
        name: &str,
        is_method: bool,
        arguments: &[Type],
    ) -> Result<Type, NoOverload> {
        // All four comparisons take the same.
        let name = if matches!(name, "_<=_" | "_>_" | "_>=_") { "_<_" } else { name };
        let method = format!(".{name}");
        let name = if is_method { method.as_str() } else { name };
        let overloads = self.0.get(name).ok_or(NoOverload::UnknownName)?;
        let mut results = overloads.iter().filter_map(|overload| overload.result(arguments));
        let first = results.next().ok_or(NoOverload::WrongTypes)?;
        // Where the arguments leave it open which one it is, so is the result.
        Ok(if results.all(|result| result == first) { first } else { Type::Dyn })
    }

    /// Whether anything is called so, as a function or as a method.
    pub fn has(&self, name: &str) -> bool {
        self.0.keys().any(|known| known.trim_start_matches('.') == name)
    }
}

// === impl Overload ===

impl Overload {
    fn result(&self, arguments: &[Type]) -> Option<Type> {
        if arguments.len() != self.arguments.len() {
            return None;
        }
        let mut bindings = Bindings::default();
        let mut pairs = self.arguments.iter().zip(arguments);
        pairs
            .all(|(wanted, given)| bindings.fits(wanted, given))
            .then(|| bindings.filled(&self.result))
    }
}

/// The type that the text begins with, and what stands behind it.
fn read_type(text: &'static str) -> (Type, &'static str) {
    let end = text.find(['(', ')', ',', ' ']).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    match word {
        "list" => {
            let (element, rest) = read_type(&rest[1..]);
            (Type::list(element), &rest[1..])
        }
        "map" => {
            let (key, rest) = read_type(&rest[1..]);
            let (value, rest) = read_type(rest.trim_start_matches([',', ' ']));
            (Type::map(key, value), &rest[1..])
        }
        word => (named(word), rest),
    }
}

fn named(word: &str) -> Type {
    match word {
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "timestamp" => Type::Timestamp,
        "duration" => Type::Duration,
        "type" => Type::Type,
        "A" => Type::Param('A'),
        "B" => Type::Param('B'),
        _ => Type::Dyn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(name: &str, arguments: &[Type]) -> Result<Type, NoOverload> {
        Overloads::standard().result(name, false, arguments)
    }

    #[test]
    fn the_table_is_read_whole() {
        let lines = STANDARD.lines().filter(|line| !line.is_empty()).count();
        let all = Overloads::standard();
        assert_eq!(all.0.values().map(Vec::len).sum::<usize>(), lines);
        let texts = Type::map(Type::String, Type::list(Type::String));
        assert_eq!(result("_[_]", &[texts, Type::String]), Ok(Type::list(Type::String)));
    }

    #[test]
    fn types_that_do_not_go_together_have_no_overload() {
        assert_eq!(result("_==_", &[Type::String, Type::Int]), Err(NoOverload::WrongTypes));
        assert_eq!(result("_>=_", &[Type::Dyn, Type::Int]), Ok(Type::Bool));
        assert_eq!(result("_>=_", &[Type::Double, Type::Int]), Err(NoOverload::WrongTypes));
        assert_eq!(result("upper", &[Type::String]), Err(NoOverload::UnknownName));
        assert_eq!(result("_+_", &[Type::Dyn, Type::Dyn]), Ok(Type::Dyn));
        assert_eq!(
            result("_+_", &[Type::list(Type::Free), Type::list(Type::Int)]),
            Ok(Type::list(Type::Int))
        );
    }
}
