//! Lines for the user on stderr, coloured when a person looks at it.

use std::fmt::Display;
use std::io::{IsTerminal, Stderr, Write};

pub struct Terminal {
    out: Stderr,
    is_coloured: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    Red,
    Green,
    Yellow,
    Blue,
    Cyan,
    White,
    Plain,
}

// === impl Terminal ===

impl Terminal {
    pub fn stderr() -> Self {
        let wants_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let out = std::io::stderr();
        Self { is_coloured: out.is_terminal() && !wants_none, out }
    }

    /// Writes a line; when nobody can read it any more, that is no failure of the command.
    pub fn line(&self, text: impl Display) {
        let _ = writeln!(self.out.lock(), "{text}");
    }

    pub fn paint(&self, colour: Colour, text: impl Display) -> String {
        match colour.code() {
            Some(code) if self.is_coloured => format!("\x1b[{code};1m{text}\x1b[0m"),
            _ => text.to_string(),
        }
    }
}

// === impl Colour ===

impl Colour {
    fn code(self) -> Option<u8> {
        Some(match self {
            Self::Red => 31,
            Self::Green => 32,
            Self::Yellow => 33,
            Self::Blue => 34,
            Self::Cyan => 36,
            Self::White => 37,
            Self::Plain => return None,
        })
    }

    /// The colour of an HTTP method in lists.
    pub fn of_method(method: &str) -> Self {
        match method {
            "GET" => Self::Blue,
            "POST" | "HEAD" => Self::Cyan,
            "PUT" => Self::Yellow,
            "DELETE" => Self::Red,
            "PATCH" => Self::Green,
            "OPTIONS" => Self::White,
            _ => Self::Plain,
        }
    }
}
