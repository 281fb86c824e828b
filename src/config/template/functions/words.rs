//! Functions that see texts as words: their case, their initials, lines of a certain width.

use super::super::value::string;
use super::{Answer, Args, Function, function};

pub const TABLE: &[Function] = &[
    function("abbrev", 2, 2, |args| {
        let (width, text) = (args.int(0)?, args.text(1)?);
        Ok(string(abbreviated(text, width)))
    }),
    function("abbrevboth", 3, 3, |args| {
        Ok(string(abbreviated_on_both_sides(args.text(2)?, args.int(0)?, args.int(1)?)))
    }),
    function("camelcase", 1, 1, |args| Ok(string(camel_case(args.text(0)?)))),
    function("initials", 1, 1, |args| {
        let initials = args.text(0)?.split_whitespace().filter_map(|word| word.chars().next());
        Ok(string(initials.collect::<String>()))
    }),
    function("kebabcase", 1, 1, |args| Ok(string(joined_words(args.text(0)?, '-')))),
    function("plural", 3, 3, |args| Ok(string(args.text(usize::from(args.int(2)? != 1))?))),
    function("snakecase", 1, 1, |args| Ok(string(joined_words(args.text(0)?, '_')))),
    function("swapcase", 1, 1, |args| {
        let swap = |c: char| {
            if c.is_lowercase() {
                c.to_uppercase().collect::<String>()
            } else {
                c.to_lowercase().collect()
            }
        };
        Ok(string(args.text(0)?.chars().map(swap).collect::<String>()))
    }),
    function("title", 1, 1, |args| Ok(string(title(args.text(0)?)))),
    function("untitle", 1, 1, |args| Ok(string(untitle(args.text(0)?)))),
    function("wrap", 2, 2, |args| Ok(string(wrapped(args.text(1)?, args.int(0)?, "\n", false)))),
    function("wrapWith", 3, 3, wrap_with),
];

fn wrap_with(args: &Args<'_>) -> Answer {
    Ok(string(wrapped(args.text(2)?, args.int(0)?, args.text(1)?, true)))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn abbreviated(text: &str, width: i64) -> String {
    match usize::try_from(width) {
        Ok(width) if width >= 4 && text.len() > width => {
            lossy(text.as_bytes().get(..width - 3).unwrap_or_default()) + "..."
        }
        _ => text.to_owned(),
    }
}

/// Leaves so many bytes from an offset on, and dots where something was cut off.
fn abbreviated_on_both_sides(text: &str, offset: i64, width: i64) -> String {
    let (Ok(width), bytes) = (usize::try_from(width), text.as_bytes()) else {
        return text.to_owned();
    };
    if width < 4 || (offset > 0 && width < 7) || bytes.len() <= width {
        return text.to_owned();
    }
    let kept = width - 3;
    let offset = usize::try_from(offset).unwrap_or(0).min(bytes.len() - kept);
    if offset <= 4 {
        return lossy(bytes.get(..kept).unwrap_or_default()) + "...";
    }
    if offset + kept < bytes.len() {
        let tail = lossy(bytes.get(offset..).unwrap_or_default());
        let width = i64::try_from(kept).unwrap_or(i64::MAX);
        return format!("...{}", abbreviated(&tail, width));
    }
    format!("...{}", lossy(bytes.get(bytes.len() - kept..).unwrap_or_default()))
}

/// Upper case for the first letter of each word; what stands between words is neither letter, digit nor `_`.
fn title(text: &str) -> String {
    let mut before = ' ';
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        let is_start = match before {
            '_' => false,
            c if c.is_ascii() => !c.is_ascii_alphanumeric(),
            c if c.is_alphanumeric() => false,
            c => c.is_whitespace(),
        };
        if is_start {
            out.extend(character.to_uppercase());
        } else {
            out.push(character);
        }
        before = character;
    }
    out
}

/// Lower case for the first letter of each word; blanks stand between words.
fn untitle(text: &str) -> String {
    let mut is_start = true;
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if is_start {
            out.extend(character.to_lowercase());
        } else {
            out.push(character);
        }
        is_start = character.is_whitespace();
    }
    out
}

/// `some_words` → `SomeWords`; underscores at the ends stay.
fn camel_case(text: &str) -> String {
    let is_connector = |c: char| c == '_' || c == '-' || c.is_whitespace();
    let inner = text.trim_matches(is_connector);
    let start = text.len() - text.trim_start_matches(is_connector).len();
    let mut out = text.get(..start).unwrap_or_default().to_owned();
    let mut is_start = true;
    for character in inner.chars() {
        if is_connector(character) {
            // Of several in a row all but the first stay.
            if is_start {
                out.push(character);
            }
            is_start = true;
        } else if is_start {
            out.extend(character.to_uppercase());
            is_start = false;
        } else {
            out.push(character);
        }
    }
    if !inner.is_empty() {
        out.push_str(text.get(start + inner.len()..).unwrap_or_default());
    }
    out
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Upper,
    Lower,
    Digit,
    Other,
}

fn kind(character: char) -> Kind {
    match character {
        c if c.is_uppercase() => Kind::Upper,
        c if c.is_numeric() => Kind::Digit,
        c if c.is_alphabetic() => Kind::Lower,
        _ => Kind::Other,
    }
}

/// `HTTPServer2x` → `http_server_2x`: words begin at capitals, at the last capital of a row, and at digits that
/// follow letters.
fn joined_words(text: &str, connector: char) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len() + 8);
    let mut at_start = true;
    let mut is_in_digits = false;
    for (index, character) in characters.iter().copied().enumerate() {
        if character == '_' || character == '-' || character.is_whitespace() {
            out.push(connector);
            (at_start, is_in_digits) = (true, false);
            continue;
        }
        let before = index.checked_sub(1).and_then(|index| characters.get(index)).copied();
        let next = characters.get(index + 1).copied().map_or(Kind::Other, kind);
        let begins = match (before.map_or(Kind::Other, kind), kind(character)) {
            (Kind::Lower | Kind::Digit, Kind::Upper) => true,
            (Kind::Upper, Kind::Upper) => next == Kind::Lower,
            (Kind::Lower | Kind::Upper, Kind::Digit) => {
                !is_in_digits && next != Kind::Upper && begins_word(&characters, index)
            }
            _ => false,
        };
        if begins && !at_start {
            out.push(connector);
            is_in_digits = kind(character) == Kind::Digit;
        }
        out.extend(character.to_lowercase());
        at_start = false;
    }
    out
}

/// Whether digits are followed by letters, so that they are the beginning of a word: `http2xx`, not `bld4Floor`.
fn begins_word(characters: &[char], index: usize) -> bool {
    let rest = characters.get(index..).unwrap_or_default();
    rest.iter().copied().map(kind).find(|kind| *kind != Kind::Digit) == Some(Kind::Lower)
}

/// Breaks a text at blanks so that no line is longer than so many bytes, where words allow it.
fn wrapped(text: &str, width: i64, new_line: &str, breaks_words: bool) -> String {
    let width = usize::try_from(width).unwrap_or(1).max(1);
    let new_line = if new_line.is_empty() { "\n" } else { new_line };
    let mut out = String::new();
    let mut rest = text;
    while rest.len() > width {
        if let Some(trimmed) = rest.strip_prefix(' ') {
            rest = trimmed;
            continue;
        }
        let last_blank =
            rest.as_bytes().get(..=width).and_then(|line| line.iter().rposition(|b| *b == b' '));
        let (end, next) = match last_blank {
            Some(blank) => (blank, blank + 1),
            None if breaks_words => {
                let end =
                    (0..=width).rev().find(|end| rest.is_char_boundary(*end)).unwrap_or(0).max(1);
                (end, end)
            }
            None => match rest.find(' ') {
                Some(blank) => (blank, blank + 1),
                None => break,
            },
        };
        let (Some(line), Some(tail)) = (rest.get(..end), rest.get(next..)) else { break };
        out.push_str(line);
        out.push_str(new_line);
        rest = tail;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_names() {
        for (name, snake) in [
            ("FirstName", "first_name"),
            ("HTTPServer", "http_server"),
            ("NoHTTPS", "no_https"),
            ("GO_PATH", "go_path"),
            ("GO PATH", "go_path"),
            ("already_there", "already_there"),
        ] {
            assert_eq!(joined_words(name, '_'), snake);
        }
        assert_eq!(camel_case("http_server"), "HttpServer");
        assert_eq!(camel_case("_complex__case_"), "_Complex_Case_");
        assert_eq!(title("two words, o'neil 3x"), "Two Words, O'Neil 3x");
        assert_eq!(untitle("First Second"), "first second");
    }

    #[test]
    fn lines_are_broken_at_blanks() {
        assert_eq!(wrapped("one two three", 7, "\n", false), "one two\nthree");
        assert_eq!(wrapped("abcdefgh", 3, "-", true), "abc-def-gh");
        assert_eq!(wrapped("abcdefgh i", 3, "-", false), "abcdefgh-i");
        assert_eq!(abbreviated("hello world", 8), "hello...");
        assert_eq!(abbreviated_on_both_sides("1234 5678 9123", 5, 10), "...5678...");
    }
}
