//! The functions of templates: those of Go's sprig library that configurations use, under the same names.

mod dates;
mod dicts;
mod encodings;
mod flow;
mod kinds;
mod lists;
mod numbers;
mod paths;
mod random;
mod regexes;
mod strings;
mod versions;
mod words;

use gotmpl::Value;

use super::value::{self, Members};

/// What a function gives, or why it cannot.
pub type Answer = Result<Value, String>;

/// One function: its name, how many arguments it takes, and what it does.
pub struct Function {
    pub name: &'static str,
    pub min: usize,
    pub max: usize,
    pub run: fn(&Args<'_>) -> Answer,
}

/// As many arguments as one likes.
const ANY: usize = usize::MAX;

const fn function(
    name: &'static str,
    min: usize,
    max: usize,
    run: fn(&Args<'_>) -> Answer,
) -> Function {
    Function { name, min, max, run }
}

/// The pure functions, by subject.
pub const TABLES: &[&[Function]] = &[
    dates::TABLE,
    dicts::TABLE,
    encodings::TABLE,
    flow::TABLE,
    kinds::TABLE,
    lists::TABLE,
    numbers::TABLE,
    paths::TABLE,
    random::TABLE,
    regexes::TABLE,
    strings::TABLE,
    versions::TABLE,
    words::TABLE,
];

/// Functions of sprig that are left out: a configuration is no place to make keys in.
pub const LEFT_OUT: &[&str] = &[
    "bcrypt",
    "buildCustomCert",
    "decryptAES",
    "derivePassword",
    "encryptAES",
    "genCA",
    "genCAWithKey",
    "genPrivateKey",
    "genSelfSignedCert",
    "genSelfSignedCertWithKey",
    "genSignedCert",
    "genSignedCertWithKey",
    "getHostByName",
    "htpasswd",
];

pub use dicts::{merged, without_key};
pub use paths::cleaned;

/// The arguments of one call; what is piped in is the last one.
pub struct Args<'a> {
    values: &'a [Value],
}

// === impl Function ===

impl Function {
    pub fn call(&self, values: &[Value]) -> Answer {
        check_count(self.name, self.min, self.max, values.len())?;
        (self.run)(&Args { values })
    }
}

pub fn check_count(name: &str, min: usize, max: usize, got: usize) -> Result<(), String> {
    if (min..=max).contains(&got) {
        return Ok(());
    }
    let want = if max == ANY { format!("at least {min}") } else { max.to_string() };
    Err(format!("wrong number of args for {name}: want {want} got {got}"))
}

// === impl Args ===

impl<'a> Args<'a> {
    pub fn new(values: &'a [Value]) -> Self {
        Self { values }
    }

    pub fn all(&self) -> &'a [Value] {
        self.values
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn from(&self, start: usize) -> &'a [Value] {
        self.values.get(start..).unwrap_or_default()
    }

    pub fn get(&self, index: usize) -> &'a Value {
        self.values.get(index).unwrap_or(&Value::Nil)
    }

    pub fn text(&self, index: usize) -> Result<&'a str, String> {
        match self.get(index) {
            Value::String(text) => Ok(text),
            other => Err(wrong_type("string", other)),
        }
    }

    /// Numbers of settings are doubles, and `int` makes whole ones of them, as in Go.
    pub fn int(&self, index: usize) -> Result<i64, String> {
        match self.get(index) {
            Value::Int(number) => Ok(*number),
            Value::Uint(number) => {
                i64::try_from(*number).map_err(|_| "the number is too large".to_owned())
            }
            other => Err(wrong_type("int", other)),
        }
    }

    /// A length or a count, within a bound that no configuration comes near.
    pub fn count(&self, index: usize) -> Result<usize, String> {
        let number = self.int(index)?;
        usize::try_from(number)
            .ok()
            .filter(|count| *count <= COUNT_MAX)
            .ok_or_else(|| format!("{number} is no count: at most {COUNT_MAX}"))
    }

    pub fn boolean(&self, index: usize) -> Result<bool, String> {
        match self.get(index) {
            Value::Bool(value) => Ok(*value),
            other => Err(wrong_type("bool", other)),
        }
    }

    pub fn list(&self, index: usize) -> Result<&'a [Value], String> {
        match self.get(index) {
            Value::List(values) => Ok(values),
            other => Err(format!("expected a list, got {}", value::type_name(other))),
        }
    }

    /// Nothing is an empty map.
    pub fn members(&self, index: usize) -> Result<&'a Members, String> {
        static NONE: Members = Members::new();
        match self.get(index) {
            Value::Map(members) => Ok(members),
            Value::Nil => Ok(&NONE),
            other => Err(wrong_type("map[string]interface {}", other)),
        }
    }
}

/// Entries of a list that a function makes, or repetitions of a text.
pub const COUNT_MAX: usize = 1_000_000;

fn wrong_type(expected: &str, got: &Value) -> String {
    if matches!(got, Value::Nil) {
        return format!("invalid value; expected {expected}");
    }
    let hint = if expected == "int" && matches!(got, Value::Float(_)) {
        " (numbers of settings are float64: convert with int)"
    } else {
        ""
    };
    format!("wrong type for value; expected {expected}; got {}{hint}", value::type_name(got))
}
