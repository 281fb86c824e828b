//! `Type`: what is known of a value before it is there, and whether two such types go together.

use std::fmt;

/// A static type, as cel-go's checker knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "as CEL names it")]
pub enum Type {
    /// Known only when the value is there.
    Dyn,
    /// The elements of an empty list: whatever is put in decides.
    Free,
    /// Stands for any type in an overload, for the same one each time.
    Param(char),
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Timestamp,
    Duration,
    /// A type is a value, too.
    Type,
    List(Box<Type>),
    Map(Box<Type>, Box<Type>),
}

/// What the parameters of an overload stand for in one call.
#[derive(Default)]
pub struct Bindings(Vec<(char, Type)>);

// === impl Type ===

impl Type {
    pub fn list(element: Type) -> Type {
        Type::List(Box::new(element))
    }

    pub fn map(key: Type, value: Type) -> Type {
        Type::Map(Box::new(key), Box::new(value))
    }

    /// Whether a value of the one type may stand where one of the other is asked for.
    pub fn agrees(&self, other: &Type) -> bool {
        Bindings::default().fits(self, other)
    }

    /// The type of something that is one or the other.
    pub fn join(self, other: Type) -> Type {
        match (&self, &other) {
            (Type::Free, _) => other,
            _ if self == other => self,
            _ => Type::Dyn,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Dyn | Type::Free => "dyn",
            Type::Param(name) => return write!(f, "{name}"),
            Type::Null => "null",
            Type::Bool => "bool",
            Type::Int => "int",
            Type::Uint => "uint",
            Type::Double => "double",
            Type::String => "string",
            Type::Bytes => "bytes",
            Type::Timestamp => "timestamp",
            Type::Duration => "duration",
            Type::Type => "type",
            Type::List(element) => return write!(f, "list({element})"),
            Type::Map(key, value) => return write!(f, "map({key}, {value})"),
        })
    }
}

// === impl Bindings ===

impl Bindings {
    /// Whether an argument of the type may stand for the parameter.
    pub fn fits(&mut self, wanted: &Type, given: &Type) -> bool {
        match (wanted, given) {
            (Type::Param(name), _) => self.fits_param(*name, given),
            (Type::Dyn | Type::Free, _) | (_, Type::Dyn | Type::Free) => true,
            (Type::List(wanted), Type::List(given)) => self.fits(wanted, given),
            (Type::Map(key, value), Type::Map(given_key, given_value)) => {
                self.fits(key, given_key) && self.fits(value, given_value)
            }
            (Type::Timestamp | Type::Duration, Type::Null)
            | (Type::Null, Type::Timestamp | Type::Duration) => true,
            (wanted, given) => wanted == given,
        }
    }

    fn fits_param(&mut self, name: char, given: &Type) -> bool {
        let Some(place) = self.0.iter().position(|(known, _)| *known == name) else {
            self.0.push((name, given.clone()));
            return true;
        };
        let bound = &self.0[place].1;
        if !bound.agrees(given) {
            return false;
        }
        if *bound == Type::Free {
            self.0[place].1 = given.clone();
        } else if *given == Type::Dyn {
            self.0[place].1 = Type::Dyn;
        }
        true
    }

    /// The type with what its parameters stand for.
    pub fn filled(&self, of: &Type) -> Type {
        match of {
            Type::Param(name) => {
                let bound = self.0.iter().find(|(known, _)| known == name);
                bound.map_or(Type::Dyn, |(_, bound)| bound.clone())
            }
            Type::List(element) => Type::list(self.filled(element)),
            Type::Map(key, value) => Type::map(self.filled(key), self.filled(value)),
            other => other.clone(),
        }
    }
}
