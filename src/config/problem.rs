//! What is wrong with a configuration: where it stands, what the fact is, and the way out.

use std::fmt;
use std::sync::Arc;

use super::template::source_map::SourceMap;

/// Where a value stands. Cheap to clone, and able to cross threads with the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// The file as the user named it; for an override, the environment variable.
    pub file: Arc<str>,
    /// From 1; 0 when the value has no line (an unreadable file, an environment variable).
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// `endpoints[3].backend[0].url_pattern`; empty for the root.
    pub path: Arc<str>,
    /// `GET /users/{id}`, when the place is inside an endpoint.
    pub endpoint: Option<Arc<str>>,
    /// Where the file was rendered from, when line and column are those of a rendered text.
    pub origin: Option<Arc<SourceMap>>,
}

/// What a problem means for the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The gateway starts: a key that nobody reads, a value without effect.
    Warn,
    /// The gateway does not start, unless it was told to be lenient: then it does what the original does.
    Lenient,
    /// The gateway never starts.
    Refuse,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub place: Place,
    pub what: String,
    pub hint: Option<String>,
    pub severity: Severity,
}

// === impl Place ===

impl Place {
    /// A place without a line: the file as a whole.
    pub fn of_file(file: &str) -> Self {
        Self { file: file.into(), ..Self::default() }
    }

    /// The place of a member whose own line is not known: `a` and `b` give `a.b`.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        let path =
            if self.path.is_empty() { key.into() } else { format!("{}.{key}", self.path).into() };
        Self { path, ..self.clone() }
    }

    /// The place of a list's entry whose own line is not known: `a` and 3 give `a[3]`.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self { path: format!("{}[{index}]", self.path).into(), ..self.clone() }
    }

    /// The same path at another position of the file.
    #[must_use]
    pub fn at(&self, line: u32, column: u32) -> Self {
        Self { line, column, ..self.clone() }
    }

    /// File, line and column, those of the template for what was rendered; line 0 when there is none.
    pub fn located(&self) -> (&Arc<str>, u32, u32) {
        let origin = self.origin.as_ref().filter(|_| self.line > 0);
        let found = origin.and_then(|origin| origin.locate(self.line, self.column));
        found.unwrap_or((&self.file, self.line, self.column))
    }

    /// `endpoints[3].backend[0].url_pattern` with the endpoint's name put in after its index.
    fn write_path(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (head, tail) = match self.path.split_once('.') {
            Some((head, tail)) => (head, Some(tail)),
            None => (&*self.path, None),
        };
        match &self.endpoint {
            Some(endpoint) => {
                write!(f, "{head} {endpoint}")?;
                tail.map_or(Ok(()), |tail| write!(f, " → {tail}"))
            }
            None => f.write_str(&self.path),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, line, column) = self.located();
        f.write_str(file)?;
        if line > 0 {
            write!(f, ":{line}:{column}")?;
        }
        if !self.path.is_empty() {
            f.write_str("  ")?;
            self.write_path(f)?;
        }
        Ok(())
    }
}

// === impl Problem ===

impl Problem {
    pub fn refuse(place: Place, what: impl Into<String>) -> Self {
        Self { place, what: what.into(), hint: None, severity: Severity::Refuse }
    }

    pub fn lenient(place: Place, what: impl Into<String>) -> Self {
        Self { severity: Severity::Lenient, ..Self::refuse(place, what) }
    }

    pub fn warn(place: Place, what: impl Into<String>) -> Self {
        Self { severity: Severity::Warn, ..Self::refuse(place, what) }
    }

    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Whether this one stands in the way of the start.
    pub fn is_fatal(&self, is_lenient: bool) -> bool {
        match self.severity {
            Severity::Refuse => true,
            Severity::Lenient => !is_lenient,
            Severity::Warn => false,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n    {}", self.place, self.what)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\n    hint: {hint}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_place_fact_and_way_out() {
        let place = Place {
            endpoint: Some("GET /users/{id}".into()),
            ..Place::of_file("krakend.json").at(41, 19)
        };
        let place = place.key("endpoints").index(3).key("backend").index(0).key("url_pattern");
        let problem = Problem::refuse(place, "\"/v1/{user}\" uses {user}").hint("it offers {id}");
        assert_eq!(
            problem.to_string(),
            "krakend.json:41:19  endpoints[3] GET /users/{id} → backend[0].url_pattern\n    \
             \"/v1/{user}\" uses {user}\n    hint: it offers {id}"
        );
    }

    #[test]
    fn a_file_without_a_line_is_named_alone() {
        assert_eq!(Place::of_file("none.json").to_string(), "none.json");
        assert_eq!(Place::of_file("KRAKEND_PORT").key("port").to_string(), "KRAKEND_PORT  port");
    }

    #[test]
    fn only_lenient_problems_yield_to_leniency() {
        let place = Place::default();
        assert!(Problem::refuse(place.clone(), "x").is_fatal(true));
        assert!(Problem::lenient(place.clone(), "x").is_fatal(false));
        assert!(!Problem::lenient(place.clone(), "x").is_fatal(true));
        assert!(!Problem::warn(place, "x").is_fatal(false));
    }
}
