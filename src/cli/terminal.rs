//! Lines for the user on stderr or stdout, coloured when a person looks at them.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

pub struct Terminal {
    out: Out,
    is_coloured: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Out {
    Stdout,
    Stderr,
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
    /// For messages, and for the commands of the original, which speak there only.
    pub fn stderr() -> Self {
        Self::of(Out::Stderr, io::stderr().is_terminal())
    }

    /// For what other programs may want to read.
    pub fn stdout() -> Self {
        Self::of(Out::Stdout, io::stdout().is_terminal())
    }

    fn of(out: Out, is_terminal: bool) -> Self {
        Self { is_coloured: is_terminal && !wants_no_colour(), out }
    }

    /// Whether a person sees the lines and may see them in colours.
    pub fn is_coloured(&self) -> bool {
        self.is_coloured
    }

    /// Writes a line; when nobody can read it any more, that is no failure of the command.
    pub fn line(&self, text: impl Display) {
        self.write(format_args!("{text}\n"));
    }

    /// The same without the line's end.
    pub fn write(&self, text: impl Display) {
        let _ = match self.out {
            Out::Stdout => write!(io::stdout().lock(), "{text}"),
            Out::Stderr => write!(io::stderr().lock(), "{text}"),
        };
    }

    pub fn paint(&self, colour: Colour, text: impl Display) -> String {
        match colour.code() {
            Some(code) if self.is_coloured => format!("\x1b[{code};1m{text}\x1b[0m"),
            _ => text.to_string(),
        }
    }
}

/// Whether the user wants no colours anywhere (`NO_COLOR`).
pub fn wants_no_colour() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
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
