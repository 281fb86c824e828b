//! A verb of Go's `fmt` package, such as `-8s` or `04d`, for texts and whole numbers.

use std::io::Write;

use super::go_text::append_quoted;

/// Wider is no column.
const WIDTH_MAX: usize = 1024;

/// How a value is shown, and the text behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verb {
    is_left: bool,
    has_zeros: bool,
    width: usize,
    precision: Option<usize>,
    letter: char,
    behind: String,
}

// === impl Verb ===

impl Verb {
    pub(super) const TEXT: Verb = Verb {
        is_left: false,
        has_zeros: false,
        width: 0,
        precision: None,
        letter: 's',
        behind: String::new(),
    };

    /// Without the `%`. `None`: it is no verb, or one that nobody needs here.
    pub(super) fn parse(text: &str) -> Option<Verb> {
        let mut verb = Verb::TEXT;
        let mut rest = text;
        while let Some(flag) = rest.chars().next().filter(|flag| matches!(flag, '-' | '0')) {
            verb.is_left |= flag == '-';
            verb.has_zeros |= flag == '0';
            rest = &rest[1..];
        }
        (verb.width, rest) = digits(rest)?;
        if let Some(behind) = rest.strip_prefix('.') {
            let (precision, behind) = digits(behind)?;
            (verb.precision, rest) = (Some(precision), behind);
        }
        verb.letter = rest.chars().next()?;
        let behind = &rest[verb.letter.len_utf8()..];
        let is_known = matches!(verb.letter, 's' | 'v' | 'q' | 'd' | 'x' | 'X' | 'o' | 'b');
        if !is_known || behind.contains('%') {
            return None;
        }
        verb.has_zeros &= !verb.is_left;
        behind.clone_into(&mut verb.behind);
        Some(verb)
    }

    /// Whether a number can be shown so, or a text.
    pub(super) fn fits(&self, is_number: bool) -> bool {
        match self.letter {
            'd' | 'o' | 'b' => is_number,
            's' | 'q' => !is_number,
            _ => true,
        }
    }

    pub(super) fn append_text(&self, text: &str, out: &mut Vec<u8>) {
        let text = self.cut(text);
        if self.letter == 's' || self.letter == 'v' {
            self.append_padded(text, out);
        } else {
            let mut shown = Vec::new();
            match self.letter {
                'q' => append_quoted(text.as_bytes(), &mut shown),
                'X' => text.bytes().for_each(|byte| _ = write!(shown, "{byte:02X}")),
                _ => text.bytes().for_each(|byte| _ = write!(shown, "{byte:02x}")),
            }
            self.append_padded(&String::from_utf8_lossy(&shown), out);
        }
    }

    pub(super) fn append_number(&self, number: u64, out: &mut Vec<u8>) {
        let mut digits = match self.letter {
            'x' => format!("{number:x}"),
            'X' => format!("{number:X}"),
            'o' => format!("{number:o}"),
            'b' => format!("{number:b}"),
            _ => number.to_string(),
        };
        if let Some(precision) = self.precision {
            digits = format!("{digits:0>precision$}");
        }
        self.append_padded(&digits, out);
    }

    /// What has a name and a number: the verb chooses.
    pub(super) fn append_named(&self, name: &str, number: u64, out: &mut Vec<u8>) {
        match self.letter {
            'd' | 'o' | 'b' => self.append_number(number, out),
            _ => self.append_text(name, out),
        }
    }

    fn cut<'t>(&self, text: &'t str) -> &'t str {
        let end = self.precision.and_then(|count| text.char_indices().nth(count));
        end.map_or(text, |(end, _)| &text[..end])
    }

    fn append_padded(&self, text: &str, out: &mut Vec<u8>) {
        let padding = match self.width {
            0 => 0,
            width => width.saturating_sub(text.chars().count()),
        };
        let fill = if self.has_zeros { b'0' } else { b' ' };
        let (before, after) = if self.is_left { (0, padding) } else { (padding, 0) };
        out.resize(out.len() + before, fill);
        out.extend_from_slice(text.as_bytes());
        out.resize(out.len() + after, b' ');
        out.extend_from_slice(self.behind.as_bytes());
    }
}

/// The number that a text begins with, 0 where there is none, and what follows.
fn digits(text: &str) -> Option<(usize, &str)> {
    let end = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let number = if number.is_empty() { 0 } else { number.parse().ok()? };
    (number <= WIDTH_MAX).then_some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(verb: &str, value: &str) -> String {
        let mut out = Vec::new();
        Verb::parse(verb).expect(verb).append_text(value, &mut out);
        String::from_utf8(out).expect("text")
    }

    fn number(verb: &str, value: u64) -> String {
        let mut out = Vec::new();
        Verb::parse(verb).expect(verb).append_number(value, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn values_are_shown_as_go_shows_them() {
        for (verb, expected) in [
            ("s", "größe"),
            ("v", "größe"),
            (".2s", "gr"),
            ("8s", "   größe"),
            ("-8s|", "größe   |"),
            ("08s", "000größe"),
            ("7.3s", "    grö"),
            (".s", ""),
            ("q", "\"größe\""),
            ("x", "6772c3b6c39f65"),
            (".2X", "6772"),
        ] {
            assert_eq!(text(verb, "größe"), expected, "{verb}");
        }
        for (verb, expected) in [
            ("d", "42"),
            ("05d", "00042"),
            ("-5d]", "42   ]"),
            ("x", "2a"),
            ("b", "101010"),
            (".4d", "0042"),
        ] {
            assert_eq!(number(verb, 42), expected, "{verb}");
        }
    }

    #[test]
    fn what_is_no_verb_is_refused() {
        for verb in ["", "5", "-", "y", "s%d", "99999s", "*d", "99999999999999999999999s", "é"] {
            assert_eq!(Verb::parse(verb), None, "{verb}");
        }
    }
}
