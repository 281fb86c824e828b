//! People as feeds write them: `me@a.example (Me)`, `Me (me@a.example)`, a name, an address.

use super::feed::Members;
use crate::json::Value;

#[derive(Clone, Default)]
pub struct Person {
    pub name: String,
    pub email: String,
}

// === impl Person ===

impl Person {
    /// Takes a text apart; one of no known form gives nothing.
    pub fn parse(text: &str) -> Self {
        let parts = email_and_name(text)
            .map(|(email, name)| (name, email))
            .or_else(|| name_and_email(text));
        let (name, email) = parts.unwrap_or_else(|| match text.split_once('@') {
            _ if text.contains(['(', ')']) => ("", ""),
            None => (text, ""),
            Some((user, host)) if user.is_empty() || host.is_empty() || host.contains('@') => {
                ("", "")
            }
            Some(_) => ("", text),
        });
        Self { name: name.to_owned(), email: email.to_owned() }
    }

    pub fn into_value(self) -> Value {
        let mut members = Members::default();
        members.text("name", self.name);
        members.text("email", self.email);
        members.finish()
    }
}

/// `me@a.example (Me)`.
fn email_and_name(text: &str) -> Option<(&str, &str)> {
    let (user, host) = text.split_once('@')?;
    let blank = host.find(is_blank)?;
    let name =
        host.get(blank..)?.trim_start_matches(is_blank).strip_prefix('(')?.strip_suffix(')')?;
    if user.is_empty() || blank == 0 || name.is_empty() || name.contains('@') {
        return None;
    }
    Some((text.get(..user.len() + 1 + blank)?, name))
}

/// `Me (me@a.example)`.
fn name_and_email(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_suffix(')')?;
    let (before, host) = inner.split_once('@')?;
    if host.is_empty() || host.contains(')') {
        return None;
    }
    // The last bracket behind a blank that leaves something for the address.
    let (bracket, _) = before.match_indices('(').rev().find(|(at, _)| {
        at + 1 < before.len() && before.get(..*at).is_some_and(|name| name.ends_with(is_blank))
    })?;
    let name = before.get(..bracket)?;
    let name = name.strip_suffix(is_blank)?;
    (!name.is_empty()).then_some((name, inner.get(bracket + 1..)?))
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\u{c}' | '\r')
}
