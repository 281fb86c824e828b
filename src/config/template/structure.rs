//! Checks that every block of a template is closed, and nothing else: the engine's parser takes the end of the file for
//! any number of ends, and an end too many for the end of the file.

/// What is wrong, and at which byte.
#[derive(Debug, PartialEq, Eq)]
pub struct Imbalance {
    pub offset: usize,
    pub what: String,
    /// The block that is never closed: its keyword and its byte.
    pub open: Option<(String, usize)>,
}

/// The first block that is never closed, or the first end or else that belongs to none.
pub fn check(text: &str) -> Result<(), Imbalance> {
    let mut open: Vec<(String, usize)> = Vec::new();
    let mut at = 0;
    while let Some(start) = text.get(at..).and_then(|rest| rest.find("{{")).map(|found| at + found)
    {
        let inner = text.get(start + 2..).unwrap_or_default();
        let trimmed = inner.strip_prefix("- ").unwrap_or(inner);
        let begin = start + 2 + (inner.len() - trimmed.len());
        let Some(end) = action_end(text, begin) else { return Ok(()) }; // the parser tells of it
        let action = text.get(begin..end).unwrap_or_default().trim_start();
        let word: String = action.chars().take_while(char::is_ascii_alphabetic).collect();
        let stray = |what: &str| Imbalance {
            offset: start,
            what: format!("unexpected {{{{{what}}}}}"),
            open: None,
        };
        match word.as_str() {
            "if" | "range" | "with" | "define" | "block" => open.push((word, start)),
            "end" if open.pop().is_none() => return Err(stray("end")),
            "else" if open.is_empty() => return Err(stray("else")),
            _ => {}
        }
        at = end + 2;
    }
    match open.pop() {
        Some(open) => Err(Imbalance {
            offset: text.len(),
            what: "unexpected EOF".to_owned(),
            open: Some(open),
        }),
        None => Ok(()),
    }
}

/// Where the `}}` of an action stands; `None` when there is none.
fn action_end(text: &str, begin: usize) -> Option<usize> {
    let rest = text.get(begin..)?;
    if rest.trim_start().starts_with("/*") {
        let close = rest.find("*/")? + 2;
        return Some(begin + close + rest.get(close..)?.find("}}")?);
    }
    let bytes = rest.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'}' if bytes.get(at + 1) == Some(&b'}') => return Some(begin + at),
            quote @ (b'"' | b'\'') => {
                at += 1;
                while *bytes.get(at)? != quote {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'`' => at += rest.get(at + 1..)?.find('`')? + 2,
            _ => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_closed_or_told_of() {
        for text in [
            "",
            "{{ if .a }}x{{ else if .b }}{{ else }}y{{ end }}",
            "{{- range .a -}}{{ break }}{{ end -}}",
            "{{ \"{{ if }}\" }}{{ `}}` }}{{/* {{ if }} */}}{{ '\\'' }}",
            "{{ define \"a\" }}{{ end }}{{ endpoint }}",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        let wrong = |text| check(text).expect_err(text);
        assert_eq!(wrong("{{ if .a }}\n{{ range .b }}{{ end }}").open, Some(("if".to_owned(), 0)));
        assert_eq!(wrong("a {{ end }} b").what, "unexpected {{end}}");
        assert_eq!(wrong("a {{ else }} b").offset, 2);
    }
}
