//! One value of a configuration file, with the position of every key and value below it.

/// A value and where it begins; an override from the environment has line 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub value: NodeValue,
    pub line: u32,
    pub column: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub enum NodeValue {
    Null,
    Bool(bool),
    /// The number, and the name of the type that Go's reader of this format gives it (for messages).
    Number(Number, &'static str),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file, duplicates included.
    Map(Vec<Entry>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Int(i64),
    Uint(u64),
    Float(f64),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub key: String,
    pub line: u32,
    pub column: u32,
    pub value: Node,
}

// === impl Node ===

impl Node {
    pub(super) fn new((line, column): (u32, u32), value: NodeValue) -> Self {
        Self { value, line, column }
    }

    pub fn is_null(&self) -> bool {
        self.value == NodeValue::Null
    }

    /// The value as features read it; of duplicated keys the last one counts.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            NodeValue::Null => serde_json::Value::Null,
            NodeValue::Bool(value) => (*value).into(),
            NodeValue::Number(number, _) => number.to_json(),
            NodeValue::Text(text) => text.as_str().into(),
            NodeValue::List(list) => list.iter().map(Self::to_json).collect(),
            NodeValue::Map(entries) => {
                entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect()
            }
        }
    }

    /// Follows one step of a JSON pointer, unescaped.
    pub fn child(&self, step: &str) -> Option<&Self> {
        match &self.value {
            NodeValue::Map(entries) => {
                entries.iter().rev().find(|entry| entry.key == step).map(|entry| &entry.value)
            }
            NodeValue::List(list) => step.parse::<usize>().ok().and_then(|index| list.get(index)),
            _ => None,
        }
    }
}

// === impl NodeValue ===

impl NodeValue {
    /// How encoding/json names the kind in its messages.
    pub fn json_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Number(..) => "number",
            Self::Text(_) => "string",
            Self::List(_) => "array",
            Self::Map(_) => "object",
        }
    }

    /// How mapstructure names the type in `got unconvertible type '…'`.
    pub fn go_type(&self) -> &'static str {
        match self {
            Self::Null => "nil",
            Self::Bool(_) => "bool",
            Self::Number(_, name) => name,
            Self::Text(_) => "string",
            Self::List(_) => "[]interface {}",
            Self::Map(_) => "map[string]interface {}",
        }
    }

    /// How mapstructure names the kind in `expected a map or struct, got "…"`.
    pub fn go_kind(&self) -> &'static str {
        match self {
            Self::List(_) => "slice",
            Self::Map(_) => "map",
            other => other.go_type(),
        }
    }
}

// === impl Number ===

impl Number {
    pub fn to_f64(self) -> f64 {
        match self {
            #[allow(clippy::cast_precision_loss, reason = "Go converts the same way")]
            Self::Int(value) => value as f64,
            #[allow(clippy::cast_precision_loss, reason = "Go converts the same way")]
            Self::Uint(value) => value as f64,
            Self::Float(value) => value,
        }
    }

    /// Towards zero, and the nearest bound when it does not fit.
    pub fn to_i64(self) -> i64 {
        match self {
            Self::Int(value) => value,
            Self::Uint(value) => i64::try_from(value).unwrap_or(i64::MAX),
            #[allow(
                clippy::cast_possible_truncation,
                reason = "a saturating cut is what is wanted"
            )]
            Self::Float(value) => value as i64,
        }
    }

    /// All digits, never an exponent: Go's `FormatFloat(f, 'f', -1, 64)`.
    pub fn to_text(self) -> String {
        match self {
            Self::Int(value) => value.to_string(),
            Self::Uint(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
        }
    }

    fn to_json(self) -> serde_json::Value {
        match self {
            Self::Int(value) => value.into(),
            Self::Uint(value) => value.into(),
            Self::Float(value) => {
                serde_json::Number::from_f64(value).map_or(serde_json::Value::Null, Into::into)
            }
        }
    }
}
